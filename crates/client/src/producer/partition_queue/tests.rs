//! Batches against a broker that the test plays, with special care for what is on its way when things go wrong.

use super::*;
use crate::options::Codec;
use std::time::Duration;
use taffrail_record::batch::{BatchHeader, verify_crc};
use taffrail_record::builder::BatchBuilder;

const IDENTITY: Identity = Identity {
    producer_id: 7,
    producer_epoch: 0,
};
const NOW: Instant = Instant(1_000_000_000);
const DELIVERY: Duration = Duration::from_secs(120);

/// A queue whose producer the broker knows already.
fn queue() -> PartitionQueue<u64> {
    let mut queue = PartitionQueue::new(true, 0);
    queue.place = Some(Place {
        known: true,
        ..Place::first(IDENTITY, 0)
    });
    queue
}

/// Begins a batch of `records` records.
fn begin(queue: &mut PartitionQueue<u64>, id: u64, records: u64) {
    begin_at(queue, NOW, id, records);
}

fn begin_at(queue: &mut PartitionQueue<u64>, now: Instant, id: u64, records: u64) {
    let builder = BatchBuilder::new(Codec::None, 0);
    queue.begin(Batch::new(id, now, DELIVERY, builder));
    for record in 0..records {
        assert!(queue.append_to_open(&Record::of_value(format!("value {record}")), 0));
        let batch = queue.open_batch().expect("it was just begun");
        batch.waiters.push((id * 100 + record, 0));
    }
}

/// Sends the candidate; answers its id, epoch and base sequence as the bytes have them.
fn send(queue: &mut PartitionQueue<u64>) -> (u64, i16, i32) {
    assert!(queue.candidate(NOW).is_some(), "nothing may be sent");
    let (id, bytes) = queue.send(Some(IDENTITY));
    verify_crc(&bytes).expect("the checksum is that of the bytes");
    let header = BatchHeader::parse(&bytes).expect("a batch");
    assert_eq!(header.producer_id, 7);
    (id.number, header.producer_epoch, header.base_sequence)
}

fn end(queue: &mut PartitionQueue<u64>, id: u64, outcome: Outcome) -> Option<Done<u64>> {
    end_part(queue, id, 0, outcome)
}

fn end_part(
    queue: &mut PartitionQueue<u64>,
    number: u64,
    part: u32,
    outcome: Outcome,
) -> Option<Done<u64>> {
    queue.on_outcome(BatchId { number, part }, outcome, |_| NOW)
}

fn acked() -> Outcome {
    Outcome::Acked {
        base_offset: 40,
        log_append_time_ms: -1,
    }
}

fn error(code: ErrorCode) -> Outcome {
    Outcome::Error {
        code,
        message: None,
    }
}

fn lost() -> Outcome {
    Outcome::Unanswered("reset".to_owned())
}

#[test]
fn sequences_count_records_and_five_batches_may_be_on_their_way() {
    let mut queue = queue();
    for id in 0..6 {
        begin(&mut queue, id, 2);
    }
    for id in 0..5 {
        assert_eq!(send(&mut queue), (id, 0, 2 * id as i32));
    }
    assert!(queue.candidate(NOW).is_none());
    assert!(end(&mut queue, 0, acked()).is_some_and(|done| done.fate.is_ok()));
    assert_eq!(send(&mut queue), (5, 0, 10));
}

#[test]
fn nothing_new_goes_beyond_what_the_broker_remembers_from_the_earliest_batch_that_is_not_done() {
    let mut queue = queue();
    for id in 0..8 {
        begin(&mut queue, id, 1);
    }
    for id in 0..5 {
        assert_eq!(send(&mut queue), (id, 0, id as i32));
    }
    // Answers to later ones are looked at first. A sixth batch would make the broker forget the first.
    for id in 1..5 {
        end(&mut queue, id, acked());
        assert!(queue.candidate(NOW).is_none());
    }
    end(&mut queue, 0, error(ErrorCode::RequestTimedOut));
    assert_eq!(send(&mut queue), (0, 0, 0));
    assert!(queue.candidate(NOW).is_none());
    end(&mut queue, 0, acked());
    for id in 5..8 {
        assert_eq!(send(&mut queue), (id, 0, id as i32));
    }
}

