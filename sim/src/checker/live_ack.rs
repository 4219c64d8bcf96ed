//! LIVE-ACK: every record that was handed over is acknowledged or refused once nothing hinders that any more; soon, where all is well.

use super::waiting::{Missed, missed};
use super::{Case, Checker, Violation};
use crate::history::Owed;

/// Nothing to remember.
pub struct LiveAck;

impl Checker for LiveAck {
    fn invariants(&self) -> &'static [&'static str] {
        &["LIVE-ACK"]
    }

    fn on_event(&mut self, case: &Case<'_>) -> Result<(), Violation> {
        let Some(Missed {
            owed,
            of,
            took,
            patience,
            instead,
        }) = missed(case)
        else {
            return Ok(());
        };
        let witness = match (owed, took) {
            (Owed::Fates, _) => {
                format!("{of}, which had {patience:?} from the healing on: {instead}")
            }
            (Owed::Ack, Some(took)) => {
                format!("{of}: a record was acknowledged {took:?} after it was sent")
            }
            (Owed::Ack, None) => format!("{of}: {instead}"),
            (Owed::Notice, _) => format!("{of}, within {patience:?}: {instead}"),
            _ => return Ok(()),
        };
        Err(Violation::new("LIVE-ACK", witness))
    }
}
