//! What producers, consumers and admin share: connections to the brokers, and what is known of the cluster.
//!
//! Requests that wait on the broker's side (a fetch for data, a join for the other members) hold up everything behind them on
//! their connection, so each producer and consumer has *lanes* of its own: a connection belongs to a broker and a lane. Connections are made
//! when they are needed, and after a failure not before a wait that doubles.

use crate::backoff::Backoff;
use crate::connection::{CallFailure, Link, LinkOptions, Reply};
use crate::deadline;
use crate::errors::ClientError;
use crate::metadata::{Broker, Metadata, NodeId};
use crate::options::ClientOptions;
use crate::signal::Signal;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::{Rc, Weak};
use std::time::Duration;
use taffrail_env::{Env, Instant};
use taffrail_wire::metadata::{MetadataRequest, MetadataRequestTopic};
use taffrail_wire::{ErrorCode, Request};

/// Connections that do not disturb each other.
pub(crate) type Lane = u64;
/// Metadata and admin.
const CONTROL: Lane = 0;

/// Whom a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    /// An address that the caller gave, by its place in the list.
    Seed(usize),
    Node(NodeId),
}

/// A connection, or the way to one.
enum Slot<E: Env> {
    Idle { failures: u32, not_before: Instant },
    Connecting,
    Live(Rc<Link<E>>),
}

/// A handle; clones share everything.
pub struct Client<E: Env> {
    inner: Rc<Inner<E>>,
}

impl<E: Env> Clone for Client<E> {
    fn clone(&self) -> Client<E> {
        Client {
            inner: self.inner.clone(),
        }
    }
}

struct Inner<E: Env> {
    env: E,
    options: ClientOptions,
    seeds: Vec<String>,
    slots: RefCell<BTreeMap<(Target, Lane), Slot<E>>>,
    /// A slot became live or idle.
    connected: Signal,
    metadata: RefCell<Metadata>,
    metadata_changed: Signal,
    /// Topics to ask for, each with whether it may be created by asking.
    wanted: RefCell<BTreeMap<String, bool>>,
    refreshing: Cell<bool>,
    last_metadata_failure: RefCell<Option<String>>,
    next_lane: Cell<Lane>,
}

impl<E: Env> Client<E> {
    /// Makes no connection yet. `bootstrap` are `HOST:PORT`s, at least one.
    pub fn new(env: &E, bootstrap: &[String], options: ClientOptions) -> Client<E> {
        assert!(
            !bootstrap.is_empty(),
            "a client has an address to begin with"
        );
        Client {
            inner: Rc::new(Inner {
                env: env.clone(),
                options,
                seeds: bootstrap.to_vec(),
                slots: RefCell::default(),
                connected: Signal::default(),
                metadata: RefCell::default(),
                metadata_changed: Signal::default(),
                wanted: RefCell::default(),
                refreshing: Cell::new(false),
                last_metadata_failure: RefCell::default(),
                next_lane: Cell::new(CONTROL + 1),
            }),
        }
    }

    /// [`Client::new`], and the first answer of a broker. Fails at once if no address accepts a connection.
    pub async fn connect(
        env: &E,
        bootstrap: &[String],
        options: ClientOptions,
    ) -> Result<Client<E>, ClientError> {
        let client = Client::new(env, bootstrap, options);
        let until = client.operation_deadline();
        client.fetch_metadata(Some(&[]), false, until).await?;
        Ok(client)
    }

    pub fn env(&self) -> &E {
        &self.inner.env
    }

    pub fn options(&self) -> &ClientOptions {
        &self.inner.options
    }

    pub(crate) fn backoff(&self) -> Backoff {
        Backoff {
            first: self.inner.options.backoff,
            max: self.inner.options.backoff_max,
        }
    }

    pub(crate) fn operation_deadline(&self) -> Instant {
        self.inner.env.now() + self.inner.options.operation_timeout
    }

    /// A deadline for one request within an operation's.
    pub(crate) fn request_deadline(&self, until: Instant) -> Instant {
        until.min(self.inner.env.now() + self.inner.options.request_timeout)
    }

    pub(crate) fn new_lane(&self) -> Lane {
        let lane = self.inner.next_lane.get();
        self.inner.next_lane.set(lane + 1);
        lane
    }

    /// Closes the connections of a lane.
    pub(crate) fn close_lane(&self, lane: Lane) {
        self.inner
            .slots
            .borrow_mut()
            .retain(|(_, slot_lane), _| *slot_lane != lane);
    }

    /// Reads what is known of the cluster.
    pub fn with_metadata<T>(&self, read: impl FnOnce(&Metadata) -> T) -> T {
        read(&self.inner.metadata.borrow())
    }