#[test]
fn the_first_batch_goes_alone_because_a_broker_takes_any_sequence_from_a_stranger() {
    let mut queue = PartitionQueue::new(true, 0);
    begin(&mut queue, 0, 2);
    begin(&mut queue, 1, 1);
    begin(&mut queue, 2, 1);
    assert_eq!(send(&mut queue), (0, 0, 0));
    assert!(queue.candidate(NOW).is_none());
    end(&mut queue, 0, error(ErrorCode::NotEnoughReplicas));
    assert_eq!(send(&mut queue), (0, 0, 0));
    end(&mut queue, 0, acked());
    assert_eq!(send(&mut queue), (1, 0, 2));
    assert_eq!(send(&mut queue), (2, 0, 3));
}

#[test]
fn without_idempotence_one_batch_is_on_its_way() {
    let mut queue = PartitionQueue::new(false, 0);
    begin(&mut queue, 0, 1);
    begin(&mut queue, 1, 1);
    let (_, bytes) = queue.send(None);
    assert_eq!(BatchHeader::parse(&bytes).expect("a batch").producer_id, -1);
    assert!(queue.candidate(NOW).is_none());
    end(&mut queue, 0, lost());
    assert_eq!(queue.candidate(NOW).map(|batch| batch.id.number), Some(0));
}

#[test]
fn retries_keep_their_stamp_and_their_order() {
    let mut queue = queue();
    for id in 0..4 {
        begin(&mut queue, id, 1);
    }
    for _ in 0..3 {
        send(&mut queue);
    }
    // The answers come in any order, if two connections are involved.
    end(&mut queue, 2, lost());
    assert!(queue.candidate(NOW).is_none(), "0 and 1 are before 2");
    end(&mut queue, 0, lost());
    assert_eq!(send(&mut queue), (0, 0, 0), "goes again beside 1");
    end(&mut queue, 1, lost());
    assert!(queue.candidate(NOW).is_none(), "1 does not overtake 0");
    end(&mut queue, 0, acked());
    assert_eq!(send(&mut queue), (1, 0, 1));
    end(&mut queue, 1, acked());
    assert_eq!(send(&mut queue), (2, 0, 2));
    assert_eq!(
        send(&mut queue),
        (3, 0, 3),
        "a first try follows a retry at once"
    );
}

#[test]
fn a_refusal_behind_an_earlier_retry_only_means_to_wait() {
    let mut queue = queue();
    begin(&mut queue, 0, 1);
    begin(&mut queue, 1, 1);
    send(&mut queue);
    send(&mut queue);
    end(&mut queue, 0, error(ErrorCode::NotLeaderOrFollower));
    end(&mut queue, 1, error(ErrorCode::OutOfOrderSequenceNumber));
    assert_eq!(send(&mut queue), (0, 0, 0));
    end(&mut queue, 0, acked());
    assert_eq!(send(&mut queue), (1, 0, 1), "the same epoch and sequence");
}

#[test]
fn a_hole_is_closed_by_beginning_again_in_the_next_epoch() {
    let mut queue = queue();
    for id in 0..4 {
        begin(&mut queue, id, 1);
    }
    for _ in 0..3 {
        send(&mut queue);
    }
    let refused = end(&mut queue, 0, error(ErrorCode::MessageTooLarge)).expect("for good");
    assert!(!refused.fate.expect_err("refused").may_be_written());
    end(&mut queue, 1, error(ErrorCode::OutOfOrderSequenceNumber));
    assert!(
        queue.candidate(NOW).is_none(),
        "2 is still on its way under the old epoch"
    );
    assert!(queue.restart_if_due().0.is_empty());
    end(&mut queue, 2, error(ErrorCode::OutOfOrderSequenceNumber));
    assert!(queue.restart_if_due().0.is_empty(), "no batch fails");
    assert_eq!(send(&mut queue), (1, 1, 0));
    assert!(
        queue.candidate(NOW).is_none(),
        "the new epoch is not known yet"
    );
    end(&mut queue, 1, acked());
    assert_eq!(send(&mut queue), (2, 1, 1));
    assert_eq!(send(&mut queue), (3, 1, 2));
}

