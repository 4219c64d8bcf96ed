//! What can go wrong, one enum per operation.
//!
//! Each `Display` is one line that says what is wrong and, where somebody can act on it, what would be right.

use std::fmt;
use std::path::PathBuf;
use taffrail_env::{DiskError, DiskErrorKind};
use taffrail_record::{Offset, ProducerEpoch, Sequence};

/// Why a data directory was not opened. Nothing in it was changed.
#[derive(Clone, Debug, PartialEq)]
pub enum OpenError {
    /// The directory is not empty and is not ours.
    OtherProgram {
        path: PathBuf,
        found: String,
    },
    /// What was to be read offline is no data directory.
    NoDataDirectory {
        path: PathBuf,
    },
    /// What was to be read offline is neither a data directory nor anything in one.
    NotOurs {
        path: PathBuf,
    },
    /// Written by another version of the format.
    OtherVersion {
        path: PathBuf,
        found: u32,
        supported: u32,
    },
    /// Another process has it open.
    Locked {
        path: PathBuf,
    },
    /// Damaged beyond what may be repaired alone.
    Damaged {
        file: PathBuf,
        offset: u64,
        what: String,
    },
    /// A first start found no room for the journal.
    NoSpace {
        path: PathBuf,
        needed: u64,
        available: u64,
    },
    Disk(DiskError),
}

/// Why a change to a log other than an append was not made.
#[derive(Clone, Debug, PartialEq)]
pub enum StorageError {
    /// There is such a log already.
    Exists,
    /// There is no such log, or it was deleted meanwhile.
    Deleted,
    /// The storage is shutting down.
    Closed,
    /// The offset is outside the log.
    OutOfRange { start: Offset, end: Offset },
    /// No room; may be tried again.
    NoSpace(DiskError),
    /// What is on disk does not verify.
    Corrupt { file: PathBuf, what: String },
    /// The disk failed. Nothing more is written until the next start.
    Failed(DiskError),
}

/// Why an append has no offset.
#[derive(Clone, Debug, PartialEq)]
pub enum AppendError {
    /// The batch is not the producer's next one.
    OutOfOrderSequence { expected: Sequence, found: Sequence },
    /// A newer incarnation of the producer has written.
    ProducerFenced {
        current: ProducerEpoch,
        found: ProducerEpoch,
    },
    /// The shard remembers as many producers as it may.
    TooManyProducers,
    /// The batch can never fit into the journal.
    TooLarge { max: usize },
    /// Too much of this log waits for the journal.
    Backlogged,
    /// The bytes are not exactly one batch.
    NotOneBatch,
    /// No room on the disk. Nothing was written; may be tried again.
    NoSpace(DiskError),
    /// The disk failed; whether the batch is there is unknown.
    Failed(DiskError),
    /// The log was deleted.
    Deleted,
    /// The storage is shutting down; nothing was written.
    Closed,
    /// The storage ended before it said what became of the batch.
    Unknown,
}

/// Why nothing could be read.
#[derive(Clone, Debug, PartialEq)]
pub enum ReadError {
    OffsetOutOfRange {
        start: Offset,
        end: Offset,
    },
    /// What is on disk is not what was written. It is not handed out.
    Corrupt {
        file: PathBuf,
        position: u64,
        what: String,
    },
    Disk(DiskError),
    Deleted,
}

/// How the data directory fares.
#[derive(Clone, Debug, PartialEq)]
pub enum Health {
    Serving,
    /// Appends that need new room are refused; it ends by itself when there is room.
    DiskFull,
    /// Something could not be written: reads only, until the next start.
    Failed(DiskError),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherProgram { path, found } => write!(
                f,
                "{}: not a Taffrail data directory, and not empty (it holds {found:?}); name an empty or a new directory",
                path.display()
            ),
            Self::NoDataDirectory { path } => write!(
                f,
                "{}: not a Taffrail data directory: there is no {} in it; expected the directory that `serve` has as --data",
                path.display(),
                crate::layout::META
            ),
            Self::NotOurs { path } => write!(
                f,
                "{}: nothing of a Taffrail data directory; expected such a directory, a partition's directory in it, or one of their files",
                path.display()
            ),
            Self::OtherVersion {
                path,
                found,
                supported,
            } => write!(
                f,
                "{}: written in format version {found}; this program reads version {supported}: use the program that wrote it",
                path.display()
            ),
            Self::Locked { path } => write!(
                f,
                "{}: in use by another process; stop that one, or name another directory",
                path.display()
            ),
            Self::Damaged { file, offset, what } => {
                write!(f, "{}: damaged at offset {offset}: {what}", file.display())
            }
            Self::NoSpace {
                path,
                needed,
                available,
            } => write!(
                f,
                "{}: no room for the journal: {needed} bytes needed, {available} available",
                path.display()
            ),
            Self::Disk(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for StorageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exists => f.write_str("the log exists already"),
            Self::Deleted => f.write_str("there is no such log"),
            Self::Closed => f.write_str("the storage is shutting down"),
            Self::OutOfRange { start, end } => {
                write!(f, "the offset is not between {start} and {end}")
            }
            Self::NoSpace(error) | Self::Failed(error) => error.fmt(f),
            Self::Corrupt { file, what } => write!(f, "{}: corrupt: {what}", file.display()),
        }
    }
}

impl fmt::Display for AppendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfOrderSequence { expected, found } => {
                write!(f, "sequence {found} where {expected} is next")
            }
            Self::ProducerFenced { current, found } => {
                write!(f, "producer epoch {found} is older than {current}")
            }
            Self::TooManyProducers => f.write_str("too many producers to remember"),
            Self::TooLarge { max } => write!(
                f,
                "the batch is larger than {max} bytes, the most that the journal takes"
            ),
            Self::Backlogged => f.write_str("too much of this log waits for the journal"),
            Self::NotOneBatch => f.write_str("not exactly one record batch"),
            Self::NoSpace(error) | Self::Failed(error) => error.fmt(f),
            Self::Deleted => f.write_str("the log was deleted"),
            Self::Closed => f.write_str("the storage is shutting down"),
            Self::Unknown => f.write_str("the storage ended before it answered"),
        }
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OffsetOutOfRange { start, end } => {
                write!(f, "the offset is not between {start} and {end}")
            }
            Self::Corrupt {
                file,
                position,
                what,
            } => write!(f, "{}: corrupt at {position}: {what}", file.display()),
            Self::Disk(error) => error.fmt(f),
            Self::Deleted => f.write_str("the log was deleted"),
        }
    }
}

impl std::error::Error for OpenError {}
impl std::error::Error for StorageError {}
impl std::error::Error for AppendError {}
impl std::error::Error for ReadError {}

impl From<DiskError> for OpenError {
    fn from(error: DiskError) -> OpenError {
        OpenError::Disk(error)
    }
}

impl From<DiskError> for StorageError {
    fn from(error: DiskError) -> StorageError {
        if error.kind == DiskErrorKind::NoSpace {
            StorageError::NoSpace(error)
        } else {
            StorageError::Failed(error)
        }
    }
}

impl From<DiskError> for ReadError {
    fn from(error: DiskError) -> ReadError {
        ReadError::Disk(error)
    }
}
