//! Every judge on hand-made histories: silent on a good one, and the one that speaks on each bad one.

use super::Court;
use crate::history::{Bounds, DiskChange, Event, Membership, Written};
use taffrail_record::{Offset, TopicId, TopicPartition};

fn partition(number: i32) -> TopicPartition {
    TopicPartition {
        topic: TopicId([7; 16]),
        partition: number,
    }
}

fn record(id: u64) -> Written {
    Written {
        id,
        digest: id * 1000 + 1,
    }
}

fn send(operation: u64, id: u64) -> Event {
    Event::SendStarted {
        operation,
        client: 1,
        partition: partition(0),
        record: record(id),
        idempotent: true,
    }
}

fn acked(operation: u64, offset: Offset) -> Event {
    Event::SendAcked { operation, offset }
}

/// A poll from `position` that returned these records.
fn poll(
    operation: u64,
    position: Offset,
    records: &[(Offset, Written)],
    high_watermark: Offset,
) -> [Event; 2] {
    [
        Event::PollStarted {
            operation,
            client: 2,
            partition: partition(0),
            position,
            fresh: true,
        },
        Event::PollAcked {
            operation,
            records: records.to_vec(),
            high_watermark,
        },
    ]
}

fn read_back(round: u32, start: Offset, end: Offset, records: &[(Offset, Written)]) -> Event {
    Event::ReadBack {
        round,
        partition: partition(0),
        start,
        end,
        records: records.to_vec(),
    }
}

fn exposed(start: Offset, high_watermark: Offset, end: Offset) -> Event {
    let bounds = Bounds {
        start,
        last_stable: high_watermark,
        high_watermark,
        end,
    };
    Event::Exposed {
        node: 1,
        incarnation: 1,
        partition: partition(0),
        bounds,
    }
}

/// The invariant that objects to the history, if any does.
fn verdict(events: impl IntoIterator<Item = Event>) -> Option<&'static str> {
    let mut court = Court::default();
    for event in events {
        if let Err(violation) = court.on_event(&event) {
            return Some(violation.invariant);
        }
    }
    court.finish().err().map(|violation| violation.invariant)
}

fn written_twice() -> Vec<Event> {
    vec![send(1, 10), acked(1, 0), send(2, 11), acked(2, 1)]
}

#[test]
fn a_good_history_passes_every_judge() {
    let mut events = written_twice();
    events.extend([
        send(3, 12),
        Event::SendUnknown { operation: 3 },
        exposed(0, 2, 3),
    ]);
    events.extend(poll(4, 0, &[(0, record(10)), (1, record(11))], 2));
    events.push(Event::EndStarted {
        operation: 5,
        client: 2,
        partition: partition(0),
    });
    events.push(Event::EndAcked {
        operation: 5,
        end: 3,
    });
    events.push(read_back(
        0,
        0,
        3,
        &[(0, record(10)), (1, record(11)), (2, record(12))],
    ));
    events.push(Event::StartMoved {
        partition: partition(0),
        start: 1,
    });
    events.push(read_back(1, 1, 3, &[(1, record(11)), (2, record(12))]));
    assert_eq!(verdict(events), None);
}

#[test]
fn bytes_that_nobody_produced_are_corruption() {
    let mut events = written_twice();
    events.extend(poll(
        4,
        0,
        &[
            (0, record(10)),
            (
                1,
                Written {
                    id: Written::FOREIGN,
                    digest: 5,
                },
            ),
        ],
        2,
    ));
    assert_eq!(verdict(events), Some("NO-SILENT-CORRUPTION"));
}

#[test]
fn a_record_with_other_contents_is_corruption() {
    let mut events = written_twice();
    events.extend(poll(4, 0, &[(0, Written { id: 10, digest: 5 })], 2));
    assert_eq!(verdict(events), Some("NO-SILENT-CORRUPTION"));
}

