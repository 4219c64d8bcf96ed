//! One produce request: from drained batches to the outcome of each.

use super::Shared;
use super::accumulator::ToSend;
use super::partition_queue::Outcome;
use crate::connection::{Begun, CallFailure, Link, Reply};
use crate::options::{Acks, millis};
use std::collections::BTreeMap;
use std::rc::Rc;
use taffrail_env::{Env, Instant};
use taffrail_wire::api::ApiKey;
use taffrail_wire::produce::{
    PartitionProduceData, PartitionProduceResponse, ProduceRequest, TopicProduceData,
};
use taffrail_wire::{ErrorCode, Message};

/// From this version on topics are named by id.
const BY_ID_FROM: i16 = 13;
const NO_ID: [u8; 16] = [0; 16];

/// A produce request on its way.
pub(super) struct Sent<E: Env> {
    link: Rc<Link<E>>,
    begun: Begun,
    version: i16,
    batches: Vec<ToSend>,
    ids: Vec<[u8; 16]>,
    until: Instant,
}

/// Puts `batches` on the way to their leader, behind those that were sent before.
pub(super) fn send<E: Env>(
    shared: &Shared<E>,
    link: Rc<Link<E>>,
    batches: Vec<ToSend>,
) -> Result<Sent<E>, (Vec<ToSend>, CallFailure)> {
    let client = &shared.client;
    let ids: Vec<[u8; 16]> = client.with_metadata(|metadata| {
        let id = |batch: &ToSend| {
            let topic = metadata.topic(&batch.partition.topic);
            topic.map_or(NO_ID, |topic| topic.id)
        };
        batches.iter().map(id).collect()
    });
    let at_most = match ids.contains(&NO_ID) {
        true => BY_ID_FROM - 1,
        false => i16::MAX,
    };
    let version = match link.version(ApiKey::Produce, at_most) {
        Ok(version) => version,
        Err(error) => return Err((batches, CallFailure::unsent(error))),
    };
    let answered = shared.options.acks != Acks::None;
    let begun = link.begin(&request(shared, &batches, &ids), version, answered);
    match begun {
        Err(failure) => Err((batches, failure)),
        Ok(begun) => Ok(Sent {
            link,
            begun,
            version,
            batches,
            ids,
            until: client.env().now() + client.options().request_timeout,
        }),
    }
}

/// Waits for the answer, and tells the core what became of each batch.
pub(super) async fn finish<E: Env>(shared: Rc<Shared<E>>, node: i32, sent: Sent<E>) {
    let answer = sent.link.finish(sent.begun, sent.until).await;
    let read = answer.and_then(|reply| match shared.options.acks {
        Acks::None => {
            let written = Outcome::Acked {
                base_offset: -1,
                log_append_time_ms: -1,
            };
            Ok(vec![written; sent.batches.len()])
        }
        Acks::Leader | Acks::All => {
            let read = read_outcomes(&reply, sent.version, &sent.batches, &sent.ids);
            read.map_err(|error| CallFailure { error, sent: true })
        }
    });
    match read {
        Ok(outcomes) => conclude(&shared, &sent.batches, outcomes),
        Err(failure) => fail(&shared, &sent.batches, &failure),
    }
    if let Some(requests) = shared.requests.borrow_mut().get_mut(&node) {
        *requests -= 1;
    }
    shared.work.notify();
}

/// A request without a usable answer.
pub(super) fn fail<E: Env>(shared: &Shared<E>, batches: &[ToSend], failure: &CallFailure) {
    let why = failure.error.to_string();
    tracing::debug!(error = %why, "produce request failed");
    let outcome = match failure.sent {
        true => Outcome::Unanswered(why),
        false => Outcome::Unsent(why),
    };
    conclude(shared, batches, vec![outcome; batches.len()]);
}

fn conclude<E: Env>(shared: &Shared<E>, batches: &[ToSend], outcomes: Vec<Outcome>) {
    let client = &shared.client;
    let now = client.env().now();
    for (batch, outcome) in batches.iter().zip(outcomes) {
        if asks_for_metadata(&outcome) {
            client.refresh_soon(&batch.partition.topic, false);
        }
        let random = client.env().random_u64("client backoff");
        let mut core = shared.core.borrow_mut();
        core.on_outcome(now, &batch.partition, batch.batch_id, outcome, random);
    }
    shared.settle();
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
        // Brokers like to say the same in both places.
        (Some(message), Some(blamed)) if blamed.ends_with(message) => Some(blamed),
        (Some(message), Some(blamed)) => Some(format!("{message}: {blamed}")),
        (message, blamed) => message.map(str::to_owned).or(blamed),
    }
}
