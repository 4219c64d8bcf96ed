//! What a producer holds: every partition's queue, the memory they take together, and which batches are ripe.
//!
//! Pure: the time comes in, batches to send and finished records go out. `W` is what the shell wakes when a record's
//! fate is known; every record that was taken in comes out again exactly once, whatever happens.

use super::batch::{Batch, BatchId};
use super::partition_queue::{Identity, Outcome, PartitionQueue};
use crate::backoff::Backoff;
use crate::errors::SendError;
use crate::options::ProducerOptions;
use crate::records::{Acked, Record, TopicPartitionName};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::time::Duration;
use taffrail_env::Instant;
use taffrail_record::builder::BatchBuilder;

/// A batch to be sent to the leader of its partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToSend {
    pub partition: TopicPartitionName,
    pub batch_id: BatchId,
    pub bytes: Bytes,
}

/// What [`Accumulator::drain`] found.
#[derive(Debug, Default)]
pub struct Drained {
    /// One request a node, at most one batch a partition in each.
    pub requests: BTreeMap<i32, Vec<ToSend>>,
    /// Topics with ripe batches and no known leader.
    pub leaderless: Vec<String>,
}

/// A record's fate, for whoever waits for it.
pub struct Settled<W> {
    pub waiter: W,
    pub fate: Result<Acked, SendError>,
}

/// Where the shell may send to just now.
pub enum Leader {
    /// This node, which can take another request.
    Ready(i32),
    /// It has as many requests as it may have.
    Busy,
    Unknown,
}

/// See the module's head.
pub struct Accumulator<W> {
    options: ProducerOptions,
    backoff: Backoff,
    partitions: BTreeMap<TopicPartitionName, PartitionQueue<W>>,
    /// Those that hold anything: a partition that was written to once costs nothing afterwards.
    held: BTreeSet<TopicPartitionName>,
    identity: Option<Identity>,
    needs_identity: bool,
    memory_used: usize,
    next_batch_id: u64,
    /// Batches begun before this one do not wait for more records.
    flush_before: u64,
    /// Where the last drain stopped, so that every partition has its turn.
    turn: Option<TopicPartitionName>,
    settled: Vec<Settled<W>>,
}

impl<W> Accumulator<W> {
    pub fn new(options: ProducerOptions, backoff: Backoff) -> Accumulator<W> {
        Accumulator {
            needs_identity: options.idempotence,
            options,
            backoff,
            partitions: BTreeMap::new(),
            held: BTreeSet::new(),
            identity: None,
            memory_used: 0,
            next_batch_id: 0,
            flush_before: 0,
            turn: None,
            settled: Vec::new(),
        }
    }

    pub fn memory_used(&self) -> usize {
        self.memory_used
    }

    /// Whether a record of this size may be taken in. One is always taken if there is no other.
    pub fn has_room(&self, bytes: usize) -> bool {
        self.memory_used == 0 || self.memory_used + bytes <= self.options.memory_bytes_max
    }

    /// Takes a record in. There must be room ([`Accumulator::has_room`]). Answers whether that changes what is to be sent, or when.
    pub fn append(
        &mut self,
        now: Instant,
        partition: &TopicPartitionName,
        record: &Record,
        timestamp: i64,
        waiter: W,
    ) -> bool {
        let bytes = record.size_bound();
        let was_short = self.is_short_of_memory();
        if !self.partitions.contains_key(partition) {
            let (idempotent, first) = (self.options.idempotence, self.options.first_sequence);
            self.partitions
                .insert(partition.clone(), PartitionQueue::new(idempotent, first));
        }
        if !self.held.contains(partition) {
            self.held.insert(partition.clone());
        }
        let queue = self
            .partitions
            .get_mut(partition)
            .expect("it was just put there");
        let batch_bytes = self.options.batch_bytes;
        let fits = queue
            .open_batch()
            .is_some_and(|batch| batch.size() + bytes <= batch_bytes)
            && queue.append_to_open(record, timestamp);
        if !fits {
            let builder = BatchBuilder::new(self.options.codec, timestamp);
            let id = self.next_batch_id;
            self.next_batch_id += 1;
            queue.begin(Batch::new(id, now, self.options.delivery_timeout, builder));
            let taken = queue.append_to_open(record, timestamp);
            assert!(
                taken,
                "an empty batch takes every record that a request can carry"
            );
        }
        let batch = queue.open_batch().expect("one was just begun");
        batch.charged += bytes;
        batch.waiters.push((waiter, timestamp));
        let full = batch.size() >= batch_bytes;
        self.memory_used += bytes;
        !fits || full || self.is_short_of_memory() && !was_short
    }

