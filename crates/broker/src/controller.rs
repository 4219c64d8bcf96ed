//! Drives the metadata machine: commands go into the `__cluster_metadata` log, and what has committed is applied here.
//!
//! All commands that wait when the last append is durable go into one batch, one record a command, so that many
//! cost one sync and an offset is a command's position. What a command obliges this node to do - make a topic's logs,
//! destroy them, give them new settings - is done before the command is answered, in the order of the log. A snapshot
//! of the machine beside the log lets its start move up.
//!
//! What must hold: the machine holds committed state only; data is destroyed only because of a committed deletion.

mod replay;

use std::cell::{Cell, OnceCell, Ref, RefCell};
use std::collections::BTreeSet;
use std::fmt;
use std::rc::Rc;

use bytes::Bytes;
use futures_channel::{mpsc, oneshot};
use futures_util::future::join_all;
use futures_util::{SinkExt, StreamExt};
use taffrail_env::{Env, dawdle};
use taffrail_record::builder::{BatchBuilder, ProducerFields};
use taffrail_record::{Codec, Offset, TopicId, TopicPartition};
use taffrail_replication::active_active::Sequencer;
use taffrail_replication::{Machine, Term, encoding};
use taffrail_storage::{AppendError, LogConfig, ReadError, StorageError};

use crate::group::Groups;
use crate::metadata::{Command, Done, Duty, METADATA_TOPIC_ID, Metadata, Reply};
use crate::node::{Audit, Difference, NodeConfig, Prefix, Replayed};
use crate::router::Router;
use crate::settings::Settings;

/// The metadata's log.
pub(crate) const METADATA_LOG: TopicPartition = TopicPartition {
    topic: METADATA_TOPIC_ID,
    partition: 0,
};
/// Commands that wait to be appended.
const QUEUE_MAX: usize = 1024;
/// Commands in one batch.
const COMMANDS_PER_BATCH_MAX: usize = 256;
/// A batch takes no more commands once it is this large, or half of what the journal takes.
const BATCH_BYTES_MAX: usize = 512 << 10;
/// How many commands lie between two snapshots, unless configured otherwise.
pub(crate) const SNAPSHOT_INTERVAL: u64 = 1024;

/// Why a command has no answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Unavailable {
    /// The log did not take it; nothing was changed unless the disk failed.
    Append(AppendError),
    /// The node is stopping.
    Stopping,
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unavailable::Append(error) => write!(f, "the metadata log: {error}"),
            Unavailable::Stopping => f.write_str("the node is stopping"),
        }
    }
}

/// Why the metadata was not restored.
#[derive(Clone, Debug, PartialEq)]
pub enum RestoreFailure {
    Storage(StorageError),
    Read(ReadError),
    /// The log or the snapshot holds what this program cannot read.
    Content(String),
}

impl fmt::Display for RestoreFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RestoreFailure::Storage(error) => error.fmt(f),
            RestoreFailure::Read(error) => error.fmt(f),
            RestoreFailure::Content(what) => f.write_str(what),
        }
    }
}

/// Whoever waits for a command's answer. Nobody, if the node itself sent it.
type Caller = Option<oneshot::Sender<Result<Reply, Unavailable>>>;

/// The metadata of the node, and the way to change it.
pub(crate) struct Controller<E: Env> {
    env: E,
    node_id: i32,
    router: Rc<Router<E>>,
    settings: Rc<Settings>,
    sequencer: RefCell<Sequencer<Metadata, Caller>>,
    snapshot_interval: u64,
    first_offset: Offset,
    snapshot_at: Cell<u64>,
    queue: mpsc::Sender<(Command, Caller)>,
    /// Counts the commands that were applied, those read from the log at the start included.
    applied: Cell<u64>,
    /// Something that a command obliges this node to has failed, and is to be tried again.
    unfinished: Cell<bool>,
    /// Who forgets what groups committed of topics that are deleted.
    groups: OnceCell<Rc<Groups<E>>>,
}

