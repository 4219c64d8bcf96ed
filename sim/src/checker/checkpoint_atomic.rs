//! CHECKPOINT-ATOMIC: whatever instant a node ends at, what a start takes its bearings from is there and whole: the one mark or checkpoint, or the
//! one before it. A clean stop comes to its end, and leaves nothing behind that does not verify.

use super::refusal::objection;
use super::{Case, Checker, Violation};
use crate::history::{Event, Grievance, Stop};

/// Nothing to remember.
pub struct CheckpointAtomic;

/// What is wrong with a stop, as far as it concerns this judge.
fn objection_to_stop(stop: &Stop) -> Option<String> {
    match stop {
        Stop::Endless(waited) => Some(format!(
            "it has not stopped and been verified within {waited:?}"
        )),
        Stop::Unclean(why) => Some(format!("the stop was not clean: {why}")),
        Stop::Unverifiable(why) => Some(why.clone()),
        Stop::Unsound {
            over: Grievance::Checkpoint,
            what,
        } => Some(what.clone()),
        Stop::Sound | Stop::Unsound { .. } | Stop::Stray(_) => None,
    }
}

impl Checker for CheckpointAtomic {
    fn invariants(&self) -> &'static [&'static str] {
        &["CHECKPOINT-ATOMIC"]
    }

    fn on_event(&mut self, case: &Case<'_>) -> Result<(), Violation> {
        let witness = match case.event {
            Event::StartRefused {
                after,
                over: Grievance::Checkpoint,
                why,
                hurt,
                ..
            } => objection(after, why, hurt.as_ref()),
            Event::Stopped { stop, .. } => objection_to_stop(stop),
            _ => None,
        };
        match witness {
            None => Ok(()),
            Some(witness) => Err(Violation::new("CHECKPOINT-ATOMIC", witness)),
        }
    }
}
