//! ListGroups: all groups of this node, filtered by state and type.

use taffrail_env::Env;
use taffrail_wire::list_groups::{ListGroupsRequest, ListGroupsResponse, ListedGroup};

use super::{Answer, Call, code, groups};

/// The type of all groups there are.
const CLASSIC: &str = "classic";

pub(crate) async fn handle<E: Env>(call: &Call<E>, request: ListGroupsRequest<'_>) -> Answer {
    // Collected and encoded.
    let cost = 2 * call.broker.groups.listed_bytes();
    let reservation = call.broker.budget.responses.reserve(cost).await;
    let groups = match call.broker.groups.list().await {
        Ok(groups) => groups,
        Err(refused) => {
            return call.answer(&ListGroupsResponse {
                error_code: code(groups::error(refused)),
                ..ListGroupsResponse::default()
            });
        }
    };
    let passes = |filter: &[&str], value: &str| {
        filter.is_empty()
            || filter
                .iter()
                .any(|wanted| wanted.eq_ignore_ascii_case(value))
    };
    let wanted = groups.iter().filter(|group| {
        passes(&request.states_filter, group.state.name()) && passes(&request.types_filter, CLASSIC)
    });
    let listed = wanted.map(|group| ListedGroup {
        group_id: &group.group_id,
        protocol_type: &group.protocol_type,
        group_state: group.state.name(),
        group_type: CLASSIC,
    });
    let response = ListGroupsResponse {
        groups: listed.collect(),
        ..ListGroupsResponse::default()
    };
    call.answer(&response).holding(Some(reservation))
}
