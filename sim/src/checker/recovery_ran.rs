//! RECOVERY-RAN: a stop that was not clean is followed by recovery: a node that starts after one does not believe that it was.

use super::{Case, Checker, Violation};
use crate::history::Event;

/// Nothing to remember.
pub struct RecoveryRan;

impl Checker for RecoveryRan {
    fn invariants(&self) -> &'static [&'static str] {
        &["RECOVERY-RAN"]
    }

    fn holds_without_law(&self) -> bool {
        true
    }

    fn on_event(&mut self, case: &Case<'_>) -> Result<(), Violation> {
        match case.event {
            Event::NodeUp {
                node,
                incarnation,
                clean: false,
                believes_clean: true,
            } => Err(Violation::new(
                "RECOVERY-RAN",
                format!(
                    "node {node} starts for the {incarnation}th time as if its last stop had been clean"
                ),
            )),
            _ => Ok(()),
        }
    }
}
