//! What readers are given: READ-COMMITTED-PREFIX, POLL-SKIP, NONMONOTONIC-POLL.

use super::*;

#[test]
fn a_hole_in_what_a_poll_returns_is_seen() {
    let mut events = written_twice();
    events.extend([send(3, 12), acked(3, 2)]);
    events.extend(poll(4, 0, &[(0, record(10)), (2, record(12))], 3));
    bad("READ-COMMITTED-PREFIX", events);
}

#[test]
fn a_record_beyond_the_high_watermark_must_not_be_seen() {
    let mut events = written_twice();
    events.extend(poll(4, 0, &[(0, record(10)), (1, record(11))], 1));
    bad("READ-COMMITTED-PREFIX", events);
}

/// A poll of a consumer that stands at `position`.
fn follow(operation: u64, position: Offset, records: &[(Offset, Written)]) -> [Event; 2] {
    let started = Event::PollStarted {
        operation,
        client: 2,
        partition: partition(0),
        position,
        fresh: false,
    };
    let acked = Event::PollAcked {
        operation,
        records: records.to_vec(),
        high_watermark: 3,
    };
    [started, acked]
}

fn placed(position: Option<Offset>) -> Event {
    Event::Placed {
        client: 2,
        partition: partition(0),
        position,
    }
}

/// Three records, and a consumer that was given two of them.
fn followed(position: Option<Offset>) -> Vec<Event> {
    let mut events = written_twice();
    events.extend([send(3, 12), acked(3, 2), placed(position)]);
    events.extend(follow(4, 0, &[(0, record(10)), (1, record(11))]));
    events
}

#[test]
fn a_consumer_goes_on_where_it_was() {
    for position in [None, Some(0)] {
        let mut events = followed(position);
        events.extend(follow(5, 2, &[]));
        events.extend(follow(6, 2, &[(2, record(12))]));
        events.extend(follow(7, 3, &[]));
        good(events);
    }
}

#[test]
fn a_consumer_that_moves_between_two_polls_is_seen() {
    let mut events = followed(None);
    events.extend(follow(5, 3, &[]));
    bad("POLL-SKIP", events);
    let mut events = followed(None);
    events.extend(follow(5, 1, &[(1, record(11))]));
    bad("NONMONOTONIC-POLL", events);
    // After a poll that gave nothing, too.
    let mut events = followed(None);
    events.extend(follow(5, 2, &[]));
    events.extend(follow(6, 3, &[]));
    bad("POLL-SKIP", events);
    // And from the beginning.
    let mut events = written_twice();
    events.push(placed(Some(0)));
    events.extend(follow(4, 1, &[(1, record(11))]));
    bad("POLL-SKIP", events);
}

#[test]
fn a_consumer_begins_anew_where_it_is_placed_or_given_a_partition_again() {
    let again = [
        placed(Some(0)),
        placed(None),
        groups::assigned(groups::member(2, 1, None)),
    ];
    for again in again {
        let mut events = followed(None);
        events.push(again);
        events.extend(follow(5, 0, &[(0, record(10))]));
        good(events.clone());
        events.extend(follow(6, 2, &[]));
        bad("POLL-SKIP", events);
    }
}
