//! OffsetFetch: how far groups have come. A group or partition without an offset is no error: it is offset -1.
//!
//! An offset is that of a topic id. If another topic has the name now, or none, there is no offset.

use taffrail_env::Env;
use taffrail_wire::ErrorCode;
use taffrail_wire::offset_fetch::{
    OffsetFetchRequest, OffsetFetchResponse, OffsetFetchResponseGroup,
    OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};

use super::{Answer, Call, code, groups};
use crate::group::{CommittedOffset, FetchedOffset, GroupError};
use crate::metadata::RawTopicId;

/// Several groups are asked for at once from this version on.
const BATCHES_SINCE: i16 = 8;
/// Topics are named by id from this version on.
const TOPIC_IDS_SINCE: i16 = 10;
/// An error of the whole group has a place of its own from this version on.
const GROUP_ERROR_SINCE: i16 = 2;

/// A topic as a request names it, and the partitions that are wanted of it.
struct Wanted {
    name: String,
    topic_id: RawTopicId,
    partitions: Vec<i32>,
    error: Option<ErrorCode>,
}

/// What is known of a topic.
struct Found {
    name: String,
    topic_id: RawTopicId,
    /// Partition, offset if there is one, error.
    partitions: Vec<(i32, Option<CommittedOffset>, i16)>,
}

pub(crate) async fn handle<E: Env>(call: &Call<E>, request: OffsetFetchRequest<'_>) -> Answer {
    if call.version < BATCHES_SINCE {
        return handle_one(call, request).await;
    }
    let mut groups = Vec::with_capacity(request.groups.len());
    for group in &request.groups {
        let wanted = group.topics.as_ref().map(|topics| {
            let topic = |topic: &taffrail_wire::offset_fetch::OffsetFetchRequestTopics<'_>| {
                wanted(call, topic.name, topic.topic_id, &topic.partition_indexes)
            };
            topics.iter().map(topic).collect::<Vec<_>>()
        });
        groups.push((group.group_id, find(call, group.group_id, wanted).await));
    }
    let groups = groups.iter().map(|(group_id, found)| match found {
        Ok(topics) => OffsetFetchResponseGroup {
            group_id,
            topics: topics.iter().map(response_topic).collect(),
            error_code: 0,
        },
        Err(refused) => OffsetFetchResponseGroup {
            group_id,
            topics: Vec::new(),
            error_code: code(groups::error(*refused)),
        },
    });
    call.answer(&OffsetFetchResponse {
        groups: groups.collect(),
        ..OffsetFetchResponse::default()
    })
}

async fn handle_one<E: Env>(call: &Call<E>, request: OffsetFetchRequest<'_>) -> Answer {
    let wanted = request.topics.as_ref().map(|topics| {
        let topics = topics.iter();
        topics
            .map(|topic| wanted(call, topic.name, [0; 16], &topic.partition_indexes))
            .collect::<Vec<_>>()
    });
    let (topics, error_code) = match find(call, request.group_id, wanted).await {
        Ok(topics) => (topics, 0),
        Err(refused) if call.version >= GROUP_ERROR_SINCE => {
            (Vec::new(), code(groups::error(refused)))
        }
        Err(refused) => {
            let error = code(groups::error(refused));
            let topics = request.topics.iter().flatten().map(|topic| Found {
                name: topic.name.to_string(),
                topic_id: [0; 16],
                partitions: topic
                    .partition_indexes
                    .iter()
                    .map(|index| (*index, None, error))
                    .collect(),
            });
            (topics.collect(), 0)
        }
    };
    let topics = topics.iter().map(|topic| OffsetFetchResponseTopic {
        name: &topic.name,
        partitions: topic
            .partitions
            .iter()
            .map(
                |(index, committed, error_code)| OffsetFetchResponsePartition {
                    partition_index: *index,
                    committed_offset: committed.as_ref().map_or(-1, |committed| committed.offset),
                    committed_leader_epoch: committed
                        .as_ref()
                        .map_or(-1, |committed| committed.leader_epoch),
                    metadata: Some(
                        committed
                            .as_ref()
                            .map_or("", |committed| &committed.metadata),
                    ),
                    error_code: *error_code,
                },
            )
            .collect(),
    });
    call.answer(&OffsetFetchResponse {
        topics: topics.collect(),
        error_code,
        ..OffsetFetchResponse::default()
    })
}

