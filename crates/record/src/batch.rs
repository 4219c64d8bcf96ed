//! A record batch in place: its header, its checksum, and batches one behind the other.
//!
//! The header's layout is Kafka's, magic 2, all numbers big-endian:
//!
//! | at | bytes | field | | at | bytes | field |
//! |---|---|---|---|---|---|---|
//! | 0 | 8 | base offset | | 27 | 8 | base timestamp |
//! | 8 | 4 | bytes that follow this field | | 35 | 8 | max timestamp |
//! | 12 | 4 | partition leader epoch | | 43 | 8 | producer id |
//! | 16 | 1 | magic | | 51 | 2 | producer epoch |
//! | 17 | 4 | CRC-32C of all bytes from 21 on | | 53 | 4 | base sequence |
//! | 21 | 2 | attributes | | 57 | 4 | record count |
//! | 23 | 4 | last offset delta | | 61 | | records |
//!
//! The base offset and the leader epoch lie before the checksum's reach, so that whoever appends a batch
//! writes them in place. What must hold: nothing reaches beyond the slice it was given.

mod error;

use crate::compression::Codec;
use crate::crc::crc32c;
use crate::identity::{LeaderEpoch, NO_PRODUCER_ID, Offset, ProducerEpoch, ProducerId, Sequence};

pub use crate::record::{
    Header, Headers, RecordFault, RecordView, Records, for_each_record, records,
};
pub use error::BatchError;

/// Bytes of a batch before its records.
pub const HEADER_LEN: usize = 61;
/// Bytes of a batch that its length field does not count: base offset and the length itself.
pub const LOG_OVERHEAD: usize = 12;
/// The only format there is. 0 and 1 are message sets of before 2017.
pub const MAGIC: u8 = 2;

pub(crate) const LENGTH_AT: usize = 8;
const LEADER_EPOCH_AT: usize = 12;
pub(crate) const MAGIC_AT: usize = 16;
pub(crate) const CRC_AT: usize = 17;
/// The checksum covers the batch from here to its end.
pub(crate) const ATTRIBUTES_AT: usize = 21;
const LAST_OFFSET_DELTA_AT: usize = 23;
const BASE_TIMESTAMP_AT: usize = 27;
pub(crate) const MAX_TIMESTAMP_AT: usize = 35;
const PRODUCER_ID_AT: usize = 43;
const PRODUCER_EPOCH_AT: usize = 51;
const BASE_SEQUENCE_AT: usize = 53;
const RECORD_COUNT_AT: usize = 57;

pub(crate) const CODEC_MASK: i16 = 7;
pub(crate) const TIMESTAMP_TYPE_BIT: i16 = 1 << 3;
pub(crate) const TRANSACTIONAL_BIT: i16 = 1 << 4;
pub(crate) const CONTROL_BIT: i16 = 1 << 5;
pub(crate) const DELETE_HORIZON_BIT: i16 = 1 << 6;

/// Who stamped the records of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum TimestampType {
    /// The producer, each record its own.
    #[default]
    CreateTime,
    /// The broker, all records with the batch's max timestamp.
    LogAppendTime,
}

/// The header of a batch, as it stands there. [`BatchHeader::parse`] gives only sound ones.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BatchHeader {
    pub base_offset: Offset,
    /// Bytes behind the length field; the batch is [`LOG_OVERHEAD`] longer.
    pub batch_length: i32,
    pub partition_leader_epoch: LeaderEpoch,
    pub magic: u8,
    pub crc: u32,
    pub attributes: i16,
    /// Last offset less base offset. In a cleaned batch there may be fewer records than offsets.
    pub last_offset_delta: i32,
    /// What the records' timestamp deltas are relative to, or the delete horizon ([`BatchHeader::has_delete_horizon`]).
    pub base_timestamp: i64,
    pub max_timestamp: i64,
    pub producer_id: ProducerId,
    pub producer_epoch: ProducerEpoch,
    pub base_sequence: Sequence,
    pub record_count: i32,
}

