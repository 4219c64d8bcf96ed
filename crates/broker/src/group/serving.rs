//! A coordinator and the end of its log: what is to be appended, and what may be said.
//!
//! Steps of the coordinator queue their records here in units that enter the log whole. At most one batch is
//! being appended; meanwhile the next fills, so that many small commits cost one sync. Every reply, whether it
//! changed something or not, is withheld until the log end it was judged against has committed. After a failed
//! append nothing here may be used again but to tell those who wait.
//!
//! The driver's duties, in this order: append what [`Serving::next_batch`] gives, tell
//! [`Serving::on_appended`], hand out what [`Serving::release`] gives, keep what [`Serving::take_snapshot`]
//! gives.

use std::collections::VecDeque;

use taffrail_replication::{Machine, Position, Withheld};

use super::coordinator::{Coordinator, Effects};
use super::record::Record;
use super::request::{JoinReply, SyncReply};
use super::stored::Stored;
use super::{GroupConfig, Now};

/// A reply that may leave.
#[derive(Debug)]
pub enum Release<J, S, W> {
    Join(J, JoinReply),
    Sync(S, SyncReply),
    /// Whoever asked to be told when the log had committed as far as it then was.
    Committed(W),
}

/// Records to append as one batch, keys and values as bytes.
#[derive(Debug, PartialEq, Eq)]
pub struct Batch {
    /// Where it has to begin.
    pub base: Position,
    pub records: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

/// Whoever waits for something that will not be.
#[derive(Debug)]
pub struct Abandoned<J, S, W> {
    pub joining: Vec<J>,
    pub syncing: Vec<S>,
    pub waiting: Vec<W>,
}

/// A coordinator with what it has not said yet. `W` names those who wait for a commit.
#[derive(Debug)]
pub struct Serving<J, S, W> {
    coordinator: Coordinator<J, S>,
    withheld: Withheld<Release<J, S, W>>,
    /// Records by unit, not yet given out for appending.
    outgoing: VecDeque<Vec<Record>>,
    /// Everything that the coordinator has applied.
    log_end: Position,
    /// Where the next batch begins.
    next_base: Position,
    /// How many records are being appended.
    in_flight: u64,
    logged_bytes: usize,
    snapshot_bytes_min: usize,
    snapshot: Option<(Position, Vec<u8>)>,
}

impl<J, S, W> Serving<J, S, W> {
    /// Begins to serve `stored`, the state at `position`, the end of the log.
    pub fn new(
        config: GroupConfig,
        stored: Stored,
        position: Position,
        now: Now,
    ) -> Serving<J, S, W> {
        let mut effects = Effects::default();
        let snapshot_bytes_min = config.snapshot_bytes_min;
        let coordinator = Coordinator::new(config, stored, now, &mut effects);
        let mut serving = Serving {
            coordinator,
            withheld: Withheld::new(position),
            outgoing: VecDeque::new(),
            log_end: position,
            next_base: position,
            in_flight: 0,
            logged_bytes: 0,
            snapshot_bytes_min,
            snapshot: None,
        };
        serving.absorb(effects);
        serving
    }

    /// The coordinator, to look at. What it says rests on [`Serving::is_committed`].
    pub fn coordinator(&self) -> &Coordinator<J, S> {
        &self.coordinator
    }

    /// Lets the coordinator take a step.
    pub fn act<R>(
        &mut self,
        step: impl FnOnce(&mut Coordinator<J, S>, &mut Effects<J, S>) -> R,
    ) -> R {
        let mut effects = Effects::default();
        let result = step(&mut self.coordinator, &mut effects);
        self.absorb(effects);
        result
    }

    fn absorb(&mut self, effects: Effects<J, S>) {
        self.log_end += effects.records.len() as u64;
        if !effects.records.is_empty() {
            self.outgoing.push_back(effects.records);
        }
        for (caller, reply) in effects.joined {
            self.withheld
                .hold(self.log_end, Release::Join(caller, reply));
        }
        for (caller, reply) in effects.synced {
            self.withheld
                .hold(self.log_end, Release::Sync(caller, reply));
        }
    }

