//! A recorded reader goes on where it was: one that passes over records or gives them again is found out by the judges, and no fault
//! lets them accuse one that does neither.

use super::*;
use crate::fault::FaultKind;
use crate::run::Failure;
use std::collections::BTreeSet;
use taffrail_env::Clock;

const ALL: u32 = 30;
/// How often readers among faults are started.
const LIVES: usize = 4;

fn orders(partition: i32) -> TopicPartitionName {
    TopicPartitionName::new("orders", partition)
}

fn options(offset_reset: OffsetReset) -> ConsumerOptions {
    ConsumerOptions {
        offset_reset,
        poll_records_max: 3,
        ..ConsumerOptions::default()
    }
}

/// What a reader with this policy is found to do that reads a part of partition 0, then is led `astray`, and reads on.
fn found(
    policy: OffsetReset,
    astray: impl AsyncFnOnce(&RecordedConsumer) + Send + 'static,
) -> Option<Failure> {
    let outcome = run(move |world| async move {
        let cluster = started(&world).await;
        assert_eq!(
            writer(&cluster, "writer", ALL).join().await,
            Some(ALL),
            "nothing is broken"
        );
        let reader = cluster.client("reader", move |node| async move {
            let consumer = node.consumer(options(policy));
            consumer.assign(&[(orders(0), StartAt::Earliest)]);
            let mut read = 0;
            while read < 4 {
                read += poll(&consumer).await;
            }
            astray(&consumer).await;
            while poll(&consumer).await > 0 {}
        });
        reader.join().await;
        world.sleep(Duration::from_secs(1)).await;
    });
    outcome.failure
}

async fn poll(consumer: &RecordedConsumer) -> usize {
    let records = consumer.poll(Duration::from_secs(1)).await;
    records.expect("nothing is broken").len()
}

const POLICIES: [OffsetReset; 3] = [
    OffsetReset::Earliest,
    OffsetReset::Latest,
    OffsetReset::Error,
];

#[test]
fn a_reader_that_passes_over_records_is_found_out() {
    for policy in POLICIES {
        let swallows = found(policy, async |consumer| {
            let swallowed = consumer.unrecorded().poll(Duration::from_secs(1)).await;
            assert_eq!(swallowed.expect("nothing is broken").len(), 3);
        });
        let skips = found(policy, async |consumer| {
            let on = StartAt::Offset(9);
            consumer.unrecorded().seek(&orders(0), on);
        });
        for failure in [swallows, skips] {
            let failure = failure.expect("records are left out");
            assert_eq!(failure.invariant, "POLL-SKIP", "{policy:?}: {failure}");
        }
    }
}

#[test]
fn a_reader_that_is_given_records_again_is_found_out() {
    for policy in POLICIES {
        let failure = found(policy, async |consumer| {
            let back = StartAt::Offset(1);
            consumer.unrecorded().seek(&orders(0), back);
        });
        let failure = failure.expect("records are given twice");
        assert_eq!(
            failure.invariant, "NONMONOTONIC-POLL",
            "{policy:?}: {failure}"
        );
    }
}

#[test]
fn the_first_records_may_not_be_left_out_either() {
    let outcome = run(|world| async move {
        let cluster = started(&world).await;
        writer(&cluster, "writer", ALL).join().await;
        let reader = cluster.client("reader", |node| async move {
            let consumer = node.consumer(options(OffsetReset::Earliest));
            consumer.assign(&[(orders(0), StartAt::Earliest)]);
            let swallowed = consumer.unrecorded().poll(Duration::from_secs(1)).await;
            assert_eq!(swallowed.expect("nothing is broken").len(), 3);
            poll(&consumer).await;
        });
        reader.join().await;
    });
    let failure = outcome.failure.expect("the first three are left out");
    assert_eq!(failure.invariant, "POLL-SKIP", "{failure}");
}

#[test]
fn a_reader_that_says_so_may_go_anywhere() {
    for policy in POLICIES {
        let failure = found(policy, async |consumer| {
            for start in [
                StartAt::Offset(9),
                StartAt::Offset(1),
                StartAt::Latest,
                StartAt::Earliest,
                StartAt::Timestamp(0),
            ] {
                consumer.seek(&orders(0), start);
                poll(consumer).await;
            }
            // Not in the log: the policy says where to go on, or that it is so.
            consumer.seek(&orders(0), StartAt::Offset(1_000));
            let answer = consumer.poll(Duration::from_secs(1)).await;
            assert_eq!(
                answer.is_err(),
                consumer.unrecorded().position(&orders(0)) == Some(1_000)
            );
            consumer.assign(&[(orders(1), StartAt::Offset(2))]);
            poll(consumer).await;
            consumer.assign(&[(orders(0), StartAt::Offset(1))]);
        });
        assert_eq!(failure, None, "{policy:?}");
    }
}

