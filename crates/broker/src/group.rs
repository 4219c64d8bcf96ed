//! Consumer groups of the classic protocol, and the offsets that groups commit.
//!
//! A group lives in one partition of `__consumer_offsets` ([`partition_for`]); a [`Coordinator`] serves all
//! groups of one partition. It is primary-backup: the coordinator decides, and Kafka's own records of that
//! topic are the changes that enter the log. What is durable ([`Stored`]) changes by
//! [`Stored::apply`](taffrail_replication::Machine::apply) alone, whether live or when the log is read again,
//! so the two cannot differ. Timers, parked requests and members that are still joining are soft: after a
//! restart members have a full session timeout, as in Kafka, and a rebalance begins anew.
//!
//! The machine is pure: `on_*` inputs with the time as an argument, [`Effects`] out, and
//! [`Coordinator::next_deadline`]. The driver appends, waits and answers.

mod coordinator;
mod driver;
mod rebalance;
mod record;
mod request;
mod serving;
mod state;
mod stored;
mod subscription;
mod timers;

use std::time::Duration;

use taffrail_env::Instant;

use crate::config::BrokerSettings;

pub use coordinator::{Coordinator, Effects, GroupDescription, GroupListing, MemberDescription};
pub(crate) use driver::{CommittedTopic, Groups};
pub use record::{Record, RecordError};
pub use request::{
    CommitOffset, CommitRequest, GroupError, HeartbeatRequest, JoinRefused, JoinReply, JoinRequest,
    Joined, JoinedMember, LeaveRequest, LeavingMember, Protocol, SyncReply, SyncRequest, Synced,
};
pub use serving::{Abandoned, Batch, Release, Serving};
pub use state::GroupState;
pub use stored::{CommittedOffset, ExpiryRule, StoreRequest, Stored, StoredGroup, StoredMember};

/// The protocol type of consumers, whose subscriptions the coordinator can read.
pub const CONSUMER_PROTOCOL_TYPE: &str = "consumer";

/// Both kinds of time at once: deadlines are monotonic, records are stamped with wall time.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    pub at: Instant,
    pub unix_ms: i64,
}

/// What bounds groups. Names and defaults are those of Kafka's broker settings where it has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupConfig {
    /// `group.min.session.timeout.ms`
    pub session_timeout_ms_min: i32,
    /// `group.max.session.timeout.ms`
    pub session_timeout_ms_max: i32,
    /// `group.initial.rebalance.delay.ms`
    pub initial_rebalance_delay: Duration,
    /// `group.max.size`
    pub members_max: usize,
    /// How long a new member waits for a rebalance before it has to ask again.
    pub new_member_join_timeout: Duration,
    /// `offset.metadata.max.bytes`, counted like Kafka in UTF-16 units.
    pub offset_metadata_max: usize,
    /// `offsets.retention.minutes`, in milliseconds.
    pub offsets_retention_ms: i64,
    /// `offsets.retention.check.interval.ms`
    pub offsets_retention_check: Duration,
    /// The most groups in one partition of `__consumer_offsets`.
    pub groups_max: usize,
    /// The largest that all members' metadata and assignments of one group may be together, in bytes.
    pub group_bytes_max: usize,
    /// The most that all groups and offsets of a node may take in memory, in bytes, roughly.
    pub bytes_max: usize,
    /// A snapshot is due when this much was logged since the last one, in bytes, or as much as the snapshot is large.
    pub snapshot_bytes_min: usize,
}

/// See [`GroupConfig::snapshot_bytes_min`].
pub(crate) const SNAPSHOT_BYTES_MIN: usize = 4 << 20;

/// One group may take this part of what all may, but this much at the least, and at the most as much as ten thousand members of the usual kind.
const GROUP_SHARE: usize = 4;
const GROUP_BYTES_LEAST: usize = 1 << 20;
const GROUP_BYTES_MAX: usize = 8 << 20;

impl Default for GroupConfig {
    fn default() -> GroupConfig {
        GroupConfig {
            session_timeout_ms_min: 6_000,
            session_timeout_ms_max: 1_800_000,
            initial_rebalance_delay: Duration::from_secs(3),
            members_max: 10_000,
            new_member_join_timeout: Duration::from_secs(300),
            offset_metadata_max: 4096,
            offsets_retention_ms: 7 * 24 * 3_600_000,
            offsets_retention_check: Duration::from_secs(600),
            groups_max: 10_000,
            group_bytes_max: GROUP_BYTES_LEAST,
            bytes_max: 64 << 20,
            snapshot_bytes_min: SNAPSHOT_BYTES_MIN,
        }
    }
}

impl GroupConfig {
    /// The broker's settings, and the memory that groups may take.
    pub(crate) fn from_settings(settings: &BrokerSettings, bytes_max: usize) -> GroupConfig {
        let milliseconds = |ms: i64| Duration::from_millis(ms.max(0) as u64);
        GroupConfig {
            session_timeout_ms_min: settings.group_min_session_timeout_ms,
            session_timeout_ms_max: settings.group_max_session_timeout_ms,
            initial_rebalance_delay: milliseconds(settings.group_initial_rebalance_delay_ms.into()),
            members_max: settings.group_max_size.max(1) as usize,
            offset_metadata_max: settings.offset_metadata_max_bytes.max(0) as usize,
            offsets_retention_ms: i64::from(settings.offsets_retention_minutes) * 60_000,
            offsets_retention_check: milliseconds(settings.offsets_retention_check_interval_ms),
            group_bytes_max: (bytes_max / GROUP_SHARE).clamp(GROUP_BYTES_LEAST, GROUP_BYTES_MAX),
            bytes_max,
            ..GroupConfig::default()
        }
    }
}

/// The partition of `__consumer_offsets` that a group lives in, of `partitions` there are: Java's hash of the
/// group's id, without its sign, as every Kafka tool computes it.
pub fn partition_for(group_id: &str, partitions: i32) -> i32 {
    assert!(partitions > 0, "a topic has at least one partition");
    let hash = group_id.encode_utf16().fold(0i32, |hash, unit| {
        hash.wrapping_mul(31).wrapping_add(i32::from(unit))
    });
    // Of the one number that has no absolute value, Kafka says zero.
    hash.checked_abs().unwrap_or(0) % partitions
}

/// A member id that nobody had before: what the member is called by, and random bytes as a UUID.
pub fn new_member_id(name: &str, random: [u8; 16]) -> String {
    // With the random part it has to fit into a string of the protocol.
    const NAME_BYTES_MAX: usize = 32_000;
    let end = (0..=name.len().min(NAME_BYTES_MAX))
        .rev()
        .find(|end| name.is_char_boundary(*end))
        .unwrap_or(0);
    let mut bytes = random;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = |part: &[u8]| {
        part.iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    let parts = [
        hex(&bytes[..4]),
        hex(&bytes[4..6]),
        hex(&bytes[6..8]),
        hex(&bytes[8..10]),
        hex(&bytes[10..]),
    ];
    format!("{}-{}", &name[..end], parts.join("-"))
}

#[cfg(test)]
mod tests;
