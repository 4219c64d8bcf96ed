//! DeleteGroups: groups without members go, and their offsets with them.

use std::collections::BTreeSet;

use taffrail_env::Env;
use taffrail_wire::delete_groups::{
    DeletableGroupResult, DeleteGroupsRequest, DeleteGroupsResponse,
};

use super::{Answer, Call, code, groups};

pub(crate) async fn handle<E: Env>(call: &Call<E>, request: DeleteGroupsRequest<'_>) -> Answer {
    let mut results = Vec::with_capacity(request.groups_names.len());
    // A group is answered once, however often it is there.
    let mut seen = BTreeSet::new();
    let named = request.groups_names.iter();
    for group_id in named.filter(|group_id| seen.insert(**group_id)) {
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
