//! Administration: topics, configs, partitions, offsets. Groups are in [`groups`].
//!
//! What changes something is repeated only if it certainly was not done; what merely reads, whenever that may help.

pub mod groups;

use crate::client::Client;
use crate::connection::CallFailure;
use crate::errors::ClientError;
use crate::group::coordinator::may_pass;
use crate::metadata::{Broker, NodeId};
use crate::offsets::{FoundOffset, OffsetSpec};
use crate::options::millis;
use crate::records::TopicPartitionName;
use std::collections::BTreeMap;
use taffrail_env::{Env, Instant};
use taffrail_record::{Offset, TopicId};
use taffrail_wire::create_partitions::{CreatePartitionsRequest, CreatePartitionsTopic};
use taffrail_wire::create_topics::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest};
use taffrail_wire::delete_records::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
};
use taffrail_wire::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use taffrail_wire::describe_configs::{DescribeConfigsRequest, DescribeConfigsResource};
use taffrail_wire::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use taffrail_wire::metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponseTopic};
use taffrail_wire::{ErrorCode, Request};

const TOPIC_RESOURCE: i8 = 2;
const BROKER_RESOURCE: i8 = 4;
const SET: i8 = 0;
const DELETE: i8 = 1;

/// A topic to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewTopic {
    pub name: String,
    /// The broker's default if absent.
    pub partitions: Option<i32>,
    /// The broker's default if absent.
    pub replication_factor: Option<i16>,
    pub configs: BTreeMap<String, String>,
}

/// One partition of a [`TopicDescription`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionDescription {
    pub partition: i32,
    pub leader: Option<NodeId>,
    pub leader_epoch: i32,
    pub replicas: Vec<NodeId>,
    pub in_sync: Vec<NodeId>,
}

/// A topic as the cluster has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicDescription {
    pub name: String,
    pub id: TopicId,
    pub internal: bool,
    pub partitions: Vec<PartitionDescription>,
}

/// The cluster as one broker sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterDescription {
    pub cluster_id: Option<String>,
    pub controller: Option<NodeId>,
    pub brokers: Vec<Broker>,
}

/// What a config belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigResource {
    Topic(String),
    Broker(NodeId),
}

impl ConfigResource {
    fn wire(&self) -> (i8, String) {
        match self {
            ConfigResource::Topic(name) => (TOPIC_RESOURCE, name.clone()),
            ConfigResource::Broker(node) => (BROKER_RESOURCE, node.to_string()),
        }
    }

    fn subject(&self) -> String {
        match self {
            ConfigResource::Topic(name) => format!("topic {name}"),
            ConfigResource::Broker(node) => format!("node {node}"),
        }
    }
}

/// One config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigEntry {
    pub name: String,
    /// `None` if it is secret, or has no value.
    pub value: Option<String>,
    pub read_only: bool,
    /// Nobody set it.
    pub is_default: bool,
}

/// What [`Admin::alter_configs`] does to a config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigChange {
    Set(String, String),
    /// Back to its default.
    Delete(String),
}

/// See the module's head.
pub struct Admin<E: Env> {
    client: Client<E>,
}

/// A try that failed; `sent` if what it asks for may have been done.
type Try<T> = Result<T, CallFailure>;

/// The broker said that it did not do it.
fn refused(error: ClientError) -> CallFailure {
    CallFailure::unsent(error)
}

/// It may have been done, but the answer cannot be read.
fn unreadable(error: ClientError) -> CallFailure {
    CallFailure { error, sent: true }
}

impl<E: Env> Admin<E> {
    pub fn new(client: &Client<E>) -> Admin<E> {
        Admin {
            client: client.clone(),
        }
    }

    /// Repeats `attempt` while it was certainly not done and may go well later.
    async fn change<T>(&self, attempt: impl AsyncFn(Instant) -> Try<T>) -> Result<T, ClientError> {
        self.repeat(attempt, |failure| !failure.sent && may_pass(&failure.error))
            .await
    }

    /// Repeats `attempt` while it may go well later.
    async fn read<T>(&self, attempt: impl AsyncFn(Instant) -> Try<T>) -> Result<T, ClientError> {
        self.repeat(attempt, |failure| may_pass(&failure.error))
            .await
    }

    async fn repeat<T>(
        &self,
        attempt: impl AsyncFn(Instant) -> Try<T>,
        again: impl Fn(&CallFailure) -> bool,
    ) -> Result<T, ClientError> {
        let until = self.client.operation_deadline();
        let mut failures = 0;
        loop {
            let failure = match attempt(until).await {
                Ok(done) => return Ok(done),
                Err(failure) => failure,
            };
            failures += 1;
            if !again(&failure) || !self.client.pause(failures, until).await {
                return Err(failure.error);
            }
            if failure.error.code() == Some(ErrorCode::NotController) {
                // The next attempt asks whoever is controller by then. If that fails too, the attempt says why.
                drop(self.client.fetch_metadata(Some(&[]), false, until).await);
            }
        }
    }

