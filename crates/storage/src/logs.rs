//! The storage as one shard sees it: its logs, by topic id and partition.

use crate::flush::{self, Round};
use crate::housekeeping;
use crate::journal::Place;
use crate::journal::entry::{Entry, LogKey};
use crate::journal::messages::{Lane, ToKeeper, ToShard, WriterSenders};
use crate::log::LogInner;
use crate::replay::ReplayedLog;
use crate::segment::Plan;
use crate::shard::{InFlight, Removed, Shard};
use crate::state::LogState;
use crate::{Health, Log, LogConfig, Options, StorageError, sections};
use futures_channel::oneshot;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;
use taffrail_env::Env;
use taffrail_env::mailbox::{Receiver, Sender};
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
pub struct ShardPart {
    pub(crate) index: usize,
    pub(crate) shards: usize,
    pub(crate) options: Options,
    pub(crate) directory: PathBuf,
    pub(crate) payload_max: usize,
    pub(crate) writer: WriterSenders,
    pub(crate) keeper: Sender<ToKeeper>,
    pub(crate) mail: Receiver<ToShard>,
    pub(crate) logs: Vec<ReplayedLog>,
    pub(crate) deleted: Vec<(TopicPartition, u64)>,
    pub(crate) next_log_number: u64,
    pub(crate) as_of: Place,
}

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
    /// Segments found not to be what was written.
    pub corrupt_segments: usize,
}

/// The answer to a question for an epoch's end: the epoch found, and the offset at which it ends.
pub type EpochEnd = (LeaderEpoch, Offset);

/// Which of `shards` serves a partition. Taken anew at each start, and written nowhere.
pub fn shard_of(partition: TopicPartition, shards: usize) -> usize {
    let mut bytes = [0; 20];
    bytes[..16].copy_from_slice(&partition.topic.0);
    bytes[16..].copy_from_slice(&partition.partition.to_le_bytes());
    (crate::checksum::crc64(&bytes) % shards as u64) as usize
}

/// One shard's logs. A handle: cloning is cheap.
pub struct Logs<E: Env> {
    pub(crate) shard: Rc<Shard<E>>,
}

impl<E: Env> Clone for Logs<E> {
    fn clone(&self) -> Self {
        Logs {
            shard: self.shard.clone(),
        }
    }
}

impl<E: Env> Logs<E> {
    /// On the shard itself; spawns the shard's storage tasks.
    pub fn new(env: &E, part: ShardPart) -> Logs<E> {
        let shard = Shard::new(
            env,
            part.index,
            part.shards,
            part.options,
            part.directory,
            part.payload_max,
            part.writer,
            part.keeper,
        );
        shard.as_of.set(part.as_of);
        // Numbers of different shards never meet: each counts in steps of the number of shards.
        shard
            .next_log_number
            .set(part.next_log_number + part.index as u64);
        for (partition, number) in part.deleted {
            let due = env.now();
            shard.removed.borrow_mut().push(Removed {
                partition,
                number,
                due,
            });
        }
        for replayed in part.logs {
            let log = Rc::new(revive(env, replayed));
            let producers = log.state.borrow().producers.len();
            shard.producers.set(shard.producers.get() + producers);
            shard.logs.borrow_mut().insert(log.id, log);
        }
        shard.start(part.mail);
        Logs { shard }
    }

