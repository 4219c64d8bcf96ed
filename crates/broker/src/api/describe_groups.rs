//! DescribeGroups: groups with their members and what each is assigned.

use std::collections::BTreeSet;

use taffrail_env::Env;
use taffrail_wire::describe_groups::{
    DescribeGroupsRequest, DescribeGroupsResponse, DescribedGroup, DescribedGroupMember,
};

use super::groups::GROUP_OPERATIONS;
use super::{Answer, Call, NO_OPERATIONS, brief, code, groups};
use crate::group::{GroupDescription, GroupError};

/// About what a group takes in an answer beside its members, put together and encoded.
const GROUP_COST: usize = 512;
/// A group that is not there is an error from this version on, and a dead group before.
const NOT_FOUND_SINCE: i16 = 6;

pub(crate) async fn handle<E: Env>(call: &Call<E>, request: DescribeGroupsRequest<'_>) -> Answer {
    // A group is answered once, however often it is there.
    let mut seen = BTreeSet::new();
    let named = request.groups.iter().copied();
    let named: Vec<&str> = named.filter(|group_id| seen.insert(*group_id)).collect();
    let reservation = call
        .broker
        .budget
        .responses
        .reserve(cost(call, &named))
        .await;
    let mut described = Vec::with_capacity(named.len());
    for group_id in named {
        let description = call.broker.groups.describe(group_id).await;
        let message = match &description {
            Err(GroupError::GroupNotFound) => brief(format!("Group {group_id} not found.")),
            _ => String::new(),
        };
        described.push((group_id, description, message));
    }
    let authorized_operations = if request.include_authorized_operations {
        GROUP_OPERATIONS
    } else {
        NO_OPERATIONS
    };
    let groups = described.iter().map(|(group_id, description, message)| {
        let group = DescribedGroup {
            group_id,
            authorized_operations,
            ..DescribedGroup::default()
        };
        match description {
            Ok(description) => describe(group, description),
            Err(GroupError::GroupNotFound) if call.version < NOT_FOUND_SINCE => DescribedGroup {
                group_state: "Dead",
                ..group
            },
            Err(GroupError::GroupNotFound) => DescribedGroup {
                error_code: code(groups::error(GroupError::GroupNotFound)),
                error_message: Some(message),
                group_state: "Dead",
                ..group
            },
            Err(refused) => DescribedGroup {
                error_code: code(groups::error(*refused)),
                authorized_operations: NO_OPERATIONS,
                ..group
            },
        }
    });
    let response = DescribeGroupsResponse {
        groups: groups.collect(),
        ..DescribeGroupsResponse::default()
    };
    call.answer(&response).holding(Some(reservation))
}

/// About how much memory the answer takes.
fn cost<E: Env>(call: &Call<E>, named: &[&str]) -> usize {
    let costs = named
        .iter()
        .map(|group_id| group_id.len() + call.broker.groups.described_bytes(group_id));
    named.len() * GROUP_COST + 2 * costs.sum::<usize>()
}

fn describe<'r>(
    group: DescribedGroup<'r>,
    description: &'r GroupDescription,
) -> DescribedGroup<'r> {
    let members = description
        .members
        .iter()
        .map(|member| DescribedGroupMember {
            member_id: &member.member_id,
            group_instance_id: member.instance_id.as_deref(),
            client_id: &member.client_id,
            client_host: &member.client_host,
            member_metadata: member.metadata.clone(),
            member_assignment: member.assignment.clone(),
        });
    DescribedGroup {
        group_state: description.state.name(),
        protocol_type: &description.protocol_type,
        protocol_data: &description.protocol,
        members: members.collect(),
        ..group
    }
}
