//! What can be seen of a node from outside: figures for operators, offsets and budgets for observers.

use taffrail_env::Env;
use taffrail_record::{Offset, TopicPartition};
use taffrail_storage::{Health, Identity, Usage};

use super::Node;
use crate::controller::METADATA_LOG;
use crate::metrics::{MetricKind, MetricsSnapshot};

/// What an observer sees of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionView {
    pub topic: String,
    pub partition: taffrail_record::TopicPartition,
    pub log_start_offset: Offset,
    pub last_stable_offset: Offset,
    pub high_watermark: Offset,
    pub log_end_offset: Offset,
    /// As in DescribeLogDirs: what lies in segments and what is in none yet. Of the same instant as the offsets.
    pub size_bytes: u64,
}

/// What an observer sees of a node. Nothing in it can be changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Inspection {
    pub partitions: Vec<PartitionView>,
    /// Partitions of topics that have no log here that answers.
    pub partitions_missing: usize,
    /// Bytes of the memory budget that are reserved; 0 when the node is idle.
    pub budget_used: usize,
    pub budget_total: usize,
    /// Requests that wait for memory.
    pub budget_waiting: usize,
    /// Long polls that wait in the logs of topics, those included whose client is gone and which nobody has noticed yet; 0 soon
    /// after the node has become idle.
    pub waiting_reads: usize,
    pub connections: usize,
    pub connections_max: usize,
    /// The most requests that one connection ever had under way.
    pub in_flight_peak: usize,
    pub fetch_sessions: usize,
    pub fetch_sessions_max: usize,
    pub fetch_session_partitions: usize,
    /// Metadata commands applied since the start, those read from the log included.
    pub metadata_commands: u64,
    /// The metadata that the node goes by is exact to this offset of its log.
    pub metadata_position: Offset,
    /// How far the metadata's log had committed after that; a storage that has stopped does not say.
    pub metadata_committed: Option<Offset>,
    /// Topics that were deleted, and whose data is not all removed.
    pub deleted_topics: usize,
    /// Topics that are gone, and of which groups have offsets still.
    pub topics_outlived: usize,
    /// Partitions of groups that are still being read.
    pub group_partitions_loading: usize,
    /// Requests in each other shard's mailbox.
    pub shard_queues: Vec<usize>,
    pub health: Health,
    pub identity: Identity,
}

impl<E: Env> Node<E> {
    /// The figures of all shards.
    pub async fn metrics(&self) -> MetricsSnapshot {
        let broker = &self.broker;
        let mut snapshot = MetricsSnapshot::default();
        broker.counters.write(&mut snapshot);
        let mut gauge = |name, help, value| {
            snapshot.push(MetricKind::Gauge, name, help, Vec::new(), value);
        };
        let connections = broker.admission.borrow().open() as u64;
        gauge("taffrail_connections", "Connections open.", connections);
        let sessions = broker.sessions.borrow().len() as u64;
        gauge(
            "taffrail_fetch_sessions",
            "Incremental fetch sessions kept.",
            sessions,
        );
        gauge(
            "taffrail_memory_budget_bytes",
            "The memory that clients can make the node take.",
            broker.budget.total() as u64,
        );
        gauge(
            "taffrail_memory_reserved_bytes",
            "What is reserved of the memory budget.",
            broker.budget.used() as u64,
        );
        gauge(
            "taffrail_group_bytes",
            "What groups and their committed offsets take.",
            broker.groups.bytes() as u64,
        );
        gauge(
            "taffrail_group_partitions_loading",
            "Partitions of groups that are being read.",
            broker.groups.loading() as u64,
        );
        {
            let metadata = broker.controller.metadata();
            gauge(
                "taffrail_topics",
                "Topics.",
                metadata.topics().count() as u64,
            );
            gauge(
                "taffrail_partitions",
                "Partitions of all topics.",
                metadata.partition_count() as u64,
            );
        }
        let serves = u64::from(self.health() == Health::Serving);
        gauge(
            "taffrail_healthy",
            "1 while the storage takes writes.",
            serves,
        );
        snapshot.push(
            MetricKind::Counter,
            "taffrail_group_partition_reloads_total",
            "Times that groups were read again because what they had to write was not taken.",
            Vec::new(),
            broker.groups.reloads(),
        );
        for (shard, usage) in broker.router.usage().await.into_iter().enumerate() {
            write_usage(&mut snapshot, shard, &usage);
        }
        snapshot.metrics.sort_by_key(|metric| metric.name);
        snapshot
    }

