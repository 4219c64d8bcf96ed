//! Makes a batch of records.
//!
//! Records are written where they will stand, behind room for the header, so that a batch that is not
//! compressed is never copied. What must hold: what comes out passes [`crate::validate`], unless a record
//! breaks a rule of its topic.

use crate::batch::{BatchHeader, HEADER_LEN, Header, MAGIC, TRANSACTIONAL_BIT, check_length, seal};
use crate::compression::{Codec, CompressError, compress_into};
use crate::identity::{
    NO_LEADER_EPOCH, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE, NO_TIMESTAMP, ProducerEpoch,
    ProducerId, Sequence,
};
use crate::varint;
use bytes::{BufMut, BytesMut};
use std::fmt;

/// What a batch says of its producer. The default is a producer without idempotence.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProducerFields {
    pub producer_id: ProducerId,
    pub producer_epoch: ProducerEpoch,
    pub base_sequence: Sequence,
    pub transactional: bool,
}

impl Default for ProducerFields {
    fn default() -> ProducerFields {
        ProducerFields {
            producer_id: NO_PRODUCER_ID,
            producer_epoch: NO_PRODUCER_EPOCH,
            base_sequence: NO_SEQUENCE,
            transactional: false,
        }
    }
}

/// Why a batch was not made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BuildError {
    /// A record or the batch would exceed 2^31-1 bytes.
    TooLarge,
    /// A record's timestamp is further from the base timestamp than 64 bits can say.
    TimestampOutOfRange,
    /// A batch needs a record.
    Empty,
    Compress(CompressError),
}

/// A batch in the making. Its first offset is 0, as producers send it; its timestamps are the producer's.
#[derive(Debug)]
pub struct BatchBuilder {
    codec: Codec,
    level: Option<i32>,
    base_timestamp: i64,
    max_timestamp: i64,
    record_count: i32,
    bytes: BytesMut,
}

impl BatchBuilder {
    /// `base_timestamp` is what the records' timestamps are written relative to, commonly the first
    /// record's.
    pub fn new(codec: Codec, base_timestamp: i64) -> BatchBuilder {
        let mut bytes = BytesMut::new();
        bytes.put_bytes(0, HEADER_LEN);
        BatchBuilder {
            codec,
            level: None,
            base_timestamp,
            max_timestamp: NO_TIMESTAMP,
            record_count: 0,
            bytes,
        }
    }

    /// One of [`Codec::levels`] rather than the codec's usual level.
    pub fn with_level(mut self, level: Option<i32>) -> BatchBuilder {
        self.level = level;
        self
    }

    /// Adds a record and says its offset in the batch. On an error the batch is as before.
    pub fn append(
        &mut self,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header<'_>],
    ) -> Result<i32, BuildError> {
        let offset_delta = self.record_count;
        let timestamp_delta = timestamp
            .checked_sub(self.base_timestamp)
            .ok_or(BuildError::TimestampOutOfRange)?;
        let length = body_len(timestamp_delta, offset_delta, key, value, headers);
        let length = i32::try_from(length).map_err(|_| BuildError::TooLarge)?;
        let size = self.bytes.len() + varint::len_i32(length) + length as usize;
        check_length(size).ok_or(BuildError::TooLarge)?;
        let record_count = offset_delta.checked_add(1).ok_or(BuildError::TooLarge)?;

        varint::write_i32(&mut self.bytes, length);
        self.bytes.put_u8(0);
        varint::write_i64(&mut self.bytes, timestamp_delta);
        varint::write_i32(&mut self.bytes, offset_delta);
        self.put_nullable(key);
        self.put_nullable(value);
        varint::write_i32(&mut self.bytes, headers.len() as i32);
        for header in headers {
            self.put_nullable(Some(header.key));
            self.put_nullable(header.value);
        }
        debug_assert_eq!(
            self.bytes.len(),
            size,
            "the length foretold is the length written"
        );
        self.record_count = record_count;
        self.max_timestamp = self.max_timestamp.max(timestamp);
        Ok(offset_delta)
    }

