//! OFFSET-ORDER: the start and the high watermark of a partition never fall, also across restarts; and no client is told of a high
//! watermark below one that it was told before. DELETE-NEEDS-TOMBSTONE: above all, a log that held something is not
//! empty as on its first day while nobody has deleted it.

use super::{Case, Checker, Polled, Violation};
use crate::history::{Bounds, ClientId, Event};
use std::collections::BTreeMap;
use taffrail_record::{Offset, TopicPartition};

/// Remembers the last bounds of each partition, as they were seen and as each client was told of them.
#[derive(Default)]
pub struct OffsetOrder {
    /// Where all logs begin.
    first: Offset,
    last: BTreeMap<TopicPartition, Bounds>,
    told: BTreeMap<(ClientId, TopicPartition), Offset>,
}

impl OffsetOrder {
    fn on_exposed(&mut self, partition: TopicPartition, bounds: Bounds) -> Result<(), Violation> {
        let Some(before) = self.last.insert(partition, bounds) else {
            return Ok(());
        };
        if bounds.start >= before.start && bounds.high_watermark >= before.high_watermark {
            return Ok(());
        }
        let invariant = match bounds.end == self.first {
            true => "DELETE-NEEDS-TOMBSTONE",
            false => "OFFSET-ORDER",
        };
        Err(Violation::new(
            invariant,
            format!("{partition:?} exposed {before:?} and now {bounds:?}"),
        ))
    }

    fn on_told(&mut self, polled: Polled, high_watermark: Offset) -> Result<(), Violation> {
        let Polled {
            client, partition, ..
        } = polled;
        let told = self.told.insert((client, partition), high_watermark);
        match told {
            Some(before) if high_watermark < before => Err(Violation::new(
                "OFFSET-ORDER",
                format!(
                    "client {client} was told that the high watermark of {partition:?} is {before}, and now {high_watermark}"
                ),
            )),
            _ => Ok(()),
        }
    }
}

impl Checker for OffsetOrder {
    fn invariants(&self) -> &'static [&'static str] {
        &["OFFSET-ORDER", "DELETE-NEEDS-TOMBSTONE"]
    }

    fn on_event(&mut self, case: &Case<'_>) -> Result<(), Violation> {
        if let Event::LogsBegin { offset } = case.event {
            self.first = *offset;
        }
        match (case.event, case.polled) {
            (
                Event::Exposed {
                    partition, bounds, ..
                },
                _,
            ) if !case.is_deleted(*partition) => self.on_exposed(*partition, *bounds),
            // A consumer that was given no answer yet knows of none.
            (Event::PollAcked { high_watermark, .. }, Some(polled))
                if *high_watermark >= 0 && !case.is_deleted(polled.partition) =>
            {
                self.on_told(polled, *high_watermark)
            }
            _ => Ok(()),
        }
    }
}
