//! What records hold, and where they are from: NO-SILENT-CORRUPTION, NO-CROSS-TOPIC, G1A.

use super::*;

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
    bad("NO-SILENT-CORRUPTION", events);
}

#[test]
fn a_record_with_other_contents_is_corruption() {
    let mut events = written_twice();
    events.extend(poll(4, 0, &[(0, Written { id: 10, digest: 5 })], 2));
    bad("NO-SILENT-CORRUPTION", events);
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
    bad("NO-CROSS-TOPIC", events);
}

#[test]
fn each_partition_returns_its_own_records() {
    let other = Event::SendStarted {
        operation: 9,
        client: 1,
        partition: partition(1),
        record: record(30),
        idempotent: true,
    };
    let mut events = written_twice();
    events.extend([other, acked(9, 0)]);
    events.extend(poll(4, 0, &[(0, record(10)), (1, record(11))], 2));
    good(events);
}

#[test]
fn what_was_refused_for_certain_is_read_by_nobody() {
    let refused = Event::SendFailed { operation: 1 };
    let read = poll(2, 0, &[(0, record(10))], 1);
    let mut events = vec![send(1, 10), refused.clone()];
    good(events.clone());
    events.extend(read.clone());
    bad("G1A", events);
    // Nor was it before.
    let mut events = vec![send(1, 10)];
    events.extend(read.clone());
    events.push(refused.clone());
    bad("G1A", events);
    bad(
        "G1A",
        [send(1, 10), refused, read_back(0, 0, 1, &[(0, record(10))])],
    );
    // Of what is unknown it may be so.
    let mut events = vec![send(1, 10), Event::SendUnknown { operation: 1 }];
    events.extend(read);
    good(events);
}
