//! What can go wrong, one enum an operation. Wire error codes appear here because the caller may have to tell them apart.
//!
//! Each `Display` is one line that a command line tool can print as it is.

use std::fmt;
use taffrail_env::NetError;
use taffrail_wire::ErrorCode;

/// A request that brought no usable answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientError {
    /// No connection, or it broke before the answer came.
    Network(NetError),
    /// The time for `what` was up. `last` is the last failure on the way, if there was one.
    TimedOut { what: String, last: Option<String> },
    /// The peer does not speak Kafka's protocol, or breaks it.
    Protocol(String),
    /// The broker has no version of this request that this client knows.
    Unsupported { api: &'static str, broker: String },
    /// The broker's answer is an error.
    Refused {
        code: ErrorCode,
        message: Option<String>,
        /// The topic, group or partition it is about.
        subject: String,
    },
    /// What was asked for by name does not exist.
    NotThere { subject: String },
    /// This client was closed.
    Closed,
}

impl ClientError {
    /// Whether the same may succeed a little later.
    pub fn is_retriable(&self) -> bool {
        match self {
            ClientError::Network(_) => true,
            ClientError::Refused { code, .. } => code.is_retriable(),
            ClientError::TimedOut { .. }
            | ClientError::Protocol(_)
            | ClientError::Unsupported { .. }
            | ClientError::NotThere { .. }
            | ClientError::Closed => false,
        }
    }

    /// The broker's error code, if that is what it is.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            ClientError::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// The error that a code stands for, or `Ok` for none.
    pub(crate) fn check(
        error_code: i16,
        message: Option<&str>,
        subject: impl fmt::Display,
    ) -> Result<(), ClientError> {
        match ErrorCode::from(error_code) {
            ErrorCode::None => Ok(()),
            code => Err(ClientError::Refused {
                code,
                message: message.map(str::to_owned),
                subject: subject.to_string(),
            }),
        }
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientError::Network(error) => write!(f, "{error}"),
            ClientError::TimedOut { what, last: None } => write!(f, "timed out: {what}"),
            ClientError::TimedOut {
                what,
                last: Some(last),
            } => write!(f, "timed out: {what}: {last}"),
            ClientError::Protocol(what) => write!(f, "the peer breaks Kafka's protocol: {what}"),
            ClientError::Unsupported { api, broker } => {
                write!(
                    f,
                    "{broker} offers no version of {api} that this client speaks"
                )
            }
            ClientError::Refused {
                code,
                message,
                subject,
            } => write_refusal(f, *code, message.as_deref(), subject),
            ClientError::NotThere { subject } => write!(f, "{subject} does not exist"),
            ClientError::Closed => f.write_str("the client is closed"),
        }
    }
}

impl std::error::Error for ClientError {}

fn write_refusal(
    f: &mut fmt::Formatter<'_>,
    code: ErrorCode,
    message: Option<&str>,
    subject: &str,
) -> fmt::Result {
    if !subject.is_empty() {
        write!(f, "{subject}: ")?;
    }
    write!(f, "{}", message.unwrap_or_else(|| code.message()))?;
    write!(f, " ({})", code.name())
}

/// Why a record was not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendError {
    /// Larger than a request may be; nothing was sent.
    TooLarge { bytes: usize, bytes_max: usize },
    /// A partition that the topic does not have; nothing was sent.
    NoSuchPartition {
        topic: String,
        partition: i32,
        partitions: i32,
    },
    /// `send` could not begin: no metadata, or no producer id. Nothing was sent.
    NotBegun(ClientError),
    /// `send` waited for room in the producer's memory until its time was up. Nothing was sent.
    NoRoom,
    /// The broker refused the batch. If `may_be_written`, an earlier try had no answer.
    Refused {
        code: ErrorCode,
        message: Option<String>,
        may_be_written: bool,
    },
    /// The delivery's time was up.
    TimedOut {
        may_be_written: bool,
        last: Option<String>,
    },
    /// The producer was dropped.
    Closed { may_be_written: bool },
}

impl SendError {
    /// Whether the record may be in the log, or get there, all the same.
    pub fn may_be_written(&self) -> bool {
        match self {
            SendError::TooLarge { .. }
            | SendError::NoSuchPartition { .. }
            | SendError::NotBegun(_)
            | SendError::NoRoom => false,
            SendError::Refused { may_be_written, .. }
            | SendError::TimedOut { may_be_written, .. }
            | SendError::Closed { may_be_written } => *may_be_written,
        }
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SendError::TooLarge { bytes, bytes_max } => write!(
                f,
                "a record of {bytes} bytes is larger than the largest request of {bytes_max} bytes"
            ),
            SendError::NoSuchPartition {
                topic,
                partition,
                partitions,
            } => write!(
                f,
                "topic {topic} has no partition {partition}, only 0 to {}",
                partitions - 1
            ),
            SendError::NotBegun(error) => write!(f, "{error}"),
            SendError::NoRoom => f.write_str("timed out: no room for another record"),
            SendError::Refused { code, message, .. } => {
                write_refusal(f, *code, message.as_deref(), "")
            }
            SendError::TimedOut { last: None, .. } => f.write_str("timed out: no acknowledgement"),
            SendError::TimedOut {
                last: Some(last), ..
            } => write!(f, "timed out: no acknowledgement: {last}"),
            SendError::Closed { .. } => f.write_str("the producer is closed"),
        }
    }
}

impl std::error::Error for SendError {}

/// Why `poll` or `commit` failed. The consumer stays usable after each but [`ConsumeError::Refused`] by its group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConsumeError {
    /// No position, and the policy is to say so; or the position is not in the log.
    OutOfRange {
        topic: String,
        partition: i32,
        offset: Option<i64>,
    },
    /// A batch that does not verify.
    Corrupt {
        topic: String,
        partition: i32,
        offset: i64,
        what: String,
    },
    /// The broker says that it cannot read what is there: its log is damaged. It gave nothing wrong.
    Unreadable {
        topic: String,
        partition: i32,
        offset: i64,
    },
    /// The group refuses this member.
    Refused(ClientError),
    /// A commit that came too late: the group went on to another generation.
    NotOwner,
    /// Everything else.
    Client(ClientError),
}

impl From<ClientError> for ConsumeError {
    fn from(error: ClientError) -> ConsumeError {
        ConsumeError::Client(error)
    }
}

impl fmt::Display for ConsumeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConsumeError::OutOfRange {
                topic,
                partition,
                offset: Some(offset),
            } => write!(f, "{topic}-{partition}: offset {offset} is not in the log"),
            ConsumeError::OutOfRange {
                topic,
                partition,
                offset: None,
            } => write!(f, "{topic}-{partition}: no committed offset"),
            ConsumeError::Corrupt {
                topic,
                partition,
                offset,
                what,
            } => write!(
                f,
                "{topic}-{partition}: the batch at offset {offset}: {what}"
            ),
            ConsumeError::Unreadable {
                topic,
                partition,
                offset,
            } => write!(
                f,
                "{topic}-{partition}: the batch at offset {offset}: the broker cannot read it: its log is damaged there"
            ),
            ConsumeError::Refused(error) | ConsumeError::Client(error) => write!(f, "{error}"),
            ConsumeError::NotOwner => {
                f.write_str("the group has gone on without this member: its commit was not taken")
            }
        }
    }
}

impl std::error::Error for ConsumeError {}
