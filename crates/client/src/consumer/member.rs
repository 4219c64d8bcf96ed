//! A consumer's part in its group: joining, heartbeats, commits and leaving. What decides is in [`crate::group::membership`].
//!
//! A join runs in a task, is begun by a poll, and its result is carried out by a poll, so partitions never change
//! hands while the caller works on records.

use super::fetcher::StartAt;
use super::hindrance::Work;
use super::{Rebalance, Shared};
use crate::deadline;
use crate::errors::{ClientError, ConsumeError};
use crate::group::coordinator::{Committer, may_pass};
use crate::group::membership::{Changed, JoinPlan, Joined, Membership, Standing, Verdict};
use crate::options::millis;
use crate::records::TopicPartitionName;
use crate::signal::Signal;
use bytes::Bytes;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;
use taffrail_env::{Env, Instant};
use taffrail_wire::ErrorCode;
use taffrail_wire::heartbeat::HeartbeatRequest;
use taffrail_wire::join_group::{JoinGroupRequest, JoinGroupRequestProtocol};
use taffrail_wire::leave_group::{LeaveGroupRequest, MemberIdentity};
use taffrail_wire::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};

const PROTOCOL_TYPE: &str = "consumer";
/// How much longer than the rebalance timeout a join may take.
const JOIN_GRACE: Duration = Duration::from_secs(5);

/// What a consumer keeps for its group.
pub(super) struct Member {
    pub membership: RefCell<Membership>,
    pub subscribed: Cell<bool>,
    pub rebalances: RefCell<Vec<Rebalance>>,
    /// The heartbeat task has to look.
    pub changed: Signal,
    joining: Cell<bool>,
    /// A share that came, for the next poll to carry out.
    share: RefCell<Option<Changed>>,
    last_poll: Cell<Instant>,
    last_commit: Cell<Instant>,
    /// The partition counts that this member shared out, if it led.
    shared_out: RefCell<Option<BTreeMap<String, i32>>>,
}

impl Member {
    pub fn new(membership: Membership) -> Member {
        Member {
            membership: RefCell::new(membership),
            subscribed: Cell::new(false),
            rebalances: RefCell::default(),
            changed: Signal::default(),
            joining: Cell::new(false),
            share: RefCell::default(),
            last_poll: Cell::new(Instant(0)),
            last_commit: Cell::new(Instant(0)),
            shared_out: RefCell::default(),
        }
    }
}

impl<E: Env> Shared<E> {
    /// A poll's part of the membership.
    pub(super) async fn take_part(self: &Rc<Self>, until: Instant) {
        let Some(member) = &self.member else { return };
        if !member.subscribed.get() {
            return;
        }
        let env = self.client.env();
        member.last_poll.set(env.now());
        self.carry_out_losses(member);
        self.carry_out_share(member, until).await;
        self.watch_topics(member);
        if member.membership.borrow().wants_to_join() && !member.joining.get() {
            self.begin_join(member, until).await;
        }
        self.commit_if_due(member);
    }

    pub(super) fn carry_out_losses(&self, member: &Member) {
        let mut lost = member.membership.borrow_mut().take_lost();
        let generation = member.membership.borrow().generation();
        let overtaken = |share: &mut Changed| share.generation != generation;
        if let Some(share) = member.share.borrow_mut().take_if(overtaken) {
            // It was shared out in a generation that this member has lost: what it gives is not ours to start.
            lost.extend(share.revoked);
        }
        if lost.is_empty() {
            return;
        }
        let mut fetcher = self.fetcher.borrow_mut();
        for name in &lost {
            fetcher.stop(name);
        }
        member.rebalances.borrow_mut().push(Rebalance::Lost(lost));
    }

    async fn carry_out_share(&self, member: &Member, until: Instant) {
        let Some(revoked) = member
            .share
            .borrow()
            .as_ref()
            .map(|share| share.revoked.clone())
        else {
            return;
        };
        self.revoke(member, revoked, until).await;
        // Taken only now: a poll that is given up while it commits leaves the share to the next.
        let changed = member.share.take().expect("only polls take it");
        if !changed.held.is_empty() {
            let held = Rebalance::Held {
                generation: changed.generation,
                partitions: changed.held,
            };
            member.rebalances.borrow_mut().push(held);
        }
        let mut fetcher = self.fetcher.borrow_mut();
        for name in &changed.added {
            fetcher.start(name, StartAt::Committed);
        }
        // Nothing is told, too: whoever waits for a share knows then that there is none.
        let assigned = Rebalance::Assigned {
            generation: changed.generation,
            partitions: changed.added,
        };
        member.rebalances.borrow_mut().push(assigned);
        member.last_commit.set(self.client.env().now());
    }

