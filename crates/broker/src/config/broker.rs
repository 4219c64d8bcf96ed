//! The configuration of a broker under Kafka's names: what this node honours.
//!
//! Addresses, directories and the node's number are options of the start (`NodeConfig`), not settings; the
//! server maps Kafka's keys for them. Defaults differ from Kafka's where Kafka has no bound and
//! this node must have one.

use super::definition::{Rule, Scope, settings};
use super::topic::{CleanupPolicy, CompressionType, NO_COMPACTION, TimestampType};

const MAX: f64 = f64::INFINITY;
const AT_LEAST_0: Rule = Rule::Range(0.0, MAX);
const AT_LEAST_1: Rule = Rule::Range(1.0, MAX);
const AT_LEAST_MINUS_1: Rule = Rule::Range(-1.0, MAX);

settings! {
    /// The effective configuration of a broker.
    pub struct BrokerSettings {
        auto_create_topics: Option<bool> = None, "auto.create.topics.enable", None, Rule::Any, Scope::Static,
            "Whether a topic is created when a client first asks for it. If not set: while every listener is on loopback.";
        compression_gzip_level: i32 = -1, "compression.gzip.level", None,
            Rule::Only(&["-1", "1", "2", "3", "4", "5", "6", "7", "8", "9"], "gzip has levels 1 to 9, and -1 for its own default"), Scope::Dynamic,
            "Level when a topic's compression.type is gzip; -1 is the codec's own default.";
        compression_lz4_level: i32 = 9, "compression.lz4.level", None, Rule::Only(&["9"], "the lz4 encoder here has one level; leave it out"), Scope::Dynamic,
            "Level when a topic's compression.type is lz4. The encoder here has one level only.";
        compression_type: CompressionType = CompressionType::Producer, "compression.type", None, Rule::Any, Scope::Dynamic,
            "Codec of stored batches in topics that do not say otherwise.";
        compression_zstd_level: i32 = 3, "compression.zstd.level", None, Rule::Range(-131072.0, 22.0), Scope::Dynamic,
            "Level when a topic's compression.type is zstd.";
        connections_max_idle_ms: i64 = 600_000, "connections.max.idle.ms", Milliseconds, AT_LEAST_1, Scope::Static,
            "Time without a request after which a connection is closed.";
        default_replication_factor: i32 = 1, "default.replication.factor", None, Rule::Range(1.0, 32_767.0), Scope::Static,
            "Replicas of topics that are created without a number. Creating such a topic fails while there are fewer brokers.";
        delete_topic: bool = true, "delete.topic.enable", None, Rule::Any, Scope::Static,
            "Whether topics may be deleted.";
        fetch_max_bytes: i32 = 57_671_680, "fetch.max.bytes", Bytes, Rule::Range(1024.0, MAX), Scope::Static,
            "Most bytes that one fetch returns, whatever the client asks for.";
        group_initial_rebalance_delay_ms: i32 = 3_000, "group.initial.rebalance.delay.ms", Milliseconds, AT_LEAST_0, Scope::Static,
            "How long the first rebalance of an empty group waits for more members.";
        group_max_session_timeout_ms: i32 = 1_800_000, "group.max.session.timeout.ms", Milliseconds, AT_LEAST_1, Scope::Static,
            "Longest session timeout that a group member may ask for.";
        group_max_size: i32 = 10_000, "group.max.size", None, AT_LEAST_1, Scope::Static,
            "Most members of a group.";
        group_min_session_timeout_ms: i32 = 6_000, "group.min.session.timeout.ms", Milliseconds, AT_LEAST_1, Scope::Static,
            "Shortest session timeout that a group member may ask for.";
        log_cleaner_delete_retention_ms: i64 = 86_400_000, "log.cleaner.delete.retention.ms", Milliseconds, AT_LEAST_0, Scope::Dynamic,
            "How long tombstones stay readable in compacted topics that do not say otherwise.";
        log_cleaner_max_compaction_lag_ms: i64 = i64::MAX, "log.cleaner.max.compaction.lag.ms", Milliseconds, AT_LEAST_1, Scope::Dynamic,
            "Longest time a record stays uncompacted in compacted topics that do not say otherwise.";
        log_cleaner_min_cleanable_ratio: f64 = 0.5, "log.cleaner.min.cleanable.ratio", None, Rule::Range(0.0, 1.0), Scope::Dynamic,
            "Share of uncompacted bytes at which compacted topics that do not say otherwise are cleaned.";
        log_cleaner_min_compaction_lag_ms: i64 = 0, "log.cleaner.min.compaction.lag.ms", Milliseconds, AT_LEAST_0, Scope::Dynamic,
            "Shortest time a record stays uncompacted in compacted topics that do not say otherwise.";
        log_cleanup_policy: CleanupPolicy = CleanupPolicy { delete: true, compact: false }, "log.cleanup.policy", None,
            Rule::Only(&["delete", ""], NO_COMPACTION), Scope::Dynamic,
            "What removes old records in topics that do not say otherwise.";
        log_flush_interval_messages: i64 = i64::MAX, "log.flush.interval.messages", Messages, AT_LEAST_1, Scope::Dynamic,
            "Records after which Kafka forces a sync. Here every acknowledged record is already synced, so any value holds.";
        log_flush_interval_ms: Option<i64> = None, "log.flush.interval.ms", Milliseconds, AT_LEAST_0, Scope::Dynamic,
            "Time after which Kafka forces a sync. Here every acknowledged record is already synced, so any value holds.";
        log_index_interval_bytes: i32 = 4096, "log.index.interval.bytes", Bytes, AT_LEAST_0, Scope::Dynamic,
            "Log bytes between two entries of the offset index in topics that do not say otherwise.";
        log_index_size_max_bytes: i32 = 10_485_760, "log.index.size.max.bytes", Bytes, Rule::Range(4.0, MAX), Scope::Dynamic,
            "Largest offset index of a segment in topics that do not say otherwise.";
        log_timestamp_after_max_ms: i64 = 3_600_000, "log.message.timestamp.after.max.ms", Milliseconds, AT_LEAST_0, Scope::Dynamic,
            "How far a record's timestamp may lie after the broker's time in topics that do not say otherwise.";
        log_timestamp_before_max_ms: i64 = i64::MAX, "log.message.timestamp.before.max.ms", Milliseconds, AT_LEAST_0, Scope::Dynamic,
            "How far a record's timestamp may lie before the broker's time in topics that do not say otherwise.";
        log_timestamp_type: TimestampType = TimestampType::CreateTime, "log.message.timestamp.type", None, Rule::Any, Scope::Dynamic,
            "Whose time a record carries in topics that do not say otherwise.";
        log_preallocate: bool = false, "log.preallocate", None, Rule::Any, Scope::Dynamic,
            "Whether a new segment's space is allocated at once in topics that do not say otherwise.";
        log_retention_bytes: i64 = -1, "log.retention.bytes", Bytes, AT_LEAST_MINUS_1, Scope::Dynamic,
            "Bytes kept per partition of topics that do not say otherwise; -1 is no limit.";
        log_retention_check_interval_ms: i64 = 300_000, "log.retention.check.interval.ms", Milliseconds, AT_LEAST_1, Scope::Static,
            "How often retention is checked.";
        log_retention_hours: i32 = 168, "log.retention.hours", Hours, AT_LEAST_MINUS_1, Scope::Static,
            "Time records are kept, unless log.retention.minutes or log.retention.ms is set.";
        log_retention_minutes: Option<i32> = None, "log.retention.minutes", Minutes, AT_LEAST_MINUS_1, Scope::Static,
            "Time records are kept, unless log.retention.ms is set.";
        log_retention_ms: Option<i64> = None, "log.retention.ms", Milliseconds, AT_LEAST_MINUS_1, Scope::Dynamic,
            "Time records are kept in topics that do not say otherwise; -1 is no limit.";
        log_roll_hours: i32 = 168, "log.roll.hours", Hours, AT_LEAST_1, Scope::Static,
            "Age at which a segment is closed, unless log.roll.ms is set.";
        log_roll_jitter_hours: i32 = 0, "log.roll.jitter.hours", Hours, AT_LEAST_0, Scope::Static,
            "Most that is taken off a segment's age at random, unless log.roll.jitter.ms is set.";
        log_roll_jitter_ms: Option<i64> = None, "log.roll.jitter.ms", Milliseconds, AT_LEAST_0, Scope::Dynamic,
            "Most that is taken off a segment's age at random in topics that do not say otherwise.";
        log_roll_ms: Option<i64> = None, "log.roll.ms", Milliseconds, AT_LEAST_1, Scope::Dynamic,
            "Age at which a segment is closed in topics that do not say otherwise.";
        log_segment_bytes: i32 = 1_073_741_824, "log.segment.bytes", Bytes, Rule::Range(4096.0, 2_147_483_647.0), Scope::Dynamic,
            "Largest segment file of topics that do not say otherwise.";
        log_segment_delete_delay_ms: i64 = 60_000, "log.segment.delete.delay.ms", Milliseconds, AT_LEAST_0, Scope::Dynamic,
            "How long the files of a removed segment stay before they are deleted.";
        max_connection_creation_rate_per_ip: Option<i32> = None, "max.connection.creation.rate.per.ip", PerSecond, AT_LEAST_1, Scope::Static,
            "New connections per second from one address. If not set: 20, and none for loopback.";
        max_connections: i32 = 10_000, "max.connections", None, AT_LEAST_1, Scope::Static,
            "Most connections at a time.";
        max_connections_per_ip: Option<i32> = None, "max.connections.per.ip", None, AT_LEAST_1, Scope::Static,
            "Most connections at a time from one address. If not set: 200, and no limit for loopback.";
        max_fetch_sessions: i32 = 1_000, "max.incremental.fetch.session.cache.slots", None, AT_LEAST_0, Scope::Static,
            "Most incremental fetch sessions kept.";
        message_max_bytes: i32 = 1_048_588, "message.max.bytes", Bytes, AT_LEAST_0, Scope::Dynamic,
            "Largest record batch accepted in topics that do not say otherwise; it has to fit into a file of the journal (16 MiB, or less on a small file system).";
        min_insync_replicas: i32 = 1, "min.insync.replicas", None, AT_LEAST_1, Scope::Dynamic,
            "In-sync replicas without which a produce with acks=all is refused in topics that do not say otherwise.";
        num_partitions: i32 = 1, "num.partitions", None, Rule::Range(1.0, 10_000.0), Scope::Static,
            "Partitions of topics that are created without a number.";
        offset_metadata_max_bytes: i32 = 4096, "offset.metadata.max.bytes", Bytes, AT_LEAST_0, Scope::Static,
            "Longest text that may be kept with a committed offset.";
        offsets_retention_check_interval_ms: i64 = 600_000, "offsets.retention.check.interval.ms", Milliseconds, AT_LEAST_1, Scope::Static,
            "How often committed offsets are looked through for expired ones.";
        offsets_retention_minutes: i32 = 10_080, "offsets.retention.minutes", Minutes, AT_LEAST_1, Scope::Static,
            "How long the offsets of a group without members are kept.";
        offsets_topic_num_partitions: i32 = 50, "offsets.topic.num.partitions", None, Rule::Range(1.0, 10_000.0), Scope::Static,
            "Partitions of __consumer_offsets when it is created.";
        offsets_topic_segment_bytes: i32 = 104_857_600, "offsets.topic.segment.bytes", Bytes, Rule::Range(4096.0, 2_147_483_647.0), Scope::Static,
            "Largest segment file of __consumer_offsets when it is created.";
        producer_id_expiration_ms: i32 = 86_400_000, "producer.id.expiration.ms", Milliseconds, AT_LEAST_1, Scope::Static,
            "How long an idle producer's sequence numbers are remembered; and at least for the hour after a start or a step of the clock.";
        socket_request_max_bytes: i32 = 104_857_600, "socket.request.max.bytes", Bytes, Rule::Range(1024.0, MAX), Scope::Static,
            "Largest request read; the memory budget bounds it too.";
        unclean_leader_election: bool = false, "unclean.leader.election.enable", None, Rule::Any, Scope::Dynamic,
            "Whether a replica that may lack acknowledged records may lead when no other can. With one replica there is nothing to elect.";
    }
}

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 3_600_000;

impl BrokerSettings {
    /// `log.retention.ms`, or what stands for it.
    pub fn retention_ms(&self) -> i64 {
        let scaled = |value: i32, unit: i64| {
            if value < 0 {
                -1
            } else {
                i64::from(value) * unit
            }
        };
        self.log_retention_ms
            .or(self.log_retention_minutes.map(|m| scaled(m, MINUTE_MS)))
            .unwrap_or(scaled(self.log_retention_hours, HOUR_MS))
    }

    /// `log.roll.ms`, or what stands for it.
    pub fn roll_ms(&self) -> i64 {
        self.log_roll_ms
            .unwrap_or(i64::from(self.log_roll_hours) * HOUR_MS)
    }

    /// `log.roll.jitter.ms`, or what stands for it.
    pub fn roll_jitter_ms(&self) -> i64 {
        self.log_roll_jitter_ms
            .unwrap_or(i64::from(self.log_roll_jitter_hours) * HOUR_MS)
    }
}
