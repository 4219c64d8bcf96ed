//! The coordinator of all groups of one partition of `__consumer_offsets`: one input, one step, effects.

use std::collections::BTreeMap;
use std::time::Duration;

use taffrail_env::Instant;
use taffrail_storage::WallClock;

use super::rebalance::Step;
use super::record::Record;
use super::request::{
    GroupError, HeartbeatRequest, JoinReply, JoinRequest, LeaveRequest, LeavingMember, SyncReply,
    SyncRequest,
};
use super::state::{Group, GroupState};
use super::stored::Stored;
use super::timers::Timers;
use super::{GroupConfig, Now};

mod consistency;
mod groups;
mod offsets;

pub use groups::{GroupDescription, GroupListing, MemberDescription};
pub(super) use offsets::OffsetAnswers;

/// What a step wants done, in this order: append `records` as one batch; once the log is committed up to
/// there, hand out the replies. Replies without records wait for what was appended before them: they were
/// judged against it. `J` and `S` name the callers of parked JoinGroups and SyncGroups.
#[derive(Debug)]
pub struct Effects<J, S> {
    pub records: Vec<Record>,
    pub joined: Vec<(J, JoinReply)>,
    pub synced: Vec<(S, SyncReply)>,
}

impl<J, S> Default for Effects<J, S> {
    fn default() -> Self {
        Effects {
            records: Vec::new(),
            joined: Vec::new(),
            synced: Vec::new(),
        }
    }
}

/// What a group waits for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum TimerKey {
    /// The end of joining.
    Join(String),
    /// The end of syncing.
    Sync(String),
    /// A sign of life of a member, or the join of an id that was given out.
    Session(String, String),
}

/// All groups of one partition.
#[derive(Debug)]
pub struct Coordinator<J, S> {
    config: GroupConfig,
    stored: Stored,
    /// The groups with members, ids given out, or a record. Others have offsets at most.
    groups: BTreeMap<String, Group<J, S>>,
    timers: Timers<TimerKey>,
    next_expiry_check: Instant,
    /// Whether the wall clock can be believed when offsets are to expire.
    wall: WallClock,
    /// What the groups take beside what is durable.
    soft_bytes: usize,
    /// What other coordinators of the node take.
    bytes_elsewhere: usize,
}

impl<J, S> Coordinator<J, S> {
    /// The coordinator whose log holds `stored`. Every member has a full session timeout from `now` on.
    /// The effects are those of groups that must rebalance at once because they are above their maximal size.
    pub fn new(
        config: GroupConfig,
        stored: Stored,
        now: Now,
        effects: &mut Effects<J, S>,
    ) -> Coordinator<J, S> {
        let loaded = stored
            .group_ids()
            .filter_map(|id| Some((id, stored.group(id)?)));
        let groups: BTreeMap<String, Group<J, S>> = loaded
            .map(|(id, group)| (id.to_string(), Group::from_stored(id, group)))
            .collect();
        let soft_bytes = groups.values().map(Group::bytes).sum();
        let next_expiry_check = now.at + config.offsets_retention_check;
        let mut wall = WallClock::default();
        // The first look, to hold the next against.
        wall.look(now.unix_ms, now.at, Duration::ZERO);
        let mut coordinator = Coordinator {
            config,
            stored,
            groups,
            timers: Timers::new(),
            next_expiry_check,
            wall,
            soft_bytes,
            bytes_elsewhere: 0,
        };
        let ids: Vec<String> = coordinator.groups.keys().cloned().collect();
        for group_id in ids {
            coordinator.step(now, &group_id, effects, |group, step| {
                let members: Vec<String> = group.members.keys().cloned().collect();
                members
                    .iter()
                    .for_each(|member_id| group.restart_session(step, member_id));
                if members.len() > step.config.members_max {
                    group.prepare_rebalance(step);
                }
            });
        }
        coordinator
    }

    /// What all of it takes, roughly, in bytes.
    pub fn bytes(&self) -> usize {
        self.soft_bytes + self.stored.bytes()
    }

    /// How much of what the node has for groups is taken by other coordinators.
    pub fn set_bytes_elsewhere(&mut self, bytes: usize) {
        self.bytes_elsewhere = bytes;
    }

    /// How much more all of it may take.
    fn room(&self) -> usize {
        self.config
            .bytes_max
            .saturating_sub(self.bytes_elsewhere + self.bytes())
    }

    /// What is durable, or will be once all records handed out are.
    pub fn stored(&self) -> &Stored {
        &self.stored
    }

    /// When [`Coordinator::on_timer`] has something to do.
    pub fn next_deadline(&self) -> Instant {
        self.timers.next().map_or(self.next_expiry_check, |next| {
            next.min(self.next_expiry_check)
        })
    }

