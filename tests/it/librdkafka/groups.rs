//! Consumer groups: three members with a rebalance in the middle, and committed offsets that outlive the broker.

use super::{PATIENCE, config, create_topic, producer, runtime};
use crate::node::{Node, Scratch};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::FutureRecord;
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const PARTITIONS: i32 = 6;

fn member(brokers: &str, group: &str, strategy: &str) -> BaseConsumer {
    let consumer: BaseConsumer = config(brokers)
        .set("group.id", group)
        .set("partition.assignment.strategy", strategy)
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .set("session.timeout.ms", "10000")
        .set("heartbeat.interval.ms", "500")
        .create()
        .expect("a consumer");
    consumer.subscribe(&["work"]).expect("subscribed");
    consumer
}

fn send(brokers: &str, from: usize, to: usize) {
    let producer = producer(brokers, &[]);
    runtime().block_on(async {
        for number in from..to {
            let value = number.to_string();
            let record = FutureRecord::<str, str>::to("work").partition(number as i32 % PARTITIONS).payload(&value);
            producer.send(record, PATIENCE).await.expect("acknowledged");
        }
    });
}

/// Polls the members in turn, committing what each returns, until `done`.
fn poll_until(members: &[&BaseConsumer], seen: &mut BTreeMap<usize, u32>, done: impl Fn(&BTreeMap<usize, u32>) -> bool) {
    let start = Instant::now();
    while !done(seen) {
        assert!(start.elapsed() < PATIENCE, "only {} records came within a minute", seen.len());
        for member in members {
            if let Some(message) = member.poll(Duration::from_millis(20)) {
                let message = message.expect("no error");
                let number = std::str::from_utf8(message.payload().expect("a value")).expect("text").parse().expect("a number");
                *seen.entry(number).or_default() += 1;
                member.commit_message(&message, CommitMode::Sync).expect("committed");
            }
        }
    }
}

/// Polls until each member owns `share` partitions.
fn settle(members: &[&BaseConsumer], share: usize, seen: &mut BTreeMap<usize, u32>) {
    let start = Instant::now();
    loop {
        let shares: Vec<usize> = members.iter().map(|m| m.assignment().expect("an assignment").count()).collect();
        if shares.iter().all(|owned| *owned == share) {
            return;
        }
        assert!(start.elapsed() < PATIENCE, "the members own {shares:?}, wanted {share} each");
        let before = Instant::now();
        poll_until(members, seen, |_| before.elapsed() > Duration::from_millis(200));
    }
}

fn committed(brokers: &str, group: &str) -> Vec<Offset> {
    let consumer: BaseConsumer = config(brokers).set("group.id", group).create().expect("a consumer");
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition("work", partition);
    }
    let found = consumer.committed_offsets(list, PATIENCE).expect("the request is answered");
    found.elements().iter().map(|element| element.offset()).collect()
}

fn three_members_share_the_work(strategy: &str) {
    let scratch = Scratch::new("group");
    let mut node = Node::start_with(scratch.path(), &["--set", "group.initial.rebalance.delay.ms=200"]);
    create_topic(&node.kafka, "work", PARTITIONS);
    send(&node.kafka, 0, 300);
    let mut seen = BTreeMap::new();

    let (one, two) = (member(&node.kafka, "team", strategy), member(&node.kafka, "team", strategy));
    settle(&[&one, &two], 3, &mut seen);
    let three = member(&node.kafka, "team", strategy);
    settle(&[&one, &two, &three], 2, &mut seen);
    poll_until(&[&one, &two, &three], &mut seen, |seen| seen.len() == 300);
    assert_eq!(committed(&node.kafka, "team"), vec![Offset::Offset(50); PARTITIONS as usize]);

    node = node.kill_and_restart();
    assert_eq!(committed(&node.kafka, "team"), vec![Offset::Offset(50); PARTITIONS as usize]);
    send(&node.kafka, 300, 360);
    drop(two);
    settle(&[&one, &three], 3, &mut seen);
    poll_until(&[&one, &three], &mut seen, |seen| seen.len() == 360);
    assert_eq!(committed(&node.kafka, "team"), vec![Offset::Offset(60); PARTITIONS as usize]);
    assert!(seen.values().all(|times| *times == 1), "committed records came twice: {seen:?}");
}

#[test]
fn three_members_share_the_work_through_a_rebalance_and_kill_9() {
    three_members_share_the_work("range");
}

#[test]
fn three_cooperative_members_share_the_work_through_a_rebalance_and_kill_9() {
    three_members_share_the_work("cooperative-sticky");
}
