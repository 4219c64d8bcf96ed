//! The records of `__consumer_offsets`, byte for byte Kafka's, so that its tools read our log.
//!
//! A key is a version that says what the record is, then its fields: 0 and 1 are an offset, 2 is a group. A
//! record without a value is a tombstone. Values carry a version too. Offsets are written in version 4, which
//! names the topic by id; groups in version 3; all older versions are read. Only Kafka's version 1 has a place for an expiry time that
//! the client set, and none for the topic's id: an offset that has both is written in version 4, with the time in a tagged field of
//! ours, over which Kafka's tools read. What is not known is an error and never skipped: skipping would be forgetting.

use std::fmt;

use bytes::{Buf, BufMut};

use super::stored::{CommittedOffset, StoredGroup, StoredMember};

const OFFSET_KEY: i16 = 1;
const GROUP_KEY: i16 = 2;
const OFFSET_VALUE: i16 = 4;
const OFFSET_VALUE_WITH_EXPIRY: i16 = 1;
const GROUP_VALUE: i16 = 3;
const TOPIC_ID_TAG: u32 = 0;
/// When the offset expires, as an int64 of milliseconds since 1970. Far above the tags that Kafka gives out one after another.
const EXPIRES_TAG: u32 = 10_000;

/// One change of what is durable about groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A committed offset, or that there is none any more.
    Offset {
        group_id: String,
        topic: String,
        partition: i32,
        value: Option<CommittedOffset>,
    },
    /// A group, or that it is gone.
    Group {
        group_id: String,
        value: Option<StoredGroup>,
    },
}

/// Why a record of `__consumer_offsets` cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordError {
    /// The bytes end early or go on too long.
    Malformed,
    /// A kind of key, or a version of a value, that this binary does not know.
    UnknownVersion(i16),
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecordError::Malformed => write!(f, "malformed record of __consumer_offsets"),
            RecordError::UnknownVersion(version) => {
                write!(
                    f,
                    "record of __consumer_offsets of unknown version {version}"
                )
            }
        }
    }
}

impl std::error::Error for RecordError {}

impl Record {
    /// The record's key.
    pub fn key(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Record::Offset {
                group_id,
                topic,
                partition,
                ..
            } => {
                out.put_i16(OFFSET_KEY);
                put_string(&mut out, group_id);
                put_string(&mut out, topic);
                out.put_i32(*partition);
            }
            Record::Group { group_id, .. } => {
                out.put_i16(GROUP_KEY);
                put_string(&mut out, group_id);
            }
        }
        out
    }

    /// The record's value, if it is no tombstone.
    pub fn value(&self) -> Option<Vec<u8>> {
        match self {
            Record::Offset { value, .. } => value.as_ref().map(offset_value),
            Record::Group { value, .. } => value.as_ref().map(group_value),
        }
    }

    /// The record that has this key and value.
    pub fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Record, RecordError> {
        let mut key = Reader(key);
        let record = match key.i16()? {
            0 | OFFSET_KEY => Record::Offset {
                group_id: key.string()?,
                topic: key.string()?,
                partition: key.i32()?,
                value: value.map(read_offset_value).transpose()?,
            },
            GROUP_KEY => Record::Group {
                group_id: key.string()?,
                value: value.map(read_group_value).transpose()?,
            },
            other => return Err(RecordError::UnknownVersion(other)),
        };
        key.end()?;
        Ok(record)
    }
}

fn offset_value(value: &CommittedOffset) -> Vec<u8> {
    let mut out = Vec::new();
    match (value.expires_at_ms, value.topic_id) {
        (Some(expires_at_ms), None) => {
            out.put_i16(OFFSET_VALUE_WITH_EXPIRY);
            out.put_i64(value.offset);
            put_string(&mut out, &value.metadata);
            out.put_i64(value.committed_at_ms);
            out.put_i64(expires_at_ms);
        }
        (expires_at_ms, topic_id) => {
            out.put_i16(OFFSET_VALUE);
            out.put_i64(value.offset);
            out.put_i32(value.leader_epoch);
            put_unsigned(&mut out, value.metadata.len() as u32 + 1);
            out.put_slice(value.metadata.as_bytes());
            out.put_i64(value.committed_at_ms);
            let tags = u32::from(topic_id.is_some()) + u32::from(expires_at_ms.is_some());
            put_unsigned(&mut out, tags);
            if let Some(topic_id) = topic_id {
                put_unsigned(&mut out, TOPIC_ID_TAG);
                put_unsigned(&mut out, 16);
                out.put_slice(&topic_id);
            }
            if let Some(expires_at_ms) = expires_at_ms {
                put_unsigned(&mut out, EXPIRES_TAG);
                put_unsigned(&mut out, 8);
                out.put_i64(expires_at_ms);
            }
        }
    }
    out
}

fn read_offset_value(bytes: &[u8]) -> Result<CommittedOffset, RecordError> {
    let mut reader = Reader(bytes);
    let version = reader.i16()?;
    if !(0..=OFFSET_VALUE).contains(&version) {
        return Err(RecordError::UnknownVersion(version));
    }
    let offset = reader.i64()?;
    let leader_epoch = if version >= 3 { reader.i32()? } else { -1 };
    let metadata = if version >= 4 {
        reader.compact_string()?
    } else {
        reader.string()?
    };
    let committed_at_ms = reader.i64()?;
    let mut expires_at_ms = if version == 1 {
        Some(reader.i64()?).filter(|ms| *ms >= 0)
    } else {
        None
    };
    let mut topic_id = None;
    if version >= 4 {
        for _ in 0..reader.unsigned()? {
            let tag = reader.unsigned()?;
            let size = reader.unsigned()? as usize;
            let field = reader.take(size)?;
            if tag == TOPIC_ID_TAG {
                let id: [u8; 16] = field.try_into().map_err(|_| RecordError::Malformed)?;
                topic_id = Some(id).filter(|id| *id != [0; 16]);
            }
            if tag == EXPIRES_TAG {
                let ms: [u8; 8] = field.try_into().map_err(|_| RecordError::Malformed)?;
                expires_at_ms = Some(i64::from_be_bytes(ms)).filter(|ms| *ms >= 0);
            }
        }
    }
    reader.end()?;
    Ok(CommittedOffset {
        offset,
        leader_epoch,
        metadata,
        committed_at_ms,
        expires_at_ms,
        topic_id,
    })
}