    async fn revoke(&self, member: &Member, revoked: Vec<TopicPartitionName>, until: Instant) {
        if revoked.is_empty() {
            return;
        }
        if self.options.auto_commit_interval.is_some() {
            let mut positions = self.fetcher.borrow().positions();
            positions.retain(|name, _| revoked.contains(name));
            if let Err(error) = self.commit(&positions, until).await {
                tracing::warn!(%error, "positions of revoked partitions were not committed");
            }
        }
        let mut fetcher = self.fetcher.borrow_mut();
        for name in &revoked {
            fetcher.stop(name);
        }
        let revoked = Rebalance::Revoked(revoked);
        member.rebalances.borrow_mut().push(revoked);
    }

    /// Topics that appear or grow ask the leader for another round.
    fn watch_topics(&self, member: &Member) {
        let now = self.client.env().now();
        let age_max = self.client.options().metadata_age_max;
        let topics = member.membership.borrow().topics().to_vec();
        let mut grew = false;
        let shared_out = member.shared_out.borrow();
        for topic in &topics {
            let (fresh, count) = self.client.with_metadata(|metadata| {
                let count = metadata
                    .topic(topic)
                    .map_or(0, |topic| topic.partition_count());
                (metadata.is_fresh(now, topic, age_max), count)
            });
            if !fresh {
                self.client.refresh_soon(topic, false);
            }
            let before = shared_out.as_ref().and_then(|counts| counts.get(topic));
            grew |= shared_out.is_some() && count > 0 && before != Some(&count);
        }
        drop(shared_out);
        if grew {
            member.shared_out.replace(None);
            member.membership.borrow_mut().request_rejoin();
        }
    }

    async fn begin_join(self: &Rc<Self>, member: &Member, until: Instant) {
        let given_up = member.membership.borrow().given_up_by_joining();
        self.revoke(member, given_up, until).await;
        member.joining.set(true);
        let plan = member.membership.borrow_mut().plan_join();
        member.shared_out.replace(None);
        self.client.env().spawn(join(self.clone(), plan));
    }

    fn commit_if_due(self: &Rc<Self>, member: &Member) {
        let Some(interval) = self.options.auto_commit_interval else {
            return;
        };
        let now = self.client.env().now();
        if now < member.last_commit.get() + interval {
            return;
        }
        if member.membership.borrow().standing() != Standing::Stable {
            return;
        }
        member.last_commit.set(now);
        let positions = self.fetcher.borrow().positions();
        if positions.is_empty() {
            return;
        }
        let shared = self.clone();
        self.client.env().spawn(async move {
            let until = shared.client.env().now() + shared.client.options().request_timeout;
            match shared.commit(&positions, until).await {
                Ok(()) => shared.went_well(&Work::Committing),
                // A rebalance is under way, and what it gives is committed then.
                Err(ConsumeError::NotOwner) => {}
                Err(error) => {
                    if shared.failed(Work::Committing, &error) {
                        tracing::warn!(%error, "positions were not committed");
                    }
                }
            }
        });
    }

    /// The coordinator would not take a member's commit.
    pub(super) fn on_commit_refused(
        &self,
        committer: &Committer,
        code: ErrorCode,
        error: ClientError,
    ) -> ConsumeError {
        let Some(member) = &self.member else {
            return error.into();
        };
        let verdict = {
            let mut membership = member.membership.borrow_mut();
            membership.on_group_error(committer.generation, code)
        };
        self.arrived.notify();
        match (verdict, code) {
            (Verdict::Refused(_), _) => ConsumeError::Refused(error),
            (
                _,
                ErrorCode::RebalanceInProgress
                | ErrorCode::IllegalGeneration
                | ErrorCode::UnknownMemberId,
            ) => ConsumeError::NotOwner,
            _ => error.into(),
        }
    }

