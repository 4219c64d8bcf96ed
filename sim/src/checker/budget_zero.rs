//! BUDGET-ZERO: all reservations of memory have returned, and no read waits for records, when nobody asks anything of a node; and one that has
//! stopped leaves nothing on its disk that nobody will ever remove.

use super::{Case, Checker, Violation};
use crate::history::{Event, Stop};
use crate::trace::label_of;

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
            Event::IdleReservations { node, what, held } if *held > 0 => Err(Violation::new(
                "BUDGET-ZERO",
                format!("{} is idle and still holds {held} {what}", label_of(*node)),
            )),
            Event::Stopped {
                stop: Stop::Stray(path),
                ..
            } => Err(Violation::new(
                "BUDGET-ZERO",
                format!("{path} belongs to no log, and nothing will ever remove it"),
            )),
            _ => Ok(()),
        }
    }
}
