//! One partition of `__consumer_offsets`: its coordinator, and the way of its records into the log.
//!
//! The coordinator is there while the partition is served; before, and after a failed append, it is built from
//! the log. One task writes at a time, and ends when there is nothing to write; if its append fails, everybody
//! who waits is told that the outcome is unknown, the coordinator is thrown away, and the log is read again. Reading
//! it all again for every refused commit of a full disk would be too much, so after a failure nothing is taken in for a while that
//! would have to be written; what only asks is answered.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_channel::{mpsc, oneshot};
use taffrail_env::{Env, Instant};
use taffrail_record::builder::{BatchBuilder, ProducerFields};
use taffrail_record::{Codec, Offset, TopicPartition};
use taffrail_replication::{Machine, Position};

use super::load::{LoadError, load};
use crate::controller::prefix_of;
use crate::group::{
    Batch, Coordinator, Effects, GroupConfig, GroupError, JoinRefused, JoinReply, JoinRequest, Now,
    Release, Serving, Stored, SyncReply, SyncRequest,
};
use crate::metadata::RawTopicId;
use crate::node::{Audit, Difference, Replayed};
use crate::router::Router;

/// How long to wait before a partition that could not be read is read again; doubled up to the maximum.
const RETRY: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(10);
/// How long nothing is taken in to be written after an append failed; doubled up to the maximum while appends go on failing.
const REST: Duration = Duration::from_millis(100);
const REST_MAX: Duration = Duration::from_secs(5);
/// When what groups committed of topics that are gone is to be forgotten again after an append failed, unless another one succeeds before.
const FORGET_AGAIN: Duration = Duration::from_secs(60);
/// The most that is put into one batch where the journal takes more.
const BATCH_BYTES_MAX: usize = 512 << 10;

type Joining = oneshot::Sender<JoinReply>;
type Syncing = oneshot::Sender<SyncReply>;
type Coordinating = Coordinator<Joining, Syncing>;
type Outcome = Effects<Joining, Syncing>;

pub(super) type TopicExists = Box<dyn Fn(&RawTopicId) -> bool>;

/// What all partitions share.
pub(super) struct Shared<E: Env> {
    pub env: E,
    router: Rc<Router<E>>,
    config: GroupConfig,
    /// The most that is put into one batch, as far as units allow: half of what the journal takes, if that is little.
    batch_bytes_max: usize,
    /// Whether the metadata knows a topic.
    pub topic_exists: OnceCell<TopicExists>,
    poke: RefCell<mpsc::Sender<()>>,
    /// What the coordinators of all partitions take.
    bytes: Cell<usize>,
    /// How often a coordinator was thrown away because an append failed.
    reloads: Cell<u64>,
    /// Until when the time keeper sleeps.
    pub armed: Cell<Instant>,
}

impl<E: Env> Shared<E> {
    pub fn new(
        env: E,
        router: Rc<Router<E>>,
        config: GroupConfig,
        poke: mpsc::Sender<()>,
    ) -> Shared<E> {
        // A group's record has to fit into a batch.
        let group_bytes_max = config.group_bytes_max.min(router.batch_bytes_max() / 2);
        Shared {
            env,
            batch_bytes_max: BATCH_BYTES_MAX.min(router.batch_bytes_max() / 2),
            topic_exists: OnceCell::new(),
            config: GroupConfig {
                group_bytes_max,
                ..config
            },
            router,
            poke: RefCell::new(poke),
            bytes: Cell::new(0),
            reloads: Cell::new(0),
            armed: Cell::new(Instant::MAX),
        }
    }

    /// What all coordinators take, roughly, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes.get()
    }

    /// How often a coordinator was thrown away because an append failed.
    pub fn reloads(&self) -> u64 {
        self.reloads.get()
    }

    /// The topics that are stored and exist no more.
    pub fn gone(&self, stored: &Stored) -> BTreeSet<RawTopicId> {
        let mut ids = stored.topic_ids();
        ids.retain(|id| self.topic_exists.get().is_some_and(|exists| !exists(id)));
        ids
    }

    /// Ends the time keeper.
    pub fn stop(&self) {
        self.poke.borrow_mut().close_channel();
    }

    fn now(&self) -> Now {
        Now {
            at: self.env.now(),
            unix_ms: self.env.unix_ms(),
        }
    }

    /// Wakes the time keeper if it would sleep too long. A full channel has woken it already.
    fn expect(&self, deadline: Instant) {
        if deadline < self.armed.get() {
            self.armed.set(deadline);
            let _ = self.poke.borrow_mut().try_send(());
        }
    }
}

enum Phase {
    Loading,
    Serving(Box<Serving<Joining, Syncing, oneshot::Sender<()>>>),
    Stopped,
}