fn group_value(value: &StoredGroup) -> Vec<u8> {
    let mut out = Vec::new();
    out.put_i16(GROUP_VALUE);
    put_string(&mut out, &value.protocol_type);
    out.put_i32(value.generation);
    put_nullable_string(&mut out, value.protocol.as_deref());
    put_nullable_string(&mut out, value.leader.as_deref());
    out.put_i64(value.state_since_ms);
    out.put_i32(value.members.len() as i32);
    for member in &value.members {
        put_string(&mut out, &member.member_id);
        put_nullable_string(&mut out, member.instance_id.as_deref());
        put_string(&mut out, &member.client_id);
        put_string(&mut out, &member.client_host);
        out.put_i32(member.rebalance_timeout_ms);
        out.put_i32(member.session_timeout_ms);
        put_bytes(&mut out, &member.subscription);
        put_bytes(&mut out, &member.assignment);
    }
    out
}

fn read_group_value(bytes: &[u8]) -> Result<StoredGroup, RecordError> {
    let mut reader = Reader(bytes);
    let version = reader.i16()?;
    if !(0..=GROUP_VALUE).contains(&version) {
        return Err(RecordError::UnknownVersion(version));
    }
    let mut group = StoredGroup {
        protocol_type: reader.string()?,
        generation: reader.i32()?,
        protocol: reader.nullable_string()?,
        leader: reader.nullable_string()?,
        state_since_ms: if version >= 2 { reader.i64()? } else { -1 },
        members: Vec::new(),
    };
    for _ in 0..reader.i32()? {
        let member_id = reader.string()?;
        let instance_id = if version >= 3 {
            reader.nullable_string()?
        } else {
            None
        };
        let client_id = reader.string()?;
        let client_host = reader.string()?;
        let rebalance_timeout_ms = if version >= 1 {
            Some(reader.i32()?)
        } else {
            None
        };
        let session_timeout_ms = reader.i32()?;
        group.members.push(StoredMember {
            member_id,
            instance_id,
            client_id,
            client_host,
            rebalance_timeout_ms: rebalance_timeout_ms.unwrap_or(session_timeout_ms),
            session_timeout_ms,
            subscription: reader.bytes()?.to_vec(),
            assignment: reader.bytes()?.to_vec(),
        });
    }
    reader.end()?;
    Ok(group)
}

fn put_string(out: &mut Vec<u8>, text: &str) {
    let length = i16::try_from(text.len()).expect("requests carry strings of at most 32,767 bytes");
    out.put_i16(length);
    out.put_slice(text.as_bytes());
}

fn put_nullable_string(out: &mut Vec<u8>, text: Option<&str>) {
    match text {
        Some(text) => put_string(out, text),
        None => out.put_i16(-1),
    }
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.put_i32(i32::try_from(bytes.len()).expect("a frame is smaller than 2 GiB"));
    out.put_slice(bytes);
}

fn put_unsigned(out: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

/// Reads fields, and never beyond the end.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], RecordError> {
        let (taken, rest) = self
            .0
            .split_at_checked(length)
            .ok_or(RecordError::Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn i16(&mut self) -> Result<i16, RecordError> {
        self.0.try_get_i16().map_err(|_| RecordError::Malformed)
    }

    pub(super) fn i32(&mut self) -> Result<i32, RecordError> {
        self.0.try_get_i32().map_err(|_| RecordError::Malformed)
    }

    fn i64(&mut self) -> Result<i64, RecordError> {
        self.0.try_get_i64().map_err(|_| RecordError::Malformed)
    }

    fn unsigned(&mut self) -> Result<u32, RecordError> {
        let mut value = 0u32;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.0.try_get_u8().map_err(|_| RecordError::Malformed)?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(RecordError::Malformed)
    }

    fn nullable_string(&mut self) -> Result<Option<String>, RecordError> {
        match self.i16()? {
            -1 => Ok(None),
            length => self
                .text(usize::try_from(length).map_err(|_| RecordError::Malformed)?)
                .map(Some),
        }
    }

    pub(super) fn string(&mut self) -> Result<String, RecordError> {
        self.nullable_string()?.ok_or(RecordError::Malformed)
    }

    fn compact_string(&mut self) -> Result<String, RecordError> {
        let length = self
            .unsigned()?
            .checked_sub(1)
            .ok_or(RecordError::Malformed)?;
        self.text(length as usize)
    }

    fn text(&mut self, length: usize) -> Result<String, RecordError> {
        let bytes = self.take(length)?;
        std::str::from_utf8(bytes)
            .map(str::to_string)
            .map_err(|_| RecordError::Malformed)
    }

    fn bytes(&mut self) -> Result<&'a [u8], RecordError> {
        let length = self.i32()?;
        self.take(usize::try_from(length).map_err(|_| RecordError::Malformed)?)
    }

    fn end(&self) -> Result<(), RecordError> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(RecordError::Malformed)
        }
    }
}

#[cfg(test)]
mod tests;
