//! ListOffsets: the offset that belongs to a time, or to the start or the end of a partition.

use std::collections::BTreeSet;

use taffrail_env::Env;
use taffrail_record::{NO_LEADER_EPOCH, NO_OFFSET, NO_TIMESTAMP};
use taffrail_wire::ErrorCode;
use taffrail_wire::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse,
    ListOffsetsTopicResponse,
};

use super::create_topics::duplicates;
use super::fetch::read_error;
use super::{Answer, Call, code};
use crate::session::TopicRef;
use crate::shard::{Found, Search};

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;
const EARLIEST_PENDING_UPLOAD: i64 = -6;

const READ_UNCOMMITTED: i8 = 0;
/// Reads up to the last stable offset.
const READ_COMMITTED: i8 = 1;

/// Leader epochs are answered from this version on.
const LEADER_EPOCHS_SINCE: i16 = 4;

/// Stands for a record that there is not.
const NOWHERE: Found = Found {
    timestamp: NO_TIMESTAMP,
    offset: NO_OFFSET,
    leader_epoch: NO_LEADER_EPOCH,
};

pub(crate) async fn handle<E: Env>(call: &Call<E>, request: ListOffsetsRequest<'_>) -> Answer {
    let wanted = request.topics.iter().flat_map(|topic| {
        let partitions = topic.partitions.iter();
        partitions.map(|partition| (topic.name, partition.partition_index))
    });
    let twice = duplicates(wanted);
    // A partition is answered once, however often it is there.
    let mut answered = BTreeSet::new();
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let named = TopicRef::Name(topic.name.into());
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for partition in &topic.partitions {
            let committed = request.isolation_level == READ_COMMITTED;
            let place = (topic.name, partition.partition_index);
            let found = if !(READ_UNCOMMITTED..=READ_COMMITTED).contains(&request.isolation_level) {
                Err(ErrorCode::UnknownServerError)
            } else if !twice.contains(&place) {
                find(call, &named, partition, committed).await
            } else if answered.insert(place) {
                Err(ErrorCode::InvalidRequest)
            } else {
                continue;
            };
            let (error, found) = match found {
                Ok(found) => (ErrorCode::None, found),
                Err(error) => (error, NOWHERE),
            };
            partitions.push(ListOffsetsPartitionResponse {
                partition_index: partition.partition_index,
                error_code: code(error),
                timestamp: found.timestamp,
                offset: found.offset,
                leader_epoch: if call.version >= LEADER_EPOCHS_SINCE {
                    found.leader_epoch
                } else {
                    NO_LEADER_EPOCH
                },
            });
        }
        if partitions.is_empty() && !topic.partitions.is_empty() {
            continue;
        }
        topics.push(ListOffsetsTopicResponse {
            name: topic.name,
            partitions,
        });
    }
    call.answer(&ListOffsetsResponse {
        topics,
        ..ListOffsetsResponse::default()
    })
}

/// The first version of the request that knows a special timestamp; none knows a lower one.
fn since(timestamp: i64) -> i16 {
    match timestamp {
        MAX_TIMESTAMP => 7,
        EARLIEST_LOCAL => 8,
        LATEST_TIERED => 9,
        EARLIEST_PENDING_UPLOAD => 11,
        ..EARLIEST_PENDING_UPLOAD => i16::MAX,
        _ => 1,
    }
}

async fn find<E: Env>(
    call: &Call<E>,
    topic: &TopicRef,
    partition: &ListOffsetsPartition,
    committed: bool,
) -> Result<Found, ErrorCode> {
    let router = &call.broker.router;
    let led = call.broker.lead(
        topic,
        partition.partition_index,
        partition.current_leader_epoch,
    )?;
    if call.version < since(partition.timestamp) {
        return Err(ErrorCode::UnsupportedVersion);
    }
    let search = match partition.timestamp {
        LATEST | EARLIEST | EARLIEST_LOCAL => {
            let ends = router.ends_of(led.id).await;
            let ends = ends.ok_or(ErrorCode::KafkaStorageError)?;
            let offset = match (partition.timestamp, committed) {
                (LATEST, true) => ends.last_stable_offset,
                (LATEST, false) => ends.high_watermark,
                _ => ends.log_start_offset,
            };
            return Ok(Found {
                timestamp: NO_TIMESTAMP,
                offset,
                leader_epoch: led.leader_epoch,
            });
        }
        // There are no tiers.
        LATEST_TIERED | EARLIEST_PENDING_UPLOAD => return Ok(NOWHERE),
        MAX_TIMESTAMP => Search::MaxTimestamp,
        timestamp => Search::Timestamp(timestamp),
    };
    let found = router.search(led.id, search).await;
    let found = found.map_err(|error| read_error(call, &error))?;
    Ok(found.unwrap_or(NOWHERE))
}
