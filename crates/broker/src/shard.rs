//! A shard's part of the node: the partitions it owns, and the requests that reach it from the shard with the connections.
//!
//! Shard 0 accepts every connection, holds the metadata and the coordinators, and owns partitions like any other; the
//! other shards own partitions and nothing else. Which shard owns a partition is `taffrail_storage::shard_of`. What shard 0
//! wants of a partition is a method of [`Shard`], called directly on its own and sent as a [`ShardRequest`] through
//! a bounded mailbox to another; [`Router`](crate::router::Router) hides the difference. What must hold: appends to one
//! partition are admitted in the order in which they were sent.

use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::future::{self, Either, LocalBoxFuture};
use futures_util::stream::{FuturesUnordered, StreamExt};
use futures_util::{FutureExt, future::join_all};
use taffrail_env::Env;
use taffrail_env::mailbox::{Receiver, ReplySender};
use taffrail_record::{LeaderEpoch, Offset, TopicPartition};
use taffrail_storage::{
    AppendError, Appended, Health, Log, LogConfig, Logs, ProducerInfo, Read, ReadError,
    StorageError, Usage,
};

/// Requests that wait for a shard.
pub(crate) const MAILBOX_CAPACITY: usize = 1024;

/// How many logs are created, deleted or inspected at the same time.
const CONCURRENCY: usize = 256;

/// How often a wait looks whether it is still wanted.
const WATCH_CHECK: Duration = Duration::from_secs(1);

/// The offsets of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ends {
    pub log_start_offset: Offset,
    pub high_watermark: Offset,
    pub last_stable_offset: Offset,
    pub log_end_offset: Offset,
    pub leader_epoch: LeaderEpoch,
    /// About how many bytes can be read from the offset that was asked about.
    pub readable_bytes: usize,
    pub size_bytes: u64,
    /// How many reads wait for records to come.
    pub waiting_reads: usize,
}

/// One read of a fetch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadPlan {
    pub partition: TopicPartition,
    pub from: Offset,
    pub max_bytes: usize,
    pub min_one: bool,
}

/// What an offset is looked for by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Search {
    Timestamp(i64),
    MaxTimestamp,
}

/// A record that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub timestamp: i64,
    pub offset: Offset,
    pub leader_epoch: LeaderEpoch,
}

/// A state that a machine kept beside its log, and the offset it is exact to.
pub(crate) type SavedState = Option<(Offset, Bytes)>;

/// Logs to be made, with their settings.
pub(crate) type NewLogs = Vec<(TopicPartition, LogConfig)>;

/// What is asked of another shard. Each carries the right to answer.
pub(crate) enum ShardRequest {
    Create(NewLogs, ReplySender<Vec<Result<(), StorageError>>>),
    Delete(
        Vec<TopicPartition>,
        ReplySender<Vec<Result<(), StorageError>>>,
    ),
    Configure(NewLogs, ReplySender<()>),
    Append {
        partition: TopicPartition,
        batch: BytesMut,
        append_time_ms: i64,
        reply: ReplySender<Result<Appended, AppendError>>,
    },
    Ends(
        Vec<(TopicPartition, Offset)>,
        ReplySender<Vec<Option<Ends>>>,
    ),
    Read(Vec<ReadPlan>, ReplySender<Vec<Result<Read, ReadError>>>),
    Watch(Vec<(TopicPartition, Offset)>, ReplySender<()>),
    Search(
        TopicPartition,
        Search,
        ReplySender<Result<Option<Found>, ReadError>>,
    ),
    EpochEnd(
        TopicPartition,
        LeaderEpoch,
        ReplySender<Option<(LeaderEpoch, Offset)>>,
    ),
    AdvanceStart(
        TopicPartition,
        Offset,
        ReplySender<Result<Offset, StorageError>>,
    ),
    SaveState(
        TopicPartition,
        Offset,
        Bytes,
        ReplySender<Result<(), StorageError>>,
    ),
    LoadState(
        TopicPartition,
        ReplySender<Result<SavedState, StorageError>>,
    ),
    Producers(TopicPartition, ReplySender<Option<Vec<ProducerInfo>>>),
    All(ReplySender<Vec<TopicPartition>>),
    Usage(ReplySender<Usage>),
    Recount(ReplySender<Result<(), String>>),
    Health(ReplySender<Health>),
    Housekeep(ReplySender<()>),
    Shutdown(ReplySender<Result<(), StorageError>>),
}

/// The partitions of one shard.
pub(crate) struct Shard<E: Env> {
    pub logs: Logs<E>,
}

impl<E: Env> Shard<E> {
    pub fn new(logs: Logs<E>) -> Rc<Shard<E>> {
        Rc::new(Shard { logs })
    }

    fn log(&self, partition: TopicPartition) -> Result<Log<E>, StorageError> {
        self.logs.get(partition).ok_or(StorageError::Deleted)
    }

