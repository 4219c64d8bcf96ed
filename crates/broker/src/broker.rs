//! What every connection and every handler on shard 0 shares.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use futures_util::lock::Mutex;
use taffrail_env::Env;
use taffrail_record::{TopicId, TopicPartition};
use taffrail_storage::Identity;
use taffrail_wire::ErrorCode;

use crate::admission::Admission;
use crate::budget::Budget;
use crate::controller::{Controller, Unavailable};
use crate::group::Groups;
use crate::metadata::{Command, Done, Refusal, Topic};
use crate::metrics::Counters;
use crate::producer_ids::ProducerIds;
use crate::router::Router;
use crate::session::{FetchSessions, TopicRef};
use crate::settings::Settings;
use crate::signal::Signal;

/// The topic that groups and their offsets are kept in.
pub(crate) const OFFSETS_TOPIC: &str = "__consumer_offsets";

/// Where clients are told to connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// `None`: the address by which the client came.
    pub host: Option<String>,
    pub port: u16,
}

impl Endpoint {
    /// The host, for a client that came to `local`.
    pub fn host_for(&self, local: SocketAddr) -> String {
        self.host.clone().unwrap_or_else(|| local.ip().to_string())
    }
}

/// A node, as its handlers see it.
pub(crate) struct Broker<E: Env> {
    pub env: E,
    pub node_id: i32,
    pub identity: Identity,
    /// Kafka's text of the cluster's id.
    pub cluster_id: String,
    pub data: String,
    pub endpoint: Endpoint,
    /// Whether clients can come from this machine alone.
    pub loopback_only: bool,
    pub settings: Rc<Settings>,
    pub router: Rc<Router<E>>,
    pub controller: Rc<Controller<E>>,
    /// Held by whoever judges edits of settings against those that hold, until they hold themselves.
    pub edits: Arc<Mutex<()>>,
    pub producer_ids: ProducerIds<E>,
    pub groups: Rc<Groups<E>>,
    pub budget: Budget,
    pub admission: RefCell<Admission>,
    pub sessions: RefCell<FetchSessions>,
    pub counters: Counters,
    /// The most requests that one connection ever had under way.
    pub in_flight_peak: Cell<usize>,
    /// Set when the node begins to stop.
    pub stopping: Signal,
}

/// A partition that this node leads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Led {
    pub id: TopicPartition,
    pub leader_epoch: i32,
    pub in_sync_replicas: usize,
    /// Whether the topic belongs to the brokers.
    pub internal: bool,
}

impl<E: Env> Broker<E> {
    /// Finds a partition that this node leads, by what a request says of it.
    pub fn lead(
        &self,
        topic: &TopicRef,
        partition: i32,
        leader_epoch: i32,
    ) -> Result<Led, ErrorCode> {
        let metadata = self.controller.metadata();
        let topic = match topic {
            TopicRef::Name(name) => metadata
                .topic(name)
                .ok_or(ErrorCode::UnknownTopicOrPartition)?,
            TopicRef::Id(id) => metadata.topic_by_id(*id).ok_or(ErrorCode::UnknownTopicId)?,
        };
        let state = usize::try_from(partition)
            .ok()
            .and_then(|index| topic.partitions.get(index))
            .ok_or(ErrorCode::UnknownTopicOrPartition)?;
        if state.leader != self.node_id {
            return Err(ErrorCode::NotLeaderOrFollower);
        }
        if leader_epoch >= 0 && leader_epoch != state.leader_epoch {
            return Err(if leader_epoch < state.leader_epoch {
                ErrorCode::FencedLeaderEpoch
            } else {
                ErrorCode::UnknownLeaderEpoch
            });
        }
        let id = TopicPartition {
            topic: topic.id(),
            partition,
        };
        Ok(Led {
            id,
            leader_epoch: state.leader_epoch,
            in_sync_replicas: state.isr.len(),
            internal: topic.internal,
        })
    }

    /// Whether topics are created when clients first ask for them.
    pub fn creates_topics(&self) -> bool {
        self.settings
            .broker()
            .auto_create_topics
            .unwrap_or(self.loopback_only)
    }

