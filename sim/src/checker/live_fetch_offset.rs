//! LIVE-FETCH-OFFSET: whoever asks a healed cluster what a group has committed is told, whether or not the group has any members.

use super::waiting::{Missed, missed};
use super::{Case, Checker, Violation};
use crate::history::Owed;

/// Nothing to remember.
pub struct LiveFetchOffset;

impl Checker for LiveFetchOffset {
    fn invariants(&self) -> &'static [&'static str] {
        &["LIVE-FETCH-OFFSET"]
    }

    fn on_event(&mut self, case: &Case<'_>) -> Result<(), Violation> {
        match missed(case) {
            Some(Missed {
                owed: Owed::CommittedOffset,
                of,
                instead,
                ..
            }) => Err(Violation::new(
                "LIVE-FETCH-OFFSET",
                format!("nobody says which offset of {of} was committed: {instead}"),
            )),
            _ => Ok(()),
        }
    }
}
