//! SyncGroup: a member asks for its assignment; the leader brings everybody's.

use taffrail_env::Env;
use taffrail_wire::sync_group::{SyncGroupRequest, SyncGroupResponse};

use super::{Answer, Call, code, groups};
use crate::group::SyncRequest;

/// All that is needed of a request, so that its frame may go.
pub(crate) fn take(request: SyncGroupRequest<'_>) -> SyncRequest {
    SyncRequest {
        group_id: request.group_id.to_string(),
        generation: request.generation_id,
        member_id: request.member_id.to_string(),
        instance_id: request.group_instance_id.map(str::to_string),
        protocol_type: request.protocol_type.map(str::to_string),
        protocol: request.protocol_name.map(str::to_string),
        assignments: request
            .assignments
            .into_iter()
            .map(|assignment| (assignment.member_id.to_string(), assignment.assignment))
            .collect(),
    }
}

pub(crate) async fn handle<E: Env>(call: &Call<E>, sync: SyncRequest) -> Answer {
    // It is answered when the leader has brought the assignments, and what it leaves behind is counted with the groups.
    call.memory.release();
    match call.broker.groups.sync(sync).await {
        Ok(synced) => call.answer(&SyncGroupResponse {
            protocol_type: synced.protocol_type.as_deref(),
            protocol_name: synced.protocol.as_deref(),
            assignment: synced.assignment.clone(),
            ..SyncGroupResponse::default()
        }),
        Err(refused) => call.answer(&SyncGroupResponse {
            error_code: code(groups::error(refused)),
            ..SyncGroupResponse::default()
        }),
    }
}
