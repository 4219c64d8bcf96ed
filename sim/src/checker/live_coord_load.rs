//! LIVE-COORD-LOAD: a coordinator loads what its groups have committed, also from a directory that was hurt where another copy of it is left,
//! or that was put right; whoever asks for it is told.

use super::waiting::{Missed, missed};
use super::{Case, Checker, Violation};
use crate::history::Owed;

/// Nothing to remember.
pub struct LiveCoordLoad;

impl Checker for LiveCoordLoad {
    fn invariants(&self) -> &'static [&'static str] {
        &["LIVE-COORD-LOAD"]
    }

    fn on_event(&mut self, case: &Case<'_>) -> Result<(), Violation> {
        let Some(Missed {
            owed,
            of,
            patience,
            instead,
            ..
        }) = missed(case)
        else {
            return Ok(());
        };
        let witness = match owed {
            Owed::CoordinatorLoad => {
                format!("nobody says which offset of {of} was committed: {instead}")
            }
            Owed::Loaded => format!("{of}, which had {patience:?} from the healing on: {instead}"),
            _ => return Ok(()),
        };
        Err(Violation::new("LIVE-COORD-LOAD", witness))
    }
}