#[test]
fn a_record_of_a_sibling_partition_crossed_over() {
    let other = Event::SendStarted {
        operation: 9,
        client: 1,
        partition: partition(1),
        record: record(30),
        idempotent: true,
    };
    let mut events = vec![other, acked(9, 0)];
    events.extend(poll(4, 0, &[(0, record(30))], 1));
    assert_eq!(verdict(events), Some("NO-CROSS-TOPIC"));
}

fn life(number: u8) -> TopicPartition {
    TopicPartition {
        topic: TopicId([number; 16]),
        partition: 0,
    }
}

fn send_to(operation: u64, id: u64, partition: TopicPartition) -> Event {
    Event::SendStarted {
        operation,
        client: 1,
        partition,
        record: record(id),
        idempotent: false,
    }
}

fn fetch_of(operation: u64, partition: TopicPartition, fresh: bool) -> Event {
    Event::PollStarted {
        operation,
        client: 2,
        partition,
        position: 0,
        fresh,
    }
}

fn fetched(operation: u64, records: &[(Offset, Written)]) -> Event {
    Event::PollAcked {
        operation,
        records: records.to_vec(),
        high_watermark: records.len() as Offset,
    }
}

/// A record in a topic, and the topic deleted.
fn deleted_life() -> Vec<Event> {
    vec![
        send_to(1, 10, life(1)),
        acked(1, 0),
        Event::DeleteStarted { partition: life(1) },
        Event::Deleted { partition: life(1) },
    ]
}

#[test]
fn a_record_of_a_deleted_topic_never_comes_back_in_the_next() {
    let mut events = deleted_life();
    events.extend([fetch_of(2, life(2), true), fetched(2, &[(0, record(10))])]);
    assert_eq!(verdict(events), Some("TOPIC-ID"));
}

#[test]
fn whoever_names_a_deleted_topic_is_refused() {
    let served = |late: [Event; 2]| {
        let mut events = deleted_life();
        events.extend(late);
        verdict(events)
    };
    let read = fetch_of(2, life(1), true);
    assert_eq!(served([read.clone(), fetched(2, &[])]), Some("TOPIC-ID"));
    let out_of_range = Event::PollOutOfRange { operation: 2 };
    assert_eq!(served([read.clone(), out_of_range]), Some("TOPIC-ID"));
    assert_eq!(served([read, Event::PollFailed { operation: 2 }]), None);
    let write = send_to(2, 11, life(1));
    assert_eq!(served([write.clone(), acked(2, 0)]), Some("TOPIC-ID"));
    assert_eq!(served([write, Event::SendFailed { operation: 2 }]), None);
    // What a reader had fetched before it may hand out later.
    let read_ahead = fetch_of(2, life(1), false);
    assert_eq!(served([read_ahead, fetched(2, &[(0, record(10))])]), None);
}

#[test]
fn a_name_leads_to_its_topic_until_that_is_deleted() {
    let resolved = |partition, found: Option<TopicPartition>| Event::NameResolved {
        partition,
        found: found.map(|life| life.topic),
    };
    assert_eq!(verdict([resolved(life(1), Some(life(1)))]), None);
    assert_eq!(verdict([resolved(life(1), None)]), Some("TOPIC-ID"));
    let other = resolved(life(1), Some(life(2)));
    assert_eq!(verdict([other]), Some("TOPIC-ID"));
    let mut events = deleted_life();
    events.push(resolved(life(1), Some(life(1))));
    assert_eq!(verdict(events), Some("TOPIC-ID"));
}

#[test]
fn two_records_acknowledged_at_one_offset_contradict() {
    assert_eq!(
        verdict([send(1, 10), acked(1, 0), send(2, 11), acked(2, 0)]),
        Some("ACKED-OFFSET")
    );
}

#[test]
fn an_acknowledgement_with_another_records_offset_is_a_lie() {
    let mut events = vec![
        send(1, 10),
        acked(1, 1),
        send(2, 11),
        Event::SendUnknown { operation: 2 },
    ];
    events.extend(poll(4, 0, &[(0, record(10)), (1, record(11))], 2));
    assert_eq!(verdict(events), Some("ACKED-OFFSET"));
}

