//! LIVE-CONSUME: whoever reads a healed log gets what is in it: at once at its end, in full within a fetch session and when everything is
//! read back; and nobody waits for ever.
//!
//! A reader that opens a fetch session hears of every partition that it named, even if there is nothing new: only later may silence mean
//! that.

use super::waiting::{Missed, missed};
use super::{Case, Checker, Violation};
use crate::history::{Event, Owed};

/// Nothing to remember.
pub struct LiveConsume;

fn broken(witness: String) -> Result<(), Violation> {
    Err(Violation::new("LIVE-CONSUME", witness))
}

impl Checker for LiveConsume {
    fn invariants(&self) -> &'static [&'static str] {
        &["LIVE-CONSUME"]
    }

    fn on_event(&mut self, case: &Case<'_>) -> Result<(), Violation> {
        if let Event::SessionAnswered {
            epoch: 0,
            answer: Ok(_),
            asked,
            answered,
            ..
        } = case.event
        {
            let silent = asked.iter().find(|name| !answered.contains(name));
            return silent.map_or(Ok(()), |name| {
                broken(format!(
                    "the first answer of a session says nothing of {name}"
                ))
            });
        }
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
        broken(match (owed, took) {
            (Owed::Delivery, Some(took)) => format!(
                "{of}: a reader who waited at the end got a record {took:?} after it was acknowledged"
            ),
            (Owed::Delivery, None) => format!("{of}: {instead}"),
            (Owed::CatchUp, _) => format!("{of}: a fetch session came no further than {instead}"),
            (Owed::Turn, _) => format!("{of}: a fetch session gave it no turn in {instead}"),
            (Owed::Rest, _) => {
                format!("{of}, which had {patience:?} from the healing on: {instead}")
            }
            (Owed::ReadBack { round }, _) => {
                format!("{of} cannot be read back in round {round}: {instead}")
            }
            _ => return Ok(()),
        })
    }
}
