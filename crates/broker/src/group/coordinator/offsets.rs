//! Committed offsets: who may commit, read and delete them, and when they expire.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Coordinator, Effects};
use crate::group::request::{CommitRequest, GroupError};
use crate::group::state::{Group, GroupState};
use crate::group::stored::{CommittedOffset, StoreRequest};
use crate::group::{GroupConfig, Now, rebalance::Step};
use crate::metadata::RawTopicId;

/// One answer for each offset of a request, in order.
pub type OffsetAnswers = Vec<Result<(), GroupError>>;

impl<J, S> Coordinator<J, S> {
    /// OffsetCommit.
    pub fn commit(
        &mut self,
        now: Now,
        request: CommitRequest,
        effects: &mut Effects<J, S>,
    ) -> Result<OffsetAnswers, GroupError> {
        let group_id = request.group_id.clone();
        match self.step(now, &group_id, effects, |group, step| {
            group.validate_commit(step, &request)
        }) {
            Some(valid) => valid?,
            None if request.generation < 0 || self.stored.knows(&group_id) => {
                validate_commit_to_simple_group(&request)?;
            }
            None if request.knows_group_not_found => return Err(GroupError::GroupNotFound),
            None => return Err(GroupError::IllegalGeneration),
        }
        let is_new = !self.stored.knows(&group_id) && !self.groups.contains_key(&group_id);
        if is_new && self.stored.group_ids().count() >= self.config.groups_max {
            return Err(GroupError::StateTooLarge);
        }
        let room = self.room();
        let to_know = self.stored.bytes_to_know(&group_id);
        let mut room = room.checked_sub(to_know).ok_or(GroupError::StateTooLarge)?;
        let (mut answers, mut offsets) = (Vec::new(), Vec::new());
        // What the offset of each partition takes, as the request has left it so far.
        let mut taken = BTreeMap::new();
        for (topic, partition, value) in request.into_values(now) {
            let before = taken.entry((topic.clone(), partition)).or_insert_with(|| {
                let old = self.stored.offset(&group_id, &topic, partition);
                old.map_or(0, |old| old.bytes(&topic))
            });
            let answer = admit(&self.config, &topic, &value, before, &mut room);
            if answer.is_ok() {
                offsets.push((topic, partition, value));
            }
            answers.push(answer);
        }
        if !offsets.is_empty() {
            self.store(now, &StoreRequest::Commit { group_id, offsets }, effects);
        }
        Ok(answers)
    }

    /// OffsetFetch of one partition. A group that nobody knows has no offsets, which is no error.
    pub fn offset(&self, group_id: &str, topic: &str, partition: i32) -> Option<&CommittedOffset> {
        self.stored.offset(group_id, topic, partition)
    }

    /// OffsetFetch of everything.
    pub fn offsets(&self, group_id: &str) -> impl Iterator<Item = (&str, i32, &CommittedOffset)> {
        self.stored.offsets(group_id)
    }

    /// What all offsets of a group take, roughly, in bytes.
    pub fn offset_bytes(&self, group_id: &str) -> usize {
        let offsets = self.stored.offsets(group_id);
        offsets.map(|(topic, _, offset)| offset.bytes(topic)).sum()
    }

    /// OffsetDelete: one answer for each offset. An offset that was never committed is deleted already.
    pub fn delete_offsets(
        &mut self,
        now: Now,
        group_id: &str,
        offsets: &[(String, i32)],
        effects: &mut Effects<J, S>,
    ) -> Result<OffsetAnswers, GroupError> {
        if group_id.is_empty() {
            return Err(GroupError::InvalidGroupId);
        }
        let group = self.groups.get(group_id);
        if group.is_none() && !self.stored.knows(group_id) {
            return Err(GroupError::GroupNotFound);
        }
        let in_use = group.filter(|group| group.state != GroupState::Empty);
        if in_use.is_some_and(|group| !group.is_consumer_group()) {
            return Err(GroupError::GroupNotEmpty);
        }
        let subscribed = |topic: &str| in_use.is_some_and(|group| group.is_subscribed(topic));
        let answers: OffsetAnswers = offsets
            .iter()
            .map(|(topic, _)| {
                if subscribed(topic) {
                    Err(GroupError::SubscribedToTopic)
                } else {
                    Ok(())
                }
            })
            .collect();
        let deletable = offsets
            .iter()
            .zip(&answers)
            .filter(|(_, answer)| answer.is_ok());
        let offsets = deletable.map(|(offset, _)| offset.clone()).collect();
        self.store(
            now,
            &StoreRequest::DeleteOffsets {
                group_id: group_id.to_string(),
                offsets,
            },
            effects,
        );
        Ok(answers)
    }