/// One partition, and its groups.
pub(super) struct Partition<E: Env> {
    shared: Rc<Shared<E>>,
    log: TopicPartition,
    phase: RefCell<Phase>,
    is_writing: Cell<bool>,
    is_saving: Cell<bool>,
    /// Until when nothing is taken in to be written, and how long that rest is.
    rest: Cell<(Instant, Duration)>,
    /// What of [`Shared::bytes`] is this partition's.
    bytes: Cell<usize>,
    /// Topics that are gone, and of which offsets may still be stored.
    deleted_topics: RefCell<BTreeSet<RawTopicId>>,
}

impl<E: Env> Partition<E> {
    /// Begins to read a partition, and to serve it when that is done.
    pub fn load(shared: &Rc<Shared<E>>, log: TopicPartition) -> Rc<Partition<E>> {
        let partition = Rc::new(Partition {
            shared: shared.clone(),
            log,
            phase: RefCell::new(Phase::Loading),
            is_writing: Cell::new(false),
            is_saving: Cell::new(false),
            rest: Cell::default(),
            bytes: Cell::new(0),
            deleted_topics: RefCell::default(),
        });
        shared.env.spawn(partition.clone().read());
        partition
    }

    pub fn is_loading(&self) -> bool {
        matches!(*self.phase.borrow(), Phase::Loading)
    }

    /// Reads the log until that succeeds, or the partition is stopped.
    async fn read(self: Rc<Self>) {
        let mut retry = RETRY;
        loop {
            match load(&self.shared.router, self.log, None).await {
                Ok((stored, position)) if self.is_loading() => {
                    let config = self.shared.config.clone();
                    self.note_deleted(&stored);
                    let serving = Serving::new(config, stored, position, self.shared.now());
                    self.count_bytes(serving.coordinator().bytes());
                    *self.phase.borrow_mut() = Phase::Serving(Box::new(serving));
                    self.flush();
                    if self.check_rested().is_err() {
                        // Whatever was refused just now would be refused again.
                        self.shared.env.sleep(FORGET_AGAIN).await;
                    }
                    self.delete_noted();
                    return;
                }
                Ok(_) => return,
                Err(error) => {
                    if retry > RETRY || error != LoadError::NoLog {
                        tracing::warn!("groups of partition {} not read: {error}", self.log);
                    }
                }
            }
            self.shared.env.sleep(retry).await;
            if !self.is_loading() {
                return;
            }
            retry = (retry * 2).min(RETRY_MAX);
        }
    }

    /// A crash or a refused append may have come between a topic's end and what was to be forgotten of it.
    fn note_deleted(&self, stored: &Stored) {
        let mut gone = self.shared.gone(stored);
        self.deleted_topics.borrow_mut().append(&mut gone);
    }

    fn delete_noted(self: &Rc<Self>) {
        let deleted = self.deleted_topics.take();
        if !deleted.is_empty() {
            self.delete_topics(&deleted);
        }
    }

    /// Looks at the coordinator, if the partition is served. What is seen may not be durable yet.
    pub fn look<R>(&self, look: impl FnOnce(&Coordinating) -> R) -> Option<R> {
        match &*self.phase.borrow() {
            Phase::Serving(serving) => Some(look(serving.coordinator())),
            Phase::Loading | Phase::Stopped => None,
        }
    }

    /// Stops; whoever waits is told to look elsewhere.
    pub fn stop(&self) {
        self.abandon(Phase::Stopped, GroupError::NotCoordinator);
    }

    /// When the coordinator has something to do.
    pub fn next_deadline(&self) -> Option<Instant> {
        match &*self.phase.borrow() {
            Phase::Serving(serving) => Some(serving.coordinator().next_deadline()),
            Phase::Loading | Phase::Stopped => None,
        }
    }

    /// Does what is due.
    pub fn on_time(self: &Rc<Self>, now: Instant) {
        if self.next_deadline().is_some_and(|deadline| deadline <= now) {
            // There is nobody to tell that the partition is no longer served.
            let _ = self.step(|coordinator, now, effects| coordinator.on_timer(now, effects));
        }
    }

    /// Topics were deleted.
    pub fn delete_topics(self: &Rc<Self>, topic_ids: &BTreeSet<RawTopicId>) {
        let ids = topic_ids.clone();
        let step =
            self.step(|coordinator, now, effects| coordinator.delete_topics(now, ids, effects));
        if step == Err(GroupError::Loading) {
            self.deleted_topics.borrow_mut().extend(topic_ids);
        }
    }

    /// Lets the coordinator take a step, and carries out its effects.
    fn step<R>(
        self: &Rc<Self>,
        step: impl FnOnce(&mut Coordinating, Now, &mut Outcome) -> R,
    ) -> Result<R, GroupError> {
        self.step_until(None, step)
    }

