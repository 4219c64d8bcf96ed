//! A group and its members as they are now, soft parts included.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;

use super::request::{GroupError, JoinRequest, JoinedMember, Protocol};
use super::stored::{ExpiryRule, StoredGroup, StoredMember};
use super::{CONSUMER_PROTOCOL_TYPE, subscription};

/// What a group takes beside its own bytes, roughly.
const GROUP_OVERHEAD: usize = 256;
/// What a member, or an id that was given out, takes beside its own bytes, roughly.
const MEMBER_OVERHEAD: usize = 256;
/// What a protocol takes beside its own bytes, roughly.
const PROTOCOL_OVERHEAD: usize = 64;
/// How often a member's id is there: with the member twice, with its timer twice, among those that have not synced, and as the
/// leader's or that of a group instance.
const MEMBER_ID_COPIES: usize = 6;
/// How often an id that was given out is there: once, and with its timer twice.
const GIVEN_OUT_COPIES: usize = 3;

/// Where a group is in its life. A group that is gone has no state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GroupState {
    /// No members, but perhaps offsets.
    Empty,
    /// Members are joining; it ends when all have, or when the time is up.
    PreparingRebalance,
    /// All have joined, and wait for the leader's assignments.
    CompletingRebalance,
    /// Every member has its assignment.
    Stable,
}

impl GroupState {
    /// The name that Kafka's tools know.
    pub fn name(self) -> &'static str {
        match self {
            GroupState::Empty => "Empty",
            GroupState::PreparingRebalance => "PreparingRebalance",
            GroupState::CompletingRebalance => "CompletingRebalance",
            GroupState::Stable => "Stable",
        }
    }
}

/// What a member says about itself.
pub(super) struct Claim<'a> {
    pub member_id: &'a str,
    pub instance_id: Option<&'a str>,
    pub client_id: &'a str,
    pub client_host: &'a str,
    pub protocols: &'a [Protocol],
}

impl Claim<'_> {
    /// How much it says, roughly, in bytes.
    pub(super) fn said(&self) -> usize {
        let protocols = self.protocols.iter();
        let protocols = protocols.map(|protocol| protocol.name.len() + protocol.metadata.len());
        MEMBER_OVERHEAD
            + self.member_id.len() * 2
            + self.instance_id.map_or(0, str::len)
            + self.client_id.len()
            + self.client_host.len()
            + protocols.sum::<usize>()
    }

    /// How much it takes, roughly, in bytes: what is said once is kept in several places, the name of the protocol that is chosen
    /// among them.
    pub(super) fn bytes(&self) -> usize {
        let protocols = self.protocols.iter();
        let protocols = protocols.map(|protocol| PROTOCOL_OVERHEAD + protocol.name.len());
        self.said()
            + self.member_id.len() * (MEMBER_ID_COPIES - 2)
            + self.instance_id.map_or(0, str::len)
            + protocols.sum::<usize>()
    }
}

/// A member. `J` and `S` are the callers of its parked requests.
#[derive(Debug)]
pub(super) struct Member<J, S> {
    pub member_id: String,
    pub instance_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub rebalance_timeout_ms: i32,
    pub session_timeout_ms: i32,
    /// In order of preference.
    pub protocols: Vec<Protocol>,
    pub assignment: Bytes,
    /// It has not been in a generation yet, so it cannot send heartbeats.
    pub is_new: bool,
    /// Its parked JoinGroup.
    pub joining: Option<J>,
    /// Its parked SyncGroup.
    pub syncing: Option<S>,
}

impl<J, S> Member<J, S> {
    pub(super) fn metadata(&self, protocol: Option<&str>) -> Bytes {
        let chosen = self
            .protocols
            .iter()
            .find(|candidate| Some(candidate.name.as_str()) == protocol);
        chosen.map_or(Bytes::new(), |protocol| protocol.metadata.clone())
    }

    pub(super) fn session_timeout(&self) -> Duration {
        Duration::from_millis(self.session_timeout_ms.max(0) as u64)
    }

