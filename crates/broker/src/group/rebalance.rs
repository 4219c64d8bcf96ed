//! How a group gets from one generation to the next.
//!
//! Preparing: everybody is to join again; it ends when all members have, or after the longest rebalance
//! timeout among them, without those that have not. A group that was empty waits a little for more members
//! first. Completing: the leader computes the assignments, and everybody waits for them. Members that do not
//! ask for theirs in time are removed.

use std::time::Duration;

use super::coordinator::{Effects, TimerKey};
use super::request::{GroupError, JoinRefused, JoinRequest, Joined, Synced};
use super::state::{Group, GroupState, InitialDelay, Member};
use super::stored::{StoreRequest, Stored, StoredGroup};
use super::timers::Timers;
use super::{GroupConfig, Now};
use taffrail_replication::Machine;

/// How long at the least a rebalance waits for static members none of whom has joined, whatever they say.
const LEADERLESS_WAIT_MIN: Duration = Duration::from_secs(1);

/// What a step of a group may touch beside the group.
pub(super) struct Step<'a, J, S> {
    pub now: Now,
    pub config: &'a GroupConfig,
    pub stored: &'a mut Stored,
    pub timers: &'a mut Timers<TimerKey>,
    pub effects: &'a mut Effects<J, S>,
}

impl<J, S> Step<'_, J, S> {
    /// Changes what is durable, by records alone.
    pub(super) fn store(&mut self, request: &StoreRequest) {
        let first = self.effects.records.len();
        self.stored.process(request, &mut self.effects.records);
        for record in &self.effects.records[first..] {
            self.stored.apply(record);
        }
    }

    fn arm(&mut self, key: TimerKey, delay: Duration) {
        self.timers.arm(key, self.now.at + delay);
    }
}

impl<J, S> Group<J, S> {
    pub(super) fn transition(&mut self, step: &Step<'_, J, S>, state: GroupState) {
        self.state = state;
        self.state_since_ms = Some(step.now.unix_ms);
    }

    fn session_key(&self, member_id: &str) -> TimerKey {
        TimerKey::Session(self.group_id.clone(), member_id.to_string())
    }

    fn join_key(&self) -> TimerKey {
        TimerKey::Join(self.group_id.clone())
    }

    fn sync_key(&self) -> TimerKey {
        TimerKey::Sync(self.group_id.clone())
    }

    /// The member is alive: it has a whole session timeout again.
    pub(super) fn restart_session(&self, step: &mut Step<'_, J, S>, member_id: &str) {
        if let Some(member) = self.members.get(member_id) {
            step.arm(self.session_key(member_id), member.session_timeout());
        }
    }

    /// Gives out a member id that is to join within its session timeout.
    pub(super) fn add_pending(
        &mut self,
        step: &mut Step<'_, J, S>,
        member_id: &str,
        session_timeout_ms: i32,
    ) {
        self.give_out(member_id);
        let timeout = Duration::from_millis(session_timeout_ms.max(0) as u64);
        step.arm(self.session_key(member_id), timeout);
    }

    /// Takes back a member id that was given out.
    pub(super) fn remove_pending(&mut self, step: &mut Step<'_, J, S>, member_id: &str) {
        self.take_back(member_id);
        step.timers.cancel(&self.session_key(member_id));
    }

    /// Adds a new member and parks its request.
    pub(super) fn add_member(
        &mut self,
        step: &mut Step<'_, J, S>,
        member_id: String,
        request: JoinRequest,
        caller: J,
    ) {
        if self.state == GroupState::PreparingRebalance && self.initial_delay.is_some() {
            self.new_member_added = true;
        }
        if self.members.is_empty() {
            self.protocol_type = Some(request.protocol_type.clone());
        }
        self.take_back(&member_id);
        if let Some(instance_id) = &request.instance_id {
            self.instances
                .insert(instance_id.clone(), member_id.clone());
        }
        if self.leader.is_none() {
            self.leader = Some(member_id.clone());
        }
        // It knows no member id yet and cannot send heartbeats, nor is a lost connection noticed while its
        // request is parked. So it is to ask again after a while, lest dead members pile up.
        step.arm(
            self.session_key(&member_id),
            step.config.new_member_join_timeout,
        );
        let member = Member {
            member_id: member_id.clone(),
            instance_id: request.instance_id,
            client_id: request.client_id,
            client_host: request.client_host,
            rebalance_timeout_ms: request.rebalance_timeout_ms,
            session_timeout_ms: request.session_timeout_ms,
            protocols: request.protocols,
            assignment: bytes::Bytes::new(),
            is_new: true,
            joining: Some(caller),
            syncing: None,
        };
        self.member_bytes += member.bytes();
        self.member_said += member.claim().said();
        self.members.insert(member_id, member);
        self.rebalance_or_complete(step);
    }

