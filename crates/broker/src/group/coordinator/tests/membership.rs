//! Joining, leaving and staying: who is a member, and who no longer is.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_member_that_is_silent_for_its_session_timeout_is_removed() {
    let mut story = story();
    story.stable_group(vec![new_member("a"), new_member("b")]);
    for _ in 0..5 {
        story.wait(9 * SECOND);
        assert_eq!(story.heartbeat("a", 1), Ok(()));
        assert_eq!(story.heartbeat("b", 1), Ok(()));
    }
    story.wait(9 * SECOND);
    assert_eq!(story.heartbeat("a", 1), Ok(()));
    story.wait(SECOND);
    assert_eq!(story.heartbeat("b", 1), Err(GroupError::UnknownMember));
    assert_eq!(
        story.heartbeat("a", 1),
        Err(GroupError::RebalanceInProgress)
    );
    let a = story.join(member("a"));
    assert_eq!(
        (story.joined(a).generation, story.joined(a).members.len()),
        (2, 1)
    );
}

#[test]
fn a_group_whose_last_member_is_gone_is_empty_and_keeps_its_generation() {
    let mut story = story();
    story.stable_group(vec![new_member("a")]);
    story.wait(11 * SECOND);
    assert_eq!(story.state(), GroupState::Empty);
    let stored = story.coordinator.stored().group("g").expect("kept");
    assert_eq!(
        (
            stored.generation,
            stored.members.len(),
            stored.protocol_type.as_str()
        ),
        (2, 0, "consumer")
    );
    let b = story.join(new_member("b"));
    story.wait(3 * SECOND);
    assert_eq!(story.joined(b).generation, 3);
}

#[test]
fn members_that_wait_for_others_do_not_time_out() {
    let mut story = story();
    story.stable_group(vec![
        new_member("a"),
        JoinRequest {
            session_timeout_ms: 60_000,
            ..new_member("b")
        },
    ]);
    let a = story.join(member("a"));
    story.wait(30 * SECOND);
    story.join(member("b"));
    assert_eq!(
        (story.joined(a).generation, story.joined(a).members.len()),
        (2, 2)
    );
    story.wait(9 * SECOND);
    assert_eq!(
        story.heartbeat("a", 2),
        Ok(()),
        "its session began anew when the wait ended"
    );
}

#[test]
fn new_members_that_wait_too_long_have_to_ask_again() {
    let mut story = story();
    let slow = |request: JoinRequest| JoinRequest {
        rebalance_timeout_ms: 1_800_000,
        session_timeout_ms: 1_800_000,
        ..request
    };
    story.stable_group(vec![slow(new_member("a"))]);
    let new = story.join(slow(new_member("new")));
    story.wait(299 * SECOND);
    assert!(!story.joined.contains_key(&new));
    story.wait(SECOND);
    assert_eq!(story.join_refused(new), (GroupError::UnknownMember, ""));
    assert_eq!(
        story
            .coordinator
            .describe("g")
            .expect("there")
            .members
            .len(),
        1
    );
}

#[test]
fn clients_that_can_are_given_a_member_id_first() {
    let mut story = story();
    let two_steps = |id: &str| JoinRequest {
        member_id_required: true,
        ..new_member(id)
    };
    let first = story.join(two_steps("a"));
    assert_eq!(
        story.join_refused(first),
        (GroupError::MemberIdRequired, "a")
    );
    let second = story.join(JoinRequest {
        member_id_required: true,
        ..member("a")
    });
    story.wait(3 * SECOND);
    assert_eq!(story.joined(second).member_id, "a");
}

#[test]
fn an_id_that_was_given_out_is_waited_for_and_expires() {
    let mut story = story();
    story.stable_group(vec![new_member("a")]);
    story.join(JoinRequest {
        member_id_required: true,
        session_timeout_ms: 8_000,
        ..new_member("late")
    });
    assert_eq!(story.state(), GroupState::Stable, "it is no member yet");
    let a = story.join(member("a"));
    story.wait(7 * SECOND);
    assert!(
        !story.joined.contains_key(&a),
        "the group waits for whoever got the id"
    );
    story.wait(SECOND);
    assert_eq!(story.joined(a).members.len(), 1);
    let late = story.join(member("late"));
    assert_eq!(
        story.join_refused(late),
        (GroupError::UnknownMember, "late")
    );
}

#[test]
fn nothing_is_left_of_a_group_that_nobody_joined() {
    let mut story = story();
    story.join(JoinRequest {
        member_id_required: true,
        ..new_member("a")
    });
    assert_eq!(story.coordinator.list().len(), 1);
    story.wait(10 * SECOND);
    assert!(story.coordinator.list().is_empty());
    assert!(story.log.is_empty());
    assert_eq!(story.coordinator.timers.len(), 0);
}

