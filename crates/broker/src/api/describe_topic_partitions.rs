//! DescribeTopicPartitions: topics and their partitions in order of the topics' names, a page at a time.

use taffrail_env::Env;
use taffrail_wire::ErrorCode;
use taffrail_wire::describe_topic_partitions::{
    Cursor, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse,
    DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};

use super::{Answer, Call, TOPIC_OPERATIONS, code};
use crate::metadata::{PartitionState, validate_topic_name};

/// The largest page, whatever the client asks for (Kafka's `max.request.partition.size.limit`).
const PAGE_MAX: i32 = 2000;

pub(crate) async fn handle<E: Env>(
    call: &Call<E>,
    request: DescribeTopicPartitionsRequest<'_>,
) -> Answer {
    if !is_sound(&request) {
        return call.answer(&refuse(&request));
    }
    let metadata = call.broker.controller.metadata();
    let mut names: Vec<&str> = if request.topics.is_empty() {
        metadata.topics().map(|topic| topic.name.as_str()).collect()
    } else {
        request.topics.iter().map(|topic| topic.name).collect()
    };
    names.sort_unstable();
    names.dedup();
    let (from, mut first) = match &request.cursor {
        Some(cursor) => (cursor.topic_name, cursor.partition_index as usize),
        None => ("", 0),
    };
    names.retain(|name| *name >= from);
    if names.first() != Some(&from) {
        first = 0;
    }
    let mut room = request.response_partition_limit.clamp(1, PAGE_MAX) as usize;
    let mut topics = Vec::new();
    let mut next_cursor = None;
    for name in names {
        if room == 0 {
            next_cursor = Some(Cursor {
                topic_name: name,
                partition_index: 0,
            });
            break;
        }
        let Some(topic) = metadata.topic(name) else {
            topics.push(unknown(name));
            continue;
        };
        let partitions = topic.partitions.iter().enumerate().skip(first);
        let described: Vec<_> = partitions
            .take(room)
            .map(|(index, state)| describe(index, state))
            .collect();
        room -= described.len();
        let next = first + described.len();
        first = 0;
        topics.push(DescribeTopicPartitionsResponseTopic {
            name: Some(name),
            topic_id: topic.id().0,
            is_internal: topic.internal,
            partitions: described,
            topic_authorized_operations: TOPIC_OPERATIONS,
            ..DescribeTopicPartitionsResponseTopic::default()
        });
        if next < topic.partitions.len() {
            next_cursor = Some(Cursor {
                topic_name: name,
                partition_index: next as i32,
            });
            break;
        }
    }
    call.answer(&DescribeTopicPartitionsResponse {
        topics,
        next_cursor,
        ..DescribeTopicPartitionsResponse::default()
    })
}

/// The whole request is refused: every topic says so. Where all were asked for there is none to say it of.
fn refuse<'r>(request: &DescribeTopicPartitionsRequest<'r>) -> DescribeTopicPartitionsResponse<'r> {
    let topics = request.topics.iter();
    let refused = topics.map(|topic| refused(topic.name, ErrorCode::InvalidRequest));
    DescribeTopicPartitionsResponse {
        topics: refused.collect(),
        ..DescribeTopicPartitionsResponse::default()
    }
}

/// Whether a cursor, if there is one, points to a place in what is asked for.
fn is_sound(request: &DescribeTopicPartitionsRequest<'_>) -> bool {
    let Some(cursor) = &request.cursor else {
        return true;
    };
    let mut names = request.topics.iter().map(|topic| topic.name);
    let is_named = request.topics.is_empty() || names.any(|name| name == cursor.topic_name);
    is_named && cursor.partition_index >= 0
}

fn unknown(name: &str) -> DescribeTopicPartitionsResponseTopic<'_> {
    let error = if validate_topic_name(name).is_ok() {
        ErrorCode::UnknownTopicOrPartition
    } else {
        ErrorCode::InvalidTopicException
    };
    refused(name, error)
}

fn refused(name: &str, error: ErrorCode) -> DescribeTopicPartitionsResponseTopic<'_> {
    DescribeTopicPartitionsResponseTopic {
        error_code: code(error),
        name: Some(name),
        ..DescribeTopicPartitionsResponseTopic::default()
    }
}

fn describe(index: usize, state: &PartitionState) -> DescribeTopicPartitionsResponsePartition {
    DescribeTopicPartitionsResponsePartition {
        partition_index: index as i32,
        leader_id: state.leader,
        leader_epoch: state.leader_epoch,
        replica_nodes: state.replicas.clone(),
        isr_nodes: state.isr.clone(),
        eligible_leader_replicas: Some(Vec::new()),
        last_known_elr: Some(Vec::new()),
        ..DescribeTopicPartitionsResponsePartition::default()
    }
}