#[test]
fn an_acknowledged_record_that_is_gone_is_lost() {
    let mut events = written_twice();
    events.push(read_back(0, 0, 1, &[(0, record(10))]));
    assert!(matches!(verdict(events), Some("ACKED-DURABLE")));
}

#[test]
fn a_start_that_nobody_moved_loses_records() {
    let mut events = written_twice();
    events.push(read_back(0, 1, 2, &[(1, record(11))]));
    assert_eq!(verdict(events), Some("ACKED-DURABLE"));
}

#[test]
fn a_partition_that_cannot_be_read_needs_a_damaged_disk() {
    let refused = Event::ReadBackRefused {
        round: 0,
        partition: partition(0),
        from: 0,
        to: 2,
    };
    let damaged = |from, to| Event::DamageAllowed {
        node: 1,
        partition: partition(0),
        from,
        to,
    };
    assert_eq!(verdict([refused.clone()]), Some("ACKED-DURABLE"));
    let elsewhere = [damaged(1, 9), damaged(0, 1), refused.clone()];
    assert_eq!(verdict(elsewhere), None);
    assert_eq!(
        verdict([damaged(0, 1), refused.clone()]),
        Some("ACKED-DURABLE")
    );
    // What was not refused must be there all the same.
    let mut events = written_twice();
    events.extend([send(3, 12), acked(3, 2), damaged(0, 2), refused]);
    let mut lost = events.clone();
    events.push(read_back(0, 0, 3, &[(2, record(12))]));
    assert_eq!(verdict(events.clone()), None);
    events.push(read_back(1, 0, 3, &[(2, record(12))]));
    assert!(verdict(events).is_some());
    lost.push(read_back(0, 0, 3, &[]));
    assert_eq!(verdict(lost), Some("ACKED-DURABLE"));
}

#[test]
fn a_disk_without_law_may_lose_and_may_not_lie() {
    let lawless = Event::LossAllowed { node: 1 };
    let mut events = written_twice();
    events.push(lawless.clone());
    events.push(read_back(0, 0, 0, &[]));
    events.extend([exposed(0, 2, 2), exposed(0, 0, 0)]);
    assert_eq!(verdict(events.clone()), None);
    let foreign = Written { id: 10, digest: 99 };
    events.push(read_back(1, 0, 1, &[(0, foreign)]));
    assert_eq!(verdict(events), Some("NO-SILENT-CORRUPTION"));
}

#[test]
fn an_offset_bound_to_two_records_is_not_unique() {
    let unknown = |operation, id| [send(operation, id), Event::SendUnknown { operation }];
    let mut events: Vec<Event> = unknown(1, 10).into_iter().chain(unknown(2, 11)).collect();
    events.extend(poll(4, 0, &[(0, record(10))], 1));
    events.extend(poll(5, 0, &[(0, record(11))], 1));
    assert_eq!(verdict(events), Some("OFFSET-UNIQUE"));
}

#[test]
fn a_committed_end_that_falls_will_bind_offsets_anew() {
    let mut events = written_twice();
    events.extend(poll(4, 0, &[(0, record(10)), (1, record(11))], 2));
    events.push(read_back(0, 0, 1, &[(0, record(10))]));
    assert!(matches!(
        verdict(events),
        Some("OFFSET-UNIQUE" | "ACKED-DURABLE")
    ));
}

#[test]
fn a_send_that_is_in_the_log_twice_is_not_idempotent() {
    let mut events = vec![send(1, 10), Event::SendUnknown { operation: 1 }];
    events.push(read_back(0, 0, 2, &[(0, record(10)), (1, record(10))]));
    assert_eq!(verdict(events), Some("IDEMPOTENT"));
}

#[test]
fn sends_of_one_producer_in_the_wrong_order_are_not_idempotent() {
    let mut events = vec![
        send(1, 10),
        Event::SendUnknown { operation: 1 },
        send(2, 11),
        Event::SendUnknown { operation: 2 },
    ];
    events.push(read_back(0, 0, 2, &[(0, record(11)), (1, record(10))]));
    assert_eq!(verdict(events), Some("IDEMPOTENT"));
}

