//! OFFSET-RANGE-TRUTH: a reader is told "out of range" if, and only if, it asks for an offset outside of [start, end); and where the
//! start is said to be, it is.
//!
//! The start moves by retention and on request, only forward. So an answer that names it lies between the start as it was known
//! before the question and the start as it is seen afterwards. Whoever is told "out of range" may be the first to
//! learn that it moved: the next look at the partition shows whether it did, and what lies in the log then lay in it
//! before.

use super::{Case, Checker, Violation};
use crate::history::{Event, OperationId};
use std::collections::BTreeMap;
use taffrail_record::{Offset, TopicPartition};

/// What was known when a poll began.
#[derive(Clone, Copy)]
struct Begun {
    /// The log reached so far at least.
    end: Offset,
    /// It started here at least, and whoever asks is told what was found after that.
    start: Option<Offset>,
}

/// Remembers how far each log surely reached, and where it surely started.
#[derive(Default)]
pub struct OffsetRangeTruth {
    /// Where all logs begin.
    first: Offset,
    acked_end: BTreeMap<TopicPartition, Offset>,
    /// Where each log may start, at the most, as far as somebody said beforehand.
    start_max: BTreeMap<TopicPartition, Offset>,
    /// Where each was seen, or said, to start.
    start: BTreeMap<TopicPartition, Offset>,
    polls: BTreeMap<OperationId, Begun>,
    /// Open questions for the start, and where it was known to be when they were asked.
    asked: BTreeMap<OperationId, (TopicPartition, Offset)>,
    /// Positions that must lie before the start at the next look, each with how far the log surely reached.
    doubts: BTreeMap<TopicPartition, Vec<(Offset, Offset)>>,
}

fn broken(witness: String) -> Result<(), Violation> {
    Err(Violation::new("OFFSET-RANGE-TRUTH", witness))
}

impl OffsetRangeTruth {
    fn known_start(&self, partition: TopicPartition) -> Offset {
        self.start.get(&partition).copied().unwrap_or(0)
    }

    fn raise_start(&mut self, partition: TopicPartition, start: Offset) {
        let known = self.start.entry(partition).or_default();
        *known = (*known).max(start);
    }

    /// The log starts here. Whoever was sent away from a place behind was told a lie, and so was whoever was told of a later start.
    fn on_look(&mut self, partition: TopicPartition, start: Offset) -> Result<(), Violation> {
        let known = self.known_start(partition);
        if start < known {
            return broken(format!(
                "{partition:?} was seen or said to start at {known}, and starts at {start}"
            ));
        }
        self.raise_start(partition, start);
        let doubts = self.doubts.remove(&partition).unwrap_or_default();
        match doubts.into_iter().find(|(position, _)| start <= *position) {
            None => Ok(()),
            Some((position, end)) => broken(format!(
                "{partition:?} offset {position} was called out of range; the log reaches from {start} to {end} at least"
            )),
        }
    }

    fn on_poll_event(&mut self, case: &Case<'_>) -> Result<(), Violation> {
        let Some(polled) = case.polled else {
            return Ok(());
        };
        let (partition, position) = (polled.partition, polled.position);
        match case.event {
            Event::PollStarted {
                operation, fresh, ..
            } => {
                let begun = Begun {
                    end: self.acked_end.get(&partition).copied().unwrap_or(0),
                    start: fresh.then(|| self.known_start(partition)),
                };
                self.polls.insert(*operation, begun);
            }
            Event::PollAcked { operation, .. } => {
                let begun = self.polls.remove(operation);
                if let Some(start) = begun.and_then(|begun| begun.start)
                    && position < start
                {
                    return broken(format!(
                        "{partition:?} was read from {position}; it started at {start} by then"
                    ));
                }
            }
            Event::PollOutOfRange { operation } => {
                let end = self.polls.remove(operation).map_or(0, |begun| begun.end);
                let moved = self.start_max.get(&partition).copied();
                let start = moved.unwrap_or_default().max(self.first);
                if start <= position && position <= end && !case.is_deleted(partition) {
                    let doubts = self.doubts.entry(partition).or_default();
                    doubts.push((position, end));
                }
            }
            Event::PollFailed { operation } => {
                self.polls.remove(operation);
            }
            _ => {}
        }
        Ok(())
    }

    fn on_start_told(
        &mut self,
        case: &Case<'_>,
        operation: OperationId,
        start: Offset,
    ) -> Result<(), Violation> {
        let Some((partition, known)) = self.asked.remove(&operation) else {
            return Ok(());
        };
        if case.is_deleted(partition) {
            return Ok(());
        }
        if start < known {
            return broken(format!(
                "{partition:?} was said to start at {start}; it started at {known} when that was asked"
            ));
        }
        self.raise_start(partition, start);
        Ok(())
    }
}

impl Checker for OffsetRangeTruth {
    fn invariants(&self) -> &'static [&'static str] {
        &["OFFSET-RANGE-TRUTH"]
    }

    fn on_event(&mut self, case: &Case<'_>) -> Result<(), Violation> {
        if let Some((sent, offset)) = case.acked() {
            let end = self.acked_end.entry(sent.partition).or_default();
            *end = (*end).max(offset + 1);
        }
        match case.event {
            Event::LogsBegin { offset } => {
                self.first = *offset;
                Ok(())
            }
            Event::StartMoved { partition, start } => {
                let known = self.start_max.entry(*partition).or_default();
                *known = (*known).max(*start);
                Ok(())
            }
            Event::EarliestStarted {
                operation,
                partition,
                ..
            } => {
                let known = self.known_start(*partition);
                self.asked.insert(*operation, (*partition, known));
                Ok(())
            }
            Event::EarliestAcked { operation, start } => {
                self.on_start_told(case, *operation, *start)
            }
            Event::DeleteStarted { partition } => {
                self.doubts.remove(partition);
                Ok(())
            }
            Event::Exposed {
                partition, bounds, ..
            } if !case.is_deleted(*partition) => self.on_look(*partition, bounds.start),
            // Told when everything is read; a look may have seen a later start meanwhile. What was known when the start was asked for, that
            // question was held against.
            Event::ReadBack {
                partition, start, ..
            } if !case.is_deleted(*partition) && *start >= self.known_start(*partition) => {
                self.on_look(*partition, *start)
            }
            _ => self.on_poll_event(case),
        }
    }

    fn finish(&mut self) -> Result<(), Violation> {
        let doubted: Vec<TopicPartition> = self.doubts.keys().copied().collect();
        doubted
            .into_iter()
            .try_for_each(|partition| self.on_look(partition, self.known_start(partition)))
    }
}
