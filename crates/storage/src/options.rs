//! What can be set: once for the data directory, and per log.
//!
//! Every bound of this crate is a field here, so that tests and the simulator can make each of them small.

use std::time::Duration;
use taffrail_record::Offset;

/// Bounds and sizes of one data directory.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Length of each journal file, a multiple of 4096. Counts at the directory's creation only; made smaller on a
    /// small file system, of which the journal takes an eighth at most.
    pub journal_file_bytes: u64,
    /// How many journal files there are; at least 3. Counts at the directory's creation only.
    pub journal_files: u32,
    /// A journal group is closed at this size (one larger entry makes a group of its own).
    pub group_bytes_max: usize,
    /// A log with this much that is committed and not yet in a segment is written out.
    pub flush_bytes: usize,
    /// Small tails up to this size may be copied forward in the journal instead of being synced one by one.
    pub copy_forward_bytes_max: usize,
    /// Appends of one log that wait for the journal; more are refused until some are done.
    pub uncommitted_bytes_max_per_partition: usize,
    /// Batches kept in memory after they reached their segment, in bytes per shard.
    pub tail_cache_bytes: usize,
    /// Digests of segments kept in memory, in bytes per shard.
    pub digest_cache_bytes: usize,
    /// Open segment and side files per shard.
    pub open_files_max: usize,
    /// Files synced together by one flush round.
    pub flush_files_max: usize,
    /// Producers remembered per shard; a new one beyond is refused.
    pub producers_max: usize,
    /// An idle producer is forgotten after this long.
    pub producer_expiry_ms: i64,
    /// So long must wall and monotonic time have agreed before a producer counts as idle. A clock that was stepped, or set
    /// while the node was down, makes everybody look idle at once; whoever is still there has written again by then.
    pub clock_agreement_min: Duration,
    /// So long must they have agreed before records go because of their age: the time between two looks, if some come sooner.
    pub step_agreement_min: Duration,
    /// Largest step in which a segment's file reserves space ahead.
    pub reserve_step_max: u64,
    /// Bytes between two entries of a digest.
    pub digest_interval_bytes: u32,
    /// How often a full disk is asked whether there is room again.
    pub space_probe: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            journal_file_bytes: 16 << 20,
            journal_files: 8,
            group_bytes_max: 1 << 20,
            flush_bytes: 1 << 20,
            copy_forward_bytes_max: 16 << 10,
            uncommitted_bytes_max_per_partition: 64 << 20,
            tail_cache_bytes: 32 << 20,
            digest_cache_bytes: 8 << 20,
            open_files_max: 256,
            flush_files_max: 128,
            producers_max: 200_000,
            producer_expiry_ms: 86_400_000,
            clock_agreement_min: Duration::from_secs(3600),
            step_agreement_min: Duration::ZERO,
            reserve_step_max: 16 << 20,
            digest_interval_bytes: 64 << 10,
            space_probe: Duration::from_secs(1),
        }
    }
}

/// When an append counts as done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// When its journal group is synced.
    Synced,
    /// When it is in memory (of every in-sync replica); a power cut can lose it, as with Kafka's defaults.
    Replicated,
}

/// Settings of one log; Kafka's topic configs in typed form.
#[derive(Clone, Debug, PartialEq)]
pub struct LogConfig {
    pub segment_bytes: u32,
    pub segment_ms: i64,
    pub segment_jitter_ms: i64,
    /// Negative: no limit.
    pub retention_ms: i64,
    /// Negative: no limit.
    pub retention_bytes: i64,
    pub index_interval_bytes: u32,
    pub segment_index_bytes: u32,
    pub file_delete_delay_ms: i64,
    /// Reserve the whole of `segment_bytes` when a segment is made.
    pub preallocate: bool,
    /// `cleanup.policy` contains `delete`: retention applies.
    pub cleanup_delete: bool,
    pub durability: Durability,
    /// Room that is reserved ahead, so that this log can be written while the disk is full. Filled up when half of it is used, as long
    /// as the disk has room.
    pub reserve_ahead_bytes: u64,
    /// The offset of the first record. Counts when the log is made only.
    pub first_offset: Offset,
}

impl Default for LogConfig {
    fn default() -> LogConfig {
        LogConfig {
            segment_bytes: 1 << 30,
            segment_ms: 7 * 86_400_000,
            segment_jitter_ms: 0,
            retention_ms: 7 * 86_400_000,
            retention_bytes: -1,
            index_interval_bytes: 4096,
            segment_index_bytes: 10 << 20,
            file_delete_delay_ms: 60_000,
            preallocate: false,
            cleanup_delete: true,
            durability: Durability::Synced,
            reserve_ahead_bytes: 0,
            first_offset: 0,
        }
    }
}
