//! ACKED-OFFSET: the offset in an acknowledgement is the offset of that very record for ever.

use super::{Case, Checker, Violation};
use crate::history::Written;
use std::collections::BTreeMap;
use taffrail_record::{Offset, TopicPartition};

/// Remembers what each acknowledgement claimed, both ways round.
#[derive(Default)]
pub struct AckedOffset {
    /// The record that was acknowledged at a place.
    at: BTreeMap<(TopicPartition, Offset), u64>,
    /// The places where a record was seen; two for one that an ordinary producer sent twice.
    seen_at: BTreeMap<(TopicPartition, Offset), u64>,
}

impl AckedOffset {
    fn on_acked(&mut self, place: (TopicPartition, Offset), id: u64) -> Result<(), Violation> {
        let (partition, offset) = place;
        if let Some(other) = self.at.insert(place, id) {
            let witness = format!(
                "records {other} and {id} were both acknowledged at {partition:?} offset {offset}"
            );
            return Err(Violation::new("ACKED-OFFSET", witness));
        }
        self.compare(place, id, self.seen_at.get(&place).copied())
    }

    fn compare(
        &self,
        place: (TopicPartition, Offset),
        acked: u64,
        seen: Option<u64>,
    ) -> Result<(), Violation> {
        match seen {
            Some(seen) if seen != acked => {
                let (partition, offset) = place;
                let witness = format!(
                    "{partition:?} offset {offset} was acknowledged for record {acked} and holds record {seen}"
                );
                Err(Violation::new("ACKED-OFFSET", witness))
            }
            _ => Ok(()),
        }
    }

    fn on_records(
        &mut self,
        partition: TopicPartition,
        records: &[(Offset, Written)],
    ) -> Result<(), Violation> {
        for (offset, record) in records {
            let place = (partition, *offset);
            self.seen_at.insert(place, record.id);
            if let Some(acked) = self.at.get(&place) {
                self.compare(place, *acked, Some(record.id))?;
            }
        }
        Ok(())
    }
}

impl Checker for AckedOffset {
    fn invariants(&self) -> &'static [&'static str] {
        &["ACKED-OFFSET"]
    }

    fn on_event(&mut self, case: &Case<'_>) -> Result<(), Violation> {
        if let Some((sent, offset)) = case.acked() {
            self.on_acked((sent.partition, offset), sent.record.id)?;
        }
        match case.read() {
            Some((partition, records)) => self.on_records(partition, records),
            None => Ok(()),
        }
    }
}
