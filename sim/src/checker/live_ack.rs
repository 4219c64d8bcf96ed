//! LIVE-ACK: every record that was handed over is acknowledged or refused once nothing hinders that any more; soon, where all is well.

use super::waiting::instead;
use super::{Case, Checker, Violation};
use crate::history::{Event, Owed};

/// Nothing to remember.
pub struct LiveAck;

impl Checker for LiveAck {
    fn invariants(&self) -> &'static [&'static str] {
        &["LIVE-ACK"]
    }

    fn on_event(&mut self, case: &Case<'_>) -> Result<(), Violation> {
        let Event::Awaited {
            owed,
            of,
            came,
            patience,
        } = case.event
        else {
            return Ok(());
        };
        let Some(instead) = instead(came, *patience) else {
            return Ok(());
        };
        let witness = match (owed, came) {
            (Owed::Fates, _) => format!("{of}, {patience:?} after the healing: {instead}"),
            (Owed::Ack, Ok(took)) => {
                format!("{of}: a record was acknowledged {took:?} after it was sent")
            }
            (Owed::Notice, _) => format!("{of}, within {patience:?}: {instead}"),
            (Owed::Ack, Err(_)) => format!("{of}: {instead}"),
            _ => return Ok(()),
        };
        Err(Violation::new("LIVE-ACK", witness))
    }
}