    async fn call_controller<'a, R: Request<'a>>(
        &self,
        request: &R,
        until: Instant,
    ) -> Try<crate::connection::Reply> {
        self.client.call_controller(request, until).await
    }

    /// Makes a topic, or with `validate_only` says whether it could be made.
    pub async fn create_topic(
        &self,
        topic: &NewTopic,
        validate_only: bool,
    ) -> Result<(), ClientError> {
        self.change(async |until| self.create_topic_once(topic, validate_only, until).await)
            .await
    }

    async fn create_topic_once(
        &self,
        topic: &NewTopic,
        validate_only: bool,
        until: Instant,
    ) -> Try<()> {
        let request = CreateTopicsRequest {
            topics: vec![CreatableTopic {
                name: &topic.name,
                num_partitions: topic.partitions.unwrap_or(-1),
                replication_factor: topic.replication_factor.unwrap_or(-1),
                assignments: Vec::new(),
                configs: topic
                    .configs
                    .iter()
                    .map(|(name, value)| CreatableTopicConfig {
                        name,
                        value: Some(value),
                    })
                    .collect(),
            }],
            timeout_ms: millis(self.client.options().request_timeout),
            validate_only,
        };
        let reply = self.call_controller(&request, until).await?;
        let response = reply
            .read::<CreateTopicsRequest<'_>>()
            .map_err(unreadable)?;
        let subject = format!("topic {}", topic.name);
        let result = response.topics.first().ok_or_else(|| no_answer(&subject))?;
        ClientError::check(result.error_code, result.error_message, subject).map_err(refused)
    }

    /// Deletes a topic.
    pub async fn delete_topic(&self, topic: &str) -> Result<(), ClientError> {
        self.change(async |until| {
            self.delete_topic_once(Some(topic), TopicId::ZERO, until)
                .await
        })
        .await
    }

    /// Deletes the topic with this id, and never one that has been given its name since. So this may be repeated after a failure that
    /// leaves the outcome open.
    pub async fn delete_topic_with_id(&self, id: TopicId) -> Result<(), ClientError> {
        self.change(async |until| self.delete_topic_once(None, id, until).await)
            .await
    }

    async fn delete_topic_once(&self, name: Option<&str>, id: TopicId, until: Instant) -> Try<()> {
        let request = DeleteTopicsRequest {
            topics: vec![DeleteTopicState {
                name,
                topic_id: id.0,
            }],
            // What older brokers read, who know of no ids: nothing then, rather than another topic.
            topic_names: name.into_iter().collect(),
            timeout_ms: millis(self.client.options().request_timeout),
        };
        let reply = self.call_controller(&request, until).await?;
        let response = reply
            .read::<DeleteTopicsRequest<'_>>()
            .map_err(unreadable)?;
        let subject = match name {
            Some(name) => format!("topic {name}"),
            None => format!("topic {id}"),
        };
        let result = response
            .responses
            .first()
            .ok_or_else(|| no_answer(&subject))?;
        ClientError::check(result.error_code, result.error_message, subject).map_err(unless_absent)
    }

    /// Raises the number of a topic's partitions to `count`.
    pub async fn create_partitions(&self, topic: &str, count: i32) -> Result<(), ClientError> {
        self.change(async |until| self.create_partitions_once(topic, count, until).await)
            .await
    }

    async fn create_partitions_once(&self, topic: &str, count: i32, until: Instant) -> Try<()> {
        let request = CreatePartitionsRequest {
            topics: vec![CreatePartitionsTopic {
                name: topic,
                count,
                assignments: None,
            }],
            timeout_ms: millis(self.client.options().request_timeout),
            validate_only: false,
        };
        let reply = self.call_controller(&request, until).await?;
        let response = reply
            .read::<CreatePartitionsRequest<'_>>()
            .map_err(unreadable)?;
        let subject = format!("topic {topic}");
        let result = response
            .results
            .first()
            .ok_or_else(|| no_answer(&subject))?;
        ClientError::check(result.error_code, result.error_message, subject).map_err(unless_absent)
    }

