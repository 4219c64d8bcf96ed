//! Offsets by timestamp: segments and digests narrow the search down, the records decide.

use super::Log;
use crate::ReadError;
use crate::segment::Segment;
use std::ops::ControlFlow;
use taffrail_env::Env;
use taffrail_record::batch::BatchHeader;
use taffrail_record::batch::for_each_record;
use taffrail_record::compression::DecompressLimit;
use taffrail_record::{LeaderEpoch, NO_TIMESTAMP, Offset};

/// How much is read at once while searching.
const SEARCH_BYTES: usize = 1 << 20;
/// A batch that claims to be larger than this uncompressed is taken as a whole.
const RECORDS_MAX: DecompressLimit = DecompressLimit {
    output_bytes_max: 128 << 20,
};

/// Offsets in which something is looked for.
type Range = (Offset, Offset);

impl<E: Env> Log<E> {
    /// The first record with a timestamp at or after `timestamp`: its timestamp, offset and epoch.
    pub async fn offset_for_timestamp(
        &self,
        timestamp: i64,
    ) -> Result<Option<(i64, Offset, LeaderEpoch)>, ReadError> {
        loop {
            let start = self.log_start_offset();
            match self.search_for_timestamp(timestamp).await {
                // What was looked at went meanwhile.
                Err(_) if self.log_start_offset() > start => {}
                found => return found,
            }
        }
    }

    async fn search_for_timestamp(
        &self,
        timestamp: i64,
    ) -> Result<Option<(i64, Offset, LeaderEpoch)>, ReadError> {
        for range in self.ranges_with(timestamp).await? {
            let (mut at, end) = range;
            while at < end.min(self.high_watermark()) {
                at = at.max(self.log_start_offset());
                let found = self.find(at, SEARCH_BYTES, true).await?;
                for (header, batch) in &found.batches {
                    if header.max_timestamp < timestamp {
                        continue;
                    }
                    if let Some((time, offset)) = first_at(header, batch, at, timestamp) {
                        return Ok(Some((time, offset, header.partition_leader_epoch)));
                    }
                }
                if found.next_offset <= at {
                    break;
                }
                at = found.next_offset;
            }
        }
        Ok(None)
    }

    /// The first record with the largest timestamp.
    pub async fn max_timestamp(&self) -> Result<Option<(i64, Offset)>, ReadError> {
        loop {
            let start = self.log_start_offset();
            match self.max_timestamp_from(start).await {
                // What was looked at went meanwhile.
                Err(_) if self.log_start_offset() > start => {}
                found => return found,
            }
        }
    }

    async fn max_timestamp_from(&self, start: Offset) -> Result<Option<(i64, Offset)>, ReadError> {
        let mut best: Option<(i64, Offset)> = None;
        let mut consider = |timestamp: i64, offset: Offset| {
            if timestamp >= 0 && best.is_none_or(|(largest, _)| timestamp > largest) {
                best = Some((timestamp, offset));
            }
        };
        // Both at once: what is in neither later has gone from the one to the other.
        let segments = self.inner.state.borrow().segments.clone();
        let in_memory = self.largest_in_memory(start);
        for segment in segments.iter().filter(|segment| segment.end_offset > start) {
            // The record that has it may lie below the log's start.
            if segment.base_offset >= start || self.keeps_largest(segment, start).await? {
                consider(segment.max_timestamp, segment.max_timestamp_offset);
                continue;
            }
            let mut at = start;
            while at < segment.end_offset {
                let found = self.find(at, SEARCH_BYTES, true).await?;
                if found.next_offset <= at {
                    break;
                }
                for (header, batch) in &found.batches {
                    let (timestamp, offset) = largest(header, batch, start);
                    consider(timestamp, offset);
                }
                at = found.next_offset;
            }
        }
        if let Some((timestamp, offset)) = in_memory {
            consider(timestamp, offset);
        }
        let Some((timestamp, last_offset)) = best else {
            return Ok(None);
        };
        let found = self.find(last_offset, 0, true).await?;
        Ok(found.batches.first().map(|(header, batch)| {
            first_at(header, batch, start, timestamp).unwrap_or((timestamp, last_offset))
        }))
    }