    pub(super) async fn leave(&self, until: Instant) {
        let (Some(member), Some(coordinator)) = (&self.member, &self.coordinator) else {
            return;
        };
        let member_id = member.membership.borrow().member_id().to_owned();
        member.membership.borrow_mut().on_left();
        // A static member keeps its place until its session runs out.
        if member_id.is_empty() || self.options.group_instance_id.is_some() {
            return;
        }
        let request = LeaveGroupRequest {
            group_id: coordinator.group(),
            members: vec![MemberIdentity {
                member_id: &member_id,
                ..MemberIdentity::default()
            }],
            ..LeaveGroupRequest::default()
        };
        let left = coordinator.call(&request, i16::MAX, until).await;
        if let Err(error) = left {
            // The session's end does the same, only later.
            tracing::debug!(%error, "did not leave the group in person");
        }
    }
}

/// One round: join, share out if leading, take one's share.
async fn join<E: Env>(shared: Rc<Shared<E>>, plan: JoinPlan) {
    let member = shared.member.as_ref().expect("joining needs a membership");
    let verdict = join_and_sync(&shared, member, &plan).await;
    let error = match verdict {
        Ok(Verdict::Refused(code)) => Some(ClientError::Refused {
            code,
            message: None,
            subject: format!("group {}", shared.coordinator().group()),
        }),
        Ok(Verdict::FindCoordinator) => {
            shared.coordinator().forget();
            shared.client.pause(1, Instant::MAX).await;
            None
        }
        Ok(Verdict::Later) => {
            shared.client.pause(1, Instant::MAX).await;
            None
        }
        Ok(Verdict::Proceed | Verdict::JoinAgain) => {
            shared.went_well(&Work::Joining);
            None
        }
        Err(error) if may_pass(&error) => {
            tracing::debug!(%error, "joining again");
            member.membership.borrow_mut().on_round_lost();
            shared.failed(Work::Joining, &error);
            shared.coordinator().forget();
            shared.client.pause(1, Instant::MAX).await;
            None
        }
        Err(error) => Some(error),
    };
    if let Some(error) = error {
        shared.fail(ConsumeError::Refused(error));
    }
    member.joining.set(false);
    member.changed.notify();
    shared.arrived.notify();
}

async fn join_and_sync<E: Env>(
    shared: &Shared<E>,
    member: &Member,
    plan: &JoinPlan,
) -> Result<Verdict, ClientError> {
    let options = &shared.options;
    let env = shared.client.env();
    let coordinator = shared.coordinator();
    let request = JoinGroupRequest {
        group_id: coordinator.group(),
        session_timeout_ms: millis(options.session_timeout),
        rebalance_timeout_ms: millis(options.rebalance_timeout),
        member_id: &plan.member_id,
        group_instance_id: options.group_instance_id.as_deref(),
        protocol_type: PROTOCOL_TYPE,
        protocols: plan
            .protocols
            .iter()
            .map(|(name, metadata)| JoinGroupRequestProtocol {
                name,
                metadata: metadata.clone(),
            })
            .collect(),
        ..JoinGroupRequest::default()
    };
    let until = env.now() + options.rebalance_timeout + JOIN_GRACE;
    let reply = coordinator.call(&request, i16::MAX, until).await?;
    let response = reply.read::<JoinGroupRequest<'_>>()?;
    let code = ErrorCode::from(response.error_code);
    if code != ErrorCode::None {
        let mut membership = member.membership.borrow_mut();
        return Ok(membership.on_join_error(code, response.member_id));
    }
    let joined = Joined {
        generation: response.generation_id,
        protocol: response.protocol_name.unwrap_or_default().to_owned(),
        leader: response.leader.to_owned(),
        member_id: response.member_id.to_owned(),
        skip_assignment: response.skip_assignment,
        members: response
            .members
            .iter()
            .map(|member| {
                let instance = member.group_instance_id.map(str::to_owned);
                (
                    member.member_id.to_owned(),
                    instance,
                    member.metadata.clone(),
                )
            })
            .collect(),
    };
    let verdict = member.membership.borrow_mut().on_joined(&joined);
    if verdict != Verdict::Proceed {
        return Ok(verdict);
    }
    let shares = share_out(shared, member, &joined).await?;
    sync(shared, member, &joined, &shares).await
}

