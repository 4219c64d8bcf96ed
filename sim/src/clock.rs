//! A node's two clocks, as functions of the world's time.
//!
//! Monotonic time begins anywhere (anew at every start of the process) and runs fast or slow by up to some
//! hundred parts per million. Wall time has an offset of its own, and may be stepped or frozen at any moment.

use std::cell::Cell;

const MILLION: i64 = 1_000_000;
/// 2024-01-01: wall time at the beginning of every world, before a node's offset.
const WALL_ORIGIN_MS: i64 = 1_704_067_200_000;

#[derive(Default)]
pub(crate) struct NodeClock {
    /// The world's time at which the present incarnation began, and its monotonic time then.
    began: Cell<u64>,
    origin: Cell<u64>,
    drift_ppm: Cell<i64>,
    wall_offset_ns: Cell<i64>,
    wall_frozen_ms: Cell<Option<i64>>,
}

impl NodeClock {
    /// A new incarnation begins at the world's time `now`.
    pub fn begin(&self, now: u64, origin: u64, drift_ppm: i64) {
        assert!(
            drift_ppm.abs() < MILLION / 10,
            "a clock that drifts by {drift_ppm} ppm is broken, not drifting"
        );
        self.began.set(now);
        self.origin.set(origin);
        self.drift_ppm.set(drift_ppm);
    }

    /// Monotonic nanoseconds at the world's time `now`.
    pub fn monotonic(&self, now: u64) -> u64 {
        let elapsed = now - self.began.get();
        let origin = self.origin.get();
        match self.drift_ppm.get() {
            0 => origin + elapsed,
            ppm => origin + drifted(elapsed, ppm),
        }
    }

    /// The first instant of the world at which the monotonic clock shows `deadline` or later.
    pub fn world_time_of(&self, deadline: u64) -> u64 {
        if deadline > u64::MAX / 4 {
            return u64::MAX;
        }
        let local = deadline.saturating_sub(self.origin.get());
        let ppm = self.drift_ppm.get();
        if ppm == 0 {
            return self.began.get().saturating_add(local);
        }
        let scaled = u128::from(local) * MILLION as u128 / (MILLION + ppm) as u128;
        // The division and the clock round, each by less than one: step to the exact instant.
        let mut elapsed = u64::try_from(scaled).unwrap_or(u64::MAX).saturating_sub(2);
        while drifted(elapsed, ppm) < local {
            elapsed += 1;
        }
        self.began.get().saturating_add(elapsed)
    }

    pub fn unix_ms(&self, now: u64) -> i64 {
        if let Some(frozen) = self.wall_frozen_ms.get() {
            return frozen;
        }
        let wall = drifted(now, self.drift_ppm.get()) as i64;
        WALL_ORIGIN_MS
            + wall
                .saturating_add(self.wall_offset_ns.get())
                .div_euclid(MILLION)
    }

    /// Steps the wall clock.
    pub fn step(&self, by_ns: i64) {
        let offset = self.wall_offset_ns.get();
        self.wall_offset_ns.set(offset.saturating_add(by_ns));
    }

    /// Stops the wall clock, or lets it go on from where it would be.
    pub fn freeze(&self, now: u64, frozen: bool) {
        self.wall_frozen_ms.set(None);
        if frozen {
            self.wall_frozen_ms.set(Some(self.unix_ms(now)));
        }
    }
}

/// `elapsed` as a clock counts it that is fast by `ppm` parts per million.
fn drifted(elapsed: u64, ppm: i64) -> u64 {
    let blocks = (elapsed / MILLION as u64) as i64;
    let rest = (elapsed % MILLION as u64) as i64;
    (elapsed as i64 + blocks * ppm + rest * ppm / MILLION) as u64
}

#[cfg(test)]
mod tests;
