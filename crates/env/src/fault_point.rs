//! Fault points: places in the product where there are two right ways on, and the one that is hardly ever taken is worth taking often
//! where mistakes are looked for (as FoundationDB's BUGGIFY).
//!
//! A point may make work slower, smaller or more often needed, answer what a client has to expect anyway, or come back too early
//! where everybody has to look again. It never makes an answer wrong.

use crate::clock::Clock;
use crate::entropy::Entropy;
use std::time::Duration;

/// Every point, and its awkward way.
pub const FAULT_POINTS: &[(&str, &str)] = &[
    ("answer/lost", "the connection closes in place of an answer"),
    (
        "clear/write-out",
        "a small tail goes into its segment, and not forward in the journal",
    ),
    (
        "commit/late",
        "a commit that is durable is not answered at once",
    ),
    (
        "coordinator/loading",
        "a group's partition is still being read",
    ),
    ("digest/forgotten", "a segment's digest is not in memory"),
    (
        "fetch/early",
        "a fetch is answered before there is enough, or any",
    ),
    ("files/close-all", "no file is open"),
    (
        "flush/late",
        "the flusher waits although there is something to do",
    ),
    ("flush/one-log", "a round of the flusher takes one log"),
    ("metadata/snapshot", "a snapshot of the metadata is due"),
    (
        "produce/late",
        "a batch that was admitted is not waited for at once",
    ),
    (
        "produce/time-out",
        "whether the batch was written is not known in time",
    ),
    ("read/one-batch", "a read has room for one batch"),
    ("segment/roll", "the next batch begins a segment"),
];

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
