//! BUDGET-ZERO: all reservations have returned when nobody asks anything of a node.

use super::{Case, Checker, Violation};
use crate::history::Event;

/// Nothing to remember.
pub struct BudgetZero;

impl Checker for BudgetZero {
    fn invariants(&self) -> &'static [&'static str] {
        &["BUDGET-ZERO"]
    }

    fn holds_without_law(&self) -> bool {
        true
    }

    fn on_event(&mut self, case: &Case<'_>) -> Result<(), Violation> {
        match case.event {
            Event::IdleReservations { node, bytes } if *bytes > 0 => Err(Violation::new(
                "BUDGET-ZERO",
                format!("node {node} is idle and {bytes} bytes are still reserved"),
            )),
            _ => Ok(()),
        }
    }
}
