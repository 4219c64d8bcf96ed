//! The storage as one shard sees it: its logs, by topic id and partition.

use crate::{Health, Log, LogConfig, OpenError, Options, StorageError};
use std::marker::PhantomData;
use std::path::Path;
use taffrail_env::Env;
use taffrail_record::{LeaderEpoch, Offset, TopicPartition};

/// Who a data directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    pub directory_id: [u8; 16],
    pub cluster_id: [u8; 16],
    /// One more at each start, and synced before anything is served.
    pub start_number: u64,
    /// The stop before this start was clean (true of a new directory).
    pub clean: bool,
    /// The directory was made by this start.
    pub fresh: bool,
}

/// What recovery did.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct RecoverySummary {
    pub journal_bytes_read: u64,
    pub groups: u64,
    pub logs: usize,
    /// Bytes that are in the journal and not yet in segments.
    pub tail_bytes: u64,
    /// A group at the end that was not complete, and so was never acknowledged.
    pub torn_tail: bool,
}

/// An opened data directory. Each shard makes its [`Logs`] of its part.
pub struct Opened {
    pub identity: Identity,
    pub shards: Vec<ShardPart>,
    pub recovery: RecoverySummary,
}

/// What one shard needs; may be sent to it.
pub struct ShardPart {}

/// Figures for metrics.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Usage {
    pub logs: usize,
    /// Appends that wait for the journal.
    pub uncommitted_bytes: usize,
    /// Committed, not yet in a segment.
    pub unflushed_bytes: usize,
    /// In memory beyond that, for readers of the tail.
    pub cached_bytes: usize,
    pub producers: usize,
    pub open_files: usize,
}

/// Which of `shards` serves a partition. Taken anew at each start, and written nowhere.
pub fn shard_of(_partition: TopicPartition, _shards: usize) -> usize {
    unbuilt()
}

/// Opens a data directory, makes it if it is absent or empty, recovers what is in it. Call it on shard 0: the
/// journal's task is spawned there.
pub async fn open<E: Env>(
    _env: &E,
    _directory: &Path,
    _options: Options,
    _shards: usize,
) -> Result<Opened, OpenError> {
    unbuilt()
}

/// One shard's logs. A handle: cloning is cheap.
pub struct Logs<E>(PhantomData<E>);

impl<E> Clone for Logs<E> {
    fn clone(&self) -> Self {
        Logs(PhantomData)
    }
}

impl<E: Env> Logs<E> {
    /// On the shard itself; spawns the shard's storage tasks.
    pub fn new(_env: &E, _part: ShardPart) -> Logs<E> {
        unbuilt()
    }

    /// Makes a log; durable when it returns.
    pub async fn create(
        &self,
        _partition: TopicPartition,
        _config: LogConfig,
    ) -> Result<Log<E>, StorageError> {
        unbuilt()
    }

    /// Destroys a log; durable when it returns. To be called only once its deletion is committed.
    pub async fn delete(&self, _partition: TopicPartition) -> Result<(), StorageError> {
        unbuilt()
    }

    pub fn get(&self, _partition: TopicPartition) -> Option<Log<E>> {
        unbuilt()
    }

    /// In order of topic id and partition.
    pub fn all(&self) -> Vec<TopicPartition> {
        unbuilt()
    }

    pub fn health(&self) -> Health {
        unbuilt()
    }

    /// The largest batch that an append takes.
    pub fn batch_bytes_max(&self) -> usize {
        unbuilt()
    }

    /// Retention, rolling by time, forgetting of idle producers, removal of files whose delay is over.
    pub async fn housekeep(&self) {
        unbuilt()
    }

    /// Takes no more appends, writes everything to the segments and cuts files to their valid length. To be called on every
    /// shard; shard 0 waits for the others, then marks the directory clean.
    pub async fn shutdown(&self) -> Result<(), StorageError> {
        unbuilt()
    }

    pub fn usage(&self) -> Usage {
        unbuilt()
    }
}

/// The answer to a question for an epoch's end: the epoch found, and the offset at which it ends.
pub type EpochEnd = (LeaderEpoch, Offset);

pub(crate) fn unbuilt() -> ! {
    panic!("the storage is being built")
}