    /// Topics were deleted: their offsets go too.
    pub fn delete_topics(
        &mut self,
        now: Now,
        topic_ids: BTreeSet<RawTopicId>,
        effects: &mut Effects<J, S>,
    ) {
        self.store(now, &StoreRequest::DeleteTopics { topic_ids }, effects);
    }

    /// Forgets offsets that are too old, and groups of which nothing is left. Not when the wall clock has jumped since the last
    /// time: one that comes back has then deleted nothing.
    pub(super) fn expire_offsets(&mut self, now: Now, effects: &mut Effects<J, S>) {
        let believed = self.wall.look(now.unix_ms, now.at, Duration::ZERO);
        if believed.is_none() {
            return;
        }
        let ids: Vec<String> = self.stored.group_ids().map(str::to_string).collect();
        for group_id in ids {
            let group = self.groups.get(&group_id);
            let rule = group.map_or(crate::group::ExpiryRule::SinceCommit, Group::expiry_rule);
            let retention_ms = self.config.offsets_retention_ms;
            let expire = StoreRequest::Expire {
                group_id: group_id.clone(),
                now_ms: now.unix_ms,
                retention_ms,
                rule,
            };
            self.store(now, &expire, effects);
            let is_idle =
                |group: &Group<J, S>| group.state == GroupState::Empty && group.pending.is_empty();
            if self.groups.get(&group_id).is_none_or(is_idle) && !self.stored.has_offsets(&group_id)
            {
                self.store(
                    now,
                    &StoreRequest::DeleteGroup {
                        group_id: group_id.clone(),
                    },
                    effects,
                );
                self.forget(&group_id);
            }
        }
    }

    /// Changes what is durable outside of any group's step.
    pub(super) fn store(&mut self, now: Now, request: &StoreRequest, effects: &mut Effects<J, S>) {
        let mut step = Step {
            now,
            config: &self.config,
            stored: &mut self.stored,
            timers: &mut self.timers,
            effects,
        };
        step.store(request);
    }
}

impl<J, S> Group<J, S> {
    fn validate_commit(
        &mut self,
        step: &mut Step<'_, J, S>,
        request: &CommitRequest,
    ) -> Result<(), GroupError> {
        if request.generation < 0 && self.state == GroupState::Empty {
            return Ok(());
        }
        let claims_membership = request.generation >= 0
            || !request.member_id.is_empty()
            || request.instance_id.is_some();
        if !claims_membership {
            // While a group has members, only they commit.
            return Err(GroupError::UnknownMember);
        }
        self.validate_member(&request.member_id, request.instance_id.as_deref())?;
        if request.generation != self.generation {
            return Err(GroupError::IllegalGeneration);
        }
        if self.state == GroupState::CompletingRebalance {
            return Err(GroupError::RebalanceInProgress);
        }
        self.restart_session(step, &request.member_id);
        Ok(())
    }
}

/// A group that has offsets and never had members takes commits of whoever claims no membership.
fn validate_commit_to_simple_group(request: &CommitRequest) -> Result<(), GroupError> {
    if request.generation < 0 {
        Ok(())
    } else {
        Err(GroupError::UnknownMember)
    }
}

/// Whether there is room for an offset in the place of one that takes `before`. Where there is none left, offsets still move on.
fn admit(
    config: &GroupConfig,
    topic: &str,
    value: &CommittedOffset,
    before: &mut usize,
    room: &mut usize,
) -> Result<(), GroupError> {
    if value.metadata.encode_utf16().count() > config.offset_metadata_max {
        return Err(GroupError::OffsetMetadataTooLarge);
    }
    let bytes = value.bytes(topic);
    *room = (*room + *before)
        .checked_sub(bytes)
        .ok_or(GroupError::StateTooLarge)?;
    *before = bytes;
    Ok(())
}

impl CommitRequest {
    fn into_values(self, now: Now) -> impl Iterator<Item = (String, i32, CommittedOffset)> {
        let expires_at_ms = self
            .retention_ms
            .map(|retention_ms| now.unix_ms.saturating_add(retention_ms));
        self.offsets.into_iter().map(move |offset| {
            let value = CommittedOffset {
                offset: offset.offset,
                leader_epoch: offset.leader_epoch,
                metadata: offset.metadata,
                committed_at_ms: now.unix_ms,
                expires_at_ms,
                topic_id: Some(offset.topic_id).filter(|id| *id != [0; 16]),
            };
            (offset.topic, offset.partition, value)
        })
    }
}
