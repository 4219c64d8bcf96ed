//! Metadata: the brokers, the topics and who leads their partitions. Creates topics on first use, where that is allowed.

use std::collections::BTreeMap;

use taffrail_env::Env;
use taffrail_record::TopicId;
use taffrail_wire::ErrorCode;
use taffrail_wire::metadata::{
    MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseBroker,
    MetadataResponsePartition, MetadataResponseTopic,
};

use super::{Answer, CLUSTER_OPERATIONS, Call, NO_OPERATIONS, TOPIC_OPERATIONS, code};
use crate::broker::{Broker, OFFSETS_TOPIC};
use crate::metadata::{Topic, validate_topic_name};

/// About what a partition takes in an answer, put together and encoded.
const PARTITION_COST: usize = 256;
/// Topics that one request may create.
const CREATED_MAX: usize = 100;

pub(crate) async fn handle<E: Env>(call: &Call<E>, request: MetadataRequest<'_>) -> Answer {
    let broker = &call.broker;
    // Before version 1 there was no null, and an empty list was all topics.
    let wanted = match &request.topics {
        Some(topics) if call.version > 0 || !topics.is_empty() => Some(topics),
        _ => None,
    };
    let mut failed = BTreeMap::new();
    if let Some(topics) = wanted {
        let may_create = request.allow_auto_topic_creation && broker.creates_topics();
        failed = create_missing(broker, topics, may_create).await;
    }
    let reservation = broker.budget.responses.reserve(cost(broker, wanted)).await;
    let metadata = broker.controller.metadata();
    let operations = if request.include_topic_authorized_operations {
        TOPIC_OPERATIONS
    } else {
        NO_OPERATIONS
    };
    let topics = match wanted {
        None => metadata
            .topics()
            .map(|topic| describe(topic, operations))
            .collect(),
        Some(wanted) => wanted
            .iter()
            .map(|wanted| {
                let found = match wanted.name {
                    Some(name) => metadata.topic(name),
                    None => metadata.topic_by_id(TopicId(wanted.topic_id)),
                };
                match found {
                    Some(topic) => describe(topic, operations),
                    None => unknown(call.version, wanted, &failed),
                }
            })
            .collect(),
    };
    let host = broker.endpoint.host_for(call.peer.local);
    let rack = metadata
        .brokers()
        .get(&broker.node_id)
        .and_then(|this| this.rack.as_deref());
    let response = MetadataResponse {
        brokers: vec![MetadataResponseBroker {
            node_id: broker.node_id,
            host: &host,
            port: i32::from(broker.endpoint.port),
            rack,
        }],
        cluster_id: Some(&broker.cluster_id),
        controller_id: broker.node_id,
        topics,
        cluster_authorized_operations: if request.include_cluster_authorized_operations {
            CLUSTER_OPERATIONS
        } else {
            NO_OPERATIONS
        },
        ..MetadataResponse::default()
    };
    call.answer(&response).holding(Some(reservation))
}

/// About how much memory the answer takes.
fn cost<E: Env>(broker: &Broker<E>, wanted: Option<&Vec<MetadataRequestTopic<'_>>>) -> usize {
    let metadata = broker.controller.metadata();
    let partitions: usize = match wanted {
        None => metadata.partition_count() + metadata.topics().count(),
        Some(wanted) => wanted
            .iter()
            .map(|topic| {
                let found = topic.name.and_then(|name| metadata.topic(name));
                1 + found.map_or(0, |topic| topic.partitions.len())
            })
            .sum(),
    };
    partitions * PARTITION_COST
}

/// Creates topics that are asked for and not there; answers the errors of those that could not be made.
async fn create_missing<E: Env>(
    broker: &Broker<E>,
    wanted: &[MetadataRequestTopic<'_>],
    may_create: bool,
) -> BTreeMap<String, ErrorCode> {
    let mut failed = BTreeMap::new();
    let mut attempts = 0;
    for name in wanted.iter().filter_map(|topic| topic.name) {
        if !may_create || attempts == CREATED_MAX {
            break;
        }
        let is_there = broker.controller.metadata().topic(name).is_some();
        if is_there || validate_topic_name(name).is_err() {
            continue;
        }
        attempts += 1;
        if let Err(error) = create(broker, name).await {
            failed.insert(name.to_string(), error);
        }
    }
    failed
}

async fn create<E: Env>(broker: &Broker<E>, name: &str) -> Result<(), ErrorCode> {
    if name == OFFSETS_TOPIC {
        return broker.ensure_offsets_topic().await.map(|_| ());
    }
    let settings = broker.settings.broker();
    if settings.default_replication_factor > 1 {
        return Err(ErrorCode::InvalidReplicationFactor);
    }
    let assignments = vec![vec![broker.node_id]; settings.num_partitions as usize];
    match broker
        .create_topic(name, assignments, Default::default())
        .await
    {
        Ok(_) | Err((ErrorCode::TopicAlreadyExists, _)) => Ok(()),
        Err((error, text)) => {
            tracing::info!("topic {name} not created on first use: {text}");
            Err(error)
        }
    }
}

fn describe(topic: &Topic, operations: i32) -> MetadataResponseTopic<'_> {
    let partitions =
        topic
            .partitions
            .iter()
            .enumerate()
            .map(|(index, state)| MetadataResponsePartition {
                partition_index: index as i32,
                leader_id: state.leader,
                leader_epoch: state.leader_epoch,
                replica_nodes: state.replicas.clone(),
                isr_nodes: state.isr.clone(),
                ..MetadataResponsePartition::default()
            });
    MetadataResponseTopic {
        name: Some(&topic.name),
        topic_id: topic.id().0,
        is_internal: topic.internal,
        partitions: partitions.collect(),
        topic_authorized_operations: operations,
        ..MetadataResponseTopic::default()
    }
}

fn unknown<'r>(
    version: i16,
    wanted: &MetadataRequestTopic<'r>,
    failed: &BTreeMap<String, ErrorCode>,
) -> MetadataResponseTopic<'r> {
    let error = match wanted.name {
        None => ErrorCode::UnknownTopicId,
        Some(name) if validate_topic_name(name).is_err() => ErrorCode::InvalidTopicException,
        Some(name) => failed
            .get(name)
            .copied()
            .unwrap_or(ErrorCode::UnknownTopicOrPartition),
    };
    MetadataResponseTopic {
        error_code: code(error),
        // Only from version 12 on a name may be missing.
        name: if version >= 12 {
            wanted.name
        } else {
            Some(wanted.name.unwrap_or_default())
        },
        topic_id: wanted.topic_id,
        topic_authorized_operations: NO_OPERATIONS,
        ..MetadataResponseTopic::default()
    }
}
