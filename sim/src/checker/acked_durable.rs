//! ACKED-DURABLE: every acknowledged record is present, at its offset, in every later committed log, unless
//! retention or an explicit delete covers it.

use super::{Case, Checker, Violation};
use crate::history::{Event, Grievance, Stop};
use std::collections::{BTreeMap, BTreeSet};
use taffrail_record::{Offset, TopicPartition};

/// Remembers every acknowledged record that must still be there.
#[derive(Default)]
pub struct AckedDurable {
    /// Where all logs begin.
    first: Offset,
    acked: BTreeMap<TopicPartition, BTreeMap<Offset, u64>>,
    /// Where each partition may start, at the most.
    start: BTreeMap<TopicPartition, Offset>,
}

impl AckedDurable {
    fn on_read_back(&self, case: &Case<'_>) -> Result<(), Violation> {
        let Event::ReadBack {
            round,
            partition,
            start,
            end,
            records,
        } = case.event
        else {
            return Ok(());
        };
        let Some(acked) = self.acked.get(partition) else {
            return Ok(());
        };
        let lost = |witness: String| Err(Violation::new("ACKED-DURABLE", witness));
        let moved = self.start.get(partition).copied();
        let allowed = moved.unwrap_or_default().max(self.first);
        if *start > allowed {
            return lost(format!(
                "{partition:?} starts at {start}; nothing moved its start past {allowed}"
            ));
        }
        let present: BTreeSet<Offset> = records.iter().map(|(offset, _)| *offset).collect();
        for (offset, id) in acked.range(start..) {
            if !present.contains(offset) && !case.was_refused(*round, *partition, *offset) {
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
            Event::LogsBegin { offset } => self.first = *offset,
            Event::StartMoved { partition, start } => {
                let allowed = self.start.entry(*partition).or_default();
                *allowed = (*allowed).max(*start);
            }
            Event::ReadBack { partition, .. } if !case.is_deleted(*partition) => {
                return self.on_read_back(case);
            }
            Event::ReadBackRefused {
                partition,
                from,
                to,
                ..
            } if !case.may_refuse(*partition, *from, *to) && !case.is_deleted(*partition) => {
                let witness = format!(
                    "{partition:?} offsets {from} to {to} cannot be read back, and no disk has damaged them"
                );
                return Err(Violation::new("ACKED-DURABLE", witness));
            }
            // The journal or a segment, where acknowledged records are.
            Event::Stopped {
                stop:
                    Stop::Unsound {
                        over: Grievance::Other,
                        what,
                    },
                ..
            } => return Err(Violation::new("ACKED-DURABLE", what.clone())),
            _ => {}
        }
        Ok(())
    }
}