    /// A member joins again: parks its request, and lets go of one that it gave up.
    pub(super) fn update_member(
        &mut self,
        step: &mut Step<'_, J, S>,
        member_id: &str,
        request: JoinRequest,
        caller: J,
    ) {
        let Some(member) = self.members.get_mut(member_id) else {
            return;
        };
        self.member_bytes -= member.bytes();
        self.member_said -= member.claim().said();
        member.protocols = request.protocols;
        self.member_bytes += member.bytes();
        self.member_said += member.claim().said();
        member.rebalance_timeout_ms = request.rebalance_timeout_ms;
        member.session_timeout_ms = request.session_timeout_ms;
        if let Some(given_up) = member.joining.replace(caller) {
            step.effects
                .refuse_join(given_up, GroupError::RebalanceInProgress, member_id);
        }
    }

    /// Removes a member, answers what it has parked, and finds another leader if it led.
    pub(super) fn remove_member(
        &mut self,
        step: &mut Step<'_, J, S>,
        member_id: &str,
        why: GroupError,
    ) {
        let Some(member) = self.members.remove(member_id) else {
            return;
        };
        self.member_bytes -= member.bytes();
        self.member_said -= member.claim().said();
        step.timers.cancel(&self.session_key(member_id));
        if let Some(caller) = member.joining {
            // Without an id, so that a client that is still there joins as a new member.
            step.effects.refuse_join(caller, why, "");
        }
        if let Some(caller) = member.syncing {
            step.effects.synced.push((caller, Err(why)));
        }
        if let Some(instance_id) = &member.instance_id
            && self
                .instances
                .get(instance_id)
                .is_some_and(|current| current == member_id)
        {
            self.instances.remove(instance_id);
        }
        self.pending_sync.remove(member_id);
        if self.is_leader(member_id) {
            self.leader = self.members.keys().next().cloned();
        }
    }

    /// Puts a new member id in the place of a static member's; whoever still waits under the old one is fenced.
    pub(super) fn replace_static_member(
        &mut self,
        step: &mut Step<'_, J, S>,
        old_id: &str,
        new_id: &str,
    ) {
        let Some(mut member) = self.members.remove(old_id) else {
            return;
        };
        step.timers.cancel(&self.session_key(old_id));
        if let Some(caller) = member.joining.take() {
            step.effects
                .refuse_join(caller, GroupError::FencedInstance, old_id);
        }
        if let Some(caller) = member.syncing.take() {
            step.effects
                .synced
                .push((caller, Err(GroupError::FencedInstance)));
        }
        if self.pending_sync.remove(old_id) {
            self.pending_sync.insert(new_id.to_string());
        }
        if self.is_leader(old_id) {
            self.leader = Some(new_id.to_string());
        }
        if let Some(instance_id) = &member.instance_id {
            self.instances
                .insert(instance_id.clone(), new_id.to_string());
        }
        self.member_bytes -= member.bytes();
        self.member_said -= member.claim().said();
        member.member_id = new_id.to_string();
        self.member_bytes += member.bytes();
        self.member_said += member.claim().said();
        self.members.insert(new_id.to_string(), member);
        self.restart_session(step, new_id);
    }

    /// A member came, changed or went.
    pub(super) fn rebalance_or_complete(&mut self, step: &mut Step<'_, J, S>) {
        match self.state {
            GroupState::PreparingRebalance => self.complete_if_all_joined(step),
            GroupState::Empty | GroupState::CompletingRebalance | GroupState::Stable => {
                self.prepare_rebalance(step)
            }
        }
    }