impl BatchHeader {
    /// Reads the header at the start of `bytes` and checks that its numbers agree with each other. The
    /// records need not be there, and the checksum is not looked at.
    pub fn parse(bytes: &[u8]) -> Result<BatchHeader, BatchError> {
        check_magic(bytes)?;
        let Some(header) = bytes.first_chunk() else {
            return Err(BatchError::Truncated {
                needed: HEADER_LEN,
                available: bytes.len(),
            });
        };
        let header = BatchHeader::read(header);
        header.check()?;
        Ok(header)
    }

    /// Reads the fields and believes them.
    pub(crate) fn read(bytes: &[u8; HEADER_LEN]) -> BatchHeader {
        BatchHeader {
            base_offset: i64::from_be_bytes(field(bytes, 0)),
            batch_length: i32::from_be_bytes(field(bytes, LENGTH_AT)),
            partition_leader_epoch: i32::from_be_bytes(field(bytes, LEADER_EPOCH_AT)),
            magic: bytes[MAGIC_AT],
            crc: u32::from_be_bytes(field(bytes, CRC_AT)),
            attributes: i16::from_be_bytes(field(bytes, ATTRIBUTES_AT)),
            last_offset_delta: i32::from_be_bytes(field(bytes, LAST_OFFSET_DELTA_AT)),
            base_timestamp: i64::from_be_bytes(field(bytes, BASE_TIMESTAMP_AT)),
            max_timestamp: i64::from_be_bytes(field(bytes, MAX_TIMESTAMP_AT)),
            producer_id: i64::from_be_bytes(field(bytes, PRODUCER_ID_AT)),
            producer_epoch: i16::from_be_bytes(field(bytes, PRODUCER_EPOCH_AT)),
            base_sequence: i32::from_be_bytes(field(bytes, BASE_SEQUENCE_AT)),
            record_count: i32::from_be_bytes(field(bytes, RECORD_COUNT_AT)),
        }
    }

    pub(crate) fn check_length(&self) -> Result<(), BatchError> {
        if self.batch_length < (HEADER_LEN - LOG_OVERHEAD) as i32 {
            return Err(BatchError::LengthTooSmall {
                batch_length: self.batch_length,
            });
        }
        Ok(())
    }

    pub(crate) fn check(&self) -> Result<(), BatchError> {
        self.check_length()?;
        let last_offset = self
            .base_offset
            .checked_add(i64::from(self.last_offset_delta));
        if self.base_offset < 0 || self.last_offset_delta < 0 || last_offset.is_none() {
            return Err(BatchError::OffsetsOutOfRange {
                base_offset: self.base_offset,
                last_offset_delta: self.last_offset_delta,
            });
        }
        if self.record_count < 0
            || i64::from(self.record_count) > i64::from(self.last_offset_delta) + 1
        {
            return Err(BatchError::CountOutOfRange {
                record_count: self.record_count,
                last_offset_delta: self.last_offset_delta,
            });
        }
        Ok(())
    }

    /// The header's bytes.
    pub fn to_bytes(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        put(&mut bytes, 0, self.base_offset.to_be_bytes());
        put(&mut bytes, LENGTH_AT, self.batch_length.to_be_bytes());
        put(
            &mut bytes,
            LEADER_EPOCH_AT,
            self.partition_leader_epoch.to_be_bytes(),
        );
        put(&mut bytes, MAGIC_AT, [self.magic]);
        put(&mut bytes, CRC_AT, self.crc.to_be_bytes());
        put(&mut bytes, ATTRIBUTES_AT, self.attributes.to_be_bytes());
        put(
            &mut bytes,
            LAST_OFFSET_DELTA_AT,
            self.last_offset_delta.to_be_bytes(),
        );
        put(
            &mut bytes,
            BASE_TIMESTAMP_AT,
            self.base_timestamp.to_be_bytes(),
        );
        put(
            &mut bytes,
            MAX_TIMESTAMP_AT,
            self.max_timestamp.to_be_bytes(),
        );
        put(&mut bytes, PRODUCER_ID_AT, self.producer_id.to_be_bytes());
        put(
            &mut bytes,
            PRODUCER_EPOCH_AT,
            self.producer_epoch.to_be_bytes(),
        );
        put(
            &mut bytes,
            BASE_SEQUENCE_AT,
            self.base_sequence.to_be_bytes(),
        );
        put(&mut bytes, RECORD_COUNT_AT, self.record_count.to_be_bytes());
        bytes
    }

