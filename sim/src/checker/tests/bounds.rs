//! Where a log starts and ends: HW-BOUNDS, OFFSET-ORDER, LINEAR-READ, OFFSET-RANGE-TRUTH.

use super::*;

#[test]
fn bounds_out_of_order_or_falling_are_seen() {
    bad("HW-BOUNDS", [exposed(3, 2, 4)]);
    bad("HW-BOUNDS", [exposed(-1, 2, 4)]);
    bad("OFFSET-ORDER", [exposed(2, 5, 5), exposed(1, 5, 5)]);
    bad(
        "DELETE-NEEDS-TOMBSTONE",
        [exposed(0, 5, 5), exposed(0, 0, 0)],
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
    bad("LINEAR-READ", events);
}

#[test]
fn a_broker_that_shows_less_than_was_acknowledged_two_looks_ago_takes_it_back() {
    let mut events = written_twice();
    // A look may have begun before the acknowledgement; the next one has not.
    events.extend([exposed(0, 1, 2), exposed(0, 2, 2)]);
    good(events);
    let mut events = written_twice();
    events.extend([exposed(0, 1, 2), exposed(0, 1, 2)]);
    bad("LINEAR-READ", events);
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
    bad("OFFSET-RANGE-TRUTH", events);
    let mut events = written_twice();
    events.extend([
        Event::StartMoved {
            partition: partition(0),
            start: 2,
        },
        poll,
        told,
    ]);
    good(events);
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
    good(events);
    // And nobody reads behind it any more.
    let mut events = written_twice();
    events.extend([
        exposed(1, 2, 2),
        poll.clone(),
        fetched(6, &[(0, record(10))]),
    ]);
    bad("OFFSET-RANGE-TRUTH", events);
    // Unless the answer had come when it had not moved yet.
    let mut events = written_twice();
    events.extend([
        poll,
        exposed(1, 2, 2),
        fetched(6, &[(0, record(10)), (1, record(11))]),
    ]);
    good(events);
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
        [
            exposed(1, 5, 5),
            asked.clone(),
            told(start),
            exposed(3, 5, 5),
        ]
    };
    good(between(1));
    good(between(3));
    bad("OFFSET-RANGE-TRUTH", between(0));
    bad("OFFSET-RANGE-TRUTH", between(4));
}

#[test]
fn no_client_is_told_of_a_lower_high_watermark() {
    let told = |operation, high_watermark| poll(operation, 0, &[], high_watermark);
    let rising = [told(1, 3), told(2, 3), told(3, -1), told(4, 5)];
    good(rising.clone().into_iter().flatten());
    let falling = rising.into_iter().chain([told(5, 4)]);
    bad("OFFSET-ORDER", falling.flatten());
}

#[test]
fn a_log_may_fall_when_it_is_deleted() {
    let deleted = Event::DeleteStarted {
        partition: partition(0),
    };
    good([exposed(2, 5, 5), deleted, exposed(0, 0, 0)]);
}

#[test]
fn a_log_that_begins_far_on_is_as_good_as_any() {
    const FIRST: Offset = 1 << 32;
    let begin = Event::LogsBegin { offset: FIRST };
    let below = [
        begin.clone(),
        exposed(FIRST, FIRST, FIRST),
        Event::PollStarted {
            operation: 6,
            client: 2,
            partition: partition(0),
            position: FIRST - 1,
            fresh: true,
        },
        Event::PollOutOfRange { operation: 6 },
        exposed(FIRST, FIRST, FIRST),
        send(7, 7),
        acked(7, FIRST),
        read_back(0, FIRST, FIRST + 1, &[(FIRST, record(7))]),
    ];
    good(below);
    let later = [
        begin.clone(),
        send(7, 7),
        acked(7, FIRST),
        read_back(0, FIRST + 1, FIRST + 1, &[]),
    ];
    bad("ACKED-DURABLE", later);
    let emptied = [
        begin,
        exposed(FIRST, FIRST + 5, FIRST + 5),
        exposed(FIRST, FIRST, FIRST),
    ];
    bad("DELETE-NEEDS-TOMBSTONE", emptied);
}
