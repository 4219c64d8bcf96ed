//! The bytes are those that Kafka 4.3.1's own generated classes write.

use proptest::prelude::*;

use super::{Record, RecordError};
use crate::group::stored::{CommittedOffset, StoredGroup, StoredMember};

const OFFSET_KEY: &str = "0001000762696c6c696e6700066f726465727300000003";
const GROUP_KEY: &str = "0002000762696c6c696e67";
const GROUP_V3: &str = "00030008636f6e73756d657200000007000572616e67650003612d310000018bcfe56800000000020003612d31000169000161000a2f3132372e302e302e310000ea600000271000000002010200000001030003622d31ffff000162000a2f3132372e302e302e310000ea60000027100000000000000000";
const GROUP_V0: &str = "00000008636f6e73756d657200000007000572616e67650003612d31000000020003612d31000161000a2f3132372e302e302e310000271000000002010200000001030003622d31000162000a2f3132372e302e302e31000027100000000000000000";
const GROUP_V1: &str = "00010008636f6e73756d657200000007000572616e67650003612d31000000020003612d31000161000a2f3132372e302e302e310000ea600000271000000002010200000001030003622d31000162000a2f3132372e302e302e310000ea60000027100000000000000000";
const GROUP_V2: &str = "00020008636f6e73756d657200000007000572616e67650003612d310000018bcfe56800000000020003612d31000161000a2f3132372e302e302e310000ea600000271000000002010200000001030003622d31000162000a2f3132372e302e302e310000ea60000027100000000000000000";

fn bytes(hex: &str) -> Vec<u8> {
    let digits = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal");
    (0..hex.len()).step_by(2).map(digits).collect()
}

fn offset_record(value: Option<CommittedOffset>) -> Record {
    Record::Offset {
        group_id: "billing".to_string(),
        topic: "orders".to_string(),
        partition: 3,
        value,
    }
}

fn committed() -> CommittedOffset {
    CommittedOffset {
        offset: 42,
        leader_epoch: 5,
        metadata: "mü".to_string(),
        committed_at_ms: 1_700_000_000_000,
        expires_at_ms: None,
        topic_id: None,
    }
}

fn group(instance_id: Option<&str>) -> StoredGroup {
    let member = |name: &str, instance_id: Option<&str>, subscription: &[u8], assignment: &[u8]| {
        StoredMember {
            member_id: format!("{name}-1"),
            instance_id: instance_id.map(str::to_string),
            client_id: name.to_string(),
            client_host: "/127.0.0.1".to_string(),
            rebalance_timeout_ms: 60_000,
            session_timeout_ms: 10_000,
            subscription: subscription.to_vec(),
            assignment: assignment.to_vec(),
        }
    };
    StoredGroup {
        protocol_type: "consumer".to_string(),
        generation: 7,
        protocol: Some("range".to_string()),
        leader: Some("a-1".to_string()),
        state_since_ms: 1_700_000_000_000,
        members: vec![
            member("a", instance_id, &[1, 2], &[3]),
            member("b", None, &[], &[]),
        ],
    }
}

#[test]
fn offsets_are_written_as_kafka_writes_them() {
    let topic_id = std::array::from_fn(|i| i as u8 + 1);
    let with_id = offset_record(Some(CommittedOffset {
        topic_id: Some(topic_id),
        ..committed()
    }));
    assert_eq!(with_id.key(), bytes(OFFSET_KEY));
    let v4 = "0004000000000000002a00000005046dc3bc0000018bcfe568000100100102030405060708090a0b0c0d0e0f10";
    assert_eq!(with_id.value(), Some(bytes(v4)));
    let without_id = offset_record(Some(committed()));
    assert_eq!(
        without_id.value(),
        Some(bytes(
            "0004000000000000002a00000005046dc3bc0000018bcfe5680000"
        ))
    );
    let expires = CommittedOffset {
        expires_at_ms: Some(1_700_000_001_000),
        leader_epoch: -1,
        ..committed()
    };
    let v1 = "0001000000000000002a00036dc3bc0000018bcfe568000000018bcfe56be8";
    assert_eq!(offset_record(Some(expires)).value(), Some(bytes(v1)));
    let expires_with_id = offset_record(Some(CommittedOffset {
        expires_at_ms: Some(1_700_000_001_000),
        topic_id: Some(topic_id),
        ..committed()
    }));
    let v4 = "0004000000000000002a00000005046dc3bc0000018bcfe568000200100102030405060708090a0b0c0d0e0f10904e080000018bcfe56be8";
    assert_eq!(expires_with_id.value(), Some(bytes(v4)));
    let read = Record::decode(&bytes(OFFSET_KEY), Some(&bytes(v4)));
    assert_eq!(read, Ok(expires_with_id));
    assert_eq!(offset_record(None).value(), None);
}

