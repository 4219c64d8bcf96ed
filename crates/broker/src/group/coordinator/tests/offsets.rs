//! Committed offsets: who may commit, what is kept, and what expires.

use std::collections::BTreeSet;

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 3600);

#[test]
fn members_commit_in_their_own_generation_alone() {
    let mut story = story();
    story.stable_group(vec![new_member("a")]);
    assert_eq!(story.commit(commit(1, "a", 5)), Ok(vec![Ok(())]));
    assert_eq!(
        story.commit(commit(0, "a", 9)),
        Err(GroupError::IllegalGeneration)
    );
    assert_eq!(
        story.commit(commit(2, "a", 9)),
        Err(GroupError::IllegalGeneration)
    );
    assert_eq!(
        story.commit(commit(1, "stranger", 9)),
        Err(GroupError::UnknownMember)
    );
    assert_eq!(
        story.commit(commit(-1, "", 9)),
        Err(GroupError::UnknownMember),
        "the group has members"
    );
    assert_eq!(story.committed(), Some(5));
    let kept = story.coordinator.offset("g", "t", 0).expect("kept");
    assert_eq!(
        (kept.leader_epoch, kept.metadata.as_str(), kept.topic_id),
        (3, "note", Some([7; 16]))
    );
    assert_eq!(kept.committed_at_ms, story.now.unix_ms);
}

#[test]
fn commits_wait_while_a_generation_is_not_complete() {
    let mut story = story();
    story.join(new_member("a"));
    story.wait(3 * SECOND);
    assert_eq!(story.state(), GroupState::CompletingRebalance);
    assert_eq!(
        story.commit(commit(1, "a", 5)),
        Err(GroupError::RebalanceInProgress)
    );
    story.sync("a", 1, &[]);
    assert_eq!(story.commit(commit(1, "a", 5)), Ok(vec![Ok(())]));
}

#[test]
fn a_commit_is_a_sign_of_life() {
    let mut story = story();
    story.stable_group(vec![new_member("a")]);
    for _ in 0..5 {
        story.wait(9 * SECOND);
        assert_eq!(story.commit(commit(1, "a", 5)), Ok(vec![Ok(())]));
    }
    assert_eq!(story.heartbeat("a", 1), Ok(()));
}

#[test]
fn whoever_is_no_member_commits_to_groups_without_members() {
    let mut story = story();
    assert_eq!(story.commit(commit(-1, "", 5)), Ok(vec![Ok(())]));
    assert_eq!(story.committed(), Some(5));
    assert_eq!(
        story.commit(commit(1, "a", 6)),
        Err(GroupError::UnknownMember)
    );
    story.stable_group(vec![new_member("a")]);
    story.leave(&[("a", None)]).expect("left");
    assert_eq!(story.commit(commit(-1, "", 7)), Ok(vec![Ok(())]));
    assert_eq!(story.committed(), Some(7));
}

#[test]
fn a_member_of_a_group_that_nobody_knows_is_told_as_its_version_understands() {
    let mut story = story();
    assert_eq!(
        story.commit(commit(1, "a", 5)),
        Err(GroupError::GroupNotFound)
    );
    let old = CommitRequest {
        knows_group_not_found: false,
        ..commit(1, "a", 5)
    };
    assert_eq!(story.commit(old), Err(GroupError::IllegalGeneration));
    assert!(story.log.is_empty());
}

#[test]
fn metadata_of_offsets_is_bounded_and_the_other_offsets_are_kept() {
    let mut story = story();
    let mut request = commit(-1, "", 5);
    request.offsets[0].metadata = "ü".repeat(4096);
    let mut too_long = request.offsets[0].clone();
    (too_long.partition, too_long.metadata) = (1, "x".repeat(4097));
    request.offsets.push(too_long);
    assert_eq!(
        story.commit(request),
        Ok(vec![Ok(()), Err(GroupError::OffsetMetadataTooLarge)])
    );
    assert_eq!(story.committed(), Some(5));
    assert_eq!(story.coordinator.offset("g", "t", 1), None);
}

