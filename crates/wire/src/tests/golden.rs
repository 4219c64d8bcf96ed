//! Bytes that Kafka 4.3.1 itself wrote, for what the other implementation in these tests does not
//! know: the latest versions of some messages, and the records of `__consumer_offsets`.

use super::{encoded, kept};
use crate::group_records::{
    GroupMetadataKey, GroupMetadataValue, MemberMetadata, OffsetCommitKey, OffsetCommitValue,
};
use crate::{Blob, Decoder, Message};
use crate::{describe_log_dirs, list_offsets, offset_commit, offset_fetch};
use bytes::Bytes;

const TOPIC_ID: [u8; 16] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];

fn bytes_of(hex: &str) -> Bytes {
    let digit = |c: u8| (c as char).to_digit(16).expect("hex") as u8;
    let pairs = hex.as_bytes().chunks(2);
    pairs
        .map(|pair| digit(pair[0]) << 4 | digit(pair[1]))
        .collect()
}

fn is<M: Message<'static>>(message: M, version: i16, hex: &str) {
    let golden = kept(bytes_of(hex));
    assert_eq!(encoded(&message, version), golden);
    assert_eq!(M::decode(&mut Decoder::new(golden), version), Ok(message));
}

#[test]
fn list_offsets_11() {
    let request = list_offsets::ListOffsetsRequest {
        replica_id: -1,
        isolation_level: 1,
        timeout_ms: 9,
        topics: vec![list_offsets::ListOffsetsTopic {
            name: "t",
            partitions: vec![list_offsets::ListOffsetsPartition {
                partition_index: 2,
                current_leader_epoch: 3,
                timestamp: -6,
            }],
        }],
    };
    is(
        request,
        11,
        "ffffffff01020274020000000200000003fffffffffffffffa00000000000900",
    );

    let response = list_offsets::ListOffsetsResponse {
        throttle_time_ms: 4,
        topics: vec![list_offsets::ListOffsetsTopicResponse {
            name: "t",
            partitions: vec![list_offsets::ListOffsetsPartitionResponse {
                partition_index: 2,
                error_code: 5,
                timestamp: 6,
                offset: 7,
                leader_epoch: 8,
            }],
        }],
    };
    let golden = "00000004020274020000000200050000000000000006000000000000000700000008000000";
    is(response, 11, golden);
}

#[test]
fn offset_commit_10() {
    let request = offset_commit::OffsetCommitRequest {
        group_id: "g",
        generation_id_or_member_epoch: 1,
        member_id: "m",
        group_instance_id: Some("i"),
        topics: vec![offset_commit::OffsetCommitRequestTopic {
            topic_id: TOPIC_ID,
            partitions: vec![offset_commit::OffsetCommitRequestPartition {
                partition_index: 2,
                committed_offset: 3,
                committed_leader_epoch: 4,
                committed_metadata: Some("x"),
            }],
            ..Default::default()
        }],
        ..Default::default()
    };
    let golden = "026700000001026d0269020102030405060708090a0b0c0d0e0f10\
                  02000000020000000000000003000000040278000000";
    is(request, 10, golden);
}

#[test]
fn offset_fetch_10() {
    let request = offset_fetch::OffsetFetchRequest {
        require_stable: true,
        groups: vec![offset_fetch::OffsetFetchRequestGroup {
            group_id: "g",
            member_id: Some("m"),
            member_epoch: 5,
            topics: Some(vec![offset_fetch::OffsetFetchRequestTopics {
                topic_id: TOPIC_ID,
                partition_indexes: vec![1, 2],
                ..Default::default()
            }]),
        }],
        ..Default::default()
    };
    let golden = "020267026d00000005020102030405060708090a0b0c0d0e0f10\
                  03000000010000000200000100";
    is(request, 10, golden);
}

#[test]
fn describe_log_dirs_5() {
    is(
        describe_log_dirs::DescribeLogDirsRequest { topics: None },
        5,
        "0000",
    );

    let response = describe_log_dirs::DescribeLogDirsResponse {
        throttle_time_ms: 1,
        error_code: 2,
        results: vec![describe_log_dirs::DescribeLogDirsResult {
            error_code: 3,
            log_dir: "d",
            total_bytes: 4,
            usable_bytes: 5,
            is_cordoned: true,
            topics: vec![describe_log_dirs::DescribeLogDirsTopic {
                name: "t",
                partitions: vec![describe_log_dirs::DescribeLogDirsPartition {
                    partition_index: 6,
                    partition_size: 7,
                    offset_lag: 8,
                    is_future_key: true,
                }],
            }],
        }],
    };
    let golden = "00000001000202000302640202740200000006000000000000000700000000000000\
                  0801000000000000000000040000000000000005010000";
    is(response, 5, golden);
}

/// Of a blob, Kafka writes the version apart, and leaves out what an older version cannot say.
fn blob_is<B: Blob<'static>>(blob: &B, version: i16, hex: &str) {
    let golden = [&version.to_be_bytes()[..], &bytes_of(hex)].concat();
    assert_eq!(blob.encode(version).expect("valid"), golden, "{version}");
    let (read_version, read) = B::decode(kept(golden.clone().into())).expect("valid");
    assert_eq!(read_version, version);
    assert_eq!(read.encode(version).expect("valid"), golden, "{version}");
    if version == B::MAX {
        assert_eq!(read.encode(version), blob.encode(version));
    }
}

#[test]
fn committed_offsets() {
    let key = OffsetCommitKey {
        group: "g",
        topic: "t",
        partition: 2,
    };
    blob_is(&key, 0, "00016700017400000002");
    blob_is(&key, 1, "00016700017400000002");

    let value = OffsetCommitValue {
        offset: 1,
        leader_epoch: 2,
        metadata: "m",
        commit_timestamp: 3,
        expire_timestamp: 4,
        topic_id: TOPIC_ID,
    };
    blob_is(&value, 0, "000000000000000100016d0000000000000003");
    blob_is(
        &value,
        1,
        "000000000000000100016d00000000000000030000000000000004",
    );
    blob_is(&value, 3, "00000000000000010000000200016d0000000000000003");
    let golden = "000000000000000100000002026d0000000000000003\
                  0100100102030405060708090a0b0c0d0e0f10";
    blob_is(&value, 4, golden);
}

#[test]
fn groups() {
    blob_is(&GroupMetadataKey { group: "g" }, 2, "000167");

    let value = GroupMetadataValue {
        protocol_type: "consumer",
        generation: 1,
        protocol: Some("range"),
        leader: Some("l"),
        current_state_timestamp: 2,
        members: vec![MemberMetadata {
            member_id: "l",
            group_instance_id: Some("i"),
            client_id: "c",
            client_host: "h",
            rebalance_timeout: 3,
            session_timeout: 4,
            subscription: Bytes::from_static(&[5]),
            assignment: Bytes::from_static(&[6, 7]),
        }],
    };
    let v0 = "0008636f6e73756d657200000001000572616e676500016c0000000100016c\
              000163000168000000040000000105000000020607";
    let v2 = "0008636f6e73756d657200000001000572616e676500016c0000000000000002\
              0000000100016c00016300016800000003000000040000000105000000020607";
    let v3 = "0008636f6e73756d657200000001000572616e676500016c0000000000000002\
              0000000100016c00016900016300016800000003000000040000000105000000020607";
    let v4 = "09636f6e73756d6572000000010672616e6765026c0000000000000002\
              02026c026902630268000000030000000402050306070000";
    for (version, golden) in [(0, v0), (2, v2), (3, v3), (4, v4)] {
        blob_is(&value, version, golden);
    }
}
