//! The configuration of one topic: Kafka's keys, and three of our own.
//!
//! Keys whose work only compaction does are accepted and described, as on a Kafka topic that is not compacted;
//! asking for compaction itself is refused.

use super::definition::{Kind, Refusal, Rule, Scope, Setting, settings};

/// `cleanup.policy`: what removes old records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CleanupPolicy {
    pub delete: bool,
    pub compact: bool,
}

impl Setting for CleanupPolicy {
    const KIND: Kind = Kind::List;
    const CHOICES: &'static [&'static str] = &["delete", "compact"];
    const EXPECTED: &'static str = "a list of delete, compact";

    fn parse(text: &str) -> Option<Self> {
        let mut policy = CleanupPolicy {
            delete: false,
            compact: false,
        };
        // Neither of the two is a policy as well (KIP-1161): everything is kept.
        for word in text.split(',').filter(|_| !text.is_empty()) {
            match word.trim() {
                "delete" => policy.delete = true,
                "compact" => policy.compact = true,
                _ => return None,
            }
        }
        Some(policy)
    }

    fn text(&self) -> Option<String> {
        let words = match (self.delete, self.compact) {
            (true, true) => "compact,delete",
            (false, true) => "compact",
            (true, false) => "delete",
            (false, false) => "",
        };
        Some(words.to_string())
    }
}

macro_rules! choice {
    ($(#[$meta:meta])* $Name:ident { $($Variant:ident = $text:literal),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $Name { $($Variant),* }

        impl Setting for $Name {
            const KIND: Kind = Kind::String;
            const CHOICES: &'static [&'static str] = &[$($text),*];
            const EXPECTED: &'static str = "one of its names";

            fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$Variant),)* _ => None }
            }

            fn text(&self) -> Option<String> {
                Some(match self { $(Self::$Variant => $text),* }.to_string())
            }
        }
    };
}

choice! {
    /// `compression.type`: keep the producer's codec, or rewrite every batch into one.
    CompressionType { Producer = "producer", Uncompressed = "uncompressed", Gzip = "gzip", Snappy = "snappy", Lz4 = "lz4", Zstd = "zstd" }
}
choice! {
    /// `message.timestamp.type`: whose time a record carries.
    TimestampType { CreateTime = "CreateTime", LogAppendTime = "LogAppendTime" }
}
choice! {
    /// `validation`: how much of a produced batch is looked at before it is accepted.
    Validation { Full = "full", Header = "header" }
}
choice! {
    /// `replication.model`: how a partition is replicated.
    ReplicationModel { PrimaryBackup = "primary-backup", ActiveActive = "active-active" }
}
choice! {
    /// `durability`: what an acknowledgement waits for.
    Durability { Synced = "synced", Replicated = "replicated" }
}

const MAX: f64 = f64::INFINITY;
const AT_LEAST_0: Rule = Rule::Range(0.0, MAX);
const AT_LEAST_1: Rule = Rule::Range(1.0, MAX);
const AT_LEAST_MINUS_1: Rule = Rule::Range(-1.0, MAX);
pub(super) const NO_COMPACTION: &str =
    "compaction is not available; use delete, or nothing at all to keep every record";
const NO_TIERS: &str = "there is no remote storage here; the local log is all there is";