    /// Makes a log; durable when it returns.
    pub async fn create(
        &self,
        partition: TopicPartition,
        config: LogConfig,
    ) -> Result<Log<E>, StorageError> {
        self.check_open()?;
        let exists = self.shard.logs.borrow().contains_key(&partition);
        if exists || !self.shard.creating.borrow_mut().insert(partition) {
            return Err(StorageError::Exists);
        }
        let number = self.shard.next_log_number.get();
        self.shard
            .next_log_number
            .set(number + self.shard.shards as u64);
        let (done, wait) = oneshot::channel();
        let first = config.first_offset;
        let then = move |shard: &Rc<Shard<E>>| {
            let state = LogState::new(partition, number, first, 0);
            let log = Rc::new(LogInner::new(state, config, true));
            shard.creating.borrow_mut().remove(&partition);
            shard.logs.borrow_mut().insert(partition, log.clone());
            let _nobody_waits = done.send(log);
        };
        let entry = Entry::create(LogKey { partition, number }, 0, first);
        self.shard
            .submit(Lane::Ordinary, entry, InFlight::Then(Box::new(then)));
        match wait.await {
            Ok(inner) => Ok(Log {
                shard: self.shard.clone(),
                inner,
            }),
            Err(oneshot::Canceled) => Err(self.gone()),
        }
    }

    /// Destroys a log; durable when it returns. To be called only once its deletion is committed.
    pub async fn delete(&self, partition: TopicPartition) -> Result<(), StorageError> {
        self.check_open()?;
        let log = self.shard.logs.borrow().get(&partition).cloned();
        let Some(log) = log else {
            return Err(StorageError::Deleted);
        };
        if log.running.borrow().deleted {
            return Err(StorageError::Deleted);
        }
        log.mark_deleted();
        let (done, wait) = oneshot::channel();
        let entry = Entry::delete(log.key());
        let then = move |shard: &Rc<Shard<E>>| {
            housekeeping::forget(shard, &log);
            let _nobody_waits = done.send(());
        };
        self.shard
            .submit(Lane::Ordinary, entry, InFlight::Then(Box::new(then)));
        wait.await.map_err(|oneshot::Canceled| self.gone())?;
        if self.shard.full.borrow().is_some() {
            housekeeping::remove_deleted(&self.shard, true).await;
        }
        Ok(())
    }

    fn check_open(&self) -> Result<(), StorageError> {
        if self.shard.closing.get() {
            return Err(StorageError::Closed);
        }
        match self.shard.failed.borrow().clone() {
            Some(error) => Err(StorageError::Failed(error)),
            None => Ok(()),
        }
    }

    fn gone(&self) -> StorageError {
        match self.shard.failed.borrow().clone() {
            Some(error) => StorageError::Failed(error),
            None => StorageError::Closed,
        }
    }

    pub fn get(&self, partition: TopicPartition) -> Option<Log<E>> {
        let inner = self.shard.logs.borrow().get(&partition)?.clone();
        Some(Log {
            shard: self.shard.clone(),
            inner,
        })
    }

    /// In order of topic id and partition.
    pub fn all(&self) -> Vec<TopicPartition> {
        self.shard.logs.borrow().keys().copied().collect()
    }

    pub fn health(&self) -> Health {
        self.shard.health()
    }

    /// The largest batch that an append takes.
    pub fn batch_bytes_max(&self) -> usize {
        self.shard.payload_max
    }

    /// Retention, forgetting of idle producers, removal of files whose delay is over.
    pub async fn housekeep(&self) {
        if self.check_open().is_ok() {
            housekeeping::run(&self.shard).await;
        }
    }

    /// Takes no more appends, writes everything to the segments and cuts files to their valid length. To be called on every
    /// shard; shard 0 waits for the others, then marks the directory clean.
    pub async fn shutdown(&self) -> Result<(), StorageError> {
        let shard = &self.shard;
        if shard.closing.replace(true) {
            return Err(StorageError::Closed);
        }
        self.settle(true).await;
        let outcome = self.write_everything().await;
        self.settle(false).await;
        let sections = sections::collect(shard, outcome == Round::Done).await;
        let _gone = shard.keeper.send(ToKeeper::Closing(sections)).await;
        while shard.index == 0 && !shard.finished.get() {
            shard.settled.heard().await;
        }
        if let Some(error) = shard.failed.borrow().clone() {
            return Err(StorageError::Failed(error));
        }
        if let Some(error) = shard.unclosed.borrow().clone() {
            return Err(StorageError::NoSpace(error));
        }
        match (outcome, shard.full.borrow().clone()) {
            (Round::NoSpace, Some(error)) => Err(StorageError::NoSpace(error)),
            _ => Ok(()),
        }
    }

