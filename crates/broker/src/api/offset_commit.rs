//! OffsetCommit: how far a group has come, kept with the id of the topic it is about.

use taffrail_env::Env;
use taffrail_record::TopicId;
use taffrail_wire::ErrorCode;
use taffrail_wire::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestTopic, OffsetCommitResponse,
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};

use super::{Answer, Call, code, groups};
use crate::group::{CommitOffset, CommitRequest};
use crate::metadata::RawTopicId;

/// Topics are named by id from this version on.
const TOPIC_IDS_SINCE: i16 = 10;
/// Clients know GROUP_ID_NOT_FOUND as an answer from this version on.
const GROUP_NOT_FOUND_SINCE: i16 = 9;

pub(crate) async fn handle<E: Env>(call: &Call<E>, request: OffsetCommitRequest<'_>) -> Answer {
    // In the order of the request: the topic that is meant, or why there is none.
    let topics = request.topics.iter().map(|topic| resolve(call, topic));
    let topics: Vec<Result<Found, ErrorCode>> = topics.collect();
    let mut offsets = Vec::new();
    for (topic, resolved) in request.topics.iter().zip(&topics) {
        let Ok(found) = resolved else {
            continue;
        };
        let there = topic.partitions.iter();
        let there = there.filter(|partition| found.has(partition.partition_index));
        offsets.extend(there.map(|partition| CommitOffset {
            topic: found.name.clone(),
            topic_id: found.id,
            partition: partition.partition_index,
            offset: partition.committed_offset,
            leader_epoch: partition.committed_leader_epoch,
            metadata: partition.committed_metadata.unwrap_or_default().to_string(),
        }));
    }
    let count = offsets.len();
    let commit = CommitRequest {
        group_id: request.group_id.to_string(),
        generation: request.generation_id_or_member_epoch,
        member_id: request.member_id.to_string(),
        instance_id: request.group_instance_id.map(str::to_string),
        retention_ms: Some(request.retention_time_ms).filter(|ms| *ms >= 0),
        knows_group_not_found: call.version >= GROUP_NOT_FOUND_SINCE,
        offsets,
    };
    let answers = match count {
        0 => Ok(Vec::new()),
        _ => call.broker.groups.commit(commit).await,
    };
    let mut answers = answers
        .unwrap_or_else(|refused| vec![Err(refused); count])
        .into_iter();
    let responses =
        request
            .topics
            .iter()
            .zip(&topics)
            .map(|(topic, resolved)| OffsetCommitResponseTopic {
                name: topic.name,
                topic_id: topic.topic_id,
                partitions: topic
                    .partitions
                    .iter()
                    .map(|partition| OffsetCommitResponsePartition {
                        partition_index: partition.partition_index,
                        error_code: match resolved {
                            Err(error) => code(*error),
                            Ok(found) if !found.has(partition.partition_index) => {
                                code(ErrorCode::UnknownTopicOrPartition)
                            }
                            Ok(_) => match answers.next().expect("an answer for each offset") {
                                Ok(()) => 0,
                                Err(refused) => code(groups::error(refused)),
                            },
                        },
                    })
                    .collect(),
            });
    call.answer(&OffsetCommitResponse {
        topics: responses.collect(),
        ..OffsetCommitResponse::default()
    })
}

/// A topic that is there.
struct Found {
    name: String,
    id: RawTopicId,
    partitions: usize,
}

impl Found {
    fn has(&self, partition: i32) -> bool {
        usize::try_from(partition).is_ok_and(|index| index < self.partitions)
    }
}

fn resolve<E: Env>(
    call: &Call<E>,
    topic: &OffsetCommitRequestTopic<'_>,
) -> Result<Found, ErrorCode> {
    let metadata = call.broker.controller.metadata();
    let found = if call.version >= TOPIC_IDS_SINCE {
        let id = TopicId(topic.topic_id);
        metadata.topic_by_id(id).ok_or(ErrorCode::UnknownTopicId)?
    } else {
        let found = metadata.topic(topic.name);
        found.ok_or(ErrorCode::UnknownTopicOrPartition)?
    };
    Ok(Found {
        name: found.name.clone(),
        id: found.id().0,
        partitions: found.partitions.len(),
    })
}
