//! OffsetForLeaderEpoch: where a leader's term ended, so that a client finds out whether it holds records of another past (KIP-320).

use taffrail_env::Env;
use taffrail_wire::ErrorCode;
use taffrail_wire::offset_for_leader_epoch::{
    EpochEndOffset, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse,
    OffsetForLeaderPartition, OffsetForLeaderTopicResult,
};

use super::{Answer, Call, code};
use crate::session::TopicRef;

pub(crate) async fn handle<E: Env>(
    call: &Call<E>,
    request: OffsetForLeaderEpochRequest<'_>,
) -> Answer {
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let named = TopicRef::Name(topic.topic.into());
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for partition in &topic.partitions {
            partitions.push(match find(call, &named, partition).await {
                Ok((leader_epoch, end_offset)) => EpochEndOffset {
                    error_code: code(ErrorCode::None),
                    partition: partition.partition,
                    leader_epoch,
                    end_offset,
                },
                Err(error) => EpochEndOffset {
                    error_code: code(error),
                    partition: partition.partition,
                    ..EpochEndOffset::default()
                },
            });
        }
        topics.push(OffsetForLeaderTopicResult {
            topic: topic.topic,
            partitions,
        });
    }
    call.answer(&OffsetForLeaderEpochResponse {
        topics,
        ..OffsetForLeaderEpochResponse::default()
    })
}

async fn find<E: Env>(
    call: &Call<E>,
    topic: &TopicRef,
    partition: &OffsetForLeaderPartition,
) -> Result<(i32, i64), ErrorCode> {
    let led = call
        .broker
        .lead(topic, partition.partition, partition.current_leader_epoch)?;
    let end = call.broker.router.epoch_end(led.id, partition.leader_epoch);
    end.await.ok_or(ErrorCode::KafkaStorageError)
}
