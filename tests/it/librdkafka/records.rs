//! Records: that what is read is what was written, in every codec, with headers, timestamps and nulls.

use super::{PATIENCE, config, create_topic, next, producer, runtime, watermarks};
use crate::node::{Node, Scratch};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Header, Headers, Message, OwnedHeaders, Timestamp};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{Offset, TopicPartitionList};

fn assigned(brokers: &str, topic: &str, partition: i32, offset: Offset) -> BaseConsumer {
    let consumer: BaseConsumer = config(brokers)
        .set("group.id", "reader")
        .set("enable.auto.commit", "false")
        .set("check.crcs", "true")
        .create()
        .expect("a consumer");
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, offset)
        .expect("a valid offset");
    consumer.assign(&list).expect("assigned");
    consumer
}

/// Sends records numbered from `first` and answers their offsets.
fn send_numbered(producer: &FutureProducer, topic: &str, first: usize, count: usize) -> Vec<i64> {
    runtime().block_on(async {
        let mut waiting = Vec::new();
        for number in first..first + count {
            let (key, value) = (format!("key-{number}"), "v".repeat(number % 700));
            let headers = OwnedHeaders::new()
                .insert(Header {
                    key: "number",
                    value: Some(&number.to_string()),
                })
                .insert(Header {
                    key: "null",
                    value: None::<&str>,
                });
            let record = FutureRecord::to(topic)
                .partition(0)
                .key(&key)
                .payload(&value)
                .headers(headers)
                .timestamp(1_700_000_000_000 + number as i64 * 1000);
            waiting.push(
                producer
                    .send_result(record)
                    .unwrap_or_else(|(error, _)| panic!("queued: {error}")),
            );
        }
        let mut offsets = Vec::new();
        for delivery in waiting {
            let delivered = delivery
                .await
                .expect("not cancelled")
                .unwrap_or_else(|(error, _)| panic!("acknowledged: {error}"));
            offsets.push(delivered.offset);
        }
        offsets
    })
}

fn assert_numbered(consumer: &BaseConsumer, from: usize, to: usize) {
    for number in from..to {
        let message = next(consumer);
        assert_eq!(message.offset(), number as i64);
        assert_eq!(message.key(), Some(format!("key-{number}").as_bytes()));
        assert_eq!(
            message.payload().unwrap_or_default(),
            "v".repeat(number % 700).as_bytes()
        );
        assert_eq!(
            message.timestamp(),
            Timestamp::CreateTime(1_700_000_000_000 + number as i64 * 1000)
        );
        let headers = message.headers().expect("two headers");
        assert_eq!(headers.count(), 2);
        assert_eq!(headers.get(0).value, Some(number.to_string().as_bytes()));
        assert_eq!((headers.get(1).key, headers.get(1).value), ("null", None));
    }
}

#[test]
fn every_codec_comes_back_as_it_was_sent_also_after_kill_9() {
    let scratch = Scratch::new("codecs");
    let mut node = Node::start(scratch.path());
    let codecs = ["none", "gzip", "snappy", "lz4", "zstd"];
    for codec in codecs {
        create_topic(&node.kafka, codec, 1);
        let producer = producer(
            &node.kafka,
            &[("compression.codec", codec), ("linger.ms", "20")],
        );
        let offsets = send_numbered(&producer, codec, 0, 1500);
        assert_eq!(offsets, (0..1500).collect::<Vec<i64>>());
    }
    for codec in codecs {
        assert_numbered(&assigned(&node.kafka, codec, 0, Offset::Beginning), 0, 1500);
    }
    node = node.kill_and_restart();
    for codec in codecs {
        let consumer = assigned(&node.kafka, codec, 0, Offset::Offset(700));
        assert_numbered(&consumer, 700, 1500);
        assert_eq!(watermarks(&consumer, codec, 0), (0, 1500));
    }
    assert!(node.stop().success());
}

#[test]
fn an_idempotent_producer_writes_nothing_twice_across_kills() {
    let scratch = Scratch::new("idempotent");
    let mut node = Node::start(scratch.path());
    create_topic(&node.kafka, "numbers", 1);
    let producer = producer(
        &node.kafka,
        &[("linger.ms", "1"), ("batch.num.messages", "20")],
    );
    let mut first = 0;
    for _ in 0..3 {
        let sender = {
            let producer = producer.clone();
            std::thread::spawn(move || send_numbered(&producer, "numbers", first, 1000))
        };
        node = node.kill_and_restart();
        let offsets = sender.join().expect("everything is acknowledged");
        assert_eq!(
            offsets,
            (first as i64..first as i64 + 1000).collect::<Vec<i64>>()
        );
        first += 1000;
    }
    let consumer = assigned(&node.kafka, "numbers", 0, Offset::Beginning);
    assert_numbered(&consumer, 0, 3000);
    assert_eq!(watermarks(&consumer, "numbers", 0), (0, 3000));
}

#[test]
fn offsets_are_found_by_time() {
    let scratch = Scratch::new("times");
    let node = Node::start(scratch.path());
    create_topic(&node.kafka, "times", 1);
    let producer = producer(&node.kafka, &[("batch.num.messages", "7")]);
    send_numbered(&producer, "times", 0, 500);
    let consumer = assigned(&node.kafka, "times", 0, Offset::Beginning);
    let find = |timestamp: i64| {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset("times", 0, Offset::Offset(timestamp))
            .expect("a valid timestamp");
        let found = consumer
            .offsets_for_times(list, PATIENCE)
            .expect("the request is answered");
        found
            .find_partition("times", 0)
            .expect("the partition")
            .offset()
    };
    assert_eq!(find(0), Offset::Offset(0));
    assert_eq!(find(1_700_000_000_000), Offset::Offset(0));
    assert_eq!(find(1_700_000_000_001), Offset::Offset(1));
    assert_eq!(find(1_700_000_123_000), Offset::Offset(123));
    assert_eq!(find(1_700_000_499_000), Offset::Offset(499));
    assert_eq!(find(1_700_000_499_001), Offset::End);
}

#[test]
fn a_null_key_and_a_null_value_are_not_empty_ones() {
    let scratch = Scratch::new("nulls");
    let node = Node::start(scratch.path());
    create_topic(&node.kafka, "nulls", 1);
    let producer = producer(&node.kafka, &[]);
    runtime().block_on(async {
        let null: FutureRecord<'_, str, str> = FutureRecord::to("nulls").partition(0);
        producer.send(null, PATIENCE).await.expect("acknowledged");
        let empty = FutureRecord::to("nulls").partition(0).key("").payload("");
        producer.send(empty, PATIENCE).await.expect("acknowledged");
    });
    let consumer = assigned(&node.kafka, "nulls", 0, Offset::Beginning);
    let null = next(&consumer);
    assert_eq!((null.key(), null.payload()), (None, None));
    let empty = next(&consumer);
    assert_eq!(
        (empty.key(), empty.payload()),
        (Some(&b""[..]), Some(&b""[..]))
    );
}
