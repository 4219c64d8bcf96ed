//! DeleteRecords: partitions forget what lies before an offset; -1 is the high watermark.

use taffrail_env::Env;
use taffrail_record::{NO_OFFSET, Offset};
use taffrail_storage::StorageError;
use taffrail_wire::ErrorCode;
use taffrail_wire::delete_records::{
    DeleteRecordsPartitionResult, DeleteRecordsRequest, DeleteRecordsResponse,
    DeleteRecordsTopicResult,
};

use super::{Answer, Call, by_topic, code};
use crate::session::TopicRef;

pub(crate) async fn handle<E: Env>(call: &Call<E>, request: DeleteRecordsRequest<'_>) -> Answer {
    let named = request.topics.iter().flat_map(|topic| {
        let partitions = topic.partitions.iter();
        partitions.map(|partition| (topic.name, partition.partition_index, partition.offset))
    });
    let wanted = by_topic(named);
    let mut topics = Vec::with_capacity(wanted.len());
    for (name, wanted) in wanted {
        let named = TopicRef::Name(name.into());
        let mut partitions = Vec::with_capacity(wanted.len());
        for (index, offset) in wanted {
            let (low_watermark, error) = match delete(call, &named, index, offset).await {
                Ok(low_watermark) => (low_watermark, ErrorCode::None),
                Err(error) => (NO_OFFSET, error),
            };
            partitions.push(DeleteRecordsPartitionResult {
                partition_index: index,
                low_watermark,
                error_code: code(error),
            });
        }
        topics.push(DeleteRecordsTopicResult { name, partitions });
    }
    call.answer(&DeleteRecordsResponse {
        topics,
        ..DeleteRecordsResponse::default()
    })
}

async fn delete<E: Env>(
    call: &Call<E>,
    topic: &TopicRef,
    partition: i32,
    offset: Offset,
) -> Result<Offset, ErrorCode> {
    let router = &call.broker.router;
    let led = call.broker.lead(topic, partition, -1)?;
    if led.internal {
        return Err(ErrorCode::InvalidTopicException);
    }
    let ends = router.ends_of(led.id).await;
    let ends = ends.ok_or(ErrorCode::KafkaStorageError)?;
    let offset = if offset == -1 {
        ends.high_watermark
    } else {
        offset
    };
    if offset < 0 || offset > ends.high_watermark {
        return Err(ErrorCode::OffsetOutOfRange);
    }
    router
        .advance_start(led.id, offset)
        .await
        .map_err(|error| match error {
            StorageError::OutOfRange { .. } => ErrorCode::OffsetOutOfRange,
            StorageError::Deleted => ErrorCode::UnknownTopicOrPartition,
            StorageError::Closed => ErrorCode::NotLeaderOrFollower,
            error => {
                tracing::warn!("records of partition {} not deleted: {error}", led.id);
                ErrorCode::KafkaStorageError
            }
        })
}
