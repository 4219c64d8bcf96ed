//! What holds of every coordinator between two steps: its soft state fits its durable state.

use std::collections::BTreeSet;

use super::Coordinator;
use crate::group::state::{Group, GroupState, given_out_bytes};

impl<J, S> Coordinator<J, S> {
    /// Whether the coordinator is consistent; if not, what is wrong with it.
    pub fn check(&self) -> Result<(), String> {
        for (group_id, group) in &self.groups {
            let wrong = |what: &str| format!("group {group_id} in state {:?}: {what}", group.state);
            self.check_record(group)
                .and_then(|()| check_members(group))
                .map_err(wrong)?;
        }
        let soft_bytes: usize = self.groups.values().map(Group::bytes).sum();
        if soft_bytes != self.soft_bytes {
            return Err(format!(
                "groups take {soft_bytes} bytes, and {} are counted",
                self.soft_bytes
            ));
        }
        self.stored.recount()?;
        let with_record = self
            .stored
            .group_ids()
            .find(|id| self.stored.group(id).is_some() && !self.groups.contains_key(*id));
        with_record.map_or(Ok(()), |lost| {
            Err(format!("group {lost} has a record and is not there"))
        })
    }

    fn check_record(&self, group: &Group<J, S>) -> Result<(), &'static str> {
        let settled = matches!(group.state, GroupState::Stable | GroupState::Empty);
        match self.stored.group(&group.group_id) {
            Some(stored) if settled && *stored != group.to_stored() => {
                Err("differs from its record")
            }
            None if group.state == GroupState::Stable => Err("has no record"),
            _ => Ok(()),
        }
    }
}

fn check_members<J, S>(group: &Group<J, S>) -> Result<(), &'static str> {
    if (group.state == GroupState::Empty) && !group.members.is_empty() {
        return Err("has members");
    }
    match &group.leader {
        Some(leader) if !group.members.contains_key(leader) => {
            return Err("its leader is no member");
        }
        None if !group.members.is_empty() => return Err("has no leader"),
        _ => {}
    }
    if group.member_bytes
        != group
            .members
            .values()
            .map(|member| member.bytes())
            .sum::<usize>()
    {
        return Err("its size is counted wrongly");
    }
    let said = group.members.values().map(|member| member.claim().said());
    if group.member_said != said.sum::<usize>() {
        return Err("what its members say is counted wrongly");
    }
    let given_out = group.pending.iter().map(|id| given_out_bytes(id));
    if group.pending_bytes != given_out.sum::<usize>() {
        return Err("the size of the ids that were given out is counted wrongly");
    }
    if group.state != GroupState::PreparingRebalance && group.joining_count() > 0 {
        return Err("a JoinGroup is parked");
    }
    let is_syncing = group
        .members
        .values()
        .any(|member| member.syncing.is_some());
    if group.state != GroupState::CompletingRebalance && is_syncing {
        return Err("a SyncGroup is parked");
    }
    let of_instances: BTreeSet<&String> = group.instances.values().collect();
    let is_static = group
        .members
        .values()
        .filter(|member| member.instance_id.is_some());
    let of_members: BTreeSet<&String> = is_static.map(|member| &member.member_id).collect();
    if of_instances != of_members || of_instances.len() != group.instances.len() {
        return Err("instance ids do not lead to their members");
    }
    Ok(())
}
