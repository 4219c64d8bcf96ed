//! Where a consumer stands in each of its partitions, and what was fetched but not yet given out. Pure.
//!
//! Batches are kept as they came and decoded one at a time, when their records are asked for, so memory is bounded by what was
//! fetched. What must hold: records of a partition are given out in the order of their offsets, from the position on, each once; an answer
//! to a question asked before a seek or a new assignment is thrown away; a batch that does not verify is an error and never skipped.

use crate::errors::ConsumeError;
use crate::options::OffsetReset;
use crate::records::{Fetched, Header, TopicPartitionName};
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use std::ops::ControlFlow;
use std::rc::Rc;
use taffrail_env::Instant;
use taffrail_record::Offset;
use taffrail_record::batch::{self, BatchError, BatchHeader, RecordView};
use taffrail_record::compression::DecompressLimit;

/// Where to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartAt {
    Offset(Offset),
    Earliest,
    Latest,
    /// The first record at or after this time in Unix milliseconds; the end if there is none.
    Timestamp(i64),
    /// The group's committed offset, or what the policy says if there is none.
    Committed,
}

/// A fetch to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchFrom {
    pub partition: TopicPartitionName,
    pub offset: Offset,
    /// Goes back with the answer.
    pub asked: u64,
}

/// One partition.
struct Place {
    topic: Rc<str>,
    /// The offset of the next record to give out, once known.
    position: Option<Offset>,
    start: StartAt,
    /// The topic's id when the position was taken.
    topic_id: Option<[u8; 16]>,
    /// Changes with each seek, so that old answers are told apart.
    asked: u64,
    in_flight: bool,
    not_before: Instant,
    /// Batches that came, in order, with the offset behind the last.
    batches: VecDeque<Bytes>,
    batch_bytes: usize,
    fetch_from: Offset,
    records: VecDeque<Fetched>,
    /// The offset behind the batch that the records are from. The cleaner may have taken its last ones.
    records_end: Offset,
    high_watermark: Option<Offset>,
    /// When it last had its turn, so that the others come first.
    turn: u64,
}

/// See the module's head.
pub struct Fetcher {
    places: BTreeMap<TopicPartitionName, Place>,
    limit: DecompressLimit,
    next_asked: u64,
    next_turn: u64,
}

impl Fetcher {
    pub fn new(decompressed_bytes_max: usize) -> Fetcher {
        Fetcher {
            places: BTreeMap::new(),
            limit: DecompressLimit {
                output_bytes_max: decompressed_bytes_max,
            },
            next_asked: 0,
            next_turn: 0,
        }
    }

    pub fn partitions(&self) -> Vec<TopicPartitionName> {
        self.places.keys().cloned().collect()
    }

    pub fn contains(&self, partition: &TopicPartitionName) -> bool {
        self.places.contains_key(partition)
    }

    /// Begins to read a partition, or moves in it.
    pub fn start(&mut self, partition: &TopicPartitionName, start: StartAt) {
        self.next_asked += 1;
        let position = match start {
            StartAt::Offset(offset) => Some(offset),
            _ => None,
        };
        let place = Place {
            topic: Rc::from(partition.topic.as_str()),
            position,
            start,
            topic_id: None,
            asked: self.next_asked,
            in_flight: false,
            not_before: Instant(0),
            batches: VecDeque::new(),
            batch_bytes: 0,
            fetch_from: position.unwrap_or(0),
            records: VecDeque::new(),
            records_end: 0,
            high_watermark: None,
            turn: 0,
        };
        self.places.insert(partition.clone(), place);
    }

    pub fn stop(&mut self, partition: &TopicPartitionName) {
        self.places.remove(partition);
    }

    /// The offset of the next record to be given out.
    pub fn position(&self, partition: &TopicPartitionName) -> Option<Offset> {
        self.places.get(partition)?.position
    }

    /// The end of the partition as the last answer had it.
    pub fn high_watermark(&self, partition: &TopicPartitionName) -> Option<Offset> {
        self.places.get(partition)?.high_watermark
    }

    /// Every known position.
    pub fn positions(&self) -> BTreeMap<TopicPartitionName, Offset> {
        self.places
            .iter()
            .filter_map(|(name, place)| Some((name.clone(), place.position?)))
            .collect()
    }

    /// Partitions whose position has to be asked for, with what to ask and the mark that goes back with the answer.
    pub fn unplaced(&self, now: Instant) -> Vec<(TopicPartitionName, StartAt, u64)> {
        self.places
            .iter()
            .filter(|(_, place)| place.position.is_none() && place.not_before <= now)
            .map(|(name, place)| (name.clone(), place.start, place.asked))
            .collect()
    }

