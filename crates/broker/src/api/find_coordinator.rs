//! FindCoordinator: this node, for every group. The first question makes the topic that groups are kept in.
//!
//! There are no transactions and no share groups here; who asks for their coordinators is told so for good.

use std::collections::BTreeSet;

use taffrail_env::Env;
use taffrail_wire::ErrorCode;
use taffrail_wire::find_coordinator::{
    Coordinator, FindCoordinatorRequest, FindCoordinatorResponse,
};

use super::{Answer, Call, code};
use crate::broker::OFFSETS_TOPIC;

/// Several coordinators are asked for at once from this version on.
const BATCHES_SINCE: i16 = 4;
const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

pub(crate) async fn handle<E: Env>(call: &Call<E>, request: FindCoordinatorRequest<'_>) -> Answer {
    let broker = &call.broker;
    let found = match request.key_type {
        GROUP => ensure_groups(call).await,
        TRANSACTION => Err(ErrorCode::TransactionalIdAuthorizationFailed),
        _ => Err(ErrorCode::InvalidRequest),
    };
    let host = broker.endpoint.host_for(call.peer.local);
    let (node_id, host, port) = match found {
        Ok(()) => (
            broker.node_id,
            host.as_str(),
            i32::from(broker.endpoint.port),
        ),
        Err(_) => (-1, "", -1),
    };
    let (error_code, error_message) = match found {
        // As Kafka puts it.
        Ok(()) if call.version < BATCHES_SINCE => (0, Some("NONE")),
        Ok(()) => (0, Some("")),
        Err(error) => (code(error), Some(error.message())),
    };
    if call.version < BATCHES_SINCE {
        return call.answer(&FindCoordinatorResponse {
            error_code,
            error_message,
            node_id,
            host,
            port,
            ..FindCoordinatorResponse::default()
        });
    }
    let coordinator = |key| Coordinator {
        key,
        node_id,
        host,
        port,
        error_code,
        error_message,
    };
    // A key is answered once, however often it is there.
    let mut seen = BTreeSet::new();
    let keys = request.coordinator_keys.into_iter();
    let keys = keys.filter(|key| seen.insert(*key));
    call.answer(&FindCoordinatorResponse {
        coordinators: keys.map(coordinator).collect(),
        ..FindCoordinatorResponse::default()
    })
}

/// Makes sure that groups can be kept, and are served.
async fn ensure_groups<E: Env>(call: &Call<E>) -> Result<(), ErrorCode> {
    let broker = &call.broker;
    let ensured = broker.ensure_offsets_topic().await;
    let partitions = ensured.map_err(|_| ErrorCode::CoordinatorNotAvailable)?;
    let topic = broker
        .controller
        .metadata()
        .topic(OFFSETS_TOPIC)
        .map(|topic| topic.id());
    broker
        .groups
        .serve(topic.ok_or(ErrorCode::CoordinatorNotAvailable)?, partitions);
    Ok(())
}
