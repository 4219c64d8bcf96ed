//! ACKED-DURABLE: every acknowledged record is present, at its offset, in every later committed log, unless
//! retention or an explicit delete covers it.

use super::{Case, Checker, Violation};
use crate::history::{Event, Written};
use std::collections::BTreeMap;
use taffrail_record::{Offset, TopicPartition};

/// Remembers every acknowledged record that must still be there.
#[derive(Default)]
pub struct AckedDurable {
    acked: BTreeMap<TopicPartition, BTreeMap<Offset, u64>>,
    /// Where each partition may start, at the most.
    start: BTreeMap<TopicPartition, Offset>,
    damaged: bool,
}

impl AckedDurable {
    fn on_read_back(
        &self,
        partition: TopicPartition,
        start: Offset,
        end: Offset,
        records: &[(Offset, Written)],
    ) -> Result<(), Violation> {
        let Some(acked) = self.acked.get(&partition) else {
            return Ok(());
        };
        let lost = |witness: String| Err(Violation::new("ACKED-DURABLE", witness));
        let allowed = self.start.get(&partition).copied().unwrap_or(0);
        if start > allowed {
            return lost(format!(
                "{partition:?} starts at {start}; nothing moved its start past {allowed}"
            ));
        }
        let present: BTreeMap<Offset, u64> = records
            .iter()
            .map(|(offset, record)| (*offset, record.id))
            .collect();
        for (offset, id) in acked.range(start..) {
            if !present.contains_key(offset) {
                return lost(format!(
                    "record {id}, acknowledged at {partition:?} offset {offset}, is gone; the log was read from {start} to {end}"
                ));
            }
        }
        Ok(())
    }
}

impl Checker for AckedDurable {
    fn invariants(&self) -> &'static [&'static str] {
        &["ACKED-DURABLE"]
    }

    fn on_event(&mut self, case: &Case<'_>) -> Result<(), Violation> {
        if let Some((sent, offset)) = case.acked() {
            let acked = self.acked.entry(sent.partition).or_default();
            acked.insert(offset, sent.record.id);
        }
        match case.event {
            Event::StartMoved { partition, start } => {
                let allowed = self.start.entry(*partition).or_default();
                *allowed = (*allowed).max(*start);
            }
            Event::DamageAllowed { .. } => self.damaged = true,
            Event::ReadBack {
                partition,
                start,
                end,
                records,
                ..
            } if !case.is_deleted(*partition) => {
                return self.on_read_back(*partition, *start, *end, records);
            }
            Event::ReadBackRefused { partition, .. }
                if !self.damaged && !case.is_deleted(*partition) =>
            {
                let witness = format!("{partition:?} cannot be read back, and no disk was damaged");
                return Err(Violation::new("ACKED-DURABLE", witness));
            }
            _ => {}
        }
        Ok(())
    }
}
