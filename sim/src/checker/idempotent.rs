//! IDEMPOTENT: what an idempotent producer sent to a partition is in the log at most once, in the order in which it was sent,
//! and what it sends next is taken. NONMONOTONIC-SEND: of two of its sends to a partition, the later one is not acknowledged at a lower
//! offset.

use super::{Case, Checker, Sent, Violation};
use crate::history::{ClientId, Event, Written};
use std::collections::BTreeMap;
use taffrail_record::{Offset, TopicPartition};

/// Remembers who sent each record, and as which of its sends to that partition.
#[derive(Default)]
pub struct Idempotent {
    sent: BTreeMap<u64, (ClientId, u64)>,
    count: BTreeMap<(ClientId, TopicPartition), u64>,
    /// Where those sends are that were acknowledged, by their numbers.
    acked: BTreeMap<(ClientId, TopicPartition), BTreeMap<u64, Offset>>,
}

impl Idempotent {
    fn on_log(
        &self,
        partition: TopicPartition,
        records: &[(Offset, Written)],
    ) -> Result<(), Violation> {
        let mut last: BTreeMap<ClientId, (u64, Offset)> = BTreeMap::new();
        for (offset, record) in records {
            let Some((client, number)) = self.sent.get(&record.id) else {
                continue;
            };
            if let Some((before, at)) = last.insert(*client, (*number, *offset))
                && before >= *number
            {
                let how = if before == *number {
                    "twice"
                } else {
                    "out of order"
                };
                let witness = format!(
                    "{partition:?} holds sends of producer {client} {how}: number {before} at offset {at}, number {number} at offset {offset}"
                );
                return Err(Violation::new("IDEMPOTENT", witness));
            }
        }
        Ok(())
    }
}

impl Idempotent {
    fn on_acked(&mut self, sent: Sent, offset: Offset) -> Result<(), Violation> {
        let Some((client, number)) = self.sent.get(&sent.record.id) else {
            return Ok(());
        };
        let acked = self.acked.entry((*client, sent.partition)).or_default();
        let before = acked.range(..number).next_back();
        let after = acked.range(number..).next();
        let wrong = before.filter(|(_, at)| **at >= offset);
        let wrong = wrong.or(after.filter(|(_, at)| **at <= offset));
        if let Some((other, at)) = wrong {
            let witness = format!(
                "producer {client} has send number {number} to {:?} at offset {offset}, and number {other} at offset {at}",
                sent.partition
            );
            return Err(Violation::new("NONMONOTONIC-SEND", witness));
        }
        acked.insert(*number, offset);
        Ok(())
    }
}

impl Checker for Idempotent {
    fn invariants(&self) -> &'static [&'static str] {
        &["IDEMPOTENT", "NONMONOTONIC-SEND"]
    }

    fn on_event(&mut self, case: &Case<'_>) -> Result<(), Violation> {
        if let Some((sent, offset)) = case.acked() {
            return self.on_acked(sent, offset);
        }
        match case.event {
            Event::SendStarted {
                client,
                partition,
                record,
                idempotent: true,
                ..
            } => {
                let count = self.count.entry((*client, *partition)).or_default();
                self.sent.insert(record.id, (*client, *count));
                *count += 1;
                Ok(())
            }
            Event::SequenceRefused {
                operation,
                partition,
                why,
            } if !case.is_deleted(*partition) => Err(Violation::new(
                "IDEMPOTENT",
                format!(
                    "operation {operation}, a producer's next to {partition:?}, was refused: {why}"
                ),
            )),
            Event::ReadBack {
                partition, records, ..
            } => self.on_log(*partition, records),
            _ => Ok(()),
        }
    }
}