#[test]
fn what_may_be_in_the_log_behind_a_hole_that_may_fill_is_not_written_twice() {
    let mut queue = queue();
    begin(&mut queue, 0, 1);
    begin(&mut queue, 1, 1);
    begin(&mut queue, 2, 1);
    send(&mut queue);
    send(&mut queue);
    end(&mut queue, 1, lost());
    // The first is given up without an answer: its bytes may still reach the broker, and those of the second after them.
    let expired = queue.expire(NOW + DELIVERY);
    assert_eq!(expired.len(), 3, "all were begun at once");
    begin(&mut queue, 3, 1);
    assert_eq!(send(&mut queue), (3, 0, 2));
    end(&mut queue, 3, lost());
    assert_eq!(send(&mut queue), (3, 0, 2));
    let failed = end(&mut queue, 3, error(ErrorCode::OutOfOrderSequenceNumber));
    let failed = failed
        .expect("it may be written")
        .fate
        .expect_err("refused");
    assert!(failed.may_be_written());
}

#[test]
fn a_batch_refused_outright_behind_such_a_hole_goes_again_in_the_next_epoch() {
    let mut queue = queue();
    begin(&mut queue, 0, 1);
    send(&mut queue);
    assert_eq!(queue.expire(NOW + DELIVERY).len(), 1);
    begin(&mut queue, 1, 1);
    assert_eq!(send(&mut queue), (1, 0, 1));
    assert!(end(&mut queue, 1, error(ErrorCode::OutOfOrderSequenceNumber)).is_none());
    assert!(queue.restart_if_due().0.is_empty());
    assert_eq!(send(&mut queue), (1, 1, 0));
}

#[test]
fn beginning_again_fails_what_may_be_in_the_log_and_carries_over_the_rest() {
    let mut queue = queue();
    begin_at(&mut queue, Instant(0), 0, 1);
    for id in 1..4 {
        begin(&mut queue, id, 1);
    }
    for _ in 0..3 {
        send(&mut queue);
    }
    assert_eq!(
        queue.expire(Instant(0) + DELIVERY).len(),
        1,
        "the first alone"
    );
    end(&mut queue, 2, lost());
    end(&mut queue, 1, error(ErrorCode::OutOfOrderSequenceNumber));
    let (failed, _) = queue.restart_if_due();
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0].batch.id.number, 2);
    assert_eq!(send(&mut queue), (1, 1, 0));
    end(&mut queue, 1, acked());
    assert_eq!(send(&mut queue), (3, 1, 1));
}

#[test]
fn a_broker_that_gave_up_waiting_may_have_written() {
    for (code, may_be_written) in [
        (ErrorCode::RequestTimedOut, true),
        (ErrorCode::NotEnoughReplicasAfterAppend, true),
        (ErrorCode::KafkaStorageError, true),
        (ErrorCode::NotLeaderOrFollower, false),
        (ErrorCode::NotEnoughReplicas, false),
    ] {
        let mut queue = queue();
        begin(&mut queue, 0, 1);
        send(&mut queue);
        assert!(
            end(&mut queue, 0, error(code)).is_none(),
            "it is tried again"
        );
        let expired = queue.expire(NOW + DELIVERY);
        let fate = expired.into_iter().next().expect("too old").fate;
        let error = fate.expect_err("given up");
        assert_eq!(error.may_be_written(), may_be_written, "{code:?}");
    }
}

#[test]
fn a_late_answer_to_a_batch_given_up_changes_nothing() {
    let mut queue = queue();
    begin(&mut queue, 0, 1);
    send(&mut queue);
    let expired = queue.expire(NOW + DELIVERY);
    let fate = expired.into_iter().next().expect("it is too old").fate;
    assert!(fate.expect_err("given up").may_be_written());
    assert!(end(&mut queue, 0, acked()).is_none());
    assert!(queue.is_empty());
}