    /// The brokers, and who is controller.
    pub async fn describe_cluster(&self) -> Result<ClusterDescription, ClientError> {
        self.read(async |until| {
            let asked = self.client.fetch_metadata(Some(&[]), false, until).await;
            asked.map_err(unreadable)
        })
        .await?;
        Ok(self.client.with_metadata(|metadata| ClusterDescription {
            cluster_id: metadata.cluster_id.clone(),
            controller: metadata.controller,
            brokers: metadata.brokers.values().cloned().collect(),
        }))
    }

    /// All topics, by name.
    pub async fn list_topics(&self) -> Result<Vec<TopicDescription>, ClientError> {
        self.read(async |until| self.describe_once(None, until).await)
            .await
    }

    /// One topic.
    pub async fn describe_topic(&self, topic: &str) -> Result<TopicDescription, ClientError> {
        let mut found = self
            .read(async |until| self.describe_once(Some(topic), until).await)
            .await?;
        found.pop().ok_or_else(|| no_answer(topic).error)
    }

    async fn describe_once(
        &self,
        topic: Option<&str>,
        until: Instant,
    ) -> Try<Vec<TopicDescription>> {
        let wanted = topic.map(|name| {
            vec![MetadataRequestTopic {
                name: Some(name),
                ..MetadataRequestTopic::default()
            }]
        });
        let request = MetadataRequest {
            topics: wanted,
            allow_auto_topic_creation: false,
            ..MetadataRequest::default()
        };
        let reply = self.client.call_any(&request, i16::MAX, until).await?;
        let response = reply.read::<MetadataRequest<'_>>().map_err(unreadable)?;
        let mut topics = Vec::with_capacity(response.topics.len());
        for found in &response.topics {
            match ClientError::check(found.error_code, None, subject_of(found)) {
                Ok(()) => topics.push(description(found)),
                // A list leaves out what is just being made or deleted.
                Err(_) if topic.is_none() => {}
                // An absent topic does not appear by waiting.
                Err(error) if error.code() == Some(ErrorCode::UnknownTopicOrPartition) => {
                    return Err(unreadable(absent(found)));
                }
                Err(error) => return Err(refused(error)),
            }
        }
        topics.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(topics)
    }

    /// Offsets by place or time.
    pub async fn list_offsets(
        &self,
        wanted: &BTreeMap<TopicPartitionName, OffsetSpec>,
    ) -> Result<BTreeMap<TopicPartitionName, FoundOffset>, ClientError> {
        let until = self.client.operation_deadline();
        self.client.list_offsets(wanted, until).await
    }

    /// Forgets the records of a partition before `offset` (all that can be read: `None`). Answers the new first offset.
    pub async fn delete_records(
        &self,
        partition: &TopicPartitionName,
        offset: Option<Offset>,
    ) -> Result<Offset, ClientError> {
        self.read(async |until| self.delete_records_once(partition, offset, until).await)
            .await
    }

    async fn delete_records_once(
        &self,
        partition: &TopicPartitionName,
        offset: Option<Offset>,
        until: Instant,
    ) -> Try<Offset> {
        let known = self
            .client
            .topic_when(&partition.topic, false, until, |metadata| {
                metadata
                    .leader(&partition.topic, partition.partition)
                    .is_some()
            });
        known.await.map_err(refused)?;
        let leader = self
            .client
            .with_metadata(|metadata| metadata.leader(&partition.topic, partition.partition));
        let leader = leader.ok_or_else(|| no_answer(&partition.topic))?;
        let request = DeleteRecordsRequest {
            topics: vec![DeleteRecordsTopic {
                name: &partition.topic,
                partitions: vec![DeleteRecordsPartition {
                    partition_index: partition.partition,
                    offset: offset.unwrap_or(-1),
                }],
            }],
            timeout_ms: millis(self.client.options().request_timeout),
        };
        let reply = self.client.call_node(leader, &request, until).await?;
        let response = reply
            .read::<DeleteRecordsRequest<'_>>()
            .map_err(unreadable)?;
        let mut results = response.topics.iter().flat_map(|topic| &topic.partitions);
        let result = results.next().ok_or_else(|| no_answer(&partition.topic))?;
        ClientError::check(result.error_code, None, partition).map_err(|error| {
            self.client.refresh_soon(&partition.topic, false);
            refused(error)
        })?;
        Ok(result.low_watermark)
    }

    /// The configs of a topic or a broker.
    pub async fn describe_configs(
        &self,
        resource: &ConfigResource,
    ) -> Result<Vec<ConfigEntry>, ClientError> {
        self.read(async |until| self.describe_configs_once(resource, until).await)
            .await
    }

