//! A whole node: what it is started with, how it starts and stops, and what can be seen of it from outside.

use std::cell::RefCell;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use taffrail_env::mailbox::{self, Sender};
use taffrail_env::{Connection, Env, Listener, NetError, NetErrorKind};
use taffrail_record::{Offset, TopicId, TopicPartition};
use taffrail_storage::{Health, Identity, Logs, OpenError, Opened, Options, StorageError};

use crate::admission::{Admission, Limits};
use crate::broker::{Broker, Endpoint, OFFSETS_TOPIC};
use crate::budget::Budget;
use crate::config::{Refusal, StaticSettings};
use crate::connection;
use crate::controller::{Controller, RestoreFailure, Unavailable};
use crate::deadline::until;
use crate::group::{GroupConfig, Groups};
use crate::metadata::{self, BrokerRegistration, Command};
use crate::metrics::{Counters, MetricKind, MetricsSnapshot};
use crate::producer_ids::ProducerIds;
use crate::router::Router;
use crate::session::FetchSessions;
use crate::settings::Settings;
use crate::shard::{self, MAILBOX_CAPACITY, Shard, ShardRequest};
use crate::signal::{Signal, UnderWay};

/// What a node is started with.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// 0 and up.
    pub node_id: i32,
    /// The data directory; made if absent.
    pub data: PathBuf,
    /// Where Kafka clients connect, `HOST:PORT`; port 0 picks a free one.
    pub listen: String,
    /// What clients are told to connect to, `HOST:PORT`. If absent: the address listened on, or, if that is all of the host's,
    /// the one by which the client came.
    pub advertise: Option<String>,
    /// For everything that clients can make grow.
    pub memory_bytes: u64,
    /// Threads of execution, at least 1.
    pub shards: usize,
    /// Kafka's broker settings, from the command line and the file.
    pub settings: StaticSettings,
    /// Bounds of the storage. The producers' expiry is taken from `settings`.
    pub storage: Options,
}

impl NodeConfig {
    /// The defaults: node 1 on `127.0.0.1:9092` with one shard and 256 MiB.
    pub fn new(data: PathBuf) -> NodeConfig {
        NodeConfig {
            node_id: 1,
            data,
            listen: "127.0.0.1:9092".to_string(),
            advertise: None,
            memory_bytes: 256 << 20,
            shards: 1,
            settings: StaticSettings::default(),
            storage: Options::default(),
        }
    }
}

/// Why a node did not start. Its text is one line.
#[derive(Debug)]
pub enum StartError {
    /// A setting that cannot be honoured.
    Config(Refusal),
    /// An option that makes no sense: which, and what would be right.
    Option(String),
    Open(OpenError),
    Listen(NetError),
    /// The metadata could not be restored.
    Restore(RestoreFailure),
    /// The data directory belongs to another node.
    OtherNode {
        known: i32,
        given: i32,
    },
    /// The cluster's metadata refuses this node.
    Refused(metadata::Refusal),
    /// The node could not register.
    Register(Unavailable),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Config(refusal) => refusal.fmt(f),
            StartError::Option(text) => f.write_str(text),
            StartError::Open(error) => error.fmt(f),
            StartError::Listen(error) => error.fmt(f),
            StartError::Restore(error) => error.fmt(f),
            StartError::OtherNode { known, given } => write!(
                f,
                "node id {given}: the data directory belongs to node {known}; use --node-id {known}, or another directory"
            ),
            StartError::Refused(refusal) => refusal.fmt(f),
            StartError::Register(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StartError {}

/// What an observer sees of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionView {
    pub topic: String,
    pub partition: taffrail_record::TopicPartition,
    pub log_start_offset: Offset,
    pub high_watermark: Offset,
    pub log_end_offset: Offset,
}

/// What an observer sees of a node. Nothing in it can be changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Inspection {
    pub partitions: Vec<PartitionView>,
    /// Bytes of the memory budget that are reserved; 0 when the node is idle.
    pub budget_used: usize,
    pub budget_total: usize,
    /// Requests that wait for memory.
    pub budget_waiting: usize,
    pub connections: usize,
    pub fetch_sessions: usize,
    pub fetch_session_partitions: usize,
    /// Metadata commands applied since the start.
    pub metadata_commands: u64,
    /// Requests in each other shard's mailbox.
    pub shard_queues: Vec<usize>,
    pub health: Health,
    pub identity: Identity,
}