    pub(crate) fn learn_broker(&self, broker: Broker) {
        self.inner.metadata.borrow_mut().learn(broker);
    }

    /// Waits before the next of a row of tries; `false` if the deadline comes first.
    pub(crate) async fn pause(&self, failures: u32, until: Instant) -> bool {
        let random = self.inner.env.random_u64("client backoff");
        let resume = self.inner.env.now() + self.backoff().wait(failures, random);
        if resume >= until {
            return false;
        }
        self.inner.env.sleep_until(resume).await;
        true
    }

    fn address(&self, target: Target) -> Result<String, ClientError> {
        match target {
            Target::Seed(place) => Ok(self.inner.seeds[place].clone()),
            Target::Node(node) => {
                let metadata = self.inner.metadata.borrow();
                match metadata.brokers.get(&node) {
                    Some(broker) => Ok(broker.address()),
                    None => Err(ClientError::Refused {
                        code: ErrorCode::BrokerNotAvailable,
                        message: None,
                        subject: format!("node {node}"),
                    }),
                }
            }
        }
    }

    /// The connection to a broker on a lane, made if there is none.
    pub(crate) async fn link(
        &self,
        target: Target,
        lane: Lane,
        until: Instant,
    ) -> Result<Rc<Link<E>>, ClientError> {
        let key = (target, lane);
        loop {
            let mark = self.inner.connected.mark();
            let address = self.address(target)?;
            match self.look_up(key, &address) {
                Found::Live(link) => return Ok(link),
                Found::Connecting => {
                    let changed = self.inner.connected.changed(mark);
                    if deadline::before(&self.inner.env, until, changed)
                        .await
                        .is_none()
                    {
                        return Err(ClientError::TimedOut {
                            what: format!("connecting to {address}"),
                            last: None,
                        });
                    }
                }
                Found::Idle {
                    failures,
                    not_before,
                } => {
                    return self
                        .open_link(key, address, failures, not_before, until)
                        .await;
                }
            }
        }
    }

    fn look_up(&self, key: (Target, Lane), address: &str) -> Found<E> {
        let mut slots = self.inner.slots.borrow_mut();
        let slot = slots.entry(key).or_insert(Slot::Idle {
            failures: 0,
            not_before: Instant(0),
        });
        match slot {
            // A broker that moved is looked for at its new address.
            Slot::Live(link) if !link.is_broken() && link.peer() == address => {
                return Found::Live(link.clone());
            }
            Slot::Connecting => return Found::Connecting,
            Slot::Live(_) | Slot::Idle { .. } => {}
        }
        match std::mem::replace(slot, Slot::Connecting) {
            Slot::Idle {
                failures,
                not_before,
            } => Found::Idle {
                failures,
                not_before,
            },
            Slot::Live(_) | Slot::Connecting => Found::Idle {
                failures: 0,
                not_before: Instant(0),
            },
        }
    }

    async fn open_link(
        &self,
        key: (Target, Lane),
        address: String,
        failures: u32,
        not_before: Instant,
        until: Instant,
    ) -> Result<Rc<Link<E>>, ClientError> {
        let env = &self.inner.env;
        let mut attempt = Attempt {
            inner: &self.inner,
            key,
            result: None,
            idle: (failures, not_before),
        };
        if not_before > env.now() {
            if not_before >= until {
                return Err(ClientError::TimedOut {
                    what: format!("connecting to {address}"),
                    last: None,
                });
            }
            env.sleep_until(not_before).await;
        }
        let until = until.min(env.now() + self.inner.options.connect_timeout);
        let options = LinkOptions {
            client_id: self.inner.options.client_id.clone(),
            in_flight_max: self.inner.options.in_flight_max,
            response_bytes_max: self.inner.options.response_bytes_max,
        };
        match Link::open(env, &address, options, until).await {
            Ok(link) => {
                let link = Rc::new(link);
                attempt.result = Some(link.clone());
                Ok(link)
            }
            Err(error) => {
                let random = env.random_u64("client backoff");
                let failures = failures.saturating_add(1);
                attempt.idle = (failures, env.now() + self.backoff().wait(failures, random));
                tracing::debug!(%address, %error, "no connection");
                Err(error)
            }
        }
    }

    /// Sends a request to a node, in the version that both know best but not above `at_most`.
    pub(crate) async fn call<'a, R: Request<'a>>(
        &self,
        node: NodeId,
        lane: Lane,
        request: &R,
        at_most: i16,
        until: Instant,
    ) -> Result<Reply, CallFailure> {
        let link = self
            .link(Target::Node(node), lane, until)
            .await
            .map_err(CallFailure::unsent)?;
        let version = link.version(R::KEY, at_most).map_err(CallFailure::unsent)?;
        link.call(request, version, until).await
    }

