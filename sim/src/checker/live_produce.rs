//! LIVE-PRODUCE: a broker that nothing hinders any more comes back, and every partition takes records again. One whose disk knew no law may
//! stay away, but says why.

use super::waiting::{Missed, missed};
use super::{Case, Checker, Violation};
use crate::history::Owed;

/// Nothing to remember.
pub struct LiveProduce;

impl Checker for LiveProduce {
    fn invariants(&self) -> &'static [&'static str] {
        &["LIVE-PRODUCE"]
    }

    fn holds_without_law(&self) -> bool {
        true
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
            Owed::Service => format!("the broker does not come back {of}: {instead}"),
            Owed::Word => format!("{of} {instead}"),
            Owed::Topic => format!("{of} cannot be made: {instead}"),
            Owed::Intake => {
                format!("{of} takes no record, and had {patience:?} from the healing on: {instead}")
            }
            _ => return Ok(()),
        };
        Err(Violation::new("LIVE-PRODUCE", witness))
    }
}
