//! One partition's batches in their one order, and the sequence numbers that let the broker keep it.
//!
//! At most [`IN_FLIGHT_MAX`] batches are on their way; without idempotence one, so that a retry cannot overtake, and one also until the
//! first was acknowledged, since a broker takes any sequence from a producer that it knows nothing of. Sequence numbers
//! are given at the first try and stay with a batch: only the answers of the broker say whether it is in the log. What must hold:
//!
//! - batches are tried in the order in which they were begun, and while an earlier one waits to be tried again no later
//!   one that was tried before goes ahead of it;
//! - a batch that may be in the log is never sent under another stamp, so nothing is written twice;
//! - no batch is stamped that would be the sixth from the earliest one whose fate is not known: the broker remembers five, and an
//!   earlier one that is tried again must not find itself forgotten;
//! - a batch that the broker finds too large goes again in two halves, each with its part of the sequence numbers, unless it may be in
//!   the log already: the broker would not know the halves of what it has for a repetition;
//! - a hole in the sequence, left by a batch that was given up, is closed by beginning again at sequence 0 in
//!   the next producer epoch, once nothing is on its way (KIP-360, except that batches which may be in the log already fail instead
//!   of being rewritten: those behind the refused one, and all behind a hole that may be filled late).

use super::batch::{Batch, BatchId, Stamp, after};
use crate::errors::SendError;
use crate::records::Record;
use bytes::Bytes;
use std::collections::VecDeque;
use taffrail_env::Instant;
use taffrail_record::batch::Header;
use taffrail_record::{ProducerEpoch, ProducerId, Sequence};
use taffrail_wire::ErrorCode;

/// What the broker remembers of a producer in a partition, so what may be on its way unanswered.
pub const IN_FLIGHT_MAX: usize = 5;

/// A producer id that the cluster gave, with its first epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    pub producer_id: ProducerId,
    pub producer_epoch: ProducerEpoch,
}

/// What became of one try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Acked {
        base_offset: i64,
        log_append_time_ms: i64,
    },
    Error {
        code: ErrorCode,
        message: Option<String>,
    },
    /// It was, or may have been, sent, and no answer came.
    Unanswered(String),
    /// It was certainly not sent.
    Unsent(String),
}

/// Batches that are done, with their fate: (base offset, log append time) or why not.
pub struct Done<W> {
    pub batch: Batch<W>,
    pub fate: Result<(i64, i64), SendError>,
}

/// Where the partition's next records stand in the producer's sequence.
#[derive(Clone, Copy, Debug)]
struct Place {
    identity: Identity,
    next_sequence: Sequence,
    /// A batch of this identity was acknowledged, so the broker knows which sequence is next.
    known: bool,
}

impl Place {
    fn first(identity: Identity, next_sequence: Sequence) -> Place {
        Place {
            identity,
            next_sequence,
            known: false,
        }
    }
}

/// See the module's head.
pub struct PartitionQueue<W> {
    idempotent: bool,
    /// Where the sequence of a producer id begins.
    first_sequence: Sequence,
    waiting: VecDeque<Batch<W>>,
    in_flight: VecDeque<Batch<W>>,
    place: Option<Place>,
    /// Batches that were stamped.
    turns: u64,
    /// The broker refused this batch, the earliest, as out of sequence: begin again once nothing is on its way.
    restart: Option<BatchId>,
    /// The latest batch that was given up but may be in the log, or get there late, until a later one is acknowledged.
    hole: Option<BatchId>,
    /// Why the leader was not reached the last time.
    unreachable: Option<String>,
}

impl<W> PartitionQueue<W> {
    pub fn new(idempotent: bool, first_sequence: Sequence) -> PartitionQueue<W> {
        PartitionQueue {
            idempotent,
            first_sequence,
            waiting: VecDeque::new(),
            in_flight: VecDeque::new(),
            place: None,
            turns: 0,
            restart: None,
            hole: None,
            unreachable: None,
        }
    }

    /// The batch that may still be filled.
    pub fn open_batch(&mut self) -> Option<&mut Batch<W>> {
        self.waiting
            .back_mut()
            .filter(|batch| batch.tries == 0 && batch.stamp.is_none())
    }