    pub(super) fn claim(&self) -> Claim<'_> {
        Claim {
            member_id: &self.member_id,
            instance_id: self.instance_id.as_deref(),
            client_id: &self.client_id,
            client_host: &self.client_host,
            protocols: &self.protocols,
        }
    }

    /// What the member takes, roughly, in bytes. The group's record has an assignment of its own.
    pub(super) fn bytes(&self) -> usize {
        self.claim().bytes() + self.assignment.len()
    }

    fn from_stored(stored: &StoredMember, protocol: Option<&str>) -> Member<J, S> {
        let metadata = Bytes::copy_from_slice(&stored.subscription);
        Member {
            member_id: stored.member_id.clone(),
            instance_id: stored.instance_id.clone(),
            client_id: stored.client_id.clone(),
            client_host: stored.client_host.clone(),
            rebalance_timeout_ms: stored.rebalance_timeout_ms,
            session_timeout_ms: stored.session_timeout_ms,
            protocols: vec![Protocol {
                name: protocol.unwrap_or_default().to_string(),
                metadata,
            }],
            assignment: Bytes::copy_from_slice(&stored.assignment),
            is_new: false,
            joining: None,
            syncing: None,
        }
    }
}

/// The members' first wait for each other: what is left of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct InitialDelay {
    pub delay: Duration,
    pub remaining: Duration,
}

/// A group.
#[derive(Debug)]
pub(super) struct Group<J, S> {
    pub group_id: String,
    pub state: GroupState,
    pub generation: i32,
    pub protocol_type: Option<String>,
    pub protocol: Option<String>,
    pub leader: Option<String>,
    /// Wall time of the last change of state, if known.
    pub state_since_ms: Option<i64>,
    pub members: BTreeMap<String, Member<J, S>>,
    /// Member ids of the static members by their group instance ids.
    pub instances: BTreeMap<String, String>,
    /// Member ids that were given out and have not joined yet.
    pub pending: BTreeSet<String>,
    /// Members of this generation that have not asked for their assignment yet.
    pub pending_sync: BTreeSet<String>,
    /// While the group prepares its first generation after having been empty.
    pub initial_delay: Option<InitialDelay>,
    /// A member joined since the initial delay was last extended.
    pub new_member_added: bool,
    /// What all members take.
    pub member_bytes: usize,
    /// What all members say about themselves.
    pub member_said: usize,
    /// What the ids that were given out take.
    pub pending_bytes: usize,
    /// The topics of the present generation, if all members' subscriptions can be read.
    pub subscribed: Option<BTreeSet<String>>,
}

impl<J, S> Group<J, S> {
    /// A group without members.
    pub(super) fn new(group_id: &str) -> Group<J, S> {
        Group {
            group_id: group_id.to_string(),
            state: GroupState::Empty,
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            state_since_ms: None,
            members: BTreeMap::new(),
            instances: BTreeMap::new(),
            pending: BTreeSet::new(),
            pending_sync: BTreeSet::new(),
            initial_delay: None,
            new_member_added: false,
            member_bytes: 0,
            member_said: 0,
            pending_bytes: 0,
            subscribed: None,
        }
    }

    /// The group that the log holds.
    pub(super) fn from_stored(group_id: &str, stored: &StoredGroup) -> Group<J, S> {
        let protocol = stored.protocol.as_deref();
        let members = stored
            .members
            .iter()
            .map(|member| Member::from_stored(member, protocol));
        let mut group = Group::new(group_id);
        group.members = members
            .map(|member| (member.member_id.clone(), member))
            .collect();
        let instance =
            |member: &StoredMember| Some((member.instance_id.clone()?, member.member_id.clone()));
        group.instances = stored.members.iter().filter_map(instance).collect();
        group.state = if group.members.is_empty() {
            GroupState::Empty
        } else {
            GroupState::Stable
        };
        group.generation = stored.generation;
        group.protocol_type = Some(stored.protocol_type.clone()).filter(|name| !name.is_empty());
        group.protocol = stored.protocol.clone();
        group.leader = stored.leader.clone();
        group.state_since_ms = Some(stored.state_since_ms).filter(|ms| *ms >= 0);
        group.subscribed = group.subscriptions();
        group.count_members();
        group
    }

    /// The group as its record says it.
    pub(super) fn to_stored(&self) -> StoredGroup {
        let member = |member: &Member<J, S>| StoredMember {
            member_id: member.member_id.clone(),
            instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            rebalance_timeout_ms: member.rebalance_timeout_ms,
            session_timeout_ms: member.session_timeout_ms,
            subscription: member.metadata(self.protocol.as_deref()).to_vec(),
            assignment: member.assignment.to_vec(),
        };
        StoredGroup {
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            generation: self.generation,
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            state_since_ms: self.state_since_ms.unwrap_or(-1),
            members: self.members.values().map(member).collect(),
        }
    }

