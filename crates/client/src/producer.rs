//! The producer: records in, acknowledgements out.
//!
//! All that decides is in [`accumulator`] and [`partition_queue`]; this shell finds leaders, carries batches to them and
//! reports what became of each. One task sends; each request on its way has a task of its own, at most [`REQUESTS_PER_NODE`]
//! for each broker. Requests to a broker leave in the order in which they were made: nothing is made before there is a connection, and
//! nothing is sent on another one before every request of the one that broke has ended.

pub mod accumulator;
pub mod batch;
mod delivery;
pub mod partition_queue;

use crate::client::{Client, Lane, Target};
use crate::connection::Link;
use crate::deadline;
use crate::errors::{ClientError, SendError};
use crate::options::{Acks, ProducerOptions};
use crate::partitioner::{StickyPartitioner, partition_for_key};
use crate::records::{Acked, Record, TopicPartitionName};
use crate::signal::Signal;
use crate::versions::Versions;
use accumulator::{Accumulator, Leader, ToSend};
use futures_channel::oneshot;
use partition_queue::Identity;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use taffrail_env::{Env, Instant};
use taffrail_wire::init_producer_id::InitProducerIdRequest;

/// Requests on their way to one broker.
pub const REQUESTS_PER_NODE: usize = 5;
/// A batch's header, and some room for the request around it.
const REQUEST_OVERHEAD: usize = 512;

type Waiter = oneshot::Sender<Result<Acked, SendError>>;

/// See the module's head. Records still held when it is dropped are given up; `flush` first.
pub struct Producer<E: Env> {
    shared: Rc<Shared<E>>,
}

pub(crate) struct Shared<E: Env> {
    client: Client<E>,
    options: ProducerOptions,
    lane: Lane,
    core: RefCell<Accumulator<Waiter>>,
    sticky: RefCell<StickyPartitioner>,
    requests: RefCell<BTreeMap<i32, usize>>,
    links: RefCell<BTreeMap<i32, Rc<Link<E>>>>,
    /// Why the first connection ended that another one took the place of.
    lost: RefCell<Option<ClientError>>,
    /// Nodes that are being connected to.
    connecting: RefCell<BTreeSet<i32>>,
    asking_identity: Cell<bool>,
    /// The cluster gives this producer no id, for good.
    refused: RefCell<Option<ClientError>>,
    closed: Cell<bool>,
    /// Something for the sending task to look at.
    work: Signal,
    /// Records were settled: there may be room, and a flush may be over.
    settled: Signal,
}

/// A record's fate, once it is known. Dropping it changes nothing.
pub struct Delivery {
    fate: oneshot::Receiver<Result<Acked, SendError>>,
}

impl Future for Delivery {
    type Output = Result<Acked, SendError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.fate)
            .poll(context)
            .map(|fate| match fate {
                Ok(fate) => fate,
                Err(oneshot::Canceled) => Err(SendError::Closed {
                    may_be_written: true,
                }),
            })
    }
}

impl<E: Env> Producer<E> {
    /// # Panics
    /// If idempotence is asked for without [`Acks::All`]: an acknowledgement of less cannot promise it. If the first sequence
    /// number is negative: there are none.
    pub fn new(client: &Client<E>, options: ProducerOptions) -> Producer<E> {
        assert!(
            options.first_sequence >= 0,
            "sequence numbers begin at 0 or above"
        );
        assert!(
            !options.idempotence || options.acks == Acks::All,
            "an idempotent producer needs acks=all"
        );
        let shared = Rc::new(Shared {
            client: client.clone(),
            lane: client.new_lane(),
            core: RefCell::new(Accumulator::new(options.clone(), client.backoff())),
            sticky: RefCell::new(StickyPartitioner::new(options.batch_bytes)),
            options,
            requests: RefCell::default(),
            links: RefCell::default(),
            lost: RefCell::default(),
            connecting: RefCell::default(),
            asking_identity: Cell::new(false),
            refused: RefCell::default(),
            closed: Cell::new(false),
            work: Signal::default(),
            settled: Signal::default(),
        });
        client.env().spawn(send_batches(shared.clone()));
        Producer { shared }
    }

    /// Takes a record in, waiting for metadata and room at most [`ProducerOptions::block_max`]. The answer resolves when the
    /// record's fate is known. Records for one partition are written in the order in which they were taken in.
    pub async fn send(
        &self,
        topic: &str,
        partition: Option<i32>,
        record: Record,
    ) -> Result<Delivery, SendError> {
        let shared = &self.shared;
        let env = shared.client.env();
        let bytes = record.size_bound();
        let bytes_max = shared
            .options
            .request_bytes_max
            .saturating_sub(REQUEST_OVERHEAD);
        if bytes > bytes_max {
            return Err(SendError::TooLarge { bytes, bytes_max });
        }
        let until = env.now() + shared.options.block_max;
        shared
            .client
            .topic_when(topic, true, until, |_| true)
            .await
            .map_err(SendError::NotBegun)?;
        let partition = self.partition(topic, partition, &record, until).await?;
        let name = TopicPartitionName::new(topic, partition);
        loop {
            let mark = shared.settled.mark();
            if let Some(error) = shared.refused.borrow().clone() {
                return Err(SendError::NotBegun(error));
            }
            if shared.core.borrow().has_room(bytes) {
                break;
            }
            shared.work.notify();
            let changed = shared.settled.changed(mark);
            if deadline::before(env, until, changed).await.is_none() {
                return Err(SendError::NoRoom);
            }
        }
        let (waiter, fate) = oneshot::channel();
        let timestamp = record.timestamp.unwrap_or_else(|| env.unix_ms());
        let news = shared
            .core
            .borrow_mut()
            .append(env.now(), &name, &record, timestamp, waiter);
        if news {
            shared.work.notify();
        }
        Ok(Delivery { fate })
    }

