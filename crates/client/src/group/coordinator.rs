//! The coordinator of one group: who it is, and the offsets it keeps.

use crate::client::{Client, Lane};
use crate::connection::Reply;
use crate::errors::ClientError;
use crate::metadata::{Broker, NodeId};
use crate::records::TopicPartitionName;
use std::cell::Cell;
use std::collections::BTreeMap;
use taffrail_env::{Env, Instant};
use taffrail_record::Offset;
use taffrail_wire::find_coordinator::FindCoordinatorRequest;
use taffrail_wire::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use taffrail_wire::offset_fetch::{OffsetFetchRequest, OffsetFetchRequestTopic};
use taffrail_wire::{ErrorCode, Request};

/// One group per request, below; several from the next version on.
const FIND_ONE_MAX: i16 = 3;
const FETCH_ONE_MAX: i16 = 7;
/// So often a commit is tried while the coordinator knows a partition not. Who read it knew it, so it is most likely gone.
const UNKNOWN_TRIES_MAX: u32 = 4;
/// Topics by name up to here.
const COMMIT_BY_NAME_MAX: i16 = 9;

/// Who commits: a member of a generation, or anybody while the group is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Committer {
    pub generation: i32,
    pub member_id: String,
    pub group_instance_id: Option<String>,
}

impl Committer {
    pub fn nobody() -> Committer {
        Committer {
            generation: -1,
            member_id: String::new(),
            group_instance_id: None,
        }
    }
}

/// See the module's head.
pub(crate) struct Coordinator<E: Env> {
    client: Client<E>,
    lane: Lane,
    group: String,
    node: Cell<Option<NodeId>>,
}

impl<E: Env> Coordinator<E> {
    pub fn new(client: &Client<E>, lane: Lane, group: &str) -> Coordinator<E> {
        Coordinator {
            client: client.clone(),
            lane,
            group: group.to_owned(),
            node: Cell::new(None),
        }
    }

    pub fn group(&self) -> &str {
        &self.group
    }

    /// It is somebody else now, or nobody that answers.
    pub fn forget(&self) {
        self.node.set(None);
    }

    /// The coordinator, asked for until there is one.
    pub async fn find(&self, until: Instant) -> Result<NodeId, ClientError> {
        if let Some(node) = self.node.get() {
            return Ok(node);
        }
        let mut failures = 0;
        loop {
            match self.find_once(until).await {
                Ok(node) => {
                    self.node.set(Some(node));
                    return Ok(node);
                }
                Err(error) if !may_pass(&error) => return Err(error),
                Err(error) => {
                    failures += 1;
                    if !self.client.pause(failures, until).await {
                        return Err(error);
                    }
                }
            }
        }
    }

    async fn find_once(&self, until: Instant) -> Result<NodeId, ClientError> {
        let request = FindCoordinatorRequest {
            key: &self.group,
            ..FindCoordinatorRequest::default()
        };
        let reply = self.client.call_any(&request, FIND_ONE_MAX, until).await?;
        let response = reply.read::<FindCoordinatorRequest<'_>>()?;
        let subject = format!("coordinator of group {}", self.group);
        ClientError::check(response.error_code, response.error_message, subject)?;
        self.client.learn_broker(Broker {
            node_id: response.node_id,
            host: response.host.to_owned(),
            port: response.port,
            rack: None,
        });
        Ok(response.node_id)
    }

    /// Sends a request to the coordinator. One that does not answer is looked for again next time.
    pub async fn call<'a, R: Request<'a>>(
        &self,
        request: &R,
        at_most: i16,
        until: Instant,
    ) -> Result<Reply, ClientError> {
        let node = self.find(until).await?;
        let called = self
            .client
            .call(node, self.lane, request, at_most, until)
            .await;
        called.map_err(|failure| {
            self.forget();
            failure.error
        })
    }

    /// Stores offsets, trying again what may pass. Answers the first error that will not.
    pub async fn commit(
        &self,
        committer: &Committer,
        offsets: &BTreeMap<TopicPartitionName, Offset>,
        until: Instant,
    ) -> Result<(), ClientError> {
        if offsets.is_empty() {
            return Ok(());
        }
        let mut failures = 0;
        loop {
            let result = self.commit_once(committer, offsets, until).await;
            let Err(error) = result else { return Ok(()) };
            self.look_again_after(&error);
            failures += 1;
            // A rebalance is for the member to act on, not for this loop.
            let rebalance = error.code() == Some(ErrorCode::RebalanceInProgress);
            let gone = error.code() == Some(ErrorCode::UnknownTopicOrPartition)
                && failures >= UNKNOWN_TRIES_MAX;
            if rebalance || gone || !may_pass(&error) || !self.client.pause(failures, until).await {
                return Err(error);
            }
        }
    }