    /// A connection to any broker: the known ones in turn from a drawn place on, then the addresses that the caller gave.
    async fn any_link(&self, until: Instant) -> Result<Rc<Link<E>>, ClientError> {
        let mut targets: Vec<Target> = {
            let metadata = self.inner.metadata.borrow();
            metadata
                .brokers
                .keys()
                .map(|node| Target::Node(*node))
                .collect()
        };
        if targets.len() > 1 {
            let drawn = self.inner.env.random_u64("client broker");
            let place = (drawn % targets.len() as u64) as usize;
            targets.rotate_left(place);
        }
        targets.extend((0..self.inner.seeds.len()).map(Target::Seed));
        let mut last = None;
        for target in targets {
            match self.link(target, CONTROL, until).await {
                Ok(link) => return Ok(link),
                Err(error) => last = Some(error),
            }
            if self.inner.env.now() >= until {
                break;
            }
        }
        Err(last.unwrap_or(ClientError::Closed))
    }

    /// Sends a request to any broker.
    pub(crate) async fn call_any<'a, R: Request<'a>>(
        &self,
        request: &R,
        at_most: i16,
        until: Instant,
    ) -> Result<Reply, CallFailure> {
        let until = self.request_deadline(until);
        let link = self.any_link(until).await.map_err(CallFailure::unsent)?;
        let version = link.version(R::KEY, at_most).map_err(CallFailure::unsent)?;
        link.call(request, version, until).await
    }

    /// Sends a request to the controller, or to any broker while none is known (it passes it on, or says who is).
    pub(crate) async fn call_controller<'a, R: Request<'a>>(
        &self,
        request: &R,
        until: Instant,
    ) -> Result<Reply, CallFailure> {
        let controller = self.with_metadata(|metadata| {
            let known = metadata.controller;
            known.filter(|node| metadata.brokers.contains_key(node))
        });
        match controller {
            Some(node) => {
                let until = self.request_deadline(until);
                self.call(node, CONTROL, request, i16::MAX, until).await
            }
            None => self.call_any(request, i16::MAX, until).await,
        }
    }

    /// Sends a request to a node on the lane of metadata and admin.
    pub(crate) async fn call_node<'a, R: Request<'a>>(
        &self,
        node: NodeId,
        request: &R,
        until: Instant,
    ) -> Result<Reply, CallFailure> {
        let until = self.request_deadline(until);
        self.call(node, CONTROL, request, i16::MAX, until).await
    }

    /// Asks once for metadata of `topics` (`None`: all) and takes the answer in.
    pub(crate) async fn fetch_metadata(
        &self,
        topics: Option<&[&str]>,
        create: bool,
        until: Instant,
    ) -> Result<(), ClientError> {
        let topics = topics.map(|names| {
            names
                .iter()
                .map(|name| MetadataRequestTopic {
                    name: Some(name),
                    ..MetadataRequestTopic::default()
                })
                .collect()
        });
        let request = MetadataRequest {
            topics,
            allow_auto_topic_creation: create,
            ..MetadataRequest::default()
        };
        let reply = self.call_any(&request, i16::MAX, until).await?;
        let response = reply.read::<MetadataRequest<'_>>()?;
        ClientError::check(response.error_code, None, "metadata")?;
        let now = self.inner.env.now();
        self.inner.metadata.borrow_mut().update(now, &response);
        self.inner.metadata_changed.notify();
        Ok(())
    }

    /// Somebody found what is known of a topic wrong or missing: it is asked for again, soon, by a task of its own.
    pub(crate) fn refresh_soon(&self, topic: &str, create: bool) {
        self.inner.metadata.borrow_mut().mark_stale(topic);
        let mut wanted = self.inner.wanted.borrow_mut();
        *wanted.entry(topic.to_owned()).or_insert(false) |= create;
        drop(wanted);
        if !self.inner.refreshing.replace(true) {
            let task = refresh(Rc::downgrade(&self.inner));
            self.inner.env.spawn(task);
        }
    }

    /// A mark and a wait for the next change of the metadata.
    pub(crate) fn metadata_mark(&self) -> u64 {
        self.inner.metadata_changed.mark()
    }

    pub(crate) async fn metadata_changed(&self, mark: u64) {
        self.inner.metadata_changed.changed(mark).await;
    }

