//! LINEAR-READ: an end offset asked for after a record was acknowledged lies beyond that record, and never falls; nor does a broker show
//! afterwards that what consumers may read ends before it.

use super::{Case, Checker, Violation};
use crate::history::{Event, OperationId};
use std::collections::BTreeMap;
use taffrail_record::{Offset, TopicPartition};

/// Remembers how far each log is known to reach, and how far it was known to reach when a question was asked.
#[derive(Default)]
pub struct LinearRead {
    known: BTreeMap<TopicPartition, Offset>,
    /// How far it was known to reach when it was last looked at. A look takes its time, so that it may show less than is known by its end.
    looked: BTreeMap<TopicPartition, Offset>,
    asked: BTreeMap<OperationId, (TopicPartition, Offset)>,
}

impl LinearRead {
    fn raise(&mut self, partition: TopicPartition, end: Offset) {
        let known = self.known.entry(partition).or_default();
        *known = (*known).max(end);
    }
}

impl Checker for LinearRead {
    fn invariants(&self) -> &'static [&'static str] {
        &["LINEAR-READ"]
    }

    fn on_event(&mut self, case: &Case<'_>) -> Result<(), Violation> {
        if let Some((sent, offset)) = case.acked() {
            self.raise(sent.partition, offset + 1);
        }
        match case.event {
            Event::EndStarted {
                operation,
                partition,
                ..
            } => {
                let known = self.known.get(partition).copied().unwrap_or(0);
                self.asked.insert(*operation, (*partition, known));
            }
            Event::EndAcked { operation, end } => {
                let (partition, known) = self
                    .asked
                    .remove(operation)
                    .expect("a question comes before its answer");
                if *end < known && !case.is_deleted(partition) {
                    let witness = format!(
                        "{partition:?} was said to end at {end} after offset {} was acknowledged",
                        known - 1
                    );
                    return Err(Violation::new("LINEAR-READ", witness));
                }
                self.raise(partition, *end);
            }
            Event::Exposed {
                partition, bounds, ..
            } => {
                let now = self.known.get(partition).copied().unwrap_or(0);
                let known = self.looked.insert(*partition, now).unwrap_or(0);
                if bounds.high_watermark < known && !case.is_deleted(*partition) {
                    let witness = format!(
                        "{partition:?} may be read up to {}, and was said to end at {known} before",
                        bounds.high_watermark
                    );
                    return Err(Violation::new("LINEAR-READ", witness));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
