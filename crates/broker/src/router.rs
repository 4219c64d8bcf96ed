//! Brings what is asked of a partition to the shard that owns it.
//!
//! The local shard is called directly, any other through its mailbox, and waits while that is full. A shard that is gone
//! answers as storage does that is shutting down.

use std::cell::RefCell;
use std::pin::pin;
use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use futures_util::future::{self, Either, LocalBoxFuture, join_all, select_all};
use taffrail_env::Env;
use taffrail_env::mailbox::{ReplySender, Sender, oneshot};
use taffrail_record::{LeaderEpoch, Offset, TopicPartition};
use taffrail_storage::{
    AppendError, Appended, Health, LogConfig, ProducerInfo, Read, ReadError, StorageError, Usage,
    shard_of,
};

use crate::shard::{
    Ends, Found, NewLogs, ReadPlan, SavedState, Search, Shard, ShardRequest, Watch,
};

/// All shards, as shard 0 reaches them.
pub(crate) struct Router<E: Env> {
    local: Rc<Shard<E>>,
    /// Shards 1, 2, ...
    others: Vec<Sender<ShardRequest>>,
    others_health: RefCell<Health>,
}

/// The worse of two.
fn worse(one: Health, other: Health) -> Health {
    match (&one, &other) {
        (Health::Failed(_), _) | (_, Health::Serving) => one,
        (_, Health::Failed(_)) | (Health::Serving, _) => other,
        (Health::DiskFull, Health::DiskFull) => one,
    }
}

/// A wait for progress in any of some partitions, on whatever shards. Each partition is registered once, and again
/// only after it has moved.
pub(crate) struct Progress {
    /// Of the local shard, under the places of the partitions in the whole list.
    local: Watch,
    /// Of the other shards: the first progress of each, with the places of its partitions.
    others: Vec<LocalBoxFuture<'static, Vec<usize>>>,
}

impl Progress {
    /// The places in the list of partitions that may have moved.
    pub async fn next(&mut self) -> Vec<usize> {
        if self.others.is_empty() {
            return vec![self.local.next().await];
        }
        let local = pin!(self.local.next());
        let others = select_all(self.others.iter_mut());
        let (places, index) = match future::select(local, others).await {
            Either::Left((place, _)) => return vec![place],
            Either::Right(((places, index, _), _)) => (places, index),
        };
        drop(self.others.swap_remove(index));
        places
    }
}

impl<E: Env> Router<E> {
    pub fn new(local: Rc<Shard<E>>, others: Vec<Sender<ShardRequest>>) -> Router<E> {
        Router {
            local,
            others,
            others_health: RefCell::new(Health::Serving),
        }
    }

    /// The node's shards.
    pub fn shards(&self) -> usize {
        self.others.len() + 1
    }

    /// `None`: the local one.
    fn other(&self, partition: TopicPartition) -> Option<&Sender<ShardRequest>> {
        match shard_of(partition, self.shards()) {
            0 => None,
            index => self.others.get(index - 1),
        }
    }

    /// Asks another shard. `None` if it is gone.
    async fn ask<T: Send>(
        shard: &Sender<ShardRequest>,
        request: impl FnOnce(ReplySender<T>) -> ShardRequest,
    ) -> Option<T> {
        let (sender, reply) = oneshot();
        shard.send(request(sender)).await.ok()?;
        reply.await.ok()
    }

    /// Splits a list by shard, does each shard's part, and puts the answers back in the list's order.
    async fn scatter<T, R: Clone + Send, F>(
        &self,
        items: Vec<T>,
        partition: impl Fn(&T) -> TopicPartition,
        gone: R,
        local: impl FnOnce(Vec<T>) -> F,
        remote: impl Fn(Vec<T>, ReplySender<Vec<R>>) -> ShardRequest,
    ) -> Vec<R>
    where
        F: Future<Output = Vec<R>>,
    {
        if self.others.is_empty() {
            return local(items).await;
        }
        let shards = self.shards();
        let mut places: Vec<Vec<usize>> = vec![Vec::new(); shards];
        let mut parts: Vec<Vec<T>> = (0..shards).map(|_| Vec::new()).collect();
        let count = items.len();
        for (place, item) in items.into_iter().enumerate() {
            let shard = shard_of(partition(&item), shards);
            places[shard].push(place);
            parts[shard].push(item);
        }
        let mut parts = parts.into_iter();
        let local_part = parts.next().unwrap_or_default();
        let remotes = parts.enumerate().map(|(index, part)| {
            let remote = &remote;
            async move {
                if part.is_empty() {
                    return Vec::new();
                }
                let ask = Self::ask(&self.others[index], |reply| remote(part, reply));
                ask.await.unwrap_or_default()
            }
        });
        let (local_answers, remote_answers) =
            future::join(local(local_part), join_all(remotes)).await;
        let mut answers = vec![gone; count];
        for (places, part) in places
            .into_iter()
            .zip(std::iter::once(local_answers).chain(remote_answers))
        {
            for (place, answer) in places.into_iter().zip(part) {
                answers[place] = answer;
            }
        }
        answers
    }

