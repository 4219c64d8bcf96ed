//! A log's end in memory: batches on their way to the journal, durable ones that are not in a segment
//! yet, and some that are, kept for readers. All were verified on the way in.

use crate::journal::Place;
use bytes::Bytes;
use std::collections::VecDeque;
use taffrail_record::Offset;
use taffrail_record::batch::BatchHeader;

/// One batch.
pub struct TailBatch {
    pub base_offset: Offset,
    pub next_offset: Offset,
    pub bytes: Bytes,
    /// Base offset of the segment it is meant for.
    pub segment: Offset,
    /// Where the journal holds it; `None` until it is durable.
    pub place: Option<Place>,
    pub max_timestamp: i64,
    pub epoch: i32,
    pub time_ms: i64,
    /// Bytes of this log that came before, counted since the start.
    before: u64,
}

/// The batches in order, without gap: `clean` ones that are in segments, then those that are not.
#[derive(Default)]
pub struct Tail {
    batches: VecDeque<TailBatch>,
    clean: usize,
    clean_bytes: usize,
    /// Durable, not in a segment.
    dirty_bytes: usize,
    total: u64,
}

impl Tail {
    pub fn push(
        &mut self,
        header: &BatchHeader,
        bytes: Bytes,
        segment: Offset,
        time_ms: i64,
        place: Option<Place>,
    ) {
        let len = bytes.len();
        if place.is_some() {
            self.dirty_bytes += len;
        }
        self.batches.push_back(TailBatch {
            base_offset: header.base_offset,
            next_offset: header.next_offset(),
            bytes,
            segment,
            place,
            max_timestamp: header.max_timestamp,
            epoch: header.partition_leader_epoch,
            time_ms,
            before: self.total,
        });
        self.total += len as u64;
    }

    /// The batch became durable.
    pub fn durable(&mut self, base_offset: Offset, place: Place) {
        if let Some(at) = self.at(base_offset) {
            self.batches[at].place = Some(place);
            self.dirty_bytes += self.batches[at].bytes.len();
        }
    }

    /// A copy of the batch became durable. Answers nothing if it is not needed any more.
    pub fn moved(&mut self, base_offset: Offset, place: Place) {
        if let Some(at) = self.at(base_offset)
            && at >= self.clean
        {
            self.batches[at].place = Some(place);
        }
    }

    pub fn get(&self, base_offset: Offset) -> Option<&TailBatch> {
        self.at(base_offset).map(|at| &self.batches[at])
    }

    fn at(&self, base_offset: Offset) -> Option<usize> {
        self.batches
            .binary_search_by_key(&base_offset, |batch| batch.base_offset)
            .ok()
    }

    pub fn dirty_bytes(&self) -> usize {
        self.dirty_bytes
    }

    pub fn clean_bytes(&self) -> usize {
        self.clean_bytes
    }

    /// Durable batches that are in no segment.
    pub fn dirty(&self) -> impl Iterator<Item = &TailBatch> {
        self.batches
            .iter()
            .skip(self.clean)
            .take_while(|batch| batch.place.is_some())
    }

    /// The oldest place that this log still needs.
    pub fn oldest_needed(&self) -> Option<Place> {
        self.dirty().filter_map(|batch| batch.place).min()
    }

    /// Everything below `end` is in segments now. Calls `kept` for each batch that stays for readers.
    pub fn flushed(&mut self, end: Offset, mut kept: impl FnMut(Offset, usize)) {
        while let Some(batch) = self.batches.get(self.clean)
            && batch.next_offset <= end
        {
            self.dirty_bytes -= batch.bytes.len();
            self.clean_bytes += batch.bytes.len();
            kept(batch.base_offset, batch.bytes.len());
            self.clean += 1;
        }
    }

    /// Lets the first batch go, if it is this one and in a segment. Answers its size.
    pub fn evict(&mut self, base_offset: Offset) -> usize {
        if self.clean == 0 || self.batches[0].base_offset != base_offset {
            return 0;
        }
        self.clean -= 1;
        let len = self
            .batches
            .pop_front()
            .map_or(0, |batch| batch.bytes.len());
        self.clean_bytes -= len;
        // An idle log keeps no room for what it once held.
        if self.batches.capacity() > 4 * self.batches.len() + 4 {
            self.batches.shrink_to(2 * self.batches.len());
        }
        len
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Tail {
            total: self.total,
            ..Tail::default()
        };
    }

    /// The first offset that is in memory.
    pub fn first_offset(&self) -> Option<Offset> {
        self.batches.front().map(|batch| batch.base_offset)
    }

    /// Batches from the one that holds `from` on.
    pub fn from(&self, from: Offset) -> impl Iterator<Item = &TailBatch> {
        let at = self
            .batches
            .partition_point(|batch| batch.next_offset <= from);
        self.batches.range(at..)
    }

    pub fn iter(&self) -> impl Iterator<Item = &TailBatch> {
        self.batches.iter()
    }

    /// Bytes from the batch that holds `from` up to the one that holds `to`; `None` if `from` is not in memory.
    pub fn bytes_between(&self, from: Offset, to: Offset) -> Option<u64> {
        if self.first_offset().is_none_or(|first| from < first) {
            return None;
        }
        let position = |offset: Offset| self.from(offset).next().map_or(self.total, |b| b.before);
        Some(position(to).saturating_sub(position(from)))
    }
}

#[cfg(test)]
mod tests;