    pub(super) fn is_leader(&self, member_id: &str) -> bool {
        self.leader.as_deref() == Some(member_id)
    }

    /// Whether the member is who it says it is.
    pub(super) fn validate_member(
        &self,
        member_id: &str,
        instance_id: Option<&str>,
    ) -> Result<(), GroupError> {
        if let Some(instance_id) = instance_id {
            match self.instances.get(instance_id) {
                None => return Err(GroupError::UnknownMember),
                Some(current) if current != member_id => return Err(GroupError::FencedInstance),
                Some(_) => {}
            }
        }
        if self.members.contains_key(member_id) {
            Ok(())
        } else {
            Err(GroupError::UnknownMember)
        }
    }

    /// Whether a member with these protocols can be in the group.
    pub(super) fn supports(&self, protocol_type: &str, protocols: &[Protocol]) -> bool {
        if self.state == GroupState::Empty {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        self.protocol_type.as_deref() == Some(protocol_type)
            && protocols
                .iter()
                .any(|protocol| self.is_candidate(&protocol.name))
    }

    fn is_candidate(&self, name: &str) -> bool {
        self.members.values().all(|member| {
            member
                .protocols
                .iter()
                .any(|protocol| protocol.name == name)
        })
    }

    /// The protocol that most members prefer of those that all support; of several, the first by name.
    pub(super) fn select_protocol(&self) -> Option<String> {
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for member in self.members.values() {
            let preferred = member
                .protocols
                .iter()
                .find(|protocol| self.is_candidate(&protocol.name));
            *votes.entry(preferred?.name.as_str()).or_default() += 1;
        }
        let most = votes.values().copied().max()?;
        votes
            .into_iter()
            .find(|(_, count)| *count == most)
            .map(|(name, _)| name.to_string())
    }

    pub(super) fn rebalance_timeout(&self) -> Duration {
        let longest = self
            .members
            .values()
            .map(|member| member.rebalance_timeout_ms)
            .max();
        Duration::from_millis(longest.unwrap_or(0).max(0) as u64)
    }

    pub(super) fn joining_count(&self) -> usize {
        self.members
            .values()
            .filter(|member| member.joining.is_some())
            .count()
    }

    pub(super) fn all_have_joined(&self) -> bool {
        self.pending.is_empty() && self.members.values().all(|member| member.joining.is_some())
    }

    /// Makes a member that has joined the leader if the present one has not. False if nobody has joined.
    pub(super) fn elect_joined_leader(&mut self) -> bool {
        let leader = self
            .leader
            .as_ref()
            .and_then(|leader| self.members.get(leader));
        if leader.is_some_and(|leader| leader.joining.is_some()) {
            return true;
        }
        let joined = self
            .members
            .values()
            .find(|member| member.joining.is_some());
        let Some(joined) = joined.map(|member| member.member_id.clone()) else {
            return false;
        };
        self.leader = Some(joined);
        true
    }

    /// All members, as their leader is told.
    pub(super) fn joined_members(&self) -> Vec<JoinedMember> {
        let member = |member: &Member<J, S>| JoinedMember {
            member_id: member.member_id.clone(),
            instance_id: member.instance_id.clone(),
            metadata: member.metadata(self.protocol.as_deref()),
        };
        self.members.values().map(member).collect()
    }

    pub(super) fn is_consumer_group(&self) -> bool {
        self.protocol_type.as_deref() == Some(CONSUMER_PROTOCOL_TYPE)
    }

    /// The topics that the members are subscribed to in the group's protocol, if they are consumers that say it.
    pub(super) fn subscriptions(&self) -> Option<BTreeSet<String>> {
        if !self.is_consumer_group() {
            return None;
        }
        if self.members.is_empty() {
            return Some(BTreeSet::new());
        }
        let protocol = self.protocol.as_deref()?;
        let mut topics = BTreeSet::new();
        for member in self.members.values() {
            topics.append(&mut subscription::topics(&member.metadata(Some(protocol))).ok()?);
        }
        Some(topics)
    }

    /// Whether the offsets of a topic are in use. True if it cannot be known.
    pub(super) fn is_subscribed(&self, topic: &str) -> bool {
        self.is_consumer_group()
            && self
                .subscribed
                .as_ref()
                .is_none_or(|topics| topics.contains(topic))
    }

    /// From when the age of the group's offsets counts.
    pub(super) fn expiry_rule(&self) -> ExpiryRule {
        match (&self.protocol_type, self.state) {
            (None, _) => ExpiryRule::SinceCommit,
            (Some(_), GroupState::Empty) => self
                .state_since_ms
                .map_or(ExpiryRule::SinceCommit, ExpiryRule::SinceEmpty),
            (Some(_), GroupState::Stable) => match &self.subscribed {
                Some(subscribed) => ExpiryRule::Unsubscribed(subscribed.clone()),
                None => ExpiryRule::Never,
            },
            _ => ExpiryRule::Never,
        }
    }

    /// Notes a member id that is given out.
    pub(super) fn give_out(&mut self, member_id: &str) {
        if self.pending.insert(member_id.to_string()) {
            self.pending_bytes += given_out_bytes(member_id);
        }
    }

    /// Forgets a member id that was given out; false if it was not.
    pub(super) fn take_back(&mut self, member_id: &str) -> bool {
        let was_given_out = self.pending.remove(member_id);
        if was_given_out {
            self.pending_bytes -= given_out_bytes(member_id);
        }
        was_given_out
    }

    /// Counts again what all members take.
    pub(super) fn count_members(&mut self) {
        self.member_bytes = self.members.values().map(Member::bytes).sum();
        let said = self.members.values().map(|member| member.claim().said());
        self.member_said = said.sum();
    }

    /// What the group takes with all members and the ids that were given out, roughly, in bytes.
    pub(super) fn bytes(&self) -> usize {
        // Its own id is with it twice, and in the timer that it has beside those of its members.
        let id_places = self.members.len() + self.pending.len() + 2;
        GROUP_OVERHEAD
            + id_places * self.timer_bytes()
            + self.protocol_type.as_ref().map_or(0, String::len)
            + self.member_bytes
            + self.pending_bytes
    }

    /// What a timer takes of the group's id, which it has twice.
    fn timer_bytes(&self) -> usize {
        self.group_id.len() * 2
    }

    /// What all members say about themselves, roughly, in bytes.
    pub(super) fn said_bytes(&self) -> usize {
        self.member_said + self.pending.len() * MEMBER_OVERHEAD
    }

    /// What a request to join makes the group take, roughly, in bytes.
    pub(super) fn joining_bytes(&self, request: &JoinRequest) -> usize {
        let protocol_type = match self.members.is_empty() {
            true => request.protocol_type.len(),
            false => 0,
        };
        request.claim().bytes() + self.timer_bytes() + protocol_type
    }

    /// What goes when a request to join is granted, the member or the id that was given out in whose place it comes: how much
    /// that said, and how much it takes.
    pub(super) fn replaced_bytes(&self, request: &JoinRequest) -> (usize, usize) {
        let present = self.members.get(&request.member_id).or_else(|| {
            let instance_id = request.instance_id.as_ref()?;
            self.members.get(self.instances.get(instance_id)?)
        });
        let timer = self.timer_bytes();
        match present {
            Some(member) => (member.claim().said(), member.claim().bytes() + timer),
            None if self.pending.contains(&request.member_id) => {
                let taken = given_out_bytes(&request.member_id) + timer;
                (MEMBER_OVERHEAD, taken)
            }
            None => (0, 0),
        }
    }
}

/// What a member id that was given out takes, roughly, in bytes.
pub(super) fn given_out_bytes(member_id: &str) -> usize {
    MEMBER_OVERHEAD + member_id.len() * GIVEN_OUT_COPIES
}

impl JoinRequest {
    /// What the member says about itself, under the id that it has or will have.
    pub(super) fn claim(&self) -> Claim<'_> {
        let member_id = match self.member_id.is_empty() {
            true => &self.new_member_id,
            false => &self.member_id,
        };
        Claim {
            member_id,
            instance_id: self.instance_id.as_deref(),
            client_id: &self.client_id,
            client_host: &self.client_host,
            protocols: &self.protocols,
        }
    }
}