/// The metadata log's own settings: its start moves by snapshots alone, and it has room ahead for the full disk on which
/// somebody must delete a topic.
pub(crate) fn metadata_log_config() -> LogConfig {
    LogConfig {
        segment_bytes: 16 << 20,
        segment_ms: i64::MAX,
        retention_ms: -1,
        retention_bytes: -1,
        file_delete_delay_ms: 0,
        reserve_ahead_bytes: 4 << 20,
        ..LogConfig::default()
    }
}

impl<E: Env> Controller<E> {
    /// Restores the machine from its snapshot and its log, and starts to take commands.
    pub async fn restore(
        env: &E,
        config: &NodeConfig,
        term: Term,
        router: Rc<Router<E>>,
        settings: Rc<Settings>,
    ) -> Result<Rc<Controller<E>>, RestoreFailure> {
        let created = router
            .create(vec![(METADATA_LOG, metadata_log_config())])
            .await;
        if let Some(Err(error)) = created.into_iter().next() {
            return Err(RestoreFailure::Storage(error));
        }
        router
            .configure(vec![(METADATA_LOG, metadata_log_config())])
            .await;
        let (sequencer, replayed) = replay::replay(&router, term).await?;
        let (queue, commands) = mpsc::channel(QUEUE_MAX);
        let controller = Rc::new(Controller {
            env: env.clone(),
            node_id: config.node_id,
            router,
            settings,
            snapshot_interval: config.metadata_snapshot_interval,
            first_offset: config.first_offset,
            snapshot_at: Cell::new(sequencer.position() - replayed),
            sequencer: RefCell::new(sequencer),
            queue,
            applied: Cell::new(replayed),
            unfinished: Cell::new(false),
            groups: OnceCell::new(),
        });
        controller.refresh_broker_settings();
        env.spawn(controller.clone().run(commands));
        Ok(controller)
    }

    /// From now on the groups are told of topics that are deleted, whoever asked for it, and whether or not he waits for the answer.
    pub fn tell_groups(&self, groups: &Rc<Groups<E>>) {
        let told = self.groups.set(groups.clone());
        assert!(told.is_ok(), "a node has one set of groups");
    }

