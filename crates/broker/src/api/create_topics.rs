//! CreateTopics: new topics with their partitions and settings, each on its own: one that is refused does not stop the others.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use taffrail_env::Env;
use taffrail_record::TopicId;
use taffrail_wire::ErrorCode;
use taffrail_wire::create_topics::{
    CreatableTopic, CreatableTopicConfigs, CreatableTopicResult, CreateTopicsRequest,
    CreateTopicsResponse,
};

use super::alter_configs::canonical_of_topic;
use super::{Answer, Call, code, in_brief};
use crate::broker::Broker;
use crate::config::{Resolved, TopicSettings};
use crate::metadata::{
    METADATA_TOPIC_NAME, PARTITIONS_PER_TOPIC_MAX, is_internal, validate_topic_name,
};

/// Topics in one request.
const TOPICS_MAX: usize = 1000;
/// Partitions of all new topics of one request together, as in Kafka.
const PARTITIONS_MAX: usize = 10_000;

/// A topic that could be created.
struct Planned {
    assignments: Vec<Vec<i32>>,
    configs: BTreeMap<String, String>,
}

/// A topic that was created, or would have been.
struct Created {
    topic_id: TopicId,
    partitions: usize,
    configs: Vec<Resolved>,
}

type Failure = (ErrorCode, String);

pub(crate) async fn handle<E: Env>(call: &Call<E>, request: CreateTopicsRequest<'_>) -> Answer {
    let broker = &call.broker;
    let names = request.topics.iter().map(|topic| topic.name);
    let twice = duplicates(names);
    // A name is answered once, however often it is there.
    let mut seen = BTreeSet::new();
    let named = request.topics.iter();
    let named: Vec<_> = named.filter(|topic| seen.insert(topic.name)).collect();
    let excess = excess(broker.settings.broker().num_partitions, &request);
    let results = join_all(named.iter().map(async |topic| {
        if let Some(excess) = &excess {
            return Err((ErrorCode::PolicyViolation, excess.clone()));
        }
        if twice.contains(&topic.name) {
            return Err((
                ErrorCode::InvalidRequest,
                "Duplicate topic name.".to_string(),
            ));
        }
        let created = create(broker, topic, request.validate_only).await;
        created.map_err(in_brief)
    }))
    .await;
    let topics = named.iter().zip(&results);
    let topics = topics.map(|(topic, result)| match result {
        Ok(created) => CreatableTopicResult {
            name: topic.name,
            topic_id: created.topic_id.0,
            error_message: None,
            num_partitions: created.partitions as i32,
            replication_factor: 1,
            configs: Some(created.configs.iter().map(describe).collect()),
            ..CreatableTopicResult::default()
        },
        Err((error, text)) => CreatableTopicResult {
            name: topic.name,
            error_code: code(*error),
            error_message: Some(text),
            ..CreatableTopicResult::default()
        },
    });
    call.answer(&CreateTopicsResponse {
        topics: topics.collect(),
        ..CreateTopicsResponse::default()
    })
}

/// What there is too much of in the request, if anything: everything it asks for is planned at once.
fn excess(partitions_of_default: i32, request: &CreateTopicsRequest<'_>) -> Option<String> {
    if request.topics.len() > TOPICS_MAX {
        return Some(format!("more than {TOPICS_MAX} topics in one request"));
    }
    let partitions = request.topics.iter().map(|topic| {
        let asked = match topic.num_partitions {
            -1 if topic.assignments.is_empty() => partitions_of_default,
            asked => asked,
        };
        (usize::try_from(asked).unwrap_or(0)).max(topic.assignments.len())
    });
    // What is too much for one topic is refused for that topic alone.
    let partitions = partitions.filter(|partitions| *partitions <= PARTITIONS_PER_TOPIC_MAX);
    (partitions.sum::<usize>() > PARTITIONS_MAX)
        .then(|| "Excessively large number of partitions per request.".to_string())
}

/// What occurs more than once.
pub(super) fn duplicates<T: Ord + Clone>(items: impl Iterator<Item = T>) -> BTreeSet<T> {
    let mut seen = BTreeSet::new();
    items.filter(|item| !seen.insert(item.clone())).collect()
}

async fn create<E: Env>(
    broker: &Broker<E>,
    topic: &CreatableTopic<'_>,
    validate_only: bool,
) -> Result<Created, Failure> {
    let planned = plan(broker, topic)?;
    let partitions = planned.assignments.len();
    let sources = broker.settings.sources();
    let effective = TopicSettings::effective(&sources.effective(), &planned.configs);
    let configs = TopicSettings::DEFINITIONS
        .iter()
        .map(|definition| {
            TopicSettings::resolve(definition, &planned.configs, &sources, &effective)
        })
        .collect();
    let topic_id = if validate_only {
        TopicId::ZERO
    } else {
        let Planned {
            assignments,
            configs,
        } = planned;
        broker
            .create_topic(topic.name, assignments, configs)
            .await?
    };
    Ok(Created {
        topic_id,
        partitions,
        configs,
    })
}

