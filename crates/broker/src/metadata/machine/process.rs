//! The decisions: what each command does to a given state, or why it does nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::{Broker, Metadata, PartitionState, Topic};
use crate::metadata::command::validate_config;
use crate::metadata::names::{collision_key, is_internal, validate_topic_name};
use crate::metadata::{
    BrokerRegistration, CONFIGS_MAX, Change, Command, ConfigEdit, ConfigOperation, Done,
    METADATA_TOPIC_ID, PARTITIONS_MAX, PARTITIONS_PER_TOPIC_MAX, PRODUCER_IDS_PER_BLOCK_MAX,
    RawTopicId, Refusal, Reply, SEMANTICS_LEVEL_MAX, TopicKey,
};

pub(super) fn process(state: &Metadata, command: &Command, changes: &mut Vec<Change>) -> Reply {
    match command {
        Command::CreateTopic {
            topic_id,
            name,
            assignments,
            configs,
            created_ms,
        } => {
            check_new_topic(state, topic_id, name)?;
            check_assignments(state, assignments, 0)?;
            check_configs(configs)?;
            let topic = Topic {
                topic_id: *topic_id,
                name: name.clone(),
                internal: is_internal(name),
                created_ms: *created_ms,
                partitions: assignments
                    .iter()
                    .map(|replicas| PartitionState::new(replicas))
                    .collect(),
                configs: configs.clone(),
            };
            Ok(create_topic(topic, changes))
        }
        Command::DeleteTopic { topic } => delete_topic(find(state, topic)?, changes),
        Command::CreatePartitions {
            name,
            count,
            assignments,
        } => create_partitions(state, name, *count, assignments, changes),
        Command::SetTopicConfigs { name, edits } => {
            let topic = state.topic(name).ok_or(Refusal::UnknownTopic)?;
            let configs = edit(&topic.configs, edits)?;
            changes.push(Change::TopicConfigs {
                topic_id: topic.topic_id,
                configs,
            });
            Ok(Done::ConfigsSet)
        }
        Command::SetBrokerConfigs { broker, edits } => {
            let none = BTreeMap::new();
            let configs = edit(state.broker_configs(*broker).unwrap_or(&none), edits)?;
            changes.push(Change::BrokerConfigs {
                broker: *broker,
                configs,
            });
            Ok(Done::ConfigsSet)
        }
        Command::AllocateProducerIds { count, .. } => allocate_producer_ids(state, *count, changes),
        Command::RegisterBroker(registration) => register_broker(state, registration, changes),
        Command::DataRemoved { broker, topic_id } => remove_data(state, *broker, topic_id, changes),
        Command::SetSemanticsLevel { level } => {
            if *level <= state.semantics_level() || *level > SEMANTICS_LEVEL_MAX {
                return Err(Refusal::UnknownSemanticsLevel);
            }
            changes.push(Change::SemanticsLevel(*level));
            Ok(Done::SemanticsLevelSet)
        }
    }
}

fn create_topic(topic: Topic, changes: &mut Vec<Change>) -> Done {
    let done = Done::TopicCreated {
        topic_id: topic.topic_id,
        partitions: topic.partitions.len(),
        replication_factor: topic.partitions[0].replicas.len(),
    };
    changes.push(Change::TopicCreated(topic));
    done
}

fn delete_topic(topic: &Topic, changes: &mut Vec<Change>) -> Reply {
    if topic.internal {
        return Err(Refusal::InternalTopic);
    }
    changes.push(Change::TopicDeleted {
        topic_id: topic.topic_id,
    });
    Ok(Done::TopicDeleted {
        topic_id: topic.topic_id,
        name: topic.name.clone(),
    })
}

fn remove_data(
    state: &Metadata,
    broker: i32,
    topic_id: &RawTopicId,
    changes: &mut Vec<Change>,
) -> Reply {
    let deleted = state.image.deleted.get(topic_id);
    if !deleted.is_some_and(|deleted| deleted.brokers.contains(&broker)) {
        return Err(Refusal::NothingToRemove);
    }
    changes.push(Change::DataRemoved {
        broker,
        topic_id: *topic_id,
    });
    Ok(Done::DataRemoved)
}

fn find<'a>(state: &'a Metadata, key: &TopicKey) -> Result<&'a Topic, Refusal> {
    match key {
        TopicKey::Name(name) => state.topic(name).ok_or(Refusal::UnknownTopic),
        TopicKey::Id(id) => state.image.topics.get(id).ok_or(Refusal::UnknownTopicId),
    }
}

fn check_new_topic(state: &Metadata, topic_id: &RawTopicId, name: &str) -> Result<(), Refusal> {
    validate_topic_name(name)?;
    if let Some(topic) = state.topic(name) {
        return Err(Refusal::TopicExists {
            topic_id: topic.topic_id,
        });
    }
    if let Some(other) = state
        .collisions
        .get(&collision_key(name))
        .and_then(|id| state.image.topics.get(id))
    {
        return Err(Refusal::NameCollides {
            with: other.name.clone(),
        });
    }
    let reserved = *topic_id <= METADATA_TOPIC_ID.0;
    if reserved
        || state.image.topics.contains_key(topic_id)
        || state.image.deleted.contains_key(topic_id)
    {
        return Err(Refusal::TopicIdTaken);
    }
    Ok(())
}

