//! Offsets by place or time, asked of whoever leads each partition.

use crate::client::Client;
use crate::errors::ClientError;
use crate::metadata::NodeId;
use crate::records::TopicPartitionName;
use std::collections::BTreeMap;
use taffrail_env::{Env, Instant};
use taffrail_record::Offset;
use taffrail_wire::ErrorCode;
use taffrail_wire::list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};

/// Which offset of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetSpec {
    /// The first that is there.
    Earliest,
    /// One past the last that consumers may read.
    Latest,
    /// The first record whose timestamp is at or after this, in Unix milliseconds.
    Timestamp(i64),
    /// The record with the largest timestamp.
    MaxTimestamp,
}

impl OffsetSpec {
    fn wire(self) -> i64 {
        match self {
            OffsetSpec::Latest => -1,
            OffsetSpec::Earliest => -2,
            OffsetSpec::MaxTimestamp => -3,
            OffsetSpec::Timestamp(ms) => ms.max(0),
        }
    }
}

/// What the leader says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundOffset {
    /// `None` if no record is that late.
    pub offset: Option<Offset>,
    /// The record's timestamp; -1 for places.
    pub timestamp: i64,
    pub leader_epoch: i32,
}

type Wanted = BTreeMap<TopicPartitionName, OffsetSpec>;

impl<E: Env> Client<E> {
    /// The offset of each, or the error that stood at the deadline or will not pass.
    pub async fn list_offsets(
        &self,
        wanted: &Wanted,
        until: Instant,
    ) -> Result<BTreeMap<TopicPartitionName, FoundOffset>, ClientError> {
        let mut found = BTreeMap::new();
        let mut failures = 0;
        loop {
            let missing: Wanted = wanted
                .iter()
                .filter(|(name, _)| !found.contains_key(*name))
                .map(|(name, spec)| (name.clone(), *spec))
                .collect();
            if missing.is_empty() {
                return Ok(found);
            }
            let mut last = None;
            for (node, wanted) in self.by_leader(&missing, until).await? {
                let asked = self.list_offsets_of(node, &wanted, &mut found, until).await;
                if let Err(error) = asked {
                    let passes =
                        error.is_retriable() || matches!(error, ClientError::TimedOut { .. });
                    if !passes {
                        return Err(error);
                    }
                    for name in wanted.keys() {
                        self.refresh_soon(&name.topic, false);
                    }
                    last = Some(error);
                }
            }
            let Some(last) = last else { continue };
            failures += 1;
            if !self.pause(failures, until).await {
                return Err(last);
            }
        }
    }

    async fn by_leader(
        &self,
        wanted: &Wanted,
        until: Instant,
    ) -> Result<BTreeMap<NodeId, Wanted>, ClientError> {
        let mut nodes: BTreeMap<NodeId, Wanted> = BTreeMap::new();
        for (name, spec) in wanted {
            self.topic_when(&name.topic, false, until, |metadata| {
                let topic = metadata.topic(&name.topic);
                let absent =
                    topic.is_some_and(|topic| !topic.partitions.contains_key(&name.partition));
                absent || metadata.leader(&name.topic, name.partition).is_some()
            })
            .await?;
            let leader =
                self.with_metadata(|metadata| metadata.leader(&name.topic, name.partition));
            let Some(leader) = leader else {
                return Err(ClientError::Refused {
                    code: ErrorCode::UnknownTopicOrPartition,
                    message: Some("the topic has no such partition".to_owned()),
                    subject: name.to_string(),
                });
            };
            nodes.entry(leader).or_default().insert(name.clone(), *spec);
        }
        Ok(nodes)
    }

    /// Asks one leader. Adds what it answers well; the error is one of those that it did not.
    async fn list_offsets_of(
        &self,
        node: NodeId,
        wanted: &Wanted,
        found: &mut BTreeMap<TopicPartitionName, FoundOffset>,
        until: Instant,
    ) -> Result<(), ClientError> {
        let mut topics: BTreeMap<&str, ListOffsetsTopic<'_>> = BTreeMap::new();
        for (name, spec) in wanted {
            let topic = topics
                .entry(&name.topic)
                .or_insert_with(|| ListOffsetsTopic {
                    name: &name.topic,
                    ..ListOffsetsTopic::default()
                });
            topic.partitions.push(ListOffsetsPartition {
                partition_index: name.partition,
                timestamp: spec.wire(),
                ..ListOffsetsPartition::default()
            });
        }
        let request = ListOffsetsRequest {
            replica_id: -1,
            topics: topics.into_values().collect(),
            timeout_ms: crate::options::millis(self.options().request_timeout),
            ..ListOffsetsRequest::default()
        };
        let reply = self.call_node(node, &request, until).await?;
        let response = reply.read::<ListOffsetsRequest<'_>>()?;
        let mut failed = None;
        for topic in &response.topics {
            for partition in &topic.partitions {
                let name = TopicPartitionName::new(topic.name, partition.partition_index);
                if let Err(error) = ClientError::check(partition.error_code, None, &name) {
                    failed = Some(error);
                    continue;
                }
                let offset = FoundOffset {
                    offset: (partition.offset >= 0).then_some(partition.offset),
                    timestamp: partition.timestamp,
                    leader_epoch: partition.leader_epoch,
                };
                found.insert(name, offset);
            }
        }
        let silent = wanted.keys().find(|name| !found.contains_key(*name));
        match (failed, silent) {
            (Some(error), _) => Err(error),
            (None, Some(name)) => Err(ClientError::Protocol(format!(
                "ListOffsets response without {name}"
            ))),
            (None, None) => Ok(()),
        }
    }
}