    /// Makes logs; see [`Shard::create`].
    pub async fn create(&self, logs: NewLogs) -> Vec<Result<(), StorageError>> {
        self.scatter(
            logs,
            |(partition, _)| *partition,
            Err(StorageError::Closed),
            |logs| self.local.create(logs),
            ShardRequest::Create,
        )
        .await
    }

    /// Destroys logs; see [`Shard::delete`].
    pub async fn delete(&self, partitions: Vec<TopicPartition>) -> Vec<Result<(), StorageError>> {
        self.scatter(
            partitions,
            |partition| *partition,
            Err(StorageError::Closed),
            |partitions| self.local.delete(partitions),
            ShardRequest::Delete,
        )
        .await
    }

    /// Gives logs new settings.
    pub async fn configure(&self, logs: Vec<(TopicPartition, LogConfig)>) {
        let mut parts: Vec<NewLogs> = vec![Vec::new(); self.shards()];
        for log in logs {
            parts[shard_of(log.0, self.shards())].push(log);
        }
        for (shard, part) in parts.into_iter().enumerate() {
            if shard == 0 {
                self.local.configure(part);
            } else if !part.is_empty() {
                Self::ask(&self.others[shard - 1], |reply| {
                    ShardRequest::Configure(part, reply)
                })
                .await;
            }
        }
    }