    /// Whoever waits for room waits for batches to go.
    fn is_short_of_memory(&self) -> bool {
        self.memory_used >= self.options.memory_bytes_max / 2
    }

    /// The queues that hold anything.
    fn held(&self) -> impl Iterator<Item = &PartitionQueue<W>> {
        self.held.iter().map(|name| &self.partitions[name])
    }

    /// A queue may have become empty.
    fn let_go(&mut self, name: &TopicPartitionName) {
        if self
            .partitions
            .get(name)
            .is_none_or(PartitionQueue::is_empty)
        {
            self.held.remove(name);
        }
    }

    /// Everything taken in so far is sent without waiting for more. Answers a mark for [`Accumulator::is_flushed`].
    pub fn flush(&mut self) -> u64 {
        self.flush_before = self.next_batch_id;
        self.flush_before
    }

    /// Whether every record taken in before that flush is settled.
    pub fn is_flushed(&self, mark: u64) -> bool {
        self.held()
            .filter_map(PartitionQueue::oldest_id)
            .all(|oldest| oldest.number >= mark)
    }

    /// Whether a producer id is wanted before more can be sent.
    pub fn needs_identity(&self) -> bool {
        self.needs_identity && !self.partitions.is_empty()
    }

    pub fn set_identity(&mut self, identity: Identity) {
        self.identity = Some(identity);
        self.needs_identity = false;
        let mut failed = Vec::new();
        for (name, queue) in &mut self.partitions {
            for done in queue.on_new_identity(identity) {
                failed.push((name.partition, done));
            }
        }
        for (partition, done) in failed {
            self.settle(partition, done.batch, done.fate);
        }
        let partitions = &self.partitions;
        self.held.retain(|name| !partitions[name].is_empty());
    }

    /// Why a batch does not wait any longer.
    fn is_ripe(&self, now: Instant, batch: &Batch<W>, behind: usize) -> bool {
        batch.stamp.is_some()
            || batch.tries > 0
            || behind > 0
            || batch.id.number < self.flush_before
            || batch.size() >= self.options.batch_bytes
            || batch.created + self.options.linger <= now
            || self.is_short_of_memory()
    }

    /// Takes out what is to be sent now: one request for each node that is ready.
    pub fn drain(
        &mut self,
        now: Instant,
        mut leader: impl FnMut(&TopicPartitionName) -> Leader,
    ) -> Drained {
        let mut drained = Drained::default();
        if self.options.idempotence && self.identity.is_none() {
            return drained;
        }
        let mut sizes: BTreeMap<i32, usize> = BTreeMap::new();
        for name in self.in_turn() {
            let queue = &self.partitions[&name];
            let Some(batch) = queue.candidate(now) else {
                continue;
            };
            if !self.is_ripe(now, batch, queue.waiting() - 1) {
                continue;
            }
            let node = match leader(&name) {
                Leader::Ready(node) => node,
                Leader::Busy => continue,
                Leader::Unknown => {
                    drained.leaderless.push(name.topic);
                    continue;
                }
            };
            let size = sizes.entry(node).or_default();
            if *size > 0 && *size + batch.size() > self.options.request_bytes_max {
                continue;
            }
            let identity = self.identity;
            let queue = self.partitions.get_mut(&name).expect("it was there above");
            let (batch_id, bytes) = queue.send(identity);
            *size += bytes.len();
            self.turn = Some(name.clone());
            drained.requests.entry(node).or_default().push(ToSend {
                partition: name,
                batch_id,
                bytes,
            });
        }
        drained
    }

    /// Every partition with something to send, beginning behind the one that was last.
    fn in_turn(&self) -> Vec<TopicPartitionName> {
        let after = match &self.turn {
            Some(turn) => Bound::Excluded(turn),
            None => Bound::Unbounded,
        };
        let behind = self.held.range((after, Bound::Unbounded));
        let before = self.turn.as_ref().map(|turn| self.held.range(..=turn));
        behind
            .chain(before.into_iter().flatten())
            .filter(|name| self.partitions[*name].waiting() > 0)
            .cloned()
            .collect()
    }

