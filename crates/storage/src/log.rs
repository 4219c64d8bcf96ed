//! One partition's log.

use crate::logs::{EpochEnd, unbuilt};
use crate::{AppendError, LogConfig, ReadError, StorageError};
use bytes::{Bytes, BytesMut};
use std::future::Future;
use std::marker::PhantomData;
use taffrail_env::Env;
use taffrail_record::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, TopicPartition};

/// A durable append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    pub base_offset: Offset,
    pub last_offset: Offset,
    /// -1 unless the batch carries log append time.
    pub log_append_time_ms: i64,
    pub log_start_offset: Offset,
    /// It was in the log already; the offsets are the original's.
    pub duplicate: bool,
}

/// Whole batches, one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    pub batches: Vec<Bytes>,
    pub bytes: usize,
    /// Where the next read goes on.
    pub next_offset: Offset,
    pub high_watermark: Offset,
    pub last_stable_offset: Offset,
    pub log_start_offset: Offset,
}

/// What is known of an idempotent producer in a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerInfo {
    pub producer_id: ProducerId,
    pub producer_epoch: ProducerEpoch,
    pub last_sequence: Sequence,
    pub last_timestamp: i64,
    pub coordinator_epoch: i32,
    /// First offset of its open transaction, -1 if none.
    pub current_transaction_start_offset: Offset,
}

/// Entries that take no offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ZeroWidth {
    /// A term begins at the log's end.
    Term { term: LeaderEpoch, leader: i64 },
    /// A membership holds from the log's end on.
    Membership { term: LeaderEpoch, members: Bytes },
}

/// A vote: at most one candidate per term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochVote {
    pub term: LeaderEpoch,
    pub candidate: i64,
}

/// One partition's log on its shard. A handle: cloning is cheap.
pub struct Log<E>(PhantomData<E>);

impl<E> Clone for Log<E> {
    fn clone(&self) -> Self {
        Log(PhantomData)
    }
}

impl<E: Env> Log<E> {
    pub fn id(&self) -> TopicPartition {
        unbuilt()
    }
    pub fn config(&self) -> LogConfig {
        unbuilt()
    }
    pub fn set_config(&self, _config: LogConfig) {
        unbuilt()
    }
    pub fn log_start_offset(&self) -> Offset {
        unbuilt()
    }
    pub fn high_watermark(&self) -> Offset {
        unbuilt()
    }
    pub fn log_end_offset(&self) -> Offset {
        unbuilt()
    }
    pub fn last_stable_offset(&self) -> Offset {
        unbuilt()
    }
    pub fn leader_epoch(&self) -> LeaderEpoch {
        unbuilt()
    }
    /// Bytes in segments and tail.
    pub fn size_bytes(&self) -> u64 {
        unbuilt()
    }
    /// Where the largest known epoch that is not above `epoch` ends; Kafka's OffsetForLeaderEpoch. (-1, -1) if unknown.
    pub fn end_offset_for_epoch(&self, _epoch: LeaderEpoch) -> EpochEnd {
        unbuilt()
    }
    pub fn producers(&self) -> Vec<ProducerInfo> {
        unbuilt()
    }
    /// The last vote that is durable.
    pub fn vote(&self) -> Option<EpochVote> {
        unbuilt()
    }

    /// Appends one validated batch: judges its sequence, writes base offset and leader epoch in place, queues it for the journal. Takes
    /// its place in the order when called. The future is ready when the batch is durable and the high watermark has passed
    /// it; dropping it changes nothing. Refusals, too, wait for what they were judged against.
    pub fn append(
        &self,
        _batch: BytesMut,
        _append_time_ms: i64,
    ) -> impl Future<Output = Result<Appended, AppendError>> + use<E> + 'static {
        async { unbuilt() }
    }

    /// Records something that takes no offset; durable when the future is ready.
    pub fn append_zero_width(
        &self,
        _entry: ZeroWidth,
    ) -> impl Future<Output = Result<(), StorageError>> + use<E> + 'static {
        async { unbuilt() }
    }

    /// Records a vote; durable when the future is ready.
    pub fn record_vote(
        &self,
        _vote: EpochVote,
    ) -> impl Future<Output = Result<(), StorageError>> + use<E> + 'static {
        async { unbuilt() }
    }

    /// Whole batches below the high watermark; the first one contains `from`, or is the next there is. About `max_bytes`
    /// at most; with `min_one` at least one batch if there is one, whatever its size.
    pub async fn read(
        &self,
        _from: Offset,
        _max_bytes: usize,
        _min_one: bool,
    ) -> Result<Read, ReadError> {
        unbuilt()
    }

    /// About how many bytes lie between `from` and the high watermark; no I/O.
    pub fn readable_bytes(&self, _from: Offset) -> usize {
        unbuilt()
    }

    /// Ready once the high watermark is above `beyond`, the log's start moved past it, or the log is gone.
    pub fn progress(&self, _beyond: Offset) -> impl Future<Output = ()> + use<E> + 'static {
        async { unbuilt() }
    }

    /// The first record with a timestamp at or after `timestamp`: its timestamp, offset and epoch.
    pub async fn offset_for_timestamp(
        &self,
        _timestamp: i64,
    ) -> Result<Option<(i64, Offset, LeaderEpoch)>, ReadError> {
        unbuilt()
    }

    /// The first record with the largest timestamp.
    pub async fn max_timestamp(&self) -> Result<Option<(i64, Offset)>, ReadError> {
        unbuilt()
    }

    /// Moves the log's start up to `offset` (never back); durable when it returns. Answers the start there is now.
    pub async fn advance_log_start(&self, _offset: Offset) -> Result<Offset, StorageError> {
        unbuilt()
    }

    /// Keeps a machine's snapshot beside the log: it holds everything below `end_offset`. Replaces the one before.
    pub async fn save_state(
        &self,
        _end_offset: Offset,
        _state: Vec<Bytes>,
    ) -> Result<(), StorageError> {
        unbuilt()
    }

    /// The newest snapshot that verifies.
    pub async fn load_state(&self) -> Result<Option<(Offset, Bytes)>, StorageError> {
        unbuilt()
    }
}
