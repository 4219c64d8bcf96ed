//! A log and its own past: OFFSET-UNIQUE, LOG-MATCH, LOST-WRITE, EPOCH-CACHE-EXACT.

use super::*;

#[test]
fn an_offset_bound_to_two_records_is_not_unique() {
    let unknown = |operation, id| [send(operation, id), Event::SendUnknown { operation }];
    let mut events: Vec<Event> = unknown(1, 10).into_iter().chain(unknown(2, 11)).collect();
    events.extend(poll(4, 0, &[(0, record(10))], 1));
    events.extend(poll(5, 0, &[(0, record(11))], 1));
    bad("OFFSET-UNIQUE", events);
}

#[test]
fn a_committed_end_that_falls_will_bind_offsets_anew() {
    let mut events = written_twice();
    events.extend(poll(4, 0, &[(0, record(10)), (1, record(11))], 2));
    events.push(read_back(0, 0, 1, &[(0, record(10))]));
    bad("OFFSET-UNIQUE", events.clone());
    bad("ACKED-DURABLE", events);
}

#[test]
fn what_a_reader_was_given_stays_whatever_its_producer_knows() {
    let mut events = vec![send(1, 10), Event::SendUnknown { operation: 1 }];
    events.extend(poll(2, 0, &[(0, record(10))], 1));
    let mut lost = events.clone();
    events.push(read_back(0, 0, 1, &[(0, record(10))]));
    let moved = Event::StartMoved {
        partition: partition(0),
        start: 1,
    };
    events.extend([moved, read_back(1, 1, 1, &[])]);
    good(events);
    lost.push(read_back(0, 0, 1, &[]));
    bad("LOST-WRITE", lost);
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
    bad("LOG-MATCH", events);
}

#[test]
fn a_log_that_reads_differently_after_a_restart_does_not_match_itself() {
    let unknown = [send(1, 10), Event::SendUnknown { operation: 1 }];
    let mut events: Vec<Event> = unknown.into();
    events.push(read_back(0, 0, 1, &[(0, record(10))]));
    events.push(read_back(1, 0, 0, &[]));
    bad("OFFSET-UNIQUE", events.clone());
    bad("LOG-MATCH", events);
}

#[test]
fn an_epoch_does_not_end_before_its_last_record() {
    let told = |told| Event::EpochEnd {
        partition: partition(0),
        epoch: 3,
        seen: 10,
        told,
    };
    good([told((3, 10)), told((3, 12))]);
    for wrong in [(3, 9), (2, 10), (-1, -1)] {
        bad("EPOCH-CACHE-EXACT", [told(wrong)]);
    }
}
