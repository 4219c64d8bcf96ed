//! DescribeProducers: the idempotent producers that partitions remember.

use taffrail_env::Env;
use taffrail_wire::ErrorCode;
use taffrail_wire::describe_producers::{
    DescribeProducersRequest, DescribeProducersResponse, PartitionResponse, ProducerState,
    TopicResponse,
};

use super::{Answer, Call, code, distinct};
use crate::metadata::validate_topic_name;
use crate::session::TopicRef;

/// About what a partition takes in an answer, put together and encoded.
const PARTITION_COST: usize = 128;
/// The same of a producer.
const PRODUCER_COST: usize = 128;

pub(crate) async fn handle<E: Env>(
    call: &Call<E>,
    request: DescribeProducersRequest<'_>,
) -> Answer {
    let asked = request.topics.iter();
    let asked = distinct(asked.map(|topic| (topic.name, topic.partition_indexes.as_slice())));
    let counts = asked.iter().map(|(_, indexes)| 1 + indexes.len());
    let cost = counts.sum::<usize>() * PARTITION_COST;
    let mut reservation = call.broker.budget.responses.reserve(cost).await;
    let mut topics = Vec::with_capacity(asked.len());
    for (name, indexes) in asked {
        let named = TopicRef::Name(name.into());
        let invalid = validate_topic_name(name).is_err();
        let mut partitions = Vec::with_capacity(indexes.len());
        for partition_index in indexes {
            let mut response = PartitionResponse {
                partition_index,
                ..PartitionResponse::default()
            };
            let found = match invalid {
                true => Err(ErrorCode::InvalidTopicException),
                false => find(call, &named, partition_index).await,
            };
            match found {
                Ok(producers) => {
                    // How many there are is not known before.
                    let cost = producers.len() * PRODUCER_COST;
                    reservation.resize(reservation.bytes() + cost);
                    response.active_producers = producers;
                }
                Err(error) => {
                    response.error_code = code(error);
                    response.error_message = Some(error.message());
                }
            }
            partitions.push(response);
        }
        topics.push(TopicResponse { name, partitions });
    }
    let response = DescribeProducersResponse {
        topics,
        ..DescribeProducersResponse::default()
    };
    call.answer(&response).holding(Some(reservation))
}

async fn find<E: Env>(
    call: &Call<E>,
    topic: &TopicRef,
    partition: i32,
) -> Result<Vec<ProducerState>, ErrorCode> {
    let led = call.broker.lead(topic, partition, -1)?;
    let producers = call.broker.router.producers(led.id).await;
    let producers = producers.ok_or(ErrorCode::KafkaStorageError)?;
    let producers = producers.into_iter().map(|producer| ProducerState {
        producer_id: producer.producer_id,
        producer_epoch: i32::from(producer.producer_epoch),
        last_sequence: producer.last_sequence,
        last_timestamp: producer.last_timestamp,
        coordinator_epoch: producer.coordinator_epoch,
        current_txn_start_offset: producer.current_transaction_start_offset,
    });
    Ok(producers.collect())
}
