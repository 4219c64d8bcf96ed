//! What can be asked of the metadata, and the answers.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::names::NameError;
use super::{
    CONFIG_NAME_BYTES_MAX, CONFIG_VALUE_BYTES_MAX, CONFIGS_MAX, PARTITIONS_MAX,
    PARTITIONS_PER_TOPIC_MAX, PRODUCER_IDS_PER_BLOCK_MAX, RawTopicId,
};

/// An entry of the metadata log. New variants are added at the end: the order is the encoding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Creates a topic. `topic_id` is random; `assignments` names the replicas of each partition, the
    /// preferred leader first; configs are valid settings, as text.
    CreateTopic {
        topic_id: RawTopicId,
        name: String,
        assignments: Vec<Vec<i32>>,
        configs: BTreeMap<String, String>,
        created_ms: i64,
    },
    /// Deletes a topic, and makes the deletion of its data everybody's duty.
    DeleteTopic { topic: TopicKey },
    /// Gives a topic `count` partitions; `assignments` are those of the new ones.
    CreatePartitions {
        name: String,
        count: i32,
        assignments: Vec<Vec<i32>>,
    },
    /// Edits a topic's settings, all or none.
    SetTopicConfigs {
        name: String,
        edits: Vec<ConfigEdit>,
    },
    /// Edits the settings of a broker, or of all brokers (`None`), all or none.
    SetBrokerConfigs {
        broker: Option<i32>,
        edits: Vec<ConfigEdit>,
    },
    /// Takes `count` producer ids that nobody had before.
    AllocateProducerIds { broker: i32, count: u32 },
    /// A broker has started.
    RegisterBroker(BrokerRegistration),
    /// A broker holds no data of the deleted topic any more.
    DataRemoved { broker: i32, topic_id: RawTopicId },
    /// From here on commands are judged by the rules of `level`.
    SetSemanticsLevel { level: u32 },
}

/// How a command names a topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TopicKey {
    Name(String),
    Id(RawTopicId),
}

/// A broker as it makes itself known at its start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokerRegistration {
    pub broker: i32,
    /// Names the data directory. Another one means that the disk was replaced.
    pub directory_id: [u8; 16],
    /// Grows with every start on the same directory. One that does not means a copied or rolled-back disk.
    pub start_number: u64,
    pub host: String,
    pub port: u16,
    pub rack: Option<String>,
}

/// One edit of a setting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigEdit {
    pub name: String,
    pub operation: ConfigOperation,
}

/// What is done to a setting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConfigOperation {
    Set(String),
    /// Back to the default.
    Delete,
    /// Adds to a comma-separated list what it does not hold. `default` is what the list is if it is not set.
    Append {
        values: String,
        default: String,
    },
    /// Takes away from a comma-separated list.
    Subtract {
        values: String,
        default: String,
    },
}

/// The answer to a command.
pub type Reply = Result<Done, Refusal>;

/// What a command did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    TopicCreated {
        topic_id: RawTopicId,
        partitions: usize,
        replication_factor: usize,
    },
    TopicDeleted {
        topic_id: RawTopicId,
        name: String,
    },
    PartitionsCreated {
        topic_id: RawTopicId,
        count: usize,
    },
    ConfigsSet,
    ProducerIds {
        first: i64,
        count: u32,
    },
    BrokerRegistered {
        broker_epoch: i64,
    },
    DataRemoved,
    SemanticsLevelSet,
}

/// Why a command did nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    InvalidName(NameError),
    TopicExists { topic_id: RawTopicId },
    NameCollides { with: String },
    TopicIdTaken,
    UnknownTopic,
    UnknownTopicId,
    InternalTopic,
    NoPartitions,
    NotMorePartitions { current: usize },
    TooManyPartitions,
    AssignmentCount { expected: usize, found: usize },
    InvalidAssignment { partition: usize, why: &'static str },
    TooManyConfigs,
    InvalidConfig { name: String, why: &'static str },
    InvalidBlock,
    ProducerIdsExhausted,
    StaleStart { known: u64 },
    NothingToRemove,
    UnknownSemanticsLevel,
}

impl From<NameError> for Refusal {
    fn from(error: NameError) -> Refusal {
        Refusal::InvalidName(error)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::InvalidName(error) => write!(f, "{error}"),
            Refusal::TopicExists { .. } => write!(f, "a topic of this name exists already"),
            Refusal::NameCollides { with } => {
                write!(
                    f,
                    "the name differs from that of topic {with} only in '.' and '_'"
                )
            }
            Refusal::TopicIdTaken => write!(f, "the topic id is taken or reserved"),
            Refusal::UnknownTopic => write!(f, "there is no topic of this name"),
            Refusal::UnknownTopicId => write!(f, "there is no topic of this id"),
            Refusal::InternalTopic => write!(f, "the topic belongs to the brokers"),
            Refusal::NoPartitions => write!(f, "a topic has at least one partition"),
            Refusal::NotMorePartitions { current } => {
                write!(
                    f,
                    "the topic has {current} partitions already, and the number can only grow"
                )
            }
            Refusal::TooManyPartitions => write!(
                f,
                "a topic may have {PARTITIONS_PER_TOPIC_MAX} partitions, and all topics together {PARTITIONS_MAX}"
            ),
            Refusal::AssignmentCount { expected, found } => {
                write!(
                    f,
                    "replicas are given for {found} partitions instead of {expected}"
                )
            }
            Refusal::InvalidAssignment { partition, why } => {
                write!(
                    f,
                    "the replicas of partition {partition} are not valid: {why}"
                )
            }
            Refusal::TooManyConfigs => write!(f, "more than {CONFIGS_MAX} settings"),
            Refusal::InvalidConfig { name, why } => {
                write!(f, "the setting {name} is not valid: {why}")
            }
            Refusal::InvalidBlock => {
                write!(
                    f,
                    "a block holds 1 to {PRODUCER_IDS_PER_BLOCK_MAX} producer ids"
                )
            }
            Refusal::ProducerIdsExhausted => write!(f, "there are no producer ids left"),
            Refusal::StaleStart { known } => write!(
                f,
                "this data directory was already started {known} times or more: it is a copy, or was rolled back"
            ),
            Refusal::NothingToRemove => {
                write!(f, "no data of that topic is waiting to be removed there")
            }
            Refusal::UnknownSemanticsLevel => {
                write!(f, "not a semantics level that can follow the present one")
            }
        }
    }
}

impl std::error::Error for Refusal {}

impl ConfigEdit {
    /// Whether names and values are within their limits.
    pub(super) fn validate(&self) -> Result<(), Refusal> {
        let value = match &self.operation {
            ConfigOperation::Set(value) => value.len(),
            ConfigOperation::Delete => 0,
            ConfigOperation::Append { values, default }
            | ConfigOperation::Subtract { values, default } => values.len().max(default.len()),
        };
        validate_config(&self.name, value)
    }
}

/// Whether a setting of this name and length of value can be kept.
pub(super) fn validate_config(name: &str, value_bytes: usize) -> Result<(), Refusal> {
    let refuse = |why| {
        Err(Refusal::InvalidConfig {
            name: name.chars().take(64).collect(),
            why,
        })
    };
    if name.is_empty() || name.len() > CONFIG_NAME_BYTES_MAX {
        return refuse("its name is empty or too long");
    }
    if value_bytes > CONFIG_VALUE_BYTES_MAX {
        return refuse("its value is too long");
    }
    Ok(())
}
