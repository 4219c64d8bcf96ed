//! NO-CROSS-TOPIC: what a partition returns was produced to that very topic id and partition.

use super::{Checker, Violation};
use crate::history::{Event, OperationId, Written};
use std::collections::BTreeMap;
use taffrail_record::{Offset, TopicPartition};

/// Remembers where each record was sent, and what each open poll reads.
#[derive(Default)]
pub struct NoCrossTopic {
    home: BTreeMap<u64, TopicPartition>,
    polls: BTreeMap<OperationId, TopicPartition>,
}

impl NoCrossTopic {
    fn check(
        &self,
        partition: TopicPartition,
        records: &[(Offset, Written)],
    ) -> Result<(), Violation> {
        for (offset, record) in records {
            if let Some(home) = self.home.get(&record.id)
                && *home != partition
            {
                let witness = format!(
                    "{partition:?} returned at offset {offset} record {} of {home:?}",
                    record.id
                );
                return Err(Violation::new("NO-CROSS-TOPIC", witness));
            }
        }
        Ok(())
    }
}

impl Checker for NoCrossTopic {
    fn invariants(&self) -> &'static [&'static str] {
        &["NO-CROSS-TOPIC"]
    }

    fn on_event(&mut self, event: &Event) -> Result<(), Violation> {
        match event {
            Event::SendStarted {
                partition, record, ..
            } => {
                self.home.insert(record.id, *partition);
            }
            Event::PollStarted {
                operation,
                partition,
                ..
            } => {
                self.polls.insert(*operation, *partition);
            }
            Event::PollAcked {
                operation, records, ..
            } => {
                let partition = self
                    .polls
                    .remove(operation)
                    .expect("a poll begins before it ends");
                return self.check(partition, records);
            }
            Event::PollOutOfRange { operation } | Event::PollFailed { operation } => {
                self.polls.remove(operation);
            }
            Event::ReadBack {
                partition, records, ..
            } => return self.check(*partition, records),
            _ => {}
        }
        Ok(())
    }
}
