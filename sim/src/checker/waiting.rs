//! What all judges of waiting share: that something which is owed has not come in time, and what there was instead.

use super::Case;
use crate::history::{Event, Owed};
use std::time::Duration;

/// Something that did not come, or came too late.
pub struct Missed<'a> {
    pub owed: Owed,
    pub of: &'a str,
    /// How long it took, if it came after all.
    pub took: Option<Duration>,
    pub patience: Duration,
    /// What there was instead.
    pub instead: String,
}

/// What this event says of somebody who waited in vain.
pub fn missed<'a>(case: &Case<'a>) -> Option<Missed<'a>> {
    let Event::Awaited {
        owed,
        of,
        came,
        patience,
    } = case.event
    else {
        return None;
    };
    let instead = match came {
        Ok(took) if took <= patience => return None,
        Ok(took) => format!("it came after {took:?}"),
        Err(instead) => instead.clone(),
    };
    Some(Missed {
        owed: *owed,
        of,
        took: came.as_ref().ok().copied(),
        patience: *patience,
        instead,
    })
}