#[test]
fn offsets_of_every_version_of_kafka_are_read() {
    let no_epoch = CommittedOffset {
        leader_epoch: -1,
        ..committed()
    };
    for (value, expected) in [
        (
            "0000000000000000002a00036dc3bc0000018bcfe56800",
            no_epoch.clone(),
        ),
        (
            "0003000000000000002a0000000500036dc3bc0000018bcfe56800",
            committed(),
        ),
    ] {
        let record = Record::decode(&bytes(OFFSET_KEY), Some(&bytes(value)));
        assert_eq!(record, Ok(offset_record(Some(expected))));
    }
    let mut old_key = bytes(OFFSET_KEY);
    old_key[1] = 0;
    assert_eq!(Record::decode(&old_key, None), Ok(offset_record(None)));
}

#[test]
fn groups_are_written_as_kafka_writes_them_and_read_in_every_version() {
    let record = |value| Record::Group {
        group_id: "billing".to_string(),
        value,
    };
    let written = record(Some(group(Some("i"))));
    assert_eq!(written.key(), bytes(GROUP_KEY));
    assert_eq!(written.value(), Some(bytes(GROUP_V3)));
    let read = |value: &str| Record::decode(&bytes(GROUP_KEY), Some(&bytes(value)));
    assert_eq!(read(GROUP_V3), Ok(written));
    assert_eq!(read(GROUP_V2), Ok(record(Some(group(None)))));
    let no_time = StoredGroup {
        state_since_ms: -1,
        ..group(None)
    };
    assert_eq!(read(GROUP_V1), Ok(record(Some(no_time.clone()))));
    let mut no_rebalance_timeout = no_time;
    no_rebalance_timeout
        .members
        .iter_mut()
        .for_each(|member| member.rebalance_timeout_ms = 10_000);
    assert_eq!(read(GROUP_V0), Ok(record(Some(no_rebalance_timeout))));
    assert_eq!(Record::decode(&bytes(GROUP_KEY), None), Ok(record(None)));
}

#[test]
fn what_is_not_known_is_an_error_and_not_forgotten() {
    assert_eq!(
        Record::decode(&bytes("0003000161"), None),
        Err(RecordError::UnknownVersion(3))
    );
    let value = bytes("000500");
    assert_eq!(
        Record::decode(&bytes(OFFSET_KEY), Some(&value)),
        Err(RecordError::UnknownVersion(5))
    );
    assert_eq!(
        Record::decode(&bytes(GROUP_KEY), Some(&value)),
        Err(RecordError::UnknownVersion(5))
    );
    let longer = [bytes(GROUP_KEY), vec![0]].concat();
    assert_eq!(Record::decode(&longer, None), Err(RecordError::Malformed));
}

proptest! {
    #[test]
    fn no_bytes_make_reading_panic(key in prop::collection::vec(any::<u8>(), 0..40), cut in 0..200usize, flip in 0..200usize) {
        let _ = Record::decode(&key, Some(&key));
        for (key, value) in [(OFFSET_KEY, GROUP_V3), (GROUP_KEY, GROUP_V3)] {
            let mut value = bytes(value);
            let at = flip % value.len();
            value[at] ^= 0xff;
            value.truncate(cut);
            let _ = Record::decode(&bytes(key), Some(&value));
        }
    }
}
