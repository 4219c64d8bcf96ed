//! MEM-CEILING: a node never holds more memory than its budget allows.

use super::{Case, Checker, Violation};
use crate::history::Event;
use crate::trace::label_of;

/// Nothing to remember.
pub struct MemCeiling;

impl Checker for MemCeiling {
    fn invariants(&self) -> &'static [&'static str] {
        &["MEM-CEILING"]
    }

    fn holds_without_law(&self) -> bool {
        true
    }

    fn on_event(&mut self, case: &Case<'_>) -> Result<(), Violation> {
        match case.event {
            Event::Memory { node, used, budget } if used > budget => Err(Violation::new(
                "MEM-CEILING",
                format!(
                    "{} holds {used} bytes and may hold {budget}",
                    label_of(*node)
                ),
            )),
            _ => Ok(()),
        }
    }
}