#[test]
fn a_broker_that_refuses_the_next_sequence_has_lost_count() {
    let refused = Event::SequenceRefused {
        operation: 3,
        partition: partition(0),
        why: "OUT_OF_ORDER_SEQUENCE_NUMBER",
    };
    let mut events = written_twice();
    events.extend([send(3, 12), refused]);
    assert_eq!(verdict(events), Some("IDEMPOTENT"));
}

#[test]
fn a_hole_in_what_a_poll_returns_is_seen() {
    let mut events = written_twice();
    events.extend([send(3, 12), acked(3, 2)]);
    events.extend(poll(4, 0, &[(0, record(10)), (2, record(12))], 3));
    assert_eq!(verdict(events), Some("READ-COMMITTED-PREFIX"));
}

#[test]
fn a_record_beyond_the_high_watermark_must_not_be_seen() {
    let mut events = written_twice();
    events.extend(poll(4, 0, &[(0, record(10)), (1, record(11))], 1));
    assert_eq!(verdict(events), Some("READ-COMMITTED-PREFIX"));
}

#[test]
fn bounds_out_of_order_or_falling_are_seen() {
    assert_eq!(verdict([exposed(3, 2, 4)]), Some("HW-BOUNDS"));
    assert_eq!(verdict([exposed(-1, 2, 4)]), Some("HW-BOUNDS"));
    assert_eq!(
        verdict([exposed(2, 5, 5), exposed(1, 5, 5)]),
        Some("OFFSET-ORDER")
    );
    assert_eq!(
        verdict([exposed(0, 5, 5), exposed(0, 0, 0)]),
        Some("DELETE-NEEDS-TOMBSTONE")
    );
}

#[test]
fn an_end_that_forgets_an_acknowledged_record_is_stale() {
    let mut events = written_twice();
    events.push(Event::EndStarted {
        operation: 5,
        client: 2,
        partition: partition(0),
    });
    events.push(Event::EndAcked {
        operation: 5,
        end: 1,
    });
    assert_eq!(verdict(events), Some("LINEAR-READ"));
}

#[test]
fn out_of_range_inside_the_log_is_a_lie() {
    let poll = Event::PollStarted {
        operation: 6,
        client: 2,
        partition: partition(0),
        position: 1,
        fresh: true,
    };
    let told = Event::PollOutOfRange { operation: 6 };
    let mut events = written_twice();
    events.extend([poll.clone(), told.clone()]);
    assert_eq!(verdict(events), Some("OFFSET-RANGE-TRUTH"));
    let mut events = written_twice();
    events.extend([
        Event::StartMoved {
            partition: partition(0),
            start: 2,
        },
        poll,
        told,
    ]);
    assert_eq!(verdict(events), None);
}

#[test]
fn who_is_the_first_to_learn_of_a_new_start_is_told_the_truth() {
    let poll = Event::PollStarted {
        operation: 6,
        client: 2,
        partition: partition(0),
        position: 0,
        fresh: true,
    };
    let told = Event::PollOutOfRange { operation: 6 };
    let mut events = written_twice();
    events.extend([poll.clone(), told, exposed(1, 2, 2)]);
    assert_eq!(verdict(events), None);
    // And nobody reads behind it any more.
    let mut events = written_twice();
    events.extend([
        exposed(1, 2, 2),
        poll.clone(),
        fetched(6, &[(0, record(10))]),
    ]);
    assert_eq!(verdict(events), Some("OFFSET-RANGE-TRUTH"));
    // Unless the answer had come when it had not moved yet.
    let mut events = written_twice();
    events.extend([
        poll,
        exposed(1, 2, 2),
        fetched(6, &[(0, record(10)), (1, record(11))]),
    ]);
    assert_eq!(verdict(events), None);
}