#[test]
fn a_batch_never_sent_is_known_not_to_be_written_when_its_time_is_up() {
    let mut queue = queue();
    begin(&mut queue, 0, 1);
    send(&mut queue);
    end(&mut queue, 0, Outcome::Unsent("refused".to_owned()));
    let expired = queue.expire(NOW + DELIVERY);
    let fate = expired.into_iter().next().expect("it is too old").fate;
    assert!(!fate.expect_err("given up").may_be_written());
}

#[test]
fn a_write_that_the_broker_remembers_without_its_offset_counts() {
    let mut queue = queue();
    begin(&mut queue, 0, 1);
    send(&mut queue);
    end(&mut queue, 0, lost());
    send(&mut queue);
    let done = end(&mut queue, 0, error(ErrorCode::DuplicateSequenceNumber)).expect("done");
    assert_eq!(done.fate, Ok((-1, -1)));
}

fn values(bytes: &Bytes) -> Vec<Bytes> {
    let records = taffrail_record::batch::records(bytes).expect("not compressed");
    let value = |record: Result<taffrail_record::batch::RecordView<'_>, _>| {
        Bytes::copy_from_slice(record.expect("sound").value.expect("a value"))
    };
    records.map(value).collect()
}

#[test]
fn what_is_too_large_goes_again_in_halves_and_nothing_overtakes_them() {
    let mut queue = queue();
    begin(&mut queue, 0, 5);
    begin(&mut queue, 1, 1);
    let (_, whole) = queue.send(Some(IDENTITY));
    assert_eq!(send(&mut queue), (1, 0, 5));
    assert!(end(&mut queue, 0, error(ErrorCode::MessageTooLarge)).is_none());
    end(&mut queue, 1, error(ErrorCode::OutOfOrderSequenceNumber));
    assert!(queue.restart_if_due().0.is_empty());
    let mut seen = Vec::new();
    let mut part = |queue: &mut PartitionQueue<u64>| {
        assert!(queue.candidate(NOW).is_some(), "nothing may be sent");
        let (id, bytes) = queue.send(Some(IDENTITY));
        let header = BatchHeader::parse(&bytes).expect("a batch");
        verify_crc(&bytes).expect("sound");
        seen.push(values(&bytes));
        (
            id.number,
            id.part,
            header.record_count,
            header.base_sequence,
        )
    };
    assert_eq!(part(&mut queue), (0, 0, 2, 0));
    assert!(queue.candidate(NOW).is_none(), "a retry goes alone");
    assert!(end(&mut queue, 0, error(ErrorCode::RecordListTooLarge)).is_none());
    assert_eq!(part(&mut queue), (0, 0, 1, 0));
    assert!(end(&mut queue, 0, acked()).is_some());
    assert_eq!(part(&mut queue), (0, 1, 1, 1));
    assert!(end_part(&mut queue, 0, 1, acked()).is_some());
    assert_eq!(part(&mut queue), (0, 2, 3, 2));
    let done = end_part(&mut queue, 0, 2, acked()).expect("the second half is there");
    let waiters: Vec<u64> = done
        .batch
        .waiters
        .iter()
        .map(|(waiter, _)| *waiter)
        .collect();
    assert_eq!(waiters, [2, 3, 4]);
    assert_eq!(part(&mut queue), (1, 0, 1, 5));
    assert_eq!(seen[1..4].concat(), values(&whole));
}

#[test]
fn one_record_that_is_too_large_is_given_up() {
    let mut queue = queue();
    begin(&mut queue, 0, 1);
    send(&mut queue);
    let done = end(&mut queue, 0, error(ErrorCode::MessageTooLarge)).expect("given up");
    assert!(!done.fate.expect_err("refused").may_be_written());
}

#[test]
fn what_may_be_in_the_log_is_not_sent_again_in_halves() {
    let mut queue = queue();
    begin(&mut queue, 0, 2);
    send(&mut queue);
    end(&mut queue, 0, lost());
    send(&mut queue);
    let done = end(&mut queue, 0, error(ErrorCode::MessageTooLarge)).expect("given up");
    assert!(done.fate.expect_err("refused").may_be_written());
}

