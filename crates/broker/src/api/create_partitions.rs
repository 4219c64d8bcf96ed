//! CreatePartitions: topics get more partitions.

use taffrail_env::Env;
use taffrail_wire::ErrorCode;
use taffrail_wire::create_partitions::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopic,
    CreatePartitionsTopicResult,
};

use super::create_topics::duplicates;
use super::{Answer, Call, code};
use crate::metadata::{Command, PARTITIONS_PER_TOPIC_MAX};

pub(crate) async fn handle<E: Env>(call: &Call<E>, request: CreatePartitionsRequest<'_>) -> Answer {
    let twice = duplicates(request.topics.iter().map(|topic| topic.name));
    let mut results = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let result = if twice.contains(&topic.name) {
            let text = "the topic is named more than once in the request".to_string();
            Err((ErrorCode::InvalidRequest, text))
        } else {
            grow(call, topic, request.validate_only).await
        };
        results.push(result);
    }
    let results = request.topics.iter().zip(&results);
    let results = results.map(|(topic, result)| {
        let failure = result.as_ref().err();
        CreatePartitionsTopicResult {
            name: topic.name,
            error_code: failure.map_or(0, |(error, _)| code(*error)),
            error_message: failure.map(|(_, text)| text.as_str()),
        }
    });
    call.answer(&CreatePartitionsResponse {
        results: results.collect(),
        ..CreatePartitionsResponse::default()
    })
}

async fn grow<E: Env>(
    call: &Call<E>,
    topic: &CreatePartitionsTopic<'_>,
    validate_only: bool,
) -> Result<(), (ErrorCode, String)> {
    let broker = &call.broker;
    let current = {
        let metadata = broker.controller.metadata();
        let found = metadata.topic(topic.name);
        found.map(|topic| topic.partitions.len())
    };
    let current = current.ok_or_else(|| {
        let error = ErrorCode::UnknownTopicOrPartition;
        (error, "there is no topic of this name".to_string())
    })?;
    let count = usize::try_from(topic.count).unwrap_or(0);
    if count <= current {
        return Err((
            ErrorCode::InvalidPartitions,
            format!(
                "the topic has {current} partitions, and {} would not be more",
                topic.count
            ),
        ));
    }
    if count > PARTITIONS_PER_TOPIC_MAX {
        return Err((
            ErrorCode::InvalidPartitions,
            format!("a topic may have at most {PARTITIONS_PER_TOPIC_MAX} partitions"),
        ));
    }
    let assignments: Vec<Vec<i32>> = match &topic.assignments {
        Some(given) => given.iter().map(|a| a.broker_ids.clone()).collect(),
        None => vec![vec![broker.node_id]; count - current],
    };
    let is_sound = assignments.len() == count - current
        && assignments
            .iter()
            .all(|replicas| replicas == &[broker.node_id]);
    if !is_sound {
        return Err((
            ErrorCode::InvalidReplicaAssignment,
            format!(
                "{} new partitions need as many assignments, each to the one broker there is, {}",
                count - current,
                broker.node_id
            ),
        ));
    }
    if validate_only {
        return Ok(());
    }
    let command = Command::CreatePartitions {
        name: topic.name.to_string(),
        count: topic.count,
        assignments,
    };
    broker.submit(command).await.map(|_| ())
}