#[test]
fn what_a_member_says_about_itself_is_validated() {
    let mut story = story();
    let no_group = story.join(JoinRequest {
        group_id: String::new(),
        ..new_member("a")
    });
    assert_eq!(story.join_refused(no_group).0, GroupError::InvalidGroupId);
    for session_timeout_ms in [-1, 0, 5_999, 1_800_001] {
        let caller = story.join(JoinRequest {
            session_timeout_ms,
            ..new_member("a")
        });
        assert_eq!(
            story.join_refused(caller).0,
            GroupError::InvalidSessionTimeout
        );
    }
    let of_no_group = story.join(member("a"));
    assert_eq!(
        story.join_refused(of_no_group),
        (GroupError::UnknownMember, "a")
    );
    assert_eq!(story.heartbeat("a", 1), Err(GroupError::UnknownMember));
    let strangers = story.leave(&[("a", None), ("", Some("i"))]);
    assert_eq!(strangers, Ok(vec![Err(GroupError::UnknownMember); 2]));
}

#[test]
fn a_member_that_leaves_makes_the_others_rebalance_at_once() {
    let mut story = story();
    story.stable_group(vec![new_member("a"), new_member("b"), new_member("c")]);
    let answers = story.leave(&[("a", None), ("stranger", None), ("b", None)]);
    assert_eq!(
        answers,
        Ok(vec![Ok(()), Err(GroupError::UnknownMember), Ok(())])
    );
    assert_eq!(story.state(), GroupState::PreparingRebalance);
    let c = story.join(member("c"));
    assert_eq!(
        (
            story.joined(c).leader.as_str(),
            story.joined(c).members.len()
        ),
        ("c", 1)
    );
}

#[test]
fn a_member_that_leaves_while_it_waits_is_answered() {
    let mut story = story();
    story.stable_group(vec![new_member("a"), new_member("b")]);
    let waiting = story.join(member("a"));
    story.leave(&[("a", None)]).expect("left");
    assert_eq!(story.join_refused(waiting).0, GroupError::UnknownMember);
    let b = story.join(member("b"));
    let waiting = story.sync("b", 2, &[]);
    assert_eq!(story.joined(b).leader, "b");
    assert_eq!(story.assignment(waiting), Ok(""));
    story.leave(&[("b", None)]).expect("left");
    assert_eq!(story.state(), GroupState::Empty);
}

#[test]
fn the_last_one_that_is_waited_for_may_also_leave() {
    let mut story = story();
    story.stable_group(vec![new_member("a"), new_member("b")]);
    let a = story.join(member("a"));
    story.leave(&[("b", None)]).expect("left");
    assert_eq!(
        (story.joined(a).generation, story.joined(a).members.len()),
        (2, 1)
    );
    story.join(JoinRequest {
        member_id_required: true,
        ..new_member("pending")
    });
    let again = story.join(member("a"));
    assert_eq!(
        story.joined(again).generation,
        2,
        "nothing changed, so it is told the same again"
    );
    story.sync("a", 2, &[]);
    let leader = story.join(member("a"));
    assert_eq!(story.leave(&[("pending", None)]), Ok(vec![Ok(())]));
    assert_eq!(story.joined(leader).generation, 3);
}

#[test]
fn groups_and_the_number_of_groups_have_a_maximal_size() {
    let config = GroupConfig {
        members_max: 2,
        groups_max: 1,
        ..GroupConfig::default()
    };
    let mut story = Story::new(config);
    story.stable_group(vec![new_member("a"), new_member("b")]);
    let c = story.join(new_member("c"));
    assert_eq!(story.join_refused(c), (GroupError::GroupFull, ""));
    let other = story.join(JoinRequest {
        group_id: "h".to_string(),
        ..new_member("d")
    });
    assert_eq!(story.join_refused(other), (GroupError::GroupFull, ""));
    story.join(member("a"));
    let b = story.join(member("b"));
    assert_eq!(
        story.joined(b).generation,
        2,
        "members there are may join again"
    );
}

#[test]
fn a_group_that_is_larger_than_it_may_be_now_shrinks_when_it_is_loaded() {
    let mut story = story();
    story.stable_group(vec![new_member("a"), new_member("b"), new_member("c")]);
    story.coordinator.config.members_max = 2;
    story.restart();
    assert_eq!(story.state(), GroupState::PreparingRebalance);
    let a = story.join(member("a"));
    let b = story.join(member("b"));
    let c = story.join(member("c"));
    assert_eq!(story.join_refused(c), (GroupError::GroupFull, ""));
    assert_eq!(
        (story.joined(a).generation, story.joined(b).generation),
        (2, 2)
    );
}

#[test]
fn metadata_of_members_is_bounded() {
    let mut story = Story::new(GroupConfig {
        group_bytes_max: 1_000,
        ..GroupConfig::default()
    });
    let with = |id: &str, bytes: usize| JoinRequest {
        protocols: vec![Protocol {
            name: "range".to_string(),
            metadata: vec![0; bytes].into(),
        }],
        ..new_member(id)
    };
    story.join(with("a", 600));
    let b = story.join(with("b", 600));
    assert_eq!(story.join_refused(b), (GroupError::GroupFull, ""));
}