    /// Everybody is to join again.
    pub(super) fn prepare_rebalance(&mut self, step: &mut Step<'_, J, S>) {
        if self.state == GroupState::CompletingRebalance {
            self.clear_assignments(step, GroupError::RebalanceInProgress);
        }
        step.timers.cancel(&self.sync_key());
        self.pending_sync.clear();
        let was_empty = self.state == GroupState::Empty;
        self.transition(step, GroupState::PreparingRebalance);
        if was_empty {
            let delay = step.config.initial_rebalance_delay;
            let remaining = self.rebalance_timeout().saturating_sub(delay);
            self.initial_delay = Some(InitialDelay { delay, remaining });
            self.new_member_added = false;
            step.arm(self.join_key(), delay);
        } else if self.all_have_joined() {
            self.complete_join(step);
        } else {
            step.arm(self.join_key(), self.rebalance_timeout());
        }
    }

    /// Ends the joining if there is nobody to wait for. A group that was empty waits its delay in any case.
    pub(super) fn complete_if_all_joined(&mut self, step: &mut Step<'_, J, S>) {
        let preparing = self.state == GroupState::PreparingRebalance;
        if preparing && self.initial_delay.is_none() && self.all_have_joined() {
            self.complete_join(step);
        }
    }

    /// The time to join is up.
    pub(super) fn on_join_timeout(&mut self, step: &mut Step<'_, J, S>) {
        if self.state != GroupState::PreparingRebalance {
            return;
        }
        match self.initial_delay {
            Some(InitialDelay { delay, remaining })
                if self.new_member_added && !remaining.is_zero() =>
            {
                self.new_member_added = false;
                let next = step.config.initial_rebalance_delay.min(remaining);
                let remaining = remaining.saturating_sub(delay);
                self.initial_delay = Some(InitialDelay {
                    delay: next,
                    remaining,
                });
                step.arm(self.join_key(), next);
            }
            _ => self.complete_join(step),
        }
    }

    /// Begins the next generation with those that have joined, and static members that may yet come back.
    fn complete_join(&mut self, step: &mut Step<'_, J, S>) {
        step.timers.cancel(&self.join_key());
        let left_behind =
            |member: &&Member<J, S>| member.joining.is_none() && member.instance_id.is_none();
        let gone: Vec<String> = self
            .members
            .values()
            .filter(left_behind)
            .map(|member| member.member_id.clone())
            .collect();
        for member_id in gone {
            self.remove_member(step, &member_id, GroupError::UnknownMember);
        }
        if !self.elect_joined_leader() && !self.members.is_empty() {
            // Only static members are left, and none has joined: their sessions decide. A wait of nothing would be over at once, again
            // and again.
            let wait = self.rebalance_timeout().max(LEADERLESS_WAIT_MIN);
            step.arm(self.join_key(), wait);
            return;
        }
        self.initial_delay = None;
        self.new_member_added = false;
        self.generation = self.generation.checked_add(1).unwrap_or(1);
        if self.members.is_empty() {
            self.become_empty(step);
        } else {
            self.begin_generation(step);
        }
    }

    fn become_empty(&mut self, step: &mut Step<'_, J, S>) {
        self.protocol = None;
        self.leader = None;
        self.transition(step, GroupState::Empty);
        self.subscribed = self.subscriptions();
        self.store_group(step);
    }

    fn begin_generation(&mut self, step: &mut Step<'_, J, S>) {
        self.protocol = self.select_protocol();
        self.transition(step, GroupState::CompletingRebalance);
        self.subscribed = self.subscriptions();
        step.arm(self.sync_key(), self.rebalance_timeout());
        self.pending_sync = self.members.keys().cloned().collect();
        let ids: Vec<String> = self.members.keys().cloned().collect();
        for member_id in &ids {
            let members = if self.is_leader(member_id) {
                self.joined_members()
            } else {
                Vec::new()
            };
            let joined = self.joined(member_id, members, false);
            let member = self
                .members
                .get_mut(member_id)
                .expect("ids are those of the members");
            member.is_new = false;
            if let Some(caller) = member.joining.take() {
                step.effects.joined.push((caller, Ok(joined)));
            }
            self.restart_session(step, member_id);
        }
    }

    /// What a member of the present generation is told.
    pub(super) fn joined(
        &self,
        member_id: &str,
        members: Vec<super::request::JoinedMember>,
        skip_assignment: bool,
    ) -> Joined {
        Joined {
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone().unwrap_or_default(),
            member_id: member_id.to_string(),
            skip_assignment,
            members,
        }
    }

    /// A member asked for its assignment.
    pub(super) fn on_sync_received(&mut self, step: &mut Step<'_, J, S>, member_id: &str) {
        self.pending_sync.remove(member_id);
        if self.pending_sync.is_empty() {
            step.timers.cancel(&self.sync_key());
        }
    }