    /// Adds a record to the open batch, if there is one and the batch can hold this record's timestamp beside the others.
    pub fn append_to_open(&mut self, record: &Record, timestamp: i64) -> bool {
        let Some(builder) = self.open_batch().and_then(Batch::open) else {
            return false;
        };
        let headers: Vec<Header<'_>> = record
            .headers
            .iter()
            .map(|header| Header {
                key: header.key.as_bytes(),
                value: header.value.as_deref(),
            })
            .collect();
        let (key, value) = (record.key.as_deref(), record.value.as_deref());
        builder.append(timestamp, key, value, &headers).is_ok()
    }

    pub fn begin(&mut self, batch: Batch<W>) {
        self.waiting.push_back(batch);
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.in_flight.is_empty()
    }

    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The earliest batch that is not done.
    pub fn oldest_id(&self) -> Option<BatchId> {
        let waiting = self.waiting.front().map(|batch| batch.id);
        let in_flight = self.in_flight.iter().map(|batch| batch.id).min();
        waiting.into_iter().chain(in_flight).min()
    }

    /// The first waiting batch, if the order allows it to be sent now (whether it is ripe is the accumulator's question).
    pub fn candidate(&self, now: Instant) -> Option<&Batch<W>> {
        let known = self.place.is_some_and(|place| place.known);
        let limit = if self.idempotent && known {
            IN_FLIGHT_MAX
        } else {
            1
        };
        if self.restart.is_some() || self.in_flight.len() >= limit {
            return None;
        }
        let first = self.waiting.front()?;
        // A retry goes alone in front: were a later one tried beside it, it would only be refused again.
        let overtakes =
            first.stamp.is_some() && self.in_flight.iter().any(|batch| batch.id < first.id);
        let waits = overtakes || first.stamp.is_none() && self.remembered() >= limit as u64;
        (first.not_before <= now && !waits).then_some(first)
    }

    /// How many batches the broker has to remember so that it knows each of those whose fate is not known here.
    fn remembered(&self) -> u64 {
        let stamped = self.in_flight.iter().chain(&self.waiting);
        let stamped = stamped.filter(|batch| batch.stamp.is_some());
        let earliest = stamped.map(|batch| batch.turn).min();
        earliest.map_or(0, |earliest| self.turns - earliest)
    }

    /// When [`PartitionQueue::candidate`] may answer otherwise for time's sake alone.
    pub fn next_try(&self) -> Option<Instant> {
        self.waiting.front().map(|batch| batch.not_before)
    }

    /// Takes the candidate to be sent, and gives it its stamp. `identity` is `None` without idempotence.
    pub fn send(&mut self, identity: Option<Identity>) -> (BatchId, Bytes) {
        let mut batch = self.waiting.pop_front().expect("there is a candidate");
        let stamp = match (identity, batch.stamp) {
            (None, _) => None,
            (Some(_), Some(stamp)) => Some(stamp),
            (Some(identity), None) => {
                batch.turn = self.turns;
                self.turns += 1;
                Some(self.next_stamp(identity, &batch))
            }
        };
        let bytes = batch.seal(stamp);
        let sent = (batch.id, bytes);
        let place = self.in_flight.partition_point(|other| other.id < batch.id);
        self.in_flight.insert(place, batch);
        sent
    }

    fn next_stamp(&mut self, identity: Identity, batch: &Batch<W>) -> Stamp {
        let stale = self
            .place
            .is_none_or(|place| place.identity.producer_id != identity.producer_id);
        // Under a new producer id the broker knows nothing, and anything stamped with the old one goes first.
        if stale && self.in_flight.is_empty() {
            self.place = Some(Place::first(identity, self.first_sequence));
        }
        let first = Place::first(identity, self.first_sequence);
        let place = self.place.get_or_insert(first);
        let stamp = Stamp {
            producer_id: place.identity.producer_id,
            producer_epoch: place.identity.producer_epoch,
            base_sequence: place.next_sequence,
        };
        place.next_sequence = after(place.next_sequence, batch.records());
        stamp
    }