/// The smallest memory budget that a node works with.
pub const MEMORY_BYTES_MIN: u64 = 8 << 20;
/// Groups and their offsets may take one part in this many of the memory budget.
const GROUPS_SHARE: usize = 8;
/// The most shards of a node.
const SHARDS_MAX: usize = 256;
/// How long the listener rests after it could not accept.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);
/// Refused connections are worth one log line in this time.
const REFUSAL_LOG_INTERVAL: Duration = Duration::from_secs(1);
/// How soon what failed for want of space is tried again.
const RECONCILE_INTERVAL: Duration = Duration::from_secs(5);

/// A node that serves. A handle, for shard 0.
pub struct Node<E: Env> {
    broker: Rc<Broker<E>>,
    address: SocketAddr,
    connections: UnderWay,
}

impl<E: Env> Clone for Node<E> {
    fn clone(&self) -> Self {
        Node {
            broker: self.broker.clone(),
            address: self.address,
            connections: self.connections.clone(),
        }
    }
}

/// Starts a node and serves until [`Node::shutdown`]. To be called on shard 0, whose tasks hold every connection; the other
/// shards are started here.
pub async fn start<E: Env>(env: E, config: NodeConfig) -> Result<Node<E>, StartError> {
    check(&config)?;
    // The port first: one that is taken is found out before anything is touched.
    let listener = env
        .listen(&config.listen)
        .await
        .map_err(StartError::Listen)?;
    let address = listener.local_address();
    let endpoint = endpoint(&config, address)?;
    let fixed = config.settings.effective();
    let storage = Options {
        producer_expiry_ms: i64::from(fixed.producer_id_expiration_ms),
        ..config.storage.clone()
    };
    let opened = taffrail_storage::open(&env, &config.data, storage, config.shards)
        .await
        .map_err(StartError::Open)?;
    let identity = opened.identity;
    let settings = Settings::new(config.settings.clone());
    let router = Rc::new(start_shards(&env, opened));
    let term = u32::try_from(identity.start_number).unwrap_or(u32::MAX);
    let controller =
        Controller::restore(&env, config.node_id, term, router.clone(), settings.clone())
            .await
            .map_err(StartError::Restore)?;
    register(&controller, &config, &identity, &endpoint).await?;
    controller.reconcile().await;
    controller.configure_all().await;
    for log in controller.unexplained_logs().await {
        tracing::warn!("log {log} belongs to no topic, living or deleted; it is left alone");
    }
    let memory = usize::try_from(config.memory_bytes).unwrap_or(usize::MAX);
    let groups_memory = memory / GROUPS_SHARE;
    let group_config = GroupConfig::from_settings(fixed, groups_memory);
    let groups = Groups::new(&env, router.clone(), group_config);
    if let Some(topic) = controller.metadata().topic(OFFSETS_TOPIC) {
        groups.serve(topic.id(), topic.partitions.len() as i32);
    }
    let broker = Rc::new(Broker {
        env: env.clone(),
        node_id: config.node_id,
        identity,
        cluster_id: TopicId(identity.cluster_id).to_string(),
        data: config.data.display().to_string(),
        endpoint,
        loopback_only: address.ip().is_loopback(),
        producer_ids: ProducerIds::new(config.node_id, controller.clone()),
        settings,
        router,
        controller,
        groups,
        budget: Budget::new(memory - groups_memory),
        admission: RefCell::new(Admission::new(Limits::of(fixed))),
        sessions: RefCell::new(FetchSessions::new(fixed.max_fetch_sessions as usize)),
        counters: Counters::default(),
        stopping: Signal::default(),
    });
    let connections = UnderWay::default();
    env.spawn(accept(broker.clone(), listener, connections.clone()));
    env.spawn(housekeep(broker.clone()));
    env.spawn(reconcile(broker.clone()));
    Ok(Node {
        broker,
        address,
        connections,
    })
}