    async fn partition(
        &self,
        topic: &str,
        wanted: Option<i32>,
        record: &Record,
        until: Instant,
    ) -> Result<i32, SendError> {
        let client = &self.shared.client;
        let count = |client: &Client<E>| {
            client
                .with_metadata(|metadata| metadata.topic(topic).map_or(0, |t| t.partition_count()))
        };
        let mut partitions = count(client);
        let Some(wanted) = wanted else {
            return Ok(match &record.key {
                Some(key) => partition_for_key(key, partitions),
                None => self.unkeyed_partition(topic, partitions, record.size_bound()),
            });
        };
        if wanted >= partitions {
            // It may have been added since.
            client
                .fetch_metadata(Some(&[topic]), false, until)
                .await
                .map_err(SendError::NotBegun)?;
            partitions = count(client);
        }
        if !(0..partitions).contains(&wanted) {
            return Err(SendError::NoSuchPartition {
                topic: topic.to_owned(),
                partition: wanted,
                partitions,
            });
        }
        Ok(wanted)
    }

    fn unkeyed_partition(&self, topic: &str, partitions: i32, bytes: usize) -> i32 {
        if partitions == 1 {
            return 0;
        }
        let env = self.shared.client.env();
        let draw = || env.random_u64("client partition");
        let mut sticky = self.shared.sticky.borrow_mut();
        self.shared.client.with_metadata(|metadata| {
            let has_leader = |partition| metadata.leader(topic, partition).is_some();
            sticky.partition(topic, bytes, partitions, has_leader, draw)
        })
    }

    /// Waits until the fate of every record taken in so far is known.
    pub async fn flush(&self) {
        let flushed = self.shared.core.borrow_mut().flush();
        self.shared.work.notify();
        loop {
            let mark = self.shared.settled.mark();
            if self.shared.core.borrow().is_flushed(flushed) {
                return;
            }
            self.shared.settled.changed(mark).await;
        }
    }

    /// For a producer without acknowledgements, behind a flush: whether every connection that it sent on lasted until the broker
    /// had taken all of it. A broker that refuses such a batch closes the connection and says nothing; one that answers has looked at
    /// all that came before the question.
    pub async fn check_connections(&self) -> Result<(), ClientError> {
        if let Some(error) = self.shared.lost.borrow().clone() {
            return Err(error);
        }
        let links: Vec<Rc<Link<E>>> = self.shared.links.borrow().values().cloned().collect();
        for link in links {
            Versions::ask(&link, self.shared.client.operation_deadline()).await?;
        }
        Ok(())
    }

    /// Bytes of records that wait or are on their way.
    pub fn memory_used(&self) -> usize {
        self.shared.core.borrow().memory_used()
    }
}

impl<E: Env> Drop for Producer<E> {
    fn drop(&mut self) {
        self.shared.closed.set(true);
        self.shared.core.borrow_mut().close();
        self.shared.settle();
        self.shared.work.notify();
        self.shared.links.take();
        self.shared.client.close_lane(self.shared.lane);
    }
}

impl<E: Env> Shared<E> {
    /// Tells those who wait what became of their records.
    fn settle(&self) {
        let settled = self.core.borrow_mut().take_settled();
        if settled.is_empty() {
            return;
        }
        for record in settled {
            // Who dropped its delivery does not want to know.
            drop(record.waiter.send(record.fate));
        }
        self.settled.notify();
    }

    /// Where a partition's batches go; a leader that there is no connection to is added to `unconnected`.
    fn leader(&self, partition: &TopicPartitionName, unconnected: &mut BTreeSet<i32>) -> Leader {
        let leader = self
            .client
            .with_metadata(|metadata| metadata.leader(&partition.topic, partition.partition));
        let Some(node) = leader else {
            return Leader::Unknown;
        };
        let requests = self.requests.borrow().get(&node).copied().unwrap_or(0);
        let links = self.links.borrow();
        match links.get(&node) {
            Some(link) if !link.is_broken() => {
                if requests < REQUESTS_PER_NODE {
                    return Leader::Ready(node);
                }
            }
            // What was sent on the broken one may not be overtaken.
            Some(_) | None if requests > 0 => {}
            Some(_) | None => {
                unconnected.insert(node);
            }
        }
        Leader::Busy
    }

