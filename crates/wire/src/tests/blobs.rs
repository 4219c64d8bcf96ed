//! Blobs: as messages, but with their version in front, and with readers that may be older.

use super::kept;
use super::sampler::{Fill, Sampler};
use crate::consumer_protocol::{ConsumerProtocolAssignment, ConsumerProtocolSubscription};
use crate::group_records::{
    GroupMetadataKey, GroupMetadataValue, GroupRecordKey, OffsetCommitKey, OffsetCommitValue,
};
use crate::{Blob, DecodeReason, EncodeReason, Shape};
use bytes::Bytes;
use kafka_protocol::messages as theirs;
use kafka_protocol::protocol::{Decodable, Encodable};

const SEEDS: u64 = 24;

fn samples<B: Blob<'static>>() -> Vec<(i16, B)> {
    let mut samples = Vec::new();
    for version in B::MIN..=B::MAX {
        for seed in 0..SEEDS {
            let fill = match seed {
                0 => Fill::Full,
                1 => Fill::Sparse,
                _ => Fill::Mixed,
            };
            let shape = Shape::new(version, B::FLEXIBLE_FROM);
            samples.push((version, B::sample(&mut Sampler::new(seed, fill), shape)));
        }
    }
    samples
}

fn holds<B: Blob<'static>>() {
    for (version, blob) in samples::<B>() {
        let bytes = kept(blob.encode(version).expect("valid"));
        assert_eq!(B::decode(bytes), Ok((version, blob)), "{}", B::NAME);
        for len in 0..bytes.len() {
            let cut = B::decode(kept(bytes.slice(..len)));
            assert!(cut.is_err(), "{} {version} cut at {len}", B::NAME);
        }
        let longer = kept([&bytes[..], &[0]].concat().into());
        let error = B::decode(longer).expect_err("a byte too many");
        assert_eq!(error.reason, DecodeReason::TrailingBytes { bytes: 1 });
    }
    for version in [B::MIN - 1, B::MAX + 1] {
        let error = B::default().encode(version).expect_err("no such version");
        assert_eq!(error.reason, EncodeReason::UnsupportedVersion { version });
    }
}

#[test]
fn every_blob_survives_a_round_trip_and_nothing_shorter_or_longer() {
    holds::<ConsumerProtocolSubscription>();
    holds::<ConsumerProtocolAssignment>();
    holds::<OffsetCommitKey>();
    holds::<OffsetCommitValue>();
    holds::<GroupMetadataKey>();
    holds::<GroupMetadataValue>();
}

fn agrees<Ours: Blob<'static>, Theirs: Decodable + Encodable>() {
    for (version, ours) in samples::<Ours>() {
        let bytes = ours.encode(version).expect("valid");
        let mut rest = bytes.slice(2..);
        let theirs = Theirs::decode(&mut rest, version).expect("well-formed");
        assert!(rest.is_empty());
        let mut written = version.to_be_bytes().to_vec();
        theirs.encode(&mut written, version).expect("well-formed");
        assert_eq!(written, bytes, "{} {version}", Ours::NAME);
    }
}

#[test]
fn both_sides_agree_on_the_consumer_protocol() {
    agrees::<ConsumerProtocolSubscription, theirs::ConsumerProtocolSubscription>();
    agrees::<ConsumerProtocolAssignment, theirs::ConsumerProtocolAssignment>();
}

#[test]
fn consumer_protocol_of_a_newer_member_is_read_as_far_as_it_is_known() {
    let (_, blob) = samples::<ConsumerProtocolSubscription>()
        .pop()
        .expect("some");
    let mut bytes = blob.encode(3).expect("valid").to_vec();
    bytes[1] = 7;
    bytes.extend_from_slice(b"news");
    let newer = kept(bytes.into());
    assert_eq!(ConsumerProtocolSubscription::decode(newer), Ok((7, blob)));
    let negative = Bytes::from_static(&[0xff, 0xff, 0, 0]);
    assert!(ConsumerProtocolSubscription::decode(&negative).is_err());
}

#[test]
fn kind_of_a_group_record_is_told_by_its_key() {
    let offset = OffsetCommitKey {
        group: "g",
        topic: "t",
        partition: 5,
    };
    let group = GroupMetadataKey { group: "g" };
    for version in 0..=1 {
        let bytes = offset.encode(version).expect("valid");
        let key = GroupRecordKey::decode(&bytes);
        assert_eq!(key, Ok(GroupRecordKey::OffsetCommit(offset.clone())));
    }
    let bytes = group.encode(2).expect("valid");
    let key = GroupRecordKey::decode(&bytes);
    assert_eq!(key, Ok(GroupRecordKey::GroupMetadata(group)));
    let other = Bytes::from_static(&[0, 3, 9, 9]);
    assert_eq!(GroupRecordKey::decode(&other), Ok(GroupRecordKey::Other(3)));
    assert!(GroupRecordKey::decode(&Bytes::from_static(&[0])).is_err());
}