fn check(config: &NodeConfig) -> Result<(), StartError> {
    let refuse = |text: String| Err(StartError::Option(text));
    if config.node_id < 0 {
        return refuse(format!("--node-id {}: must be 0 or more", config.node_id));
    }
    if config.memory_bytes < MEMORY_BYTES_MIN {
        return refuse(format!(
            "--memory {}: must be at least {MEMORY_BYTES_MIN} bytes",
            config.memory_bytes
        ));
    }
    if config.shards == 0 || config.shards > SHARDS_MAX {
        return refuse(format!(
            "{} shards: must be 1 to {SHARDS_MAX}",
            config.shards
        ));
    }
    Ok(())
}

/// What clients are told to connect to.
fn endpoint(config: &NodeConfig, address: SocketAddr) -> Result<Endpoint, StartError> {
    if let Some(advertise) = &config.advertise {
        let parsed = split_host_port(advertise);
        let (host, port) = parsed
            .filter(|(host, port)| !host.is_empty() && *port > 0)
            .ok_or_else(|| {
                StartError::Option(format!("--advertise {advertise}: must be HOST:PORT"))
            })?;
        return Ok(Endpoint {
            host: Some(host.to_string()),
            port,
        });
    }
    let named = split_host_port(&config.listen).map(|(host, _)| host.to_string());
    Ok(Endpoint {
        host: if address.ip().is_unspecified() {
            None
        } else {
            Some(named.unwrap_or_else(|| address.ip().to_string()))
        },
        port: address.port(),
    })
}

fn split_host_port(text: &str) -> Option<(&str, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    Some((host, port.parse().ok()?))
}

/// Starts the other shards, each with its part of the storage.
fn start_shards<E: Env>(env: &E, opened: Opened) -> Router<E> {
    let mut parts = opened.shards.into_iter();
    let local = parts.next().expect("a node has at least one shard");
    let others: Vec<Sender<ShardRequest>> = parts
        .enumerate()
        .map(|(index, part)| {
            let (sender, receiver) = mailbox::bounded(MAILBOX_CAPACITY);
            env.start_shard(index + 1, move |env: E| async move {
                let logs = Logs::new(&env, part);
                shard::run(env, Shard::new(logs), receiver).await;
            });
            sender
        })
        .collect();
    Router::new(Shard::new(Logs::new(env, local)), others)
}

/// Makes this start known in the metadata, which refuses a copied or rolled-back disk.
async fn register<E: Env>(
    controller: &Rc<Controller<E>>,
    config: &NodeConfig,
    identity: &Identity,
    endpoint: &Endpoint,
) -> Result<(), StartError> {
    let other = {
        let metadata = controller.metadata();
        let brokers = metadata.brokers();
        let other = brokers
            .iter()
            .find(|(_, broker)| broker.directory_id == identity.directory_id);
        other.map(|(id, _)| *id).filter(|id| *id != config.node_id)
    };
    if let Some(known) = other {
        return Err(StartError::OtherNode {
            known,
            given: config.node_id,
        });
    }
    let registration = BrokerRegistration {
        broker: config.node_id,
        directory_id: identity.directory_id,
        start_number: identity.start_number,
        host: endpoint
            .host
            .clone()
            .unwrap_or_else(|| "0.0.0.0".to_string()),
        port: endpoint.port,
        rack: None,
    };
    match controller
        .submit(Command::RegisterBroker(registration))
        .await
    {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(refusal)) => Err(StartError::Refused(refusal)),
        Err(error) => Err(StartError::Register(error)),
    }
}

