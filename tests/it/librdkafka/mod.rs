//! A real foreign client, librdkafka, against a real broker process.

mod groups;
mod records;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::BorrowedMessage;
use rdkafka::producer::FutureProducer;
use std::time::Duration;

/// Generous: a loaded machine is slow, and a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(60);

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

fn config(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", brokers)
        .set("reconnect.backoff.max.ms", "500");
    config
}

fn producer(brokers: &str, settings: &[(&str, &str)]) -> FutureProducer {
    let mut config = config(brokers);
    config
        .set("enable.idempotence", "true")
        .set("message.timeout.ms", "60000");
    for (key, value) in settings {
        config.set(*key, *value);
    }
    config.create().expect("the producer's settings are valid")
}

fn create_topic(brokers: &str, name: &str, partitions: i32) {
    let admin: AdminClient<DefaultClientContext> =
        config(brokers).create().expect("an admin client");
    let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
    let results = runtime()
        .block_on(admin.create_topics(
            [&topic],
            &AdminOptions::new().request_timeout(Some(PATIENCE)),
        ))
        .expect("the request is answered");
    for result in results {
        assert_eq!(result.expect("the topic is made"), name);
    }
}

/// Polls until a message comes.
fn next(consumer: &BaseConsumer) -> BorrowedMessage<'_> {
    let message = consumer.poll(PATIENCE).expect("a message within a minute");
    message.expect("a message and no error")
}

/// What the broker says of a partition: first offset and end.
fn watermarks(consumer: &BaseConsumer, topic: &str, partition: i32) -> (i64, i64) {
    consumer
        .fetch_watermarks(topic, partition, PATIENCE)
        .expect("watermarks")
}
