//! A cluster for strangers keeps its word to them: it breaks when told, comes back, and its judges hear what is recorded.

mod reading;

use super::*;
use crate::run::{Outcome, Simulation};
use taffrail_client::admin::{ConfigChange, ConfigResource};
use taffrail_client::{ConsumerOptions, OffsetReset, ProducerOptions, Record, StartAt};
use taffrail_env::{Connection, Env, Listener};

fn run<F: Future<Output = ()> + 'static>(story: impl FnOnce(World) -> F + Send) -> Outcome<()> {
    Simulation::new("testbed", 5).run(story)
}

async fn started(world: &World) -> Cluster {
    let cluster = Cluster::start(world, ClusterOptions::default()).await;
    let made = cluster.create_topic("orders", 2, &[]).await;
    made.expect("nothing is broken yet");
    cluster
}

/// Sends so many records, in turns to both partitions.
fn writer(cluster: &Cluster, name: &str, records: u32) -> Running<u32> {
    cluster.client(name, move |node| async move {
        let producer = node.producer(ProducerOptions::default());
        let mut acked = 0;
        for number in 0..records {
            let sent = producer.send("orders", None, Record::of_value(number.to_string()));
            let delivery = sent.await.expect("there is room");
            acked += u32::from(delivery.await.is_ok());
        }
        acked
    })
}

#[test]
fn brokers_stay_down_until_they_are_started() {
    let outcome = run(|world| async move {
        let cluster = started(&world).await;
        let broker = cluster.brokers()[0];
        for way in 0..3 {
            match way {
                0 => cluster.kill(broker),
                1 => cluster.power_cut(broker),
                _ => cluster.stop(broker).await.expect("it stops cleanly"),
            }
            world.sleep(Duration::from_secs(10)).await;
            assert!(!cluster.is_serving(broker), "way {way}");
            assert!(cluster.boot(broker).await, "way {way}");
        }
        assert_eq!(writer(&cluster, "writer", 6).join().await, Some(6));
        cluster.account().await;
    });
    outcome.expect_ok();
}

#[test]
fn everything_that_was_sent_is_read_by_consumers_and_by_groups() {
    let outcome = run(|world| async move {
        let cluster = started(&world).await;
        let sent = writer(&cluster, "writer", 20);
        let member = cluster.client("member", |node| async move {
            let consumer = node.consumer(ConsumerOptions {
                group: Some("shop".to_owned()),
                offset_reset: OffsetReset::Earliest,
                ..ConsumerOptions::default()
            });
            consumer.subscribe(&["orders".to_owned()]);
            let mut values = Vec::new();
            while values.len() < 20 {
                let records = consumer.poll(Duration::from_secs(1)).await;
                for record in records.expect("nothing is broken") {
                    assert_eq!(record.headers, [], "what judges need is not for readers");
                    values.push(record.value.expect("a value"));
                }
            }
            consumer.close().await.expect("it leaves");
            values
        });
        assert_eq!(sent.join().await, Some(20));
        let mut values = member.join().await.expect("it reads");
        values.sort();
        values.dedup();
        assert_eq!(values.len(), 20);
        cluster.account().await;
    });
    outcome.expect_ok();
}

#[test]
fn what_was_acknowledged_and_is_gone_fails_the_run() {
    let outcome = run(|world| async move {
        let cluster = started(&world).await;
        writer(&cluster, "writer", 4).join().await;
        // Behind the judges' back.
        let deleted = cluster.operate(async |admin| {
            admin
                .delete_records(&TopicPartitionName::new("orders", 0), Some(1))
                .await
                .map(|_| ())
        });
        deleted.await.expect("nothing is broken");
        cluster.account().await;
    });
    let failure = outcome.failure.expect("a record is gone");
    assert_eq!(failure.invariant, "ACKED-DURABLE", "{failure}");
}

