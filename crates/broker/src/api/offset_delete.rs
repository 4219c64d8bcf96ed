//! OffsetDelete: forgets what a group has committed of topics that it no longer reads.

use taffrail_env::Env;
use taffrail_wire::ErrorCode;
use taffrail_wire::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteResponse, OffsetDeleteResponsePartition,
    OffsetDeleteResponseTopic,
};

use super::{Answer, Call, code, groups};

pub(crate) async fn handle<E: Env>(call: &Call<E>, request: OffsetDeleteRequest<'_>) -> Answer {
    let offsets = request.topics.iter().flat_map(|topic| {
        let partitions = topic.partitions.iter();
        let known = partitions.map(|partition| partition.partition_index);
        let known = known.filter(|index| is_known(call, topic.name, *index));
        known.map(|index| (topic.name.to_string(), index))
    });
    let offsets: Vec<(String, i32)> = offsets.collect();
    let answers = match call
        .broker
        .groups
        .delete_offsets(request.group_id, &offsets)
        .await
    {
        Ok(answers) => answers,
        Err(refused) => {
            return call.answer(&OffsetDeleteResponse {
                error_code: code(groups::error(refused)),
                ..OffsetDeleteResponse::default()
            });
        }
    };
    let mut answers = offsets.iter().zip(answers).peekable();
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for partition in &topic.partitions {
            let index = partition.partition_index;
            // What was not known then has no answer, whatever is known now.
            let mine = answers.next_if(|((name, of), _)| name == topic.name && *of == index);
            let error_code = match mine {
                Some((_, Ok(()))) => 0,
                Some((_, Err(refused))) => code(groups::error(refused)),
                None => code(ErrorCode::UnknownTopicOrPartition),
            };
            partitions.push(OffsetDeleteResponsePartition {
                partition_index: index,
                error_code,
            });
        }
        topics.push(OffsetDeleteResponseTopic {
            name: topic.name,
            partitions,
        });
    }
    call.answer(&OffsetDeleteResponse {
        topics,
        ..OffsetDeleteResponse::default()
    })
}

/// Whether there is such a partition.
fn is_known<E: Env>(call: &Call<E>, topic: &str, partition: i32) -> bool {
    let metadata = call.broker.controller.metadata();
    let partitions = metadata.topic(topic).map(|topic| topic.partitions.len());
    let index = usize::try_from(partition).ok();
    index.is_some_and(|index| partitions.is_some_and(|count| index < count))
}