    /// Bytes of the batch so far, before compression.
    pub fn size_estimate(&self) -> usize {
        self.bytes.len()
    }

    /// What [`BatchBuilder::size_estimate`] would be with this record added.
    pub fn size_estimate_with(
        &self,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header<'_>],
    ) -> usize {
        let timestamp_delta = timestamp.wrapping_sub(self.base_timestamp);
        let length = body_len(timestamp_delta, self.record_count, key, value, headers);
        let prefix = i32::try_from(length).map_or(5, varint::len_i32);
        self.bytes.len() + prefix + length
    }

    pub fn record_count(&self) -> i32 {
        self.record_count
    }

    pub fn is_empty(&self) -> bool {
        self.record_count == 0
    }

    /// The batch, with the records compressed and the header written.
    pub fn finish(mut self, producer: ProducerFields) -> Result<BytesMut, BuildError> {
        if self.record_count == 0 {
            return Err(BuildError::Empty);
        }
        if self.codec != Codec::None {
            let mut compressed = BytesMut::with_capacity(self.bytes.len() / 2 + HEADER_LEN);
            compressed.put_bytes(0, HEADER_LEN);
            compress_into(
                self.codec,
                self.level,
                &self.bytes[HEADER_LEN..],
                &mut compressed,
            )
            .map_err(BuildError::Compress)?;
            self.bytes = compressed;
        }
        let batch_length = check_length(self.bytes.len()).ok_or(BuildError::TooLarge)?;
        let transactional = if producer.transactional {
            TRANSACTIONAL_BIT
        } else {
            0
        };
        let header = BatchHeader {
            base_offset: 0,
            batch_length,
            partition_leader_epoch: NO_LEADER_EPOCH,
            magic: MAGIC,
            crc: 0,
            attributes: i16::from(self.codec.id()) | transactional,
            last_offset_delta: self.record_count - 1,
            base_timestamp: self.base_timestamp,
            max_timestamp: self.max_timestamp,
            producer_id: producer.producer_id,
            producer_epoch: producer.producer_epoch,
            base_sequence: producer.base_sequence,
            record_count: self.record_count,
        };
        seal(&header, &mut self.bytes);
        Ok(self.bytes)
    }

    fn put_nullable(&mut self, bytes: Option<&[u8]>) {
        match bytes {
            // The record's length was checked to fit, so its parts' do.
            Some(bytes) => {
                varint::write_i32(&mut self.bytes, bytes.len() as i32);
                self.bytes.put_slice(bytes);
            }
            None => varint::write_i32(&mut self.bytes, -1),
        }
    }
}

/// Bytes of a record behind its length.
fn body_len(
    timestamp_delta: i64,
    offset_delta: i32,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: &[Header<'_>],
) -> usize {
    let attributes = 1;
    let headers_len: usize = headers
        .iter()
        .map(|header| nullable_len(Some(header.key)) + nullable_len(header.value))
        .sum();
    attributes
        + varint::len_i64(timestamp_delta)
        + varint::len_i32(offset_delta)
        + nullable_len(key)
        + nullable_len(value)
        + varint::len_i64(headers.len() as i64)
        + headers_len
}

fn nullable_len(bytes: Option<&[u8]>) -> usize {
    match bytes {
        Some(bytes) => varint::len_i64(bytes.len() as i64) + bytes.len(),
        None => varint::len_i32(-1),
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BuildError::TooLarge => f.write_str("the batch would exceed 2^31-1 bytes"),
            BuildError::TimestampOutOfRange => {
                f.write_str("the record's timestamp is too far from the batch's")
            }
            BuildError::Empty => f.write_str("a batch needs a record"),
            BuildError::Compress(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for BuildError {}

#[cfg(test)]
mod tests;
