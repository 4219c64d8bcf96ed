//! DescribeLogDirs: how large the partitions are, and where they lie: in the one data directory.

use std::path::Path;

use taffrail_env::Env;
use taffrail_record::TopicPartition;
use taffrail_wire::ErrorCode;
use taffrail_wire::describe_log_dirs::{
    DescribeLogDirsPartition, DescribeLogDirsRequest, DescribeLogDirsResponse,
    DescribeLogDirsResult, DescribeLogDirsTopic,
};

use super::{Answer, Call, code};

pub(crate) async fn handle<E: Env>(call: &Call<E>, request: DescribeLogDirsRequest<'_>) -> Answer {
    let broker = &call.broker;
    let wanted: Vec<(String, TopicPartition)> = {
        let metadata = broker.controller.metadata();
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
        let is_wanted = |name: &str, partition: i32| match &request.topics {
            None => true,
            Some(topics) => topics
                .iter()
                .any(|topic| topic.topic == name && topic.partitions.contains(&partition)),
        };
        all.filter(|(name, id)| is_wanted(name, id.partition))
            .collect()
    };
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
    call.answer(&DescribeLogDirsResponse {
        results: vec![DescribeLogDirsResult {
            error_code: code(error),
            log_dir: &broker.data,
            topics,
            total_bytes,
            usable_bytes,
            ..DescribeLogDirsResult::default()
        }],
        ..DescribeLogDirsResponse::default()
    })
}