#[test]
fn a_start_is_said_to_be_where_it_was_or_where_it_moved() {
    let asked = Event::EarliestStarted {
        operation: 6,
        client: 2,
        partition: partition(0),
    };
    let told = |start| Event::EarliestAcked {
        operation: 6,
        start,
    };
    let between = |start| {
        let around = [
            exposed(1, 5, 5),
            asked.clone(),
            told(start),
            exposed(3, 5, 5),
        ];
        verdict(around)
    };
    assert_eq!(between(1), None);
    assert_eq!(between(3), None);
    assert_eq!(between(0), Some("OFFSET-RANGE-TRUTH"));
    assert_eq!(between(4), Some("OFFSET-RANGE-TRUTH"));
}

#[test]
fn a_log_that_cannot_be_read_after_a_restart_does_not_match_itself() {
    let mut events = written_twice();
    events.push(read_back(0, 0, 2, &[(0, record(10)), (1, record(11))]));
    events.push(Event::ReadBackRefused {
        round: 1,
        partition: partition(0),
        from: 1,
        to: Offset::MAX,
    });
    assert_eq!(verdict(events), Some("LOG-MATCH"));
}

#[test]
fn a_log_that_reads_differently_after_a_restart_does_not_match_itself() {
    let unknown = [send(1, 10), Event::SendUnknown { operation: 1 }];
    let mut events: Vec<Event> = unknown.into();
    events.push(read_back(0, 0, 1, &[(0, record(10))]));
    events.push(read_back(1, 0, 0, &[]));
    assert!(matches!(
        verdict(events),
        Some("OFFSET-UNIQUE" | "LOG-MATCH")
    ));
}

#[test]
fn an_epoch_does_not_end_before_its_last_record() {
    let told = |told| Event::EpochEnd {
        partition: partition(0),
        epoch: 3,
        seen: 10,
        told,
    };
    assert_eq!(verdict([told((3, 10)), told((3, 12))]), None);
    for wrong in [(3, 9), (2, 10), (-1, -1)] {
        assert_eq!(verdict([told(wrong)]), Some("EPOCH-CACHE-EXACT"));
    }
}

fn commit(operation: u64, offset: Offset) -> Event {
    Event::CommitStarted {
        operation,
        group: 1,
        partition: partition(0),
        offset,
        by: None,
    }
}

fn committed(operation: u64, offset: Option<Offset>) -> [Event; 2] {
    [
        Event::CommittedStarted {
            operation,
            group: 1,
            partition: partition(0),
        },
        Event::CommittedAcked { operation, offset },
    ]
}

#[test]
fn an_acknowledged_commit_is_returned_until_overwritten() {
    let mut events = vec![commit(1, 5), Event::CommitAcked { operation: 1 }];
    events.extend(committed(2, Some(5)));
    events.extend([commit(3, 9)]);
    let mut either = events.clone();
    either.extend(committed(4, Some(5)));
    assert_eq!(verdict(either), None);
    let mut either = events.clone();
    either.extend(committed(4, Some(9)));
    assert_eq!(verdict(either), None);
    events.push(Event::CommitAcked { operation: 3 });
    events.extend(committed(4, Some(5)));
    assert_eq!(verdict(events), Some("OFFSET-NO-LOSS"));
}

#[test]
fn an_acknowledged_commit_is_never_forgotten() {
    let mut events = vec![commit(1, 5), Event::CommitAcked { operation: 1 }];
    events.extend(committed(2, None));
    assert_eq!(verdict(events), Some("OFFSET-NO-LOSS"));
}

fn member(client: u32, generation: i32, instance: Option<&str>) -> Membership {
    Membership {
        client,
        member_id: format!("id-{client}"),
        instance: instance.map(str::to_owned),
        generation,
    }
}

fn assigned(by: Membership) -> Event {
    Event::Assigned {
        group: 1,
        by,
        partitions: vec![partition(0)],
    }
}

/// A commit of a member that was taken.
fn commit_of(operation: u64, by: Membership) -> [Event; 2] {
    let started = Event::CommitStarted {
        operation,
        group: 1,
        partition: partition(0),
        offset: 5,
        by: Some(by),
    };
    [started, Event::CommitAcked { operation }]
}

