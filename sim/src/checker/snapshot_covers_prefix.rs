//! SNAPSHOT-COVERS-PREFIX: a log that does not begin at its beginning any more has a snapshot of all that is gone.

use super::{Case, Checker, Violation};
use crate::history::Event;

/// Nothing to remember.
pub struct SnapshotCoversPrefix;

impl Checker for SnapshotCoversPrefix {
    fn invariants(&self) -> &'static [&'static str] {
        &["SNAPSHOT-COVERS-PREFIX"]
    }

    fn on_event(&mut self, case: &Case<'_>) -> Result<(), Violation> {
        match case.event {
            Event::PrefixLeft {
                log,
                start,
                snapshot_end,
                ..
            } if snapshot_end < start => Err(Violation::new(
                "SNAPSHOT-COVERS-PREFIX",
                format!("{log} begins at {start}, and its snapshot ends at {snapshot_end}"),
            )),
            _ => Ok(()),
        }
    }
}
