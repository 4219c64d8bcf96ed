//! OFFSET-UNIQUE: in one partition no offset is ever bound to two different committed contents, and the end of the
//! committed log never falls.

use super::{Case, Checker, Violation};
use crate::history::{Event, Written};
use std::collections::BTreeMap;
use taffrail_record::{Offset, TopicPartition};

/// Remembers what was ever read at each offset, and how far each log was ever seen to reach.
#[derive(Default)]
pub struct OffsetUnique {
    contents: BTreeMap<(TopicPartition, Offset), Written>,
    end: BTreeMap<TopicPartition, Offset>,
}

impl OffsetUnique {
    fn on_records(
        &mut self,
        partition: TopicPartition,
        records: &[(Offset, Written)],
    ) -> Result<(), Violation> {
        for (offset, record) in records {
            if let Some(before) = self.contents.insert((partition, *offset), *record)
                && before != *record
            {
                let witness = format!(
                    "{partition:?} offset {offset} held record {} and later record {}",
                    before.id, record.id
                );
                return Err(Violation::new("OFFSET-UNIQUE", witness));
            }
            let end = self.end.entry(partition).or_default();
            *end = (*end).max(offset + 1);
        }
        Ok(())
    }

    fn on_end(&mut self, partition: TopicPartition, now: Offset) -> Result<(), Violation> {
        let end = self.end.entry(partition).or_default();
        if now < *end {
            let witness =
                format!("{partition:?} ends at {now}, and was committed up to {end} before");
            return Err(Violation::new("OFFSET-UNIQUE", witness));
        }
        *end = (*end).max(now);
        Ok(())
    }
}

impl Checker for OffsetUnique {
    fn invariants(&self) -> &'static [&'static str] {
        &["OFFSET-UNIQUE"]
    }

    fn on_event(&mut self, case: &Case<'_>) -> Result<(), Violation> {
        if let Some((partition, records)) = case.read() {
            self.on_records(partition, records)?;
        }
        match case.event {
            Event::ReadBack { partition, end, .. } if !case.is_deleted(*partition) => {
                self.on_end(*partition, *end)
            }
            _ => Ok(()),
        }
    }
}
