//! Groups: OFFSET-NO-LOSS, OFFSET-MONO, ONE-OWNER, ZOMBIE-FENCED.

use super::*;
use crate::history::Membership;

#[test]
fn an_acknowledged_commit_is_returned_until_overwritten() {
    let mut events = vec![commit(1, 5), Event::CommitAcked { operation: 1 }];
    events.extend(committed(2, Some(5)));
    events.extend([commit(3, 9)]);
    let mut either = events.clone();
    either.extend(committed(4, Some(5)));
    good(either);
    let mut either = events.clone();
    either.extend(committed(4, Some(9)));
    good(either);
    events.push(Event::CommitAcked { operation: 3 });
    events.extend(committed(4, Some(5)));
    bad("OFFSET-NO-LOSS", events);
}

#[test]
fn an_acknowledged_commit_is_never_forgotten() {
    let mut events = vec![commit(1, 5), Event::CommitAcked { operation: 1 }];
    events.extend(committed(2, None));
    bad("OFFSET-NO-LOSS", events);
}

#[test]
fn what_a_fetch_returned_is_not_taken_back() {
    let mut events = vec![commit(1, 5), Event::CommitAcked { operation: 1 }];
    events.push(commit(2, 9));
    events.extend(committed(3, Some(5)));
    events.extend(committed(4, Some(9)));
    events.extend(committed(5, Some(9)));
    good(events.clone());
    let mut back = events.clone();
    back.extend(committed(6, Some(5)));
    bad("OFFSET-MONO", back);
    let mut back = events.clone();
    back.extend(committed(6, None));
    bad("OFFSET-MONO", back);
    // Whoever carries the open one may try again, even after the next.
    events.extend([commit(6, 7), Event::CommitAcked { operation: 6 }]);
    events.extend(committed(7, Some(7)));
    events.extend(committed(8, Some(9)));
    good(events);
}

#[test]
fn two_fetches_at_once_may_see_either_side_of_a_commit() {
    let [asked, told] = committed(3, Some(5));
    let mut events = vec![commit(1, 5), Event::CommitAcked { operation: 1 }, asked];
    events.push(commit(2, 9));
    events.extend(committed(4, Some(9)));
    events.push(told);
    good(events);
}

pub(super) fn member(client: u32, generation: i32, instance: Option<&str>) -> Membership {
    Membership {
        client,
        member_id: format!("id-{client}"),
        instance: instance.map(str::to_owned),
        generation,
    }
}

pub(super) fn assigned(by: Membership) -> Event {
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
    good([one(1, 1), one(2, 2)]);
    bad("ONE-OWNER", [one(1, 2), one(2, 2)]);
    let mut early = vec![one(1, 1)];
    early.extend(commit_of(1, member(1, 1, None)));
    early.push(one(2, 1));
    bad("ONE-OWNER", early);
    // Nothing was committed, so it may have been forgotten.
    good([one(1, 1), one(2, 1)]);
    let over = || Event::Revoked {
        group: 1,
        member: 1,
    };
    // Only a group that nobody remembers begins with its first generation again.
    good([one(1, 1), over(), one(2, 1)]);
    bad("ONE-OWNER", [one(1, 2), over(), one(2, 2)]);
}

#[test]
fn a_group_that_was_forgotten_begins_anew() {
    let one = |client, generation| assigned(member(client, generation, None));
    // Its second life has an owner, and commits, before everybody has told what he was given.
    let mut events = vec![one(1, 1), one(2, 2), one(3, 1)];
    events.extend(commit_of(1, member(3, 1, None)));
    good(events.clone());
    events.push(one(4, 1));
    bad("ONE-OWNER", events);
    // What has committed is not forgotten.
    let mut events = vec![one(1, 1)];
    events.extend(commit_of(1, member(1, 1, None)));
    events.extend([one(2, 2), one(3, 1)]);
    events.extend(commit_of(2, member(3, 1, None)));
    bad("ZOMBIE-FENCED", events);
}

#[test]
fn what_somebody_holds_is_given_to_nobody_else_in_that_generation() {
    let held = |client, generation| Event::Held {
        group: 1,
        by: member(client, generation, None),
        partitions: vec![partition(0)],
    };
    let given = |client, generation| assigned(member(client, generation, None));
    good([given(1, 1), held(1, 2), given(2, 3)]);
    let early = [given(1, 1), held(1, 2), given(2, 2)];
    bad("ONE-OWNER", early);
    // Whichever of them tells first.
    let early = [given(1, 1), given(2, 2), held(1, 2)];
    bad("ONE-OWNER", early);
}

#[test]
fn a_process_that_takes_anothers_instance_takes_its_place_for_good() {
    let twin = |client| member(client, 1, Some("twin"));
    let mut events = vec![assigned(twin(1))];
    events.extend(commit_of(1, twin(1)));
    events.push(assigned(twin(2)));
    events.extend(commit_of(2, twin(2)));
    good(events.clone());
    events.extend(commit_of(3, twin(1)));
    bad("ONE-OWNER", events);
}

#[test]
fn a_commit_of_an_older_generation_comes_too_late() {
    let mut events = vec![assigned(member(1, 1, None))];
    events.extend(commit_of(1, member(1, 1, None)));
    events.push(assigned(member(1, 2, None)));
    good(events.clone());
    let refused = [
        commit_of(2, member(1, 1, None))[0].clone(),
        Event::CommitFailed { operation: 2 },
    ];
    events.extend(refused);
    good(events.clone());
    events.extend(commit_of(3, member(1, 1, None)));
    bad("ZOMBIE-FENCED", events);
}