settings! {
    /// The effective configuration of a topic.
    pub struct TopicSettings {
        cleanup_policy: CleanupPolicy = CleanupPolicy { delete: true, compact: false }, "cleanup.policy", None,
            Rule::Only(&["delete", ""], NO_COMPACTION), Scope::Inherits(&["log.cleanup.policy"]),
            "What removes old records: retention by time and size (delete), or nothing (empty).";
        compression_gzip_level: i32 = -1, "compression.gzip.level", None,
            Rule::Only(&["-1", "1", "2", "3", "4", "5", "6", "7", "8", "9"], "gzip has levels 1 to 9, and -1 for its own default"), Scope::Inherits(&["compression.gzip.level"]),
            "Level when compression.type is gzip; -1 is the codec's own default.";
        compression_lz4_level: i32 = 9, "compression.lz4.level", None, Rule::Only(&["9"], "the lz4 encoder here has one level; leave it out"), Scope::Inherits(&["compression.lz4.level"]),
            "Level when compression.type is lz4. The encoder here has one level only.";
        compression_zstd_level: i32 = 3, "compression.zstd.level", None, Rule::Range(-131072.0, 22.0), Scope::Inherits(&["compression.zstd.level"]),
            "Level when compression.type is zstd.";
        compression_type: CompressionType = CompressionType::Producer, "compression.type", None, Rule::Any, Scope::Inherits(&["compression.type"]),
            "Codec of the stored batches: the producer's own, or one that every batch is rewritten into on admission.";
        delete_retention_ms: i64 = 86_400_000, "delete.retention.ms", Milliseconds, AT_LEAST_0, Scope::Inherits(&["log.cleaner.delete.retention.ms"]),
            "How long tombstones stay readable in a compacted topic.";
        durability: Durability = Durability::Synced, "durability", None,
            Rule::Only(&["synced"], "a single replica acknowledges only what it has synced; use synced"), Scope::Topic,
            "What an acknowledgement waits for: the sync of every replica it counts on (synced).";
        file_delete_delay_ms: i64 = 60_000, "file.delete.delay.ms", Milliseconds, AT_LEAST_0, Scope::Inherits(&["log.segment.delete.delay.ms"]),
            "How long the files of a removed segment stay before they are deleted.";
        flush_messages: i64 = i64::MAX, "flush.messages", Messages, AT_LEAST_1, Scope::Inherits(&["log.flush.interval.messages"]),
            "Records after which Kafka forces a sync. Here every acknowledged record is already synced, so any value holds.";
        flush_ms: i64 = i64::MAX, "flush.ms", Milliseconds, AT_LEAST_0, Scope::Inherits(&["log.flush.interval.ms"]),
            "Time after which Kafka forces a sync. Here every acknowledged record is already synced, so any value holds.";
        follower_throttled: String = String::new(), "follower.replication.throttled.replicas", None,
            Rule::Only(&[""], "there is no replication to throttle on one node"), Scope::Topic,
            "Replicas whose replication is throttled on the follower's side.";
        index_interval_bytes: i32 = 4096, "index.interval.bytes", Bytes, AT_LEAST_0, Scope::Inherits(&["log.index.interval.bytes"]),
            "Log bytes between two entries of the offset index.";
        leader_throttled: String = String::new(), "leader.replication.throttled.replicas", None,
            Rule::Only(&[""], "there is no replication to throttle on one node"), Scope::Topic,
            "Replicas whose replication is throttled on the leader's side.";
        local_retention_bytes: i64 = -2, "local.retention.bytes", Bytes, Rule::Only(&["-2"], NO_TIERS), Scope::Topic,
            "Bytes kept locally of a tiered topic; -2 is retention.bytes.";
        local_retention_ms: i64 = -2, "local.retention.ms", Milliseconds, Rule::Only(&["-2"], NO_TIERS), Scope::Topic,
            "Time kept locally of a tiered topic; -2 is retention.ms.";
        max_compaction_lag_ms: i64 = i64::MAX, "max.compaction.lag.ms", Milliseconds, AT_LEAST_1, Scope::Inherits(&["log.cleaner.max.compaction.lag.ms"]),
            "Longest time a record of a compacted topic stays uncompacted.";
        max_message_bytes: i32 = 1_048_588, "max.message.bytes", Bytes, AT_LEAST_0, Scope::Inherits(&["message.max.bytes"]),
            "Largest record batch accepted; it has to fit into a file of the journal (16 MiB, or less on a small file system).";
        timestamp_after_max_ms: i64 = 3_600_000, "message.timestamp.after.max.ms", Milliseconds, AT_LEAST_0, Scope::Inherits(&["log.message.timestamp.after.max.ms"]),
            "How far a record's timestamp may lie after the broker's time.";
        timestamp_before_max_ms: i64 = i64::MAX, "message.timestamp.before.max.ms", Milliseconds, AT_LEAST_0, Scope::Inherits(&["log.message.timestamp.before.max.ms"]),
            "How far a record's timestamp may lie before the broker's time.";
        timestamp_type: TimestampType = TimestampType::CreateTime, "message.timestamp.type", None, Rule::Any, Scope::Inherits(&["log.message.timestamp.type"]),
            "Whose time a record carries: the producer's (CreateTime) or the broker's (LogAppendTime).";
        min_cleanable_dirty_ratio: f64 = 0.5, "min.cleanable.dirty.ratio", None, Rule::Range(0.0, 1.0), Scope::Inherits(&["log.cleaner.min.cleanable.ratio"]),
            "Share of uncompacted bytes at which a compacted topic is cleaned.";
        min_compaction_lag_ms: i64 = 0, "min.compaction.lag.ms", Milliseconds, AT_LEAST_0, Scope::Inherits(&["log.cleaner.min.compaction.lag.ms"]),
            "Shortest time a record of a compacted topic stays uncompacted.";
        min_insync_replicas: i32 = 1, "min.insync.replicas", None, AT_LEAST_1, Scope::Inherits(&["min.insync.replicas"]),
            "In-sync replicas without which a produce with acks=all is refused.";
        preallocate: bool = false, "preallocate", None, Rule::Any, Scope::Inherits(&["log.preallocate"]),
            "Whether a new segment's space is allocated at once.";
        remote_log_copy_disable: bool = false, "remote.log.copy.disable", None, Rule::Only(&["false"], NO_TIERS), Scope::Topic,
            "Whether a tiered topic stops copying to remote storage.";
        remote_log_delete_on_disable: bool = false, "remote.log.delete.on.disable", None, Rule::Only(&["false"], NO_TIERS), Scope::Topic,
            "Whether remote data goes when tiering is switched off.";
        remote_storage_enable: bool = false, "remote.storage.enable", None, Rule::Only(&["false"], NO_TIERS), Scope::Topic,
            "Whether old segments move to remote storage.";
        replication_model: ReplicationModel = ReplicationModel::PrimaryBackup, "replication.model", None,
            Rule::Only(&["primary-backup"], "active-active partitions need several nodes; use primary-backup"), Scope::Topic,
            "How the topic's partitions are replicated.";
        retention_bytes: i64 = -1, "retention.bytes", Bytes, AT_LEAST_MINUS_1, Scope::Inherits(&["log.retention.bytes"]),
            "Bytes kept per partition before old segments go; -1 is no limit.";
        retention_ms: i64 = 604_800_000, "retention.ms", Milliseconds, AT_LEAST_MINUS_1,
            Scope::Inherits(&["log.retention.ms", "log.retention.minutes", "log.retention.hours"]),
            "Time records are kept before old segments go; -1 is no limit.";
        segment_bytes: i32 = 1_073_741_824, "segment.bytes", Bytes, Rule::Range(4096.0, 2_147_483_647.0), Scope::Inherits(&["log.segment.bytes"]),
            "Largest size of a segment file.";
        segment_index_bytes: i32 = 10_485_760, "segment.index.bytes", Bytes, Rule::Range(4.0, MAX), Scope::Inherits(&["log.index.size.max.bytes"]),
            "Largest size of a segment's offset index.";
        segment_jitter_ms: i64 = 0, "segment.jitter.ms", Milliseconds, AT_LEAST_0, Scope::Inherits(&["log.roll.jitter.ms", "log.roll.jitter.hours"]),
            "Most that is taken off segment.ms at random, so that segments do not all roll at once.";
        segment_ms: i64 = 604_800_000, "segment.ms", Milliseconds, AT_LEAST_1, Scope::Inherits(&["log.roll.ms", "log.roll.hours"]),
            "Age at which a segment is closed even if it is not full.";
        unclean_leader_election: bool = false, "unclean.leader.election.enable", None, Rule::Any, Scope::Inherits(&["unclean.leader.election.enable"]),
            "Whether a replica that may lack acknowledged records may lead when no other can. With one replica there is nothing to elect.";
        validation: Validation = Validation::Full, "validation", None, Rule::Any, Scope::Topic,
            "How much of a produced batch is examined: header, checksum and every record (full), or header and checksum alone (header).";
    }
}

impl TopicSettings {
    /// What no single value can violate.
    pub fn check(&self) -> Result<(), Refusal> {
        if self.min_compaction_lag_ms > self.max_compaction_lag_ms {
            return Err(Refusal::Conflict(format!(
                "min.compaction.lag.ms ({}) is larger than max.compaction.lag.ms ({})",
                self.min_compaction_lag_ms, self.max_compaction_lag_ms
            )));
        }
        Ok(())
    }
}
