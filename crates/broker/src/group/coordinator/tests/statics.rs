//! Static members: those that come back under a name of their own.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn two_static_members() -> Story {
    let mut story = story();
    story.stable_group(vec![static_member("i", "a"), static_member("j", "b")]);
    story
}

#[test]
fn a_static_member_that_comes_back_gets_its_assignment_without_a_rebalance() {
    let mut story = two_static_members();
    let records = story.log.len();
    let back = story.join(static_member("j", "b2"));
    let joined = story.joined(back);
    assert_eq!(
        (
            joined.generation,
            joined.member_id.as_str(),
            joined.leader.as_str()
        ),
        (1, "b2", "a")
    );
    assert_eq!(story.state(), GroupState::Stable);
    assert_eq!(story.log.len(), records + 1, "the new id is kept");
    let sync = story.sync("b2", 1, &[]);
    assert_eq!(story.assignment(sync), Ok("b"), "what its predecessor had");
    assert_eq!(story.heartbeat("b2", 1), Ok(()));
    assert_eq!(story.heartbeat("b", 1), Err(GroupError::UnknownMember));
    story.restart();
    assert_eq!(story.heartbeat("b2", 1), Ok(()));
}

#[test]
fn whoever_goes_on_under_a_replaced_id_is_fenced() {
    let mut story = two_static_members();
    story.join(static_member("j", "b2"));
    let heartbeat = |story: &mut Story, member_id: &str| {
        let request = HeartbeatRequest {
            group_id: "g".to_string(),
            generation: 1,
            member_id: member_id.to_string(),
            instance_id: Some("j".to_string()),
        };
        story.act(|coordinator, now, effects| coordinator.heartbeat(now, &request, effects))
    };
    assert_eq!(heartbeat(&mut story, "b"), Err(GroupError::FencedInstance));
    assert_eq!(heartbeat(&mut story, "b2"), Ok(()));
    let zombie = CommitRequest {
        instance_id: Some("j".to_string()),
        ..commit(1, "b", 9)
    };
    assert_eq!(story.commit(zombie), Err(GroupError::FencedInstance));
    let sync = SyncRequest {
        instance_id: Some("j".to_string()),
        ..Story::sync_request("b", 1, &[])
    };
    let caller = story.sync_with(sync);
    assert_eq!(story.assignment(caller), Err(GroupError::FencedInstance));
    let join = JoinRequest {
        instance_id: Some("j".to_string()),
        ..member("b")
    };
    let caller = story.join(join);
    assert_eq!(
        story.join_refused(caller),
        (GroupError::FencedInstance, "b")
    );
    assert_eq!(
        story.leave(&[("b", Some("j"))]),
        Ok(vec![Err(GroupError::FencedInstance)])
    );
}

#[test]
fn a_static_leader_that_comes_back_must_not_assign_again() {
    let mut story = two_static_members();
    let old_client = story.join(static_member("i", "a2"));
    assert_eq!(
        story.joined(old_client).leader,
        "a",
        "so it does not take itself for the leader"
    );
    assert!(story.joined(old_client).members.is_empty());
    let request = JoinRequest {
        can_skip_assignment: true,
        ..static_member("i", "a3")
    };
    let new_client = story.join(request);
    let joined = story.joined(new_client);
    assert_eq!(
        (
            joined.leader.as_str(),
            joined.skip_assignment,
            joined.members.len()
        ),
        ("a3", true, 2)
    );
    assert_eq!(story.state(), GroupState::Stable);
    let follower = story.join(JoinRequest {
        can_skip_assignment: true,
        ..static_member("j", "b2")
    });
    assert!(!story.joined(follower).skip_assignment);
}

#[test]
fn a_static_member_whose_protocols_decide_otherwise_makes_the_group_rebalance() {
    let mut story = two_static_members();
    let protocols = vec![subscribed("sticky", "t"), subscribed("range", "t")];
    story.join(JoinRequest {
        protocols: protocols.clone(),
        ..static_member("j", "b2")
    });
    assert_eq!(
        story.state(),
        GroupState::Stable,
        "range is still the only one that both support"
    );
    let mut story = story_of_one();
    let back = story.join(JoinRequest {
        protocols,
        ..static_member("i", "a2")
    });
    assert_eq!(story.joined(back).generation, 2);
    assert_eq!(story.joined(back).protocol.as_deref(), Some("sticky"));
}

fn story_of_one() -> Story {
    let mut story = story();
    story.stable_group(vec![static_member("i", "a")]);
    story
}