#[test]
fn offsets_take_no_more_room_than_they_may() {
    let mut story = Story::new(GroupConfig {
        bytes_max: 1000,
        ..GroupConfig::default()
    });
    let mut answers = Vec::new();
    for partition in 0..20 {
        let mut request = commit(-1, "", 5);
        request.offsets[0].partition = partition;
        answers.extend(story.commit(request).expect("a group without members"));
    }
    assert!(answers.contains(&Ok(())));
    assert_eq!(answers.last(), Some(&Err(GroupError::StateTooLarge)));
    assert!(story.coordinator.bytes() <= 1000);
    let full = story.coordinator.bytes();
    assert_eq!(story.commit(commit(-1, "", 6)), Ok(vec![Ok(())]));
    assert_eq!(story.committed(), Some(6), "it takes the place of another");
    let mut request = commit(-1, "", 7);
    let mut longer = request.offsets[0].clone();
    longer.metadata = "x".repeat(900);
    let shorter = CommitOffset {
        metadata: String::new(),
        ..longer.clone()
    };
    request.offsets.extend([longer, shorter]);
    assert_eq!(
        story.commit(request),
        Ok(vec![Ok(()), Err(GroupError::StateTooLarge), Ok(())])
    );
    assert_eq!(story.coordinator.bytes(), full - "note".len());
}

#[test]
fn a_group_that_nobody_knows_has_no_offsets_and_that_is_no_error() {
    let story = story();
    assert_eq!(story.coordinator.offset("nobody", "t", 0), None);
    assert_eq!(story.coordinator.offsets("nobody").count(), 0);
}

#[test]
fn all_offsets_of_a_group_are_read_in_order() {
    let mut story = story();
    for (topic, partition) in [("u", 1), ("t", 10), ("t", 9)] {
        let mut request = commit(-1, "", 5);
        (request.offsets[0].topic, request.offsets[0].partition) = (topic.to_string(), partition);
        story.commit(request).expect("committed");
    }
    let read: Vec<_> = story
        .coordinator
        .offsets("g")
        .map(|(topic, partition, _)| (topic, partition))
        .collect();
    assert_eq!(read, [("t", 9), ("t", 10), ("u", 1)]);
}

#[test]
fn offsets_of_topics_in_use_are_not_deleted() {
    let mut story = story();
    story.stable_group(vec![new_member("a")]);
    for topic in ["t", "u"] {
        let mut request = commit(1, "a", 5);
        request.offsets[0].topic = topic.to_string();
        story.commit(request).expect("committed");
    }
    let delete = |story: &mut Story, topics: &[&str]| {
        let offsets: Vec<_> = topics.iter().map(|topic| (topic.to_string(), 0)).collect();
        story.act(|coordinator, now, effects| {
            coordinator.delete_offsets(now, "g", &offsets, effects)
        })
    };
    let answers = delete(&mut story, &["t", "u", "never committed"]);
    assert_eq!(
        answers,
        Ok(vec![Err(GroupError::SubscribedToTopic), Ok(()), Ok(())])
    );
    assert_eq!(story.committed(), Some(5));
    assert_eq!(story.coordinator.offset("g", "u", 0), None);
    story.leave(&[("a", None)]).expect("left");
    assert_eq!(delete(&mut story, &["t"]), Ok(vec![Ok(())]));
    assert_eq!(story.committed(), None);
    let unknown = story
        .act(|coordinator, now, effects| coordinator.delete_offsets(now, "none", &[], effects));
    assert_eq!(unknown, Err(GroupError::GroupNotFound));
}

#[test]
fn offsets_of_members_that_are_no_consumers_are_not_deleted() {
    let mut story = story();
    story.stable_group(vec![JoinRequest {
        protocol_type: "connect".to_string(),
        ..new_member("a")
    }]);
    let answer =
        story.act(|coordinator, now, effects| coordinator.delete_offsets(now, "g", &[], effects));
    assert_eq!(answer, Err(GroupError::GroupNotEmpty));
}

#[test]
fn offsets_in_use_never_expire_and_others_after_a_week() {
    let mut story = Story::new(GroupConfig::default());
    let day_long = |request: JoinRequest| JoinRequest {
        session_timeout_ms: 1_800_000,
        ..request
    };
    story.stable_group(vec![day_long(new_member("a"))]);
    for topic in ["t", "u"] {
        let mut request = commit(1, "a", 5);
        request.offsets[0].topic = topic.to_string();
        story.commit(request).expect("committed");
    }
    for _ in 0..8 * 24 * 4 {
        story.wait(Duration::from_secs(15 * 60));
        assert_eq!(story.heartbeat("a", 1), Ok(()));
    }
    assert_eq!(story.committed(), Some(5), "a is subscribed to it");
    assert_eq!(story.coordinator.offset("g", "u", 0), None, "nobody is");
    story.leave(&[("a", None)]).expect("left");
    story.wait(DAY * 6);
    assert_eq!(story.committed(), Some(5));
    story.wait(DAY + SECOND * 600);
    assert_eq!(story.committed(), None);
    assert!(
        story.coordinator.list().is_empty(),
        "the group goes with its last offset"
    );
    assert_eq!(story.replayed(), Stored::default());
}