async fn accept<E: Env>(
    broker: Rc<Broker<E>>,
    listener: <E as taffrail_env::Net>::Listener,
    connections: UnderWay,
) {
    let mut refusal_logged = None;
    while !broker.stopping.is_set() {
        let stopping = broker.stopping.wait();
        let accepted =
            match futures_util::future::select(Box::pin(listener.accept()), stopping).await {
                futures_util::future::Either::Left((accepted, _)) => accepted,
                futures_util::future::Either::Right(_) => return,
            };
        let connection = match accepted {
            Ok(connection) => connection,
            Err(error) => {
                if error.kind != NetErrorKind::Reset {
                    tracing::warn!("no connection accepted: {error}");
                    broker.env.sleep(ACCEPT_RETRY).await;
                }
                continue;
            }
        };
        let peer = connection.peer_address();
        let now = broker.env.now();
        let admitted = broker.admission.borrow_mut().on_connection(now, peer.ip());
        if let Err(refused) = admitted {
            broker.counters.connections_refused.add(1);
            if refusal_logged.is_none_or(|at| now.saturating_since(at) >= REFUSAL_LOG_INTERVAL) {
                refusal_logged = Some(now);
                tracing::warn!("connection from {peer} refused: {refused}");
            }
            connection.close();
            continue;
        }
        broker.counters.connections_accepted.add(1);
        let (serving, step) = (broker.clone(), connections.begin());
        broker.env.spawn(async move {
            let end = connection::serve(serving.clone(), connection).await;
            connection::log_end(&serving, peer, &end);
            serving.admission.borrow_mut().on_closed(peer.ip());
            drop(step);
        });
    }
}

/// Sleeps, unless the node stops meanwhile; says whether it goes on.
async fn rest<E: Env>(broker: &Broker<E>, duration: Duration) -> bool {
    let deadline = broker.env.now() + duration;
    until(&broker.env, deadline, broker.stopping.wait())
        .await
        .is_none()
}

async fn housekeep<E: Env>(broker: Rc<Broker<E>>) {
    loop {
        let interval = broker.settings.broker().log_retention_check_interval_ms;
        if !rest(&broker, Duration::from_millis(interval as u64)).await {
            return;
        }
        broker.router.housekeep().await;
    }
}

async fn reconcile<E: Env>(broker: Rc<Broker<E>>) {
    while rest(&broker, RECONCILE_INTERVAL).await {
        if broker.controller.is_unfinished() {
            broker.controller.reconcile().await;
        }
    }
}

impl<E: Env> Node<E> {
    /// Where Kafka clients connect.
    pub fn kafka_address(&self) -> SocketAddr {
        self.address
    }

    pub fn node_id(&self) -> i32 {
        self.broker.node_id
    }

    pub fn identity(&self) -> Identity {
        self.broker.identity
    }

    /// How the storage fares.
    pub fn health(&self) -> Health {
        self.broker.router.health()
    }

    /// Stops: no more connections and requests, everything durable and in its place, the directory marked clean.
    pub async fn shutdown(&self) -> Result<(), StorageError> {
        self.broker.stopping.set();
        self.broker.groups.stop();
        self.connections.none().await;
        self.broker.router.shutdown().await
    }

