//! CTRL-CONSISTENT: what holds in every committed state of the metadata.

use std::collections::BTreeSet;

use taffrail_replication::Machine;

use super::machine::{Duty, Metadata, PartitionState, Topic};
use super::names::{collision_key, is_internal, validate_topic_name};
use super::{METADATA_TOPIC_ID, PARTITIONS_MAX, PARTITIONS_PER_TOPIC_MAX};

/// Whether `metadata` is a state that commands can lead to; if not, what is wrong with it.
pub fn check(metadata: &Metadata) -> Result<(), String> {
    let mut collisions = BTreeSet::new();
    let mut ids = BTreeSet::new();
    let mut partitions = 0;
    for topic in metadata.topics() {
        let wrong = |what: String| format!("topic {} ({:?}): {what}", topic.name, topic.id());
        check_topic(metadata, topic).map_err(wrong)?;
        partitions += topic.partitions.len();
        ids.insert(topic.id().0);
        if !collisions.insert(collision_key(&topic.name)) {
            return Err(wrong("its name collides with another".to_string()));
        }
    }
    if partitions > PARTITIONS_MAX || partitions != metadata.partition_count() {
        return Err(format!(
            "there are {partitions} partitions, and {} are counted",
            metadata.partition_count()
        ));
    }
    let mut duties = Vec::new();
    metadata.duties(0, &mut duties);
    for Duty::RemoveData { topic_id, .. } in duties {
        if ids.contains(&topic_id.0) {
            return Err(format!("topic {topic_id:?} exists and is deleted"));
        }
    }
    if metadata.next_producer_id() < 0 {
        return Err(format!(
            "the next producer id is {}",
            metadata.next_producer_id()
        ));
    }
    let epochs: BTreeSet<i64> = metadata
        .brokers()
        .values()
        .map(|broker| broker.broker_epoch)
        .collect();
    if epochs.len() != metadata.brokers().len() {
        return Err("two brokers have one epoch".to_string());
    }
    Ok(())
}

fn check_topic(metadata: &Metadata, topic: &Topic) -> Result<(), String> {
    validate_topic_name(&topic.name).map_err(|error| error.to_string())?;
    if topic.id().0 <= METADATA_TOPIC_ID.0 {
        return Err("its id is reserved".to_string());
    }
    if metadata.topic(&topic.name).map(Topic::id) != metadata.topic_by_id(topic.id()).map(Topic::id)
    {
        return Err("its name leads to another topic".to_string());
    }
    if topic.internal != is_internal(&topic.name) {
        return Err("internal by flag or by name, but not both".to_string());
    }
    if topic.partitions.is_empty() || topic.partitions.len() > PARTITIONS_PER_TOPIC_MAX {
        return Err(format!("it has {} partitions", topic.partitions.len()));
    }
    for (index, partition) in topic.partitions.iter().enumerate() {
        check_partition(metadata, partition)
            .map_err(|what| format!("partition {index}: {what}"))?;
    }
    Ok(())
}

fn check_partition(metadata: &Metadata, partition: &PartitionState) -> Result<(), String> {
    let replicas: BTreeSet<i32> = partition.replicas.iter().copied().collect();
    let isr: BTreeSet<i32> = partition.isr.iter().copied().collect();
    if replicas.is_empty() || replicas.len() != partition.replicas.len() {
        return Err(format!("its replicas are {:?}", partition.replicas));
    }
    if replicas
        .iter()
        .any(|broker| !metadata.brokers().contains_key(broker))
    {
        return Err(format!(
            "not all of its replicas {replicas:?} are registered"
        ));
    }
    if isr.len() != partition.isr.len() || !isr.is_subset(&replicas) {
        return Err(format!(
            "its in-sync replicas {:?} are not among {replicas:?}",
            partition.isr
        ));
    }
    if !isr.contains(&partition.leader) {
        return Err(format!("its leader {} is not in sync", partition.leader));
    }
    if partition.leader_epoch < 0 || partition.partition_epoch < 0 {
        return Err("an epoch is negative".to_string());
    }
    Ok(())
}
