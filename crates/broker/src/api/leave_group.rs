//! LeaveGroup: members leave, or an administrator removes static ones by their instance ids.

use taffrail_env::Env;
use taffrail_wire::leave_group::{LeaveGroupRequest, LeaveGroupResponse, MemberResponse};

use super::{Answer, Call, code, groups};
use crate::group::{LeaveRequest, LeavingMember};

/// Several members leave at once from this version on.
const BATCHES_SINCE: i16 = 3;

pub(crate) async fn handle<E: Env>(call: &Call<E>, request: LeaveGroupRequest<'_>) -> Answer {
    let is_batch = call.version >= BATCHES_SINCE;
    let members = if is_batch {
        let member = |member: &taffrail_wire::leave_group::MemberIdentity<'_>| LeavingMember {
            member_id: member.member_id.to_string(),
            instance_id: member.group_instance_id.map(str::to_string),
        };
        request.members.iter().map(member).collect()
    } else {
        vec![LeavingMember {
            member_id: request.member_id.to_string(),
            instance_id: None,
        }]
    };
    let leave = LeaveRequest {
        group_id: request.group_id.to_string(),
        members,
    };
    let left = call.broker.groups.leave(&leave).await;
    let refused = |refused| code(groups::error(refused));
    match left {
        Err(error) => call.answer(&LeaveGroupResponse {
            error_code: refused(error),
            ..LeaveGroupResponse::default()
        }),
        Ok(answers) if !is_batch => {
            let error = answers.into_iter().find_map(Result::err);
            call.answer(&LeaveGroupResponse {
                error_code: error.map_or(0, refused),
                ..LeaveGroupResponse::default()
            })
        }
        Ok(answers) => {
            let members = request.members.iter().zip(answers);
            let members = members.map(|(member, answer)| MemberResponse {
                member_id: member.member_id,
                group_instance_id: member.group_instance_id,
                error_code: answer.map_or_else(refused, |()| 0),
            });
            call.answer(&LeaveGroupResponse {
                members: members.collect(),
                ..LeaveGroupResponse::default()
            })
        }
    }
}
