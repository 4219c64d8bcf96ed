//! DescribeLogDirs: how large the partitions are, and where they lie: in the one data directory.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use taffrail_env::Env;
use taffrail_record::TopicPartition;
use taffrail_wire::ErrorCode;
use taffrail_wire::describe_log_dirs::{
    DescribableLogDirTopic, DescribeLogDirsPartition, DescribeLogDirsRequest,
    DescribeLogDirsResponse, DescribeLogDirsResult, DescribeLogDirsTopic,
};

use super::{Answer, Call, code};

/// About what a partition takes while it is looked up and answered.
const PARTITION_COST: usize = 256;

pub(crate) async fn handle<E: Env>(call: &Call<E>, request: DescribeLogDirsRequest<'_>) -> Answer {
    let broker = &call.broker;
    let partitions = broker.controller.metadata().partition_count();
    let cost = partitions * PARTITION_COST;
    let reservation = broker.budget.responses.reserve(cost).await;
    let wanted = wanted(call, request.topics.as_deref());
    let ends = broker
        .router
        .ends(wanted.iter().map(|(_, id)| (*id, 0)).collect())
        .await;
    let mut topics: Vec<DescribeLogDirsTopic<'_>> = Vec::new();
    for ((name, id), ends) in wanted.iter().zip(ends) {
        let Some(ends) = ends else {
            continue;
        };
        if topics.last().is_none_or(|topic| topic.name != name) {
            topics.push(DescribeLogDirsTopic {
                name,
                ..DescribeLogDirsTopic::default()
            });
        }
        if let Some(topic) = topics.last_mut() {
            topic.partitions.push(DescribeLogDirsPartition {
                partition_index: id.partition,
                partition_size: ends.size_bytes as i64,
                ..DescribeLogDirsPartition::default()
            });
        }
    }
    let space = broker.env.space(Path::new(&broker.data)).await;
    let (total_bytes, usable_bytes, error) = match space {
        Ok(space) => (space.total as i64, space.available as i64, ErrorCode::None),
        Err(error) => {
            tracing::warn!("log directories not described: {error}");
            (-1, -1, ErrorCode::KafkaStorageError)
        }
    };
    let response = DescribeLogDirsResponse {
        results: vec![DescribeLogDirsResult {
            error_code: code(error),
            log_dir: &broker.data,
            topics,
            total_bytes,
            usable_bytes,
            ..DescribeLogDirsResult::default()
        }],
        ..DescribeLogDirsResponse::default()
    };
    call.answer(&response).holding(Some(reservation))
}

/// The partitions asked for that there are, by topic.
fn wanted<E: Env>(
    call: &Call<E>,
    asked: Option<&[DescribableLogDirTopic<'_>]>,
) -> Vec<(String, TopicPartition)> {
    let asked: Option<BTreeMap<&str, BTreeSet<i32>>> = asked.map(|topics| {
        let topics = topics.iter();
        topics
            .map(|topic| (topic.topic, topic.partitions.iter().copied().collect()))
            .collect()
    });
    let metadata = call.broker.controller.metadata();
    let all = metadata.topics().flat_map(|topic| {
        let partitions = 0..topic.partitions.len() as i32;
        partitions.map(|partition| {
            let id = TopicPartition {
                topic: topic.id(),
                partition,
            };
            (topic.name.clone(), id)
        })
    });
    let is_wanted = |name: &str, partition: i32| match &asked {
        None => true,
        Some(topics) => topics
            .get(name)
            .is_some_and(|partitions| partitions.contains(&partition)),
    };
    all.filter(|(name, id)| is_wanted(name, id.partition))
        .collect()
}
