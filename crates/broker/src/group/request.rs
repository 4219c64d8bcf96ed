//! What members and tools ask of a coordinator, and what they are told. No wire types: the handlers
//! translate.

use std::fmt;

use bytes::Bytes;

use crate::metadata::RawTopicId;

/// Why a request was refused. Each is one error code of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupError {
    InvalidGroupId,
    InvalidSessionTimeout,
    InconsistentProtocol,
    /// The member has to ask again with the id it is given along with this.
    MemberIdRequired,
    UnknownMember,
    FencedInstance,
    IllegalGeneration,
    RebalanceInProgress,
    /// The group, or the number of groups, is at its limit.
    GroupFull,
    GroupNotFound,
    GroupNotEmpty,
    SubscribedToTopic,
    OffsetMetadataTooLarge,
    /// There is no room for more groups and offsets, or one record would be too large.
    StateTooLarge,
    /// The partition of the group is being read: ask again.
    Loading,
    /// What the answer rests on could not be made durable: its outcome is unknown.
    NotAvailable,
    /// The group is served elsewhere.
    NotCoordinator,
}

impl fmt::Display for GroupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            GroupError::InvalidGroupId => "the group id is not valid",
            GroupError::InvalidSessionTimeout => {
                "the session timeout is not within the broker's limits"
            }
            GroupError::InconsistentProtocol => {
                "the member has no protocol in common with the group"
            }
            GroupError::MemberIdRequired => "the member has to join again with the id it was given",
            GroupError::UnknownMember => "the group has no such member",
            GroupError::FencedInstance => "another member has taken over the group instance id",
            GroupError::IllegalGeneration => "the generation is not the group's",
            GroupError::RebalanceInProgress => "the group is rebalancing",
            GroupError::GroupFull => "the group has its maximal size",
            GroupError::GroupNotFound => "there is no such group",
            GroupError::GroupNotEmpty => "the group has members",
            GroupError::SubscribedToTopic => "a member of the group is subscribed to the topic",
            GroupError::OffsetMetadataTooLarge => "the metadata of the offset is too large",
            GroupError::StateTooLarge => "there is no room for this in the coordinator",
            GroupError::Loading => "the coordinator is loading",
            GroupError::NotAvailable => "the coordinator is not available",
            GroupError::NotCoordinator => "the group is coordinated elsewhere",
        })
    }
}

impl std::error::Error for GroupError {}

/// A protocol that a member can follow, with what the member says about itself in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protocol {
    pub name: String,
    pub metadata: Bytes,
}

/// JoinGroup.
#[derive(Clone, Debug)]
pub struct JoinRequest {
    pub group_id: String,
    /// Empty if the member has none yet.
    pub member_id: String,
    pub instance_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub session_timeout_ms: i32,
    pub rebalance_timeout_ms: i32,
    pub protocol_type: String,
    /// In the member's order of preference.
    pub protocols: Vec<Protocol>,
    /// The id the member gets if it has none: chosen by the caller, and never used before.
    pub new_member_id: String,
    /// Whether the member knows to join in two steps (version 4 and later).
    pub member_id_required: bool,
    /// Whether the member knows not to compute an assignment although it leads (version 9 and later).
    pub can_skip_assignment: bool,
}

/// The answer to [`JoinRequest`], perhaps much later.
pub type JoinReply = Result<Joined, JoinRefused>;

/// A member of the next generation, or of the present one again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    pub generation: i32,
    pub protocol_type: Option<String>,
    pub protocol: Option<String>,
    pub leader: String,
    pub member_id: String,
    pub skip_assignment: bool,
    /// All members, for the leader alone.
    pub members: Vec<JoinedMember>,
}

/// A member, as the leader needs to know it to compute assignments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinedMember {
    pub member_id: String,
    pub instance_id: Option<String>,
    pub metadata: Bytes,
}

/// A member that did not join, and the id to answer with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinRefused {
    pub error: GroupError,
    pub member_id: String,
}

/// SyncGroup.
#[derive(Clone, Debug)]
pub struct SyncRequest {
    pub group_id: String,
    pub generation: i32,
    pub member_id: String,
    pub instance_id: Option<String>,
    pub protocol_type: Option<String>,
    pub protocol: Option<String>,
    /// Of all members, from the leader alone.
    pub assignments: Vec<(String, Bytes)>,
}

/// The answer to [`SyncRequest`], once the leader has sent its own.
pub type SyncReply = Result<Synced, GroupError>;

/// What a member is to do in this generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synced {
    pub protocol_type: Option<String>,
    pub protocol: Option<String>,
    pub assignment: Bytes,
}

/// Heartbeat.
#[derive(Clone, Debug)]
pub struct HeartbeatRequest {
    pub group_id: String,
    pub generation: i32,
    pub member_id: String,
    pub instance_id: Option<String>,
}

/// LeaveGroup, of one member or several.
#[derive(Clone, Debug)]
pub struct LeaveRequest {
    pub group_id: String,
    pub members: Vec<LeavingMember>,
}

/// A member that leaves. An administrator names static members by instance id alone.
#[derive(Clone, Debug)]
pub struct LeavingMember {
    pub member_id: String,
    pub instance_id: Option<String>,
}

/// OffsetCommit.
#[derive(Clone, Debug)]
pub struct CommitRequest {
    pub group_id: String,
    /// Negative for whoever commits without being a member.
    pub generation: i32,
    pub member_id: String,
    pub instance_id: Option<String>,
    /// How long to keep the offsets, if the client says so (versions 2 to 4).
    pub retention_ms: Option<i64>,
    /// Whether the client knows GROUP_ID_NOT_FOUND as an answer (version 9 and later).
    pub knows_group_not_found: bool,
    pub offsets: Vec<CommitOffset>,
}

/// One offset to commit.
#[derive(Clone, Debug)]
pub struct CommitOffset {
    pub topic: String,
    /// The id of the topic that has this name now.
    pub topic_id: RawTopicId,
    pub partition: i32,
    pub offset: i64,
    pub leader_epoch: i32,
    pub metadata: String,
}
