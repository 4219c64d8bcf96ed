//! The names of things in a log.
//!
//! Numbers are plain aliases, as Kafka's own; a topic is named by 16 bytes that never change, and is
//! written as text the way Kafka writes a Uuid: base64url without padding, 22 characters. Each id has
//! exactly one text: a text whose unused last bits are set is refused.

use std::fmt;
use std::str::FromStr;

/// Position of a record in its partition.
pub type Offset = i64;
/// Number of a leadership of one partition, increased with each election.
pub type LeaderEpoch = i32;
/// Number of a partition in its topic, from 0.
pub type PartitionIndex = i32;
/// Id of a producer that wants each of its records exactly once.
pub type ProducerId = i64;
/// Incarnation of a producer id; an older one is fenced.
pub type ProducerEpoch = i16;
/// Number of a record among those of one producer id and epoch in one partition; after 2^31-1 comes 0.
pub type Sequence = i32;

/// Stands for "no offset" in Kafka's messages.
pub const NO_OFFSET: Offset = -1;
/// Stands for "leader epoch unknown".
pub const NO_LEADER_EPOCH: LeaderEpoch = -1;
/// A batch of a producer that is not idempotent.
pub const NO_PRODUCER_ID: ProducerId = -1;
/// Goes with [`NO_PRODUCER_ID`].
pub const NO_PRODUCER_EPOCH: ProducerEpoch = -1;
/// Goes with [`NO_PRODUCER_ID`].
pub const NO_SEQUENCE: Sequence = -1;
/// A record or batch without timestamp.
pub const NO_TIMESTAMP: i64 = -1;

/// What a topic is named by everywhere but at the edge. `Display` and `FromStr` use Kafka's text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TopicId(pub [u8; 16]);

/// A partition of a topic. `Display` is `<topic id>-<partition>`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TopicPartition {
    pub topic: TopicId,
    pub partition: PartitionIndex,
}

/// A text that names no topic id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TopicIdParseError;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const TEXT_LEN: usize = 22;

impl TopicId {
    /// The id that names no topic.
    pub const ZERO: TopicId = TopicId([0; 16]);

    fn text(self) -> [u8; TEXT_LEN] {
        // 128 bits and 4 unused ones make 22 digits of 6 bits.
        let bits = u128::from_be_bytes(self.0);
        let mut text = [0; TEXT_LEN];
        text[TEXT_LEN - 1] = ALPHABET[((bits << 4) & 63) as usize];
        for (place, digit) in text[..TEXT_LEN - 1].iter_mut().enumerate() {
            *digit = ALPHABET[(bits >> (122 - 6 * place) & 63) as usize];
        }
        text
    }
}

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.text();
        f.pad(std::str::from_utf8(&text).expect("the alphabet is ASCII"))
    }
}

impl fmt::Debug for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for TopicId {
    type Err = TopicIdParseError;

    fn from_str(text: &str) -> Result<TopicId, TopicIdParseError> {
        let text = text.as_bytes();
        if text.len() != TEXT_LEN {
            return Err(TopicIdParseError);
        }
        let mut bits = 0u128;
        for &character in &text[..TEXT_LEN - 1] {
            bits = bits << 6 | digit(character)?;
        }
        let last = digit(text[TEXT_LEN - 1])?;
        if last & 15 != 0 {
            return Err(TopicIdParseError);
        }
        Ok(TopicId((bits << 2 | last >> 4).to_be_bytes()))
    }
}

fn digit(character: u8) -> Result<u128, TopicIdParseError> {
    let value = match character {
        b'A'..=b'Z' => character - b'A',
        b'a'..=b'z' => character - b'a' + 26,
        b'0'..=b'9' => character - b'0' + 52,
        b'-' => 62,
        b'_' => 63,
        _ => return Err(TopicIdParseError),
    };
    Ok(u128::from(value))
}

impl fmt::Display for TopicIdParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a topic id is 22 characters of base64url")
    }
}

impl std::error::Error for TopicIdParseError {}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

#[cfg(test)]
mod tests;
