//! Rebalances: who is waited for, who leads, and what each member is given.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn the_first_member_waits_for_others_and_then_leads_the_first_generation() {
    let mut story = story();
    let caller = story.join(new_member("a"));
    assert_eq!(story.state(), GroupState::PreparingRebalance);
    story.wait(Duration::from_millis(2999));
    assert!(story.joined.is_empty());
    story.wait(Duration::from_millis(1));
    let joined = story.joined(caller);
    assert_eq!(
        (
            joined.generation,
            joined.leader.as_str(),
            joined.member_id.as_str()
        ),
        (1, "a", "a")
    );
    assert_eq!(
        (joined.protocol_type.as_deref(), joined.protocol.as_deref()),
        (Some("consumer"), Some("range"))
    );
    assert_eq!(joined.members.len(), 1);
    assert_eq!(story.state(), GroupState::CompletingRebalance);
}

#[test]
fn every_member_that_joins_in_time_extends_the_first_wait() {
    let mut story = story();
    let a = story.join(new_member("a"));
    story.wait(2 * SECOND);
    let b = story.join(new_member("b"));
    story.wait(2 * SECOND);
    assert!(story.joined.is_empty(), "b made the group wait once more");
    story.wait(2 * SECOND);
    assert_eq!(story.joined(a).members.len(), 2);
    assert!(
        story.joined(b).members.is_empty(),
        "only the leader is told the members"
    );
    assert_eq!(story.joined(b).leader, "a");
}

#[test]
fn the_first_wait_ends_with_the_rebalance_timeout_whoever_joins() {
    let mut story = story();
    for second in 0..100 {
        story.join(JoinRequest {
            rebalance_timeout_ms: 7_000,
            ..new_member(&format!("m{second}"))
        });
        story.wait(SECOND);
        if !story.joined.is_empty() {
            break;
        }
    }
    assert_eq!(
        story.joined.len(),
        7,
        "those who came in the first seven seconds"
    );
}

#[test]
fn assignments_are_given_out_when_the_leader_has_sent_them() {
    let mut story = story();
    story.join(new_member("a"));
    story.join(new_member("b"));
    story.wait(6 * SECOND);
    let b = story.sync("b", 1, &[]);
    assert!(story.synced.is_empty(), "b waits for the leader");
    let records = story.log.len();
    let a = story.sync(
        "a",
        1,
        &[("a", "to a"), ("b", "to b"), ("stranger", "to nobody")],
    );
    assert_eq!(
        story.log.len(),
        records + 1,
        "the group is kept in one record"
    );
    assert_eq!(
        (story.assignment(a), story.assignment(b)),
        (Ok("to a"), Ok("to b"))
    );
    let again = story.sync("b", 1, &[]);
    assert_eq!(
        story.assignment(again),
        Ok("to b"),
        "whoever lost the answer asks again"
    );
    assert_eq!(story.state(), GroupState::Stable);
}

#[test]
fn a_new_member_makes_all_members_rebalance() {
    let mut story = story();
    story.stable_group(vec![new_member("a"), new_member("b")]);
    assert_eq!(story.heartbeat("a", 1), Ok(()));
    let c = story.join(new_member("c"));
    assert_eq!(story.state(), GroupState::PreparingRebalance);
    assert_eq!(
        story.heartbeat("a", 1),
        Err(GroupError::RebalanceInProgress)
    );
    let late_sync = story.sync("b", 1, &[]);
    assert_eq!(
        story.assignment(late_sync),
        Err(GroupError::RebalanceInProgress)
    );
    let a = story.join(member("a"));
    assert!(!story.joined.contains_key(&c));
    let b = story.join(member("b"));
    for caller in [a, b, c] {
        assert_eq!(
            story.joined(caller).generation,
            2,
            "the last one to join ends the wait"
        );
    }
    assert_eq!(story.joined(a).members.len(), 3);
    assert_eq!(story.heartbeat("a", 1), Err(GroupError::IllegalGeneration));
}

#[test]
fn members_keep_what_they_have_while_they_join_again_one_after_the_other() {
    let cooperative = |mut request: JoinRequest, owned: &str| {
        request.protocols = vec![subscribed("cooperative-sticky", owned)];
        request
    };
    let mut story = story();
    story.stable_group(vec![
        cooperative(new_member("a"), "t"),
        cooperative(new_member("b"), "t"),
    ]);
    for generation in 2..5 {
        let leader = story.join(cooperative(member("a"), "t"));
        assert_eq!(
            story.heartbeat("b", generation - 1),
            Err(GroupError::RebalanceInProgress)
        );
        story
            .commit(commit(generation - 1, "b", i64::from(generation)))
            .expect("members commit while they revoke");
        assert_eq!(story.committed(), Some(i64::from(generation)));
        story.join(cooperative(member("b"), "t"));
        let joined = story.joined(leader);
        assert_eq!((joined.generation, joined.members.len()), (generation, 2));
        story.sync("b", generation, &[]);
        story.sync("a", generation, &[("a", "1"), ("b", "2")]);
        assert_eq!(story.state(), GroupState::Stable);
    }
}