#[test]
fn sequences_go_round_at_their_end() {
    assert_eq!(after(i32::MAX, 1), 0);
    assert_eq!(after(i32::MAX - 1, 3), 1);
    assert_eq!(after(5, 3), 8);
}

#[test]
fn used_up_epochs_ask_for_another_producer_id() {
    let mut queue = PartitionQueue::new(true, 0);
    begin(&mut queue, 0, 1);
    let last = Identity {
        producer_id: 7,
        producer_epoch: i16::MAX,
    };
    queue.send(Some(last));
    end(&mut queue, 0, error(ErrorCode::OutOfOrderSequenceNumber));
    assert!(queue.restart_if_due().1, "the epochs are used up");
    assert!(queue.candidate(NOW).is_none());
    queue.on_new_identity(Identity {
        producer_id: 8,
        producer_epoch: 0,
    });
    let (_, bytes) = queue.send(Some(IDENTITY));
    let header = BatchHeader::parse(&bytes).expect("a batch");
    assert_eq!((header.producer_id, header.base_sequence), (8, 0));
}

/// Bytes that a connection may still be writing are never touched, whatever becomes of the batch.
#[test]
fn bytes_handed_out_stay_as_they_were() {
    let mut queue = queue();
    begin(&mut queue, 0, 1);
    let (_, first) = queue.send(Some(IDENTITY));
    let copy = first.to_vec();
    end(&mut queue, 0, error(ErrorCode::OutOfOrderSequenceNumber));
    queue.restart_if_due();
    let (_, second) = queue.send(Some(IDENTITY));
    assert_eq!(first, copy);
    assert_ne!(first, second);
}

#[test]
fn behind_the_last_sequence_comes_the_first() {
    let mut queue = PartitionQueue::new(true, Sequence::MAX - 1);
    begin(&mut queue, 1, 3);
    assert_eq!(send(&mut queue), (1, 0, Sequence::MAX - 1));
    end(&mut queue, 1, acked()).expect("done");
    begin(&mut queue, 2, 2);
    assert_eq!(send(&mut queue), (2, 0, 1));
}

#[test]
fn the_next_epoch_begins_at_zero_wherever_the_first_began() {
    let mut queue = PartitionQueue::new(true, Sequence::MAX);
    begin(&mut queue, 1, 1);
    send(&mut queue);
    assert!(end(&mut queue, 1, error(ErrorCode::OutOfOrderSequenceNumber)).is_none());
    queue.restart_if_due();
    assert_eq!(send(&mut queue), (1, 1, 0));
}

#[test]
fn what_a_log_made_anew_may_have_taken_first_is_not_written_twice() {
    let mut queue = queue();
    begin(&mut queue, 0, 1);
    begin(&mut queue, 1, 1);
    begin(&mut queue, 2, 1);
    assert_eq!(send(&mut queue), (0, 0, 0));
    assert_eq!(send(&mut queue), (1, 0, 1));
    // The first met the old log's end; the second may have been the first batch of a new one, which takes any sequence.
    end(&mut queue, 0, error(ErrorCode::UnknownTopicId));
    end(&mut queue, 1, lost());
    assert_eq!(send(&mut queue), (0, 0, 0));
    assert!(queue.candidate(NOW).is_none(), "nobody is known there");
    assert!(end(&mut queue, 0, error(ErrorCode::OutOfOrderSequenceNumber)).is_none());
    let (failed, _) = queue.restart_if_due();
    let failed: Vec<_> = failed
        .into_iter()
        .map(|done| (done.batch.id.number, done.fate))
        .collect();
    assert!(
        matches!(&failed[..], [(1, Err(error))] if error.may_be_written()),
        "{failed:?}"
    );
    assert_eq!(send(&mut queue), (0, 1, 0));
    end(&mut queue, 0, acked());
    assert_eq!(send(&mut queue), (2, 1, 1));
}
