//! ACKED-DURABLE: every acknowledged record is present, at its offset, in every later committed log, unless
//! retention or an explicit delete covers it.

use super::{Checker, Violation};
use crate::history::{Event, OperationId, Written};
use std::collections::{BTreeMap, BTreeSet};
use taffrail_record::{Offset, TopicPartition};

/// Remembers every acknowledged record that must still be there.
#[derive(Default)]
pub struct AckedDurable {
    sends: BTreeMap<OperationId, (TopicPartition, u64)>,
    acked: BTreeMap<TopicPartition, BTreeMap<Offset, u64>>,
    /// Where each partition may start, at the most.
    start: BTreeMap<TopicPartition, Offset>,
    deleted: BTreeSet<TopicPartition>,
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
        if self.deleted.contains(&partition) {
            return Ok(());
        }
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

    fn on_event(&mut self, event: &Event) -> Result<(), Violation> {
        match event {
            Event::SendStarted {
                operation,
                partition,
                record,
                ..
            } => {
                self.sends.insert(*operation, (*partition, record.id));
            }
            Event::SendAcked { operation, offset } => {
                let (partition, id) = self
                    .sends
                    .remove(operation)
                    .expect("a send begins before it ends");
                self.acked.entry(partition).or_default().insert(*offset, id);
            }
            Event::SendFailed { operation } | Event::SendUnknown { operation } => {
                self.sends.remove(operation);
            }
            Event::StartMoved { partition, start } => {
                let allowed = self.start.entry(*partition).or_default();
                *allowed = (*allowed).max(*start);
            }
            Event::DeleteStarted { partition } => {
                self.deleted.insert(*partition);
            }
            Event::DamageAllowed { .. } => self.damaged = true,
            Event::ReadBack {
                partition,
                start,
                end,
                records,
                ..
            } => {
                return self.on_read_back(*partition, *start, *end, records);
            }
            Event::ReadBackRefused { partition, .. }
                if !self.damaged && !self.deleted.contains(partition) =>
            {
                let witness = format!("{partition:?} cannot be read back, and no disk was damaged");
                return Err(Violation::new("ACKED-DURABLE", witness));
            }
            _ => {}
        }
        Ok(())
    }
}