    /// What an observer sees.
    pub async fn inspect(&self) -> Inspection {
        let broker = &self.broker;
        let metadata_position = broker.controller.position();
        let names: Vec<(String, TopicPartition)> = {
            let metadata = broker.controller.metadata();
            let topics = metadata.topics();
            let partitions = topics.flat_map(|topic| {
                (0..topic.partitions.len() as i32).map(|partition| {
                    let id = TopicPartition {
                        topic: topic.id(),
                        partition,
                    };
                    (topic.name.clone(), id)
                })
            });
            partitions.collect()
        };
        let asked = names.iter().map(|(_, id)| (*id, 0)).collect();
        let ends = broker.router.ends(asked).await;
        let metadata = broker.router.ends_of(METADATA_LOG).await;
        let waiting_reads = ends.iter().flatten().map(|ends| ends.waiting_reads).sum();
        let partitions_missing = ends.iter().filter(|ends| ends.is_none()).count();
        let partitions = names.into_iter().zip(ends);
        let partitions = partitions.filter_map(|((topic, partition), ends)| {
            ends.map(|ends| PartitionView {
                topic,
                partition,
                log_start_offset: ends.log_start_offset,
                last_stable_offset: ends.last_stable_offset,
                high_watermark: ends.high_watermark,
                log_end_offset: ends.log_end_offset,
                size_bytes: ends.size_bytes,
            })
        });
        Inspection {
            partitions: partitions.collect(),
            partitions_missing,
            budget_used: broker.budget.used(),
            budget_total: broker.budget.total(),
            budget_waiting: broker.budget.waiting(),
            waiting_reads,
            connections: broker.admission.borrow().open(),
            connections_max: broker.admission.borrow().limits().connections_max,
            in_flight_peak: broker.in_flight_peak.get(),
            fetch_sessions: broker.sessions.borrow().len(),
            fetch_sessions_max: broker.sessions.borrow().slots_max(),
            fetch_session_partitions: broker.sessions.borrow().partitions(),
            metadata_commands: broker.controller.applied(),
            metadata_position,
            metadata_committed: metadata.map(|ends| ends.high_watermark),
            deleted_topics: broker.controller.metadata().deleted_count(),
            topics_outlived: broker.groups.topics_outlived(),
            group_partitions_loading: broker.groups.loading(),
            shard_queues: broker.router.queued(),
            health: self.health(),
            identity: broker.identity,
        }
    }
}

/// The storage's figures of one shard.
fn write_usage(snapshot: &mut MetricsSnapshot, shard: usize, usage: &Usage) {
    let mut gauge = |name, help, value: usize| {
        let label = vec![("shard", shard.to_string())];
        snapshot.push(MetricKind::Gauge, name, help, label, value as u64);
    };
    gauge("taffrail_logs", "Logs of partitions.", usage.logs);
    gauge(
        "taffrail_uncommitted_bytes",
        "Appends that wait for the journal.",
        usage.uncommitted_bytes,
    );
    gauge(
        "taffrail_unflushed_bytes",
        "Committed, and not yet in a segment.",
        usage.unflushed_bytes,
    );
    gauge(
        "taffrail_cached_bytes",
        "Kept in memory for readers of the tail.",
        usage.cached_bytes,
    );
    gauge(
        "taffrail_producers",
        "Idempotent producers remembered.",
        usage.producers,
    );
    gauge(
        "taffrail_open_files",
        "Open segment files.",
        usage.open_files,
    );
    gauge(
        "taffrail_corrupt_segments",
        "Segments in which something was found that was not written.",
        usage.corrupt_segments,
    );
}