    /// Makes logs, each durable when this returns. One that exists already is left as it is.
    pub async fn create(&self, logs: NewLogs) -> Vec<Result<(), StorageError>> {
        let mut results = Vec::with_capacity(logs.len());
        for chunk in logs.chunks(CONCURRENCY) {
            let created = join_all(chunk.iter().map(|(partition, config)| async move {
                match self.logs.create(*partition, config.clone()).await {
                    Ok(_) | Err(StorageError::Exists) => Ok(()),
                    Err(error) => Err(error),
                }
            }));
            results.extend(created.await);
        }
        results
    }

    /// Destroys logs, each for good when this returns. One that does not exist is gone already.
    pub async fn delete(&self, partitions: Vec<TopicPartition>) -> Vec<Result<(), StorageError>> {
        let mut results = Vec::with_capacity(partitions.len());
        for chunk in partitions.chunks(CONCURRENCY) {
            let deleted = join_all(chunk.iter().map(|partition| async move {
                match self.logs.delete(*partition).await {
                    Err(StorageError::Deleted) => Ok(()),
                    result => result,
                }
            }));
            results.extend(deleted.await);
        }
        results
    }

    pub fn configure(&self, logs: NewLogs) {
        for (partition, config) in logs {
            if let Some(log) = self.logs.get(partition) {
                log.set_config(config);
            }
        }
    }

