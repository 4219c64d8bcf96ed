//! BOUNDED-QUEUE: nothing that clients can fill grows beyond its bound.

use super::{Case, Checker, Violation};
use crate::history::Event;
use crate::trace::label_of;

/// Nothing to remember.
pub struct BoundedQueue;

impl Checker for BoundedQueue {
    fn invariants(&self) -> &'static [&'static str] {
        &["BOUNDED-QUEUE"]
    }

    fn holds_without_law(&self) -> bool {
        true
    }

    fn on_event(&mut self, case: &Case<'_>) -> Result<(), Violation> {
        match case.event {
            Event::Queue {
                node,
                what,
                longest,
                bound,
            } if longest > bound => Err(Violation::new(
                "BOUNDED-QUEUE",
                format!(
                    "{} had {longest} {what} and may have {bound}",
                    label_of(*node)
                ),
            )),
            _ => Ok(()),
        }
    }
}
