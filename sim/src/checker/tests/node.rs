//! What a node is and holds: the replays, RECOVERY-RAN, APPLY-BEFORE-LEAD, MEM-CEILING, BUDGET-ZERO, BOUNDED-QUEUE.

use super::*;

#[test]
fn state_that_its_replay_does_not_reproduce_is_seen() {
    for what in ["STATE-EQUAL", "OFFSET-REPLAY-EQ", "PRODUCER-REPLAY-EQ"] {
        let digests = |replayed| Event::Digests {
            what,
            of: "something".to_owned(),
            node: 1,
            live: 3,
            replayed,
        };
        good([digests(3)]);
        bad(what, [digests(4)]);
    }
}

#[test]
fn a_node_that_takes_a_crash_for_a_clean_stop_is_seen() {
    let up = |clean, believes_clean| Event::NodeUp {
        node: 1,
        incarnation: 2,
        clean,
        believes_clean,
    };
    good([up(true, true), up(true, false)]);
    good([up(false, false)]);
    bad("RECOVERY-RAN", [up(false, true)]);
}

#[test]
fn memory_over_budget_and_what_an_idle_node_holds_are_seen() {
    let holds = |used| Event::Memory {
        node: 1,
        used,
        budget: 8,
    };
    good([holds(8)]);
    bad("MEM-CEILING", [holds(9)]);
    for what in ["bytes of memory", "waiting reads"] {
        let idle = |held| Event::IdleReservations {
            node: 1,
            what,
            held,
        };
        good([idle(0)]);
        bad("BUDGET-ZERO", [idle(1)]);
    }
}

#[test]
fn a_queue_beyond_its_bound_is_seen() {
    let queue = |longest| Event::Queue {
        node: 1,
        what: "requests of one connection",
        longest,
        bound: 5,
    };
    good([queue(5)]);
    bad("BOUNDED-QUEUE", [queue(6)]);
}

#[test]
fn what_is_given_out_as_new_is_given_out_once() {
    let given = |client, id| Event::ProducerGiven { client, id };
    good([given(1, 7), given(2, 8), given(1, 9)]);
    bad("CTRL-CONSISTENT", [given(1, 7), given(2, 8), given(2, 7)]);
}

fn metadata(incarnation: u32, applied: Offset, committed: Offset) -> Event {
    Event::MetadataShown {
        node: 1,
        incarnation,
        applied,
        committed,
    }
}

#[test]
fn metadata_that_have_not_committed_are_seen() {
    good([metadata(1, 3, 3), metadata(1, 3, 4)]);
    bad("READ-COMMITTED-PREFIX", [metadata(1, 4, 3)]);
}

#[test]
fn a_node_that_serves_before_it_has_applied_its_log_is_seen() {
    good([metadata(1, 3, 3), metadata(2, 3, 3), metadata(2, 4, 4)]);
    bad("APPLY-BEFORE-LEAD", [metadata(1, 3, 3), metadata(2, 2, 3)]);
}