    /// Does what is due.
    pub fn on_timer(&mut self, now: Now, effects: &mut Effects<J, S>) {
        while let Some(key) = self.timers.pop_due(now.at) {
            match &key {
                TimerKey::Join(group_id) => {
                    self.step(now, group_id, effects, |group, step| {
                        group.on_join_timeout(step)
                    });
                }
                TimerKey::Sync(group_id) => {
                    self.step(now, group_id, effects, |group, step| {
                        group.on_sync_timeout(step)
                    });
                }
                TimerKey::Session(group_id, member_id) => {
                    self.step(now, group_id, effects, |group, step| {
                        group.on_session_timeout(step, member_id)
                    });
                }
            }
        }
        if self.next_expiry_check <= now.at {
            self.next_expiry_check = now.at + self.config.offsets_retention_check;
            self.expire_offsets(now, effects);
        }
    }

    /// JoinGroup. The reply comes in the effects of this step or of a later one.
    pub fn join(&mut self, now: Now, request: JoinRequest, caller: J, effects: &mut Effects<J, S>) {
        let (group_id, member_id) = (request.group_id.clone(), request.member_id.clone());
        if group_id.is_empty() {
            return effects.refuse_join(caller, GroupError::InvalidGroupId, &member_id);
        }
        let limits = self.config.session_timeout_ms_min..=self.config.session_timeout_ms_max;
        if !limits.contains(&request.session_timeout_ms) {
            return effects.refuse_join(caller, GroupError::InvalidSessionTimeout, &member_id);
        }
        if !self.groups.contains_key(&group_id) {
            if !member_id.is_empty() {
                return effects.refuse_join(caller, GroupError::UnknownMember, &member_id);
            }
            if self.groups.len() >= self.config.groups_max {
                return effects.refuse_join(caller, GroupError::GroupFull, "");
            }
            let group: Group<J, S> = Group::new(&group_id);
            self.soft_bytes += group.bytes();
            self.groups.insert(group_id.clone(), group);
        }
        let room = self.room();
        self.step(now, &group_id, effects, |group, step| {
            group.join(step, room, request, caller)
        });
    }

    /// SyncGroup. The reply comes in the effects of this step or of a later one.
    pub fn sync(&mut self, now: Now, request: SyncRequest, caller: S, effects: &mut Effects<J, S>) {
        if request.group_id.is_empty() {
            return effects
                .synced
                .push((caller, Err(GroupError::InvalidGroupId)));
        }
        let group_id = request.group_id.clone();
        if !self.groups.contains_key(&group_id) {
            return effects
                .synced
                .push((caller, Err(GroupError::UnknownMember)));
        }
        let room = self.room();
        self.step(now, &group_id, effects, |group, step| {
            group.sync(step, room, request, caller)
        });
    }

    /// Heartbeat.
    pub fn heartbeat(
        &mut self,
        now: Now,
        request: &HeartbeatRequest,
        effects: &mut Effects<J, S>,
    ) -> Result<(), GroupError> {
        if request.group_id.is_empty() {
            return Err(GroupError::InvalidGroupId);
        }
        let heartbeat = |group: &mut Group<J, S>, step: &mut Step<'_, J, S>| {
            group.validate_member(&request.member_id, request.instance_id.as_deref())?;
            if request.generation != group.generation {
                return Err(GroupError::IllegalGeneration);
            }
            group.restart_session(step, &request.member_id);
            match group.state {
                GroupState::Empty => Err(GroupError::UnknownMember),
                GroupState::PreparingRebalance => Err(GroupError::RebalanceInProgress),
                GroupState::CompletingRebalance | GroupState::Stable => Ok(()),
            }
        };
        self.step(now, &request.group_id, effects, heartbeat)
            .unwrap_or(Err(GroupError::UnknownMember))
    }

    /// LeaveGroup: one answer for each member, in order.
    pub fn leave(
        &mut self,
        now: Now,
        request: &LeaveRequest,
        effects: &mut Effects<J, S>,
    ) -> Result<Vec<Result<(), GroupError>>, GroupError> {
        if request.group_id.is_empty() {
            return Err(GroupError::InvalidGroupId);
        }
        let leave = |group: &mut Group<J, S>, step: &mut Step<'_, J, S>| {
            let answers: Vec<_> = request
                .members
                .iter()
                .map(|member| group.leave(step, member))
                .collect();
            // As in Kafka, even if all that left is an id that never joined.
            if answers.iter().any(Result::is_ok) && group.state != GroupState::Empty {
                group.rebalance_or_complete(step);
            }
            answers
        };
        let unknown = || vec![Err(GroupError::UnknownMember); request.members.len()];
        Ok(self
            .step(now, &request.group_id, effects, leave)
            .unwrap_or_else(unknown))
    }

    /// The callers of all parked requests, when the coordinator is thrown away.
    pub fn into_parked(self) -> (Vec<J>, Vec<S>) {
        let (mut joining, mut syncing) = (Vec::new(), Vec::new());
        for member in self
            .groups
            .into_values()
            .flat_map(|group| group.members.into_values())
        {
            joining.extend(member.joining);
            syncing.extend(member.syncing);
        }
        (joining, syncing)
    }

    /// Runs a step of a group that is there, and forgets the group if nothing is left of it.
    fn step<R>(
        &mut self,
        now: Now,
        group_id: &str,
        effects: &mut Effects<J, S>,
        run: impl FnOnce(&mut Group<J, S>, &mut Step<'_, J, S>) -> R,
    ) -> Option<R> {
        let group = self.groups.get_mut(group_id)?;
        let mut step = Step {
            now,
            config: &self.config,
            stored: &mut self.stored,
            timers: &mut self.timers,
            effects,
        };
        let bytes_before = group.bytes();
        let result = run(group, &mut step);
        self.soft_bytes = self.soft_bytes + group.bytes() - bytes_before;
        let unused = group.state == GroupState::Empty && group.pending.is_empty();
        if unused && self.stored.group(group_id).is_none() {
            self.forget(group_id);
        }
        Some(result)
    }

    /// Forgets what is not durable of a group.
    fn forget(&mut self, group_id: &str) {
        let gone = self.groups.remove(group_id);
        self.soft_bytes -= gone.map_or(0, |group| group.bytes());
    }
}

