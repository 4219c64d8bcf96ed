//! DescribeCluster: the brokers of the cluster and its controller.

use taffrail_env::Env;
use taffrail_wire::ErrorCode;
use taffrail_wire::describe_cluster::{
    DescribeClusterBroker, DescribeClusterRequest, DescribeClusterResponse,
};

use super::{Answer, CLUSTER_OPERATIONS, Call, NO_OPERATIONS, code};

/// The kind of endpoint that clients of brokers ask for.
const BROKERS: i8 = 1;
/// The other kind there is.
const CONTROLLERS: i8 = 2;

pub(crate) async fn handle<E: Env>(call: &Call<E>, request: DescribeClusterRequest) -> Answer {
    let broker = &call.broker;
    if request.endpoint_type != BROKERS {
        let (error, text) = match request.endpoint_type {
            CONTROLLERS => (
                ErrorCode::MismatchedEndpointType,
                "this listener is that of brokers".to_string(),
            ),
            other => (
                ErrorCode::UnsupportedEndpointType,
                format!("Unsupported endpoint type {other}"),
            ),
        };
        return call.answer(&DescribeClusterResponse {
            error_code: code(error),
            error_message: Some(&text),
            endpoint_type: BROKERS,
            ..DescribeClusterResponse::default()
        });
    }
    let host = broker.endpoint.host_for(call.peer.local);
    call.answer(&DescribeClusterResponse {
        endpoint_type: BROKERS,
        cluster_id: &broker.cluster_id,
        controller_id: broker.node_id,
        brokers: vec![DescribeClusterBroker {
            broker_id: broker.node_id,
            host: &host,
            port: i32::from(broker.endpoint.port),
            ..DescribeClusterBroker::default()
        }],
        cluster_authorized_operations: if request.include_cluster_authorized_operations {
            CLUSTER_OPERATIONS
        } else {
            NO_OPERATIONS
        },
        ..DescribeClusterResponse::default()
    })
}
