//! IDEMPOTENT, NONMONOTONIC-SEND.

use super::*;

#[test]
fn a_send_that_is_in_the_log_twice_is_not_idempotent() {
    let mut events = vec![send(1, 10), Event::SendUnknown { operation: 1 }];
    events.push(read_back(0, 0, 2, &[(0, record(10)), (1, record(10))]));
    bad("IDEMPOTENT", events);
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
    bad("IDEMPOTENT", events);
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
    bad("IDEMPOTENT", events);
}

#[test]
fn a_producers_sends_are_acknowledged_in_their_order() {
    let sent = [send(1, 10), send(2, 11), send(3, 12)];
    let with = |acks: [Event; 3]| sent.clone().into_iter().chain(acks);
    // In whatever order the answers come.
    good(with([acked(3, 5), acked(1, 0), acked(2, 1)]));
    bad(
        "NONMONOTONIC-SEND",
        with([acked(1, 1), acked(3, 5), acked(2, 0)]),
    );
    bad(
        "NONMONOTONIC-SEND",
        with([acked(3, 1), acked(1, 2), acked(2, 3)]),
    );
}