#[test]
fn two_owners_in_one_generation_are_one_too_many() {
    let one = |client, generation| assigned(member(client, generation, None));
    assert_eq!(verdict([one(1, 1), one(2, 2)]), None);
    assert_eq!(verdict([one(1, 1), one(2, 1)]), Some("ONE-OWNER"));
}

#[test]
fn what_somebody_holds_is_given_to_nobody_else_in_that_generation() {
    let held = |client, generation| Event::Held {
        group: 1,
        by: member(client, generation, None),
        partitions: vec![partition(0)],
    };
    let given = |client, generation| assigned(member(client, generation, None));
    assert_eq!(verdict([given(1, 1), held(1, 2), given(2, 3)]), None);
    let early = [given(1, 1), held(1, 2), given(2, 2)];
    assert_eq!(verdict(early), Some("ONE-OWNER"));
    // Whichever of them tells first.
    let early = [given(1, 1), given(2, 2), held(1, 2)];
    assert_eq!(verdict(early), Some("ONE-OWNER"));
}

#[test]
fn a_process_that_takes_anothers_instance_takes_its_place_for_good() {
    let twin = |client| member(client, 1, Some("twin"));
    let mut events = vec![assigned(twin(1))];
    events.extend(commit_of(1, twin(1)));
    events.push(assigned(twin(2)));
    events.extend(commit_of(2, twin(2)));
    assert_eq!(verdict(events.clone()), None);
    events.extend(commit_of(3, twin(1)));
    assert_eq!(verdict(events), Some("ONE-OWNER"));
}

#[test]
fn a_commit_of_an_older_generation_comes_too_late() {
    let mut events = vec![assigned(member(1, 1, None))];
    events.extend(commit_of(1, member(1, 1, None)));
    events.push(assigned(member(1, 2, None)));
    assert_eq!(verdict(events.clone()), None);
    let refused = [
        commit_of(2, member(1, 1, None))[0].clone(),
        Event::CommitFailed { operation: 2 },
    ];
    events.extend(refused);
    assert_eq!(verdict(events.clone()), None);
    events.extend(commit_of(3, member(1, 1, None)));
    assert_eq!(verdict(events), Some("ZOMBIE-FENCED"));
}

#[test]
fn state_that_its_replay_does_not_reproduce_is_seen() {
    let digests = |replayed| Event::Digests {
        what: "OFFSET-REPLAY-EQ",
        of: "something".to_owned(),
        node: 1,
        live: 3,
        replayed,
    };
    assert_eq!(verdict([digests(3)]), None);
    assert_eq!(verdict([digests(4)]), Some("OFFSET-REPLAY-EQ"));
}

#[test]
fn a_node_that_takes_a_crash_for_a_clean_stop_is_seen() {
    let up = |clean, believes_clean| Event::NodeUp {
        node: 1,
        incarnation: 2,
        clean,
        believes_clean,
    };
    assert_eq!(verdict([up(true, true), up(true, false)]), None);
    assert_eq!(verdict([up(false, false)]), None);
    assert_eq!(verdict([up(false, true)]), Some("RECOVERY-RAN"));
}

/// A change of file 3 by handle 8.
fn disk_asked(change: DiskChange, records: &[u64]) -> Event {
    Event::DiskAsked {
        node: 1,
        incarnation: 1,
        file: 3,
        handle: 8,
        change,
        records: records.to_vec(),
    }
}

fn disk_ended(change: DiskChange, failed: bool) -> Event {
    Event::DiskEnded {
        node: 1,
        incarnation: 1,
        file: 3,
        handle: 8,
        change,
        failed,
    }
}

/// A record is written, and synced as far as `done` says: not at all, with an error, or well.
fn journaled(records: &[u64], done: Option<bool>) -> Vec<Event> {
    let mut events = vec![
        disk_asked(DiskChange::Write, records),
        disk_asked(DiskChange::Sync, &[]),
        disk_ended(DiskChange::Write, false),
    ];
    events.extend(done.map(|well| disk_ended(DiskChange::Sync, !well)));
    events
}