/// Whether new partitions may be placed so in a topic that has `existing` already.
fn check_assignments(
    state: &Metadata,
    assignments: &[Vec<i32>],
    existing: usize,
) -> Result<(), Refusal> {
    if assignments.is_empty() {
        return Err(Refusal::NoPartitions);
    }
    if existing + assignments.len() > PARTITIONS_PER_TOPIC_MAX
        || state.partitions + assignments.len() > PARTITIONS_MAX
    {
        return Err(Refusal::TooManyPartitions);
    }
    for (partition, replicas) in assignments.iter().enumerate() {
        let invalid = |why| {
            Err(Refusal::InvalidAssignment {
                partition: existing + partition,
                why,
            })
        };
        if replicas.is_empty() {
            return invalid("there are none");
        }
        if replicas.len() != assignments[0].len() {
            return invalid("they are not as many as those of the first partition");
        }
        if replicas.iter().collect::<BTreeSet<_>>().len() != replicas.len() {
            return invalid("a broker is named twice");
        }
        if replicas
            .iter()
            .any(|broker| !state.image.brokers.contains_key(broker))
        {
            return invalid("a broker is not registered");
        }
    }
    Ok(())
}

fn check_configs(configs: &BTreeMap<String, String>) -> Result<(), Refusal> {
    if configs.len() > CONFIGS_MAX {
        return Err(Refusal::TooManyConfigs);
    }
    configs
        .iter()
        .try_for_each(|(name, value)| validate_config(name, value.len()))
}

fn create_partitions(
    state: &Metadata,
    name: &str,
    count: i32,
    assignments: &[Vec<i32>],
    changes: &mut Vec<Change>,
) -> Reply {
    let topic = state.topic(name).ok_or(Refusal::UnknownTopic)?;
    if topic.internal {
        // Groups and transactional ids are mapped to partitions by their number.
        return Err(Refusal::InternalTopic);
    }
    let current = topic.partitions.len();
    let count = usize::try_from(count).unwrap_or(0);
    if count <= current {
        return Err(Refusal::NotMorePartitions { current });
    }
    if count > PARTITIONS_PER_TOPIC_MAX {
        return Err(Refusal::TooManyPartitions);
    }
    if assignments.len() != count - current {
        return Err(Refusal::AssignmentCount {
            expected: count - current,
            found: assignments.len(),
        });
    }
    check_assignments(state, assignments, current)?;
    let partitions = assignments
        .iter()
        .map(|replicas| PartitionState::new(replicas))
        .collect();
    changes.push(Change::PartitionsAdded {
        topic_id: topic.topic_id,
        partitions,
    });
    Ok(Done::PartitionsCreated {
        topic_id: topic.topic_id,
        count,
    })
}

fn edit(
    current: &BTreeMap<String, String>,
    edits: &[ConfigEdit],
) -> Result<BTreeMap<String, String>, Refusal> {
    let mut configs = current.clone();
    for edit in edits {
        edit.validate()?;
        let list = |configs: &BTreeMap<String, String>, default: &str| -> Vec<String> {
            let text = configs.get(&edit.name).map_or(default, String::as_str);
            split(text).map(str::to_string).collect()
        };
        let value = match &edit.operation {
            ConfigOperation::Delete => {
                configs.remove(&edit.name);
                continue;
            }
            ConfigOperation::Set(value) => value.clone(),
            ConfigOperation::Append { values, default } => {
                let mut list = list(&configs, default);
                for value in split(values) {
                    if !list.iter().any(|present| present == value) {
                        list.push(value.to_string());
                    }
                }
                list.join(",")
            }
            ConfigOperation::Subtract { values, default } => {
                let mut list = list(&configs, default);
                list.retain(|present| !split(values).any(|value| value == present));
                list.join(",")
            }
        };
        validate_config(&edit.name, value.len())?;
        configs.insert(edit.name.clone(), value);
    }
    check_configs(&configs)?;
    Ok(configs)
}

fn split(list: &str) -> impl Iterator<Item = &str> {
    list.split(',')
        .map(str::trim)
        .filter(|value| !value.is_empty())
}

fn allocate_producer_ids(state: &Metadata, count: u32, changes: &mut Vec<Change>) -> Reply {
    if count == 0 || count > PRODUCER_IDS_PER_BLOCK_MAX {
        return Err(Refusal::InvalidBlock);
    }
    let first = state.next_producer_id();
    let next = first
        .checked_add(i64::from(count))
        .ok_or(Refusal::ProducerIdsExhausted)?;
    changes.push(Change::NextProducerId(next));
    Ok(Done::ProducerIds { first, count })
}

fn register_broker(
    state: &Metadata,
    registration: &BrokerRegistration,
    changes: &mut Vec<Change>,
) -> Reply {
    if let Some(known) = state.image.brokers.get(&registration.broker)
        && known.directory_id == registration.directory_id
        && known.start_number >= registration.start_number
    {
        return Err(Refusal::StaleStart {
            known: known.start_number,
        });
    }
    let broker_epoch = state.image.next_broker_epoch;
    let broker = Broker {
        directory_id: registration.directory_id,
        start_number: registration.start_number,
        broker_epoch,
        host: registration.host.clone(),
        port: registration.port,
        rack: registration.rack.clone(),
    };
    changes.push(Change::BrokerRegistered {
        broker: registration.broker,
        state: broker,
    });
    Ok(Done::BrokerRegistered { broker_epoch })
}
