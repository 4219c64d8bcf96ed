//! The state of the metadata, and how commands change it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use taffrail_record::TopicId;
use taffrail_replication::{Machine, RestoreError, encoding};

use super::names::collision_key;
use super::{Change, Command, RawTopicId, Reply};

mod process;

/// The format of snapshots.
const SNAPSHOT_VERSION: u32 = 1;

/// A topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topic {
    pub(super) topic_id: RawTopicId,
    pub name: String,
    pub internal: bool,
    pub created_ms: i64,
    pub partitions: Vec<PartitionState>,
    /// The settings that are not at their defaults, as text that was validated.
    pub configs: BTreeMap<String, String>,
}

impl Topic {
    /// The id under which the topic's data is kept.
    pub fn id(&self) -> TopicId {
        TopicId(self.topic_id)
    }
}

/// Who serves a partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionState {
    /// In order of preference.
    pub replicas: Vec<i32>,
    pub isr: Vec<i32>,
    pub leader: i32,
    pub leader_epoch: i32,
    pub partition_epoch: i32,
}

impl PartitionState {
    /// A new partition: all replicas are in sync, since there is nothing to have, and the first leads.
    fn new(replicas: &[i32]) -> PartitionState {
        PartitionState {
            replicas: replicas.to_vec(),
            isr: replicas.to_vec(),
            leader: replicas[0],
            leader_epoch: 0,
            partition_epoch: 0,
        }
    }
}

/// A broker that has registered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Broker {
    pub directory_id: [u8; 16],
    pub start_number: u64,
    /// Grows with every registration of any broker.
    pub broker_epoch: i64,
    pub host: String,
    pub port: u16,
    pub rack: Option<String>,
}

/// A topic that was deleted while brokers may still hold its data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeletedTopic {
    pub name: String,
    pub partitions: u32,
    /// Who has not yet reported its data gone.
    pub brokers: BTreeSet<i32>,
}

/// What must still be done because of what is committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Duty {
    /// `broker` removes all data of the topic and reports it by [`Command::DataRemoved`].
    RemoveData {
        broker: i32,
        topic_id: TopicId,
        partitions: u32,
    },
}

/// Everything the cluster agrees on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    image: Image,
    /// Derived: the ids by name.
    by_name: BTreeMap<String, RawTopicId>,
    /// Derived: names that new ones must not resemble.
    collisions: BTreeMap<String, RawTopicId>,
    /// Derived: of all topics together.
    partitions: usize,
}

/// The part of the state that the rest is derived from, and a snapshot holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Image {
    version: u32,
    semantics_level: u32,
    topics: BTreeMap<RawTopicId, Topic>,
    deleted: BTreeMap<RawTopicId, DeletedTopic>,
    brokers: BTreeMap<i32, Broker>,
    broker_configs: BTreeMap<Option<i32>, BTreeMap<String, String>>,
    next_broker_epoch: i64,
    next_producer_id: i64,
}

impl Default for Image {
    fn default() -> Image {
        Image {
            version: SNAPSHOT_VERSION,
            semantics_level: 1,
            topics: BTreeMap::new(),
            deleted: BTreeMap::new(),
            brokers: BTreeMap::new(),
            broker_configs: BTreeMap::new(),
            next_broker_epoch: 0,
            next_producer_id: 0,
        }
    }
}

impl Metadata {
    /// The topic of this name.
    pub fn topic(&self, name: &str) -> Option<&Topic> {
        self.image.topics.get(self.by_name.get(name)?)
    }

    /// The topic of this id.
    pub fn topic_by_id(&self, id: TopicId) -> Option<&Topic> {
        self.image.topics.get(&id.0)
    }

    /// All topics in the order of their names.
    pub fn topics(&self) -> impl Iterator<Item = &Topic> {
        self.by_name
            .values()
            .filter_map(|id| self.image.topics.get(id))
    }

    /// How many partitions all topics have together.
    pub fn partition_count(&self) -> usize {
        self.partitions
    }

    /// How many topics are deleted and not all removed.
    pub fn deleted_count(&self) -> usize {
        self.image.deleted.len()
    }

    /// The topic's deletion is committed, and data of it may still be there.
    pub fn deleted(&self, id: TopicId) -> Option<&DeletedTopic> {
        self.image.deleted.get(&id.0)
    }

    /// The brokers that ever registered.
    pub fn brokers(&self) -> &BTreeMap<i32, Broker> {
        &self.image.brokers
    }

    /// Settings of one broker, or of all brokers (`None`), that are not at their defaults.
    pub fn broker_configs(&self, broker: Option<i32>) -> Option<&BTreeMap<String, String>> {
        self.image.broker_configs.get(&broker)
    }

    /// The smallest producer id that nobody has.
    pub fn next_producer_id(&self) -> i64 {
        self.image.next_producer_id
    }