    /// The committed state. Not to be held across an await.
    pub fn metadata(&self) -> Ref<'_, Metadata> {
        Ref::map(self.sequencer.borrow(), Sequencer::machine)
    }

    /// Up to which offset of its log the metadata is applied.
    pub fn position(&self) -> Offset {
        self.sequencer.borrow().position() as Offset
    }

    /// How many commands were applied since the start, those read from the log included.
    pub fn applied(&self) -> u64 {
        self.applied.get()
    }

    /// Has a command committed and carried out here, and answers what came of it.
    pub async fn submit(&self, command: Command) -> Result<Reply, Unavailable> {
        let (caller, answer) = oneshot::channel();
        let mut queue = self.queue.clone();
        queue
            .send((command, Some(caller)))
            .await
            .map_err(|_| Unavailable::Stopping)?;
        answer.await.unwrap_or(Err(Unavailable::Stopping))
    }

    async fn run(self: Rc<Self>, mut commands: mpsc::Receiver<(Command, Caller)>) {
        while let Some(first) = commands.next().await {
            let mut batch = vec![first];
            while batch.len() < COMMANDS_PER_BATCH_MAX {
                match commands.try_recv() {
                    Ok(command) => batch.push(command),
                    Err(_) => break,
                }
            }
            let mut batch = batch.into_iter().peekable();
            while batch.peek().is_some() {
                self.commit(&mut batch).await;
            }
            self.snapshot_if_due().await;
        }
    }

    /// Appends as many of the commands as fit into one batch, waits until they are durable, applies them,
    /// carries them out, answers.
    async fn commit(
        self: &Rc<Self>,
        commands: &mut std::iter::Peekable<std::vec::IntoIter<(Command, Caller)>>,
    ) {
        let now_ms = self.env.unix_ms();
        let mut builder = BatchBuilder::new(Codec::None, now_ms);
        let mut entries = Vec::new();
        let bytes_max = BATCH_BYTES_MAX.min(self.router.batch_bytes_max() / 2);
        while builder.size_estimate() < bytes_max
            && let Some((command, caller)) = commands.next()
        {
            let entry = self.sequencer.borrow_mut().on_request(caller, command);
            let mut bytes = Vec::new();
            encoding::encode(&entry, &mut bytes).expect("a command always has an encoding");
            builder
                .append(now_ms, None, Some(&bytes), &[])
                .expect("commands are far smaller than a batch may be");
            entries.push(entry);
        }
        let batch = builder
            .finish(ProducerFields::default())
            .expect("a batch of at least one command");
        let appended = self.router.append(METADATA_LOG, batch, now_ms).await.await;
        let base = match appended {
            Ok(appended) => appended.base_offset,
            Err(error) => {
                tracing::warn!("metadata commands not committed: {error}");
                let callers = self.sequencer.borrow_mut().on_append_failed();
                for caller in callers.into_iter().flatten() {
                    let _ = caller.send(Err(Unavailable::Append(error.clone())));
                }
                return;
            }
        };
        let mut outcomes = Vec::with_capacity(entries.len());
        for (position, entry) in (base as u64..).zip(entries) {
            let mut replies = Vec::new();
            self.sequencer
                .borrow_mut()
                .on_committed(position, &entry, &mut replies);
            self.applied.set(self.applied.get() + 1);
            outcomes.extend(
                replies
                    .into_iter()
                    .map(|(caller, reply)| (entry.request.clone(), caller, reply)),
            );
        }
        self.carry_out_all(&outcomes).await;
        for (_, caller, reply) in outcomes {
            if let Some(caller) = caller {
                let _ = caller.send(Ok(reply));
            }
        }
    }

    /// Does what committed commands oblige this node to, in their order; neighbours of one kind at the same time.
    async fn carry_out_all(self: &Rc<Self>, outcomes: &[(Command, Caller, Reply)]) {
        let kind = |reply: &Reply| reply.as_ref().ok().map(std::mem::discriminant);
        for run in outcomes.chunk_by(|(_, _, one), (_, _, next)| kind(one) == kind(next)) {
            let done = run
                .iter()
                .filter_map(|(command, _, reply)| Some((command, reply.as_ref().ok()?)));
            join_all(done.map(|(command, done)| self.carry_out(command, done))).await;
        }
    }

    /// Does on this node what one committed command obliges it to.
    async fn carry_out(self: &Rc<Self>, command: &Command, done: &Done) {
        match done {
            Done::TopicCreated { topic_id, .. } | Done::PartitionsCreated { topic_id, .. } => {
                self.create_logs(TopicId(*topic_id)).await;
            }
            Done::TopicDeleted { topic_id, .. } => {
                self.settings.forget_topic(TopicId(*topic_id));
                if let Some(groups) = self.groups.get() {
                    groups.topics_deleted(&BTreeSet::from([*topic_id]));
                }
                self.remove_data(TopicId(*topic_id)).await;
            }
            Done::ConfigsSet => match command {
                Command::SetTopicConfigs { name, .. } => {
                    let id = self.metadata().topic(name).map(|topic| topic.id());
                    if let Some(id) = id {
                        self.settings.forget_topic(id);
                        let logs = self.logs_of(id);
                        self.router.configure(logs).await;
                    }
                }
                _ => {
                    self.refresh_broker_settings();
                    let ids: Vec<_> = self.metadata().topics().map(|topic| topic.id()).collect();
                    for id in ids {
                        let logs = self.logs_of(id);
                        self.router.configure(logs).await;
                    }
                }
            },
            Done::ProducerIds { .. }
            | Done::BrokerRegistered { .. }
            | Done::DataRemoved
            | Done::SemanticsLevelSet => {}
        }
    }

    fn refresh_broker_settings(&self) {
        let metadata = self.metadata();
        let texts = |broker| metadata.broker_configs(broker).cloned().unwrap_or_default();
        self.settings
            .set_dynamic(texts(None), texts(Some(self.node_id)));
    }

    /// The logs that this node should have of a topic.
    fn logs_of(&self, id: TopicId) -> Vec<(TopicPartition, LogConfig)> {
        let metadata = self.metadata();
        let Some(topic) = metadata.topic_by_id(id) else {
            return Vec::new();
        };
        let mut config = self.settings.topic(topic).log_config(topic.internal);
        if !topic.internal {
            config.first_offset = self.first_offset;
        }
        let mine = |replicas: &[i32]| replicas.contains(&self.node_id);
        topic
            .partitions
            .iter()
            .enumerate()
            .filter(|(_, state)| mine(&state.replicas))
            .map(|(partition, _)| {
                let partition = partition as i32;
                (
                    TopicPartition {
                        topic: id,
                        partition,
                    },
                    config.clone(),
                )
            })
            .collect()
    }

    /// Makes the logs of a topic that are not there yet. What fails now is tried again with the housekeeping.
    async fn create_logs(&self, id: TopicId) {
        dawdle(&self.env, "topic/late").await;
        let logs = self.logs_of(id);
        let partitions: Vec<_> = logs.iter().map(|(partition, _)| *partition).collect();
        let results = self.router.create(logs).await;
        for (partition, result) in partitions.into_iter().zip(results) {
            if let Err(error) = result {
                tracing::warn!("log of partition {partition} not made: {error}");
                self.unfinished.set(true);
            }
        }
    }

    /// Destroys what is here of a deleted topic, and reports it gone.
    async fn remove_data(self: &Rc<Self>, id: TopicId) {
        let Some(count) = self.metadata().deleted(id).map(|topic| topic.partitions) else {
            return;
        };
        let partitions = (0..count as i32).map(|partition| TopicPartition {
            topic: id,
            partition,
        });
        let results = self.router.delete(partitions.collect()).await;
        if let Some(error) = results.into_iter().find_map(Result::err) {
            tracing::warn!("data of deleted topic {id} not removed yet: {error}");
            self.unfinished.set(true);
            return;
        }
        let removed = Command::DataRemoved {
            broker: self.node_id,
            topic_id: id.0,
        };
        // This runs inside of the task that takes commands, so nothing here may wait for it.
        let mut queue = self.queue.clone();
        self.env.spawn(async move {
            let _ = queue.send((removed, None)).await;
        });
    }

    /// Whether something is to be tried again by [`Controller::reconcile`].
    pub fn is_unfinished(&self) -> bool {
        self.unfinished.get()
    }

    /// Makes what is on disk what the metadata says: missing logs are made, data of deleted topics is removed. Done at the
    /// start, and again after a failure, because a disk may have been full when it was first due.
    pub async fn reconcile(self: &Rc<Self>) {
        self.unfinished.set(false);
        let mut duties = Vec::new();
        self.metadata().duties(self.env.unix_ms(), &mut duties);
        for Duty::RemoveData {
            broker, topic_id, ..
        } in duties
        {
            if broker == self.node_id {
                self.remove_data(topic_id).await;
            }
        }
        let present = self.router.all().await;
        let ids: Vec<_> = self.metadata().topics().map(|topic| topic.id()).collect();
        let mut missing = Vec::new();
        for id in ids {
            let logs = self.logs_of(id);
            missing.extend(
                logs.into_iter()
                    .filter(|(partition, _)| present.binary_search(partition).is_err()),
            );
        }
        let partitions: Vec<_> = missing.iter().map(|(partition, _)| *partition).collect();
        let results = self.router.create(missing).await;
        for (partition, result) in partitions.into_iter().zip(results) {
            match result {
                Ok(()) => tracing::warn!("log of partition {partition} was missing and is made"),
                Err(error) => {
                    tracing::warn!("log of partition {partition} not made: {error}");
                    self.unfinished.set(true);
                }
            }
        }
    }

    /// Gives every log the settings that hold now; those it was created with may be old.
    pub async fn configure_all(&self) {
        let ids: Vec<_> = self.metadata().topics().map(|topic| topic.id()).collect();
        for id in ids {
            let logs = self.logs_of(id);
            self.router.configure(logs).await;
        }
    }

    /// Logs on disk that no topic, living or deleted, explains. They are left alone.
    pub async fn unexplained_logs(&self) -> Vec<TopicPartition> {
        let mut all = self.router.all().await;
        let metadata = self.metadata();
        all.retain(|partition| {
            *partition != METADATA_LOG
                && metadata.deleted(partition.topic).is_none()
                && metadata
                    .topic_by_id(partition.topic)
                    .is_none_or(|topic| topic.partitions.len() <= partition.partition as usize)
        });
        all
    }

    /// CTRL-CONSISTENT: looks through the metadata. STATE-EQUAL: reads the log again.
    pub async fn audit(&self, audit: &mut Audit) -> Result<(), Difference> {
        crate::metadata::check(&self.metadata())
            .map_err(|what| Difference::new("CTRL-CONSISTENT", what))?;
        if !audit.note_prefix(prefix_of(&self.router, METADATA_LOG).await) {
            return Ok(());
        }
        let (position, live, term) = {
            let sequencer = self.sequencer.borrow();
            let digest = sequencer.machine().digest();
            (sequencer.position(), digest, sequencer.term())
        };
        let differs = |what: String| Err(Difference::new("STATE-EQUAL", what));
        match replay::replay(&self.router, term).await {
            Ok((again, _)) if again.position() == position => {
                audit.replayed.push(Replayed {
                    invariant: "STATE-EQUAL",
                    of: format!("metadata at {position}"),
                    live,
                    replayed: again.machine().digest(),
                });
                Ok(())
            }
            Ok((again, _)) if again.position() < position => differs(format!(
                "the metadata's log ends at {}, and {position} was applied",
                again.position()
            )),
            Err(RestoreFailure::Content(what)) => differs(what),
            Ok(_) | Err(RestoreFailure::Storage(_) | RestoreFailure::Read(_)) => Ok(()),
        }
    }

    async fn snapshot_if_due(&self) {
        let position = self.sequencer.borrow().position();
        let is_due = position >= self.snapshot_at.get() + self.snapshot_interval;
        let is_news = position > self.snapshot_at.get();
        if is_due || is_news && self.env.strikes_at("metadata/snapshot") {
            self.snapshot().await;
        }
    }

    /// Keeps a snapshot, and forgets the log before it.
    async fn snapshot(&self) {
        let (position, state) = self.sequencer.borrow().snapshot();
        let end_offset = position as i64;
        let saved = self
            .router
            .save_state(METADATA_LOG, end_offset, Bytes::from(state))
            .await;
        let moved = match saved {
            Ok(()) => self.router.advance_start(METADATA_LOG, end_offset).await,
            Err(error) => Err(error),
        };
        // A full disk refuses; the log is whole, and the next command tries again.
        match moved {
            Ok(_) => self.snapshot_at.set(position),
            Err(error) => tracing::warn!("snapshot of the metadata not kept: {error}"),
        }
    }
}

/// Where a log begins, and where the snapshot ends of what is gone. `None` if it cannot be told now.
pub(crate) async fn prefix_of<E: Env>(router: &Router<E>, log: TopicPartition) -> Option<Prefix> {
    // The start first: it moves only behind a snapshot that was kept before.
    let start = router.ends_of(log).await?.log_start_offset;
    let saved = router.load_state(log).await.ok()?;
    Some(Prefix {
        log,
        start,
        snapshot_end: saved.map_or(0, |(end, _)| end),
    })
}
