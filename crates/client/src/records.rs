//! Records as an application sees them, on the way in and on the way out.

use bytes::Bytes;
use taffrail_record::Offset;

/// A header: its name, and a value that may be absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    pub key: String,
    pub value: Option<Bytes>,
}

/// A record to be sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    pub key: Option<Bytes>,
    /// `None` is a tombstone.
    pub value: Option<Bytes>,
    pub headers: Vec<Header>,
    /// Unix milliseconds; the producer's wall clock if absent.
    pub timestamp: Option<i64>,
}

impl Record {
    /// A record with a value and nothing else.
    pub fn of_value(value: impl Into<Bytes>) -> Record {
        Record {
            value: Some(value.into()),
            ..Record::default()
        }
    }

    /// An upper bound of the bytes that this record takes in a batch before compression.
    pub fn size_bound(&self) -> usize {
        // Six varints of at most five or ten bytes, and the attributes.
        const FRAME: usize = 36;
        let headers: usize = self
            .headers
            .iter()
            .map(|header| 10 + header.key.len() + header.value.as_ref().map_or(0, Bytes::len))
            .sum();
        FRAME
            + self.key.as_ref().map_or(0, Bytes::len)
            + self.value.as_ref().map_or(0, Bytes::len)
            + headers
    }
}

/// Where an acknowledged record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acked {
    pub partition: i32,
    /// -1 if the broker does not say: with [`crate::Acks::None`], and for a retry so late that only the fact of the
    /// first write is remembered.
    pub offset: Offset,
    /// Unix milliseconds, as the log has it.
    pub timestamp: i64,
}

/// A record that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    pub topic: std::rc::Rc<str>,
    pub partition: i32,
    pub offset: Offset,
    pub timestamp: i64,
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
    pub headers: Vec<Header>,
}

/// A partition by its topic's name, as group members and callers name it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartitionName {
    pub topic: String,
    pub partition: i32,
}

impl TopicPartitionName {
    pub fn new(topic: impl Into<String>, partition: i32) -> TopicPartitionName {
        TopicPartitionName {
            topic: topic.into(),
            partition,
        }
    }
}

impl std::fmt::Display for TopicPartitionName {
    /// As Kafka prints it: `topic-0`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}
