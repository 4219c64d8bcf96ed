use std::collections::BTreeSet;

use taffrail_replication::Machine;

use super::super::record::Record;
use super::{CommittedOffset, ExpiryRule, StoreRequest, Stored};

fn offset(offset: i64, committed_at_ms: i64) -> CommittedOffset {
    CommittedOffset {
        offset,
        leader_epoch: -1,
        metadata: String::new(),
        committed_at_ms,
        expires_at_ms: None,
        topic_id: Some([7; 16]),
    }
}

fn store(stored: &mut Stored, request: &StoreRequest) -> usize {
    let mut changes = Vec::new();
    stored.process(request, &mut changes);
    changes.iter().for_each(|change| stored.apply(change));
    changes.len()
}

fn with_offsets(offsets: &[(&str, i32, CommittedOffset)]) -> Stored {
    let mut stored = Stored::default();
    let offsets = offsets
        .iter()
        .map(|(topic, partition, value)| (topic.to_string(), *partition, value.clone()));
    store(
        &mut stored,
        &StoreRequest::Commit {
            group_id: "g".to_string(),
            offsets: offsets.collect(),
        },
    );
    stored
}

fn expire(stored: &mut Stored, now_ms: i64, rule: ExpiryRule) -> usize {
    store(
        stored,
        &StoreRequest::Expire {
            group_id: "g".to_string(),
            now_ms,
            retention_ms: 100,
            rule,
        },
    )
}

#[test]
fn offsets_of_a_group_without_members_expire_after_their_commit() {
    let mut stored = with_offsets(&[("t", 0, offset(1, 1000)), ("t", 1, offset(1, 1050))]);
    assert_eq!(expire(&mut stored, 1099, ExpiryRule::SinceCommit), 0);
    assert_eq!(expire(&mut stored, 1100, ExpiryRule::Never), 0);
    assert_eq!(expire(&mut stored, 1100, ExpiryRule::SinceCommit), 1);
    assert_eq!(stored.offset("g", "t", 0), None);
    assert_eq!(stored.offset("g", "t", 1), Some(&offset(1, 1050)));
    assert_eq!(expire(&mut stored, 1150, ExpiryRule::SinceCommit), 1);
    assert!(stored.knows("g"), "it is deleted, and does not vanish");
    let delete = StoreRequest::DeleteGroup {
        group_id: "g".to_string(),
    };
    assert_eq!(store(&mut stored, &delete), 1);
    assert_eq!(stored, Stored::default());
    assert_eq!(store(&mut stored, &delete), 0);
}

#[test]
fn what_is_taken_from_a_group_that_nobody_knows_makes_none() {
    let mut stored = Stored::default();
    let group_id = "g".to_string();
    stored.apply(&Record::Offset {
        group_id: group_id.clone(),
        topic: "t".to_string(),
        partition: 0,
        value: None,
    });
    stored.apply(&Record::Group {
        group_id,
        value: None,
    });
    assert_eq!(stored, Stored::default());
}

#[test]
fn a_group_without_offsets_survives_a_snapshot() {
    let mut stored = with_offsets(&[("t", 0, offset(1, 1000))]);
    expire(&mut stored, 1100, ExpiryRule::SinceCommit);
    let mut snapshot = Vec::new();
    stored.snapshot(&mut snapshot);
    let restored = Stored::restore(&snapshot).expect("restores");
    assert!(restored.knows("g"));
    assert!(stored.bytes() > 0, "its name is kept");
    assert_eq!((restored.bytes(), &restored), (stored.bytes(), &stored));
}

#[test]
fn offsets_of_a_group_that_became_empty_are_kept_from_then_on() {
    let mut stored = with_offsets(&[("t", 0, offset(1, 0))]);
    assert_eq!(expire(&mut stored, 1099, ExpiryRule::SinceEmpty(1000)), 0);
    assert_eq!(expire(&mut stored, 1100, ExpiryRule::SinceEmpty(1000)), 1);
}

#[test]
fn offsets_of_topics_in_use_do_not_expire() {
    let mut stored = with_offsets(&[("used", 0, offset(1, 0)), ("unused", 0, offset(1, 0))]);
    let subscribed = ExpiryRule::Unsubscribed(BTreeSet::from(["used".to_string()]));
    assert_eq!(expire(&mut stored, 1000, subscribed), 1);
    assert!(stored.offset("g", "used", 0).is_some());
}

#[test]
fn an_expiry_time_that_the_client_set_is_what_counts() {
    let value = CommittedOffset {
        expires_at_ms: Some(5000),
        ..offset(1, 0)
    };
    let mut stored = with_offsets(&[("t", 0, value)]);
    assert_eq!(expire(&mut stored, 4999, ExpiryRule::SinceCommit), 0);
    assert_eq!(expire(&mut stored, 5000, ExpiryRule::SinceCommit), 1);
}

#[test]
fn offsets_of_a_deleted_topic_are_forgotten_and_those_of_its_namesake_stay() {
    let of_namesake = CommittedOffset {
        topic_id: Some([8; 16]),
        ..offset(3, 0)
    };
    let mut stored = with_offsets(&[("t", 0, offset(1, 0)), ("t", 1, of_namesake)]);
    assert_eq!(
        store(
            &mut stored,
            &StoreRequest::DeleteTopics {
                topic_ids: BTreeSet::from([[7; 16]])
            }
        ),
        1
    );
    assert!(stored.offset("g", "t", 0).is_none());
    assert!(stored.offset("g", "t", 1).is_some());
}

#[test]
fn the_space_that_is_counted_is_given_back() {
    let mut stored = with_offsets(&[("t", 0, offset(1, 0)), ("u", 1, offset(1, 0))]);
    let (full, again) = (
        stored.bytes(),
        with_offsets(&[("t", 0, offset(9, 0)), ("u", 1, offset(1, 0))]).bytes(),
    );
    assert_eq!(
        full, again,
        "an offset in the place of another takes its space"
    );
    let mut snapshot = Vec::new();
    stored.snapshot(&mut snapshot);
    let restored = Stored::restore(&snapshot).expect("restores");
    assert_eq!((restored.bytes(), &restored), (full, &stored));
    store(
        &mut stored,
        &StoreRequest::DeleteGroup {
            group_id: "g".to_string(),
        },
    );
    assert_eq!(stored.bytes(), 0);
}

#[test]
fn a_snapshot_of_another_format_is_refused() {
    let mut snapshot = Vec::new();
    with_offsets(&[("t", 0, offset(1, 0))]).snapshot(&mut snapshot);
    assert!(Stored::restore(&snapshot[..snapshot.len() - 1]).is_err());
    snapshot[0] = 9;
    let error = Stored::restore(&snapshot).expect_err("another version");
    assert!(error.to_string().contains("version Some(9)"), "{error}");
}
