//! Administration of consumer groups: list, describe, set offsets, delete.

use super::{Admin, Try, no_answer, refused, unreadable};
use crate::errors::ClientError;
use crate::group::blob;
use crate::group::coordinator::{Committer, Coordinator};
use crate::records::TopicPartitionName;
use std::collections::BTreeMap;
use taffrail_env::{Env, Instant};
use taffrail_record::Offset;
use taffrail_wire::ErrorCode;
use taffrail_wire::delete_groups::DeleteGroupsRequest;
use taffrail_wire::describe_groups::{DescribeGroupsRequest, DescribedGroup, DescribedGroupMember};
use taffrail_wire::list_groups::ListGroupsRequest;

/// A group in a list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupListing {
    pub group: String,
    pub protocol_type: String,
    /// `Empty`, `Stable`, ...; empty if the broker does not tell.
    pub state: String,
}

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMember {
    pub member_id: String,
    pub group_instance_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    /// Empty if the member's assignment is not one of the consumer protocol.
    pub assignment: Vec<TopicPartitionName>,
}

/// A group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupDescription {
    pub group: String,
    pub state: String,
    pub protocol_type: String,
    pub assignor: String,
    pub members: Vec<GroupMember>,
}

impl<E: Env> Admin<E> {
    /// The groups of every coordinator, by name.
    pub async fn list_groups(&self) -> Result<Vec<GroupListing>, ClientError> {
        let cluster = self.describe_cluster().await?;
        let mut groups = Vec::new();
        for broker in cluster.brokers {
            let listed = self
                .read(async |until| self.list_groups_once(broker.node_id, until).await)
                .await?;
            groups.extend(listed);
        }
        groups.sort();
        Ok(groups)
    }

    async fn list_groups_once(&self, node: i32, until: Instant) -> Try<Vec<GroupListing>> {
        let request = ListGroupsRequest::default();
        let reply = self.client.call_node(node, &request, until).await?;
        let response = reply.read::<ListGroupsRequest<'_>>().map_err(unreadable)?;
        ClientError::check(response.error_code, None, "groups").map_err(refused)?;
        let groups = response.groups.iter().map(|group| GroupListing {
            group: group.group_id.to_owned(),
            protocol_type: group.protocol_type.to_owned(),
            state: group.group_state.to_owned(),
        });
        Ok(groups.collect())
    }

    fn coordinator(&self, group: &str) -> Coordinator<E> {
        // Administration waits for nobody on the broker's side, so it needs no lane of its own.
        Coordinator::new(&self.client, 0, group)
    }

    /// One group. A group that does not exist is `Dead` to Kafka's brokers, and an error here.
    pub async fn describe_group(&self, group: &str) -> Result<GroupDescription, ClientError> {
        let coordinator = self.coordinator(group);
        let described = self
            .read(async |until| {
                let described = self.describe_group_once(&coordinator, until).await;
                coordinator.forget();
                described
            })
            .await?;
        if described.state == "Dead" {
            let subject = format!("group {group}");
            return Err(ClientError::NotThere { subject });
        }
        Ok(described)
    }

    async fn describe_group_once(
        &self,
        coordinator: &Coordinator<E>,
        until: Instant,
    ) -> Try<GroupDescription> {
        let group = coordinator.group();
        let request = DescribeGroupsRequest {
            groups: vec![group],
            include_authorized_operations: false,
        };
        let until = self.client.request_deadline(until);
        let called = coordinator.call(&request, i16::MAX, until).await;
        let reply = called.map_err(unreadable)?;
        let response = reply
            .read::<DescribeGroupsRequest<'_>>()
            .map_err(unreadable)?;
        let found = response.groups.first().ok_or_else(|| no_answer(group))?;
        not_there_or(found.error_code, found.error_message, group)?;
        Ok(description(found))
    }

    /// The offsets that a group keeps.
    pub async fn group_offsets(
        &self,
        group: &str,
    ) -> Result<BTreeMap<TopicPartitionName, Offset>, ClientError> {
        let until = self.client.operation_deadline();
        self.coordinator(group).committed(None, until).await
    }

    /// Sets offsets of a group, which must have no members.
    pub async fn set_group_offsets(
        &self,
        group: &str,
        offsets: &BTreeMap<TopicPartitionName, Offset>,
    ) -> Result<(), ClientError> {
        let until = self.client.operation_deadline();
        let coordinator = self.coordinator(group);
        coordinator
            .commit(&Committer::nobody(), offsets, until)
            .await
    }

    /// Deletes a group, which must have no members, and the offsets that it keeps.
    pub async fn delete_group(&self, group: &str) -> Result<(), ClientError> {
        let coordinator = self.coordinator(group);
        self.change(async |until| {
            let deleted = self.delete_group_once(&coordinator, until).await;
            coordinator.forget();
            deleted
        })
        .await
    }

    async fn delete_group_once(&self, coordinator: &Coordinator<E>, until: Instant) -> Try<()> {
        let group = coordinator.group();
        let request = DeleteGroupsRequest {
            groups_names: vec![group],
        };
        let until = self.client.request_deadline(until);
        let called = coordinator.call(&request, i16::MAX, until).await;
        let reply = called.map_err(unreadable)?;
        let response = reply
            .read::<DeleteGroupsRequest<'_>>()
            .map_err(unreadable)?;
        let result = response.results.first().ok_or_else(|| no_answer(group))?;
        not_there_or(result.error_code, None, group)
    }
}

fn not_there_or(error_code: i16, message: Option<&str>, group: &str) -> Try<()> {
    let subject = format!("group {group}");
    if ErrorCode::from(error_code) == ErrorCode::GroupIdNotFound {
        return Err(unreadable(ClientError::NotThere { subject }));
    }
    ClientError::check(error_code, message, subject).map_err(refused)
}

fn description(group: &DescribedGroup<'_>) -> GroupDescription {
    GroupDescription {
        group: group.group_id.to_owned(),
        state: group.group_state.to_owned(),
        protocol_type: group.protocol_type.to_owned(),
        assignor: group.protocol_data.to_owned(),
        members: group.members.iter().map(member).collect(),
    }
}

fn member(member: &DescribedGroupMember<'_>) -> GroupMember {
    GroupMember {
        member_id: member.member_id.to_owned(),
        group_instance_id: member.group_instance_id.map(str::to_owned),
        client_id: member.client_id.to_owned(),
        client_host: member.client_host.to_owned(),
        assignment: blob::decode_assignment(&member.member_assignment).unwrap_or_default(),
    }
}