    /// A try of batch `id` ended. Answers the batch if it is done; it waits again at `retry_at(tries)` if not. Unknown ids
    /// are batches whose time was up before.
    pub fn on_outcome(
        &mut self,
        id: BatchId,
        outcome: Outcome,
        retry_at: impl FnOnce(u32) -> Instant,
    ) -> Option<Done<W>> {
        let place = self.in_flight.iter().position(|batch| batch.id == id)?;
        let mut batch = self.in_flight.remove(place).expect("it was found there");
        batch.tries = batch.tries.saturating_add(1);
        match outcome {
            Outcome::Acked {
                base_offset,
                log_append_time_ms,
            } => return self.done(batch, Ok((base_offset, log_append_time_ms))),
            Outcome::Error { code, message } => {
                return self.on_error(batch, code, message, retry_at);
            }
            Outcome::Unanswered(why) => {
                batch.unanswered = true;
                batch.last_failure = Some(why);
            }
            Outcome::Unsent(why) => batch.last_failure = Some(why),
        }
        self.try_again(batch, retry_at);
        None
    }

    fn on_error(
        &mut self,
        mut batch: Batch<W>,
        code: ErrorCode,
        message: Option<String>,
        retry_at: impl FnOnce(u32) -> Instant,
    ) -> Option<Done<W>> {
        let failure = message.clone().unwrap_or_else(|| code.name().to_owned());
        match code {
            // It is in the log, too long ago for its offset to be remembered.
            ErrorCode::DuplicateSequenceNumber => return self.done(batch, Ok((-1, -1))),
            ErrorCode::OutOfOrderSequenceNumber
            | ErrorCode::UnknownProducerId
            | ErrorCode::InvalidProducerEpoch
                if batch.stamp.is_some() =>
            {
                let earliest = self.oldest_id().is_none_or(|oldest| batch.id < oldest);
                if earliest && batch.unanswered && self.hole.is_some() {
                    return self.refuse(batch, code, message);
                }
                // Behind an earlier batch that is tried again, the refusal says nothing about this one.
                if earliest {
                    self.restart.get_or_insert(batch.id);
                }
            }
            ErrorCode::MessageTooLarge | ErrorCode::RecordListTooLarge
                if batch.records() > 1 && !batch.unanswered =>
            {
                let (first, second) = batch.split();
                self.wait(second);
                self.wait(first);
                return None;
            }
            code if code.is_retriable() => {
                let is_gone = [
                    ErrorCode::UnknownTopicId,
                    ErrorCode::UnknownTopicOrPartition,
                ];
                if let Some(place) = &mut self.place
                    && is_gone.contains(&code)
                {
                    // What is there when it is tried again may be another log, which knows nobody.
                    place.known = false;
                }
                batch.unanswered |= may_be_written(code);
            }
            _ => return self.refuse(batch, code, message),
        }
        batch.last_failure = Some(failure);
        self.try_again(batch, retry_at);
        None
    }

    fn refuse(
        &mut self,
        batch: Batch<W>,
        code: ErrorCode,
        message: Option<String>,
    ) -> Option<Done<W>> {
        let error = SendError::Refused {
            code,
            message,
            may_be_written: batch.unanswered,
        };
        self.done(batch, Err(error))
    }

    fn done(&mut self, batch: Batch<W>, fate: Result<(i64, i64), SendError>) -> Option<Done<W>> {
        if let (Ok(_), Some(place), Some(stamp)) = (&fate, &mut self.place, batch.stamp) {
            let identity = place.identity;
            let current = (identity.producer_id, identity.producer_epoch);
            place.known |= current == (stamp.producer_id, stamp.producer_epoch);
        }
        match fate {
            Ok(_) if self.hole.is_some_and(|hole| hole < batch.id) => self.hole = None,
            Err(_) if batch.unanswered => self.hole = self.hole.max(Some(batch.id)),
            Ok(_) | Err(_) => {}
        }
        Some(Done { batch, fate })
    }

    fn try_again(&mut self, mut batch: Batch<W>, retry_at: impl FnOnce(u32) -> Instant) {
        batch.not_before = retry_at(batch.tries);
        self.wait(batch);
    }

    fn wait(&mut self, batch: Batch<W>) {
        let place = self.waiting.partition_point(|other| other.id < batch.id);
        self.waiting.insert(place, batch);
    }

