//! HW-BOUNDS: 0 <= start <= last stable <= high watermark <= end, in whatever a node exposes.

use super::{Case, Checker, Violation};
use crate::history::{Bounds, Event};

/// Nothing to remember.
pub struct HwBounds;

impl Checker for HwBounds {
    fn invariants(&self) -> &'static [&'static str] {
        &["HW-BOUNDS"]
    }

    fn holds_without_law(&self) -> bool {
        true
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
        let ascending = [0, start, last_stable, high_watermark, end].is_sorted();
        match ascending {
            true => Ok(()),
            false => Err(Violation::new(
                "HW-BOUNDS",
                format!("{partition:?} exposes {bounds:?}"),
            )),
        }
    }
}
