//! What is known of the cluster: brokers, topics, leaders. Pure; the shell asks for it and feeds it.
//!
//! An answer of a broker that lags behind never replaces a newer leader: for the same topic id the higher leader epoch stays (KIP-320).
//! A topic that was deleted and made again under its name has another id, and starts afresh.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use taffrail_env::Instant;
use taffrail_wire::ErrorCode;
use taffrail_wire::metadata::{MetadataResponse, MetadataResponseTopic};

/// The id of a broker.
pub type NodeId = i32;

/// One broker's advertised address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    pub node_id: NodeId,
    pub host: String,
    pub port: i32,
    pub rack: Option<String>,
}

impl Broker {
    /// `HOST:PORT`, an IPv6 host in brackets.
    pub fn address(&self) -> String {
        if self.host.contains(':') && !self.host.starts_with('[') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// One partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionState {
    /// `None` while there is none.
    pub leader: Option<NodeId>,
    /// -1 if the broker does not tell.
    pub leader_epoch: i32,
    pub replicas: Vec<NodeId>,
    pub in_sync: Vec<NodeId>,
    pub error: ErrorCode,
}

/// One topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicState {
    /// All zeros if the broker does not tell.
    pub id: [u8; 16],
    pub internal: bool,
    /// By number, 0 to one less than there are.
    pub partitions: BTreeMap<i32, PartitionState>,
    pub error: ErrorCode,
    fetched_at: Instant,
    stale: bool,
}

impl TopicState {
    /// How many partitions there are.
    pub fn partition_count(&self) -> i32 {
        i32::try_from(self.partitions.len()).unwrap_or(i32::MAX)
    }
}

/// See the module's head.
#[derive(Debug, Default)]
pub struct Metadata {
    pub brokers: BTreeMap<NodeId, Broker>,
    pub controller: Option<NodeId>,
    pub cluster_id: Option<String>,
    topics: BTreeMap<String, TopicState>,
    names: BTreeMap<[u8; 16], String>,
}

impl Metadata {
    /// Takes an answer in.
    pub fn update(&mut self, now: Instant, response: &MetadataResponse<'_>) {
        if !response.brokers.is_empty() {
            self.brokers = response
                .brokers
                .iter()
                .map(|broker| {
                    let known = Broker {
                        node_id: broker.node_id,
                        host: broker.host.to_owned(),
                        port: broker.port,
                        rack: broker.rack.map(str::to_owned),
                    };
                    (broker.node_id, known)
                })
                .collect();
        }
        self.controller = (response.controller_id >= 0).then_some(response.controller_id);
        self.cluster_id = response.cluster_id.map(str::to_owned);
        for topic in &response.topics {
            if let Some(name) = topic.name {
                self.update_topic(now, name, topic);
            }
        }
    }

    fn update_topic(&mut self, now: Instant, name: &str, topic: &MetadataResponseTopic<'_>) {
        let known = self
            .topics
            .get(name)
            .filter(|known| known.id == topic.topic_id);
        let partitions = topic
            .partitions
            .iter()
            .map(|partition| {
                let fresh = PartitionState {
                    leader: (partition.leader_id >= 0).then_some(partition.leader_id),
                    leader_epoch: partition.leader_epoch,
                    replicas: partition.replica_nodes.clone(),
                    in_sync: partition.isr_nodes.clone(),
                    error: ErrorCode::from(partition.error_code),
                };
                let older = known
                    .and_then(|known| known.partitions.get(&partition.partition_index))
                    .filter(|known| {
                        known.leader_epoch > fresh.leader_epoch && fresh.leader_epoch >= 0
                    });
                (partition.partition_index, older.cloned().unwrap_or(fresh))
            })
            .collect();
        let state = TopicState {
            id: topic.topic_id,
            internal: topic.is_internal,
            partitions,
            error: ErrorCode::from(topic.error_code),
            fetched_at: now,
            stale: false,
        };
        if let Some(former) = self.topics.insert(name.to_owned(), state) {
            self.names.remove(&former.id);
        }
        if topic.topic_id != [0; 16] {
            self.names.insert(topic.topic_id, name.to_owned());
        }
    }

    /// A topic, fresh or not.
    pub fn topic(&self, name: &str) -> Option<&TopicState> {
        self.topics.get(name)
    }

    /// The name of a topic id.
    pub fn name_of(&self, id: &[u8; 16]) -> Option<&str> {
        self.names.get(id).map(String::as_str)
    }

    /// The names of all known topics that exist.
    pub fn topic_names(&self) -> BTreeSet<String> {
        self.topics
            .iter()
            .filter(|(_, topic)| topic.error == ErrorCode::None)
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// The leader, if one is known.
    pub fn leader(&self, topic: &str, partition: i32) -> Option<NodeId> {
        let leader = self.topic(topic)?.partitions.get(&partition)?.leader?;
        self.brokers.contains_key(&leader).then_some(leader)
    }

    /// Somebody found this topic's metadata wrong.
    pub fn mark_stale(&mut self, topic: &str) {
        if let Some(topic) = self.topics.get_mut(topic) {
            topic.stale = true;
        }
    }

    /// Whether what is known of a topic may be relied on: it is there, without an error, and not too old.
    pub fn is_fresh(&self, now: Instant, topic: &str, age_max: Duration) -> bool {
        self.topic(topic).is_some_and(|topic| {
            topic.error == ErrorCode::None
                && !topic.stale
                && !topic.partitions.is_empty()
                && now.saturating_since(topic.fetched_at) < age_max
        })
    }

    /// Adds a broker that was learnt in another way than by metadata, unless it is known.
    pub fn learn(&mut self, broker: Broker) {
        self.brokers.entry(broker.node_id).or_insert(broker);
    }
}

#[cfg(test)]
mod tests;