    /// Begins again at sequence 0 in the next epoch if that is due and nothing is on its way. Answers the batches that fail for it,
    /// and whether the epochs of the producer id are used up so that a new one is needed.
    pub fn restart_if_due(&mut self) -> (Vec<Done<W>>, bool) {
        if self.restart.is_none() || !self.in_flight.is_empty() {
            return (Vec::new(), false);
        }
        let Some(mut place) = self.place else {
            self.restart = None;
            return (Vec::new(), false);
        };
        if place.identity.producer_epoch == ProducerEpoch::MAX {
            return (Vec::new(), true);
        }
        place.identity.producer_epoch += 1;
        (self.begin_again(Place::first(place.identity, 0)), false)
    }

    /// Begins again under a new producer id.
    pub fn on_new_identity(&mut self, identity: Identity) -> Vec<Done<W>> {
        if self.restart.is_none() || !self.in_flight.is_empty() {
            return Vec::new();
        }
        self.begin_again(Place::first(identity, self.first_sequence))
    }

    fn begin_again(&mut self, mut place: Place) -> Vec<Done<W>> {
        let mut failed = Vec::new();
        let refused = self.restart.take();
        for mut batch in std::mem::take(&mut self.waiting) {
            if batch.stamp.is_some() {
                // The refused one is not there, unless its predecessor came late. Those behind it may be: a log that was made anew takes
                // any sequence first, also theirs.
                if batch.unanswered && (self.hole.is_some() || refused != Some(batch.id)) {
                    let fate = Err(SendError::Refused {
                        code: ErrorCode::OutOfOrderSequenceNumber,
                        message: batch.last_failure.clone(),
                        may_be_written: true,
                    });
                    failed.push(Done { batch, fate });
                    continue;
                }
                batch.unanswered = false;
                batch.turn = self.turns;
                self.turns += 1;
                batch.seal(Some(Stamp {
                    producer_id: place.identity.producer_id,
                    producer_epoch: place.identity.producer_epoch,
                    base_sequence: place.next_sequence,
                }));
                place.next_sequence = after(place.next_sequence, batch.records());
            }
            self.waiting.push_back(batch);
        }
        self.place = Some(place);
        self.hole = None;
        failed
    }

    /// The leader was not reached.
    pub fn on_unreachable(&mut self, why: &str) {
        self.unreachable = Some(why.to_owned());
    }

    /// Gives up what is older than its time, on its way or not.
    pub fn expire(&mut self, now: Instant) -> Vec<Done<W>> {
        let mut expired = Vec::new();
        for (queue, on_its_way) in [(&mut self.in_flight, true), (&mut self.waiting, false)] {
            // Deadlines have the order of the batches, so this stops at the first that has time left.
            while queue.front().is_some_and(|batch| batch.deadline <= now) {
                let mut batch = queue.pop_front().expect("there is a front");
                batch.unanswered |= on_its_way;
                if batch.unanswered {
                    self.hole = self.hole.max(Some(batch.id));
                }
                let fate = Err(SendError::TimedOut {
                    may_be_written: batch.unanswered,
                    last: batch.last_failure.take().or(self.unreachable.clone()),
                });
                expired.push(Done { batch, fate });
            }
        }
        expired
    }

    /// The first deadline of a delivery.
    pub fn next_expiry(&self) -> Option<Instant> {
        let fronts = [self.in_flight.front(), self.waiting.front()];
        fronts
            .into_iter()
            .flatten()
            .map(|batch| batch.deadline)
            .min()
    }

    /// Everything, when the producer ends.
    pub fn take_all(&mut self) -> Vec<Done<W>> {
        let mut all = Vec::new();
        for (queue, on_its_way) in [(&mut self.in_flight, true), (&mut self.waiting, false)] {
            for batch in queue.drain(..) {
                let fate = Err(SendError::Closed {
                    may_be_written: batch.unanswered || on_its_way,
                });
                all.push(Done { batch, fate });
            }
        }
        all
    }
}

/// Retriable refusals after which the batch may be in the log all the same.
fn may_be_written(code: ErrorCode) -> bool {
    !matches!(
        code,
        ErrorCode::NotLeaderOrFollower
            | ErrorCode::LeaderNotAvailable
            | ErrorCode::UnknownTopicOrPartition
            | ErrorCode::UnknownTopicId
            | ErrorCode::NotEnoughReplicas
            | ErrorCode::ThrottlingQuotaExceeded
    )
}

#[cfg(test)]
mod tests;
