//! Durations by how often they occurred, to within one part in 128, in a fixed few kilobytes.
//!
//! A duration of `n` microseconds falls into a bucket by its highest bits: exact below 128, and then 128 buckets for each doubling.

use std::time::Duration;

const EXACT_BITS: u32 = 7;
const EXACT: u64 = 1 << EXACT_BITS;

/// See the module's head.
#[derive(Default)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max: Duration,
}

fn bucket(micros: u64) -> usize {
    let doublings = (64 - micros.leading_zeros()).saturating_sub(EXACT_BITS + 1);
    // Up to twice EXACT the number itself; then its highest eight bits, behind those of all shorter ones.
    (u64::from(doublings) * EXACT + (micros >> doublings)) as usize
}

/// The largest number of microseconds in a bucket.
fn top(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    let doublings = (bucket / EXACT).saturating_sub(1);
    ((bucket - doublings * EXACT + 1) << doublings) - 1
}

impl Histogram {
    pub fn record(&mut self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX >> 8);
        let bucket = bucket(micros.min(u64::MAX >> 8));
        if bucket >= self.counts.len() {
            self.counts.resize(bucket + 1, 0);
        }
        self.counts[bucket] += 1;
        self.total += 1;
        self.max = self.max.max(duration);
    }

    /// A duration that this share of all did not exceed; zero if there is none.
    pub fn at(&self, share: f64) -> Duration {
        let wanted = (self.total as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if *count > 0 && seen >= wanted {
                return Duration::from_micros(top(bucket)).min(self.max);
            }
        }
        self.max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_in_the_bucket_whose_top_is_next_above_it() {
        for micros in (0..100_000).chain([1 << 20, (1 << 30) + 12_345, u64::MAX >> 8]) {
            let bucket = bucket(micros);
            assert!(top(bucket) >= micros, "{micros}");
            assert!(bucket == 0 || top(bucket - 1) < micros, "{micros}");
            assert!(top(bucket) - micros <= micros / 128, "{micros}");
        }
    }

    #[test]
    fn shares_are_read_off_in_order() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.at(0.5), Duration::ZERO);
        for micros in 1..=1000 {
            histogram.record(Duration::from_micros(micros));
        }
        for (share, micros) in [(0.001, 1.0), (0.5, 500.0), (0.99, 990.0), (1.0, 1000.0)] {
            let found = histogram.at(share).as_secs_f64() * 1e6;
            assert!((found - micros).abs() <= micros / 100.0, "{share}: {found}");
        }
    }
}
