//! The keys and values of the records in `__consumer_offsets`, the log of the classic groups.
//!
//! The version in front of a key is at the same time its kind: below 2 a committed offset, 2 a
//! group; higher ones belong to other kinds of groups. A value that is null takes back what the key names.

use crate::api::NEVER;
use crate::{Blob, DecodeError, Decoder};
use bytes::Bytes;

/// A key of any kind.
#[derive(Clone, Debug, PartialEq)]
pub enum GroupRecordKey<'a> {
    /// Its value is an [`OffsetCommitValue`].
    OffsetCommit(OffsetCommitKey<'a>),
    /// Its value is a [`GroupMetadataValue`].
    GroupMetadata(GroupMetadataKey<'a>),
    /// A kind that is not known here.
    Other(i16),
}

impl<'a> GroupRecordKey<'a> {
    /// Reads one.
    pub fn decode(bytes: &'a Bytes) -> Result<Self, DecodeError> {
        match Decoder::new(bytes).i16()? {
            OffsetCommitKey::MIN..=OffsetCommitKey::MAX => {
                OffsetCommitKey::decode(bytes).map(|(_, key)| Self::OffsetCommit(key))
            }
            GroupMetadataKey::MAX => {
                GroupMetadataKey::decode(bytes).map(|(_, key)| Self::GroupMetadata(key))
            }
            other => Ok(Self::Other(other)),
        }
    }
}

blob! {
    OffsetCommitKey<'a> {
        versions: 0..=1,
        flexible: NEVER,
        reads_newer: false,
    }
}

blob! {
    OffsetCommitValue<'a> {
        versions: 0..=4,
        flexible: 4,
        reads_newer: false,
    }
}

blob! {
    GroupMetadataKey<'a> {
        versions: 2..=2,
        flexible: NEVER,
        reads_newer: false,
    }
}

blob! {
    GroupMetadataValue<'a> {
        versions: 0..=4,
        flexible: 4,
        reads_newer: false,
    }
}

tables! {
    /// Whose offset, and in which partition.
    struct OffsetCommitKey<'a> {
        group: &'a str, 0..;
        topic: &'a str, 0..;
        partition: i32, 0..;
    }

    /// How far the group has come.
    struct OffsetCommitValue<'a> {
        offset: i64, 0..;
        leader_epoch: i32, 3.., [ignorable, default -1];
        metadata: &'a str, 0..;
        commit_timestamp: i64, 0..;
        expire_timestamp: i64, 1..=1, [ignorable, default -1];
        topic_id: [u8; 16], 4.., [tag 0, ignorable];
    }

    /// Which group.
    struct GroupMetadataKey<'a> {
        group: &'a str, 2..;
    }

    /// A group after a rebalance.
    struct GroupMetadataValue<'a> {
        protocol_type: &'a str, 0..;
        generation: i32, 0..;
        protocol: Option<&'a str>, 0..;
        leader: Option<&'a str>, 0..;
        current_state_timestamp: i64, 2.., [ignorable, default -1];
        members: Vec<MemberMetadata<'a>>, 0..;
    }

    /// An element of `GroupMetadataValue::members`.
    struct MemberMetadata<'a> {
        member_id: &'a str, 0..;
        group_instance_id: Option<&'a str>, 3.., [ignorable, default None];
        client_id: &'a str, 0..;
        client_host: &'a str, 0..;
        rebalance_timeout: i32, 1.., [ignorable, default -1];
        session_timeout: i32, 0..;
        subscription: Bytes, 0..;
        assignment: Bytes, 0..;
    }
}
