//! STATE-EQUAL, OFFSET-REPLAY-EQ, PRODUCER-REPLAY-EQ: live state equals a replay of its log to the same position.

use super::{Case, Checker, Violation};
use crate::history::Event;
use crate::trace::label_of;

/// Nothing to remember: each event carries both digests.
pub struct ReplayEqual;

impl Checker for ReplayEqual {
    fn invariants(&self) -> &'static [&'static str] {
        &["STATE-EQUAL", "OFFSET-REPLAY-EQ", "PRODUCER-REPLAY-EQ"]
    }

    fn on_event(&mut self, case: &Case<'_>) -> Result<(), Violation> {
        match case.event {
            Event::Digests {
                what,
                of,
                node,
                live,
                replayed,
            } if live != replayed => {
                let witness = format!(
                    "{}: {of}: the live state has digest {live:016x}, its replay {replayed:016x}",
                    label_of(*node)
                );
                Err(Violation::new(what, witness))
            }
            _ => Ok(()),
        }
    }
}
