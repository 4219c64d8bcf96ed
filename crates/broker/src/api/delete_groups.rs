//! DeleteGroups: groups without members go, and their offsets with them.

use taffrail_env::Env;
use taffrail_wire::delete_groups::{
    DeletableGroupResult, DeleteGroupsRequest, DeleteGroupsResponse,
};

use super::{Answer, Call, code, groups};

pub(crate) async fn handle<E: Env>(call: &Call<E>, request: DeleteGroupsRequest<'_>) -> Answer {
    let mut results = Vec::with_capacity(request.groups_names.len());
    for group_id in &request.groups_names {
        let deleted = call.broker.groups.delete(group_id).await;
        results.push(DeletableGroupResult {
            group_id,
            error_code: deleted.map_or_else(|refused| code(groups::error(refused)), |()| 0),
        });
    }
    call.answer(&DeleteGroupsResponse {
        results,
        ..DeleteGroupsResponse::default()
    })
}