#[test]
fn members_that_do_not_join_again_in_time_are_left_behind() {
    let mut story = story();
    let quick = |id: &str| JoinRequest {
        rebalance_timeout_ms: 5_000,
        ..new_member(id)
    };
    story.stable_group(vec![quick("a"), quick("b")]);
    let c = story.join(quick("c"));
    let b = story.join(JoinRequest {
        rebalance_timeout_ms: 5_000,
        ..member("b")
    });
    story.wait(5 * SECOND);
    assert_eq!(
        story.joined(b).leader,
        "b",
        "the leader did not come, so another one leads"
    );
    assert_eq!(story.joined(b).members.len(), 2);
    assert_eq!(story.joined(c).generation, 2);
    assert_eq!(story.heartbeat("a", 1), Err(GroupError::UnknownMember));
    let a = story.join(member("a"));
    assert_eq!(story.join_refused(a), (GroupError::UnknownMember, "a"));
}

#[test]
fn members_that_do_not_ask_for_their_assignment_in_time_are_removed() {
    let mut story = story();
    let quick = |id: &str| JoinRequest {
        rebalance_timeout_ms: 5_000,
        session_timeout_ms: 30_000,
        ..new_member(id)
    };
    story.join(quick("a"));
    story.join(quick("b"));
    story.wait(5 * SECOND);
    story.sync("a", 1, &[("a", "x")]);
    assert_eq!(story.state(), GroupState::Stable);
    assert_eq!(story.heartbeat("b", 1), Ok(()));
    story.wait(5 * SECOND);
    assert_eq!(story.state(), GroupState::PreparingRebalance);
    assert_eq!(story.heartbeat("b", 1), Err(GroupError::UnknownMember));
    assert_eq!(
        story.heartbeat("a", 1),
        Err(GroupError::RebalanceInProgress)
    );
}

#[test]
fn a_group_without_a_leader_that_assigns_begins_again() {
    let mut story = story();
    let quick = |id: &str| JoinRequest {
        rebalance_timeout_ms: 5_000,
        session_timeout_ms: 30_000,
        ..new_member(id)
    };
    story.join(quick("a"));
    story.join(quick("b"));
    story.wait(5 * SECOND);
    let b = story.sync("b", 1, &[]);
    story.wait(5 * SECOND);
    assert_eq!(story.assignment(b), Err(GroupError::RebalanceInProgress));
    let again = story.join(JoinRequest {
        rebalance_timeout_ms: 5_000,
        ..member("b")
    });
    assert_eq!(
        (
            story.joined(again).generation,
            story.joined(again).leader.as_str()
        ),
        (2, "b")
    );
}

#[test]
fn a_leader_that_joins_again_makes_the_group_rebalance_and_others_only_if_they_changed() {
    let mut story = story();
    story.stable_group(vec![new_member("a"), new_member("b")]);
    let follower = story.join(member("b"));
    assert_eq!(
        (story.joined(follower).generation, story.state()),
        (1, GroupState::Stable)
    );
    let changed = story.join(JoinRequest {
        protocols: vec![subscribed("range", "u")],
        ..member("b")
    });
    assert_eq!(story.state(), GroupState::PreparingRebalance);
    let leader = story.join(member("a"));
    assert_eq!(
        (
            story.joined(changed).generation,
            story.joined(leader).generation
        ),
        (2, 2)
    );
    story.sync("b", 2, &[]);
    story.sync("a", 2, &[]);
    story.join(member("a"));
    assert_eq!(story.state(), GroupState::PreparingRebalance);
}

#[test]
fn a_member_that_lost_its_answer_gets_it_again_while_the_group_completes() {
    let mut story = story();
    story.join(new_member("a"));
    story.join(new_member("b"));
    story.wait(6 * SECOND);
    let leader = story.join(member("a"));
    assert_eq!(
        (
            story.joined(leader).generation,
            story.joined(leader).members.len()
        ),
        (1, 2)
    );
    let follower = story.join(member("b"));
    assert!(story.joined(follower).members.is_empty());
    let changed = story.join(JoinRequest {
        protocols: vec![subscribed("range", "u")],
        ..member("b")
    });
    assert_eq!(story.state(), GroupState::PreparingRebalance);
    assert!(!story.joined.contains_key(&changed));
}

#[test]
fn a_join_that_is_repeated_while_parked_replaces_the_one_before() {
    let mut story = story();
    story.stable_group(vec![new_member("a"), new_member("b")]);
    let given_up = story.join(member("a"));
    let repeated = story.join(member("a"));
    assert_eq!(
        story.join_refused(given_up).0,
        GroupError::RebalanceInProgress
    );
    story.join(member("b"));
    assert_eq!(story.joined(repeated).generation, 2);
}

