//! How long to wait before trying again: doubling, with a maximum, and with a share of randomness.
//!
//! Without the random share, the clients that one failure threw out would all come back in the same instant.

use std::time::Duration;

/// A schedule of waits. The `n`-th failure in a row waits `first * 2^(n-1)`, at most `max`, less or more by up to a fifth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    pub first: Duration,
    pub max: Duration,
}

impl Backoff {
    /// The wait after `failures` failures in a row; nothing after none. `random` is any random number.
    pub fn wait(&self, failures: u32, random: u64) -> Duration {
        if failures == 0 {
            return Duration::ZERO;
        }
        let doublings = (failures - 1).min(20);
        let base = self.first.saturating_mul(1 << doublings).min(self.max);
        let nanos = u64::try_from(base.as_nanos()).unwrap_or(u64::MAX / 2);
        let spread = nanos / 5;
        let jitter = random % (2 * spread + 1);
        Duration::from_nanos(nanos - spread + jitter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEDULE: Backoff = Backoff {
        first: Duration::from_millis(50),
        max: Duration::from_secs(1),
    };

    #[test]
    fn the_first_try_waits_for_nothing() {
        assert_eq!(SCHEDULE.wait(0, 77), Duration::ZERO);
    }

    #[test]
    fn waits_double_up_to_the_maximum_within_a_fifth() {
        for (failures, expected) in [(1, 50), (2, 100), (3, 200), (5, 800), (6, 1000), (60, 1000)] {
            let expected = Duration::from_millis(expected);
            for random in [0, 1, u64::MAX, 0x1234_5678_9abc] {
                let wait = SCHEDULE.wait(failures, random);
                assert!(
                    wait >= expected * 4 / 5 && wait <= expected * 6 / 5,
                    "{wait:?}"
                );
            }
        }
    }
}
