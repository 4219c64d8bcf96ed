//! OffsetFetch: how far groups have come. A group or partition without an offset is no error: it is offset -1.
//!
//! An offset is that of a topic id. If another topic has the name now, or none, there is no offset.

use std::collections::BTreeMap;

use taffrail_env::Env;
use taffrail_wire::ErrorCode;
use taffrail_wire::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchResponse, OffsetFetchResponseGroup,
    OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};

use super::{Answer, Call, code, distinct, groups};
use crate::group::{CommittedOffset, CommittedTopic, GroupError};
use crate::metadata::RawTopicId;

/// About what a group, a topic or a partition takes in an answer, put together and encoded.
const PARTITION_COST: usize = 256;
/// Several groups are asked for at once from this version on.
const BATCHES_SINCE: i16 = 8;
/// Topics are named by id from this version on.
const TOPIC_IDS_SINCE: i16 = 10;
/// An error of the whole group has a place of its own from this version on.
const GROUP_ERROR_SINCE: i16 = 2;

/// A topic as a request names it: by name, or by id.
type TopicKey<'r> = (&'r str, RawTopicId);
/// The partitions that are wanted, by topic, or `None` for all that there is.
type Wanted<'r> = Option<Vec<(TopicKey<'r>, Vec<i32>)>>;

/// What is known of a topic.
struct Found {
    name: String,
    topic_id: RawTopicId,
    /// Partition, offset if there is one, error.
    partitions: Vec<(i32, Option<CommittedOffset>, i16)>,
}

impl Found {
    /// About what it takes, put together and encoded.
    fn cost(&self) -> usize {
        let partitions = self.partitions.iter();
        let costs = partitions.map(|(_, committed, _)| {
            let metadata = committed.as_ref().map_or(0, |kept| kept.metadata.len());
            PARTITION_COST + 2 * metadata
        });
        PARTITION_COST + 2 * self.name.len() + costs.sum::<usize>()
    }
}

pub(crate) async fn handle<E: Env>(call: &Call<E>, request: OffsetFetchRequest<'_>) -> Answer {
    if call.version < BATCHES_SINCE {
        return handle_one(call, request).await;
    }
    let asked = asked(&request.groups);
    let costs = asked
        .iter()
        .map(|(group_id, wanted)| cost(call, group_id, wanted));
    let mut reservation = call.broker.budget.responses.reserve(costs.sum()).await;
    let mut groups = Vec::with_capacity(asked.len());
    for (group_id, wanted) in asked {
        groups.push((group_id, find(call, group_id, wanted).await));
    }
    let found = groups.iter().filter_map(|(_, found)| found.as_ref().ok());
    let taken: usize = found.flatten().map(Found::cost).sum();
    reservation.resize(reservation.bytes().max(taken));
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
    let response = OffsetFetchResponse {
        groups: groups.collect(),
        ..OffsetFetchResponse::default()
    };
    call.answer(&response).holding(Some(reservation))
}

async fn handle_one<E: Env>(call: &Call<E>, request: OffsetFetchRequest<'_>) -> Answer {
    let wanted = wanted(&request);
    let cost = cost(call, request.group_id, &wanted);
    let mut reservation = call.broker.budget.responses.reserve(cost).await;
    let (topics, error_code) = match find(call, request.group_id, wanted).await {
        Ok(topics) => (topics, 0),
        Err(refused) if call.version >= GROUP_ERROR_SINCE => {
            (Vec::new(), code(groups::error(refused)))
        }
        Err(refused) => (refuse(&request, code(groups::error(refused))), 0),
    };
    let taken: usize = topics.iter().map(Found::cost).sum();
    reservation.resize(reservation.bytes().max(taken));
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
    let response = OffsetFetchResponse {
        topics: topics.collect(),
        error_code,
        ..OffsetFetchResponse::default()
    };
    call.answer(&response).holding(Some(reservation))
}