    /// Waits until a topic is known with all that `enough` asks of it. `create` lets the broker make it.
    pub(crate) async fn topic_when(
        &self,
        topic: &str,
        create: bool,
        until: Instant,
        enough: impl Fn(&Metadata) -> bool,
    ) -> Result<(), ClientError> {
        let age_max = self.inner.options.metadata_age_max;
        loop {
            let mark = self.inner.metadata_changed.mark();
            let now = self.inner.env.now();
            let (usable, error) = self.with_metadata(|metadata| {
                let fresh = metadata.is_fresh(now, topic, age_max) && enough(metadata);
                let error = metadata
                    .topic(topic)
                    .map_or(ErrorCode::None, |topic| topic.error);
                (fresh, error)
            });
            if usable {
                return Ok(());
            }
            if error != ErrorCode::None && !error.is_retriable() {
                self.inner.metadata.borrow_mut().mark_stale(topic);
                return Err(ClientError::Refused {
                    code: error,
                    message: None,
                    subject: format!("topic {topic}"),
                });
            }
            self.refresh_soon(topic, create);
            let changed = self.inner.metadata_changed.changed(mark);
            if deadline::before(&self.inner.env, until, changed)
                .await
                .is_none()
            {
                return Err(self.no_metadata(topic, error));
            }
        }
    }

    /// Waits at most `patience` until the broker knows a topic, which it may make for that.
    pub async fn find_or_make_topic(
        &self,
        topic: &str,
        patience: Duration,
    ) -> Result<(), ClientError> {
        let until = self.inner.env.now() + patience;
        let found = self.topic_when(topic, true, until, |_| true).await;
        found.map_err(|error| match error.code() {
            Some(ErrorCode::UnknownTopicOrPartition) => ClientError::NotThere {
                subject: format!("topic {topic}"),
            },
            _ => error,
        })
    }

    fn no_metadata(&self, topic: &str, error: ErrorCode) -> ClientError {
        if error != ErrorCode::None {
            return ClientError::Refused {
                code: error,
                message: None,
                subject: format!("topic {topic}"),
            };
        }
        ClientError::TimedOut {
            what: format!("metadata of topic {topic}"),
            last: self.inner.last_metadata_failure.borrow().clone(),
        }
    }
}

enum Found<E: Env> {
    Live(Rc<Link<E>>),
    Connecting,
    Idle { failures: u32, not_before: Instant },
}

/// Puts a slot right when connecting ends, also if whoever wanted the connection goes away meanwhile.
struct Attempt<'a, E: Env> {
    inner: &'a Inner<E>,
    key: (Target, Lane),
    result: Option<Rc<Link<E>>>,
    idle: (u32, Instant),
}

impl<E: Env> Drop for Attempt<'_, E> {
    fn drop(&mut self) {
        let slot = match self.result.take() {
            Some(link) => Slot::Live(link),
            None => Slot::Idle {
                failures: self.idle.0,
                not_before: self.idle.1,
            },
        };
        // A lane that was closed meanwhile stays closed.
        if let Some(present) = self.inner.slots.borrow_mut().get_mut(&self.key) {
            *present = slot;
        }
        self.inner.connected.notify();
    }
}

/// How long the refreshing task collects topics before it asks.
const REFRESH_GATHER: Duration = Duration::from_millis(1);

/// Asks for wanted topics until there is none, or no client.
async fn refresh<E: Env>(inner: Weak<Inner<E>>) {
    let mut rounds = 0_u32;
    loop {
        let Some(strong) = inner.upgrade() else {
            return;
        };
        let client = Client { inner: strong };
        let env = client.env().clone();
        let wait = match rounds {
            0 => REFRESH_GATHER,
            rounds => client
                .backoff()
                .wait(rounds, env.random_u64("client backoff")),
        };
        drop(client);
        env.sleep(wait).await;
        let Some(strong) = inner.upgrade() else {
            return;
        };
        let client = Client { inner: strong };
        let wanted = client.inner.wanted.take();
        if wanted.is_empty() {
            client.inner.refreshing.set(false);
            return;
        }
        // Whoever is still not content asks again; the wait between the rounds grows meanwhile.
        rounds = rounds.saturating_add(1);
        refresh_round(&client, &wanted).await;
    }
}

async fn refresh_round<E: Env>(client: &Client<E>, wanted: &BTreeMap<String, bool>) {
    let until = client.env().now() + client.options().request_timeout;
    for create in [false, true] {
        let names: BTreeSet<&str> = wanted
            .iter()
            .filter(|(_, wants)| **wants == create)
            .map(|(name, _)| name.as_str())
            .collect();
        if names.is_empty() {
            continue;
        }
        let names: Vec<&str> = names.into_iter().collect();
        let result = client.fetch_metadata(Some(&names), create, until).await;
        let failure = result.err().map(|error| error.to_string());
        if failure.is_some() {
            let mut again = client.inner.wanted.borrow_mut();
            for name in names {
                *again.entry(name.to_owned()).or_insert(false) |= create;
            }
        }
        client.inner.last_metadata_failure.replace(failure);
    }
}