    /// Bytes of the whole batch.
    pub fn size(&self) -> usize {
        LOG_OVERHEAD + self.batch_length as usize
    }

    /// Offset of the last record, or where it was before a cleaning.
    pub fn last_offset(&self) -> Offset {
        self.base_offset + i64::from(self.last_offset_delta)
    }

    /// Offset behind the batch.
    pub fn next_offset(&self) -> Offset {
        self.last_offset().saturating_add(1)
    }

    /// Sequence of the last record; behind 2^31-1 comes 0. [`crate::NO_SEQUENCE`] if there is no base.
    pub fn last_sequence(&self) -> Sequence {
        if self.base_sequence < 0 {
            return self.base_sequence;
        }
        self.base_sequence.wrapping_add(self.last_offset_delta) & i32::MAX
    }

    /// What the records are compressed with.
    pub fn codec(&self) -> Result<Codec, BatchError> {
        let id = (self.attributes & CODEC_MASK) as u8;
        Codec::from_id(id).ok_or(BatchError::UnknownCodec { id })
    }

    #[inline]
    pub fn timestamp_type(&self) -> TimestampType {
        if self.attributes & TIMESTAMP_TYPE_BIT == 0 {
            TimestampType::CreateTime
        } else {
            TimestampType::LogAppendTime
        }
    }

    /// The batch belongs to a transaction, as data or as its end.
    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL_BIT != 0
    }

    /// The batch holds a marker of the protocol, nothing that a user wrote.
    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL_BIT != 0
    }

    /// The cleaner saw the batch's tombstones: the base timestamp says when they may go.
    pub fn has_delete_horizon(&self) -> bool {
        self.attributes & DELETE_HORIZON_BIT != 0
    }

    pub fn has_producer_id(&self) -> bool {
        self.producer_id > NO_PRODUCER_ID
    }

    /// A record's timestamp: its own, or the broker's for all. A sum beyond 64 bits, which no admitted
    /// batch has, wraps as it does in other readers.
    #[inline]
    pub fn record_timestamp(&self, record: &RecordView<'_>) -> i64 {
        match self.timestamp_type() {
            TimestampType::CreateTime => self.base_timestamp.wrapping_add(record.timestamp_delta),
            TimestampType::LogAppendTime => self.max_timestamp,
        }
    }

    /// A record's offset.
    #[inline]
    pub fn record_offset(&self, record: &RecordView<'_>) -> Offset {
        self.base_offset + i64::from(record.offset_delta)
    }
}

/// The header of a batch as bytes, for checksums over headers.
///
/// # Panics
/// If `batch` is shorter than a header.
pub fn header_bytes(batch: &[u8]) -> &[u8; HEADER_LEN] {
    batch
        .first_chunk()
        .expect("a batch is at least as long as its header")
}

/// Checks that the checksum in the batch at the start of `batch` is that of its bytes.
pub fn verify_crc(batch: &[u8]) -> Result<(), BatchError> {
    let (header, batch) = split_batch(batch)?;
    check_crc(&header, batch)
}

/// `batch` is whole, and `header` was read from it.
pub(crate) fn check_crc(header: &BatchHeader, batch: &[u8]) -> Result<(), BatchError> {
    let computed = crc32c(&batch[ATTRIBUTES_AT..]);
    if computed != header.crc {
        return Err(BatchError::CrcMismatch {
            stored: header.crc,
            computed,
        });
    }
    Ok(())
}

