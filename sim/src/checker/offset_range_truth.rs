//! OFFSET-RANGE-TRUTH: a reader is told "out of range" only for an offset outside of [start, end).

use super::{Checker, Violation};
use crate::history::{Event, OperationId};
use std::collections::{BTreeMap, BTreeSet};
use taffrail_record::{Offset, TopicPartition};

/// Remembers how far each log surely reached when a poll began.
#[derive(Default)]
pub struct OffsetRangeTruth {
    sends: BTreeMap<OperationId, TopicPartition>,
    acked_end: BTreeMap<TopicPartition, Offset>,
    start: BTreeMap<TopicPartition, Offset>,
    deleted: BTreeSet<TopicPartition>,
    polls: BTreeMap<OperationId, (TopicPartition, Offset, Offset)>,
}

impl Checker for OffsetRangeTruth {
    fn invariants(&self) -> &'static [&'static str] {
        &["OFFSET-RANGE-TRUTH"]
    }

    fn on_event(&mut self, event: &Event) -> Result<(), Violation> {
        match event {
            Event::SendStarted {
                operation,
                partition,
                ..
            } => {
                self.sends.insert(*operation, *partition);
            }
            Event::SendAcked { operation, offset } => {
                let partition = self
                    .sends
                    .remove(operation)
                    .expect("a send begins before it ends");
                let end = self.acked_end.entry(partition).or_default();
                *end = (*end).max(offset + 1);
            }
            Event::SendFailed { operation } | Event::SendUnknown { operation } => {
                self.sends.remove(operation);
            }
            Event::StartMoved { partition, start } => {
                let known = self.start.entry(*partition).or_default();
                *known = (*known).max(*start);
            }
            Event::DeleteStarted { partition } => {
                self.deleted.insert(*partition);
            }
            Event::PollStarted {
                operation,
                partition,
                position,
                ..
            } => {
                let end = self.acked_end.get(partition).copied().unwrap_or(0);
                self.polls.insert(*operation, (*partition, *position, end));
            }
            Event::PollAcked { operation, .. } | Event::PollFailed { operation } => {
                self.polls.remove(operation);
            }
            Event::PollOutOfRange { operation } => {
                let (partition, position, end) = self
                    .polls
                    .remove(operation)
                    .expect("a poll begins before it ends");
                let start = self.start.get(&partition).copied().unwrap_or(0);
                if start <= position && position <= end && !self.deleted.contains(&partition) {
                    let witness = format!(
                        "{partition:?} offset {position} was called out of range; the log reaches from {start} to {end} at least"
                    );
                    return Err(Violation::new("OFFSET-RANGE-TRUTH", witness));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
