//! The steps of the metadata's state. Brokers other than the controllers learn the metadata as a stream of
//! these, each exact to a position.

use std::collections::BTreeMap;

use super::RawTopicId;
use super::machine::{Broker, PartitionState, Topic};

/// One step. Carries results only: whoever applies it decides nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    TopicCreated(Topic),
    TopicDeleted {
        topic_id: RawTopicId,
    },
    PartitionsAdded {
        topic_id: RawTopicId,
        partitions: Vec<PartitionState>,
    },
    /// All settings of the topic, as they are now.
    TopicConfigs {
        topic_id: RawTopicId,
        configs: BTreeMap<String, String>,
    },
    /// All settings of the broker, or of all brokers, as they are now.
    BrokerConfigs {
        broker: Option<i32>,
        configs: BTreeMap<String, String>,
    },
    NextProducerId(i64),
    BrokerRegistered {
        broker: i32,
        state: Broker,
    },
    DataRemoved {
        broker: i32,
        topic_id: RawTopicId,
    },
    SemanticsLevel(u32),
}
