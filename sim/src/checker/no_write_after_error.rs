//! NO-WRITE-AFTER-ERROR: once a write or a sync of an open file has failed, nothing more is asked of that handle that could change the file
//! or pass for durability. The file may be opened anew.

use super::{Case, Checker, Violation};
use crate::history::Event;
use crate::trace::label_of;
use std::collections::BTreeSet;

/// Remembers the handles that failed.
#[derive(Default)]
pub struct NoWriteAfterError {
    failed: BTreeSet<(u32, u64)>,
}

impl Checker for NoWriteAfterError {
    fn invariants(&self) -> &'static [&'static str] {
        &["NO-WRITE-AFTER-ERROR"]
    }

    fn holds_without_law(&self) -> bool {
        true
    }

    fn on_event(&mut self, case: &Case<'_>) -> Result<(), Violation> {
        match case.event {
            Event::DiskEnded {
                node,
                handle,
                failed: true,
                ..
            } => {
                self.failed.insert((*node, *handle));
            }
            Event::DiskAsked {
                node,
                file,
                handle,
                change,
                ..
            } if self.failed.contains(&(*node, *handle)) => {
                let witness = format!(
                    "{} asks for a {change:?} of file {file} by handle {handle}, which has failed before",
                    label_of(*node)
                );
                return Err(Violation::new("NO-WRITE-AFTER-ERROR", witness));
            }
            _ => {}
        }
        Ok(())
    }
}