    /// Until nothing is on its way to the journal, or nothing more will arrive there.
    async fn settle(&self, pending_too: bool) {
        let shard = &self.shard;
        loop {
            let pending = pending_too
                && shard
                    .logs
                    .borrow()
                    .values()
                    .any(|log| log.running.borrow().making_room);
            if shard.failed.borrow().is_some() || shard.is_settled() && !pending {
                return;
            }
            shard.settled.heard().await;
        }
    }

    async fn write_everything(&self) -> Round {
        let shard = &self.shard;
        loop {
            let dirty: Vec<Rc<LogInner>> = shard
                .logs
                .borrow()
                .values()
                .filter(|log| log.running.borrow().tail.dirty_bytes() > 0)
                .take(shard.options.flush_files_max)
                .cloned()
                .collect();
            if dirty.is_empty() {
                break;
            }
            let round = flush::flush_round(shard, dirty).await;
            if round != Round::Done {
                return round;
            }
        }
        let logs: Vec<Rc<LogInner>> = shard.logs.borrow().values().cloned().collect();
        for logs in logs.chunks(shard.options.flush_files_max) {
            let round = flush::tidy_round(shard, logs.to_vec()).await;
            if round != Round::Done {
                return round;
            }
        }
        housekeeping::look_before_stop(shard).await;
        for log in logs {
            housekeeping::write_last_snapshot(shard, &log).await;
        }
        housekeeping::remove_old_segments(shard, Duration::ZERO).await;
        housekeeping::remove_deleted(shard, true).await;
        match shard.failed.borrow().is_some() {
            true => Round::Failed,
            false => Round::Done,
        }
    }

    pub fn usage(&self) -> Usage {
        let shard = &self.shard;
        let logs = shard.logs.borrow();
        let unflushed = logs
            .values()
            .map(|log| log.running.borrow().tail.dirty_bytes());
        Usage {
            logs: logs.len(),
            uncommitted_bytes: shard.uncommitted_bytes.get(),
            unflushed_bytes: unflushed.sum(),
            cached_bytes: shard.cached_bytes.get(),
            producers: shard.producers.get(),
            open_files: shard.files.borrow().len(),
            corrupt_segments: logs.values().map(|log| log.corrupt_segments()).sum(),
        }
    }
}

/// A log as recovery found it, ready to go on.
fn revive<E: Env>(env: &E, replayed: ReplayedLog) -> LogInner {
    let config = LogConfig::default();
    let now_ms = env.unix_ms();
    let state = replayed.state;
    let last = state.segments.last().filter(|last| !last.sealed);
    let mut plan = last.map(|last| Plan::resume(state.partition, last, now_ms));
    let mut tail = replayed.tail;
    let mut goes = None;
    for entry in &mut tail {
        let meant = entry.segment;
        entry.segment = match goes {
            Some((before, to)) if before == meant => to,
            _ => flush::destination(state.segments.last(), meant, entry.header.base_offset),
        };
        goes = Some((meant, entry.segment));
        let fits = plan
            .as_ref()
            .is_some_and(|plan| plan.base_offset == entry.segment);
        if !fits {
            plan = Some(Plan::new(state.partition, entry.segment, now_ms));
        }
        if let Some(plan) = &mut plan {
            plan.admit(&config, entry.batch.len(), entry.header.max_timestamp);
        }
    }
    let log = LogInner::new(state, config, false);
    {
        let mut running = log.running.borrow_mut();
        running.plan = plan;
        for entry in tail {
            let place = Some(entry.place);
            running.tail.push(
                &entry.header,
                entry.batch,
                entry.segment,
                entry.time_ms,
                place,
            );
        }
    }
    log
}
