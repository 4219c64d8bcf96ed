//! ACKED-OFFSET: the offset in an acknowledgement is the offset of that very record for ever.

use super::{Checker, Violation};
use crate::history::{Event, OperationId, Written};
use std::collections::BTreeMap;
use taffrail_record::{Offset, TopicPartition};

/// Remembers what each acknowledgement claimed, both ways round.
#[derive(Default)]
pub struct AckedOffset {
    sends: BTreeMap<OperationId, (TopicPartition, u64)>,
    polls: BTreeMap<OperationId, TopicPartition>,
    /// The record that was acknowledged at a place.
    at: BTreeMap<(TopicPartition, Offset), u64>,
    /// The places where a record was seen; two for one that an ordinary producer sent twice.
    seen_at: BTreeMap<(TopicPartition, Offset), u64>,
}

impl AckedOffset {
    fn on_acked(&mut self, operation: OperationId, offset: Offset) -> Result<(), Violation> {
        let (partition, id) = self
            .sends
            .remove(&operation)
            .expect("a send begins before it ends");
        let place = (partition, offset);
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
            Event::SendFailed { operation } | Event::SendUnknown { operation } => {
                self.sends.remove(operation);
            }
            Event::SendAcked { operation, offset } => return self.on_acked(*operation, *offset),
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
                return self.on_records(partition, records);
            }
            Event::PollOutOfRange { operation } | Event::PollFailed { operation } => {
                self.polls.remove(operation);
            }
            Event::ReadBack {
                partition, records, ..
            } => return self.on_records(*partition, records),
            _ => {}
        }
        Ok(())
    }
}
