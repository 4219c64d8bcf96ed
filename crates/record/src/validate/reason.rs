//! Why a batch cannot be appended, and which of Kafka's answers that is.

use crate::batch::BatchError;
use crate::compression::{Codec, DecompressError};
use std::fmt;

/// The answers that Kafka has for a batch that cannot be appended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum InvalidClass {
    /// The bytes are not what the producer sent; it may send them again.
    CorruptRecord,
    /// A timestamp that the topic does not allow.
    InvalidTimestamp,
    /// Anything else that is wrong with the batch or a record, for good.
    InvalidRecord,
    /// A codec that does not exist, or that the request's version does not know.
    UnsupportedCompressionType,
    /// More bytes than allowed, as sent or decompressed. Producers split the batch and try again.
    MessageTooLarge,
}

/// What is wrong with a batch or a record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reason {
    /// It is no sound batch at all.
    Batch(BatchError),
    /// Bytes follow the batch.
    MoreThanOneBatch {
        bytes_behind: usize,
    },
    BaseOffsetNotZero {
        base_offset: i64,
    },
    TooLarge {
        size: usize,
        batch_bytes_max: usize,
    },
    /// No records, or not as many as offsets.
    Count {
        record_count: i32,
        last_offset_delta: i32,
    },
    CodecNotAllowed {
        codec: Codec,
    },
    ControlBatch,
    DeleteHorizon,
    /// Producer id, epoch, sequence and transaction do not go together.
    Producer,
    /// Only the broker may say that a timestamp is the broker's.
    LogAppendTime,
    TimestampOutOfRange {
        timestamp: i64,
        min: i64,
        max: i64,
    },
    /// The timestamp does not fit into 64 bits.
    TimestampOverflow,
    KeyMissing,
    RecordAttributes {
        attributes: u8,
    },
}

/// A record that was refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RefusedRecord {
    /// Place in the batch, from 0.
    pub index: i32,
    pub reason: Reason,
}

/// A batch that cannot be appended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Invalid {
    pub class: InvalidClass,
    /// What is wrong with the batch, or with the first record that was refused.
    pub reason: Reason,
    /// The first [`REFUSED_RECORDS_MAX`] of the records that were refused; none if it is the batch as such.
    pub records: Vec<RefusedRecord>,
}

/// A batch may have any number of bad records; so many are named.
pub const REFUSED_RECORDS_MAX: usize = 100;

impl Invalid {
    /// The first record that was refused, if it was a record's fault.
    pub fn record_index(&self) -> Option<i32> {
        self.records.first().map(|record| record.index)
    }
}

impl Reason {
    /// The answer that Kafka has for this reason.
    pub fn class(&self) -> InvalidClass {
        match self {
            Reason::Batch(error) => class_of(error),
            Reason::TooLarge { .. } => InvalidClass::MessageTooLarge,
            Reason::CodecNotAllowed { .. } => InvalidClass::UnsupportedCompressionType,
            Reason::LogAppendTime
            | Reason::TimestampOutOfRange { .. }
            | Reason::TimestampOverflow => InvalidClass::InvalidTimestamp,
            Reason::MoreThanOneBatch { .. }
            | Reason::BaseOffsetNotZero { .. }
            | Reason::Count { .. }
            | Reason::ControlBatch
            | Reason::DeleteHorizon
            | Reason::Producer
            | Reason::KeyMissing
            | Reason::RecordAttributes { .. } => InvalidClass::InvalidRecord,
        }
    }
}

fn class_of(error: &BatchError) -> InvalidClass {
    match error {
        BatchError::CrcMismatch { .. }
        | BatchError::LengthTooSmall { .. }
        | BatchError::UnknownMagic { .. } => InvalidClass::CorruptRecord,
        BatchError::UnknownCodec { .. } => InvalidClass::UnsupportedCompressionType,
        BatchError::Decompress(DecompressError::TooLarge { .. }) => InvalidClass::MessageTooLarge,
        BatchError::Truncated { .. }
        | BatchError::LegacyMagic { .. }
        | BatchError::OffsetsOutOfRange { .. }
        | BatchError::CountOutOfRange { .. }
        | BatchError::Record { .. }
        | BatchError::Decompress(_) => InvalidClass::InvalidRecord,
    }
}

impl From<Reason> for Invalid {
    fn from(reason: Reason) -> Invalid {
        let records = match &reason {
            Reason::Batch(BatchError::Record { index, .. }) => vec![RefusedRecord {
                index: *index,
                reason: reason.clone(),
            }],
            _ => Vec::new(),
        };
        Invalid {
            class: reason.class(),
            reason,
            records,
        }
    }
}

impl Invalid {
    /// `records` is not empty. One bad timestamp decides the class, as it does in Kafka.
    pub(super) fn of_records(records: Vec<RefusedRecord>) -> Invalid {
        let any_timestamp = records
            .iter()
            .any(|record| record.reason.class() == InvalidClass::InvalidTimestamp);
        Invalid {
            class: if any_timestamp {
                InvalidClass::InvalidTimestamp
            } else {
                InvalidClass::InvalidRecord
            },
            reason: records[0].reason.clone(),
            records,
        }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.reason, self.record_index()) {
            // This one names the record itself.
            (Reason::Batch(error), _) => error.fmt(f),
            (reason, Some(index)) => write!(f, "record {index}: {reason}"),
            (reason, None) => reason.fmt(f),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Batch(error) => error.fmt(f),
            Reason::MoreThanOneBatch { bytes_behind } => {
                write!(
                    f,
                    "{bytes_behind} bytes follow the batch, and there may be only one"
                )
            }
            Reason::BaseOffsetNotZero { base_offset } => {
                write!(f, "the base offset is {base_offset} and must be 0")
            }
            Reason::TooLarge {
                size,
                batch_bytes_max,
            } => {
                write!(
                    f,
                    "the batch has {size} bytes and may have {batch_bytes_max}"
                )
            }
            Reason::Count {
                record_count,
                last_offset_delta,
            } => write!(
                f,
                "the record count is {record_count} with a last offset delta of {last_offset_delta}"
            ),
            Reason::CodecNotAllowed { codec } => {
                write!(f, "the request's version does not allow {codec}")
            }
            Reason::ControlBatch => f.write_str("clients may not write control batches"),
            Reason::DeleteHorizon => f.write_str("clients may not set a delete horizon"),
            Reason::Producer => {
                f.write_str("producer id, epoch, sequence and transaction do not go together")
            }
            Reason::LogAppendTime => {
                f.write_str("clients may not set the timestamp type to LogAppendTime")
            }
            Reason::TimestampOutOfRange {
                timestamp,
                min,
                max,
            } => {
                write!(f, "timestamp {timestamp} is not within [{min}, {max}]")
            }
            Reason::TimestampOverflow => f.write_str("the timestamp does not fit into 64 bits"),
            Reason::KeyMissing => f.write_str("a compacted topic needs a key in each record"),
            Reason::RecordAttributes { attributes } => {
                write!(
                    f,
                    "attributes are {attributes:#04x}, of which no bit has a meaning"
                )
            }
        }
    }
}

impl std::error::Error for Invalid {}
