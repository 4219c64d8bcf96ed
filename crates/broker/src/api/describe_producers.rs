//! DescribeProducers: the idempotent producers that partitions remember.

use taffrail_env::Env;
use taffrail_wire::ErrorCode;
use taffrail_wire::describe_producers::{
    DescribeProducersRequest, DescribeProducersResponse, PartitionResponse, ProducerState,
    TopicResponse,
};

use super::{Answer, Call, code};
use crate::metadata::validate_topic_name;
use crate::session::TopicRef;

pub(crate) async fn handle<E: Env>(
    call: &Call<E>,
    request: DescribeProducersRequest<'_>,
) -> Answer {
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let named = TopicRef::Name(topic.name.into());
        let invalid = validate_topic_name(topic.name).is_err();
        let mut partitions = Vec::with_capacity(topic.partition_indexes.len());
        for partition in &topic.partition_indexes {
            let mut response = PartitionResponse {
                partition_index: *partition,
                ..PartitionResponse::default()
            };
            let found = match invalid {
                true => Err(ErrorCode::InvalidTopicException),
                false => find(call, &named, *partition).await,
            };
            match found {
                Ok(producers) => response.active_producers = producers,
                Err(error) => {
                    response.error_code = code(error);
                    response.error_message = Some(error.message());
                }
            }
            partitions.push(response);
        }
        topics.push(TopicResponse {
            name: topic.name,
            partitions,
        });
    }
    call.answer(&DescribeProducersResponse {
        topics,
        ..DescribeProducersResponse::default()
    })
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