impl<J, S> Group<J, S> {
    fn join(
        &mut self,
        step: &mut Step<'_, J, S>,
        room: usize,
        mut request: JoinRequest,
        caller: J,
    ) {
        // Slices of a frame would keep the frame.
        for protocol in &mut request.protocols {
            protocol.metadata = bytes::Bytes::copy_from_slice(&protocol.metadata);
        }
        let member_id = request.member_id.clone();
        if !self.accepts(step.config, room, &request) {
            if self.state == GroupState::PreparingRebalance {
                self.remove_member(step, &member_id, GroupError::GroupFull);
                self.complete_if_all_joined(step);
            }
            return step.effects.refuse_join(caller, GroupError::GroupFull, "");
        }
        if !self.supports(&request.protocol_type, &request.protocols) {
            return step
                .effects
                .refuse_join(caller, GroupError::InconsistentProtocol, &member_id);
        }
        if member_id.is_empty() {
            self.join_new(step, request, caller);
        } else if self.pending.contains(&member_id) && request.instance_id.is_none() {
            self.add_member(step, member_id, request, caller);
        } else {
            self.rejoin(step, request, caller);
        }
    }

    /// Whether there is room for whoever joins. Members of the last generation compete for it too, so that
    /// a group above its maximal size shrinks.
    fn accepts(&self, config: &GroupConfig, room: usize, request: &JoinRequest) -> bool {
        let present = self.members.get(&request.member_id);
        let has_room = match self.state {
            GroupState::Empty => true,
            GroupState::PreparingRebalance => {
                present.is_some_and(|member| member.joining.is_some())
                    || self.joining_count() < config.members_max
            }
            GroupState::CompletingRebalance | GroupState::Stable => {
                present.is_some() || self.members.len() < config.members_max
            }
        };
        let (said, taken) = self.replaced_bytes(request);
        let is_given_out = self.pending.contains(&request.member_id);
        has_room
            && self.said_bytes() - said + request.claim().said() <= config.group_bytes_max
            && self.joining_bytes(request) <= room + taken
            && (present.is_some() || is_given_out || self.pending.len() < config.members_max)
    }

    fn join_new(&mut self, step: &mut Step<'_, J, S>, request: JoinRequest, caller: J) {
        let new_id = request.new_member_id.clone();
        if let Some(instance_id) = &request.instance_id {
            match self.instances.get(instance_id).cloned() {
                Some(old_id) => self.rejoin_static(step, &old_id, request, caller),
                None => self.add_member(step, new_id, request, caller),
            }
        } else if request.member_id_required {
            self.add_pending(step, &new_id, request.session_timeout_ms);
            step.effects
                .refuse_join(caller, GroupError::MemberIdRequired, &new_id);
        } else {
            self.add_member(step, new_id, request, caller);
        }
    }

