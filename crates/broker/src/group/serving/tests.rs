use taffrail_env::Instant;
use taffrail_replication::Machine;

use super::{Release, Serving};
use crate::group::{
    CommitOffset, CommitRequest, GroupConfig, JoinRequest, Now, Protocol, Record, Stored,
};

type Served = Serving<&'static str, &'static str, &'static str>;

fn now() -> Now {
    Now {
        at: Instant(0),
        unix_ms: 1_700_000_000_000,
    }
}

fn serving(position: u64) -> Served {
    Serving::new(GroupConfig::default(), Stored::default(), position, now())
}

fn commit(serving: &mut Served, group_id: &str, partitions: std::ops::Range<i32>, metadata: &str) {
    let offset = |partition| CommitOffset {
        topic: "t".to_string(),
        topic_id: [7; 16],
        partition,
        offset: 1,
        leader_epoch: -1,
        metadata: metadata.to_string(),
    };
    let request = CommitRequest {
        group_id: group_id.to_string(),
        generation: -1,
        member_id: String::new(),
        instance_id: None,
        retention_ms: None,
        knows_group_not_found: true,
        offsets: partitions.map(offset).collect(),
    };
    let answers = serving.act(|coordinator, effects| coordinator.commit(now(), request, effects));
    assert!(answers.expect("no members").iter().all(Result::is_ok));
}

fn released(serving: &mut Served) -> Vec<&'static str> {
    let name = |release| match release {
        Release::Join(name, _) | Release::Sync(name, _) | Release::Committed(name) => name,
    };
    std::iter::from_fn(|| serving.release()).map(name).collect()
}

#[test]
fn a_reply_leaves_when_what_it_was_judged_against_is_durable() {
    let mut serving = serving(10);
    serving.when_committed("nothing to wait for");
    assert_eq!(released(&mut serving), ["nothing to wait for"]);
    commit(&mut serving, "g", 0..2, "");
    serving.when_committed("wrote");
    serving.when_committed("read what was written");
    assert!(released(&mut serving).is_empty());
    let batch = serving.next_batch(1 << 20).expect("records");
    assert_eq!((batch.base, batch.records.len()), (10, 2));
    assert!(released(&mut serving).is_empty(), "appended is not durable");
    assert!(serving.on_appended(10));
    assert_eq!(released(&mut serving), ["wrote", "read what was written"]);
    assert!(serving.is_committed());
}

#[test]
fn what_comes_while_a_batch_is_appended_goes_into_the_next_one() {
    let mut serving = serving(0);
    commit(&mut serving, "g", 0..1, "");
    let first = serving.next_batch(1 << 20).expect("records");
    commit(&mut serving, "g", 1..2, "");
    serving.when_committed("second");
    commit(&mut serving, "g", 2..3, "");
    serving.when_committed("third");
    assert_eq!(serving.next_batch(1 << 20), None, "one at a time");
    assert!(serving.on_appended(first.base));
    assert!(released(&mut serving).is_empty());
    let second = serving.next_batch(1 << 20).expect("records");
    assert_eq!((second.base, second.records.len()), (1, 2));
    assert!(serving.on_appended(1));
    assert_eq!(released(&mut serving), ["second", "third"]);
}

#[test]
fn a_batch_is_bounded_and_keeps_units_whole() {
    let mut serving = serving(0);
    for _ in 0..4 {
        commit(&mut serving, "g", 0..3, &"m".repeat(1000));
    }
    let mut sizes = Vec::new();
    while let Some(batch) = serving.next_batch(7_000) {
        sizes.push(batch.records.len());
        assert!(serving.on_appended(batch.base));
    }
    assert_eq!(sizes, [6, 6]);
    commit(&mut serving, "g", 0..7, &"m".repeat(1000));
    let mut sizes = Vec::new();
    while let Some(batch) = serving.next_batch(3_500) {
        sizes.push(batch.records.len());
        assert!(serving.on_appended(batch.base));
    }
    assert_eq!(sizes, [3, 3, 1], "a unit that is too large alone is cut");
}

#[test]
fn a_batch_that_lies_elsewhere_is_found_out() {
    let mut serving = serving(5);
    commit(&mut serving, "g", 0..1, "");
    serving.next_batch(1 << 20).expect("records");
    assert!(!serving.on_appended(6));
    serving.when_committed("waits");
    assert!(released(&mut serving).is_empty());
    let abandoned = serving.abandon();
    assert_eq!(abandoned.waiting, ["waits"]);
    assert!(abandoned.joining.is_empty() && abandoned.syncing.is_empty());
}

#[test]
fn whoever_is_parked_is_given_back_when_all_is_thrown_away() {
    let mut serving = serving(0);
    let request = JoinRequest {
        group_id: "g".to_string(),
        member_id: String::new(),
        instance_id: None,
        client_id: String::new(),
        client_host: String::new(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 10_000,
        protocol_type: "consumer".to_string(),
        protocols: vec![Protocol {
            name: "range".to_string(),
            metadata: Default::default(),
        }],
        new_member_id: "a".to_string(),
        member_id_required: false,
        can_skip_assignment: false,
    };
    serving.act(|coordinator, effects| coordinator.join(now(), request, "parked", effects));
    assert!(released(&mut serving).is_empty());
    assert_eq!(serving.abandon().joining, ["parked"]);
}

#[test]
fn a_snapshot_is_given_out_when_its_position_has_committed_and_is_exact_to_it() {
    let mut serving = serving(0);
    let mut log = Vec::new();
    let (mut snapshot, mut in_between) = (None, 0);
    for number in 0..20_000 {
        commit(
            &mut serving,
            "g",
            number % 50..number % 50 + 1,
            &"m".repeat(500),
        );
        if number % 3 == 0 {
            let batch = serving.next_batch(1 << 20).expect("records");
            commit(&mut serving, "late", 0..1, "applied, and not yet durable");
            log.extend(batch.records);
            assert!(serving.on_appended(batch.base));
            in_between += usize::from(serving.snapshot.is_some());
        }
        if let Some(taken) = serving.take_snapshot() {
            assert!(
                taken.0 <= log.len() as u64,
                "it holds what may still be lost"
            );
            snapshot = Some(taken);
            break;
        }
    }
    let (position, bytes) = snapshot.expect("a snapshot was due");
    assert!(in_between > 0, "it had to wait");
    let mut replayed = Stored::default();
    for (key, value) in &log[..position as usize] {
        replayed.apply(&Record::decode(key, value.as_deref()).expect("decodes"));
    }
    assert_eq!(Stored::restore(&bytes).expect("restores"), replayed);
    assert!(serving.take_snapshot().is_none());
}
