//! LOG-MATCH, on one node: the log equals its own re-read after a restart, record by record.

use super::{Case, Checker, Violation};
use crate::history::{Event, Written};
use std::collections::BTreeMap;
use taffrail_record::{Offset, TopicPartition};

/// Remembers the last whole reading of each partition.
#[derive(Default)]
pub struct LogMatch {
    before: BTreeMap<TopicPartition, (u32, BTreeMap<Offset, Written>)>,
}

impl LogMatch {
    fn on_read_back(
        &mut self,
        case: &Case<'_>,
        round: u32,
        partition: TopicPartition,
        start: Offset,
        records: &[(Offset, Written)],
    ) -> Result<(), Violation> {
        let differs = |witness: String| Err(Violation::new("LOG-MATCH", witness));
        let mut now: BTreeMap<Offset, Written> = records.iter().copied().collect();
        if now.len() != records.len() {
            return differs(format!(
                "{partition:?} returned an offset twice in round {round}"
            ));
        }
        if let Some((earlier, before)) = self.before.get(&partition) {
            for (offset, record) in before.range(start..) {
                if case.was_refused(round, partition, *offset) {
                    // It is due again once it can be read.
                    now.insert(*offset, *record);
                } else if now.get(offset) != Some(record) {
                    return differs(format!(
                        "{partition:?} offset {offset} held record {} in round {earlier} and {:?} in round {round}",
                        record.id,
                        now.get(offset).map(|record| record.id)
                    ));
                }
            }
        }
        self.before.insert(partition, (round, now));
        Ok(())
    }
}

impl Checker for LogMatch {
    fn invariants(&self) -> &'static [&'static str] {
        &["LOG-MATCH"]
    }

    fn on_event(&mut self, case: &Case<'_>) -> Result<(), Violation> {
        match case.event {
            Event::ReadBack {
                round,
                partition,
                start,
                records,
                ..
            } => return self.on_read_back(case, *round, *partition, *start, records),
            Event::ReadBackRefused {
                round,
                partition,
                from,
                to,
            } if !case.may_refuse(*partition, *from, *to) => {
                if let Some((earlier, _)) = self.before.get(partition) {
                    let witness = format!(
                        "{partition:?} was read in round {earlier} and cannot be read in round {round}"
                    );
                    return Err(Violation::new("LOG-MATCH", witness));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