    /// By which rules commands are judged.
    pub fn semantics_level(&self) -> u32 {
        self.image.semantics_level
    }

    fn from_image(image: Image) -> Metadata {
        let mut metadata = Metadata {
            image,
            ..Metadata::default()
        };
        let ids = metadata
            .image
            .topics
            .values()
            .map(|topic| (topic.name.clone(), topic.topic_id));
        metadata.by_name = ids.collect();
        let keys = metadata
            .by_name
            .iter()
            .map(|(name, id)| (collision_key(name), *id));
        metadata.collisions = keys.collect();
        metadata.partitions = metadata
            .image
            .topics
            .values()
            .map(|topic| topic.partitions.len())
            .sum();
        metadata
    }

    fn topic_created(&mut self, topic: &Topic) {
        self.by_name.insert(topic.name.clone(), topic.topic_id);
        self.collisions
            .insert(collision_key(&topic.name), topic.topic_id);
        self.partitions += topic.partitions.len();
        self.image.topics.insert(topic.topic_id, topic.clone());
    }

    fn topic_deleted(&mut self, topic_id: &RawTopicId) {
        let Some(topic) = self.image.topics.remove(topic_id) else {
            return;
        };
        self.by_name.remove(&topic.name);
        self.collisions.remove(&collision_key(&topic.name));
        self.partitions -= topic.partitions.len();
        let brokers = topic
            .partitions
            .iter()
            .flat_map(|partition| partition.replicas.iter().copied());
        let deleted = DeletedTopic {
            name: topic.name,
            partitions: topic.partitions.len() as u32,
            brokers: brokers.collect(),
        };
        self.image.deleted.insert(*topic_id, deleted);
    }

    fn data_removed(&mut self, broker: i32, topic_id: &RawTopicId) {
        if let Some(deleted) = self.image.deleted.get_mut(topic_id) {
            deleted.brokers.remove(&broker);
            if deleted.brokers.is_empty() {
                self.image.deleted.remove(topic_id);
            }
        }
    }
}

impl Machine for Metadata {
    type Request = Command;
    type Change = Change;
    type Reply = Reply;
    type Duty = Duty;

    fn process(&self, request: &Command, changes: &mut Vec<Change>) -> Reply {
        process::process(self, request, changes)
    }

    fn apply(&mut self, change: &Change) {
        match change {
            Change::TopicCreated(topic) => self.topic_created(topic),
            Change::TopicDeleted { topic_id } => self.topic_deleted(topic_id),
            Change::PartitionsAdded {
                topic_id,
                partitions,
            } => {
                if let Some(topic) = self.image.topics.get_mut(topic_id) {
                    topic.partitions.extend_from_slice(partitions);
                    self.partitions += partitions.len();
                }
            }
            Change::TopicConfigs { topic_id, configs } => {
                if let Some(topic) = self.image.topics.get_mut(topic_id) {
                    topic.configs = configs.clone();
                }
            }
            Change::BrokerConfigs { broker, configs } => {
                if configs.is_empty() {
                    self.image.broker_configs.remove(broker);
                } else {
                    self.image.broker_configs.insert(*broker, configs.clone());
                }
            }
            Change::NextProducerId(next) => self.image.next_producer_id = *next,
            Change::BrokerRegistered { broker, state } => {
                self.image.next_broker_epoch = state.broker_epoch + 1;
                self.image.brokers.insert(*broker, state.clone());
            }
            Change::DataRemoved { broker, topic_id } => self.data_removed(*broker, topic_id),
            Change::SemanticsLevel(level) => self.image.semantics_level = *level,
        }
    }

    fn duties(&self, _now_ms: i64, due: &mut Vec<Duty>) {
        for (topic_id, deleted) in &self.image.deleted {
            due.extend(deleted.brokers.iter().map(|broker| Duty::RemoveData {
                broker: *broker,
                topic_id: TopicId(*topic_id),
                partitions: deleted.partitions,
            }));
        }
    }

    fn next_deadline(&self) -> Option<i64> {
        None
    }

    fn snapshot(&self, out: &mut Vec<u8>) {
        encoding::encode(&self.image, out)
            .expect("maps, strings and numbers always have an encoding");
    }

    fn restore(snapshot: &[u8]) -> Result<Metadata, RestoreError> {
        let error = |what: String| RestoreError(format!("metadata: {what}"));
        let version = snapshot
            .first_chunk::<4>()
            .map(|bytes| u32::from_le_bytes(*bytes));
        if version != Some(SNAPSHOT_VERSION) {
            return Err(error(format!(
                "version {version:?} is not {SNAPSHOT_VERSION}"
            )));
        }
        let image = encoding::decode(snapshot).map_err(|decode| error(decode.to_string()))?;
        let metadata = Metadata::from_image(image);
        super::check(&metadata).map_err(error)?;
        Ok(metadata)
    }
}

#[cfg(test)]
mod tests;
