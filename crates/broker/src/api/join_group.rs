//! JoinGroup: a member joins a group, and is answered when its next generation begins.

use bytes::Bytes;
use taffrail_env::Env;
use taffrail_wire::join_group::{JoinGroupRequest, JoinGroupResponse, JoinGroupResponseMember};

use super::{Answer, Call, code, groups};
use crate::group::{JoinRequest, Protocol};

/// Members without an id are given one first, from this version on.
const MEMBER_ID_REQUIRED_SINCE: i16 = 4;
/// A leader can be told that it need not compute assignments, from this version on.
const SKIP_ASSIGNMENT_SINCE: i16 = 9;
/// Members say how long a rebalance may take, from this version on.
const REBALANCE_TIMEOUT_SINCE: i16 = 1;
/// There may be no protocol, from this version on.
const NO_PROTOCOL_SINCE: i16 = 7;

/// All that is needed of a request, so that its frame may go.
pub(crate) fn take<E: Env>(call: &Call<E>, request: JoinGroupRequest<'_>) -> JoinRequest {
    let name = request.group_instance_id.unwrap_or(call.client_id());
    JoinRequest {
        group_id: request.group_id.to_string(),
        member_id: request.member_id.to_string(),
        instance_id: request.group_instance_id.map(str::to_string),
        client_id: call.client_id().to_string(),
        client_host: format!("/{}", call.peer.address.ip()),
        session_timeout_ms: request.session_timeout_ms,
        rebalance_timeout_ms: if call.version >= REBALANCE_TIMEOUT_SINCE {
            request.rebalance_timeout_ms
        } else {
            request.session_timeout_ms
        },
        protocol_type: request.protocol_type.to_string(),
        protocols: request
            .protocols
            .into_iter()
            .map(|protocol| Protocol {
                name: protocol.name.to_string(),
                metadata: protocol.metadata,
            })
            .collect(),
        new_member_id: call.broker.groups.new_member_id(name),
        member_id_required: call.version >= MEMBER_ID_REQUIRED_SINCE,
        can_skip_assignment: call.version >= SKIP_ASSIGNMENT_SINCE,
    }
}

pub(crate) async fn handle<E: Env>(call: &Call<E>, join: JoinRequest) -> Answer {
    // It is answered when others have joined, and what it leaves behind is counted with the groups.
    call.memory.release();
    match call.broker.groups.join(join).await {
        Ok(joined) => call.answer(&JoinGroupResponse {
            generation_id: joined.generation,
            protocol_type: joined.protocol_type.as_deref(),
            protocol_name: protocol_name(call.version, joined.protocol.as_deref()),
            leader: &joined.leader,
            skip_assignment: joined.skip_assignment,
            member_id: &joined.member_id,
            members: joined
                .members
                .iter()
                .map(|member| JoinGroupResponseMember {
                    member_id: &member.member_id,
                    group_instance_id: member.instance_id.as_deref(),
                    metadata: Bytes::clone(&member.metadata),
                })
                .collect(),
            ..JoinGroupResponse::default()
        }),
        Err(refused) => call.answer(&JoinGroupResponse {
            error_code: code(groups::error(refused.error)),
            member_id: &refused.member_id,
            protocol_name: protocol_name(call.version, None),
            ..JoinGroupResponse::default()
        }),
    }
}

fn protocol_name(version: i16, name: Option<&str>) -> Option<&str> {
    if version < NO_PROTOCOL_SINCE {
        Some(name.unwrap_or_default())
    } else {
        name
    }
}