#[test]
fn the_protocol_is_one_that_all_support_and_most_prefer() {
    let with = |id: &str, protocols: &[&str]| JoinRequest {
        protocols: protocols.iter().map(|name| subscribed(name, "t")).collect(),
        ..new_member(id)
    };
    let mut story = story();
    let a = story.join(with("a", &["roundrobin", "range", "sticky"]));
    story.join(with("b", &["sticky", "range"]));
    story.join(with("c", &["sticky", "range", "roundrobin"]));
    let stranger = story.join(with("d", &["roundrobin"]));
    assert_eq!(
        story.join_refused(stranger).0,
        GroupError::InconsistentProtocol,
        "b does not support it"
    );
    story.wait(60 * SECOND);
    assert_eq!(story.joined(a).protocol.as_deref(), Some("sticky"));
    assert_eq!(
        story.joined(a).members[1].metadata,
        subscribed("sticky", "t").metadata
    );
}

#[test]
fn members_of_another_protocol_type_are_refused() {
    let mut story = story();
    let none = story.join(JoinRequest {
        protocols: vec![],
        ..new_member("x")
    });
    assert_eq!(story.join_refused(none).0, GroupError::InconsistentProtocol);
    let unnamed = story.join(JoinRequest {
        protocol_type: String::new(),
        ..new_member("x")
    });
    assert_eq!(
        story.join_refused(unnamed).0,
        GroupError::InconsistentProtocol
    );
    story.join(new_member("a"));
    let other = story.join(JoinRequest {
        protocol_type: "connect".to_string(),
        ..new_member("b")
    });
    assert_eq!(
        story.join_refused(other).0,
        GroupError::InconsistentProtocol
    );
}

#[test]
fn syncing_is_for_members_of_this_generation_and_protocol() {
    let mut story = story();
    let unknown_group = story.sync("a", 1, &[]);
    assert_eq!(
        story.assignment(unknown_group),
        Err(GroupError::UnknownMember)
    );
    story.stable_group(vec![new_member("a")]);
    for (member_id, generation, error) in [
        ("b", 1, GroupError::UnknownMember),
        ("a", 0, GroupError::IllegalGeneration),
        ("a", 2, GroupError::IllegalGeneration),
    ] {
        let caller = story.sync(member_id, generation, &[]);
        assert_eq!(story.assignment(caller), Err(error));
    }
    let other_protocol = SyncRequest {
        protocol: Some("sticky".to_string()),
        ..Story::sync_request("a", 1, &[])
    };
    let caller = story.sync_with(other_protocol);
    assert_eq!(
        story.assignment(caller),
        Err(GroupError::InconsistentProtocol)
    );
    let same = SyncRequest {
        protocol_type: Some("consumer".to_string()),
        protocol: Some("range".to_string()),
        ..Story::sync_request("a", 1, &[])
    };
    let caller = story.sync_with(same);
    assert_eq!(story.assignment(caller), Ok("a"));
}

#[test]
fn assignments_that_are_too_large_for_a_record_are_refused_and_the_group_rebalances() {
    let mut story = Story::new(GroupConfig {
        group_bytes_max: 2_000,
        ..GroupConfig::default()
    });
    story.join(new_member("a"));
    story.join(new_member("b"));
    story.wait(6 * SECOND);
    let b = story.sync("b", 1, &[]);
    let a = story.sync("a", 1, &[("a", &"x".repeat(3_000))]);
    assert_eq!(story.assignment(a), Err(GroupError::StateTooLarge));
    assert_eq!(story.assignment(b), Err(GroupError::StateTooLarge));
    assert_eq!(story.state(), GroupState::PreparingRebalance);
    assert!(story.log.is_empty());
}

#[test]
fn assignments_take_no_more_room_than_there_is() {
    let mut story = Story::new(GroupConfig {
        bytes_max: 10_000,
        ..GroupConfig::default()
    });
    story.join(new_member("a"));
    story.wait(3 * SECOND);
    let a = story.sync("a", 1, &[("a", &"x".repeat(500_000))]);
    assert_eq!(story.assignment(a), Err(GroupError::StateTooLarge));
    assert_eq!(story.state(), GroupState::PreparingRebalance);
    assert!(story.coordinator.bytes() <= 10_000);
    assert!(story.log.is_empty());
    let large = "x".repeat(4_000);
    for generation in 2..5 {
        let again = story.join(member("a"));
        assert_eq!(story.joined(again).generation, generation);
        let a = story.sync("a", generation, &[("a", &large)]);
        assert_eq!(
            story.assignment(a),
            Ok(large.as_str()),
            "it takes the place of the one before"
        );
        assert!(story.coordinator.bytes() <= 10_000);
    }
}

#[test]
fn generations_begin_anew_when_their_numbers_are_used_up() {
    let mut story = story();
    story.stable_group(vec![new_member("a")]);
    story
        .coordinator
        .groups
        .get_mut("g")
        .expect("there")
        .generation = i32::MAX;
    story.coordinator.groups.get_mut("g").expect("there").state = GroupState::CompletingRebalance;
    let caller = story.join(JoinRequest {
        protocols: vec![subscribed("range", "u")],
        ..member("a")
    });
    assert_eq!(story.joined(caller).generation, 1);
}