/// What a leader gives each member.
async fn share_out<E: Env>(
    shared: &Shared<E>,
    member: &Member,
    joined: &Joined,
) -> Result<Vec<(String, Bytes)>, ClientError> {
    let malformed = |error: crate::group::blob::Malformed| ClientError::Protocol(error.to_string());
    let topics = Membership::topics_of_all(joined).map_err(malformed)?;
    if topics.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<&str> = topics.iter().map(String::as_str).collect();
    let until = shared.client.env().now() + shared.client.options().request_timeout;
    shared
        .client
        .fetch_metadata(Some(&names), false, until)
        .await?;
    let counts: BTreeMap<String, i32> = shared.client.with_metadata(|metadata| {
        let count = |topic: &&str| {
            let count = metadata.topic(topic)?.partition_count();
            (count > 0).then(|| ((*topic).to_owned(), count))
        };
        names.iter().filter_map(count).collect()
    });
    let shares = {
        let membership = member.membership.borrow();
        membership
            .plan_assignment(joined, &counts)
            .map_err(malformed)?
    };
    member.shared_out.replace(Some(counts));
    Ok(shares)
}

async fn sync<E: Env>(
    shared: &Shared<E>,
    member: &Member,
    joined: &Joined,
    shares: &[(String, Bytes)],
) -> Result<Verdict, ClientError> {
    let coordinator = shared.coordinator();
    let request = SyncGroupRequest {
        group_id: coordinator.group(),
        generation_id: joined.generation,
        member_id: &joined.member_id,
        group_instance_id: shared.options.group_instance_id.as_deref(),
        protocol_type: Some(PROTOCOL_TYPE),
        protocol_name: Some(&joined.protocol),
        assignments: shares
            .iter()
            .map(|(member_id, assignment)| SyncGroupRequestAssignment {
                member_id,
                assignment: assignment.clone(),
            })
            .collect(),
    };
    let env = shared.client.env();
    let until = env.now() + shared.options.rebalance_timeout + JOIN_GRACE;
    let reply = coordinator.call(&request, i16::MAX, until).await?;
    let response = reply.read::<SyncGroupRequest<'_>>()?;
    let mut membership = member.membership.borrow_mut();
    let code = ErrorCode::from(response.error_code);
    if code != ErrorCode::None {
        return Ok(membership.on_sync_error(code));
    }
    let changed = membership
        .on_synced(env.now(), &response.assignment)
        .map_err(|error| ClientError::Protocol(error.to_string()))?;
    member.share.replace(Some(changed));
    Ok(Verdict::Proceed)
}

/// The heartbeat task: from the first subscription until the consumer ends.
pub(super) async fn heartbeats<E: Env>(shared: Rc<Shared<E>>) {
    let env = shared.client.env().clone();
    let member = shared.member.as_ref().expect("subscribing needs a group");
    while !shared.closed.get() {
        let mark = member.changed.mark();
        let due = member.membership.borrow().next_deadline();
        if due > env.now() {
            deadline::before(&env, due, member.changed.changed(mark)).await;
            continue;
        }
        if env.now() > member.last_poll.get() + shared.options.rebalance_timeout {
            tracing::warn!("leaving the group: poll was not called within the rebalance timeout");
            let until = env.now() + shared.client.options().request_timeout;
            member.membership.borrow_mut().lose_place();
            shared.leave(until).await;
            continue;
        }
        heartbeat(&shared, member).await;
    }
}

async fn heartbeat<E: Env>(shared: &Shared<E>, member: &Member) {
    let env = shared.client.env();
    let coordinator = shared.coordinator();
    let (generation, member_id) = {
        let mut membership = member.membership.borrow_mut();
        membership.on_heartbeat_sent(env.now());
        (membership.generation(), membership.member_id().to_owned())
    };
    let request = HeartbeatRequest {
        group_id: coordinator.group(),
        generation_id: generation,
        member_id: &member_id,
        group_instance_id: shared.options.group_instance_id.as_deref(),
    };
    let until = env.now() + shared.options.session_timeout;
    let answer = match coordinator.call(&request, i16::MAX, until).await {
        Ok(reply) => reply
            .read::<HeartbeatRequest<'_>>()
            .map(|response| ErrorCode::from(response.error_code)),
        Err(error) => Err(error),
    };
    let verdict = match answer {
        Ok(code) => member
            .membership
            .borrow_mut()
            .on_group_error(generation, code),
        Err(error) => {
            tracing::debug!(%error, "no answer to a heartbeat");
            return;
        }
    };
    match verdict {
        Verdict::FindCoordinator => coordinator.forget(),
        Verdict::Refused(code) => shared.fail(ConsumeError::Refused(ClientError::Refused {
            code,
            message: None,
            subject: format!("group {}", coordinator.group()),
        })),
        Verdict::Proceed | Verdict::JoinAgain | Verdict::Later => {}
    }
    if verdict != Verdict::Proceed {
        shared.arrived.notify();
    }
}
