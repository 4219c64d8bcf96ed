//! What all judges of waiting share: when something that is owed has not come in time, and what there was instead.

use std::time::Duration;

/// What there was instead of what somebody waited for; `None` if it came in time.
pub fn instead(came: &Result<Duration, String>, patience: Duration) -> Option<String> {
    match came {
        Ok(took) if *took <= patience => None,
        Ok(took) => Some(format!("it came after {took:?}")),
        Err(instead) => Some(instead.clone()),
    }
}
