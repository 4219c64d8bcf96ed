//! Groups as tools see them: listed, described, deleted.

use bytes::Bytes;

use super::{Coordinator, Effects};
use crate::group::Now;
use crate::group::request::GroupError;
use crate::group::state::{Group, GroupState, Member};
use crate::group::stored::StoreRequest;

/// A group in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupListing {
    pub group_id: String,
    /// Empty if the group never had members.
    pub protocol_type: String,
    pub state: GroupState,
}

/// A group and its members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupDescription {
    pub state: GroupState,
    pub protocol_type: String,
    /// Empty unless the group is stable.
    pub protocol: String,
    pub members: Vec<MemberDescription>,
}

/// A member. What it says about itself and its assignment are empty unless the group is stable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberDescription {
    pub member_id: String,
    pub instance_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub metadata: Bytes,
    pub assignment: Bytes,
}

/// What a group in a list takes beside its own bytes, roughly.
const LISTED_OVERHEAD: usize = 128;

impl<J, S> Coordinator<J, S> {
    /// What a list of all groups takes, roughly, in bytes.
    pub fn listed_bytes(&self) -> usize {
        let types = self.groups.values().map(|group| &group.protocol_type);
        let types = types.flatten().map(String::len);
        let live = self.groups.keys().map(String::as_str);
        // Those with offsets and members are counted twice.
        let ids = live.chain(self.stored.group_ids());
        types.sum::<usize>() + ids.map(|id| LISTED_OVERHEAD + id.len()).sum::<usize>()
    }

    /// What a group takes beside its offsets, roughly, in bytes.
    pub fn described_bytes(&self, group_id: &str) -> usize {
        self.groups.get(group_id).map_or(0, Group::bytes)
    }

    /// ListGroups: all groups, by id.
    pub fn list(&self) -> Vec<GroupListing> {
        let live = self.groups.values().map(|group| GroupListing {
            group_id: group.group_id.clone(),
            protocol_type: group.protocol_type.clone().unwrap_or_default(),
            state: group.state,
        });
        let with_offsets_alone = self
            .stored
            .group_ids()
            .filter(|id| !self.groups.contains_key(*id));
        let mut groups: Vec<GroupListing> = live
            .chain(with_offsets_alone.map(|group_id| GroupListing {
                group_id: group_id.to_string(),
                protocol_type: String::new(),
                state: GroupState::Empty,
            }))
            .collect();
        groups.sort_by(|a, b| a.group_id.cmp(&b.group_id));
        groups
    }

    /// DescribeGroups of one group.
    pub fn describe(&self, group_id: &str) -> Result<GroupDescription, GroupError> {
        match self.groups.get(group_id) {
            Some(group) => Ok(group.describe()),
            None if self.stored.knows(group_id) => Ok(Group::<J, S>::new(group_id).describe()),
            None => Err(GroupError::GroupNotFound),
        }
    }

    /// DeleteGroups of one group, with its offsets.
    pub fn delete(
        &mut self,
        now: Now,
        group_id: &str,
        effects: &mut Effects<J, S>,
    ) -> Result<(), GroupError> {
        match self.groups.get(group_id) {
            Some(group) if group.state != GroupState::Empty => {
                return Err(GroupError::GroupNotEmpty);
            }
            None if !self.stored.knows(group_id) => return Err(GroupError::GroupNotFound),
            _ => {}
        }
        self.step(now, group_id, effects, |group, step| {
            let given_out: Vec<String> = group.pending.iter().cloned().collect();
            for member_id in given_out {
                group.remove_pending(step, &member_id);
            }
        });
        self.store(
            now,
            &StoreRequest::DeleteGroup {
                group_id: group_id.to_string(),
            },
            effects,
        );
        self.forget(group_id);
        Ok(())
    }
}

impl<J, S> Group<J, S> {
    fn describe(&self) -> GroupDescription {
        let is_stable = self.state == GroupState::Stable;
        let protocol = if is_stable {
            self.protocol.as_deref()
        } else {
            None
        };
        let member = |member: &Member<J, S>| MemberDescription {
            member_id: member.member_id.clone(),
            instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            metadata: member.metadata(protocol),
            assignment: if is_stable {
                member.assignment.clone()
            } else {
                Bytes::new()
            },
        };
        GroupDescription {
            state: self.state,
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            protocol: protocol.unwrap_or_default().to_string(),
            members: self.members.values().map(member).collect(),
        }
    }
}
