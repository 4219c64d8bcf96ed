//! The files beside the last segment, as it grows: Kafka's two indexes and the digest.
//!
//! They are written with the segment and synced seldom, so after a crash they are as the last [`SideMark`] says, and what lies behind is made
//! again by reading the segment from there.

use crate::checksum::chain_next;
use crate::digest::{DIGEST_ENTRY, DIGEST_HEADER, DigestEntry, DigestKey};
use crate::layout::FileKind;
use crate::segment::{Segment, SideMark};
use bytes::{BufMut, Bytes, BytesMut};
use taffrail_record::batch::{BatchHeader, HEADER_LEN};
use taffrail_record::{Offset, TopicPartition};

const INDEX_ENTRY: u32 = 8;
const TIME_INDEX_ENTRY: u32 = 12;

/// A piece of a side file to be written.
pub struct SideWrite {
    pub kind: FileKind,
    pub offset: u64,
    pub bytes: Bytes,
}

/// A file that only grows at its end: what is still to be written.
#[derive(Clone, Default)]
struct Growing {
    len: u32,
    unwritten: BytesMut,
}

impl Growing {
    fn take(&mut self, kind: FileKind) -> Option<SideWrite> {
        if self.unwritten.is_empty() {
            return None;
        }
        let bytes = std::mem::take(&mut self.unwritten).freeze();
        let offset = u64::from(self.len) - bytes.len() as u64;
        Some(SideWrite {
            kind,
            offset,
            bytes,
        })
    }

    fn added(&mut self, len: u32) {
        self.len += len;
    }
}

/// Follows the batches of one segment and says what goes into its side files.
#[derive(Clone)]
pub struct SideWriter {
    key: DigestKey,
    /// What the next batch follows.
    at: DigestEntry,
    index: Growing,
    time_index: Growing,
    digest: Growing,
    bytes_since_index: u64,
    last_digest_position: u32,
    last_time_entry: i64,
    new_entries: Vec<DigestEntry>,
    /// Up to where the files are synced.
    pub synced: SideMark,
}

impl SideWriter {
    /// What stands beside a segment and is written by this.
    pub const KINDS: [FileKind; 3] = [FileKind::OffsetIndex, FileKind::TimeIndex, FileKind::Digest];

    /// At a segment's start.
    pub fn new(partition: TopicPartition, base_offset: Offset) -> SideWriter {
        SideWriter::resume(
            DigestKey {
                partition,
                base_offset,
            },
            DigestEntry::first(partition, base_offset),
            SideMark::default(),
            -1,
        )
    }

    /// From a place where the files are known: `at` says what holds there, `mark` how long they are.
    pub fn resume(
        key: DigestKey,
        at: DigestEntry,
        mark: SideMark,
        last_time_entry: i64,
    ) -> SideWriter {
        let growing = |len| Growing {
            len,
            unwritten: BytesMut::new(),
        };
        SideWriter {
            key,
            at,
            index: growing(mark.index_len),
            time_index: growing(mark.time_index_len),
            digest: growing(mark.digest_len),
            bytes_since_index: 0,
            last_digest_position: at.position,
            last_time_entry,
            new_entries: Vec::new(),
            synced: mark,
        }
    }

    pub fn base_offset(&self) -> Offset {
        self.key.base_offset
    }

    /// What the next batch follows.
    pub fn at(&self) -> &DigestEntry {
        &self.at
    }

    /// Takes note of the next batch (Kafka's LogSegment.append).
    pub fn batch(
        &mut self,
        header: &BatchHeader,
        header_bytes: &[u8; HEADER_LEN],
        index_interval: u32,
        digest_interval: u32,
    ) {
        if self.at.position - self.last_digest_position >= digest_interval {
            self.add_digest_entry();
        }
        if header.max_timestamp > self.at.max_timestamp {
            self.at.max_timestamp = header.max_timestamp;
            self.at.max_timestamp_offset = header.last_offset();
        }
        if self.bytes_since_index > u64::from(index_interval) {
            let relative = (header.last_offset() - self.key.base_offset) as i32;
            self.index.unwritten.put_i32(relative);
            self.index.unwritten.put_i32(self.at.position as i32);
            self.index.added(INDEX_ENTRY);
            self.add_time_entry();
            self.bytes_since_index = 0;
        }
        self.bytes_since_index += header.size() as u64;
        self.at.position += header.size() as u32;
        self.at.offset = header.next_offset();
        self.at.chain = chain_next(self.at.chain, header_bytes);
    }

    fn add_time_entry(&mut self) {
        if self.at.max_timestamp > self.last_time_entry {
            let relative = (self.at.max_timestamp_offset - self.key.base_offset) as i32;
            self.time_index.unwritten.put_i64(self.at.max_timestamp);
            self.time_index.unwritten.put_i32(relative);
            self.time_index.added(TIME_INDEX_ENTRY);
            self.last_time_entry = self.at.max_timestamp;
        }
    }

    fn add_digest_entry(&mut self) {
        if self.digest.len == 0 {
            self.digest.unwritten.put_slice(&self.key.header());
            self.digest.added(DIGEST_HEADER as u32);
        }
        let number = (self.digest.len - DIGEST_HEADER as u32) / DIGEST_ENTRY as u32;
        self.at
            .encode(&self.key, number, &mut self.digest.unwritten);
        self.digest.added(DIGEST_ENTRY as u32);
        self.last_digest_position = self.at.position;
        self.new_entries.push(self.at);
    }

    /// Brings the files to a place that a [`SideMark`] can name: the digest gets an entry for it.
    pub fn settle(&mut self) {
        if self.at.position > self.last_digest_position {
            self.add_digest_entry();
        }
    }

    /// The segment takes no more batches: the largest timestamp gets its entry.
    pub fn seal(&mut self) {
        self.add_time_entry();
        self.settle();
    }

    pub fn mark(&self) -> SideMark {
        SideMark {
            position: self.at.position,
            index_len: self.index.len,
            time_index_len: self.time_index.len,
            digest_len: self.digest.len,
        }
    }

    /// What is to be written now.
    pub fn take_writes(&mut self) -> Vec<SideWrite> {
        [
            self.index.take(FileKind::OffsetIndex),
            self.time_index.take(FileKind::TimeIndex),
            self.digest.take(FileKind::Digest),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// Digest entries since the last time.
    pub fn take_entries(&mut self) -> Vec<DigestEntry> {
        std::mem::take(&mut self.new_entries)
    }

    /// Goes on behind a part that does not verify: the mark says what holds at its end.
    pub fn skip_to(&mut self, segment: &Segment) {
        self.at = DigestEntry {
            position: segment.length as u32,
            offset: segment.end_offset,
            chain: segment.chain,
            max_timestamp: segment.max_timestamp,
            max_timestamp_offset: segment.max_timestamp_offset,
        };
        self.add_digest_entry();
    }
}

#[cfg(test)]
mod tests;