/// What may go wrong while readers read.
const MENU: &[(FaultKind, u32)] = &[
    (FaultKind::NetReset, 10_000),
    (FaultKind::NetCut, 20_000),
    (FaultKind::NetHalfOpen, 300_000),
    (FaultKind::NetSplit, 300_000),
    (FaultKind::NodeKill, 100_000),
    (FaultKind::NodePowerCut, 60_000),
    (FaultKind::NodePause, 20_000),
    (FaultKind::ClockStep, 20_000),
    (FaultKind::DiskSyncFailed, 1_000),
];

/// Reads both partitions for as long as it lives, each of its lives by another policy.
fn reader(cluster: &Cluster, node: NodeId, life: usize) -> Running<()> {
    cluster.client_on(node, move |node| async move {
        let consumer = node.consumer(options(POLICIES[life % POLICIES.len()]));
        let start = [StartAt::Earliest, StartAt::Offset(2), StartAt::Latest][life % 3];
        consumer.assign(&[(orders(0), start), (orders(1), start)]);
        loop {
            // A policy may be to say that an offset is not in the log.
            if consumer.poll(Duration::from_millis(300)).await.is_err() {
                consumer.seek(&orders(0), StartAt::Earliest);
                consumer.seek(&orders(1), StartAt::Earliest);
            }
        }
    })
}

/// Reads as a member of a group, and leaves it after so many polls.
fn member(cluster: &Cluster, name: String, polls: u32, commits: bool) -> Running<()> {
    cluster.client(&name, move |node| async move {
        let consumer = node.consumer(ConsumerOptions {
            group: Some("shop".to_owned()),
            auto_commit_interval: commits.then_some(Duration::from_millis(200)),
            session_timeout: Duration::from_secs(1),
            heartbeat_interval: Duration::from_millis(200),
            ..options(OffsetReset::Earliest)
        });
        consumer.subscribe(&["orders".to_owned()]);
        for _ in 0..polls {
            let _it_goes_on = consumer.poll(Duration::from_millis(200)).await;
        }
        let _it_is_gone = consumer.close().await;
    })
}

/// Readers and members come, die and are cut off while records are written, the broker dies, and the topic is made anew.
async fn readers_among_faults(world: World) {
    let cluster = started(&world).await;
    let nodes = ["one", "two", "three"].map(|name| world.add_node(NodeOptions::named(name)));
    for life in 0..LIVES {
        let readers = nodes.map(|node| reader(&cluster, node, life + node.number() as usize));
        let _first = member(&cluster, format!("first-{life}"), 12, life % 2 == 0);
        let _second = member(&cluster, format!("second-{life}"), 30, true);
        let written = writer(&cluster, &format!("writer-{life}"), 25);
        cluster.rage(Duration::from_secs(3)).await;
        world.partition(&cluster.brokers(), &[readers[0].node]);
        if life % 2 == 0 {
            cluster.kill(cluster.brokers()[0]);
        }
        if life + 1 == LIVES {
            cluster.heal();
        }
        world.heal_links();
        cluster.boot(cluster.brokers()[0]).await;
        written.join().await;
        if life % 2 == 1 {
            // Whatever comes of it, readers go on with what bears the name.
            let _deleted = cluster.delete_topic("orders").await;
            let _made = cluster.create_topic("orders", 2, &[]).await;
            writer(&cluster, &format!("after-{life}"), 10).join().await;
        }
        for reader in &readers {
            world.kill(reader.node);
        }
    }
    cluster.account().await;
}

#[test]
fn no_fault_lets_judges_accuse_a_reader_that_goes_on() {
    let mut struck = BTreeSet::new();
    for seed in 0..12 {
        let simulation = Simulation::new("readers", seed).with_menu(MENU);
        let outcome = simulation.run(readers_among_faults);
        assert_eq!(outcome.failure, None, "{}", outcome.name);
        let injected = outcome.faults.iter().filter(|count| count.injected > 0);
        struck.extend(injected.map(|count| count.kind.name()));
    }
    assert!(struck.len() > 5, "{struck:?}");
}

#[test]
fn a_reader_may_lose_what_retention_takes() {
    let outcome = run(|world| async move {
        let cluster = Cluster::start(&world, ClusterOptions::default()).await;
        let configs = [("retention.bytes", "1000"), ("segment.bytes", "4096")];
        let made = cluster.create_topic("orders", 2, &configs).await;
        made.expect("nothing is broken");
        let reader = cluster.client("reader", |node| async move {
            let consumer = node.consumer(options(OffsetReset::Earliest));
            consumer.assign(&[(orders(0), StartAt::Earliest)]);
            for _ in 0..8 {
                poll(&consumer).await;
                node.env.sleep(Duration::from_secs(10)).await;
            }
            consumer
                .unrecorded()
                .position(&orders(0))
                .expect("it reads")
        });
        writer(&cluster, "writer", 600).join().await;
        let reached = reader.join().await.expect("nobody killed it");
        assert!(
            reached > 8 * 3,
            "it passed over nothing and came to {reached}"
        );
    });
    outcome.expect_ok();
}
