//! NO-CROSS-TOPIC: what a partition returns was produced to that very topic id and partition. TOPIC-ID: above all, a topic returns
//! nothing of another one that was deleted, whatever their names.

use super::{Case, Checker, Violation};
use crate::history::{Event, Written};
use std::collections::BTreeMap;
use taffrail_record::{Offset, TopicPartition};

/// Remembers where each record was sent.
#[derive(Default)]
pub struct NoCrossTopic {
    home: BTreeMap<u64, TopicPartition>,
}

impl NoCrossTopic {
    fn check(
        &self,
        case: &Case<'_>,
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
                let invariant = match case.is_deleted(*home) {
                    true => "TOPIC-ID",
                    false => "NO-CROSS-TOPIC",
                };
                return Err(Violation::new(invariant, witness));
            }
        }
        Ok(())
    }
}

impl Checker for NoCrossTopic {
    fn invariants(&self) -> &'static [&'static str] {
        &["NO-CROSS-TOPIC", "TOPIC-ID"]
    }

    fn holds_without_law(&self) -> bool {
        true
    }

    fn on_event(&mut self, case: &Case<'_>) -> Result<(), Violation> {
        if let Event::SendStarted {
            partition, record, ..
        } = case.event
        {
            self.home.insert(record.id, *partition);
        }
        match case.read() {
            Some((partition, records)) => self.check(case, partition, records),
            None => Ok(()),
        }
    }
}