    /// Whether everything the coordinator knows has committed.
    pub fn is_committed(&self) -> bool {
        self.withheld.committed() == self.log_end
    }

    /// Tells `waiter` when everything the coordinator knows now has committed.
    pub fn when_committed(&mut self, waiter: W) {
        self.withheld.hold(self.log_end, Release::Committed(waiter));
    }

    /// The next batch to append, of about `bytes_max` at most, unless one is being appended. A unit stays whole
    /// unless it alone is larger; only deletions of many offsets are, and their tombstones stand each for itself.
    pub fn next_batch(&mut self, bytes_max: usize) -> Option<Batch> {
        if self.in_flight > 0 {
            return None;
        }
        let (mut records, mut bytes) = (Vec::new(), 0);
        while let Some(unit) = self.outgoing.pop_front() {
            let encoded: Vec<_> = unit
                .iter()
                .map(|record| (record.key(), record.value()))
                .collect();
            let size: usize = encoded.iter().map(record_bytes).sum();
            if !records.is_empty() && bytes + size > bytes_max {
                self.outgoing.push_front(unit);
                break;
            }
            let fits = encoded.iter().scan(bytes, |total, record| {
                *total += record_bytes(record);
                Some(*total <= bytes_max)
            });
            let fitting = fits.take_while(|fits| *fits).count().max(1).min(unit.len());
            bytes += encoded[..fitting].iter().map(record_bytes).sum::<usize>();
            records.extend(encoded.into_iter().take(fitting));
            if fitting < unit.len() {
                self.outgoing.push_front(unit[fitting..].to_vec());
                break;
            }
        }
        if records.is_empty() {
            return None;
        }
        self.in_flight = records.len() as u64;
        self.logged_bytes += bytes;
        Some(Batch {
            base: self.next_base,
            records,
        })
    }

    /// The batch given out last is durable at `base`. False if it lies where it must not: the log is not what
    /// the coordinator was built from, and its state must be thrown away.
    #[must_use]
    pub fn on_appended(&mut self, base: Position) -> bool {
        assert!(
            self.in_flight > 0,
            "a batch was appended that was not given out"
        );
        if base != self.next_base {
            return false;
        }
        self.next_base += self.in_flight;
        self.in_flight = 0;
        self.withheld.on_committed(self.next_base);
        let due = self
            .snapshot_bytes_min
            .max(self.coordinator.stored().bytes());
        if self.logged_bytes >= due && self.snapshot.is_none() {
            let mut bytes = Vec::new();
            self.coordinator.stored().snapshot(&mut bytes);
            self.snapshot = Some((self.log_end, bytes));
            self.logged_bytes = 0;
        }
        true
    }

    /// The next reply that may leave.
    pub fn release(&mut self) -> Option<Release<J, S, W>> {
        self.withheld.pop()
    }

    /// A snapshot to keep, and the committed position it is exact to.
    pub fn take_snapshot(&mut self) -> Option<(Position, Vec<u8>)> {
        let committed = self.withheld.committed();
        self.snapshot
            .take_if(|(position, _)| *position <= committed)
    }

    /// Everybody who waits, for replies or parked, now that this is thrown away. Their outcome is unknown.
    pub fn abandon(self) -> Abandoned<J, S, W> {
        let (mut joining, mut syncing) = self.coordinator.into_parked();
        let mut waiting = Vec::new();
        for release in self.withheld.abandon() {
            match release {
                Release::Join(caller, _) => joining.push(caller),
                Release::Sync(caller, _) => syncing.push(caller),
                Release::Committed(waiter) => waiting.push(waiter),
            }
        }
        Abandoned {
            joining,
            syncing,
            waiting,
        }
    }

    /// Where the log will end once everything the coordinator knows has committed.
    pub fn log_end(&self) -> Position {
        self.log_end
    }
}

fn record_bytes((key, value): &(Vec<u8>, Option<Vec<u8>>)) -> usize {
    // Lengths, deltas and attributes of a record take 30 bytes at most.
    30 + key.len() + value.as_ref().map_or(0, Vec::len)
}

#[cfg(test)]
mod tests;