fn response_topic(topic: &Found) -> OffsetFetchResponseTopics<'_> {
    OffsetFetchResponseTopics {
        name: &topic.name,
        topic_id: topic.topic_id,
        partitions: topic
            .partitions
            .iter()
            .map(
                |(index, committed, error_code)| OffsetFetchResponsePartitions {
                    partition_index: *index,
                    committed_offset: committed.as_ref().map_or(-1, |committed| committed.offset),
                    committed_leader_epoch: committed
                        .as_ref()
                        .map_or(-1, |committed| committed.leader_epoch),
                    metadata: Some(
                        committed
                            .as_ref()
                            .map_or("", |committed| &committed.metadata),
                    ),
                    error_code: *error_code,
                },
            )
            .collect(),
    }
}

fn wanted<E: Env>(call: &Call<E>, name: &str, topic_id: RawTopicId, partitions: &[i32]) -> Wanted {
    let by_id = call.version >= TOPIC_IDS_SINCE;
    let resolved = if by_id {
        call.broker.topic_name(topic_id)
    } else {
        Some(name.to_string())
    };
    let error = if resolved.is_none() {
        Some(ErrorCode::UnknownTopicId)
    } else {
        None
    };
    Wanted {
        name: resolved.unwrap_or_default(),
        topic_id,
        partitions: partitions.to_vec(),
        error,
    }
}

/// What a group has committed of the wanted topics, or of all.
async fn find<E: Env>(
    call: &Call<E>,
    group_id: &str,
    wanted: Option<Vec<Wanted>>,
) -> Result<Vec<Found>, GroupError> {
    let Some(wanted) = wanted else {
        return Ok(all(call, call.broker.groups.fetch(group_id, None).await?));
    };
    let known = wanted.iter().filter(|topic| topic.error.is_none());
    let offsets = known.flat_map(|topic| {
        topic
            .partitions
            .iter()
            .map(|index| (topic.name.clone(), *index))
    });
    let mut fetched = call
        .broker
        .groups
        .fetch(group_id, Some(offsets.collect()))
        .await?
        .into_iter();
    let found = wanted.into_iter().map(|topic| {
        let partition = |index: i32| match topic.error {
            Some(error) => (index, None, code(error)),
            None => {
                let (name, index, committed) =
                    fetched.next().expect("an answer for each partition");
                (
                    index,
                    committed.filter(|committed| is_current(call, &name, committed)),
                    0,
                )
            }
        };
        Found {
            partitions: topic.partitions.iter().copied().map(partition).collect(),
            name: topic.name,
            topic_id: topic.topic_id,
        }
    });
    Ok(found.collect())
}

/// All that a group has committed of topics that there are, topic by topic.
fn all<E: Env>(call: &Call<E>, fetched: Vec<FetchedOffset>) -> Vec<Found> {
    let mut topics: Vec<Found> = Vec::new();
    for (name, index, committed) in fetched {
        if !committed
            .as_ref()
            .is_some_and(|committed| is_current(call, &name, committed))
        {
            continue;
        }
        match topics.last_mut() {
            Some(last) if last.name == name => last.partitions.push((index, committed, 0)),
            _ => {
                let topic_id = call.broker.topic_id(&name).unwrap_or_default();
                topics.push(Found {
                    name,
                    topic_id,
                    partitions: vec![(index, committed, 0)],
                });
            }
        }
    }
    topics
}

/// Whether the topic that an offset is of is the one that has the name now.
fn is_current<E: Env>(call: &Call<E>, name: &str, committed: &CommittedOffset) -> bool {
    let current = call.broker.topic_id(name);
    current.is_some_and(|current| committed.topic_id.is_none_or(|of| of == current))
}