#[test]
fn a_static_member_that_comes_back_while_the_group_completes_makes_it_begin_again() {
    let mut story = story();
    story.join(static_member("i", "a"));
    story.join(static_member("j", "b"));
    story.wait(6 * SECOND);
    let waiting = story.sync("b", 1, &[]);
    let back = story.join(static_member("j", "b2"));
    assert_eq!(story.assignment(waiting), Err(GroupError::FencedInstance));
    assert_eq!(story.state(), GroupState::PreparingRebalance);
    let leader = story.join(JoinRequest {
        instance_id: Some("i".to_string()),
        ..member("a")
    });
    assert_eq!(
        (
            story.joined(back).generation,
            story.joined(leader).generation
        ),
        (2, 2)
    );
    assert_eq!(
        story.joined(leader).members[1].instance_id.as_deref(),
        Some("j")
    );
}

#[test]
fn a_static_member_that_comes_back_while_its_predecessor_joins_fences_it() {
    let mut story = story();
    let old = story.join(static_member("i", "a"));
    let new = story.join(static_member("i", "a2"));
    assert_eq!(story.join_refused(old), (GroupError::FencedInstance, "a"));
    story.wait(6 * SECOND);
    assert_eq!(
        (
            story.joined(new).leader.as_str(),
            story.joined(new).members.len()
        ),
        ("a2", 1)
    );
}

#[test]
fn static_members_that_do_not_join_again_stay_until_their_session_ends() {
    let mut story = story();
    let patient = |request: JoinRequest| JoinRequest {
        rebalance_timeout_ms: 5_000,
        session_timeout_ms: 60_000,
        ..request
    };
    story.stable_group(vec![
        patient(static_member("i", "a")),
        patient(static_member("j", "b")),
    ]);
    let b = story.join(patient(JoinRequest {
        instance_id: Some("j".to_string()),
        protocols: vec![subscribed("range", "u")],
        ..member("b")
    }));
    story.wait(5 * SECOND);
    assert_eq!(
        (
            story.joined(b).leader.as_str(),
            story.joined(b).members.len()
        ),
        ("b", 2)
    );
    assert_eq!(
        story.heartbeat("a", 2),
        Ok(()),
        "it is a member of the generation all the same"
    );
}

#[test]
fn a_rebalance_of_static_members_none_of_whom_joins_ends_with_their_sessions() {
    let mut story = story();
    let patient = |request: JoinRequest| JoinRequest {
        rebalance_timeout_ms: 5_000,
        session_timeout_ms: 12_000,
        ..request
    };
    story.stable_group(vec![
        patient(static_member("i", "a")),
        patient(static_member("j", "b")),
    ]);
    story.leave(&[("a", None)]).expect("left");
    story.wait(11 * SECOND);
    assert_eq!(
        story.state(),
        GroupState::PreparingRebalance,
        "nobody to lead"
    );
    story.wait(6 * SECOND);
    assert_eq!(story.state(), GroupState::Empty);
}

#[test]
fn static_members_that_wait_for_nobody_do_not_keep_the_coordinator_busy() {
    for rebalance_timeout_ms in [0, -1] {
        for restarts in [false, true] {
            let mut story = two_static_members();
            for (instance_id, before) in [("i", "a2"), ("j", "b2")] {
                story.join(JoinRequest {
                    rebalance_timeout_ms,
                    ..static_member(instance_id, before)
                });
            }
            if restarts {
                story.restart();
            } else {
                story.leave(&[("a2", None)]).expect("left");
            }
            story.wait(60 * SECOND);
            assert_eq!(story.state(), GroupState::Empty);
        }
    }
}

#[test]
fn an_administrator_removes_static_members_by_instance_id() {
    let mut story = two_static_members();
    let answers = story.leave(&[("", Some("j")), ("", Some("stranger")), ("", None)]);
    assert_eq!(
        answers,
        Ok(vec![
            Ok(()),
            Err(GroupError::UnknownMember),
            Err(GroupError::UnknownMember)
        ])
    );
    assert_eq!(story.heartbeat("b", 1), Err(GroupError::UnknownMember));
    let b = story.join(static_member("j", "b2"));
    story.join(JoinRequest {
        instance_id: Some("i".to_string()),
        ..member("a")
    });
    assert_eq!(story.joined(b).generation, 2, "it joins as a new member");
}

#[test]
fn an_instance_id_that_nobody_has_makes_no_member() {
    let mut story = two_static_members();
    let caller = story.join(JoinRequest {
        instance_id: Some("k".to_string()),
        ..member("b")
    });
    assert_eq!(story.join_refused(caller), (GroupError::UnknownMember, "b"));
}
