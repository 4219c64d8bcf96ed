use super::{DESCRIPTOR_LEN, Plan, Segment, SideMark};
use crate::LogConfig;
use crate::cursor::Cursor;
use taffrail_record::{TopicId, TopicPartition};

fn partition(number: i32) -> TopicPartition {
    TopicPartition {
        topic: TopicId([1; 16]),
        partition: number,
    }
}

fn config() -> LogConfig {
    LogConfig {
        segment_bytes: 1000,
        segment_ms: 500,
        index_interval_bytes: 100,
        segment_index_bytes: 36,
        ..LogConfig::default()
    }
}

fn plan() -> Plan {
    let mut plan = Plan::new(partition(0), 10, 5_000);
    plan.admit(&config(), 300, 1_000);
    plan
}

#[test]
fn a_descriptor_survives_its_encoding() {
    let segment = Segment {
        end_offset: 20,
        length: 300,
        max_timestamp: 7,
        max_timestamp_offset: 12,
        first_timestamp: 6,
        epoch: 3,
        sealed: true,
        side: SideMark {
            position: 1,
            index_len: 2,
            time_index_len: 3,
            digest_len: 4,
        },
        ..Segment::new(partition(0), 10)
    };
    let bytes = segment.to_bytes();
    assert_eq!(bytes.len(), DESCRIPTOR_LEN);
    assert_eq!(Segment::decode(&mut Cursor::new(&bytes)), Some(segment));
    assert_eq!(Segment::decode(&mut Cursor::new(&bytes[1..])), None);
}

#[test]
fn no_two_segments_begin_with_the_same_chain() {
    let one = Segment::new(partition(0), 10).chain;
    assert_ne!(one, Segment::new(partition(1), 10).chain);
    assert_ne!(one, Segment::new(partition(0), 11).chain);
}

#[test]
fn a_segment_ends_by_size_span_age_or_a_full_index() {
    let rolls = |size, timestamp, last_offset, now| {
        plan().must_roll(&config(), size, timestamp, last_offset, now)
    };
    assert!(!rolls(700, 1_000, 11, 5_000));
    assert!(rolls(701, 1_000, 11, 5_000));
    assert!(!rolls(1, 1_000, 10 + i64::from(i32::MAX), 5_000));
    assert!(rolls(1, 1_000, 11 + i64::from(i32::MAX), 5_000));
    assert!(!rolls(1, 1_500, 11, 5_000));
    assert!(rolls(1, 1_501, 11, 5_000));
    // Without a timestamp the wall clock at admission counts.
    assert!(!rolls(1, -1, 11, 5_500));
    assert!(rolls(1, -1, 11, 5_501));
    let mut plan = plan();
    for _ in 0..2 {
        plan.admit(&config(), 110, 1_000);
    }
    assert!(!plan.must_roll(&config(), 1, 1_000, 11, 5_000));
    plan.admit(&config(), 110, 1_000);
    assert!(plan.must_roll(&config(), 1, 1_000, 11, 5_000));
}

#[test]
fn an_empty_segment_takes_a_batch_of_any_size() {
    let plan = Plan::new(partition(0), 0, 0);
    assert!(!plan.must_roll(&config(), 5_000, 9, 1, 1_000_000));
}

/// The age from which on a segment with this base offset ends.
fn age_of_end(config: &LogConfig, base_offset: i64) -> i64 {
    let mut plan = Plan::new(partition(0), base_offset, 0);
    plan.admit(config, 10, 1_000);
    let ends = |age: i64| plan.must_roll(config, 1, 1_000 + age, base_offset + 1, 0);
    (0..)
        .find(|age| ends(*age))
        .expect("every segment ends some time")
}

#[test]
fn jitter_is_drawn_for_each_segment_and_never_takes_all_of_its_time() {
    let config = |segment_jitter_ms| LogConfig {
        segment_ms: 500,
        segment_jitter_ms,
        ..LogConfig::default()
    };
    for (jitter, most) in [(0, 0), (1, 0), (100, 99), (500, 499), (i64::MAX, 499)] {
        let config = config(jitter);
        let ends: Vec<i64> = (0..200).map(|base| age_of_end(&config, base)).collect();
        assert!(ends.iter().all(|age| (501 - most..=501).contains(age)));
        assert_eq!(ends[7], age_of_end(&config, 7), "it is drawn once");
        let mut different = ends;
        different.sort_unstable();
        different.dedup();
        assert!(different.len() as i64 > most / 4, "jitter {jitter}");
    }
}