    /// Takes the batch's place in the partition's order; the future that comes back is ready when it is durable.
    pub async fn append(
        &self,
        partition: TopicPartition,
        batch: BytesMut,
        append_time_ms: i64,
    ) -> LocalBoxFuture<'static, Result<Appended, AppendError>> {
        let Some(shard) = self.other(partition) else {
            return self.local.append(partition, batch, append_time_ms);
        };
        let (sender, reply) = oneshot();
        let request = ShardRequest::Append {
            partition,
            batch,
            append_time_ms,
            reply: sender,
        };
        match shard.send(request).await {
            Ok(()) => reply
                .map(|answer| answer.unwrap_or(Err(AppendError::Unknown)))
                .boxed_local(),
            Err(_) => future::ready(Err(AppendError::Closed)).boxed_local(),
        }
    }

    /// The offsets of partitions, and how much can be read from the given ones. `None`: no such log.
    pub async fn ends(&self, partitions: Vec<(TopicPartition, Offset)>) -> Vec<Option<Ends>> {
        self.scatter(
            partitions,
            |(partition, _)| *partition,
            None,
            |partitions| future::ready(self.local.ends(&partitions)),
            ShardRequest::Ends,
        )
        .await
    }

    /// The offsets of one partition.
    pub async fn ends_of(&self, partition: TopicPartition) -> Option<Ends> {
        self.ends(vec![(partition, 0)]).await.pop().flatten()
    }

    pub async fn read(&self, plans: Vec<ReadPlan>) -> Vec<Result<Read, ReadError>> {
        self.scatter(
            plans,
            |plan| plan.partition,
            Err(ReadError::Deleted),
            |plans| async move { self.local.read(&plans).await },
            ShardRequest::Read,
        )
        .await
    }

    /// Begins to wait for progress beyond the given offsets.
    pub fn progress(&self, waits: &[(TopicPartition, Offset)]) -> Progress {
        let mut progress = Progress {
            local: self.local.watch(&[]),
            others: Vec::new(),
        };
        let all: Vec<usize> = (0..waits.len()).collect();
        self.progress_again(&mut progress, &all, waits);
        progress
    }

    /// Goes on waiting for those partitions, at `places` in the list, that have moved.
    pub fn progress_again(
        &self,
        progress: &mut Progress,
        places: &[usize],
        waits: &[(TopicPartition, Offset)],
    ) {
        let mut parts: Vec<Vec<usize>> = vec![Vec::new(); self.others.len()];
        for place in places {
            let (partition, beyond) = waits[*place];
            match shard_of(partition, self.shards()) {
                0 => progress.local.add(&self.local, *place, partition, beyond),
                shard => parts[shard - 1].push(*place),
            }
        }
        for (places, shard) in parts.into_iter().zip(&self.others) {
            if places.is_empty() {
                continue;
            }
            let shard = shard.clone();
            let waits = places.iter().map(|place| waits[*place]).collect();
            let moved = async move {
                Self::ask(&shard, |reply| ShardRequest::Watch(waits, reply)).await;
                places
            };
            progress.others.push(moved.boxed_local());
        }
    }

    pub async fn search(
        &self,
        partition: TopicPartition,
        search: Search,
    ) -> Result<Option<Found>, ReadError> {
        match self.other(partition) {
            None => self.local.search(partition, search).await,
            Some(shard) => Self::ask(shard, |reply| {
                ShardRequest::Search(partition, search, reply)
            })
            .await
            .unwrap_or(Err(ReadError::Deleted)),
        }
    }

    pub async fn epoch_end(
        &self,
        partition: TopicPartition,
        epoch: LeaderEpoch,
    ) -> Option<(LeaderEpoch, Offset)> {
        match self.other(partition) {
            None => self.local.epoch_end(partition, epoch),
            Some(shard) => {
                Self::ask(shard, |reply| {
                    ShardRequest::EpochEnd(partition, epoch, reply)
                })
                .await?
            }
        }
    }

    /// Moves a log's start up; answers the start there is then.
    pub async fn advance_start(
        &self,
        partition: TopicPartition,
        offset: Offset,
    ) -> Result<Offset, StorageError> {
        match self.other(partition) {
            None => self.local.advance_start(partition, offset).await,
            Some(shard) => Self::ask(shard, |reply| {
                ShardRequest::AdvanceStart(partition, offset, reply)
            })
            .await
            .unwrap_or(Err(StorageError::Closed)),
        }
    }

    /// Keeps a machine's state beside its log.
    pub async fn save_state(
        &self,
        partition: TopicPartition,
        end_offset: Offset,
        state: Bytes,
    ) -> Result<(), StorageError> {
        match self.other(partition) {
            None => self.local.save_state(partition, end_offset, state).await,
            Some(shard) => Self::ask(shard, |reply| {
                ShardRequest::SaveState(partition, end_offset, state, reply)
            })
            .await
            .unwrap_or(Err(StorageError::Closed)),
        }
    }

    /// The newest state that a machine kept beside its log.
    pub async fn load_state(&self, partition: TopicPartition) -> Result<SavedState, StorageError> {
        match self.other(partition) {
            None => self.local.load_state(partition).await,
            Some(shard) => Self::ask(shard, |reply| ShardRequest::LoadState(partition, reply))
                .await
                .unwrap_or(Err(StorageError::Closed)),
        }
    }

    pub async fn producers(&self, partition: TopicPartition) -> Option<Vec<ProducerInfo>> {
        match self.other(partition) {
            None => self.local.producers(partition),
            Some(shard) => {
                Self::ask(shard, |reply| ShardRequest::Producers(partition, reply)).await?
            }
        }
    }

    /// Every log of every shard.
    pub async fn all(&self) -> Vec<TopicPartition> {
        let mut all = self.local.logs.all();
        for shard in &self.others {
            all.extend(
                Self::ask(shard, ShardRequest::All)
                    .await
                    .unwrap_or_default(),
            );
        }
        all.sort_unstable();
        all
    }

    /// The storage's figures, shard by shard.
    pub async fn usage(&self) -> Vec<Usage> {
        let mut usages = vec![self.local.logs.usage()];
        for shard in &self.others {
            usages.push(
                Self::ask(shard, ShardRequest::Usage)
                    .await
                    .unwrap_or_default(),
            );
        }
        usages
    }

    /// Whether the storage's counts are what there is, on every shard.
    pub async fn recount(&self) -> Result<(), String> {
        self.local.logs.recount()?;
        for shard in &self.others {
            Self::ask(shard, ShardRequest::Recount)
                .await
                .unwrap_or(Ok(()))?;
        }
        Ok(())
    }

    /// Requests that wait for each of the other shards.
    pub fn queued(&self) -> Vec<usize> {
        self.others.iter().map(Sender::len).collect()
    }

    /// How the storage fares: the worst of the shards. What the other shards say is as old as the last
    /// [`Router::ask_health`].
    pub fn health(&self) -> Health {
        worse(
            self.local.logs.health(),
            self.others_health.borrow().clone(),
        )
    }

    /// Asks the other shards how they fare.
    pub async fn ask_health(&self) {
        let mut health = Health::Serving;
        for shard in &self.others {
            if let Some(answer) = Self::ask(shard, ShardRequest::Health).await {
                health = worse(health, answer);
            }
        }
        *self.others_health.borrow_mut() = health;
    }

    /// The largest batch that an append takes.
    pub fn batch_bytes_max(&self) -> usize {
        self.local.logs.batch_bytes_max()
    }

    /// Retention and rolling by time, on every shard.
    pub async fn housekeep(&self) {
        let others = self
            .others
            .iter()
            .map(|shard| Self::ask(shard, ShardRequest::Housekeep));
        future::join(self.local.logs.housekeep(), join_all(others)).await;
    }

    /// Stops the storage of every shard, shard 0 last.
    pub async fn shutdown(&self) -> Result<(), StorageError> {
        let others = self
            .others
            .iter()
            .map(|shard| Self::ask(shard, ShardRequest::Shutdown));
        let (local, others) = future::join(self.local.logs.shutdown(), join_all(others)).await;
        others
            .into_iter()
            .flatten()
            .fold(local, |result, other| result.and(other))
    }
}
