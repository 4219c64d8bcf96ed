//! One member's life in a classic consumer group: join, sync, heartbeat, lose one's place, leave.
//!
//! Follows Kafka's Java client: with eager assignors everything is given up before a rejoin; with the cooperative one only
//! what the new assignment takes away, followed by another round if anything was. The core holds no connection: the shell asks what is due,
//! carries it to the coordinator, and reports the answer. Whoever gives up a partition commits its position first, which is why
//! [`Membership::given_up_by_joining`] is asked before the request is made.

use super::assignor::{self, Member};
use super::blob::{self, Malformed, Subscription};
use crate::options::AssignorKind;
use crate::records::TopicPartitionName;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use taffrail_env::Instant;
use taffrail_wire::ErrorCode;

/// Where a member stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Not in the group, or about to join again.
    Outside,
    /// In the group's next generation, waiting for its share.
    Joined,
    /// Holding a share; heartbeats keep it.
    Stable,
}

/// What to do after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All is well.
    Proceed,
    /// Join again at once.
    JoinAgain,
    /// The same once more, after a wait.
    Later,
    /// The coordinator is elsewhere: look for it, then join again or go on.
    FindCoordinator,
    /// The group will not have this member.
    Refused(ErrorCode),
}

/// What a member says to join.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinPlan {
    pub member_id: String,
    pub protocols: Vec<(&'static str, Bytes)>,
}

/// What the coordinator said to a join.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Joined {
    pub generation: i32,
    pub protocol: String,
    pub leader: String,
    pub member_id: String,
    /// A leader that came back and need not compute anything.
    pub skip_assignment: bool,
    /// Member id, instance id, subscription; empty unless this member leads.
    pub members: Vec<(String, Option<String>, Bytes)>,
}

/// How the owned partitions changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// The generation that shared out so.
    pub generation: i32,
    /// Owned when it shared out, from an earlier generation.
    pub held: Vec<TopicPartitionName>,
    pub revoked: Vec<TopicPartitionName>,
    pub added: Vec<TopicPartitionName>,
}

/// See the module's head.
#[derive(Debug)]
pub struct Membership {
    assignors: Vec<AssignorKind>,
    topics: Vec<String>,
    heartbeat_interval: Duration,
    standing: Standing,
    member_id: String,
    generation: i32,
    protocol: Option<AssignorKind>,
    owned: BTreeSet<TopicPartitionName>,
    rejoin: bool,
    next_heartbeat: Instant,
    /// What was taken away without a chance to commit, until the shell asks.
    lost: Vec<TopicPartitionName>,
}

impl Membership {
    /// `assignors` in order of preference, at least one.
    pub fn new(assignors: Vec<AssignorKind>, heartbeat_interval: Duration) -> Membership {
        assert!(
            !assignors.is_empty(),
            "a member knows at least one assignor"
        );
        Membership {
            assignors,
            topics: Vec::new(),
            heartbeat_interval,
            standing: Standing::Outside,
            member_id: String::new(),
            generation: -1,
            protocol: None,
            owned: BTreeSet::new(),
            rejoin: false,
            next_heartbeat: Instant::MAX,
            lost: Vec::new(),
        }
    }

    /// Changes what the member wants; takes effect with the next generation.
    pub fn subscribe(&mut self, mut topics: Vec<String>) {
        topics.sort();
        topics.dedup();
        if topics != self.topics {
            self.topics = topics;
            self.rejoin = true;
        }
    }

    pub fn topics(&self) -> &[String] {
        &self.topics
    }

    pub fn standing(&self) -> Standing {
        self.standing
    }

    pub fn member_id(&self) -> &str {
        &self.member_id
    }

    pub fn generation(&self) -> i32 {
        self.generation
    }

    pub fn owned(&self) -> &BTreeSet<TopicPartitionName> {
        &self.owned
    }

    /// Whether a join is due.
    pub fn wants_to_join(&self) -> bool {
        self.rejoin || self.standing == Standing::Outside
    }

    /// Asks for another generation: a topic has got more partitions, say.
    pub fn request_rejoin(&mut self) {
        self.rejoin = true;
    }

    fn is_cooperative(&self) -> bool {
        self.assignors
            .iter()
            .all(|kind| *kind == AssignorKind::CooperativeSticky)
    }

    /// What the member gives up before it may send a join: with eager assignors all that it owns, with the cooperative one only what
    /// it no longer wants.
    pub fn given_up_by_joining(&self) -> Vec<TopicPartitionName> {
        let cooperative = self.is_cooperative();
        self.owned
            .iter()
            .filter(|name| !cooperative || !self.topics.contains(&name.topic))
            .cloned()
            .collect()
    }

    /// The join to send now. What [`Membership::given_up_by_joining`] named is given up by this.
    pub fn plan_join(&mut self) -> JoinPlan {
        for name in self.given_up_by_joining() {
            self.owned.remove(&name);
        }
        self.rejoin = false;
        self.standing = Standing::Outside;
        self.next_heartbeat = Instant::MAX;
        let subscription = Subscription {
            topics: self.topics.clone(),
            owned: self.owned.iter().cloned().collect(),
            generation: self.generation,
        };
        JoinPlan {
            member_id: self.member_id.clone(),
            protocols: self
                .assignors
                .iter()
                .map(|kind| (kind.name(), subscription.encode()))
                .collect(),
        }
    }