    /// A position was found.
    pub fn place(&mut self, partition: &TopicPartitionName, asked: u64, offset: Offset) {
        if let Some(place) = self.asked(partition, asked)
            && place.position.is_none()
        {
            place.position = Some(offset);
            place.fetch_from = offset;
        }
    }

    /// No committed offset: the policy decides where to begin.
    pub fn no_commit(
        &mut self,
        partition: &TopicPartitionName,
        asked: u64,
        reset: OffsetReset,
    ) -> Result<(), ConsumeError> {
        match self.asked(partition, asked) {
            Some(place) => {
                place.start = start_of(reset, partition, None)?;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn asked(&mut self, partition: &TopicPartitionName, asked: u64) -> Option<&mut Place> {
        let place = self.places.get_mut(partition)?;
        (place.asked == asked).then_some(place)
    }

    /// Not again before `at`.
    pub fn wait(&mut self, partition: &TopicPartitionName, asked: u64, at: Instant) {
        if let Some(place) = self.asked(partition, asked) {
            place.in_flight = false;
            place.not_before = at;
        }
    }

    /// What may be fetched now: partitions with a position, no fetch on its way, and less than `buffered_max` bytes waiting. Those that had
    /// their turn longest ago come first.
    pub fn to_fetch(&self, now: Instant, buffered_max: usize) -> Vec<FetchFrom> {
        let mut ready: Vec<(u64, FetchFrom)> = self
            .places
            .iter()
            .filter(|(_, place)| {
                place.position.is_some()
                    && !place.in_flight
                    && place.not_before <= now
                    && place.batch_bytes < buffered_max
            })
            .map(|(name, place)| {
                let fetch = FetchFrom {
                    partition: name.clone(),
                    offset: place.fetch_from,
                    asked: place.asked,
                };
                (place.turn, fetch)
            })
            .collect();
        ready.sort_by_key(|(turn, _)| *turn);
        ready.into_iter().map(|(_, fetch)| fetch).collect()
    }

    /// A fetch was sent.
    pub fn sent(&mut self, fetch: &FetchFrom) {
        if let Some(place) = self.asked(&fetch.partition, fetch.asked) {
            place.in_flight = true;
        }
    }

    /// The topic has this id now. One that was deleted and made again is not the one that the position was taken in: the policy decides.
    pub fn check_topic_id(
        &mut self,
        partition: &TopicPartitionName,
        id: [u8; 16],
        reset: OffsetReset,
    ) -> Result<(), ConsumeError> {
        let Some(place) = self.places.get_mut(partition) else {
            return Ok(());
        };
        if id == [0; 16] || place.position.is_none() {
            return Ok(());
        }
        match place.topic_id {
            Some(known) if known != id => self.out_of_range(partition, reset),
            _ => {
                place.topic_id = Some(id);
                Ok(())
            }
        }
    }

    /// The position is not in the log: the policy decides.
    fn out_of_range(
        &mut self,
        partition: &TopicPartitionName,
        reset: OffsetReset,
    ) -> Result<(), ConsumeError> {
        let position = self.position(partition);
        let start = start_of(reset, partition, position)?;
        self.start(partition, start);
        Ok(())
    }

    /// An answer said that the offset is outside of the log.
    pub fn on_out_of_range(
        &mut self,
        fetch: &FetchFrom,
        reset: OffsetReset,
    ) -> Result<(), ConsumeError> {
        let Some(place) = self.asked(&fetch.partition, fetch.asked) else {
            return Ok(());
        };
        place.in_flight = false;
        if !place.batches.is_empty() || !place.records.is_empty() {
            // What came before is given out first; then it is asked again.
            return Ok(());
        }
        self.out_of_range(&fetch.partition, reset)
    }

    /// An answer came. `records` are batches one behind the other, the last perhaps cut short.
    pub fn on_fetched(
        &mut self,
        fetch: &FetchFrom,
        records: &Bytes,
        high_watermark: Offset,
    ) -> Result<(), ConsumeError> {
        self.next_turn += 1;
        let turn = self.next_turn;
        let Some(place) = self.asked(&fetch.partition, fetch.asked) else {
            return Ok(());
        };
        place.in_flight = false;
        place.high_watermark = Some(high_watermark);
        let mut rest = records.clone();
        while !rest.is_empty() {
            let header = match batch::split_batch(&rest) {
                Ok((header, _)) => header,
                Err(BatchError::Truncated { .. }) if rest.len() < records.len() => break,
                Err(error) => return Err(corrupt(&fetch.partition, place.fetch_from, &error)),
            };
            let bytes = rest.split_to(header.size());
            if header.next_offset() <= place.fetch_from {
                continue;
            }
            place.turn = turn;
            place.fetch_from = header.next_offset();
            place.batch_bytes += bytes.len();
            place.batches.push_back(bytes);
        }
        Ok(())
    }

    /// Up to `max` records, from one partition after the other.
    pub fn take(&mut self, max: usize) -> Result<Vec<Fetched>, ConsumeError> {
        let mut taken = Vec::new();
        for (name, place) in &mut self.places {
            while taken.len() < max {
                if let Some(record) = place.records.pop_front() {
                    place.position = Some(match place.records.is_empty() {
                        true => place.records_end,
                        false => record.offset + 1,
                    });
                    taken.push(record);
                    continue;
                }
                let Some(bytes) = place.batches.front().cloned() else {
                    break;
                };
                match place.decode(name, &bytes, self.limit) {
                    Ok(()) => {
                        place.batches.pop_front();
                        place.batch_bytes -= bytes.len();
                    }
                    // The records before it are given out first.
                    Err(_) if !taken.is_empty() => return Ok(taken),
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(taken)
    }

    /// When a partition that waits may be asked for again.
    pub fn next_deadline(&self, now: Instant) -> Option<Instant> {
        let waiting = self.places.values().map(|place| place.not_before);
        waiting.filter(|at| *at > now).min()
    }
}

impl Place {
    fn decode(
        &mut self,
        name: &TopicPartitionName,
        bytes: &Bytes,
        limit: DecompressLimit,
    ) -> Result<(), ConsumeError> {
        let position = self.position.unwrap_or(0);
        let fail = |error: &BatchError| corrupt(name, position, error);
        batch::verify_crc(bytes).map_err(|error| fail(&error))?;
        let header = BatchHeader::parse(bytes).map_err(|error| fail(&error))?;
        let mut records = VecDeque::new();
        if !header.is_control() {
            let topic = &self.topic;
            batch::for_each_record(bytes, limit, |header, record| {
                if header.record_offset(&record) >= position {
                    records.push_back(fetched(topic, name.partition, bytes, header, &record));
                }
                ControlFlow::Continue(())
            })
            .map_err(|error| fail(&error))?;
        }
        if records.is_empty() {
            // Nothing to read in it: a control batch, or one that was cleaned out.
            self.position = Some(header.next_offset().max(position));
        }
        self.records = records;
        self.records_end = header.next_offset();
        Ok(())
    }
}

fn fetched(
    topic: &Rc<str>,
    partition: i32,
    batch: &Bytes,
    header: &BatchHeader,
    record: &RecordView<'_>,
) -> Fetched {
    Fetched {
        topic: topic.clone(),
        partition,
        offset: header.record_offset(record),
        timestamp: header.record_timestamp(record),
        key: record.key.map(|key| share(batch, key)),
        value: record.value.map(|value| share(batch, value)),
        headers: record
            .headers()
            .map(|header| Header {
                key: String::from_utf8_lossy(header.key).into_owned(),
                value: header.value.map(|value| share(batch, value)),
            })
            .collect(),
    }
}

/// A slice of the batch if `part` lies in it, a copy if it was decompressed.
fn share(batch: &Bytes, part: &[u8]) -> Bytes {
    if batch.as_ptr_range().contains(&part.as_ptr()) {
        batch.slice_ref(part)
    } else {
        Bytes::copy_from_slice(part)
    }
}

fn start_of(
    reset: OffsetReset,
    partition: &TopicPartitionName,
    offset: Option<Offset>,
) -> Result<StartAt, ConsumeError> {
    match reset {
        OffsetReset::Earliest => Ok(StartAt::Earliest),
        OffsetReset::Latest => Ok(StartAt::Latest),
        OffsetReset::Error => Err(ConsumeError::OutOfRange {
            topic: partition.topic.clone(),
            partition: partition.partition,
            offset,
        }),
    }
}

fn corrupt(partition: &TopicPartitionName, offset: Offset, error: &BatchError) -> ConsumeError {
    ConsumeError::Corrupt {
        topic: partition.topic.clone(),
        partition: partition.partition,
        offset,
        what: error.to_string(),
    }
}

#[cfg(test)]
mod tests;