    /// A topic id that nobody has.
    pub fn new_topic_id(&self) -> TopicId {
        let mut id = [0; 16];
        self.env.fill("topic-id", &mut id);
        // Kafka's ids are UUIDs of version 4, and its own code keeps their texts from beginning with a dash.
        id[6] = id[6] & 0x0f | 0x40;
        id[8] = id[8] & 0x3f | 0x80;
        if id[0] >> 2 == 62 {
            id[0] ^= 0x80;
        }
        TopicId(id)
    }

    /// Creates a topic; what is refused and what fails are the protocol's errors with their text.
    pub async fn create_topic(
        &self,
        name: &str,
        assignments: Vec<Vec<i32>>,
        configs: BTreeMap<String, String>,
    ) -> Result<TopicId, (ErrorCode, String)> {
        let command = Command::CreateTopic {
            topic_id: self.new_topic_id().0,
            name: name.to_string(),
            assignments,
            configs,
            created_ms: self.env.unix_ms(),
        };
        match self.submit(command).await? {
            Done::TopicCreated { topic_id, .. } => Ok(TopicId(topic_id)),
            other => unreachable!("{other:?} is no answer to the creation of a topic"),
        }
    }

    /// Has a metadata command committed.
    pub async fn submit(&self, command: Command) -> Result<Done, (ErrorCode, String)> {
        match self.controller.submit(command).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(refusal)) => Err((refusal_code(&refusal), refusal.to_string())),
            Err(Unavailable::Stopping) => {
                Err((ErrorCode::NotController, Unavailable::Stopping.to_string()))
            }
            Err(error) => Err((ErrorCode::KafkaStorageError, error.to_string())),
        }
    }

    /// Makes sure that the topic of groups and their offsets is there; answers how many partitions it has.
    pub async fn ensure_offsets_topic(&self) -> Result<i32, ErrorCode> {
        loop {
            if let Some(topic) = self.controller.metadata().topic(OFFSETS_TOPIC) {
                return Ok(topic.partitions.len() as i32);
            }
            let settings = self.settings.broker();
            let assignments =
                vec![vec![self.node_id]; settings.offsets_topic_num_partitions as usize];
            let segment_bytes = settings.offsets_topic_segment_bytes.to_string();
            let configs = BTreeMap::from([("segment.bytes".to_string(), segment_bytes)]);
            match self.create_topic(OFFSETS_TOPIC, assignments, configs).await {
                Ok(_) | Err((ErrorCode::TopicAlreadyExists, _)) => {}
                Err((error, text)) => {
                    tracing::warn!("topic {OFFSETS_TOPIC} not created: {text}");
                    return Err(error);
                }
            }
        }
    }

    /// The settings of a topic.
    pub fn topic_settings(&self, topic: &Topic) -> Rc<crate::config::TopicSettings> {
        self.settings.topic(topic)
    }
}

/// The protocol's error for what the metadata machine refuses.
pub(crate) fn refusal_code(refusal: &Refusal) -> ErrorCode {
    match refusal {
        Refusal::InvalidName(_) | Refusal::NameCollides { .. } | Refusal::InternalTopic => {
            ErrorCode::InvalidTopicException
        }
        Refusal::TopicExists { .. } => ErrorCode::TopicAlreadyExists,
        Refusal::UnknownTopic => ErrorCode::UnknownTopicOrPartition,
        Refusal::UnknownTopicId => ErrorCode::UnknownTopicId,
        Refusal::NoPartitions | Refusal::NotMorePartitions { .. } => ErrorCode::InvalidPartitions,
        Refusal::TooManyPartitions => ErrorCode::InvalidPartitions,
        Refusal::AssignmentCount { .. } | Refusal::InvalidAssignment { .. } => {
            ErrorCode::InvalidReplicaAssignment
        }
        Refusal::TooManyConfigs | Refusal::InvalidConfig { .. } => ErrorCode::InvalidConfig,
        Refusal::TopicIdTaken
        | Refusal::InvalidBlock
        | Refusal::ProducerIdsExhausted
        | Refusal::StaleStart { .. }
        | Refusal::NothingToRemove
        | Refusal::UnknownSemanticsLevel => ErrorCode::UnknownServerError,
    }
}
