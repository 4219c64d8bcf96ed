//! READ-COMMITTED-PREFIX: a consumer sees only what is below the high watermark, in order, from where it asked, without
//! a hole that nothing explains; and a node goes by no metadata that have not committed.

use super::{Case, Checker, Violation};
use crate::history::{Event, Written};
use crate::trace::label_of;
use taffrail_record::{Offset, TopicPartition};

/// Nothing to remember: each answer is held against its question.
pub struct ReadCommittedPrefix;

fn check(
    partition: TopicPartition,
    position: Offset,
    records: &[(Offset, Written)],
    high_watermark: Offset,
    may_lack: impl Fn(Offset) -> bool,
) -> Result<(), Violation> {
    let broken = |witness: String| Err(Violation::new("READ-COMMITTED-PREFIX", witness));
    let mut expected = position;
    for (offset, record) in records {
        while expected < *offset && may_lack(expected) {
            expected += 1;
        }
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

    fn holds_without_law(&self) -> bool {
        true
    }

    fn on_event(&mut self, case: &Case<'_>) -> Result<(), Violation> {
        match (case.event, case.polled) {
            (
                Event::PollAcked {
                    records,
                    high_watermark,
                    ..
                },
                Some(polled),
            ) => check(
                polled.partition,
                polled.position,
                records,
                *high_watermark,
                |_| false,
            ),
            (
                Event::ReadBack {
                    round,
                    partition,
                    start,
                    end,
                    records,
                },
                _,
            ) => check(*partition, *start, records, *end, |offset| {
                case.was_refused(*round, *partition, offset)
            }),
            (
                Event::MetadataShown {
                    node,
                    applied,
                    committed,
                    ..
                },
                _,
            ) if applied > committed => Err(Violation::new(
                "READ-COMMITTED-PREFIX",
                format!(
                    "{} goes by metadata up to offset {applied}, and {committed} had committed",
                    label_of(*node)
                ),
            )),
            _ => Ok(()),
        }
    }
}
