//! G1A (aborted read): what was refused with the word that it is certainly not in the log is read by nobody, neither after that
//! nor before.

use super::{Case, Checker, Violation};
use crate::history::{Event, Written};
use std::collections::{BTreeMap, BTreeSet};
use taffrail_record::{Offset, TopicPartition};

/// Remembers what was refused, and where everything else was first read whose fate is open.
#[derive(Default)]
pub struct AbortedRead {
    refused: BTreeSet<u64>,
    /// Sends without a fate.
    open: BTreeSet<u64>,
    /// Those of them that were read already, and where.
    read: BTreeMap<u64, (TopicPartition, Offset)>,
}

impl AbortedRead {
    fn on_records(
        &mut self,
        partition: TopicPartition,
        records: &[(Offset, Written)],
    ) -> Result<(), Violation> {
        for (offset, record) in records {
            if self.refused.contains(&record.id) {
                return aborted(record.id, (partition, *offset));
            }
            if self.open.contains(&record.id) {
                self.read.entry(record.id).or_insert((partition, *offset));
            }
        }
        Ok(())
    }
}

fn aborted(id: u64, (partition, offset): (TopicPartition, Offset)) -> Result<(), Violation> {
    let witness =
        format!("record {id} was refused for certain, and read at {partition:?} offset {offset}");
    Err(Violation::new("G1A", witness))
}

impl Checker for AbortedRead {
    fn invariants(&self) -> &'static [&'static str] {
        &["G1A"]
    }

    fn holds_without_law(&self) -> bool {
        true
    }

    fn on_event(&mut self, case: &Case<'_>) -> Result<(), Violation> {
        if let Some((partition, records)) = case.read() {
            return self.on_records(partition, records);
        }
        let Some(sent) = case.sent else {
            return Ok(());
        };
        let id = sent.record.id;
        match case.event {
            Event::SendStarted { .. } => {
                self.open.insert(id);
            }
            Event::SendFailed { .. } => {
                self.open.remove(&id);
                self.refused.insert(id);
                if let Some(place) = self.read.remove(&id) {
                    return aborted(id, place);
                }
            }
            // Read or not, it may be there.
            _ => {
                self.open.remove(&id);
                self.read.remove(&id);
            }
        }
        Ok(())
    }
}