#[test]
fn an_acknowledgement_comes_after_the_sync_that_covers_it() {
    let acked_after = |records: &[u64], done| {
        let mut events = vec![send(1, 10)];
        events.extend(journaled(records, done));
        events.push(acked(1, 0));
        verdict(events)
    };
    assert_eq!(acked_after(&[10], Some(true)), None);
    assert_eq!(acked_after(&[10], None), Some("PERSIST-BEFORE-ACK"));
    assert_eq!(acked_after(&[10], Some(false)), Some("PERSIST-BEFORE-ACK"));
    // Compressed: nobody can say what was written, but something has to be.
    assert_eq!(acked_after(&[], Some(true)), None);
    assert_eq!(acked_after(&[], None), Some("PERSIST-BEFORE-ACK"));
}

#[test]
fn a_sync_covers_what_was_written_before_it_and_by_the_same_process() {
    let mut events = vec![send(1, 10)];
    events.extend([
        disk_asked(DiskChange::Sync, &[]),
        disk_asked(DiskChange::Write, &[10]),
        disk_ended(DiskChange::Sync, false),
        disk_ended(DiskChange::Write, false),
    ]);
    events.push(acked(1, 0));
    assert_eq!(verdict(events), Some("PERSIST-BEFORE-ACK"));
    let mut events = vec![send(1, 10)];
    events.extend(journaled(&[10], None));
    events.extend([
        Event::DiskAsked {
            node: 1,
            incarnation: 2,
            file: 3,
            handle: 9,
            change: DiskChange::Sync,
            records: Vec::new(),
        },
        Event::DiskEnded {
            node: 1,
            incarnation: 2,
            file: 3,
            handle: 9,
            change: DiskChange::Sync,
            failed: false,
        },
        acked(1, 0),
    ]);
    assert_eq!(verdict(events), Some("PERSIST-BEFORE-ACK"));
}

#[test]
fn a_commit_is_written_and_synced_before_it_is_acknowledged() {
    let taken = Event::CommitAcked { operation: 1 };
    let mut events = journaled(&[], Some(true));
    events.extend([commit(1, 5), taken.clone()]);
    assert_eq!(verdict(events), Some("PERSIST-BEFORE-ACK"));
    let mut events = vec![commit(1, 5)];
    events.extend(journaled(&[], Some(true)));
    events.push(taken);
    assert_eq!(verdict(events), None);
}

#[test]
fn a_handle_that_failed_is_not_used_again() {
    let failed = [
        disk_asked(DiskChange::Sync, &[]),
        disk_ended(DiskChange::Sync, true),
    ];
    let elsewhere = Event::DiskAsked {
        node: 1,
        incarnation: 1,
        file: 3,
        handle: 9,
        change: DiskChange::Write,
        records: Vec::new(),
    };
    let mut events = failed.to_vec();
    events.push(elsewhere);
    assert_eq!(verdict(events), None);
    for change in [DiskChange::Write, DiskChange::Sync, DiskChange::Other] {
        let mut events = failed.to_vec();
        events.push(disk_asked(change, &[]));
        assert_eq!(verdict(events), Some("NO-WRITE-AFTER-ERROR"));
    }
}

#[test]
fn memory_over_budget_and_leaked_reservations_are_seen() {
    assert_eq!(
        verdict([Event::Memory {
            node: 1,
            used: 9,
            budget: 8
        }]),
        Some("MEM-CEILING")
    );
    assert_eq!(
        verdict([Event::IdleReservations { node: 1, bytes: 1 }]),
        Some("BUDGET-ZERO")
    );
}

#[test]
fn a_queue_beyond_its_bound_is_seen() {
    let queue = |longest| Event::Queue {
        node: 1,
        what: "requests of one connection",
        longest,
        bound: 5,
    };
    assert_eq!(verdict([queue(5)]), None);
    assert_eq!(verdict([queue(6)]), Some("BOUNDED-QUEUE"));
}