    async fn describe_configs_once(
        &self,
        resource: &ConfigResource,
        until: Instant,
    ) -> Try<Vec<ConfigEntry>> {
        // Where DescribeConfigs says that a value comes from its default.
        const DEFAULT_SOURCE: i8 = 5;
        let (resource_type, name) = resource.wire();
        let request = DescribeConfigsRequest {
            resources: vec![DescribeConfigsResource {
                resource_type,
                resource_name: &name,
                configuration_keys: None,
            }],
            ..DescribeConfigsRequest::default()
        };
        let reply = match resource {
            ConfigResource::Topic(_) => self.client.call_any(&request, i16::MAX, until).await?,
            ConfigResource::Broker(node) => self.client.call_node(*node, &request, until).await?,
        };
        let response = reply
            .read::<DescribeConfigsRequest<'_>>()
            .map_err(unreadable)?;
        let result = response.results.first().ok_or_else(|| no_answer(&name))?;
        ClientError::check(result.error_code, result.error_message, resource.subject())
            .map_err(unless_absent)?;
        let entry =
            |config: &taffrail_wire::describe_configs::DescribeConfigsResourceResult<'_>| {
                ConfigEntry {
                    name: config.name.to_owned(),
                    value: config.value.map(str::to_owned),
                    read_only: config.read_only,
                    is_default: config.config_source == DEFAULT_SOURCE,
                }
            };
        Ok(result.configs.iter().map(entry).collect())
    }

    /// Sets configs, or puts them back to their defaults; all or none of them. With `validate_only` says whether they could be.
    pub async fn alter_configs(
        &self,
        resource: &ConfigResource,
        changes: &[ConfigChange],
        validate_only: bool,
    ) -> Result<(), ClientError> {
        self.change(async |until| {
            self.alter_configs_once(resource, changes, validate_only, until)
                .await
        })
        .await
    }

    async fn alter_configs_once(
        &self,
        resource: &ConfigResource,
        changes: &[ConfigChange],
        validate_only: bool,
        until: Instant,
    ) -> Try<()> {
        let (resource_type, name) = resource.wire();
        let request = IncrementalAlterConfigsRequest {
            resources: vec![AlterConfigsResource {
                resource_type,
                resource_name: &name,
                configs: changes.iter().map(alterable).collect(),
            }],
            validate_only,
        };
        let reply = match resource {
            ConfigResource::Topic(_) => self.call_controller(&request, until).await?,
            ConfigResource::Broker(node) => self.client.call_node(*node, &request, until).await?,
        };
        let response = reply
            .read::<IncrementalAlterConfigsRequest<'_>>()
            .map_err(unreadable)?;
        let result = response.responses.first().ok_or_else(|| no_answer(&name))?;
        ClientError::check(result.error_code, result.error_message, resource.subject())
            .map_err(unless_absent)
    }
}

fn alterable(change: &ConfigChange) -> AlterableConfig<'_> {
    match change {
        ConfigChange::Set(name, value) => AlterableConfig {
            name,
            config_operation: SET,
            value: Some(value),
        },
        ConfigChange::Delete(name) => AlterableConfig {
            name,
            config_operation: DELETE,
            value: None,
        },
    }
}

fn no_answer(subject: &str) -> CallFailure {
    unreadable(ClientError::Protocol(format!(
        "an answer without {subject}"
    )))
}

/// An absent topic is retriable to Kafka, since it may be on its way; here somebody asked for it by name.
fn unless_absent(error: ClientError) -> CallFailure {
    match error {
        ClientError::Refused {
            code: ErrorCode::UnknownTopicOrPartition,
            subject,
            ..
        } => unreadable(not_there(subject)),
        error => refused(error),
    }
}

fn absent(topic: &MetadataResponseTopic<'_>) -> ClientError {
    not_there(subject_of(topic))
}

fn not_there(subject: String) -> ClientError {
    ClientError::NotThere { subject }
}

fn subject_of(topic: &MetadataResponseTopic<'_>) -> String {
    format!("topic {}", topic.name.unwrap_or_default())
}

fn description(topic: &MetadataResponseTopic<'_>) -> TopicDescription {
    let mut partitions: Vec<PartitionDescription> = topic
        .partitions
        .iter()
        .map(|partition| PartitionDescription {
            partition: partition.partition_index,
            leader: (partition.leader_id >= 0).then_some(partition.leader_id),
            leader_epoch: partition.leader_epoch,
            replicas: partition.replica_nodes.clone(),
            in_sync: partition.isr_nodes.clone(),
        })
        .collect();
    partitions.sort_by_key(|partition| partition.partition);
    TopicDescription {
        name: topic.name.unwrap_or_default().to_owned(),
        id: TopicId(topic.topic_id),
        internal: topic.is_internal,
        partitions,
    }
}