    /// [`Partition::act`], for a step that has something to write.
    pub async fn act_to_write<R>(
        self: &Rc<Self>,
        step: impl FnOnce(&mut Coordinating, Now, &mut Outcome) -> R,
    ) -> Result<R, GroupError> {
        self.check_rested()?;
        self.act(step).await
    }

    fn check_rested(&self) -> Result<(), GroupError> {
        match self.shared.env.now() < self.rest.get().0 {
            true => Err(GroupError::NotAvailable),
            false => Ok(()),
        }
    }

    /// Lets the coordinator take a step, and waits until what it was judged against is durable.
    pub async fn act<R>(
        self: &Rc<Self>,
        step: impl FnOnce(&mut Coordinating, Now, &mut Outcome) -> R,
    ) -> Result<R, GroupError> {
        let (waiter, committed) = oneshot::channel();
        let result = self.step_until(Some(waiter), step)?;
        committed.await.map_err(|_| GroupError::NotAvailable)?;
        Ok(result)
    }

    /// Lets the coordinator take a step, carries out its effects, and tells `waiter` when what it was judged
    /// against is durable.
    fn step_until<R>(
        self: &Rc<Self>,
        waiter: Option<oneshot::Sender<()>>,
        step: impl FnOnce(&mut Coordinating, Now, &mut Outcome) -> R,
    ) -> Result<R, GroupError> {
        let now = self.shared.now();
        let result = match &mut *self.phase.borrow_mut() {
            Phase::Serving(serving) => {
                let elsewhere = self.shared.bytes.get() - self.bytes.get();
                let result = serving.act(|coordinator, effects| {
                    coordinator.set_bytes_elsewhere(elsewhere);
                    step(coordinator, now, effects)
                });
                if let Some(waiter) = waiter {
                    serving.when_committed(waiter);
                }
                self.count_bytes(serving.coordinator().bytes());
                result
            }
            Phase::Loading => return Err(GroupError::Loading),
            Phase::Stopped => return Err(GroupError::NotCoordinator),
        };
        self.flush();
        Ok(result)
    }

    /// The coordinator takes so much now.
    fn count_bytes(&self, bytes: usize) {
        let before = self.bytes.replace(bytes);
        self.shared
            .bytes
            .set(self.shared.bytes.get() - before + bytes);
    }

    pub async fn join(self: &Rc<Self>, request: JoinRequest) -> Result<JoinReply, GroupError> {
        self.check_rested()?;
        let (caller, reply) = oneshot::channel();
        self.step(|coordinator, now, effects| coordinator.join(now, request, caller, effects))?;
        reply.await.map_err(|_| GroupError::NotAvailable)
    }

    pub async fn sync(self: &Rc<Self>, request: SyncRequest) -> Result<SyncReply, GroupError> {
        self.check_rested()?;
        let (caller, reply) = oneshot::channel();
        self.step(|coordinator, now, effects| coordinator.sync(now, request, caller, effects))?;
        reply.await.map_err(|_| GroupError::NotAvailable)
    }

    /// Hands out what may leave, and sees to it that the rest is written.
    fn flush(self: &Rc<Self>) {
        let deadline = {
            let mut phase = self.phase.borrow_mut();
            let Phase::Serving(serving) = &mut *phase else {
                return;
            };
            while let Some(release) = serving.release() {
                hand_out(release);
            }
            if !serving.is_committed() && !self.is_writing.replace(true) {
                self.shared.env.spawn(self.clone().write());
            }
            serving.coordinator().next_deadline()
        };
        self.shared.expect(deadline);
    }

    /// Appends batch after batch until everything is durable.
    async fn write(self: Rc<Self>) {
        loop {
            let batch = match &mut *self.phase.borrow_mut() {
                Phase::Serving(serving) => serving.next_batch(self.shared.batch_bytes_max),
                Phase::Loading | Phase::Stopped => None,
            };
            let Some(batch) = batch else { break };
            let now_ms = self.shared.env.unix_ms();
            let bytes = encode(&batch, now_ms);
            let appended = self
                .shared
                .router
                .append(self.log, bytes, now_ms)
                .await
                .await;
            let failure = match (appended, &mut *self.phase.borrow_mut()) {
                (_, Phase::Loading | Phase::Stopped) => None,
                (Ok(appended), Phase::Serving(serving)) => {
                    let placed = serving.on_appended(appended.base_offset as Position);
                    (!placed).then(|| format!("a batch lies at offset {}", appended.base_offset))
                }
                (Err(error), Phase::Serving(_)) => Some(error.to_string()),
            };
            if let Some(failure) = failure {
                tracing::warn!("groups of partition {} are read again: {failure}", self.log);
                self.is_writing.set(false);
                let rest = (self.rest.get().1 * 2).clamp(REST, REST_MAX);
                self.rest.set((self.shared.env.now() + rest, rest));
                self.shared.reloads.set(self.shared.reloads.get() + 1);
                self.abandon(Phase::Loading, GroupError::NotAvailable);
                self.shared.env.spawn(self.clone().read());
                return;
            }
            self.rest.set((Instant::default(), Duration::ZERO));
            self.delete_noted();
            self.flush();
            self.save_if_due();
        }
        self.is_writing.set(false);
    }

