//! Metadata: the brokers, the topics and who leads their partitions. Creates topics on first use, where that is allowed.

use std::collections::{BTreeMap, BTreeSet};

use taffrail_env::Env;
use taffrail_record::TopicId;
use taffrail_wire::ErrorCode;
use taffrail_wire::metadata::{
    MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseBroker,
    MetadataResponsePartition, MetadataResponseTopic,
};

use super::{Answer, CLUSTER_OPERATIONS, Call, NO_OPERATIONS, TOPIC_OPERATIONS, code};
use crate::broker::{Broker, OFFSETS_TOPIC};
use crate::metadata::{Metadata, Topic, validate_topic_name};

/// About what a partition takes in an answer, put together and encoded.
const PARTITION_COST: usize = 256;
/// Topics may be asked for by id from this version on.
const TOPIC_IDS_SINCE: i16 = 12;
/// Topics that one request may create.
const CREATED_MAX: usize = 100;

pub(crate) async fn handle<E: Env>(call: &Call<E>, request: MetadataRequest<'_>) -> Answer {
    let broker = &call.broker;
    // Before version 1 there was no null, and an empty list was all topics.
    let asked = match &request.topics {
        Some(topics) if call.version > 0 || !topics.is_empty() => Some(topics),
        _ => None,
    };
    if let Some(error) = asked.and_then(|asked| refusal(call.version, asked)) {
        return call.answer(&refuse(asked.map_or(&[], Vec::as_slice), error));
    }
    let wanted = asked.map(|asked| wanted(asked));
    let mut failed = BTreeMap::new();
    if let Some(wanted) = &wanted {
        let may_create = request.allow_auto_topic_creation && broker.creates_topics();
        failed = create_missing(broker, wanted, may_create).await;
    }
    let cost = cost(broker, wanted.as_deref());
    let reservation = broker.budget.responses.reserve(cost).await;
    let metadata = broker.controller.metadata();
    let operations = if request.include_topic_authorized_operations {
        TOPIC_OPERATIONS
    } else {
        NO_OPERATIONS
    };
    let topics = match &wanted {
        None => metadata
            .topics()
            .map(|topic| describe(topic, operations))
            .collect(),
        Some(wanted) => wanted
            .iter()
            .map(|wanted| match wanted.find(&metadata) {
                Some(topic) => describe(topic, operations),
                None => unknown(*wanted, &failed),
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

/// A topic that is asked for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Wanted<'r> {
    Name(&'r str),
    Id(TopicId),
}

impl Wanted<'_> {
    fn find(self, metadata: &Metadata) -> Option<&Topic> {
        match self {
            Wanted::Name(name) => metadata.topic(name),
            Wanted::Id(id) => metadata.topic_by_id(id),
        }
    }
}

/// Why the request as a whole is refused, as Kafka refuses it: before ids may be used, and where a topic has neither name nor id.
fn refusal(version: i16, asked: &[MetadataRequestTopic<'_>]) -> Option<ErrorCode> {
    let has_id = |topic: &MetadataRequestTopic<'_>| topic.topic_id != TopicId::ZERO.0;
    let is_nameless = asked.iter().any(|topic| topic.name.is_none());
    if version < TOPIC_IDS_SINCE {
        return (is_nameless || asked.iter().any(has_id)).then_some(ErrorCode::InvalidRequest);
    }
    (is_nameless && !asked.iter().any(has_id)).then_some(ErrorCode::UnknownServerError)
}

/// The whole request is refused: every topic says so.
fn refuse<'r>(asked: &[MetadataRequestTopic<'r>], error: ErrorCode) -> MetadataResponse<'r> {
    let topics = asked.iter().map(|topic| MetadataResponseTopic {
        error_code: code(error),
        name: Some(topic.name.unwrap_or_default()),
        topic_id: topic.topic_id,
        topic_authorized_operations: NO_OPERATIONS,
        ..MetadataResponseTopic::default()
    });
    MetadataResponse {
        topics: topics.collect(),
        cluster_authorized_operations: NO_OPERATIONS,
        error_code: code(error),
        ..MetadataResponse::default()
    }
}

/// What is meant, each topic once: where one is asked for by id, only those by id are.
fn wanted<'r>(asked: &[MetadataRequestTopic<'r>]) -> Vec<Wanted<'r>> {
    let ids = asked.iter().map(|topic| TopicId(topic.topic_id));
    let ids: Vec<TopicId> = ids.filter(|id| *id != TopicId::ZERO).collect();
    let names = asked.iter().filter_map(|topic| topic.name);
    let mut wanted: Vec<Wanted<'r>> = match ids.is_empty() {
        true => names.map(Wanted::Name).collect(),
        false => ids.into_iter().map(Wanted::Id).collect(),
    };
    let mut seen = BTreeSet::new();
    wanted.retain(|topic| seen.insert(*topic));
    wanted
}

/// About how much memory the answer takes.
fn cost<E: Env>(broker: &Broker<E>, wanted: Option<&[Wanted<'_>]>) -> usize {
    let metadata = broker.controller.metadata();
    let partitions: usize = match wanted {
        None => metadata.partition_count() + metadata.topics().count(),
        Some(wanted) => wanted
            .iter()
            .map(|wanted| {
                let found = wanted.find(&metadata);
                1 + found.map_or(0, |topic| topic.partitions.len())
            })
            .sum(),
    };
    partitions * PARTITION_COST
}

/// Creates topics that are asked for and not there; answers the errors of those that could not be made.
async fn create_missing<E: Env>(
    broker: &Broker<E>,
    wanted: &[Wanted<'_>],
    may_create: bool,
) -> BTreeMap<String, ErrorCode> {
    let mut failed = BTreeMap::new();
    let mut attempts = 0;
    for wanted in wanted {
        let Wanted::Name(name) = *wanted else {
            continue;
        };
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
    wanted: Wanted<'r>,
    failed: &BTreeMap<String, ErrorCode>,
) -> MetadataResponseTopic<'r> {
    let (error, name, topic_id) = match wanted {
        Wanted::Id(id) => (ErrorCode::UnknownTopicId, None, id),
        Wanted::Name(name) => {
            let error = match failed.get(name) {
                _ if validate_topic_name(name).is_err() => ErrorCode::InvalidTopicException,
                Some(error) => *error,
                None => ErrorCode::UnknownTopicOrPartition,
            };
            (error, Some(name), TopicId::ZERO)
        }
    };
    MetadataResponseTopic {
        error_code: code(error),
        name,
        topic_id: topic_id.0,
        topic_authorized_operations: NO_OPERATIONS,
        ..MetadataResponseTopic::default()
    }
}
