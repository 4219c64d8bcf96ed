//! DescribeGroups: groups with their members and what each is assigned.

use taffrail_env::Env;
use taffrail_wire::describe_groups::{
    DescribeGroupsRequest, DescribeGroupsResponse, DescribedGroup, DescribedGroupMember,
};

use super::groups::GROUP_OPERATIONS;
use super::{Answer, Call, NO_OPERATIONS, code, groups};
use crate::group::{GroupDescription, GroupError};

/// A group that is not there is an error from this version on, and a dead group before.
const NOT_FOUND_SINCE: i16 = 6;

pub(crate) async fn handle<E: Env>(call: &Call<E>, request: DescribeGroupsRequest<'_>) -> Answer {
    let mut described = Vec::with_capacity(request.groups.len());
    for group_id in &request.groups {
        let message = format!("Group {group_id} not found.");
        described.push((
            *group_id,
            call.broker.groups.describe(group_id).await,
            message,
        ));
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
    call.answer(&DescribeGroupsResponse {
        groups: groups.collect(),
        ..DescribeGroupsResponse::default()
    })
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
