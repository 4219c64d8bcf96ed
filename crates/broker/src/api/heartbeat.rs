//! Heartbeat: a member is alive, and hears whether it has to join again.

use taffrail_env::Env;
use taffrail_wire::heartbeat::{HeartbeatRequest, HeartbeatResponse};

use super::{Answer, Call, code, groups};
use crate::group;

pub(crate) async fn handle<E: Env>(call: &Call<E>, request: HeartbeatRequest<'_>) -> Answer {
    let heartbeat = group::HeartbeatRequest {
        group_id: request.group_id.to_string(),
        generation: request.generation_id,
        member_id: request.member_id.to_string(),
        instance_id: request.group_instance_id.map(str::to_string),
    };
    let beat = call.broker.groups.heartbeat(&heartbeat).await;
    call.answer(&HeartbeatResponse {
        error_code: beat.map_or_else(|refused| code(groups::error(refused)), |()| 0),
        ..HeartbeatResponse::default()
    })
}