    /// The first of the largest timestamps in memory, from `start` on, and an offset of its batch.
    fn largest_in_memory(&self, start: Offset) -> Option<(i64, Offset)> {
        let running = self.inner.running.borrow();
        let batches = running.tail.from(start);
        let committed = batches.take_while(|batch| batch.next_offset <= running.high_watermark);
        let found = committed.map(|batch| {
            let header = BatchHeader::parse(&batch.bytes).expect("it was parsed on the way in");
            largest(&header, &batch.bytes, start)
        });
        found.reduce(|first, next| if next.0 > first.0 { next } else { first })
    }

    /// Whether a segment's largest timestamp is that of a record from `start` on.
    async fn keeps_largest(&self, segment: &Segment, start: Offset) -> Result<bool, ReadError> {
        if segment.max_timestamp_offset < start {
            return Ok(false);
        }
        let found = self.find(segment.max_timestamp_offset, 0, true).await?;
        let first = found.batches.first();
        let kept = first.map(|(header, batch)| largest(header, batch, start).0);
        Ok(kept == Some(segment.max_timestamp))
    }

    /// Where batches with this timestamp or a later one may be, in order.
    async fn ranges_with(&self, timestamp: i64) -> Result<Vec<Range>, ReadError> {
        let start = self.log_start_offset();
        // Both at once: what is in neither later has gone from the one to the other.
        let segments = self.inner.state.borrow().segments.clone();
        let in_memory = self.range_in_memory(start, timestamp);
        let mut ranges = Vec::new();
        for segment in segments {
            if segment.end_offset <= start || segment.max_timestamp < timestamp {
                continue;
            }
            let digest = self.digest(&segment).await?;
            let reached = digest.partition_point(|entry| entry.max_timestamp < timestamp);
            let from = digest[reached.saturating_sub(1)].offset;
            ranges.push((from.max(start), segment.end_offset));
        }
        ranges.extend(in_memory);
        Ok(ranges)
    }

    /// Where in memory alone such a batch may be.
    fn range_in_memory(&self, start: Offset, timestamp: i64) -> Option<Range> {
        let flushed_end = self.inner.state.borrow().flushed_end;
        let running = self.inner.running.borrow();
        let mut batches = running.tail.from(flushed_end.max(start));
        let first = batches.find(|batch| batch.max_timestamp >= timestamp)?;
        Some((first.base_offset.max(start), running.high_watermark))
    }
}

/// The largest timestamp of a batch from offset `from` on, and an offset of the batch that is not below. Only a batch that begins below `from` has
/// to be read for it.
fn largest(header: &BatchHeader, batch: &[u8], from: Offset) -> (i64, Offset) {
    let whole = (header.max_timestamp, header.last_offset());
    if header.base_offset >= from {
        return whole;
    }
    let mut largest = NO_TIMESTAMP;
    let walked = for_each_record(batch, RECORDS_MAX, |header, record| {
        if header.record_offset(&record) >= from {
            largest = largest.max(header.record_timestamp(&record));
        }
        ControlFlow::Continue(())
    });
    // What cannot be read has to be named as a whole.
    walked.map_or(whole, |()| (largest, header.last_offset()))
}

/// The first record of a batch, from offset `from` on, that is not before `timestamp`.
fn first_at(
    header: &BatchHeader,
    batch: &[u8],
    from: Offset,
    timestamp: i64,
) -> Option<(i64, Offset)> {
    let mut first = None;
    let walked = for_each_record(batch, RECORDS_MAX, |header, record| {
        let (time, offset) = (
            header.record_timestamp(&record),
            header.record_offset(&record),
        );
        if time >= timestamp && offset >= from {
            first = Some((time, offset));
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    });
    match walked {
        Ok(()) => first,
        // Admitted unread, and not readable: the batch as a whole is all that can be named.
        Err(_) => Some((header.max_timestamp, header.base_offset.max(from))),
    }
}
