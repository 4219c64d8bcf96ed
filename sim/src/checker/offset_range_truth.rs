//! OFFSET-RANGE-TRUTH: a reader is told "out of range" only for an offset outside of [start, end).
//!
//! Whoever is told so may be the first to learn that retention moved the start. The next look at the partition shows whether
//! it did; the start never falls, so what lies in the log then lay in it before.

use super::{Case, Checker, Violation};
use crate::history::{Event, OperationId};
use std::collections::BTreeMap;
use taffrail_record::{Offset, TopicPartition};

/// Remembers how far each log surely reached when a poll began.
#[derive(Default)]
pub struct OffsetRangeTruth {
    acked_end: BTreeMap<TopicPartition, Offset>,
    start: BTreeMap<TopicPartition, Offset>,
    end_at_beginning: BTreeMap<OperationId, Offset>,
    /// Positions that must lie before the start at the next look, each with how far the log surely reached.
    doubts: BTreeMap<TopicPartition, Vec<(Offset, Offset)>>,
}

impl OffsetRangeTruth {
    /// The log starts here: whoever was sent away from a place behind was told a lie.
    fn settle(&mut self, partition: TopicPartition, start: Offset) -> Result<(), Violation> {
        let doubts = self.doubts.remove(&partition).unwrap_or_default();
        match doubts.into_iter().find(|(position, _)| start <= *position) {
            None => Ok(()),
            Some((position, end)) => {
                let witness = format!(
                    "{partition:?} offset {position} was called out of range; the log reaches from {start} to {end} at least"
                );
                Err(Violation::new("OFFSET-RANGE-TRUTH", witness))
            }
        }
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
        match (case.event, case.polled) {
            (Event::StartMoved { partition, start }, _) => {
                let known = self.start.entry(*partition).or_default();
                *known = (*known).max(*start);
            }
            (Event::PollStarted { operation, .. }, Some(polled)) => {
                let end = self.acked_end.get(&polled.partition).copied();
                self.end_at_beginning.insert(*operation, end.unwrap_or(0));
            }
            (Event::PollAcked { operation, .. } | Event::PollFailed { operation }, _) => {
                self.end_at_beginning.remove(operation);
            }
            (Event::PollOutOfRange { operation }, Some(polled)) => {
                let end = self.end_at_beginning.remove(operation).unwrap_or(0);
                let (partition, position) = (polled.partition, polled.position);
                let start = self.start.get(&partition).copied().unwrap_or(0);
                if start <= position && position <= end && !case.is_deleted(partition) {
                    let doubts = self.doubts.entry(partition).or_default();
                    doubts.push((position, end));
                }
            }
            (Event::DeleteStarted { partition }, _) => {
                self.doubts.remove(partition);
            }
            (
                Event::Exposed {
                    partition, bounds, ..
                },
                _,
            ) => return self.settle(*partition, bounds.start),
            (
                Event::ReadBack {
                    partition, start, ..
                },
                _,
            ) => return self.settle(*partition, *start),
            _ => {}
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Violation> {
        let starts = std::mem::take(&mut self.start);
        let left: Vec<TopicPartition> = self.doubts.keys().copied().collect();
        left.into_iter().try_for_each(|partition| {
            self.settle(partition, starts.get(&partition).copied().unwrap_or(0))
        })
    }
}
