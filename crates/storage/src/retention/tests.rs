use super::{Expiry, TailBytes, WallClock, expired};
use crate::LogConfig;
use crate::segment::Segment;
use std::time::Duration;
use taffrail_env::Instant;
use taffrail_record::{TopicId, TopicPartition};

/// Segments of ten offsets and 100 bytes, the last one not sealed, with these largest timestamps.
fn segments(timestamps: &[i64]) -> Vec<Segment> {
    let partition = TopicPartition {
        topic: TopicId([1; 16]),
        partition: 0,
    };
    let all = timestamps.iter().enumerate();
    all.map(|(at, timestamp)| Segment {
        end_offset: 10 * at as i64 + 10,
        length: 100,
        max_timestamp: *timestamp,
        sealed: at + 1 < timestamps.len(),
        ..Segment::new(partition, 10 * at as i64)
    })
    .collect()
}

fn config(retention_ms: i64, retention_bytes: i64) -> LogConfig {
    LogConfig {
        retention_ms,
        retention_bytes,
        ..LogConfig::default()
    }
}

fn durable(durable: u64) -> TailBytes {
    TailBytes {
        durable,
        on_its_way: 0,
    }
}

fn on_its_way(on_its_way: u64) -> TailBytes {
    TailBytes {
        durable: 0,
        on_its_way,
    }
}

fn start(expiry: Option<Expiry>) -> Option<(i64, bool)> {
    expiry.map(|expiry| (expiry.start, expiry.seals_last))
}

#[test]
fn size_takes_old_segments_while_enough_is_left() {
    let segments = segments(&[1, 2, 3, 4]);
    let by_size_and = |bytes, tail| start(expired(&config(-1, bytes), &segments, tail, 100, None));
    let by_size = |bytes, tail| by_size_and(bytes, durable(tail));
    assert_eq!(by_size(400, 0), None);
    assert_eq!(by_size(300, 0), Some((10, false)));
    assert_eq!(by_size(299, 0), Some((10, false)));
    assert_eq!(by_size(0, 0), Some((30, false)));
    assert_eq!(by_size(400, 100), Some((10, false)));
    // What may yet be refused leaves nothing behind.
    assert_eq!(by_size_and(400, on_its_way(100)), None);
    assert_eq!(by_size(-1, 0), None);
}

#[test]
fn age_takes_segments_in_order_and_the_last_one_only_if_idle() {
    let segments = segments(&[100, 200, 150, 300]);
    let by_age_and = |now, tail| start(expired(&config(1000, -1), &segments, tail, 100, Some(now)));
    let by_age = |now, tail| by_age_and(now, durable(tail));
    assert_eq!(by_age(1100, 0), None);
    assert_eq!(by_age(1101, 0), Some((10, false)));
    // The third is old enough; the second before it is not.
    assert_eq!(by_age(1160, 0), Some((10, false)));
    assert_eq!(by_age(1201, 0), Some((30, false)));
    assert_eq!(by_age(1301, 0), Some((40, true)));
    assert_eq!(by_age(1301, 5), Some((30, false)));
    assert_eq!(by_age_and(1301, on_its_way(5)), Some((30, false)));
    let never = expired(&config(1000, -1), &segments, durable(0), 100, None);
    assert_eq!(never, None);
}

#[test]
fn nothing_above_the_high_watermark_and_nothing_that_is_only_compacted_goes() {
    let segments = segments(&[1, 2, 3]);
    let all = config(0, 0);
    assert_eq!(
        start(expired(&all, &segments, durable(0), 15, Some(1000))),
        Some((10, false))
    );
    let compacted = LogConfig {
        cleanup_delete: false,
        ..all
    };
    assert_eq!(
        expired(&compacted, &segments, durable(0), 100, Some(1000)),
        None
    );
}

#[test]
fn a_clock_is_believed_at_the_second_look_that_agrees() {
    let at = |seconds: u64| Instant(seconds * 1_000_000_000);
    let mut clock = WallClock::default();
    assert_eq!(clock.look(5_000, at(0), Duration::ZERO), None);
    assert_eq!(clock.look(15_000, at(10), Duration::ZERO), Some(15_000));
    let year = 365 * 86_400_000;
    assert_eq!(clock.look(year, at(20), Duration::ZERO), None);
    assert_eq!(clock.look(35_000, at(30), Duration::ZERO), None);
    assert_eq!(clock.look(45_000, at(40), Duration::ZERO), Some(45_000));
    assert_eq!(clock.look(year, at(50), Duration::ZERO), None);
    assert_eq!(
        clock.look(year + 10_000, at(60), Duration::ZERO),
        Some(year + 10_000)
    );
    // A process that was paused: both clocks went on.
    assert_eq!(
        clock.look(year + 3_610_000, at(3_660), Duration::ZERO),
        Some(year + 3_610_000)
    );
}

#[test]
fn looks_that_come_soon_after_each_other_believe_no_step() {
    let at = |ms: u64| Instant(ms * 1_000_000);
    let minute = Duration::from_secs(60);
    let mut clock = WallClock::default();
    assert_eq!(clock.look(0, at(0), minute), None);
    assert_eq!(clock.look(60_000, at(60_000), minute), Some(60_000));
    let year = 365 * 86_400_000;
    assert_eq!(clock.look(year, at(61_000), minute), None);
    assert_eq!(clock.look(year + 1, at(61_001), minute), None);
    // It comes back.
    assert_eq!(clock.look(66_000, at(66_000), minute), None);
    assert_eq!(clock.look(125_999, at(125_999), minute), None);
    assert_eq!(clock.look(126_000, at(126_000), minute), Some(126_000));
}

#[test]
fn only_a_clock_that_went_steadily_for_an_hour_tells_that_somebody_is_silent() {
    let at = |seconds: u64| Instant(seconds * 1_000_000_000);
    let hour = Duration::from_secs(3_600);
    let mut clock = WallClock::default();
    clock.look(0, at(0), hour);
    assert!(!clock.has_agreed_for(at(0), hour));
    clock.look(3_599_000, at(3_599), hour);
    assert!(!clock.has_agreed_for(at(3_599), hour));
    clock.look(3_600_000, at(3_600), hour);
    assert!(clock.has_agreed_for(at(3_600), hour));
    let year = 365 * 86_400_000;
    clock.look(year, at(3_601), hour);
    assert!(!clock.has_agreed_for(at(3_601), hour));
    clock.look(year + 3_600_000, at(7_201), hour);
    assert!(clock.has_agreed_for(at(7_201), hour));
}
