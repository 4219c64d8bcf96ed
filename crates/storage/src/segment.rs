//! Segments: what is known of each, and when the next one begins.

use crate::LogConfig;
use crate::checksum::{chain_next, chain_start};
use crate::cursor::Cursor;
use bytes::{BufMut, Bytes, BytesMut};
use taffrail_record::batch::{BatchHeader, HEADER_LEN};
use taffrail_record::{LeaderEpoch, Offset, TopicPartition};

/// Bytes of an encoded descriptor.
pub const DESCRIPTOR_LEN: usize = 80;
const SEALED: u32 = 1;

/// How far the side files (indexes, digest) are synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct SideMark {
    pub position: u32,
    pub index_len: u32,
    pub time_index_len: u32,
    pub digest_len: u32,
}

/// A segment as of its mark: everything in it up to `length` is synced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    pub base_offset: Offset,
    pub end_offset: Offset,
    pub length: u64,
    pub chain: u64,
    pub max_timestamp: i64,
    /// Last offset of the first batch that has `max_timestamp`.
    pub max_timestamp_offset: Offset,
    pub first_timestamp: i64,
    pub epoch: LeaderEpoch,
    pub sealed: bool,
    pub side: SideMark,
}

impl Segment {
    pub fn new(partition: TopicPartition, base_offset: Offset) -> Segment {
        Segment {
            base_offset,
            end_offset: base_offset,
            length: 0,
            chain: chain_start(partition, base_offset),
            max_timestamp: -1,
            max_timestamp_offset: -1,
            first_timestamp: -1,
            epoch: 0,
            sealed: false,
            side: SideMark::default(),
        }
    }

    /// Extends the descriptor by a batch that was written at its end.
    pub fn extend(&mut self, header: &BatchHeader, header_bytes: &[u8; HEADER_LEN]) {
        if self.length == 0 {
            self.first_timestamp = header.max_timestamp;
        }
        self.end_offset = header.next_offset();
        self.length += header.size() as u64;
        self.chain = chain_next(self.chain, header_bytes);
        self.epoch = header.partition_leader_epoch;
        if header.max_timestamp > self.max_timestamp {
            self.max_timestamp = header.max_timestamp;
            self.max_timestamp_offset = header.last_offset();
        }
    }

    pub fn encode(&self, out: &mut BytesMut) {
        out.put_i64_le(self.base_offset);
        out.put_i64_le(self.end_offset);
        out.put_u64_le(self.length);
        out.put_u64_le(self.chain);
        out.put_i64_le(self.max_timestamp);
        out.put_i64_le(self.max_timestamp_offset);
        out.put_i64_le(self.first_timestamp);
        out.put_i32_le(self.epoch);
        out.put_u32_le(if self.sealed { SEALED } else { 0 });
        out.put_u32_le(self.side.position);
        out.put_u32_le(self.side.index_len);
        out.put_u32_le(self.side.time_index_len);
        out.put_u32_le(self.side.digest_len);
    }

    pub fn to_bytes(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(DESCRIPTOR_LEN);
        self.encode(&mut out);
        out.freeze()
    }

    pub fn decode(cursor: &mut Cursor<'_>) -> Option<Segment> {
        let mut segment = Segment {
            base_offset: cursor.i64()?,
            end_offset: cursor.i64()?,
            length: cursor.u64()?,
            chain: cursor.u64()?,
            max_timestamp: cursor.i64()?,
            max_timestamp_offset: cursor.i64()?,
            first_timestamp: cursor.i64()?,
            epoch: cursor.i32()?,
            sealed: false,
            side: SideMark::default(),
        };
        segment.sealed = cursor.u32()? & SEALED != 0;
        segment.side = SideMark {
            position: cursor.u32()?,
            index_len: cursor.u32()?,
            time_index_len: cursor.u32()?,
            digest_len: cursor.u32()?,
        };
        Some(segment)
    }
}

/// The segment that admitted batches are meant for, counted ahead of what is written: decided once, at admission, and
/// journaled with each append, so that a replay fills the same files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub base_offset: Offset,
    pub length: u64,
    pub first_timestamp: i64,
    /// Wall time at which its first batch was admitted.
    pub begun_ms: i64,
    /// Up to where the file's space is reserved.
    pub reserved: u64,
    /// What this segment's jitter is taken from: equal at each start, and unlike that of the next segment or partition.
    draw: u64,
    index_entries: u32,
    bytes_since_index: u64,
}

impl Plan {
    pub fn new(partition: TopicPartition, base_offset: Offset, now_ms: i64) -> Plan {
        Plan {
            draw: chain_start(partition, base_offset),
            base_offset,
            length: 0,
            first_timestamp: -1,
            begun_ms: now_ms,
            reserved: 0,
            index_entries: 0,
            bytes_since_index: 0,
        }
    }

    /// Goes on with a segment that is there.
    pub fn resume(partition: TopicPartition, segment: &Segment, now_ms: i64) -> Plan {
        Plan {
            length: segment.length,
            // What was reserved behind it may be gone.
            reserved: segment.length,
            first_timestamp: segment.first_timestamp,
            index_entries: segment.side.index_len / 8,
            ..Plan::new(partition, segment.base_offset, now_ms)
        }
    }

    /// Whether the batch belongs into a new segment (Kafka's LogSegment.shouldRoll).
    pub fn must_roll(
        &self,
        config: &LogConfig,
        size: usize,
        max_timestamp: i64,
        last_offset: Offset,
        now_ms: i64,
    ) -> bool {
        let full = self.length + size as u64 > u64::from(config.segment_bytes);
        let span = last_offset - self.base_offset > i64::from(i32::MAX);
        let index_full = self.index_entries
            >= (config.segment_index_bytes / 8).min(config.segment_index_bytes / 12);
        let age = if max_timestamp >= 0 && self.first_timestamp >= 0 {
            max_timestamp.saturating_sub(self.first_timestamp)
        } else {
            now_ms.saturating_sub(self.begun_ms)
        };
        let old = age > config.segment_ms.saturating_sub(self.jitter_ms(config));
        self.length > 0 && (full || span || index_full || old)
    }

    /// How much earlier than `segment.ms` this segment ends: less than `segment.jitter.ms`, and than `segment.ms` (Kafka's
    /// LogConfig.randomSegmentJitter).
    fn jitter_ms(&self, config: &LogConfig) -> i64 {
        let bound = config.segment_jitter_ms.min(config.segment_ms);
        if bound <= 0 {
            return 0;
        }
        (self.draw % bound as u64) as i64
    }

    /// Counts a batch in.
    pub fn admit(&mut self, config: &LogConfig, size: usize, max_timestamp: i64) {
        if self.length == 0 {
            self.first_timestamp = max_timestamp;
        }
        if self.bytes_since_index > u64::from(config.index_interval_bytes) {
            self.index_entries += 1;
            self.bytes_since_index = 0;
        }
        self.length += size as u64;
        self.bytes_since_index += size as u64;
    }
}

#[cfg(test)]
mod tests;