    /// The coordinator took this member into a generation. A `None` protocol is one that this member never offered.
    pub fn on_joined(&mut self, joined: &Joined) -> Verdict {
        let protocol = self
            .assignors
            .iter()
            .find(|kind| kind.name() == joined.protocol);
        let Some(protocol) = protocol else {
            return Verdict::Refused(ErrorCode::InconsistentGroupProtocol);
        };
        self.protocol = Some(*protocol);
        self.member_id.clone_from(&joined.member_id);
        self.generation = joined.generation;
        self.standing = Standing::Joined;
        Verdict::Proceed
    }

    /// The shares that this member has to send if it leads the generation; `partitions` says how many each topic has.
    pub fn plan_assignment(
        &self,
        joined: &Joined,
        partitions: &BTreeMap<String, i32>,
    ) -> Result<Vec<(String, Bytes)>, Malformed> {
        if joined.leader != joined.member_id || joined.skip_assignment {
            return Ok(Vec::new());
        }
        let mut members = Vec::with_capacity(joined.members.len());
        for (member_id, group_instance_id, blob) in &joined.members {
            let subscription = Subscription::decode(blob)?;
            members.push(Member {
                member_id: member_id.clone(),
                group_instance_id: group_instance_id.clone(),
                topics: subscription.topics,
                owned: subscription.owned,
                generation: subscription.generation,
            });
        }
        let kind = self.protocol.expect("on_joined chose a protocol");
        let shares = assignor::assign(kind, &members, partitions);
        Ok(shares
            .into_iter()
            .map(|(member_id, share)| (member_id, blob::encode_assignment(&share)))
            .collect())
    }

    /// Every topic that a member of this generation wants: what the leader must know the partitions of.
    pub fn topics_of_all(joined: &Joined) -> Result<BTreeSet<String>, Malformed> {
        let mut topics = BTreeSet::new();
        for (_, _, blob) in &joined.members {
            topics.extend(Subscription::decode(blob)?.topics);
        }
        Ok(topics)
    }

    pub fn on_join_error(&mut self, error: ErrorCode, member_id: &str) -> Verdict {
        match error {
            ErrorCode::MemberIdRequired => {
                member_id.clone_into(&mut self.member_id);
                self.rejoin = true;
                Verdict::JoinAgain
            }
            _ => self.on_error(error),
        }
    }

    /// This member's share has come.
    pub fn on_synced(&mut self, now: Instant, assignment: &Bytes) -> Result<Changed, Malformed> {
        let share: BTreeSet<TopicPartitionName> =
            blob::decode_assignment(assignment)?.into_iter().collect();
        let changed = Changed {
            generation: self.generation,
            held: self.owned.iter().cloned().collect(),
            revoked: self.owned.difference(&share).cloned().collect(),
            added: share.difference(&self.owned).cloned().collect(),
        };
        if !changed.revoked.is_empty() {
            // What was let go has a new owner only in the next generation.
            self.rejoin = true;
        }
        self.owned = share;
        self.standing = Standing::Stable;
        self.next_heartbeat = now + self.heartbeat_interval;
        Ok(changed)
    }

    /// No answer came to a join, or none to the question for the share behind it: only another join leads on.
    pub fn on_round_lost(&mut self) {
        self.standing = Standing::Outside;
    }

    pub fn on_sync_error(&mut self, error: ErrorCode) -> Verdict {
        self.standing = Standing::Outside;
        self.on_error(error)
    }

    /// When the next heartbeat is due; [`Instant::MAX`] outside a generation.
    pub fn next_deadline(&self) -> Instant {
        self.next_heartbeat
    }

    /// A heartbeat is about to be sent.
    pub fn on_heartbeat_sent(&mut self, now: Instant) {
        self.next_heartbeat = now + self.heartbeat_interval;
    }

    /// An answer to a heartbeat or an offset commit that was sent in `generation`. Answers to an earlier one say nothing.
    pub fn on_group_error(&mut self, generation: i32, error: ErrorCode) -> Verdict {
        if generation != self.generation {
            return Verdict::Proceed;
        }
        self.on_error(error)
    }

    fn on_error(&mut self, error: ErrorCode) -> Verdict {
        match error {
            ErrorCode::None => Verdict::Proceed,
            ErrorCode::RebalanceInProgress => {
                self.rejoin = true;
                Verdict::JoinAgain
            }
            ErrorCode::UnknownMemberId => {
                self.lose_place();
                self.member_id.clear();
                Verdict::JoinAgain
            }
            ErrorCode::IllegalGeneration => {
                self.lose_place();
                Verdict::JoinAgain
            }
            ErrorCode::CoordinatorNotAvailable | ErrorCode::NotCoordinator => {
                if self.standing != Standing::Stable {
                    self.rejoin = true;
                }
                Verdict::FindCoordinator
            }
            ErrorCode::CoordinatorLoadInProgress => {
                if self.standing != Standing::Stable {
                    self.rejoin = true;
                }
                Verdict::Later
            }
            other => {
                self.lose_place();
                Verdict::Refused(other)
            }
        }
    }

    /// The group went on without this member: what it owned may have another owner already.
    pub fn lose_place(&mut self) {
        self.lost.extend(std::mem::take(&mut self.owned));
        self.generation = -1;
        self.standing = Standing::Outside;
        self.next_heartbeat = Instant::MAX;
        self.rejoin = true;
    }

    /// What was lost since the last call.
    pub fn take_lost(&mut self) -> Vec<TopicPartitionName> {
        std::mem::take(&mut self.lost)
    }

    /// The member left of its own will. It joins again only by another `subscribe`.
    pub fn on_left(&mut self) {
        self.owned.clear();
        self.member_id.clear();
        self.generation = -1;
        self.standing = Standing::Outside;
        self.next_heartbeat = Instant::MAX;
    }
}

#[cfg(test)]
mod tests;