    /// The figures of all shards.
    pub async fn metrics(&self) -> MetricsSnapshot {
        let broker = &self.broker;
        let mut snapshot = MetricsSnapshot::default();
        broker.counters.write(&mut snapshot);
        let mut gauge = |name, help, value| {
            snapshot.push(MetricKind::Gauge, name, help, Vec::new(), value);
        };
        let connections = broker.admission.borrow().open() as u64;
        gauge("taffrail_connections", "Connections open.", connections);
        let sessions = broker.sessions.borrow().len() as u64;
        gauge(
            "taffrail_fetch_sessions",
            "Incremental fetch sessions kept.",
            sessions,
        );
        gauge(
            "taffrail_memory_budget_bytes",
            "The memory that clients can make the node take.",
            broker.budget.total() as u64,
        );
        gauge(
            "taffrail_memory_reserved_bytes",
            "What is reserved of the memory budget.",
            broker.budget.used() as u64,
        );
        gauge(
            "taffrail_group_bytes",
            "What groups and their committed offsets take.",
            broker.groups.bytes() as u64,
        );
        gauge(
            "taffrail_group_partitions_loading",
            "Partitions of groups that are being read.",
            broker.groups.loading() as u64,
        );
        {
            let metadata = broker.controller.metadata();
            gauge(
                "taffrail_topics",
                "Topics.",
                metadata.topics().count() as u64,
            );
            gauge(
                "taffrail_partitions",
                "Partitions of all topics.",
                metadata.partition_count() as u64,
            );
        }
        let serves = u64::from(self.health() == Health::Serving);
        gauge(
            "taffrail_healthy",
            "1 while the storage takes writes.",
            serves,
        );
        for (shard, usage) in broker.router.usage().await.into_iter().enumerate() {
            let mut gauge = |name, help, value: usize| {
                let label = vec![("shard", shard.to_string())];
                snapshot.push(MetricKind::Gauge, name, help, label, value as u64);
            };
            gauge("taffrail_logs", "Logs of partitions.", usage.logs);
            gauge(
                "taffrail_uncommitted_bytes",
                "Appends that wait for the journal.",
                usage.uncommitted_bytes,
            );
            gauge(
                "taffrail_unflushed_bytes",
                "Committed, and not yet in a segment.",
                usage.unflushed_bytes,
            );
            gauge(
                "taffrail_cached_bytes",
                "Kept in memory for readers of the tail.",
                usage.cached_bytes,
            );
            gauge(
                "taffrail_producers",
                "Idempotent producers remembered.",
                usage.producers,
            );
            gauge(
                "taffrail_open_files",
                "Open segment files.",
                usage.open_files,
            );
        }
        snapshot.metrics.sort_by_key(|metric| metric.name);
        snapshot
    }

    /// Reads again what the log says of groups and their offsets, and compares it with what is served. The text says what
    /// differs.
    pub async fn audit_groups(&self) -> Result<(), String> {
        self.broker.groups.audit().await
    }

    /// What an observer sees.
    pub async fn inspect(&self) -> Inspection {
        let broker = &self.broker;
        let names: Vec<(String, TopicPartition)> = {
            let metadata = broker.controller.metadata();
            let topics = metadata.topics();
            let partitions = topics.flat_map(|topic| {
                (0..topic.partitions.len() as i32).map(|partition| {
                    let id = TopicPartition {
                        topic: topic.id(),
                        partition,
                    };
                    (topic.name.clone(), id)
                })
            });
            partitions.collect()
        };
        let asked = names.iter().map(|(_, id)| (*id, 0)).collect();
        let ends = broker.router.ends(asked).await;
        let partitions = names.into_iter().zip(ends);
        let partitions = partitions.filter_map(|((topic, partition), ends)| {
            ends.map(|ends| PartitionView {
                topic,
                partition,
                log_start_offset: ends.log_start_offset,
                high_watermark: ends.high_watermark,
                log_end_offset: ends.log_end_offset,
            })
        });
        Inspection {
            partitions: partitions.collect(),
            budget_used: broker.budget.used(),
            budget_total: broker.budget.total(),
            budget_waiting: broker.budget.waiting(),
            connections: broker.admission.borrow().open(),
            fetch_sessions: broker.sessions.borrow().len(),
            fetch_session_partitions: broker.sessions.borrow().partitions(),
            metadata_commands: broker.controller.applied(),
            shard_queues: broker.router.queued(),
            health: self.health(),
            identity: broker.identity,
        }
    }
}