    fn look_again_after(&self, error: &ClientError) {
        if matches!(
            error.code(),
            Some(ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable)
        ) {
            self.forget();
        }
    }

    async fn commit_once(
        &self,
        committer: &Committer,
        offsets: &BTreeMap<TopicPartitionName, Offset>,
        until: Instant,
    ) -> Result<(), ClientError> {
        let mut topics: BTreeMap<&str, OffsetCommitRequestTopic<'_>> = BTreeMap::new();
        for (name, offset) in offsets {
            let topic = topics
                .entry(&name.topic)
                .or_insert_with(|| OffsetCommitRequestTopic {
                    name: &name.topic,
                    ..OffsetCommitRequestTopic::default()
                });
            topic.partitions.push(OffsetCommitRequestPartition {
                partition_index: name.partition,
                committed_offset: *offset,
                ..OffsetCommitRequestPartition::default()
            });
        }
        let request = OffsetCommitRequest {
            group_id: &self.group,
            generation_id_or_member_epoch: committer.generation,
            member_id: &committer.member_id,
            group_instance_id: committer.group_instance_id.as_deref(),
            topics: topics.into_values().collect(),
            ..OffsetCommitRequest::default()
        };
        let until = self.client.request_deadline(until);
        let reply = self.call(&request, COMMIT_BY_NAME_MAX, until).await?;
        let response = reply.read::<OffsetCommitRequest<'_>>()?;
        for topic in &response.topics {
            for partition in &topic.partitions {
                let name = TopicPartitionName::new(topic.name, partition.partition_index);
                ClientError::check(partition.error_code, None, name)?;
            }
        }
        Ok(())
    }

    /// The stored offsets of `partitions`, or of all that the group has (`None`). What has none is left out.
    pub async fn committed(
        &self,
        partitions: Option<&[TopicPartitionName]>,
        until: Instant,
    ) -> Result<BTreeMap<TopicPartitionName, Offset>, ClientError> {
        let mut failures = 0;
        loop {
            let error = match self.committed_once(partitions, until).await {
                Ok(offsets) => return Ok(offsets),
                Err(error) => error,
            };
            self.look_again_after(&error);
            failures += 1;
            if !may_pass(&error) || !self.client.pause(failures, until).await {
                return Err(error);
            }
        }
    }

    async fn committed_once(
        &self,
        partitions: Option<&[TopicPartitionName]>,
        until: Instant,
    ) -> Result<BTreeMap<TopicPartitionName, Offset>, ClientError> {
        let topics = partitions.map(|partitions| {
            let mut topics: BTreeMap<&str, OffsetFetchRequestTopic<'_>> = BTreeMap::new();
            for name in partitions {
                let topic = topics
                    .entry(&name.topic)
                    .or_insert_with(|| OffsetFetchRequestTopic {
                        name: &name.topic,
                        ..OffsetFetchRequestTopic::default()
                    });
                topic.partition_indexes.push(name.partition);
            }
            topics.into_values().collect()
        });
        let request = OffsetFetchRequest {
            group_id: &self.group,
            topics,
            ..OffsetFetchRequest::default()
        };
        let until = self.client.request_deadline(until);
        let reply = self.call(&request, FETCH_ONE_MAX, until).await?;
        let response = reply.read::<OffsetFetchRequest<'_>>()?;
        ClientError::check(response.error_code, None, format!("group {}", self.group))?;
        let mut offsets = BTreeMap::new();
        for topic in &response.topics {
            for partition in &topic.partitions {
                let name = TopicPartitionName::new(topic.name, partition.partition_index);
                ClientError::check(partition.error_code, None, &name)?;
                if partition.committed_offset >= 0 {
                    offsets.insert(name, partition.committed_offset);
                }
            }
        }
        Ok(offsets)
    }
}

/// Whether the same may go well a little later.
pub(crate) fn may_pass(error: &ClientError) -> bool {
    error.is_retriable() || matches!(error, ClientError::TimedOut { .. })
}
