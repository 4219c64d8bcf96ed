use super::{Agreement, DIGEST_INTERVAL, Entry, Sequencer};
use crate::arithmetic::{Arithmetic, Operation, Value};

fn replica() -> Sequencer<Arithmetic, &'static str> {
    Sequencer::new(Arithmetic::default(), 0, 3)
}

#[test]
fn a_caller_hears_nothing_before_its_request_is_committed() {
    let mut sequencer = replica();
    let mut replies = Vec::new();
    let first = sequencer.on_request("first", Operation::Add(1));
    let second = sequencer.on_request("second", Operation::Multiply(5));
    assert_eq!(
        sequencer.machine().value(),
        0,
        "nothing is judged before it is committed"
    );
    sequencer.on_committed(0, &first, &mut replies);
    assert_eq!(replies, [("first", Value(1))]);
    sequencer.on_committed(1, &second, &mut replies);
    assert_eq!(replies, [("first", Value(1)), ("second", Value(5))]);
    assert_eq!(sequencer.waiting(), 0);
}

#[test]
fn entries_of_other_replicas_are_applied_without_a_reply() {
    let mut sequencer = replica();
    let mut replies = Vec::new();
    let entry = Entry {
        term: 2,
        request: Operation::Add(4),
    };
    sequencer.on_committed(0, &entry, &mut replies);
    assert_eq!((sequencer.machine().value(), sequencer.log_end()), (4, 1));
    assert!(replies.is_empty());
}

#[test]
fn entries_carry_the_term_of_whoever_sequenced_them() {
    let mut sequencer = replica();
    assert_eq!(sequencer.on_request("a", Operation::Add(1)).term, 3);
    assert_eq!(sequencer.on_term(4), ["a"]);
    assert_eq!(sequencer.on_request("b", Operation::Add(1)).term, 4);
    assert_eq!(
        sequencer.log_end(),
        1,
        "the place of what did not commit is taken anew"
    );
}

#[test]
fn callers_whose_entries_the_log_refused_are_told() {
    let mut sequencer = replica();
    let first = sequencer.on_request("first", Operation::Add(1));
    sequencer.on_request("second", Operation::Add(1));
    sequencer.on_committed(0, &first, &mut Vec::new());
    assert_eq!(sequencer.on_append_failed(), ["second"]);
    assert_eq!((sequencer.position(), sequencer.log_end()), (1, 1));
}

#[test]
#[should_panic(expected = "in order, each once")]
fn an_entry_applied_twice_is_a_broken_invariant() {
    let mut sequencer = replica();
    let entry = sequencer.on_request("a", Operation::Add(1));
    sequencer.on_committed(0, &entry, &mut Vec::new());
    sequencer.on_committed(0, &entry, &mut Vec::new());
}

#[test]
fn replicas_that_applied_different_requests_find_out() {
    let run = |last: i64| {
        let mut sequencer = replica();
        for position in 0..DIGEST_INTERVAL {
            let operand = if position == DIGEST_INTERVAL - 1 {
                last
            } else {
                1
            };
            let entry = Entry {
                term: 1,
                request: Operation::Add(operand),
            };
            sequencer.on_committed(position, &entry, &mut Vec::new());
        }
        sequencer
    };
    let (a, b, c) = (run(1), run(1), run(2));
    let (position, digest) = a.latest_digest().expect("a digest was taken");
    assert_eq!(position, DIGEST_INTERVAL);
    assert_eq!(b.on_peer_digest(position, digest), Agreement::Equal);
    assert!(matches!(
        c.on_peer_digest(position, digest),
        Agreement::Diverged { .. }
    ));
    assert_eq!(a.on_peer_digest(position + 1, digest), Agreement::Unknown);
}
