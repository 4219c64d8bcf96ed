//! Answers in the order in which a confused cluster may give them.

use super::*;
use taffrail_wire::metadata::{MetadataResponseBroker, MetadataResponsePartition};

const AGE_MAX: Duration = Duration::from_secs(300);

fn answer(id: u8, leader_id: i32, leader_epoch: i32) -> MetadataResponse<'static> {
    MetadataResponse {
        brokers: (1..=3)
            .map(|node_id| MetadataResponseBroker {
                node_id,
                host: "host",
                port: 9092,
                rack: None,
            })
            .collect(),
        topics: vec![MetadataResponseTopic {
            name: Some("t"),
            topic_id: [id; 16],
            partitions: vec![MetadataResponsePartition {
                leader_id,
                leader_epoch,
                ..MetadataResponsePartition::default()
            }],
            ..MetadataResponseTopic::default()
        }],
        ..MetadataResponse::default()
    }
}

#[test]
fn an_older_leader_epoch_does_not_replace_a_newer_one() {
    let mut metadata = Metadata::default();
    metadata.update(Instant(0), &answer(1, 2, 5));
    metadata.update(Instant(1), &answer(1, 1, 4));
    assert_eq!(metadata.leader("t", 0), Some(2));
    metadata.update(Instant(2), &answer(1, 3, 6));
    assert_eq!(metadata.leader("t", 0), Some(3));
}

#[test]
fn a_topic_made_again_under_its_name_starts_afresh() {
    let mut metadata = Metadata::default();
    metadata.update(Instant(0), &answer(1, 2, 5));
    metadata.update(Instant(1), &answer(9, 1, 0));
    assert_eq!(metadata.leader("t", 0), Some(1));
    assert_eq!(metadata.name_of(&[9; 16]), Some("t"));
    assert_eq!(metadata.name_of(&[1; 16]), None);
}

#[test]
fn what_was_found_wrong_or_is_old_is_not_relied_on() {
    let mut metadata = Metadata::default();
    assert!(!metadata.is_fresh(Instant(0), "t", AGE_MAX));
    metadata.update(Instant(0), &answer(1, 2, 5));
    assert!(metadata.is_fresh(Instant(1), "t", AGE_MAX));
    assert!(!metadata.is_fresh(Instant(0) + AGE_MAX, "t", AGE_MAX));
    metadata.mark_stale("t");
    assert!(!metadata.is_fresh(Instant(1), "t", AGE_MAX));
}

#[test]
fn a_leader_that_is_no_known_broker_is_none() {
    let mut metadata = Metadata::default();
    metadata.update(Instant(0), &answer(1, 8, 5));
    assert_eq!(metadata.leader("t", 0), None);
    metadata.update(Instant(0), &answer(1, -1, 6));
    assert_eq!(metadata.leader("t", 0), None);
}

#[test]
fn addresses_of_the_newer_internet_are_put_in_brackets() {
    let mut broker = Broker {
        node_id: 1,
        host: "::1".to_owned(),
        port: 9092,
        rack: None,
    };
    assert_eq!(broker.address(), "[::1]:9092");
    broker.host = "localhost".to_owned();
    assert_eq!(broker.address(), "localhost:9092");
}
