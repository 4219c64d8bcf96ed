//! How a node comes up, and the tasks it then runs: accepting, housekeeping, finishing what a full disk left undone.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use taffrail_env::mailbox::{self, Sender};
use taffrail_env::{Connection, Env, Listener, NetErrorKind};
use taffrail_record::TopicId;
use taffrail_storage::{Health, Identity, Logs, Opened, Options};

use super::{Node, NodeConfig, StartError};
use crate::admission::{Admission, Limits};
use crate::broker::{Broker, Endpoint, OFFSETS_TOPIC};
use crate::budget::Budget;
use crate::connection;
use crate::controller::Controller;
use crate::deadline::until;
use crate::group::{GroupConfig, Groups};
use crate::metadata::{BrokerRegistration, Command};
use crate::metrics::Counters;
use crate::producer_ids::ProducerIds;
use crate::router::Router;
use crate::session::FetchSessions;
use crate::settings::Settings;
use crate::shard::{self, MAILBOX_CAPACITY, Shard, ShardRequest};
use crate::signal::{Signal, UnderWay};

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
/// How often the other shards are asked how they fare.
const HEALTH_INTERVAL: Duration = Duration::from_secs(1);
/// How soon what failed for want of space is tried again.
const RECONCILE_INTERVAL: Duration = Duration::from_secs(5);

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
    let opened = taffrail_storage::open(&env, &config.data, storage(&config), config.shards)
        .await
        .map_err(StartError::Open)?;
    let identity = opened.identity;
    let settings = Settings::new(config.settings.clone());
    let router = Rc::new(start_router(&env, &config, opened)?);
    let term = u32::try_from(identity.start_number).unwrap_or(u32::MAX);
    let controller = Controller::restore(&env, &config, term, router.clone(), settings.clone())
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
    let group_config = group_config(&config, groups_memory);
    let groups = start_groups(&env, group_config, &router, &controller);
    let broker = Rc::new(Broker {
        env: env.clone(),
        node_id: config.node_id,
        identity,
        cluster_id: TopicId(identity.cluster_id).to_string(),
        data: config.data.display().to_string(),
        endpoint,
        loopback_only: address.ip().is_loopback(),
        producer_ids: ProducerIds::new(&config, controller.clone()),
        settings,
        router,
        controller,
        edits: Arc::default(),
        groups,
        budget: Budget::new(memory - groups_memory),
        admission: RefCell::new(Admission::new(Limits::of(fixed))),
        sessions: RefCell::new(FetchSessions::new(fixed.max_fetch_sessions as usize)),
        counters: Counters::default(),
        in_flight_peak: Cell::new(0),
        stopping: Signal::default(),
    });
    let connections = UnderWay::default();
    env.spawn(accept(broker.clone(), listener, connections.clone()));
    env.spawn(housekeep(broker.clone()));
    env.spawn(reconcile(broker.clone()));
    if config.shards > 1 {
        env.spawn(watch_health(broker.clone()));
    }
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

/// Begins to read the groups, if there may be any.
fn start_groups<E: Env>(
    env: &E,
    config: GroupConfig,
    router: &Rc<Router<E>>,
    controller: &Rc<Controller<E>>,
) -> Rc<Groups<E>> {
    let groups = Groups::new(env, router.clone(), config);
    let metadata = Rc::downgrade(controller);
    groups.ask_of_topics(move |id| {
        let controller = metadata.upgrade();
        controller.is_none_or(|it| it.metadata().topic_by_id(TopicId(*id)).is_some())
    });
    controller.tell_groups(&groups);
    if let Some(topic) = controller.metadata().topic(OFFSETS_TOPIC) {
        groups.serve(topic.id(), topic.partitions.len() as i32);
    }
    groups
}

fn storage(config: &NodeConfig) -> Options {
    let fixed = config.settings.effective();
    let check_interval = fixed.log_retention_check_interval_ms as u64;
    Options {
        // A full disk looks more often; the clock has to be right for as long all the same.
        step_agreement_min: Duration::from_millis(check_interval),
        producer_expiry_ms: i64::from(fixed.producer_id_expiration_ms),
        ..config.storage.clone()
    }
}

fn group_config(config: &NodeConfig, memory: usize) -> GroupConfig {
    GroupConfig {
        snapshot_bytes_min: config.group_snapshot_bytes_min,
        ..GroupConfig::from_settings(config.settings.effective(), memory)
    }
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

/// The shards and the way to them, if their journal takes what the settings promise.
fn start_router<E: Env>(
    env: &E,
    config: &NodeConfig,
    opened: Opened,
) -> Result<Router<E>, StartError> {
    let router = start_shards(env, opened);
    let checked = config.settings.check_batch_bytes(router.batch_bytes_max());
    checked.map_err(StartError::Config)?;
    Ok(router)
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

/// Keeps what is known of the other shards' health fresh.
async fn watch_health<E: Env>(broker: Rc<Broker<E>>) {
    while rest(&broker, HEALTH_INTERVAL).await {
        broker.router.ask_health().await;
    }
}

/// Looks after what a full disk left undone.
async fn reconcile<E: Env>(broker: Rc<Broker<E>>) {
    while rest(&broker, RECONCILE_INTERVAL).await {
        if broker.router.health() == Health::DiskFull {
            // What may go goes at once while space is short.
            broker.router.housekeep().await;
        }
        if broker.controller.is_unfinished() {
            broker.controller.reconcile().await;
        }
    }
}