/// Everything about a new topic that can be judged before it is committed.
fn plan<E: Env>(broker: &Broker<E>, topic: &CreatableTopic<'_>) -> Result<Planned, Failure> {
    let invalid_name = |text: String| (ErrorCode::InvalidTopicException, text);
    if topic.name == METADATA_TOPIC_NAME {
        return Err((
            ErrorCode::InvalidRequest,
            format!("Creation of internal topic {METADATA_TOPIC_NAME} is prohibited."),
        ));
    }
    validate_topic_name(topic.name).map_err(|error| invalid_name(error.to_string()))?;
    if is_internal(topic.name) {
        return Err(invalid_name(
            "the brokers create this topic themselves".to_string(),
        ));
    }
    if broker.controller.metadata().topic(topic.name).is_some() {
        return Err((
            ErrorCode::TopicAlreadyExists,
            format!("Topic '{}' already exists.", topic.name),
        ));
    }
    let assignments = assignments(broker, topic)?;
    let mut configs = BTreeMap::new();
    // Of a key that is there more than once, the last value counts, as in Kafka.
    for config in &topic.configs {
        let Some(value) = config.value else {
            return Err((
                ErrorCode::InvalidConfig,
                format!("null is no value for {}", config.name),
            ));
        };
        let value = canonical_of_topic(config.name, value);
        configs.insert(config.name.to_string(), value);
    }
    let batch_bytes_max = broker.router.batch_bytes_max();
    TopicSettings::validate(&broker.settings.broker(), &configs, batch_bytes_max)
        .map_err(|refusal| (ErrorCode::InvalidConfig, refusal.to_string()))?;
    Ok(Planned {
        assignments,
        configs,
    })
}

/// Who gets the partitions of a new topic.
fn assignments<E: Env>(
    broker: &Broker<E>,
    topic: &CreatableTopic<'_>,
) -> Result<Vec<Vec<i32>>, Failure> {
    if !topic.assignments.is_empty() {
        return given_assignments(broker.node_id, topic);
    }
    let refuse = |error, text: String| Err((error, text));
    let settings = broker.settings.broker();
    let partitions = match topic.num_partitions {
        -1 => settings.num_partitions,
        count => count,
    };
    let factor = match topic.replication_factor {
        -1 => settings.default_replication_factor,
        factor => i32::from(factor),
    };
    if partitions < 1 {
        let text = "Number of partitions was set to an invalid non-positive value.";
        return refuse(ErrorCode::InvalidPartitions, text.to_string());
    }
    if partitions as usize > PARTITIONS_PER_TOPIC_MAX {
        let text = format!("a topic may have at most {PARTITIONS_PER_TOPIC_MAX} partitions");
        return refuse(ErrorCode::InvalidPartitions, text);
    }
    match factor {
        1 => Ok(vec![vec![broker.node_id]; partitions as usize]),
        ..=0 => refuse(
            ErrorCode::InvalidReplicationFactor,
            "Replication factor must be larger than 0.".to_string(),
        ),
        _ => refuse(
            ErrorCode::InvalidReplicationFactor,
            format!(
                "Unable to replicate the partition {factor} time(s): The target replication factor of {factor} cannot be reached because only 1 broker(s) are registered."
            ),
        ),
    }
}

/// The assignments that a request gives itself.
fn given_assignments(node_id: i32, topic: &CreatableTopic<'_>) -> Result<Vec<Vec<i32>>, Failure> {
    if topic.num_partitions != -1 || topic.replication_factor != -1 {
        return Err((
            ErrorCode::InvalidRequest,
            "numbers of partitions and replicas must be -1 where replicas are assigned".to_string(),
        ));
    }
    let mut assigned = BTreeMap::new();
    for assignment in &topic.assignments {
        assigned.insert(assignment.partition_index, assignment.broker_ids.clone());
    }
    let is_gapless = assigned
        .keys()
        .copied()
        .eq(0..topic.assignments.len() as i32);
    if !is_gapless {
        return Err((
            ErrorCode::InvalidReplicaAssignment,
            "partitions must be numbered from 0 without a gap, each once".to_string(),
        ));
    }
    for (partition, replicas) in &assigned {
        if replicas != &[node_id] {
            return Err((
                ErrorCode::InvalidReplicaAssignment,
                format!(
                    "the replicas of partition {partition} must be the one broker there is, {node_id}"
                ),
            ));
        }
    }
    Ok(assigned.into_values().collect())
}

fn describe(resolved: &Resolved) -> CreatableTopicConfigs<'_> {
    CreatableTopicConfigs {
        name: resolved.definition.name,
        value: resolved.value.as_deref(),
        read_only: false,
        config_source: resolved.source as i8,
        is_sensitive: false,
    }
}
