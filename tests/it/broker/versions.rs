//! Every version that is advertised is served.

use super::ground::*;
use taffrail_wire::api::{self, ApiKey};
use taffrail_wire::{ApiVersionsRequest, ApiVersionsResponse, Request};

/// Sends a request that asks for nothing, and reads the answer to its last byte.
async fn answers<'a, R: Request<'a>>(peer: &mut Peer, version: i16, request: &R) {
    let reply = peer.call(version, request).await;
    let _: R::Response<'_> = reply.read();
}

macro_rules! ask_all {
    ($peer:ident, $asked:ident, $versions:ident; $($Request:ident $(=> $request:expr)?),* $(,)?) => { $(
        let key = <taffrail_wire::$Request as taffrail_wire::Message<'_>>::KEY;
        $asked.push(key);
        for version in $versions(key) {
            #[allow(unused_variables)]
            let request = taffrail_wire::$Request::default();
            $( let request = { let adjust: fn(&mut taffrail_wire::$Request, i16) = $request; let mut request = request; adjust(&mut request, version); request }; )?
            answers(&mut $peer, version, &request).await;
        }
    )* };
}

#[test]
fn every_version_that_is_advertised_is_answered_in_kind() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        let versions = |key: ApiKey| key.info().min..=key.info().max;
        let mut asked = Vec::new();
        ask_all! { peer, asked, versions;
            AlterConfigsRequest,
            ApiVersionsRequest => |request, version| if version >= 3 {
                request.client_software_name = "tests";
                request.client_software_version = "1";
            },
            CreatePartitionsRequest,
            CreateTopicsRequest,
            DeleteRecordsRequest,
            DeleteTopicsRequest,
            DescribeClusterRequest,
            DescribeConfigsRequest,
            DescribeLogDirsRequest,
            DescribeProducersRequest,
            DescribeTopicPartitionsRequest,
            FetchRequest,
            IncrementalAlterConfigsRequest,
            InitProducerIdRequest => |request, _| request.transactional_id = None,
            ListOffsetsRequest,
            MetadataRequest,
            OffsetForLeaderEpochRequest,
            ProduceRequest => |request, _| {
                request.acks = 1;
                request.transactional_id = None;
            },
        }
        let reply = peer.call(0, &ApiVersionsRequest::default()).await;
        let response: ApiVersionsResponse<'_> = reply.read();
        let mut advertised = 0;
        for served in &response.api_keys {
            let info = api::lookup(served.api_key).expect("a known API");
            assert_eq!(served.max_version, info.max);
            advertised += 1;
            assert!(
                asked.contains(&info.key) || is_of_groups(info.key),
                "{:?} is advertised and not tried here",
                info.key
            );
        }
        assert!(advertised >= asked.len());
    });
}

/// Those are tried with the groups.
fn is_of_groups(key: ApiKey) -> bool {
    matches!(
        key,
        ApiKey::OffsetCommit
            | ApiKey::OffsetFetch
            | ApiKey::FindCoordinator
            | ApiKey::JoinGroup
            | ApiKey::Heartbeat
            | ApiKey::LeaveGroup
            | ApiKey::SyncGroup
            | ApiKey::DescribeGroups
            | ApiKey::ListGroups
            | ApiKey::DeleteGroups
            | ApiKey::OffsetDelete
    )
}
