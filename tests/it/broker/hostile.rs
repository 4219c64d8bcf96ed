//! Requests with bytes changed at random: whatever they say, the broker answers or hangs up, keeps nothing, and serves others.

use super::ground::*;
use bytes::Bytes;
use std::time::Duration;
use taffrail_env::{Clock, Entropy};
use taffrail_sim::SimEnv;
use taffrail_wire::create_partitions::CreatePartitionsTopic;
use taffrail_wire::describe_configs::DescribeConfigsResource;
use taffrail_wire::incremental_alter_configs::{AlterConfigsResource, AlterableConfig};
use taffrail_wire::join_group::JoinGroupRequestProtocol;
use taffrail_wire::list_offsets::{ListOffsetsPartition, ListOffsetsTopic};
use taffrail_wire::{
    ApiVersionsRequest, ApiVersionsResponse, CreatePartitionsRequest, CreateTopicsRequest,
    DeleteTopicsRequest, DescribeConfigsRequest, IncrementalAlterConfigsRequest,
    InitProducerIdRequest, JoinGroupRequest, ListOffsetsRequest, MetadataRequest, Request, frame,
};

fn frame_of<'a, R: Request<'a>>(version: i16, request: &R) -> Vec<u8> {
    frame::request(request, version, 1, Some("hostile"))
        .expect("a request")
        .concat()
}

/// Honest requests of many kinds, old and new.
fn honest(batch: &Bytes) -> Vec<Vec<u8>> {
    let mut session = fetch("t", &[(0, 0), (1, 0)], 10);
    session.session_epoch = 0;
    let join = JoinGroupRequest {
        group_id: "g",
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 1_000,
        protocol_type: "consumer",
        protocols: vec![JoinGroupRequestProtocol {
            name: "range",
            metadata: Bytes::from_static(b"\0\0\0\0\0\0\0\0\0\0"),
        }],
        group_instance_id: None,
        ..JoinGroupRequest::default()
    };
    let offsets = ListOffsetsRequest {
        topics: vec![ListOffsetsTopic {
            name: "t",
            partitions: vec![ListOffsetsPartition {
                partition_index: 0,
                current_leader_epoch: -1,
                timestamp: 5,
            }],
        }],
        ..ListOffsetsRequest::default()
    };
    let configs = DescribeConfigsRequest {
        resources: vec![DescribeConfigsResource {
            resource_type: 2,
            resource_name: "t",
            configuration_keys: None,
        }],
        ..DescribeConfigsRequest::default()
    };
    let alter = IncrementalAlterConfigsRequest {
        resources: vec![AlterConfigsResource {
            resource_type: 2,
            resource_name: "t",
            configs: vec![AlterableConfig {
                name: "retention.ms",
                config_operation: 0,
                value: Some("1000000"),
            }],
        }],
        validate_only: false,
    };
    let create = CreateTopicsRequest {
        topics: vec![new_topic("new", 2, &[("retention.ms", "1")])],
        ..CreateTopicsRequest::default()
    };
    let grow = CreatePartitionsRequest {
        topics: vec![CreatePartitionsTopic {
            name: "t",
            count: 3,
            assignments: None,
        }],
        ..CreatePartitionsRequest::default()
    };
    let delete = DeleteTopicsRequest {
        topic_names: vec!["new"],
        ..DeleteTopicsRequest::default()
    };
    vec![
        frame_of(3, &produce("t", 0, batch.clone(), -1)),
        frame_of(9, &produce("t", 1, batch.clone(), 1)),
        frame_of(9, &produce("t", 0, batch.clone(), 0)),
        frame_of(4, &fetch("t", &[(0, 0)], 10)),
        frame_of(12, &session),
        frame_of(1, &MetadataRequest::default()),
        frame_of(12, &MetadataRequest::default()),
        frame_of(0, &join),
        frame_of(9, &join),
        frame_of(2, &offsets),
        frame_of(8, &offsets),
        frame_of(4, &configs),
        frame_of(1, &alter),
        frame_of(2, &create),
        frame_of(7, &create),
        frame_of(3, &grow),
        frame_of(1, &delete),
        frame_of(4, &InitProducerIdRequest::default()),
        frame_of(3, &ApiVersionsRequest::default()),
    ]
}

/// Changes a few bytes, or cuts or repeats a piece.
fn spoil(env: &SimEnv, frame: &mut Vec<u8>) {
    let draw = |below: usize| (env.random_u64("hostile") % below.max(1) as u64) as usize;
    for _ in 0..1 + draw(2) {
        // Mostly behind the number of the API and its version.
        let at = if draw(10) > 0 {
            12.min(frame.len() - 1)
        } else {
            4
        };
        let at = at + draw(frame.len() - at);
        match draw(8) {
            0 => frame[at] = 0xff,
            1 => frame[at] = 0x7f,
            2 => frame[at] = 0,
            3 => frame.truncate(at.max(12)),
            4 => {
                let piece = frame[at..].to_vec();
                frame.extend_from_slice(&piece);
            }
            _ => frame[at] = draw(256) as u8,
        }
    }
    if draw(30) > 0 {
        let length = (frame.len() - 4) as u32;
        frame[..4].copy_from_slice(&length.to_be_bytes());
    }
}

#[test]
fn spoiled_requests_neither_stop_the_broker_nor_stay_in_its_memory() {
    for seed in 0..4 {
        let mut settings = config(2);
        set(
            &mut settings,
            "max.connection.creation.rate.per.ip",
            "100000",
        );
        story_of_seed(seed, settings, |place| async move {
            let mut bystander = place.peer().await;
            bystander.create("t", 2, &[]).await;
            let batch = bystander.batch(&[b"one", b"two"]);
            let frames = honest(&batch);
            for round in 0..400 {
                let peer = place.peer().await;
                for _ in 0..3 {
                    let draw = place.env.random_u64("hostile") as usize;
                    let mut frame = frames[draw % frames.len()].clone();
                    spoil(&place.env, &mut frame);
                    peer.send_bytes(frame).await;
                }
                place.env.sleep(Duration::from_millis(20)).await;
                drop(peer);
                if round % 20 == 0 {
                    let request = ApiVersionsRequest::default();
                    let (reply, waited) = place.timed(bystander.call(0, &request)).await;
                    assert_eq!(reply.read::<ApiVersionsResponse<'_>>().error_code, 0);
                    assert!(waited < Duration::from_secs(10), "{waited:?}");
                }
            }
            let good = bystander.batch(&[b"still here"]);
            assert_eq!(bystander.produce("t", 0, good).await.0, 0);
        });
    }
}