#[test]
fn a_wall_clock_that_jumps_and_comes_back_expires_nothing() {
    let mut story = story();
    story.commit(commit(-1, "", 5)).expect("committed");
    let year_ms = 365 * 24 * 3600 * 1000;
    for step_ms in [10 * year_ms, -20 * year_ms, 10 * year_ms] {
        story.now.unix_ms += step_ms;
        story.wait(SECOND * 600);
        assert_eq!(story.committed(), Some(5), "a step of {step_ms} ms");
    }
    // Two looks that agree are believed.
    story.now.unix_ms += 10 * year_ms;
    story.wait(SECOND * 600);
    assert_eq!(story.committed(), Some(5));
    story.wait(SECOND * 600);
    assert_eq!(story.committed(), None);
}

#[test]
fn a_commit_may_say_how_long_it_is_kept() {
    let mut story = story();
    story
        .commit(CommitRequest {
            retention_ms: Some(1_000),
            ..commit(-1, "", 5)
        })
        .expect("committed");
    story.wait(SECOND * 599);
    assert_eq!(story.committed(), Some(5), "not looked at yet");
    story.wait(SECOND);
    assert_eq!(story.committed(), None);
}

#[test]
fn a_step_of_the_wall_clock_makes_offsets_neither_young_nor_lost_within_their_time() {
    let mut story = story();
    story.commit(commit(-1, "", 5)).expect("committed");
    story.now.unix_ms -= 1_000_000_000_000;
    story.wait(SECOND * 600);
    assert_eq!(story.committed(), Some(5));
}

#[test]
fn offsets_of_deleted_topics_go() {
    let mut story = story();
    story.commit(commit(-1, "", 5)).expect("committed");
    story.act(|coordinator, now, effects| {
        coordinator.delete_topics(now, BTreeSet::from([[8; 16]]), effects)
    });
    assert_eq!(story.committed(), Some(5));
    story.act(|coordinator, now, effects| {
        coordinator.delete_topics(now, BTreeSet::from([[7; 16]]), effects)
    });
    assert_eq!(story.committed(), None);
    assert_eq!(story.replayed(), *story.coordinator.stored());
}

#[test]
fn a_group_of_offsets_alone_stays_empty_until_it_is_looked_through() {
    let mut story = story();
    story.commit(commit(-1, "", 5)).expect("committed");
    let offsets = [("t".to_string(), 0)];
    let deleted = story
        .act(|coordinator, now, effects| coordinator.delete_offsets(now, "g", &offsets, effects));
    assert_eq!(deleted, Ok(vec![Ok(())]));
    let is_empty = |story: &Story| {
        let described = story.coordinator.describe("g");
        described.is_ok_and(|group| group.state == GroupState::Empty)
    };
    assert!(is_empty(&story));
    assert_eq!(story.replayed(), *story.coordinator.stored());
    story.restart();
    assert!(is_empty(&story));
    assert_eq!(story.commit(commit(-1, "", 6)), Ok(vec![Ok(())]));
    story.act(|coordinator, now, effects| {
        coordinator.delete_topics(now, BTreeSet::from([[7; 16]]), effects)
    });
    story.wait(SECOND * 599);
    assert!(is_empty(&story));
    story.wait(SECOND);
    assert_eq!(
        story.coordinator.describe("g"),
        Err(GroupError::GroupNotFound)
    );
    assert_eq!(story.replayed(), Stored::default());
}

#[test]
fn a_group_without_a_name_has_no_offsets_to_delete() {
    let mut story = story();
    let answer =
        story.act(|coordinator, now, effects| coordinator.delete_offsets(now, "", &[], effects));
    assert_eq!(answer, Err(GroupError::InvalidGroupId));
}

#[test]
fn committed_offsets_survive_a_restart() {
    let mut story = story();
    story.stable_group(vec![new_member("a")]);
    story.commit(commit(1, "a", 5)).expect("committed");
    story
        .commit(commit(1, "a", 4))
        .expect("committed, back as well");
    story.restart();
    assert_eq!(story.committed(), Some(4));
    assert_eq!(story.commit(commit(1, "a", 6)), Ok(vec![Ok(())]));
}
