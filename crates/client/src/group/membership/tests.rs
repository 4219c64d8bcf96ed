//! A member's life, told against a coordinator that the test plays.

use super::*;

const HEARTBEAT: Duration = Duration::from_secs(3);

fn names(list: &[(&str, i32)]) -> Vec<TopicPartitionName> {
    list.iter()
        .map(|(topic, partition)| TopicPartitionName::new(*topic, *partition))
        .collect()
}

fn subscribed(kind: AssignorKind) -> Membership {
    let mut membership = Membership::new(vec![kind], HEARTBEAT);
    membership.subscribe(vec!["t".into()]);
    membership
}

/// Plays one whole round in which the member leads alone, and is given `share`.
fn round(membership: &mut Membership, generation: i32, share: &[(&str, i32)]) -> Changed {
    let plan = membership.plan_join();
    let joined = Joined {
        generation,
        protocol: plan.protocols[0].0.to_owned(),
        leader: "me".into(),
        member_id: "me".into(),
        skip_assignment: false,
        members: vec![("me".into(), None, plan.protocols[0].1.clone())],
    };
    assert_eq!(membership.on_joined(&joined), Verdict::Proceed);
    let blob = blob::encode_assignment(&names(share));
    membership
        .on_synced(Instant(0), &blob)
        .expect("well formed")
}

#[test]
fn a_leader_gives_itself_every_partition_and_heartbeats() {
    let mut membership = subscribed(AssignorKind::Range);
    assert!(membership.wants_to_join());
    let plan = membership.plan_join();
    let joined = Joined {
        generation: 1,
        protocol: "range".into(),
        leader: "me".into(),
        member_id: "me".into(),
        skip_assignment: false,
        members: vec![("me".into(), None, plan.protocols[0].1.clone())],
    };
    assert_eq!(membership.on_joined(&joined), Verdict::Proceed);
    let topics = Membership::topics_of_all(&joined).expect("well formed");
    assert_eq!(topics.into_iter().collect::<Vec<_>>(), ["t"]);
    let shares = membership
        .plan_assignment(&joined, &BTreeMap::from([("t".to_owned(), 2)]))
        .expect("well formed");
    let now = Instant(1_000);
    let changed = membership
        .on_synced(now, &shares[0].1)
        .expect("well formed");
    assert_eq!(changed.added, names(&[("t", 0), ("t", 1)]));
    assert_eq!(membership.standing(), Standing::Stable);
    assert_eq!(membership.next_deadline(), now + HEARTBEAT);
    assert!(!membership.wants_to_join());
}

#[test]
fn a_new_member_is_told_its_id_and_comes_again_with_it() {
    let mut membership = subscribed(AssignorKind::Range);
    membership.plan_join();
    let verdict = membership.on_join_error(ErrorCode::MemberIdRequired, "m-1");
    assert_eq!(verdict, Verdict::JoinAgain);
    assert!(membership.wants_to_join());
    assert_eq!(membership.plan_join().member_id, "m-1");
}

#[test]
fn an_eager_member_gives_everything_up_before_it_joins_again() {
    let mut membership = subscribed(AssignorKind::Range);
    round(&mut membership, 1, &[("t", 0), ("t", 1)]);
    let verdict = membership.on_group_error(1, ErrorCode::RebalanceInProgress);
    assert_eq!(verdict, Verdict::JoinAgain);
    assert_eq!(
        membership.given_up_by_joining(),
        names(&[("t", 0), ("t", 1)])
    );
    let changed = round(&mut membership, 2, &[("t", 1)]);
    assert_eq!(changed.revoked, Vec::new());
    assert_eq!(changed.added, names(&[("t", 1)]));
    assert!(!membership.wants_to_join());
}

#[test]
fn a_cooperative_member_keeps_reading_and_joins_again_after_letting_go() {
    let mut membership = subscribed(AssignorKind::CooperativeSticky);
    round(&mut membership, 1, &[("t", 0), ("t", 1)]);
    membership.on_group_error(1, ErrorCode::RebalanceInProgress);
    assert_eq!(membership.given_up_by_joining(), Vec::new());
    let changed = round(&mut membership, 2, &[("t", 0)]);
    assert_eq!(changed.revoked, names(&[("t", 1)]));
    assert!(
        membership.wants_to_join(),
        "the second round gives t-1 to its new owner"
    );
    let changed = round(&mut membership, 3, &[("t", 0)]);
    let untouched = Changed {
        generation: 3,
        held: names(&[("t", 0)]),
        ..Changed::default()
    };
    assert_eq!(changed, untouched);
    assert!(!membership.wants_to_join());
}

#[test]
fn a_member_whose_share_never_came_joins_again() {
    let mut membership = subscribed(AssignorKind::Range);
    membership.plan_join();
    let joined = Joined {
        generation: 1,
        protocol: AssignorKind::Range.name().to_owned(),
        leader: "other".to_owned(),
        member_id: "me".to_owned(),
        skip_assignment: false,
        members: Vec::new(),
    };
    assert_eq!(membership.on_joined(&joined), Verdict::Proceed);
    assert!(!membership.wants_to_join());
    membership.on_round_lost();
    assert!(membership.wants_to_join());
    assert_eq!(membership.plan_join().member_id, "me");
}

#[test]
fn a_member_that_the_group_forgot_loses_its_partitions_and_its_id() {
    let mut membership = subscribed(AssignorKind::CooperativeSticky);
    round(&mut membership, 1, &[("t", 0)]);
    membership.on_group_error(1, ErrorCode::UnknownMemberId);
    assert_eq!(membership.take_lost(), names(&[("t", 0)]));
    assert!(membership.owned().is_empty());
    assert_eq!(membership.plan_join().member_id, "");
    assert_eq!(membership.next_deadline(), Instant::MAX);
}

#[test]
fn an_answer_to_an_earlier_generation_changes_nothing() {
    let mut membership = subscribed(AssignorKind::Range);
    round(&mut membership, 1, &[("t", 0)]);
    round(&mut membership, 2, &[("t", 0)]);
    let verdict = membership.on_group_error(1, ErrorCode::UnknownMemberId);
    assert_eq!(verdict, Verdict::Proceed);
    assert_eq!(membership.standing(), Standing::Stable);
    assert!(membership.take_lost().is_empty());
}

#[test]
fn a_fenced_member_is_told_so_and_owns_nothing() {
    let mut membership = subscribed(AssignorKind::Range);
    round(&mut membership, 1, &[("t", 0)]);
    let verdict = membership.on_group_error(1, ErrorCode::FencedInstanceId);
    assert_eq!(verdict, Verdict::Refused(ErrorCode::FencedInstanceId));
    assert!(membership.owned().is_empty());
}

#[test]
fn a_coordinator_that_moved_costs_a_stable_member_nothing() {
    let mut membership = subscribed(AssignorKind::Range);
    round(&mut membership, 1, &[("t", 0)]);
    let verdict = membership.on_group_error(1, ErrorCode::NotCoordinator);
    assert_eq!(verdict, Verdict::FindCoordinator);
    assert!(!membership.wants_to_join());
    membership.request_rejoin();
    membership.plan_join();
    membership.on_sync_error(ErrorCode::NotCoordinator);
    assert!(membership.wants_to_join());
}
