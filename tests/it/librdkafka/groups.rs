//! Consumer groups: three members with a rebalance in the middle, and committed offsets that outlive the broker.

use super::{PATIENCE, config, create_topic, producer, runtime};
use crate::node::{Node, Scratch};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::producer::FutureRecord;
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeSet;
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
            let record = FutureRecord::<str, str>::to("work")
                .partition(number as i32 % PARTITIONS)
                .payload(&value);
            producer.send(record, PATIENCE).await.expect("acknowledged");
        }
    });
}

/// What the members have read, and what the broker has acknowledged as committed.
#[derive(Default)]
struct Progress {
    numbers: BTreeSet<usize>,
    committed: [i64; PARTITIONS as usize],
}

/// Commits one message. A member that a rebalance has overtaken is refused, and its record comes again.
fn commit(member: &BaseConsumer, message: &BorrowedMessage<'_>) -> bool {
    match member.commit_message(message, CommitMode::Sync) {
        Ok(()) => true,
        Err(KafkaError::ConsumerCommit(
            RDKafkaErrorCode::IllegalGeneration
            | RDKafkaErrorCode::RebalanceInProgress
            | RDKafkaErrorCode::UnknownMemberId,
        )) => false,
        Err(error) => panic!("committed: {error}"),
    }
}

/// Polls the members in turn, committing what each returns, until `done`.
fn poll_until(
    members: &[&BaseConsumer],
    progress: &mut Progress,
    done: impl Fn(&Progress) -> bool,
) {
    let start = Instant::now();
    while !done(progress) {
        assert!(
            start.elapsed() < PATIENCE,
            "only {} records came, {:?} are committed",
            progress.numbers.len(),
            progress.committed
        );
        for member in members {
            let message = match member.poll(Duration::from_millis(20)) {
                None => continue,
                // What a killed broker leaves behind; the client connects again by itself.
                Some(Err(KafkaError::MessageConsumption(
                    RDKafkaErrorCode::AllBrokersDown | RDKafkaErrorCode::BrokerTransportFailure,
                ))) => continue,
                Some(message) => message.expect("no error"),
            };
            let number: usize = std::str::from_utf8(message.payload().expect("a value"))
                .expect("text")
                .parse()
                .expect("a number");
            let partition = message.partition() as usize;
            assert_eq!(
                (message.offset(), partition as i32),
                (
                    (number / PARTITIONS as usize) as i64,
                    number as i32 % PARTITIONS
                )
            );
            assert!(
                message.offset() >= progress.committed[partition],
                "{number} came again after it was committed"
            );
            progress.numbers.insert(number);
            if commit(member, &message) {
                progress.committed[partition] = message.offset() + 1;
            }
        }
    }
}

/// Polls until each member owns `share` partitions.
fn settle(members: &[&BaseConsumer], share: usize, progress: &mut Progress) {
    let start = Instant::now();
    loop {
        let shares: Vec<usize> = members
            .iter()
            .map(|m| m.assignment().expect("an assignment").count())
            .collect();
        if shares.iter().all(|owned| *owned == share) {
            return;
        }
        assert!(
            start.elapsed() < PATIENCE,
            "the members own {shares:?}, wanted {share} each"
        );
        let before = Instant::now();
        poll_until(members, progress, |_| {
            before.elapsed() > Duration::from_millis(200)
        });
    }
}

fn committed(brokers: &str, group: &str) -> Vec<Offset> {
    let consumer: BaseConsumer = config(brokers)
        .set("group.id", group)
        .create()
        .expect("a consumer");
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition("work", partition);
    }
    let found = consumer
        .committed_offsets(list, PATIENCE)
        .expect("the request is answered");
    found
        .elements()
        .iter()
        .map(|element| element.offset())
        .collect()
}

fn three_members_share_the_work(strategy: &str) {
    let scratch = Scratch::new("group");
    let mut node = Node::start_with(
        scratch.path(),
        &["--set", "group.initial.rebalance.delay.ms=200"],
    );
    create_topic(&node.kafka, "work", PARTITIONS);
    send(&node.kafka, 0, 300);
    let mut progress = Progress::default();

    let (one, two) = (
        member(&node.kafka, "team", strategy),
        member(&node.kafka, "team", strategy),
    );
    settle(&[&one, &two], 3, &mut progress);
    let three = member(&node.kafka, "team", strategy);
    settle(&[&one, &two, &three], 2, &mut progress);
    poll_until(&[&one, &two, &three], &mut progress, |progress| {
        progress.committed == [50; PARTITIONS as usize]
    });
    assert_eq!(
        committed(&node.kafka, "team"),
        vec![Offset::Offset(50); PARTITIONS as usize]
    );

    node = node.kill_and_restart();
    assert_eq!(
        committed(&node.kafka, "team"),
        vec![Offset::Offset(50); PARTITIONS as usize]
    );
    send(&node.kafka, 300, 360);
    drop(two);
    settle(&[&one, &three], 3, &mut progress);
    poll_until(&[&one, &three], &mut progress, |progress| {
        progress.committed == [60; PARTITIONS as usize]
    });
    assert_eq!(
        committed(&node.kafka, "team"),
        vec![Offset::Offset(60); PARTITIONS as usize]
    );
    assert_eq!(progress.numbers, (0..360).collect());
}

#[test]
fn three_members_share_the_work_through_a_rebalance_and_kill_9() {
    three_members_share_the_work("range");
}

#[test]
fn three_cooperative_members_share_the_work_through_a_rebalance_and_kill_9() {
    three_members_share_the_work("cooperative-sticky");
}
