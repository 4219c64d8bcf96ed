//! Two kinds of time that must never be mixed: monotonic for decisions, wall for record timestamps.
//!
//! The monotonic clock of a node never goes back and knows nothing of other nodes. The wall clock may
//! step in either direction at any moment; nothing but record timestamps and retention may look at it.

use std::future::Future;
use std::ops::{Add, Sub};
use std::time::Duration;

/// A point in a node's monotonic time, in nanoseconds since an arbitrary origin of that process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant(pub u64);

impl Instant {
    /// Farther away than any deadline.
    pub const MAX: Instant = Instant(u64::MAX);

    /// The time from `earlier` until this instant, or zero if `earlier` is not earlier.
    pub fn saturating_since(self, earlier: Instant) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;

    /// Saturates at [`Instant::MAX`].
    fn add(self, duration: Duration) -> Instant {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Instant(self.0.saturating_add(nanos))
    }
}

impl Sub<Instant> for Instant {
    type Output = Duration;

    fn sub(self, earlier: Instant) -> Duration {
        self.saturating_since(earlier)
    }
}

/// The node's clocks.
pub trait Clock {
    /// Monotonic time: never decreases between two calls on one node.
    fn now(&self) -> Instant;

    /// Wall time in milliseconds since 1970-01-01 UTC. May jump either way between two calls.
    fn unix_ms(&self) -> i64;

    /// Ready once `now() >= deadline`, and never before. Sleepers wake in order of their deadlines;
    /// those with equal deadlines in no promised order. At once if the deadline has passed.
    fn sleep_until(&self, deadline: Instant) -> impl Future<Output = ()> + 'static;

    /// [`Clock::sleep_until`] `duration` from now.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + 'static {
        self.sleep_until(self.now() + duration)
    }
}