/// Writes the base offset in place. The checksum does not cover it.
///
/// # Panics
/// If `batch` is shorter than a header.
pub fn set_base_offset(batch: &mut [u8], base_offset: Offset) {
    put(header_bytes_mut(batch), 0, base_offset.to_be_bytes());
}

/// Writes the leader epoch in place. The checksum does not cover it.
///
/// # Panics
/// If `batch` is shorter than a header.
pub fn set_leader_epoch(batch: &mut [u8], leader_epoch: LeaderEpoch) {
    put(
        header_bytes_mut(batch),
        LEADER_EPOCH_AT,
        leader_epoch.to_be_bytes(),
    );
}

pub(crate) fn header_bytes_mut(batch: &mut [u8]) -> &mut [u8; HEADER_LEN] {
    batch
        .first_chunk_mut()
        .expect("a batch is at least as long as its header")
}

/// The length field of a batch of `size` bytes, if it can hold it.
pub(crate) fn check_length(size: usize) -> Option<i32> {
    i32::try_from(size.checked_sub(LOG_OVERHEAD)?).ok()
}

/// Writes `header` over the start of `batch`, with the checksum that the bytes then have. `batch` is whole.
pub(crate) fn seal(header: &BatchHeader, batch: &mut [u8]) {
    debug_assert_eq!(header.size(), batch.len());
    *header_bytes_mut(batch) = header.to_bytes();
    let crc = crc32c(&batch[ATTRIBUTES_AT..]);
    put(header_bytes_mut(batch), CRC_AT, crc.to_be_bytes());
}

/// The header of the batch at the start of `bytes`, and exactly that batch's bytes.
pub fn split_batch(bytes: &[u8]) -> Result<(BatchHeader, &[u8]), BatchError> {
    let header = BatchHeader::parse(bytes)?;
    match bytes.get(..header.size()) {
        Some(batch) => Ok((header, batch)),
        None => Err(BatchError::Truncated {
            needed: header.size(),
            available: bytes.len(),
        }),
    }
}

/// Batches that stand one behind the other, as in a segment or a fetch response. Ends after the first
/// error; a last batch that is cut short, as fetch responses may have one, is [`BatchError::Truncated`].
#[derive(Clone, Debug)]
pub struct Batches<'a> {
    bytes: &'a [u8],
    position: usize,
    failed: bool,
}

impl<'a> Batches<'a> {
    pub fn new(bytes: &'a [u8]) -> Batches<'a> {
        Batches {
            bytes,
            position: 0,
            failed: false,
        }
    }

    /// Where the next batch starts, or the one that failed.
    pub fn position(&self) -> usize {
        self.position
    }
}

impl<'a> Iterator for Batches<'a> {
    type Item = Result<(BatchHeader, &'a [u8]), BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = &self.bytes[self.position..];
        if rest.is_empty() || self.failed {
            return None;
        }
        let batch = split_batch(rest);
        match &batch {
            Ok((header, _)) => self.position += header.size(),
            Err(_) => self.failed = true,
        }
        Some(batch)
    }
}

/// The magic stands at the same place in every format, so it is judged before anything else is believed.
pub(crate) fn check_magic(bytes: &[u8]) -> Result<(), BatchError> {
    match bytes.get(MAGIC_AT) {
        Some(&MAGIC) => Ok(()),
        Some(&magic @ (0 | 1)) => Err(BatchError::LegacyMagic { magic }),
        Some(&magic) => Err(BatchError::UnknownMagic { magic }),
        None => Err(BatchError::Truncated {
            needed: HEADER_LEN,
            available: bytes.len(),
        }),
    }
}

#[inline(always)]
fn field<const LEN: usize>(bytes: &[u8; HEADER_LEN], at: usize) -> [u8; LEN] {
    let mut value = [0; LEN];
    value.copy_from_slice(&bytes[at..at + LEN]);
    value
}

#[inline(always)]
pub(crate) fn put<const LEN: usize>(bytes: &mut [u8; HEADER_LEN], at: usize, value: [u8; LEN]) {
    bytes[at..at + LEN].copy_from_slice(&value);
}

#[cfg(test)]
mod tests;
