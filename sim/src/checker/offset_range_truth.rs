//! OFFSET-RANGE-TRUTH: a reader is told "out of range" only for an offset outside of [start, end).

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
