//! POLICY-RESPECTED: brokers act only on committed settings. Here: retention takes no more than it may and no less than it should, and
//! no segment is larger than it may be. A client that changes settings speaks of the rest.
//!
//! The start of a log moves by retention, or since somebody asked for the deletion of records, who says beforehand how far. A start beyond
//! all that anybody asked for is where retention put it, which takes whole segments and leaves at least what is to be kept. What is left
//! then only grows until the start moves again. A process that dies may take with it what was on its way, so nothing is held
//! against the next one that its predecessor did.

use super::{Case, Checker, Violation};
use crate::history::Event;
use std::collections::BTreeMap;
use taffrail_record::{Offset, TopicPartition};

/// Where a process of a node was seen to have a log start.
#[derive(Clone, Copy)]
struct Look {
    process: (u32, u32),
    start: Offset,
}

/// Remembers what logs are to keep, and why their starts may move.
#[derive(Default)]
pub struct PolicyRespected {
    /// What a log keeps at least, where nothing goes by age.
    kept: BTreeMap<TopicPartition, u64>,
    /// How far somebody asked for records to be deleted.
    asked: BTreeMap<TopicPartition, Offset>,
    looks: BTreeMap<TopicPartition, Look>,
}

impl PolicyRespected {
    fn on_look(
        &mut self,
        partition: TopicPartition,
        look: Look,
        size: u64,
    ) -> Result<(), Violation> {
        let Some(kept) = self.kept.get(&partition) else {
            return Ok(());
        };
        let before = self.looks.insert(partition, look);
        let asked = self.asked.get(&partition).copied().unwrap_or(0);
        match before {
            Some(before)
                if before.process == look.process
                    && before.start < look.start
                    && asked < look.start
                    && size < *kept =>
            {
                let witness = format!(
                    "{partition:?} started at {} and starts at {} by retention, which left {size} bytes of {kept} that are to be kept",
                    before.start, look.start
                );
                Err(Violation::new("POLICY-RESPECTED", witness))
            }
            _ => Ok(()),
        }
    }
}

impl Checker for PolicyRespected {
    fn invariants(&self) -> &'static [&'static str] {
        &["POLICY-RESPECTED"]
    }

    fn on_event(&mut self, case: &Case<'_>) -> Result<(), Violation> {
        match case.event {
            Event::Retention { partition, bytes } => {
                self.kept.insert(*partition, *bytes);
                Ok(())
            }
            Event::StartMoved { partition, start } => {
                let asked = self.asked.entry(*partition).or_default();
                *asked = (*asked).max(*start);
                Ok(())
            }
            Event::Exposed {
                node,
                incarnation,
                partition,
                bounds,
                size,
            } if !case.is_deleted(*partition) => {
                let look = Look {
                    process: (*node, *incarnation),
                    start: bounds.start,
                };
                self.on_look(*partition, look, *size)
            }
            Event::SegmentSeen {
                partition,
                base,
                batches,
                bytes,
                bytes_max,
            } if *batches > 1 && bytes > bytes_max => {
                let witness = format!(
                    "the segment of {partition:?} at {base} has {batches} batches of {bytes} bytes, and is full with {bytes_max}"
                );
                Err(Violation::new("POLICY-RESPECTED", witness))
            }
            Event::Retained {
                partition,
                bytes,
                bytes_max,
                waited,
            } if bytes.is_none_or(|bytes| bytes > *bytes_max) => {
                let witness = format!(
                    "{partition:?} has {bytes:?} bytes {waited:?} after the healing, and may have {bytes_max}"
                );
                Err(Violation::new("POLICY-RESPECTED", witness))
            }
            _ => Ok(()),
        }
    }
}
