//! One produce request: from drained batches to the outcome of each.

use super::Shared;
use super::accumulator::ToSend;
use super::partition_queue::Outcome;
use crate::client::Target;
use crate::connection::{CallFailure, Reply};
use crate::options::{Acks, millis};
use std::collections::BTreeMap;
use std::rc::Rc;
use taffrail_env::Env;
use taffrail_wire::api::ApiKey;
use taffrail_wire::produce::{
    PartitionProduceData, PartitionProduceResponse, ProduceRequest, TopicProduceData,
};
use taffrail_wire::{ErrorCode, Message};

/// From this version on topics are named by id.
const BY_ID_FROM: i16 = 13;
const NO_ID: [u8; 16] = [0; 16];

/// Carries `batches` to `node`, and tells the core what became of each.
pub(super) async fn deliver<E: Env>(shared: Rc<Shared<E>>, node: i32, batches: Vec<ToSend>) {
    let outcomes = match exchange(&shared, node, &batches).await {
        Ok(outcomes) => outcomes,
        Err(failure) => {
            let why = failure.error.to_string();
            tracing::debug!(node, error = %why, "produce request failed");
            let outcome = match failure.sent {
                true => Outcome::Unanswered(why),
                false => Outcome::Unsent(why),
            };
            vec![outcome; batches.len()]
        }
    };
    let client = &shared.client;
    let now = client.env().now();
    for (batch, outcome) in batches.iter().zip(outcomes) {
        if asks_for_metadata(&outcome) {
            client.refresh_soon(&batch.partition.topic, false);
        }
        let random = client.env().random_u64("client backoff");
        shared
            .core
            .borrow_mut()
            .on_outcome(now, &batch.partition, batch.batch_id, outcome, random);
    }
    if let Some(requests) = shared.requests.borrow_mut().get_mut(&node) {
        *requests -= 1;
    }
    shared.settle();
    shared.work.notify();
}

/// Whether the leader may be another one than we think.
fn asks_for_metadata(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Acked { .. } => false,
        Outcome::Unanswered(_) | Outcome::Unsent(_) => true,
        Outcome::Error { code, .. } => matches!(
            code,
            ErrorCode::NotLeaderOrFollower
                | ErrorCode::LeaderNotAvailable
                | ErrorCode::UnknownTopicOrPartition
                | ErrorCode::UnknownTopicId
                | ErrorCode::InconsistentTopicId
                | ErrorCode::KafkaStorageError
                | ErrorCode::FencedLeaderEpoch
                | ErrorCode::UnknownLeaderEpoch
        ),
    }
}

async fn exchange<E: Env>(
    shared: &Shared<E>,
    node: i32,
    batches: &[ToSend],
) -> Result<Vec<Outcome>, CallFailure> {
    let client = &shared.client;
    let until = client.env().now() + client.options().request_timeout;
    let link = client
        .link(Target::Node(node), shared.lane, until)
        .await
        .map_err(CallFailure::unsent)?;
    let ids: Vec<[u8; 16]> = client.with_metadata(|metadata| {
        let id = |batch: &ToSend| {
            metadata
                .topic(&batch.partition.topic)
                .map_or(NO_ID, |t| t.id)
        };
        batches.iter().map(id).collect()
    });
    let at_most = match ids.contains(&NO_ID) {
        true => BY_ID_FROM - 1,
        false => i16::MAX,
    };
    let version = link
        .version(ApiKey::Produce, at_most)
        .map_err(CallFailure::unsent)?;
    let request = request(shared, batches, &ids);
    if shared.options.acks == Acks::None {
        link.tell(&request, version, until).await?;
        let written = Outcome::Acked {
            base_offset: -1,
            log_append_time_ms: -1,
        };
        return Ok(vec![written; batches.len()]);
    }
    let reply = link.call(&request, version, until).await?;
    read_outcomes(&reply, version, batches, &ids).map_err(|error| CallFailure { error, sent: true })
}

fn request<'a, E: Env>(
    shared: &Shared<E>,
    batches: &'a [ToSend],
    ids: &[[u8; 16]],
) -> ProduceRequest<'a> {
    let mut topics: BTreeMap<&str, TopicProduceData<'a>> = BTreeMap::new();
    for (batch, id) in batches.iter().zip(ids) {
        let name = batch.partition.topic.as_str();
        let topic = topics.entry(name).or_insert_with(|| TopicProduceData {
            name,
            topic_id: *id,
            ..TopicProduceData::default()
        });
        topic.partition_data.push(PartitionProduceData {
            index: batch.partition.partition,
            records: Some(batch.bytes.clone().into()),
        });
    }
    ProduceRequest {
        transactional_id: None,
        acks: shared.options.acks.wire(),
        timeout_ms: millis(shared.options.ack_timeout),
        topic_data: topics.into_values().collect(),
    }
}

fn read_outcomes(
    reply: &Reply,
    version: i16,
    batches: &[ToSend],
    ids: &[[u8; 16]],
) -> Result<Vec<Outcome>, crate::errors::ClientError> {
    let response = reply.read::<ProduceRequest<'_>>()?;
    let outcomes = batches.iter().zip(ids).map(|(batch, id)| {
        let topic = response.responses.iter().find(|topic| match version {
            BY_ID_FROM.. => topic.topic_id == *id,
            _ => topic.name == batch.partition.topic,
        });
        let partition = topic.and_then(|topic| {
            let index = batch.partition.partition;
            let mut partitions = topic.partition_responses.iter();
            partitions.find(|partition| partition.index == index)
        });
        partition.map_or_else(
            || {
                Outcome::Unanswered(format!(
                    "{} without this partition",
                    ProduceRequest::KEY.info().name
                ))
            },
            outcome,
        )
    });
    Ok(outcomes.collect())
}

fn outcome(partition: &PartitionProduceResponse<'_>) -> Outcome {
    match ErrorCode::from(partition.error_code) {
        ErrorCode::None => Outcome::Acked {
            base_offset: partition.base_offset,
            log_append_time_ms: partition.log_append_time_ms,
        },
        code => Outcome::Error {
            code,
            message: message(partition),
        },
    }
}

/// What the broker says beside the code, with the first record that it blames.
fn message(partition: &PartitionProduceResponse<'_>) -> Option<String> {
    let blamed = partition.record_errors.first().map(|record| {
        let words = record.batch_index_error_message.unwrap_or("refused");
        format!("record {} of the batch: {words}", record.batch_index)
    });
    match (partition.error_message, blamed) {
        (Some(message), Some(blamed)) => Some(format!("{message}: {blamed}")),
        (message, blamed) => message.map(str::to_owned).or(blamed),
    }
}
