//! `taffrail topic`: create, list, describe, alter, delete.

use super::{offsets_of, with_client};
use crate::arguments::TopicCommand;
use crate::failure::Failure;
use crate::output::{self, Table, cell};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use taffrail_broker::config::nearest;
use taffrail_client::admin::{
    ConfigChange, ConfigEntry, ConfigResource, NewTopic, TopicDescription,
};
use taffrail_client::{Admin, Client, FoundOffset, OffsetSpec, TopicPartitionName};
use taffrail_os::Os;

pub fn run(command: TopicCommand) -> Result<(), Failure> {
    match command {
        TopicCommand::Create {
            name,
            partitions,
            replication_factor,
            config,
            brokers,
        } => {
            let topic = NewTopic {
                name,
                partitions,
                replication_factor,
                configs: once_each(config)?,
            };
            with_client(&brokers, async |_, client| {
                Ok(Admin::new(client).create_topic(&topic, false).await?)
            })
        }
        TopicCommand::List { json, brokers } => {
            with_client(&brokers, async |os, client| list(os, client, json).await)
        }
        TopicCommand::Describe {
            name,
            json,
            brokers,
        } => with_client(&brokers, async |os, client| {
            describe(os, client, &name, json).await
        }),
        TopicCommand::Alter {
            name,
            partitions,
            config,
            delete_config,
            brokers,
        } => {
            let set = config
                .into_iter()
                .map(|(key, value)| ConfigChange::Set(key, value));
            let delete = delete_config.into_iter().map(ConfigChange::Delete);
            let changes: Vec<ConfigChange> = set.chain(delete).collect();
            if changes.is_empty() && partitions.is_none() {
                return Err(Failure::usage(
                    "nothing to alter: give --partitions, --config or --delete-config",
                ));
            }
            with_client(&brokers, async |_, client| {
                alter(client, &name, partitions, &changes).await
            })
        }
        TopicCommand::Delete { name, brokers } => with_client(&brokers, async |_, client| {
            Ok(Admin::new(client).delete_topic(&name).await?)
        }),
    }
}

async fn list(os: &Os, client: &Client<Os>, json: bool) -> Result<(), Failure> {
    let topics = Admin::new(client).list_topics().await?;
    if json {
        let topics: Vec<Value> = topics
            .iter()
            .map(|topic| {
                json!({
                    "name": topic.name,
                    "id": topic.id.to_string(),
                    "partitions": topic.partitions.len(),
                    "internal": topic.internal,
                })
            })
            .collect();
        return output::json(os, &Value::Array(topics)).await;
    }
    let mut table = Table::new(&["TOPIC", "PARTITIONS", "ID"]);
    for topic in &topics {
        let partitions = topic.partitions.len().to_string();
        table.row(vec![topic.name.clone(), partitions, topic.id.to_string()]);
    }
    output::text(os, table.render()).await
}

async fn alter(
    client: &Client<Os>,
    name: &str,
    partitions: Option<i32>,
    changes: &[ConfigChange],
) -> Result<(), Failure> {
    let admin = Admin::new(client);
    let resource = ConfigResource::Topic(name.to_owned());
    // All that can be known to be wrong is found before anything is changed.
    if !changes.is_empty() {
        check_deleted(&admin, &resource, changes).await?;
        admin.alter_configs(&resource, changes, true).await?;
    }
    if let Some(count) = partitions {
        admin.create_partitions(name, count).await?;
    }
    if changes.is_empty() {
        return Ok(());
    }
    admin
        .alter_configs(&resource, changes, false)
        .await
        .map_err(|error| match partitions {
            Some(count) => Failure::operation(format!(
                "{error}; it has {count} partitions by now, and its configuration as before"
            )),
            None => error.into(),
        })
}

