//! Fault points: places in the product where there are two right ways on, and the one that is hardly ever taken is worth taking often
//! where mistakes are looked for (as FoundationDB's BUGGIFY).
//!
//! A point may make work slower, smaller or more often needed, answer what a client has to expect anyway, or come back too early
//! where everybody has to look again. It never makes an answer wrong. Each crate lists its own in a `FAULT_POINTS`.

use crate::clock::Clock;
use crate::entropy::Entropy;
use std::time::Duration;

/// How long [`dawdle`] takes at most.
const DAWDLE_MILLIS: u64 = 50;

/// Who decides at fault points.
pub trait FaultPoints {
    /// Whether the awkward way is taken at this point this time. In production it never is.
    fn strikes_at(&self, point: &'static str) -> bool {
        let _ = point;
        false
    }
}

/// Lets others go first for a while, if it strikes here.
pub async fn dawdle<E: FaultPoints + Clock + Entropy>(env: &E, point: &'static str) {
    if env.strikes_at(point) {
        let millis = env.random_u64(point) % DAWDLE_MILLIS;
        env.sleep(Duration::from_millis(millis)).await;
    }
}