#[test]
fn members_that_say_nothing_take_room_all_the_same() {
    let mut story = Story::new(GroupConfig {
        bytes_max: 2_000,
        ..GroupConfig::default()
    });
    let silent = |number: u32| JoinRequest {
        protocols: vec![Protocol {
            name: String::new(),
            metadata: Bytes::new(),
        }],
        ..new_member(&format!("m{number}"))
    };
    let callers: Vec<u32> = (0..20).map(|number| story.join(silent(number))).collect();
    assert!(!story.joined.contains_key(&callers[0]), "it waits");
    assert_eq!(story.join_refused(callers[19]).0, GroupError::GroupFull);
    assert!(story.coordinator.bytes() <= 2_000);
}

#[test]
fn ids_that_are_given_out_take_as_much_room_as_they_are_long() {
    let mut story = Story::new(GroupConfig {
        bytes_max: 1_000_000,
        ..GroupConfig::default()
    });
    let with = |request: JoinRequest| JoinRequest {
        member_id_required: true,
        ..request
    };
    let ids: Vec<String> = (0..50)
        .map(|number| format!("{}-{number}", "x".repeat(30_000)))
        .collect();
    let asking = ids.iter().map(|id| story.join(with(new_member(id))));
    let callers: Vec<u32> = asking.collect();
    let told = |story: &Story, caller| story.join_refused(caller).0;
    assert_eq!(told(&story, callers[0]), GroupError::MemberIdRequired);
    assert_eq!(told(&story, callers[49]), GroupError::GroupFull);
    assert!(story.coordinator.bytes() <= 1_000_000);
    story.join(with(member(&ids[0])));
    story
        .leave(&[(&ids[0], None), (&ids[1], None)])
        .expect("left");
    assert!(story.coordinator.bytes() <= 1_000_000);
    story.wait(60 * SECOND);
    let deleted = story.act(|coordinator, now, effects| coordinator.delete(now, "g", effects));
    assert_eq!(deleted, Ok(()));
    assert_eq!(story.coordinator.bytes(), 0);
}

#[test]
fn members_have_a_whole_session_after_a_restart() {
    let mut story = story();
    story.stable_group(vec![new_member("a"), new_member("b")]);
    story.wait(9 * SECOND);
    story.restart();
    assert_eq!(story.state(), GroupState::Stable);
    story.wait(9 * SECOND);
    assert_eq!(story.heartbeat("a", 1), Ok(()));
    let sync = story.sync("a", 1, &[]);
    assert_eq!(story.assignment(sync), Ok("a"), "assignments are kept");
    story.wait(SECOND);
    assert_eq!(story.heartbeat("b", 1), Err(GroupError::UnknownMember));
}

#[test]
fn groups_are_listed_and_described_as_their_state_allows() {
    let mut story = story();
    story.stable_group(vec![new_member("a")]);
    story
        .commit(CommitRequest {
            group_id: "offsets-alone".to_string(),
            ..commit(-1, "", 5)
        })
        .expect("committed");
    let listed: Vec<_> = story
        .coordinator
        .list()
        .into_iter()
        .map(|group| (group.group_id, group.protocol_type, group.state))
        .collect();
    let listing = |id: &str, kind: &str, state| (id.to_string(), kind.to_string(), state);
    assert_eq!(
        listed,
        [
            listing("g", "consumer", GroupState::Stable),
            listing("offsets-alone", "", GroupState::Empty)
        ]
    );
    let stable = story.coordinator.describe("g").expect("there");
    assert_eq!(
        (stable.protocol.as_str(), &stable.members[0].assignment[..]),
        ("range", &b"a"[..])
    );
    assert_eq!(
        stable.members[0].metadata,
        subscribed("range", "t").metadata
    );
    assert_eq!(
        story
            .coordinator
            .describe("offsets-alone")
            .expect("there")
            .state,
        GroupState::Empty
    );
    assert_eq!(
        story.coordinator.describe("none"),
        Err(GroupError::GroupNotFound)
    );
    story.join(member("a"));
    let preparing = story.coordinator.describe("g").expect("there");
    assert_eq!(preparing.state.name(), "CompletingRebalance");
    assert_eq!(
        (
            preparing.protocol.as_str(),
            preparing.members[0].assignment.len()
        ),
        ("", 0)
    );
}

#[test]
fn only_groups_without_members_are_deleted_and_their_offsets_with_them() {
    let mut story = story();
    story.stable_group(vec![new_member("a")]);
    story.commit(commit(1, "a", 5)).expect("committed");
    let delete = |story: &mut Story| {
        story.act(|coordinator, now, effects| coordinator.delete(now, "g", effects))
    };
    assert_eq!(delete(&mut story), Err(GroupError::GroupNotEmpty));
    story.leave(&[("a", None)]).expect("left");
    story.join(JoinRequest {
        member_id_required: true,
        ..new_member("pending")
    });
    assert_eq!(delete(&mut story), Ok(()));
    assert_eq!(delete(&mut story), Err(GroupError::GroupNotFound));
    assert_eq!(story.committed(), None);
    assert_eq!(story.replayed(), Stored::default());
    assert_eq!(story.coordinator.timers.len(), 0);
    story.stable_group(vec![new_member("b")]);
    assert_eq!(
        story
            .replayed()
            .group("g")
            .expect("a group of this name again")
            .generation,
        1
    );
}