/// A broker lets go of a key that it does not know, as Kafka does; but whoever names one means another.
async fn check_deleted(
    admin: &Admin<Os>,
    resource: &ConfigResource,
    changes: &[ConfigChange],
) -> Result<(), Failure> {
    let deleted = changes.iter().filter_map(|change| match change {
        ConfigChange::Delete(key) => Some(key.as_str()),
        _ => None,
    });
    let deleted: Vec<&str> = deleted.collect();
    if deleted.is_empty() {
        return Ok(());
    }
    let known = admin.describe_configs(resource).await?;
    let names = || known.iter().map(|entry| entry.name.as_str());
    match deleted
        .into_iter()
        .find(|key| names().all(|name| name != *key))
    {
        None => Ok(()),
        Some(key) => {
            let hint = nearest(key, names());
            let hint = hint.map_or_else(String::new, |name| {
                format!("; the nearest known one is {name}")
            });
            Err(Failure::operation(format!(
                "Unknown configuration key {key:?}{hint}"
            )))
        }
    }
}

/// Of two values for one key, one would be forgotten in silence.
fn once_each(config: Vec<(String, String)>) -> Result<BTreeMap<String, String>, Failure> {
    let mut configs = BTreeMap::new();
    for (key, value) in config {
        if configs.insert(key.clone(), value).is_some() {
            return Err(Failure::usage(format!(
                "--config {key} is given more than once"
            )));
        }
    }
    Ok(configs)
}

type Offsets = BTreeMap<TopicPartitionName, FoundOffset>;

async fn describe(os: &Os, client: &Client<Os>, name: &str, json: bool) -> Result<(), Failure> {
    let admin = Admin::new(client);
    let topic = admin.describe_topic(name).await?;
    let resource = ConfigResource::Topic(name.to_owned());
    let configs = admin.describe_configs(&resource).await?;
    // Offsets are known to leaders only.
    let led: Vec<TopicPartitionName> = topic
        .partitions
        .iter()
        .filter(|partition| partition.leader.is_some())
        .map(|partition| TopicPartitionName::new(name, partition.partition))
        .collect();
    let starts = offsets_of(&admin, &led, OffsetSpec::Earliest).await?;
    let ends = offsets_of(&admin, &led, OffsetSpec::Latest).await?;
    if json {
        return output::json(os, &description_json(&topic, &configs, &starts, &ends)).await;
    }
    let mut text = format!("topic {}  id {}\n", topic.name, topic.id);
    for config in configs.iter().filter(|config| !config.is_default) {
        let value = config.value.as_deref().unwrap_or("(secret)");
        text.push_str(&format!("config {}={value}\n", config.name));
    }
    let mut table = Table::new(&["PARTITION", "LEADER", "REPLICAS", "IN SYNC", "START", "END"]);
    for partition in &topic.partitions {
        let at = TopicPartitionName::new(name, partition.partition);
        table.row(vec![
            partition.partition.to_string(),
            cell(partition.leader),
            list_of(&partition.replicas),
            list_of(&partition.in_sync),
            cell(offset(&starts, &at)),
            cell(offset(&ends, &at)),
        ]);
    }
    text.push_str(&table.render());
    output::text(os, text).await
}

fn list_of(nodes: &[i32]) -> String {
    let nodes: Vec<String> = nodes.iter().map(ToString::to_string).collect();
    nodes.join(",")
}

fn offset(offsets: &Offsets, at: &TopicPartitionName) -> Option<i64> {
    offsets.get(at).and_then(|found| found.offset)
}

fn description_json(
    topic: &TopicDescription,
    configs: &[ConfigEntry],
    starts: &Offsets,
    ends: &Offsets,
) -> Value {
    let partitions: Vec<Value> = topic
        .partitions
        .iter()
        .map(|partition| {
            let at = TopicPartitionName::new(topic.name.clone(), partition.partition);
            json!({
                "partition": partition.partition,
                "leader": partition.leader,
                "leader_epoch": partition.leader_epoch,
                "replicas": partition.replicas,
                "in_sync": partition.in_sync,
                "start": offset(starts, &at),
                "end": offset(ends, &at),
            })
        })
        .collect();
    let configs: Vec<Value> = configs
        .iter()
        .map(|config| {
            json!({
                "name": config.name,
                "value": config.value,
                "default": config.is_default,
                "read_only": config.read_only,
            })
        })
        .collect();
    json!({
        "name": topic.name,
        "id": topic.id.to_string(),
        "internal": topic.internal,
        "partitions": partitions,
        "configs": configs,
    })
}