/// The groups that are asked for, each once, and what is wanted of each: of a group that is there more than once, all that was
/// wanted of it.
fn asked<'r>(groups: &'r [OffsetFetchRequestGroup<'r>]) -> Vec<(&'r str, Wanted<'r>)> {
    let mut merged: Vec<(&str, Vec<&OffsetFetchRequestGroup<'_>>)> = Vec::new();
    let mut places = BTreeMap::new();
    for group in groups {
        let place = *places.entry(group.group_id).or_insert_with(|| {
            merged.push((group.group_id, Vec::new()));
            merged.len() - 1
        });
        merged[place].1.push(group);
    }
    let asked = merged.into_iter().map(|(group_id, parts)| {
        let parts: Option<Vec<_>> = parts.iter().map(|part| part.topics.as_ref()).collect();
        let wanted = parts.map(|parts| {
            let topics = parts.into_iter().flatten();
            distinct(topics.map(|topic| {
                let key = (topic.name, topic.topic_id);
                (key, topic.partition_indexes.as_slice())
            }))
        });
        (group_id, wanted)
    });
    asked.collect()
}

/// What is wanted of the one group of older requests.
fn wanted<'r>(request: &OffsetFetchRequest<'r>) -> Wanted<'r> {
    let topics = request.topics.as_ref()?.iter();
    let topics = topics.map(|topic| {
        let key = (topic.name, [0; 16]);
        (key, topic.partition_indexes.as_slice())
    });
    Some(distinct(topics))
}

/// Every partition that is wanted says why there is nothing of it.
fn refuse(request: &OffsetFetchRequest<'_>, error: i16) -> Vec<Found> {
    let topics = wanted(request).into_iter().flatten();
    let refused = topics.map(|((name, topic_id), indexes)| Found {
        name: name.to_string(),
        topic_id,
        partitions: indexes
            .into_iter()
            .map(|index| (index, None, error))
            .collect(),
    });
    refused.collect()
}

/// About how much memory the answer about a group takes, unless what was committed with its offsets is long.
fn cost<E: Env>(call: &Call<E>, group_id: &str, wanted: &Wanted<'_>) -> usize {
    let cost = match wanted {
        None => 2 * call.broker.groups.offset_bytes(group_id),
        Some(topics) => {
            let topics = topics.iter();
            let costs = topics
                .map(|((name, _), indexes)| PARTITION_COST * (1 + indexes.len()) + 2 * name.len());
            costs.sum()
        }
    };
    PARTITION_COST + group_id.len() + cost
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

/// The name of a topic that is asked for, if there is such a topic.
fn resolve<E: Env>(call: &Call<E>, (name, topic_id): TopicKey<'_>) -> Option<String> {
    match call.version >= TOPIC_IDS_SINCE {
        true => call.broker.topic_name(topic_id),
        false => Some(name.to_string()),
    }
}

/// What a group has committed of the wanted topics, or of all.
async fn find<E: Env>(
    call: &Call<E>,
    group_id: &str,
    wanted: Wanted<'_>,
) -> Result<Vec<Found>, GroupError> {
    let Some(wanted) = wanted else {
        return Ok(all(call, call.broker.groups.fetch_all(group_id).await?));
    };
    let (mut topics, mut facts) = (Vec::new(), Vec::new());
    for (topic, indexes) in wanted {
        let name = resolve(call, topic);
        let error = match name {
            Some(_) => 0,
            None => code(ErrorCode::UnknownTopicId),
        };
        facts.push((topic.1, error));
        // Of a topic without a name nothing is committed.
        topics.push((name.unwrap_or_default(), indexes));
    }
    let fetched = call.broker.groups.fetch(group_id, &topics).await?;
    let found = topics.into_iter().zip(facts).zip(fetched);
    let found = found.map(|(((name, indexes), (topic_id, error)), offsets)| {
        let current = call.broker.topic_id(&name);
        let partitions = indexes.into_iter().zip(offsets);
        let partitions = partitions.map(|(index, committed)| {
            let committed = committed.filter(|committed| is_current(current, committed));
            (index, committed, error)
        });
        Found {
            partitions: partitions.collect(),
            name,
            topic_id,
        }
    });
    Ok(found.collect())
}

/// All that a group has committed of topics that there are, topic by topic.
fn all<E: Env>(call: &Call<E>, fetched: Vec<CommittedTopic>) -> Vec<Found> {
    let found = fetched.into_iter().filter_map(|(name, offsets)| {
        let current = call.broker.topic_id(&name);
        let offsets = offsets.into_iter();
        let offsets = offsets.filter(|(_, committed)| is_current(current, committed));
        let partitions: Vec<_> = offsets
            .map(|(index, committed)| (index, Some(committed), 0))
            .collect();
        let topic_id = current.unwrap_or_default();
        (!partitions.is_empty()).then_some(Found {
            name,
            topic_id,
            partitions,
        })
    });
    found.collect()
}

/// Whether the topic that an offset is of is the one that has the name now.
fn is_current(current: Option<RawTopicId>, committed: &CommittedOffset) -> bool {
    current.is_some_and(|current| committed.topic_id.is_none_or(|of| of == current))
}