    /// A try of a batch ended. `random` spreads retries.
    pub fn on_outcome(
        &mut self,
        now: Instant,
        partition: &TopicPartitionName,
        batch_id: BatchId,
        outcome: Outcome,
        random: u64,
    ) {
        let Some(queue) = self.partitions.get_mut(partition) else {
            return;
        };
        let backoff = self.backoff;
        let done = queue.on_outcome(batch_id, outcome, |tries| now + backoff.wait(tries, random));
        let (failed, exhausted) = queue.restart_if_due();
        self.needs_identity |= exhausted;
        if exhausted {
            self.identity = None;
        }
        for done in done.into_iter().chain(failed) {
            self.settle(partition.partition, done.batch, done.fate);
        }
        self.let_go(partition);
    }

    /// The leader of some partitions cannot be reached, and why: for the message when time is up. Answers their topics.
    pub fn on_unreachable(
        &mut self,
        why: &str,
        concerned: impl Fn(&TopicPartitionName) -> bool,
    ) -> BTreeSet<String> {
        let mut topics = BTreeSet::new();
        for name in self.held.iter().filter(|name| concerned(name)) {
            if let Some(queue) = self.partitions.get_mut(name) {
                queue.on_unreachable(why);
                topics.insert(name.topic.clone());
            }
        }
        topics
    }

    /// Gives up what is too old.
    pub fn expire(&mut self, now: Instant) {
        let mut gone = Vec::new();
        let mut empty = Vec::new();
        for name in &self.held {
            let Some(queue) = self.partitions.get_mut(name) else {
                continue;
            };
            for done in queue.expire(now) {
                gone.push((name.partition, done));
            }
            // The last batch on its way may have been what a restart waited for.
            let (failed, exhausted) = queue.restart_if_due();
            gone.extend(failed.into_iter().map(|done| (name.partition, done)));
            if exhausted {
                self.needs_identity = true;
                self.identity = None;
            }
            if queue.is_empty() {
                empty.push(name.clone());
            }
        }
        for name in empty {
            self.held.remove(&name);
        }
        for (partition, done) in gone {
            self.settle(partition, done.batch, done.fate);
        }
    }

    /// Gives everything up: the producer ends.
    pub fn close(&mut self) {
        self.held.clear();
        for (name, mut queue) in std::mem::take(&mut self.partitions) {
            for done in queue.take_all() {
                self.settle(name.partition, done.batch, done.fate);
            }
        }
    }

    fn settle(&mut self, partition: i32, batch: Batch<W>, fate: Result<(i64, i64), SendError>) {
        self.memory_used -= batch.charged;
        for (place, (waiter, timestamp)) in (0..).zip(batch.waiters) {
            let fate = match &fate {
                Err(error) => Err(error.clone()),
                Ok((base_offset, log_append_time_ms)) => Ok(Acked {
                    partition,
                    offset: match *base_offset {
                        known @ 0.. => known + place,
                        unknown => unknown,
                    },
                    timestamp: match *log_append_time_ms {
                        appended @ 0.. => appended,
                        _ => timestamp,
                    },
                }),
            };
            self.settled.push(Settled { waiter, fate });
        }
    }

    /// Records whose fate became known since the last call.
    pub fn take_settled(&mut self) -> Vec<Settled<W>> {
        std::mem::take(&mut self.settled)
    }

    /// When something is due by time alone: a batch ripe, a retry, a delivery given up.
    pub fn next_deadline(&self, now: Instant) -> Option<Instant> {
        let mut next = None;
        for queue in self.held() {
            let ripe = queue.candidate(now).map(|batch| {
                if self.is_ripe(now, batch, queue.waiting() - 1) {
                    // It waits for a leader or a free place, which come with an event of their own.
                    Instant::MAX
                } else {
                    batch.created + self.options.linger
                }
            });
            let retry = queue.next_try().filter(|at| *at > now);
            for at in [ripe, retry, queue.next_expiry()].into_iter().flatten() {
                next = Some(next.map_or(at, |next: Instant| next.min(at)));
            }
        }
        next
    }

    /// How long a batch waits for more records.
    pub fn linger(&self) -> Duration {
        self.options.linger
    }
}

#[cfg(test)]
mod tests;
