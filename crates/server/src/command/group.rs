//! `taffrail group`: list, describe, reset, delete.

use super::{offsets_of, partitions_of, spec_of, with_client};
use crate::arguments::{GroupCommand, Place};
use crate::failure::Failure;
use crate::output::{self, Table, cell};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use taffrail_client::admin::groups::GroupDescription;
use taffrail_client::{Admin, Client, ClientError, ErrorCode, OffsetSpec, TopicPartitionName};
use taffrail_os::Os;

pub fn run(command: GroupCommand) -> Result<(), Failure> {
    match command {
        GroupCommand::List { json, brokers } => {
            with_client(&brokers, async |os, client| list(os, client, json).await)
        }
        GroupCommand::Describe {
            group,
            json,
            brokers,
        } => with_client(&brokers, async |os, client| {
            describe(os, client, &group, json).await
        }),
        GroupCommand::Reset {
            group,
            topic,
            partition,
            to,
            dry_run,
            json,
            brokers,
        } => with_client(&brokers, async |os, client| {
            let admin = Admin::new(client);
            let offsets = targets(&admin, &topic, partition, to).await?;
            if !dry_run {
                let set = admin.set_group_offsets(&group, &offsets).await;
                set.map_err(|error| explain(&group, error))?;
            }
            print_offsets(os, &offsets, json).await
        }),
        GroupCommand::Delete { group, brokers } => with_client(&brokers, async |_, client| {
            let deleted = Admin::new(client).delete_group(&group).await;
            deleted.map_err(|error| explain(&group, error))
        }),
    }
}

/// Only a group without members can be changed from outside.
fn explain(group: &str, error: ClientError) -> Failure {
    match error.code() {
        Some(
            ErrorCode::UnknownMemberId
            | ErrorCode::IllegalGeneration
            | ErrorCode::RebalanceInProgress
            | ErrorCode::NonEmptyGroup,
        ) => Failure::operation(format!(
            "group {group} has members; stop them first, and try again ({})",
            error.code().map_or("", ErrorCode::name)
        )),
        _ => error.into(),
    }
}

async fn list(os: &Os, client: &Client<Os>, json: bool) -> Result<(), Failure> {
    let groups = Admin::new(client).list_groups().await?;
    if json {
        let groups: Vec<Value> = groups
            .iter()
            .map(|group| {
                json!({
                    "group": group.group,
                    "state": group.state,
                    "protocol_type": group.protocol_type,
                })
            })
            .collect();
        return output::json(os, &Value::Array(groups)).await;
    }
    let mut table = Table::new(&["GROUP", "STATE"]);
    for group in groups {
        table.row(vec![group.group, group.state]);
    }
    output::text(os, table.render()).await
}

/// One partition that a group has an offset or a member for.
struct Row {
    name: TopicPartitionName,
    committed: Option<i64>,
    end: Option<i64>,
    member: Option<String>,
}

impl Row {
    fn lag(&self) -> Option<i64> {
        Some((self.end? - self.committed?).max(0))
    }
}

async fn rows(admin: &Admin<Os>, described: &GroupDescription) -> Result<Vec<Row>, Failure> {
    let committed = admin.group_offsets(&described.group).await?;
    let owner_of = |name: &TopicPartitionName| {
        let mut members = described.members.iter();
        let owner = members.find(|member| member.assignment.contains(name));
        owner.map(|member| member.member_id.clone())
    };
    let assigned = described
        .members
        .iter()
        .flat_map(|member| &member.assignment);
    let names: BTreeSet<&TopicPartitionName> = committed.keys().chain(assigned).collect();
    let existing = admin.list_topics().await?;
    let exists = |name: &TopicPartitionName| {
        let mut topics = existing.iter();
        let topic = topics.find(|topic| topic.name == name.topic);
        topic.is_some_and(|topic| {
            topic
                .partitions
                .iter()
                .any(|p| p.partition == name.partition)
        })
    };
    // A topic may be gone while the group still keeps its offsets.
    let living: Vec<TopicPartitionName> = names
        .iter()
        .filter(|name| exists(name))
        .map(|name| (*name).clone())
        .collect();
    let ends = offsets_of(admin, &living, OffsetSpec::Latest).await?;
    let row = |name: &TopicPartitionName| Row {
        committed: committed.get(name).copied(),
        end: ends.get(name).and_then(|found| found.offset),
        member: owner_of(name),
        name: name.clone(),
    };
    Ok(names.into_iter().map(row).collect())
}