    /// Sends one request to each node.
    fn send(self: &Rc<Self>, requests: BTreeMap<i32, Vec<ToSend>>) {
        for (node, batches) in requests {
            let link = self.links.borrow().get(&node).cloned();
            let link = link.expect("only nodes with a connection are ready");
            match delivery::send(self, link, batches) {
                Ok(sent) => {
                    *self.requests.borrow_mut().entry(node).or_default() += 1;
                    let finish = delivery::finish(self.clone(), node, sent);
                    self.client.env().spawn(finish);
                }
                Err((batches, failure)) => delivery::fail(self, &batches, &failure),
            }
        }
    }

    /// The cluster will not have this producer: nothing that it holds can be sent.
    fn refuse(&self, error: ClientError) {
        self.refused.replace(Some(error));
        self.core.borrow_mut().close();
        self.settle();
    }
}

/// The sending task.
async fn send_batches<E: Env>(shared: Rc<Shared<E>>) {
    let env = shared.client.env().clone();
    loop {
        let work = shared.work.mark();
        let metadata = shared.client.metadata_mark();
        if shared.closed.get() {
            return;
        }
        let now = env.now();
        shared.core.borrow_mut().expire(now);
        shared.settle();
        if shared.core.borrow().needs_identity() && !shared.asking_identity.replace(true) {
            env.spawn(ask_identity(shared.clone()));
        }
        let mut unconnected = BTreeSet::new();
        let drained = shared
            .core
            .borrow_mut()
            .drain(now, |partition| shared.leader(partition, &mut unconnected));
        for node in unconnected {
            if shared.connecting.borrow_mut().insert(node) {
                env.spawn(connect(shared.clone(), node));
            }
        }
        let leaderless: BTreeSet<&String> = drained.leaderless.iter().collect();
        for topic in leaderless {
            shared.client.refresh_soon(topic, false);
        }
        if !drained.requests.is_empty() {
            shared.send(drained.requests);
            continue;
        }
        let next = shared
            .core
            .borrow()
            .next_deadline(now)
            .unwrap_or(Instant::MAX);
        let changed = deadline::either(
            shared.work.changed(work),
            shared.client.metadata_changed(metadata),
        );
        // Whichever comes first, the loop looks at everything again.
        deadline::before(&env, next, changed).await;
    }
}

/// Connects to a node. The wait after a failure is the client's.
async fn connect<E: Env>(shared: Rc<Shared<E>>, node: i32) {
    let client = &shared.client;
    let until = client.env().now() + client.options().request_timeout;
    match client.link(Target::Node(node), shared.lane, until).await {
        Ok(link) => {
            let before = shared.links.borrow_mut().insert(node, link);
            if let Some(fault) = before.and_then(|link| link.fault()) {
                shared.lost.borrow_mut().get_or_insert(fault);
            }
        }
        Err(error) => {
            tracing::debug!(node, %error, "no connection to a leader");
            let concerned = |partition: &TopicPartitionName| {
                client.with_metadata(|metadata| {
                    metadata.leader(&partition.topic, partition.partition) == Some(node)
                })
            };
            let why = error.to_string();
            let topics = shared.core.borrow_mut().on_unreachable(&why, concerned);
            for topic in topics {
                client.refresh_soon(&topic, false);
            }
        }
    }
    shared.connecting.borrow_mut().remove(&node);
    shared.work.notify();
}

/// Asks for a producer id until there is one, or the cluster says that there will be none.
async fn ask_identity<E: Env>(shared: Rc<Shared<E>>) {
    let request = InitProducerIdRequest {
        transactional_id: None,
        transaction_timeout_ms: i32::MAX,
        ..InitProducerIdRequest::default()
    };
    let client = &shared.client;
    let mut failures = 0;
    while !shared.closed.get() {
        match ask_identity_once(client, &request).await {
            Ok(identity) => {
                shared.core.borrow_mut().set_identity(identity);
                break;
            }
            Err(error) if may_pass(&error) => {
                tracing::debug!(%error, "no producer id yet");
                failures += 1;
                client.pause(failures, Instant::MAX).await;
            }
            Err(error) => {
                shared.refuse(error);
                break;
            }
        }
    }
    shared.asking_identity.set(false);
    shared.settle();
    shared.work.notify();
}

fn may_pass(error: &ClientError) -> bool {
    error.is_retriable() || matches!(error, ClientError::TimedOut { .. })
}

async fn ask_identity_once<E: Env>(
    client: &Client<E>,
    request: &InitProducerIdRequest<'_>,
) -> Result<Identity, ClientError> {
    let until = client.operation_deadline();
    let reply = client.call_any(request, i16::MAX, until).await?;
    let response = reply.read::<InitProducerIdRequest<'_>>()?;
    ClientError::check(response.error_code, None, "producer id")?;
    Ok(Identity {
        producer_id: response.producer_id,
        producer_epoch: response.producer_epoch,
    })
}
