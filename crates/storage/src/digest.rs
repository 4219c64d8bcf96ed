//! Digests: every so many bytes of a segment, what the chain must be there.
//!
//! A batch carries a checksum of its records, but nothing that says it is the newest that was written at this
//! place, or that it was meant for it. The chain between two digest entries says so.

use crate::checksum::{chain_start, crc64};
use crate::cursor::Cursor;
use bytes::{BufMut, BytesMut};
use std::collections::BTreeMap;
use std::rc::Rc;
use taffrail_record::{Crc32c, Offset, TopicPartition};

pub const DIGEST_HEADER: usize = 48;
pub const DIGEST_ENTRY: usize = 32;
const MAGIC: &[u8; 8] = b"TAFFDGST";
const VERSION: u32 = 1;
const NO_OFFSET: u32 = u32::MAX;

/// What holds just before the batch at `position`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DigestEntry {
    pub position: u32,
    /// Base offset of the batch that starts there.
    pub offset: Offset,
    pub chain: u64,
    /// Largest timestamp so far, and the last offset of the batch that has it; -1 if none.
    pub max_timestamp: i64,
    pub max_timestamp_offset: Offset,
}

impl DigestEntry {
    /// The entry that every segment begins with, and that is not written.
    pub fn first(partition: TopicPartition, base_offset: Offset) -> DigestEntry {
        DigestEntry {
            position: 0,
            offset: base_offset,
            chain: chain_start(partition, base_offset),
            max_timestamp: -1,
            max_timestamp_offset: -1,
        }
    }

    pub fn encode(&self, key: &DigestKey, number: u32, out: &mut BytesMut) {
        let begin = out.len();
        out.put_u32_le(self.position);
        out.put_u32_le((self.offset - key.base_offset) as u32);
        out.put_u64_le(self.chain);
        out.put_i64_le(self.max_timestamp);
        out.put_u32_le(if self.max_timestamp_offset < 0 {
            NO_OFFSET
        } else {
            (self.max_timestamp_offset - key.base_offset) as u32
        });
        let checksum = key.checksum(number, &out[begin..]);
        out.put_u32_le(checksum);
    }

    /// `None` if the bytes are not entry `number` of this segment's digest.
    pub fn decode(key: &DigestKey, number: u32, bytes: &[u8]) -> Option<DigestEntry> {
        let mut cursor = Cursor::new(bytes);
        let position = cursor.u32()?;
        let offset = key.base_offset + i64::from(cursor.u32()?);
        let (chain, max_timestamp) = (cursor.u64()?, cursor.i64()?);
        let max_timestamp_offset = match cursor.u32()? {
            NO_OFFSET => -1,
            relative => key.base_offset + i64::from(relative),
        };
        let sound = cursor.u32()? == key.checksum(number, bytes.get(..DIGEST_ENTRY - 4)?);
        sound.then_some(DigestEntry {
            position,
            offset,
            chain,
            max_timestamp,
            max_timestamp_offset,
        })
    }
}

/// Whose digest it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DigestKey {
    pub partition: TopicPartition,
    pub base_offset: Offset,
}

impl DigestKey {
    fn checksum(&self, number: u32, bytes: &[u8]) -> u32 {
        let mut crc = Crc32c::new();
        crc.update(&self.partition.topic.0);
        crc.update(&self.partition.partition.to_le_bytes());
        crc.update(&self.base_offset.to_le_bytes());
        crc.update(&number.to_le_bytes());
        crc.update(bytes);
        crc.value()
    }

    pub fn header(&self) -> BytesMut {
        let mut header = BytesMut::with_capacity(DIGEST_HEADER);
        header.put_slice(MAGIC);
        header.put_u32_le(VERSION);
        header.put_i32_le(self.partition.partition);
        header.put_slice(&self.partition.topic.0);
        header.put_i64_le(self.base_offset);
        let checksum = crc64(&header);
        header.put_u64_le(checksum);
        header
    }

    /// Reads a digest file; the first entry is put in front. `None` if anything in it is wrong.
    pub fn decode(&self, file: &[u8]) -> Option<Vec<DigestEntry>> {
        let mut entries = vec![DigestEntry::first(self.partition, self.base_offset)];
        let (header, body) = file.split_at_checked(DIGEST_HEADER)?;
        if header != &self.header()[..] || body.len() % DIGEST_ENTRY != 0 {
            return None;
        }
        for (number, bytes) in body.chunks_exact(DIGEST_ENTRY).enumerate() {
            let entry = DigestEntry::decode(self, number as u32, bytes)?;
            let last = entries.last()?;
            if entry.position <= last.position || entry.offset <= last.offset {
                return None;
            }
            entries.push(entry);
        }
        Some(entries)
    }
}

/// A digest, and when it was last used.
type Used = (Rc<Vec<DigestEntry>>, u64);

/// Digests in memory, bounded by their size.
pub struct DigestCache {
    digests: BTreeMap<(u64, Offset), Used>,
    by_use: BTreeMap<u64, (u64, Offset)>,
    clock: u64,
    bytes: usize,
    bytes_max: usize,
}

impl DigestCache {
    pub fn new(bytes_max: usize) -> DigestCache {
        DigestCache {
            digests: BTreeMap::new(),
            by_use: BTreeMap::new(),
            clock: 0,
            bytes: 0,
            bytes_max,
        }
    }

    pub fn get(&mut self, log: u64, base_offset: Offset) -> Option<Rc<Vec<DigestEntry>>> {
        self.clock += 1;
        let (digest, used) = self.digests.get_mut(&(log, base_offset))?;
        self.by_use.remove(used);
        *used = self.clock;
        self.by_use.insert(self.clock, (log, base_offset));
        Some(digest.clone())
    }

    pub fn insert(&mut self, log: u64, base_offset: Offset, digest: Rc<Vec<DigestEntry>>) {
        self.remove(log, base_offset);
        self.clock += 1;
        self.bytes += digest.len() * size_of::<DigestEntry>();
        self.digests
            .insert((log, base_offset), (digest, self.clock));
        self.by_use.insert(self.clock, (log, base_offset));
        while self.bytes > self.bytes_max
            && let Some((_, (log, base_offset))) = self.by_use.pop_first()
        {
            self.forget(log, base_offset);
        }
    }

    /// The segment has grown.
    pub fn extend(&mut self, log: u64, base_offset: Offset, entries: &[DigestEntry]) {
        if let Some((digest, _)) = self.digests.get_mut(&(log, base_offset)) {
            Rc::make_mut(digest).extend_from_slice(entries);
            self.bytes += size_of_val(entries);
        }
    }

    pub fn remove(&mut self, log: u64, base_offset: Offset) {
        if let Some((_, used)) = self.digests.get(&(log, base_offset)) {
            self.by_use.remove(used);
            self.forget(log, base_offset);
        }
    }

    fn forget(&mut self, log: u64, base_offset: Offset) {
        if let Some((digest, _)) = self.digests.remove(&(log, base_offset)) {
            self.bytes -= digest.len() * size_of::<DigestEntry>();
        }
    }
}
