//! LIVE-FETCH-OFFSET: whoever asks a healed cluster what a group has committed is told, whether or not the group has any members.

use super::waiting::instead;
use super::{Case, Checker, Violation};
use crate::history::{Event, Owed};

/// Nothing to remember.
pub struct LiveFetchOffset;

impl Checker for LiveFetchOffset {
    fn invariants(&self) -> &'static [&'static str] {
        &["LIVE-FETCH-OFFSET"]
    }

    fn on_event(&mut self, case: &Case<'_>) -> Result<(), Violation> {
        let Event::Awaited {
            owed: Owed::CommittedOffset,
            of,
            came,
            patience,
        } = case.event
        else {
            return Ok(());
        };
        match instead(came, *patience) {
            None => Ok(()),
            Some(instead) => Err(Violation::new(
                "LIVE-FETCH-OFFSET",
                format!("nobody says which offset of {of} was committed: {instead}"),
            )),
        }
    }
}