    /// The leader has sent the assignments: if there is room for them, they are kept, and everybody who waits is given its own.
    pub(super) fn complete_sync(
        &mut self,
        step: &mut Step<'_, J, S>,
        room: usize,
        assignments: Vec<(String, bytes::Bytes)>,
    ) {
        let last = step.stored.group(&self.group_id);
        let before = self.bytes() + last.map_or(0, StoredGroup::bytes);
        self.assign(assignments);
        let record = self.to_stored().bytes();
        let after = self.bytes() + record + step.stored.bytes_to_know(&self.group_id);
        if record > step.config.group_bytes_max || after > room + before {
            self.clear_assignments(step, GroupError::StateTooLarge);
            self.prepare_rebalance(step);
            return;
        }
        self.transition(step, GroupState::Stable);
        self.store_group(step);
        let ids: Vec<String> = self.members.keys().cloned().collect();
        for member_id in &ids {
            let synced = self.synced(member_id);
            let member = self
                .members
                .get_mut(member_id)
                .expect("ids are those of the members");
            if let Some(caller) = member.syncing.take() {
                step.effects.synced.push((caller, Ok(synced)));
                // Its session may have run out while it waited for the leader, which does not count.
                self.restart_session(step, member_id);
            }
        }
    }

    /// Gives every member its assignment, or an empty one.
    fn assign(&mut self, assignments: Vec<(String, bytes::Bytes)>) {
        for member in self.members.values_mut() {
            member.assignment = bytes::Bytes::new();
        }
        for (member_id, assignment) in assignments {
            if let Some(member) = self.members.get_mut(&member_id) {
                member.assignment = bytes::Bytes::copy_from_slice(&assignment);
            }
        }
        self.count_members();
    }

    /// What a member of the present generation is to do.
    pub(super) fn synced(&self, member_id: &str) -> Synced {
        Synced {
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            assignment: self
                .members
                .get(member_id)
                .map_or(bytes::Bytes::new(), |member| member.assignment.clone()),
        }
    }

    /// Writes the group's record.
    pub(super) fn store_group(&mut self, step: &mut Step<'_, J, S>) {
        let request = StoreRequest::Group {
            group_id: self.group_id.clone(),
            group: self.to_stored(),
        };
        step.store(&request);
    }

    /// Takes all assignments back, and tells those who wait why.
    fn clear_assignments(&mut self, step: &mut Step<'_, J, S>, why: GroupError) {
        let mut waiting = Vec::new();
        for member in self.members.values_mut() {
            member.assignment = bytes::Bytes::new();
            if let Some(caller) = member.syncing.take() {
                step.effects.synced.push((caller, Err(why)));
                waiting.push(member.member_id.clone());
            }
        }
        self.count_members();
        for member_id in waiting {
            self.restart_session(step, &member_id);
        }
    }

    /// The time to ask for assignments is up: whoever has not is removed.
    pub(super) fn on_sync_timeout(&mut self, step: &mut Step<'_, J, S>) {
        let in_generation = matches!(
            self.state,
            GroupState::CompletingRebalance | GroupState::Stable
        );
        if !in_generation || self.pending_sync.is_empty() {
            return;
        }
        for member_id in std::mem::take(&mut self.pending_sync) {
            self.remove_member(step, &member_id, GroupError::UnknownMember);
        }
        self.prepare_rebalance(step);
    }

    /// A member, or an id that was given out, has not been heard of for too long.
    pub(super) fn on_session_timeout(&mut self, step: &mut Step<'_, J, S>, member_id: &str) {
        if self.take_back(member_id) {
            self.complete_if_all_joined(step);
            return;
        }
        let Some(member) = self.members.get(member_id) else {
            return;
        };
        let waits = member.joining.is_some() || member.syncing.is_some();
        if waits && !member.is_new {
            // It waits for others, and gets a whole session when the wait ends.
            return;
        }
        self.remove_member(step, member_id, GroupError::UnknownMember);
        self.rebalance_or_complete(step);
    }
}

impl<J, S> Effects<J, S> {
    pub(super) fn refuse_join(&mut self, caller: J, error: GroupError, member_id: &str) {
        self.joined.push((
            caller,
            Err(JoinRefused {
                error,
                member_id: member_id.to_string(),
            }),
        ));
    }
}
