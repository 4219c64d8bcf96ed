//! READ-COMMITTED-PREFIX: a consumer sees only what is below the high watermark, in order, from where it asked, without
//! a hole that nothing explains.

use super::{Checker, Violation};
use crate::history::{Event, OperationId, Written};
use std::collections::BTreeMap;
use taffrail_record::{Offset, TopicPartition};

/// Remembers where each open poll reads from.
#[derive(Default)]
pub struct ReadCommittedPrefix {
    polls: BTreeMap<OperationId, (TopicPartition, Offset)>,
}

fn check(
    partition: TopicPartition,
    position: Offset,
    records: &[(Offset, Written)],
    high_watermark: Offset,
) -> Result<(), Violation> {
    let broken = |witness: String| Err(Violation::new("READ-COMMITTED-PREFIX", witness));
    let mut expected = position;
    for (offset, record) in records {
        if *offset != expected {
            return broken(format!(
                "{partition:?} read from {position} returned offset {offset} (record {}) where {expected} was due",
                record.id
            ));
        }
        expected += 1;
    }
    if expected > high_watermark && !records.is_empty() {
        return broken(format!(
            "{partition:?} read from {position} returned offsets up to {expected}, beyond the high watermark {high_watermark} it named"
        ));
    }
    Ok(())
}

impl Checker for ReadCommittedPrefix {
    fn invariants(&self) -> &'static [&'static str] {
        &["READ-COMMITTED-PREFIX"]
    }

    fn on_event(&mut self, event: &Event) -> Result<(), Violation> {
        match event {
            Event::PollStarted {
                operation,
                partition,
                position,
                ..
            } => {
                self.polls.insert(*operation, (*partition, *position));
            }
            Event::PollAcked {
                operation,
                records,
                high_watermark,
            } => {
                let (partition, position) = self
                    .polls
                    .remove(operation)
                    .expect("a poll begins before it ends");
                return check(partition, position, records, *high_watermark);
            }
            Event::PollOutOfRange { operation } | Event::PollFailed { operation } => {
                self.polls.remove(operation);
            }
            Event::ReadBack {
                partition,
                start,
                end,
                records,
                ..
            } => return check(*partition, *start, records, *end),
            _ => {}
        }
        Ok(())
    }
}
