use super::Replay;
use crate::checkpoint::Checkpoint;
use crate::journal::entry::{Entry, LogKey};
use crate::journal::{Joint, Place};
use crate::segment::Segment;
use crate::state::LogState;
use crate::tests::{NOBODY, batch_of};
use bytes::Bytes;
use taffrail_record::batch::{BatchHeader, header_bytes, set_base_offset};
use taffrail_record::{TopicId, TopicPartition};

fn key(number: u64) -> LogKey {
    LogKey {
        partition: TopicPartition {
            topic: TopicId([1; 16]),
            partition: 0,
        },
        number,
    }
}

fn place(offset: u64) -> Place {
    Place { file: 1, offset }
}

fn replay(sections: Vec<(Place, Vec<LogState>)>) -> Replay {
    Replay::new(Checkpoint {
        generation: 1,
        replay: Joint::default(),
        next_log_number: 1,
        sections,
    })
}

fn batch(offset: i64) -> Bytes {
    let mut batch = batch_of(NOBODY, 1, 5, b"x");
    set_base_offset(&mut batch, offset);
    batch.freeze()
}

fn append(number: u64, offset: i64) -> Entry {
    Entry::append(key(number), 0, offset, 0, 7, batch(offset))
}

/// A mark that says that offsets below `end` are in the segment that starts at 0.
fn mark(number: u64, end: i64) -> Entry {
    let mut segment = Segment::new(key(1).partition, 0);
    for offset in 0..end {
        let batch = batch(offset);
        let header = BatchHeader::parse(&batch).expect("a batch");
        segment.extend(&header, header_bytes(&batch));
    }
    Entry::mark(key(number), segment.to_bytes())
}

#[test]
fn what_no_mark_covers_is_the_tail() {
    let mut replay = replay(vec![]);
    replay
        .entry(place(1), Entry::create(key(1), 0, 0))
        .expect("folds");
    for offset in 0..5 {
        replay.entry(place(2), append(1, offset)).expect("folds");
    }
    replay.entry(place(3), mark(1, 3)).expect("folds");
    let found = replay.finish().expect("whole");
    assert_eq!(found.next_log_number, 2);
    let log = &found.logs[0];
    assert_eq!(log.state.end_offset, 5);
    assert_eq!(log.state.flushed_end, 3);
    let tail: Vec<i64> = log
        .tail
        .iter()
        .map(|entry| entry.header.base_offset)
        .collect();
    assert_eq!(tail, [3, 4]);
}

#[test]
fn a_segment_behind_the_start_leaves_unless_something_is_meant_for_it() {
    let found = |last: i64| {
        let mut replay = replay(vec![]);
        replay
            .entry(place(1), Entry::create(key(1), 0, 0))
            .expect("folds");
        for offset in 0..last {
            replay.entry(place(2), append(1, offset)).expect("folds");
        }
        replay.entry(place(3), mark(1, 3)).expect("folds");
        replay
            .entry(place(4), Entry::start(key(1), 3))
            .expect("folds");
        replay.finish().expect("whole").logs.remove(0).state
    };
    assert_eq!(found(4).segments.len(), 1);
    let left = found(3);
    assert_eq!(left.segments, []);
    assert_eq!(left.removals, [0]);
    assert_eq!((left.start_offset, left.end_offset), (3, 3));
}

#[test]
fn a_copy_stands_in_for_a_batch_whose_file_is_gone() {
    let mut state = LogState::new(key(1).partition, 1, 0, 0);
    state.end_offset = 3;
    let mut whole = replay(vec![(place(50), vec![state.clone()])]);
    whole.entry(place(10), append(1, 1)).expect("folds");
    whole.entry(place(11), append(1, 2)).expect("folds");
    whole
        .entry(place(60), append(1, 0).into_copy())
        .expect("folds");
    whole.entry(place(61), append(1, 3)).expect("folds");
    let found = whole.finish().expect("whole");
    assert_eq!(found.logs[0].tail.len(), 4);
    let mut holed = replay(vec![(place(50), vec![state])]);
    holed.entry(place(11), append(1, 2)).expect("folds");
    assert!(holed.finish().expect_err("a hole").contains("from 0 on"));
}

#[test]
fn what_the_checkpoint_holds_is_not_applied_twice() {
    let mut state = LogState::new(key(1).partition, 1, 0, 0);
    state.end_offset = 2;
    state.start_offset = 1;
    let mut replay = replay(vec![(place(50), vec![state])]);
    replay
        .entry(place(1), Entry::create(key(1), 0, 0))
        .expect("folds");
    for offset in 0..2 {
        replay.entry(place(2), append(1, offset)).expect("folds");
    }
    replay
        .entry(place(3), Entry::start(key(1), 1))
        .expect("folds");
    replay.entry(place(50), append(1, 2)).expect("folds");
    let found = replay.finish().expect("whole");
    assert_eq!(found.logs[0].state.end_offset, 3);
    assert_eq!(found.logs[0].tail.len(), 3);
}

#[test]
fn lives_of_one_partition_do_not_mix() {
    let mut replay = replay(vec![]);
    replay
        .entry(place(1), Entry::create(key(1), 0, 0))
        .expect("folds");
    replay.entry(place(2), append(1, 0)).expect("folds");
    replay
        .entry(place(3), Entry::delete(key(1)))
        .expect("folds");
    // Overtaken by the deletion, and by the next life.
    replay.entry(place(4), mark(1, 1)).expect("folds");
    replay
        .entry(place(5), Entry::create(key(4), 0, 0))
        .expect("folds");
    replay
        .entry(place(6), append(1, 0).into_copy())
        .expect("folds");
    replay.entry(place(7), mark(1, 1)).expect("folds");
    let found = replay.finish().expect("whole");
    assert_eq!(found.deleted, [(key(1).partition, 1)]);
    let log = &found.logs[0].state;
    assert_eq!((log.number, log.end_offset, log.flushed_end), (4, 0, 0));
}

#[test]
fn what_cannot_be_is_damage() {
    let with = |entries: &[Entry]| {
        let mut replay = replay(vec![]);
        entries
            .iter()
            .try_for_each(|entry| replay.entry(place(1), entry.clone()))
    };
    let create = || Entry::create(key(1), 0, 0);
    assert!(with(&[append(1, 0)]).is_err());
    assert!(with(&[create(), create()]).is_err());
    assert!(with(&[create(), append(1, 1)]).is_err());
    assert!(with(&[create(), append(2, 0)]).is_err());
    let mut other = append(1, 0);
    other.a = 1;
    assert!(with(&[create(), other]).is_err());
    assert!(with(&[create(), Entry::mark(key(1), Bytes::from_static(b"short"))]).is_err());
}
