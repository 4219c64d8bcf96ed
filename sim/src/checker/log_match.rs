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

impl Checker for LogMatch {
    fn invariants(&self) -> &'static [&'static str] {
        &["LOG-MATCH"]
    }

    fn on_event(&mut self, case: &Case<'_>) -> Result<(), Violation> {
        let Event::ReadBack {
            round,
            partition,
            start,
            records,
            ..
        } = case.event
        else {
            return Ok(());
        };
        let now: BTreeMap<Offset, Written> = records.iter().copied().collect();
        if now.len() != records.len() {
            return Err(Violation::new(
                "LOG-MATCH",
                format!("{partition:?} returned an offset twice in round {round}"),
            ));
        }
        if let Some((earlier, before)) = self.before.get(partition) {
            for (offset, record) in before.range(start..) {
                if now.get(offset) != Some(record) {
                    let witness = format!(
                        "{partition:?} offset {offset} held record {} in round {earlier} and {:?} in round {round}",
                        record.id,
                        now.get(offset).map(|record| record.id)
                    );
                    return Err(Violation::new("LOG-MATCH", witness));
                }
            }
        }
        self.before.insert(*partition, (*round, now));
        Ok(())
    }
}
