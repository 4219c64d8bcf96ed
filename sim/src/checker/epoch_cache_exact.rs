//! EPOCH-CACHE-EXACT: what is said of leader epochs is what stands in the batches. An epoch that was seen to reach an offset
//! does not end before it.

use super::{Case, Checker, Violation};
use crate::history::Event;

/// Nothing to remember.
pub struct EpochCacheExact;

impl Checker for EpochCacheExact {
    fn invariants(&self) -> &'static [&'static str] {
        &["EPOCH-CACHE-EXACT"]
    }

    fn on_event(&mut self, case: &Case<'_>) -> Result<(), Violation> {
        match case.event {
            Event::EpochEnd {
                partition,
                epoch,
                seen,
                told: (told_epoch, end),
            } if (told_epoch != epoch || end < seen) && !case.is_deleted(*partition) => {
                let witness = format!(
                    "{partition:?} holds records of epoch {epoch} up to {seen}; it is said that epoch {told_epoch} ends at {end}"
                );
                return Err(Violation::new("EPOCH-CACHE-EXACT", witness));
            }
            _ => {}
        }
        Ok(())
    }
}