#[test]
fn what_nobody_recorded_fails_the_run() {
    let outcome = run(|world| async move {
        let cluster = started(&world).await;
        let stranger = cluster.client("stranger", |node| async move {
            let producer = taffrail_client::Producer::new(&node.client, ProducerOptions::default());
            let sent = producer.send("orders", Some(0), Record::of_value("unheard of"));
            let delivery = sent.await.expect("there is room");
            delivery.await.expect("nothing is broken");
            let consumer = node.consumer(ConsumerOptions::default());
            consumer.assign(&[(TopicPartitionName::new("orders", 0), StartAt::Offset(0))]);
            while consumer
                .poll(Duration::from_secs(1))
                .await
                .is_ok_and(|records| records.is_empty())
            {}
        });
        stranger.join().await;
        world.sleep(Duration::from_secs(1)).await;
    });
    let failure = outcome.failure.expect("a record that nobody sent");
    assert_eq!(failure.invariant, "NO-SILENT-CORRUPTION", "{failure}");
}

#[test]
fn a_deleted_topic_is_not_asked_for_any_more() {
    let outcome = run(|world| async move {
        let cluster = started(&world).await;
        writer(&cluster, "first", 4).join().await;
        let deleted = cluster.delete_topic("orders").await;
        deleted.expect("nothing is broken");
        let made = cluster.create_topic("orders", 1, &[]).await;
        made.expect("nothing is broken");
        assert_eq!(writer(&cluster, "second", 3).join().await, Some(3));
        cluster.account().await;
    });
    outcome.expect_ok();
}

/// Answers every byte with a random one.
async fn dice<E: Env>(env: E) {
    let listener = env.listen("0.0.0.0:7000").await.expect("the port is free");
    while let Ok(connection) = listener.accept().await {
        let answer = env.random_u64("dice").to_be_bytes().to_vec();
        let _peer_may_be_gone = connection.write(vec![answer.into()]).await;
    }
}

#[test]
fn a_program_of_ones_own_runs_beside_the_cluster() {
    let outcome = run(|world| async move {
        let cluster = started(&world).await;
        let mine = world.add_node(NodeOptions::named("mine"));
        world.start(mine, dice);
        let player = cluster.client("player", |node| async move {
            use taffrail_env::Net;
            let connection = node.env.connect("mine:7000").await.expect("it listens");
            let mut buffer = bytes::BytesMut::new();
            while buffer.len() < 8 {
                let read = connection.read(&mut buffer, 8).await;
                assert_ne!(read.expect("it answers"), 0);
            }
            let producer = node.producer(ProducerOptions::default());
            let sent = producer.send("orders", None, Record::of_value(buffer.freeze()));
            sent.await.expect("there is room").await.is_ok()
        });
        assert_eq!(player.join().await, Some(true));
    });
    outcome.expect_ok();
}

/// Sets a lag of the topic's compaction. Whether that was allowed.
fn set_lag(cluster: &Cluster, topic: &str, key: &str, value: &str) -> Running<bool> {
    let resource = ConfigResource::Topic(topic.to_owned());
    let change = ConfigChange::Set(key.to_owned(), value.to_owned());
    cluster.client(&format!("{topic} {key}"), move |node| async move {
        let admin = node.admin();
        let altered = admin.alter_configs(&resource, &[change], false).await;
        altered.is_ok()
    })
}

#[test]
fn settings_that_are_changed_at_once_are_judged_together() {
    let outcome = run(|world| async move {
        let cluster = started(&world).await;
        for number in 0..10 {
            let topic = format!("topic-{number}");
            let made = cluster.create_topic(&topic, 1, &[]).await;
            made.expect("nothing is broken");
            let least = set_lag(&cluster, &topic, "min.compaction.lag.ms", "10");
            let most = set_lag(&cluster, &topic, "max.compaction.lag.ms", "5");
            let both = (least.join().await, most.join().await);
            assert_ne!(both, (Some(true), Some(true)), "10 is more than 5");
            assert_ne!(both, (Some(false), Some(false)), "one of them may be set");
        }
        cluster.account().await;
    });
    outcome.expect_ok();
}
