//! What may go, and a wall clock that one jump does not deceive. Pure.

use crate::LogConfig;
use crate::segment::Segment;
use std::time::Duration;
use taffrail_env::Instant;
use taffrail_record::Offset;

/// Wall and monotonic time may differ by this much between two looks, and no more.
const TOLERANCE_MS: i64 = 60_000;

/// Believes the wall clock only while it moves as the monotonic clock does. A step is believed at the second
/// look that agrees with it, so that a clock that jumps and comes back deletes nothing.
#[derive(Debug, Default)]
pub struct WallClock {
    last: Option<(i64, Instant)>,
    agrees_since: Option<Instant>,
}

impl WallClock {
    /// The wall time to go by, or `None` at a look that does not agree with the one before, or if looks have agreed for less than
    /// `agreement_min`: some come soon after each other.
    pub fn look(&mut self, unix_ms: i64, now: Instant, agreement_min: Duration) -> Option<i64> {
        let agrees = self.last.is_some_and(|(before_ms, before)| {
            let elapsed = now.saturating_since(before).as_millis() as i64;
            let step = unix_ms.saturating_sub(before_ms.saturating_add(elapsed));
            step.abs() <= TOLERANCE_MS
        });
        self.last = Some((unix_ms, now));
        if !agrees {
            self.agrees_since = Some(now);
        }
        let is_believed = agrees && self.has_agreed_for(now, agreement_min);
        is_believed.then_some(unix_ms)
    }

    /// Whether the looks have agreed for `agreement_min`, so long that a long silence in wall time is a silence.
    pub fn has_agreed_for(&self, now: Instant, agreement_min: Duration) -> bool {
        self.agrees_since
            .is_some_and(|since| now.saturating_since(since) >= agreement_min)
    }
}

/// What retention asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// The log's start moves here.
    pub start: Offset,
    /// The last segment goes, too, and has to be sealed before.
    pub seals_last: bool,
}

/// What of a log is in no segment yet, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TailBytes {
    pub durable: u64,
    /// It may yet be refused, or lost with the process, so nothing goes on account of it.
    pub on_its_way: u64,
}

/// Which of a log's oldest segments are over their time or size. Only a log without a tail can lose its last segment to age. Only whole
/// segments below the high watermark go.
pub fn expired(
    config: &LogConfig,
    segments: &[Segment],
    tail: TailBytes,
    high_watermark: Offset,
    wall_ms: Option<i64>,
) -> Option<Expiry> {
    if !config.cleanup_delete {
        return None;
    }
    let in_segments: u64 = segments.iter().map(|segment| segment.length).sum();
    let mut size = in_segments + tail.durable;
    let is_idle = tail.durable + tail.on_its_way == 0;
    let mut expiry = None;
    for (at, segment) in segments.iter().enumerate() {
        let last = at + 1 == segments.len();
        if segment.end_offset > high_watermark {
            break;
        }
        let active = last && !segment.sealed;
        let oversize = config.retention_bytes >= 0
            && size.saturating_sub(segment.length) >= config.retention_bytes as u64;
        let age = wall_ms.map(|now| now.saturating_sub(segment.max_timestamp));
        let too_old = config.retention_ms >= 0
            && segment.max_timestamp >= 0
            && age.is_some_and(|age| age > config.retention_ms);
        // Size never takes the segment that is being filled; age does, if nothing is on its way into it.
        let goes = oversize && !active || too_old && (!active || is_idle);
        if !goes {
            break;
        }
        size -= segment.length;
        expiry = Some(Expiry {
            start: segment.end_offset,
            seals_last: active,
        });
    }
    expiry
}

#[cfg(test)]
mod tests;