    /// Throws the coordinator away.
    fn abandon(&self, next: Phase, why: GroupError) {
        let Phase::Serving(serving) = self.phase.replace(next) else {
            return;
        };
        self.count_bytes(0);
        let abandoned = serving.abandon();
        // Whoever only waited for a commit hears of it by its channel.
        drop(abandoned.waiting);
        let refused = || JoinRefused {
            error: why,
            member_id: String::new(),
        };
        // Whoever has gone meanwhile does not need to be told.
        for caller in abandoned.joining {
            let _ = caller.send(Err(refused()));
        }
        for caller in abandoned.syncing {
            let _ = caller.send(Err(why));
        }
    }

    /// Keeps a snapshot beside the log, and lets go of the records before it.
    fn save_if_due(self: &Rc<Self>) {
        if self.is_saving.get() {
            return;
        }
        let snapshot = match &mut *self.phase.borrow_mut() {
            Phase::Serving(serving) => serving.take_snapshot(),
            Phase::Loading | Phase::Stopped => None,
        };
        if let Some((position, state)) = snapshot {
            self.is_saving.set(true);
            self.shared
                .env
                .spawn(self.clone().save(position as Offset, Bytes::from(state)));
        }
    }

    async fn save(self: Rc<Self>, end: Offset, state: Bytes) {
        let router = &self.shared.router;
        let saved = async {
            router.save_state(self.log, end, state.clone()).await?;
            // Nothing is let go before its snapshot was read back.
            match router.load_state(self.log).await? {
                Some((read, bytes)) if read == end && bytes == state => {
                    router.advance_start(self.log, end).await.map(|_| true)
                }
                _ => Ok(false),
            }
        };
        match saved.await {
            Ok(true) => {}
            Ok(false) => tracing::warn!(
                "snapshot of the groups of partition {} is not what was saved",
                self.log
            ),
            // The log is whole, and the next snapshot is tried when as much has been logged again.
            Err(error) => tracing::warn!(
                "snapshot of the groups of partition {} not kept: {error}",
                self.log
            ),
        }
        self.is_saving.set(false);
    }

    /// The live state, and what whoever reads the log has, unless it cannot be told now.
    pub async fn audit(self: &Rc<Self>, audit: &mut Audit) -> Result<(), Difference> {
        if !audit.note_prefix(prefix_of(&self.shared.router, self.log).await) {
            return Ok(());
        }
        let wrong = |what: String| {
            let what = format!("groups of partition {}: {what}", self.log);
            Difference::new("OFFSET-REPLAY-EQ", what)
        };
        let (position, live) = match &*self.phase.borrow() {
            Phase::Serving(serving) if serving.is_committed() => {
                serving.coordinator().check().map_err(wrong)?;
                (serving.log_end(), serving.coordinator().stored().digest())
            }
            _ => return Ok(()),
        };
        match load(&self.shared.router, self.log, Some(position)).await {
            Ok((stored, read)) if read == position => {
                audit.replayed.push(Replayed {
                    invariant: "OFFSET-REPLAY-EQ",
                    of: format!("groups of partition {} at {position}", self.log),
                    live,
                    replayed: stored.digest(),
                });
                Ok(())
            }
            Ok((_, read)) if read < position => Err(wrong(format!(
                "the log ends at offset {read}, and {position} was committed"
            ))),
            Ok(_) => Ok(()),
            Err(LoadError::Content(what)) => Err(wrong(what)),
            Err(LoadError::NoLog | LoadError::Storage(_) | LoadError::Read(_)) => Ok(()),
        }
    }
}

/// Whoever has gone meanwhile does not need to be told.
fn hand_out(release: Release<Joining, Syncing, oneshot::Sender<()>>) {
    match release {
        Release::Join(caller, reply) => drop(caller.send(reply)),
        Release::Sync(caller, reply) => drop(caller.send(reply)),
        Release::Committed(caller) => drop(caller.send(())),
    }
}

fn encode(batch: &Batch, now_ms: i64) -> BytesMut {
    let mut builder = BatchBuilder::new(Codec::None, now_ms);
    for (key, value) in &batch.records {
        builder
            .append(now_ms, Some(key), value.as_deref(), &[])
            .expect("records of groups are far smaller than a batch may be");
    }
    builder
        .finish(ProducerFields::default())
        .expect("a batch has records")
}