async fn describe(os: &Os, client: &Client<Os>, group: &str, json: bool) -> Result<(), Failure> {
    let admin = Admin::new(client);
    let described = admin.describe_group(group).await?;
    let rows = rows(&admin, &described).await?;
    if json {
        return output::json(os, &description_json(&described, &rows)).await;
    }
    let mut text = format!(
        "group {}  state {}  members {}\n",
        described.group,
        described.state,
        described.members.len()
    );
    if !rows.is_empty() {
        let mut table = Table::new(&["TOPIC", "PARTITION", "OFFSET", "END", "LAG", "MEMBER"]);
        for row in &rows {
            table.row(vec![
                row.name.topic.clone(),
                row.name.partition.to_string(),
                cell(row.committed),
                cell(row.end),
                cell(row.lag()),
                cell(row.member.clone()),
            ]);
        }
        text.push_str(&table.render());
    }
    output::text(os, text).await
}

fn description_json(described: &GroupDescription, rows: &[Row]) -> Value {
    let members: Vec<Value> = described
        .members
        .iter()
        .map(|member| {
            let assignment: Vec<Value> = member
                .assignment
                .iter()
                .map(|name| json!({ "topic": name.topic, "partition": name.partition }))
                .collect();
            json!({
                "member_id": member.member_id,
                "group_instance_id": member.group_instance_id,
                "client_id": member.client_id,
                "client_host": member.client_host,
                "assignment": assignment,
            })
        })
        .collect();
    let offsets: Vec<Value> = rows
        .iter()
        .map(|row| {
            json!({
                "topic": row.name.topic,
                "partition": row.name.partition,
                "offset": row.committed,
                "end": row.end,
                "lag": row.lag(),
                "member_id": row.member,
            })
        })
        .collect();
    json!({
        "group": described.group,
        "state": described.state,
        "protocol_type": described.protocol_type,
        "assignor": described.assignor,
        "members": members,
        "offsets": offsets,
    })
}

/// The offsets that a place comes to, partition by partition.
async fn targets(
    admin: &Admin<Os>,
    topic: &str,
    partition: Option<i32>,
    to: Place,
) -> Result<BTreeMap<TopicPartitionName, i64>, Failure> {
    let partitions = partitions_of(admin, topic, partition).await?;
    let starts = offsets_of(admin, &partitions, OffsetSpec::Earliest).await?;
    let ends = offsets_of(admin, &partitions, OffsetSpec::Latest).await?;
    let end =
        |name: &TopicPartitionName| ends.get(name).and_then(|found| found.offset).unwrap_or(0);
    if let Place::Offset(offset) = to {
        for name in &partitions {
            let start = starts.get(name).and_then(|found| found.offset).unwrap_or(0);
            if !(start..=end(name)).contains(&offset) {
                return Err(Failure::operation(format!(
                    "offset {offset} is not in {name}, which reaches from {start} to {}",
                    end(name)
                )));
            }
        }
        return Ok(partitions.into_iter().map(|name| (name, offset)).collect());
    }
    let spec = spec_of(to).expect("what is no offset can be asked for");
    let found = offsets_of(admin, &partitions, spec).await?;
    // Where no record is that late, the end is the place from which later ones will come.
    let targets = partitions.into_iter().map(|name| {
        let offset = found.get(&name).and_then(|found| found.offset);
        let offset = offset.unwrap_or_else(|| end(&name));
        (name, offset)
    });
    Ok(targets.collect())
}

async fn print_offsets(
    os: &Os,
    offsets: &BTreeMap<TopicPartitionName, i64>,
    json: bool,
) -> Result<(), Failure> {
    if json {
        let offsets: Vec<Value> = offsets
            .iter()
            .map(|(name, offset)| {
                json!({ "topic": name.topic, "partition": name.partition, "offset": offset })
            })
            .collect();
        return output::json(os, &Value::Array(offsets)).await;
    }
    let mut table = Table::new(&["TOPIC", "PARTITION", "OFFSET"]);
    for (name, offset) in offsets {
        table.row(vec![
            name.topic.clone(),
            name.partition.to_string(),
            offset.to_string(),
        ]);
    }
    output::text(os, table.render()).await
}
