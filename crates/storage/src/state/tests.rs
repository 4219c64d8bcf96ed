use super::{LogState, Membership};
use crate::EpochVote;
use crate::cursor::Cursor;
use crate::segment::Segment;
use bytes::{Bytes, BytesMut};
use taffrail_record::{TopicId, TopicPartition};

fn partition() -> TopicPartition {
    TopicPartition {
        topic: TopicId([1; 16]),
        partition: 2,
    }
}

fn segment(base_offset: i64, end_offset: i64, length: u64) -> Segment {
    Segment {
        end_offset,
        length,
        ..Segment::new(partition(), base_offset)
    }
}

fn state() -> LogState {
    let mut state = LogState::new(partition(), 7, 0, 0);
    state.epochs = vec![(0, 0), (2, 10), (5, 20)];
    state.end_offset = 30;
    state.mark(segment(0, 8, 800));
    state.mark(segment(8, 16, 800));
    state.mark(segment(16, 20, 400));
    state
}

#[test]
fn a_mark_of_a_new_segment_seals_the_one_before() {
    let state = state();
    let sealed: Vec<bool> = state
        .segments
        .iter()
        .map(|segment| segment.sealed)
        .collect();
    assert_eq!(sealed, [true, true, false]);
    assert_eq!(state.flushed_end, 20);
}

#[test]
fn marks_that_come_late_change_nothing() {
    let mut state = state();
    let before = state.clone();
    state.mark(segment(16, 18, 200));
    state.mark(segment(8, 16, 800));
    assert_eq!(state, before);
}

#[test]
fn a_moved_start_drops_whole_sealed_segments_and_old_epochs() {
    let mut state = state();
    assert_eq!(state.advance_start(12), [0]);
    assert_eq!(state.start_offset, 12);
    assert_eq!(state.epochs, [(2, 12), (5, 20)]);
    assert_eq!(state.advance_start(5), []);
    assert_eq!(state.start_offset, 12);
    // The segment that is being filled stays, whatever the start.
    assert_eq!(state.advance_start(30), [8]);
    assert_eq!(state.segments.len(), 1);
    assert_eq!(state.removals, [0, 8]);
    assert_eq!(state.epochs, [(5, 30)]);
}

#[test]
fn what_was_being_filled_leaves_only_if_the_start_has_passed_it() {
    let mut state = state();
    state.advance_start(19);
    state.leave_last_behind();
    assert_eq!(state.segments.len(), 1);
    state.advance_start(20);
    assert_eq!(state.segments.len(), 1);
    state.leave_last_behind();
    assert_eq!(state.segments, []);
    assert_eq!(state.removals, [0, 8, 16]);
}

#[test]
fn a_segment_that_is_sealed_behind_the_start_leaves_at_once() {
    let mut late = state();
    late.advance_start(20);
    let open: Vec<i64> = late.segments.iter().map(|kept| kept.base_offset).collect();
    assert_eq!(open, [16], "what is being filled stays");
    let seal = Segment {
        sealed: true,
        ..segment(16, 20, 400)
    };
    assert_eq!(late.mark(seal.clone()), [16]);
    let mut early = state();
    assert_eq!(early.mark(seal), []);
    early.advance_start(20);
    assert_eq!(late.segments, early.segments);
    assert_eq!(late.removals, early.removals);
}

#[test]
fn epochs_end_where_kafka_says() {
    let state = state();
    assert_eq!(state.end_offset_for_epoch(5), (5, 30));
    assert_eq!(state.end_offset_for_epoch(4), (2, 20));
    assert_eq!(state.end_offset_for_epoch(2), (2, 20));
    assert_eq!(state.end_offset_for_epoch(1), (0, 10));
    assert_eq!(state.end_offset_for_epoch(6), (-1, -1));
    assert_eq!(state.end_offset_for_epoch(-1), (-1, -1));
    let mut trimmed = state.clone();
    trimmed.epochs.remove(0);
    assert_eq!(trimmed.end_offset_for_epoch(1), (1, 10));
}

#[test]
fn a_log_without_a_batch_knows_its_epoch() {
    let mut new = LogState::new(partition(), 1, 40, 3);
    let old = LogState {
        epochs: Vec::new(),
        ..new.clone()
    };
    for empty in [&new, &old] {
        assert_eq!(empty.end_offset_for_epoch(3), (3, 40));
        assert_eq!(empty.end_offset_for_epoch(2), (2, 40));
        assert_eq!(empty.end_offset_for_epoch(4), (-1, -1));
        assert_eq!(empty.end_offset_for_epoch(-1), (-1, -1));
        let mut bytes = BytesMut::new();
        empty.encode(&mut bytes);
        let decoded = LogState::decode(&mut Cursor::new(&bytes));
        assert_eq!(decoded.as_ref(), Some(empty));
    }
    new.begin_term(5, 40);
    assert_eq!(new.epochs, [(5, 40)], "nothing is of the epoch before");
    assert_eq!(new.end_offset_for_epoch(5), (5, 40));
    assert_eq!(new.end_offset_for_epoch(3), (3, 40));
}

#[test]
fn truncation_takes_epochs_with_it() {
    let mut state = state();
    state.truncate(20);
    assert_eq!(state.epochs, [(0, 0), (2, 10)]);
    assert_eq!(state.end_offset, 20);
    state.truncate(25);
    assert_eq!(state.end_offset, 20);
}

#[test]
fn a_state_survives_its_encoding_and_never_a_shorter_one() {
    let mut state = state();
    state.vote = Some(EpochVote {
        term: 6,
        candidate: 3,
    });
    state.membership = Some(Membership {
        term: 6,
        offset: 21,
        members: Bytes::from_static(b"abc"),
    });
    state.removals = vec![1, 2];
    let mut bytes = BytesMut::new();
    state.encode(&mut bytes);
    assert_eq!(LogState::decode(&mut Cursor::new(&bytes)), Some(state));
    for len in 0..bytes.len() {
        assert_eq!(LogState::decode(&mut Cursor::new(&bytes[..len])), None);
    }
}
