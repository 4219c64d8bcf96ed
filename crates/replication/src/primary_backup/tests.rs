use super::{Backup, Primary};
use crate::arithmetic::{Arithmetic, Operation, Value};
use crate::machine::Machine;

fn primary() -> Primary<Arithmetic, &'static str> {
    Primary::new(Arithmetic::default(), 0, 1)
}

#[test]
fn a_request_is_judged_against_what_was_appended_and_answered_when_that_has_committed() {
    let mut primary = primary();
    let mut replies = Vec::new();
    let first = primary
        .on_request("first", &Operation::Add(3))
        .expect("a change");
    let second = primary
        .on_request("second", &Operation::Multiply(2))
        .expect("a change");
    assert_eq!(
        (first.changes, second.changes),
        (vec![Value(3)], vec![Value(6)])
    );
    primary.on_committed(1, &mut replies);
    assert_eq!(replies, [("first", Value(3))]);
    primary.on_committed(2, &mut replies);
    assert_eq!(replies.last(), Some(&("second", Value(6))));
}

#[test]
fn a_reply_without_a_change_waits_for_the_changes_it_was_judged_against() {
    let mut primary = primary();
    let mut replies = Vec::new();
    assert!(primary.on_request("early", &Operation::Add(0)).is_none());
    primary.on_committed(0, &mut replies);
    assert_eq!(
        replies,
        [("early", Value(0))],
        "nothing uncommitted lies under it"
    );
    assert!(primary.on_request("writes", &Operation::Add(7)).is_some());
    assert!(
        primary
            .on_request("reads", &Operation::Multiply(1))
            .is_none()
    );
    primary.on_committed(0, &mut replies);
    assert_eq!(replies.len(), 1);
    primary.on_committed(1, &mut replies);
    assert_eq!(replies[1..], [("writes", Value(7)), ("reads", Value(7))]);
}

#[test]
fn stepping_down_gives_back_the_callers_whose_outcome_is_unknown() {
    let mut primary = primary();
    primary.on_request("committed", &Operation::Add(1));
    primary.on_request("unknown", &Operation::Add(1));
    primary.on_request("judged against the unknown", &Operation::Add(0));
    let mut replies = Vec::new();
    primary.on_committed(1, &mut replies);
    assert_eq!(replies, [("committed", Value(1))]);
    assert_eq!(
        primary.step_down(),
        ["unknown", "judged against the unknown"]
    );
}

#[test]
fn an_elected_backup_goes_on_where_the_log_ends() {
    let mut old = primary();
    let mut backup = Backup::new(Arithmetic::default(), 0, 1);
    let first = old.on_request("a", &Operation::Add(2)).expect("a change");
    let lost = old.on_request("b", &Operation::Add(40)).expect("a change");
    backup.on_committed(0, &first);
    let mut new: Primary<_, &str> = backup.into_primary(2);
    let next = new
        .on_request("c", &Operation::Multiply(10))
        .expect("a change");
    assert_eq!((next.epoch, &next.changes[..]), (2, &[Value(20)][..]));
    assert_eq!(lost.epoch, 1);
    assert_eq!(new.view().value(), 20);
}

#[test]
fn a_snapshot_names_the_position_it_is_exact_to() {
    let mut primary = primary();
    primary.on_request("a", &Operation::Add(2));
    let (position, bytes) = primary.snapshot();
    assert_eq!(
        (position, primary.committed()),
        (1, 0),
        "not to be kept before 1 has committed"
    );
    assert_eq!(Arithmetic::restore(&bytes).expect("restores").value(), 2);
}

#[test]
#[should_panic(expected = "did not append")]
fn a_commit_beyond_the_log_end_is_a_broken_invariant() {
    primary().on_committed(1, &mut Vec::new());
}