    /// A static member is back without its member id: it gets a new one, and its assignment if nothing else
    /// changes.
    fn rejoin_static(
        &mut self,
        step: &mut Step<'_, J, S>,
        old_id: &str,
        request: JoinRequest,
        caller: J,
    ) {
        let new_id = request.new_member_id.clone();
        let old_leader = self.leader.clone();
        let can_skip_assignment = request.can_skip_assignment;
        self.replace_static_member(step, old_id, &new_id);
        self.update_member(step, &new_id, request, caller);
        match self.state {
            GroupState::Stable if self.select_protocol() == self.protocol => {
                self.store_group(step);
                self.subscribed = self.subscriptions();
                let leads = self.is_leader(&new_id);
                let members = if can_skip_assignment && leads {
                    self.joined_members()
                } else {
                    Vec::new()
                };
                let mut joined = self.joined(&new_id, members, can_skip_assignment && leads);
                if !can_skip_assignment {
                    // It must not take itself for the leader, or it would compute assignments without knowing
                    // the members.
                    joined.leader = old_leader.unwrap_or_default();
                }
                let caller = self
                    .members
                    .get_mut(&new_id)
                    .and_then(|member| member.joining.take());
                step.effects
                    .joined
                    .extend(caller.map(|caller| (caller, Ok(joined))));
                self.restart_session(step, &new_id);
            }
            // While completing, the leader may already have assigned to the old id.
            GroupState::Stable | GroupState::CompletingRebalance => self.prepare_rebalance(step),
            GroupState::PreparingRebalance => self.complete_if_all_joined(step),
            GroupState::Empty => unreachable!("an empty group has no static member"),
        }
    }

    fn rejoin(&mut self, step: &mut Step<'_, J, S>, request: JoinRequest, caller: J) {
        let member_id = request.member_id.clone();
        if let Err(error) = self.validate_member(&member_id, request.instance_id.as_deref()) {
            return step.effects.refuse_join(caller, error, &member_id);
        }
        let unchanged = self.members[&member_id].protocols == request.protocols;
        let leads = self.is_leader(&member_id);
        let answer_again = match self.state {
            GroupState::Empty => {
                return step
                    .effects
                    .refuse_join(caller, GroupError::UnknownMember, &member_id);
            }
            GroupState::PreparingRebalance => false,
            // It may not have received its answer.
            GroupState::CompletingRebalance => unchanged,
            // A leader rejoins because something changed that members do not say about themselves.
            GroupState::Stable => unchanged && !leads,
        };
        if answer_again {
            let members = if leads {
                self.joined_members()
            } else {
                Vec::new()
            };
            let joined = self.joined(&member_id, members, false);
            step.effects.joined.push((caller, Ok(joined)));
        } else {
            self.update_member(step, &member_id, request, caller);
            self.rebalance_or_complete(step);
        }
    }

    fn sync(&mut self, step: &mut Step<'_, J, S>, room: usize, request: SyncRequest, caller: S) {
        let member_id = request.member_id;
        let differs = |theirs: &Option<String>, ours: &Option<String>| matches!((theirs, ours), (Some(theirs), Some(ours)) if theirs != ours);
        let refused = match self.validate_member(&member_id, request.instance_id.as_deref()) {
            Err(error) => Some(error),
            Ok(()) if request.generation != self.generation => Some(GroupError::IllegalGeneration),
            Ok(())
                if differs(&request.protocol_type, &self.protocol_type)
                    || differs(&request.protocol, &self.protocol) =>
            {
                Some(GroupError::InconsistentProtocol)
            }
            Ok(()) => match self.state {
                GroupState::Empty => Some(GroupError::UnknownMember),
                GroupState::PreparingRebalance => Some(GroupError::RebalanceInProgress),
                GroupState::CompletingRebalance | GroupState::Stable => None,
            },
        };
        if let Some(error) = refused {
            return step.effects.synced.push((caller, Err(error)));
        }
        self.on_sync_received(step, &member_id);
        if self.state == GroupState::Stable {
            self.restart_session(step, &member_id);
            return step
                .effects
                .synced
                .push((caller, Ok(self.synced(&member_id))));
        }
        let member = self.members.get_mut(&member_id).expect("validated above");
        if let Some(given_up) = member.syncing.replace(caller) {
            step.effects
                .synced
                .push((given_up, Err(GroupError::RebalanceInProgress)));
        }
        if self.is_leader(&member_id) {
            self.complete_sync(step, room, request.assignments);
        }
    }

    fn leave(
        &mut self,
        step: &mut Step<'_, J, S>,
        leaving: &LeavingMember,
    ) -> Result<(), GroupError> {
        let member_id = if leaving.member_id.is_empty() {
            let instance_id = leaving
                .instance_id
                .as_ref()
                .ok_or(GroupError::UnknownMember)?;
            self.instances
                .get(instance_id)
                .cloned()
                .ok_or(GroupError::UnknownMember)?
        } else if self.pending.contains(&leaving.member_id) {
            self.remove_pending(step, &leaving.member_id);
            return Ok(());
        } else {
            self.validate_member(&leaving.member_id, leaving.instance_id.as_deref())?;
            leaving.member_id.clone()
        };
        self.remove_member(step, &member_id, GroupError::UnknownMember);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
