//! OFFSET-ORDER and HW-BOUNDS: 0 <= start <= last stable <= high watermark <= end, and the start and the high
//! watermark of a partition never fall, also across restarts. DELETE-NEEDS-TOMBSTONE: above all, a log that held something is not
//! empty as on its first day while nobody has deleted it.

use super::{Case, Checker, Violation};
use crate::history::{Bounds, Event};
use std::collections::BTreeMap;
use taffrail_record::TopicPartition;

/// Remembers the last bounds of each partition.
#[derive(Default)]
pub struct OffsetOrder {
    last: BTreeMap<TopicPartition, Bounds>,
}

impl Checker for OffsetOrder {
    fn invariants(&self) -> &'static [&'static str] {
        &["HW-BOUNDS", "OFFSET-ORDER", "DELETE-NEEDS-TOMBSTONE"]
    }

    fn on_event(&mut self, case: &Case<'_>) -> Result<(), Violation> {
        let Event::Exposed {
            partition, bounds, ..
        } = case.event
        else {
            return Ok(());
        };
        let Bounds {
            start,
            last_stable,
            high_watermark,
            end,
        } = *bounds;
        if !(0 <= start
            && start <= last_stable
            && last_stable <= high_watermark
            && high_watermark <= end)
        {
            return Err(Violation::new(
                "HW-BOUNDS",
                format!("{partition:?} exposes {bounds:?}"),
            ));
        }
        if let Some(before) = self.last.insert(*partition, *bounds)
            && (start < before.start || high_watermark < before.high_watermark)
            && !case.is_deleted(*partition)
        {
            let invariant = match end {
                0 => "DELETE-NEEDS-TOMBSTONE",
                _ => "OFFSET-ORDER",
            };
            return Err(Violation::new(
                invariant,
                format!("{partition:?} exposed {before:?} and now {bounds:?}"),
            ));
        }
        Ok(())
    }
}