    /// Takes the batch's place in the log when called.
    pub fn append(
        &self,
        partition: TopicPartition,
        batch: BytesMut,
        append_time_ms: i64,
    ) -> LocalBoxFuture<'static, Result<Appended, AppendError>> {
        match self.logs.get(partition) {
            Some(log) => log.append(batch, append_time_ms).boxed_local(),
            None => future::ready(Err(AppendError::Deleted)).boxed_local(),
        }
    }

    pub fn ends(&self, partitions: &[(TopicPartition, Offset)]) -> Vec<Option<Ends>> {
        partitions
            .iter()
            .map(|(partition, from)| {
                self.logs.get(*partition).map(|log| Ends {
                    log_start_offset: log.log_start_offset(),
                    high_watermark: log.high_watermark(),
                    last_stable_offset: log.last_stable_offset(),
                    log_end_offset: log.log_end_offset(),
                    leader_epoch: log.leader_epoch(),
                    readable_bytes: log.readable_bytes(*from),
                    size_bytes: log.size_bytes(),
                    waiting_reads: log.waiting_reads(),
                })
            })
            .collect()
    }

    pub async fn read(&self, plans: &[ReadPlan]) -> Vec<Result<Read, ReadError>> {
        let mut results = Vec::with_capacity(plans.len());
        for chunk in plans.chunks(CONCURRENCY) {
            let reads = join_all(chunk.iter().map(|plan| async move {
                match self.logs.get(plan.partition) {
                    Some(log) => log.read(plan.from, plan.max_bytes, plan.min_one).await,
                    None => Err(ReadError::Deleted),
                }
            }));
            results.extend(reads.await);
        }
        results
    }

    /// Waits until one of the partitions has something beyond its offset, or is gone.
    pub fn watch(&self, waits: &[(TopicPartition, Offset)]) -> Watch {
        let mut watch = Watch(FuturesUnordered::new());
        for (place, (partition, beyond)) in waits.iter().enumerate() {
            watch.add(self, place, *partition, *beyond);
        }
        watch
    }

    pub async fn search(
        &self,
        partition: TopicPartition,
        search: Search,
    ) -> Result<Option<Found>, ReadError> {
        let log = self.logs.get(partition).ok_or(ReadError::Deleted)?;
        let found = match search {
            Search::Timestamp(timestamp) => log.offset_for_timestamp(timestamp).await?,
            Search::MaxTimestamp => log
                .max_timestamp()
                .await?
                .map(|(timestamp, offset)| (timestamp, offset, log.leader_epoch())),
        };
        Ok(found.map(|(timestamp, offset, leader_epoch)| Found {
            timestamp,
            offset,
            leader_epoch,
        }))
    }

    pub fn epoch_end(
        &self,
        partition: TopicPartition,
        epoch: LeaderEpoch,
    ) -> Option<(LeaderEpoch, Offset)> {
        let log = self.logs.get(partition)?;
        Some(log.end_offset_for_epoch(epoch))
    }

    pub async fn advance_start(
        &self,
        partition: TopicPartition,
        offset: Offset,
    ) -> Result<Offset, StorageError> {
        self.log(partition)?.advance_log_start(offset).await
    }

    pub async fn save_state(
        &self,
        partition: TopicPartition,
        end_offset: Offset,
        state: Bytes,
    ) -> Result<(), StorageError> {
        self.log(partition)?
            .save_state(end_offset, vec![state])
            .await
    }

    pub async fn load_state(&self, partition: TopicPartition) -> Result<SavedState, StorageError> {
        self.log(partition)?.load_state().await
    }

    pub fn producers(&self, partition: TopicPartition) -> Option<Vec<ProducerInfo>> {
        self.logs.get(partition).map(|log| log.producers())
    }

    /// Answers one request of another shard. Whether somebody still waits for the answer does not matter here.
    fn on_request(self: &Rc<Self>, env: &E, request: ShardRequest) {
        let shard = self.clone();
        match request {
            ShardRequest::Append {
                partition,
                batch,
                append_time_ms,
                reply,
            } => {
                // The place in the log is taken here, in the order of the mailbox.
                let appended = self.append(partition, batch, append_time_ms);
                env.spawn(async move {
                    let _ = reply.send(appended.await);
                });
            }
            ShardRequest::Configure(logs, reply) => {
                self.configure(logs);
                let _ = reply.send(());
            }
            ShardRequest::Ends(partitions, reply) => {
                let _ = reply.send(self.ends(&partitions));
            }
            ShardRequest::EpochEnd(partition, epoch, reply) => {
                let _ = reply.send(self.epoch_end(partition, epoch));
            }
            ShardRequest::Producers(partition, reply) => {
                let _ = reply.send(self.producers(partition));
            }
            ShardRequest::All(reply) => {
                let _ = reply.send(self.logs.all());
            }
            ShardRequest::Usage(reply) => {
                let _ = reply.send(self.logs.usage());
            }
            ShardRequest::Recount(reply) => {
                let _ = reply.send(self.logs.recount());
            }
            ShardRequest::Health(reply) => {
                let _ = reply.send(self.logs.health());
            }
            ShardRequest::Watch(waits, reply) => {
                let (env, mut watch) = (env.clone(), self.watch(&waits));
                env.clone().spawn(async move {
                    // Nobody says that a wait was given up, so it is asked for from time to time.
                    while reply.is_wanted() {
                        let moved = pin!(watch.next());
                        let asked = pin!(env.sleep(WATCH_CHECK));
                        if let Either::Left(_) = future::select(moved, asked).await {
                            let _ = reply.send(());
                            return;
                        }
                    }
                });
            }
            slow => env.spawn(async move { shard.on_slow_request(slow).await }),
        }
    }

    async fn on_slow_request(&self, request: ShardRequest) {
        match request {
            ShardRequest::Create(logs, reply) => {
                let _ = reply.send(self.create(logs).await);
            }
            ShardRequest::Delete(partitions, reply) => {
                let _ = reply.send(self.delete(partitions).await);
            }
            ShardRequest::Read(plans, reply) => {
                let _ = reply.send(self.read(&plans).await);
            }
            ShardRequest::Search(partition, search, reply) => {
                let _ = reply.send(self.search(partition, search).await);
            }
            ShardRequest::AdvanceStart(partition, offset, reply) => {
                let _ = reply.send(self.advance_start(partition, offset).await);
            }
            ShardRequest::SaveState(partition, end_offset, state, reply) => {
                let _ = reply.send(self.save_state(partition, end_offset, state).await);
            }
            ShardRequest::LoadState(partition, reply) => {
                let _ = reply.send(self.load_state(partition).await);
            }
            ShardRequest::Housekeep(reply) => {
                self.logs.housekeep().await;
                let _ = reply.send(());
            }
            ShardRequest::Shutdown(reply) => {
                let _ = reply.send(self.logs.shutdown().await);
            }
            ShardRequest::Append { .. }
            | ShardRequest::Configure(..)
            | ShardRequest::Ends(..)
            | ShardRequest::Watch(..)
            | ShardRequest::EpochEnd(..)
            | ShardRequest::Producers(..)
            | ShardRequest::All(..)
            | ShardRequest::Health(..)
            | ShardRequest::Recount(..)
            | ShardRequest::Usage(..) => unreachable!("answered at once"),
        }
    }
}

/// Waits for progress in some partitions; each is waited for once.
pub(crate) struct Watch(FuturesUnordered<LocalBoxFuture<'static, usize>>);

impl Watch {
    /// Waits for one more partition, under a place of its own.
    pub fn add<E: Env>(
        &mut self,
        shard: &Shard<E>,
        place: usize,
        partition: TopicPartition,
        beyond: Offset,
    ) {
        self.0.push(match shard.logs.get(partition) {
            Some(log) => log.progress(beyond).map(move |()| place).boxed_local(),
            None => future::ready(place).boxed_local(),
        });
    }

    /// The place in the list of the next partition that moved; for ever pending once all have.
    pub async fn next(&mut self) -> usize {
        match self.0.next().await {
            Some(place) => place,
            None => future::pending().await,
        }
    }
}

/// What a shard other than shard 0 does all its life.
pub(crate) async fn run<E: Env>(env: E, shard: Rc<Shard<E>>, mut mailbox: Receiver<ShardRequest>) {
    while let Some(request) = mailbox.recv().await {
        if let ShardRequest::Shutdown(_) = request {
            // Nothing comes after it, and the shard lives until it is done.
            shard.on_slow_request(request).await;
            return;
        }
        shard.on_request(&env, request);
    }
}
