//! RECOVERY-RAN: a stop that was not clean is followed by recovery: a node that starts after one does not believe that it was. What a stop leaves
//! behind, clean or not, is what recovery is for: it does not refuse it.

use super::refusal::objection;
use super::{Case, Checker, Violation};
use crate::history::{Event, Grievance};
use crate::trace::label_of;

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
                    "{} starts for the {incarnation}th time as if its last stop had been clean",
                    label_of(*node)
                ),
            )),
            Event::StartRefused {
                after,
                over: Grievance::Other,
                why,
                hurt,
                ..
            } => match objection(after, why, hurt.as_ref()) {
                None => Ok(()),
                Some(witness) => Err(Violation::new("RECOVERY-RAN", witness)),
            },
            _ => Ok(()),
        }
    }
}
