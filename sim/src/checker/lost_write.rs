//! LOST-WRITE: what a reader was given is in every later reading of the whole log, whatever its producer was told, unless the log
//! starts behind it by then.

use super::{Case, Checker, Violation};
use crate::history::Event;
use std::collections::{BTreeMap, BTreeSet};
use taffrail_record::{Offset, TopicPartition};

/// Remembers what was read at each offset.
#[derive(Default)]
pub struct LostWrite {
    read: BTreeMap<TopicPartition, BTreeMap<Offset, u64>>,
}

impl Checker for LostWrite {
    fn invariants(&self) -> &'static [&'static str] {
        &["LOST-WRITE"]
    }

    fn on_event(&mut self, case: &Case<'_>) -> Result<(), Violation> {
        if let Some((partition, records)) = case.read() {
            let read = self.read.entry(partition).or_default();
            read.extend(records.iter().map(|(offset, record)| (*offset, record.id)));
        }
        let Event::ReadBack {
            round,
            partition,
            start,
            end,
            records,
        } = case.event
        else {
            return Ok(());
        };
        if case.is_deleted(*partition) {
            return Ok(());
        }
        let present: BTreeSet<u64> = records.iter().map(|(_, record)| record.id).collect();
        let read = self.read.get(partition).into_iter();
        let due = read.flat_map(|read| read.range(start..));
        for (offset, id) in due {
            if !present.contains(id) && !case.was_refused(*round, *partition, *offset) {
                let witness = format!(
                    "record {id} was read at {partition:?} offset {offset}, and is gone; the log was read from {start} to {end}"
                );
                return Err(Violation::new("LOST-WRITE", witness));
            }
        }
        Ok(())
    }
}
