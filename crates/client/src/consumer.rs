//! The consumer: records out of assigned partitions, or of those that a group gives this member.
//!
//! `poll` is where everything that a caller can notice happens: records are given out, partitions come and go. Requests run
//! in tasks of their own meanwhile, so a `poll` that is given up loses nothing. As with Kafka's own client a member that does not poll for longer than
//! the rebalance timeout leaves its group; heartbeats go on between polls.

pub mod fetcher;
mod fetching;
mod hindrance;
mod member;

use crate::client::{Client, Lane};
use crate::deadline;
use crate::errors::ConsumeError;
use crate::group::coordinator::{Committer, Coordinator};
use crate::group::membership::Membership;
use crate::options::ConsumerOptions;
use crate::records::{Fetched, TopicPartitionName};
use crate::signal::Signal;
use fetcher::Fetcher;
pub use fetcher::StartAt;
use hindrance::{Hindrances, Work};
use member::Member;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;
use taffrail_env::{Env, Instant};
use taffrail_record::Offset;

/// How the partitions of a group member changed, in order of their happening.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rebalance {
    /// Given by this generation of the group; told also if it is nothing.
    Assigned {
        generation: i32,
        partitions: Vec<TopicPartitionName>,
    },
    /// Owned from an earlier generation when this one shared out; kept, but for what is told to be given up.
    Held {
        generation: i32,
        partitions: Vec<TopicPartitionName>,
    },
    /// Given up; positions were committed first if commits are automatic.
    Revoked(Vec<TopicPartitionName>),
    /// Taken away: somebody else may have them already.
    Lost(Vec<TopicPartitionName>),
}

/// See the module's head.
pub struct Consumer<E: Env> {
    shared: Rc<Shared<E>>,
}

pub(crate) struct Shared<E: Env> {
    client: Client<E>,
    options: ConsumerOptions,
    fetch_lane: Lane,
    group_lane: Lane,
    fetcher: RefCell<Fetcher>,
    coordinator: Option<Coordinator<E>>,
    member: Option<Member>,
    /// Nodes with a fetch on its way.
    fetching: RefCell<BTreeSet<i32>>,
    /// Positions are being looked for.
    placing: Cell<bool>,
    /// What the next poll has to say.
    failure: RefCell<Option<ConsumeError>>,
    hindrances: RefCell<Hindrances>,
    /// Something for `poll` to look at.
    arrived: Signal,
    closed: Cell<bool>,
}

impl<E: Env> Consumer<E> {
    pub fn new(client: &Client<E>, options: ConsumerOptions) -> Consumer<E> {
        let group_lane = client.new_lane();
        let coordinator = options
            .group
            .as_ref()
            .map(|group| Coordinator::new(client, group_lane, group));
        let member = options.group.as_ref().map(|_| {
            let membership = Membership::new(options.assignors.clone(), options.heartbeat_interval);
            Member::new(membership)
        });
        let shared = Rc::new(Shared {
            client: client.clone(),
            fetch_lane: client.new_lane(),
            group_lane,
            fetcher: RefCell::new(Fetcher::new(options.decompressed_bytes_max)),
            options,
            coordinator,
            member,
            fetching: RefCell::default(),
            placing: Cell::new(false),
            failure: RefCell::default(),
            hindrances: RefCell::default(),
            arrived: Signal::default(),
            closed: Cell::new(false),
        });
        Consumer { shared }
    }

    /// Reads these partitions, from these places on, and no others. Not together with [`Consumer::subscribe`].
    pub fn assign(&self, partitions: &[(TopicPartitionName, StartAt)]) {
        let mut fetcher = self.shared.fetcher.borrow_mut();
        for name in fetcher.partitions() {
            fetcher.stop(&name);
        }
        for (name, start) in partitions {
            fetcher.start(name, *start);
        }
        drop(fetcher);
        self.shared.arrived.notify();
    }

    /// Joins the group, with the next `poll`, and reads what it gives this member of these topics.
    ///
    /// # Panics
    /// Without [`ConsumerOptions::group`].
    pub fn subscribe(&self, topics: &[String]) {
        let member = self
            .shared
            .member
            .as_ref()
            .expect("subscribing needs a group");
        member.membership.borrow_mut().subscribe(topics.to_vec());
        if !member.subscribed.replace(true) {
            let shared = self.shared.clone();
            self.shared.client.env().spawn(member::heartbeats(shared));
        }
        self.shared.arrived.notify();
    }

    /// The next records, as soon as there are any; none if `timeout` passes first.
    pub async fn poll(&self, timeout: Duration) -> Result<Vec<Fetched>, ConsumeError> {
        let shared = &self.shared;
        let env = shared.client.env();
        let until = env.now() + timeout;
        loop {
            let arrived = shared.arrived.mark();
            let metadata = shared.client.metadata_mark();
            if let Some(failure) = shared.failure.take() {
                // Who is put out of the group owns nothing any more, whether or not it polls again.
                if let Some(member) = &shared.member {
                    shared.carry_out_losses(member);
                }
                return Err(failure);
            }
            shared.take_part(until).await;
            let records = shared
                .fetcher
                .borrow_mut()
                .take(shared.options.poll_records_max)?;
            fetching::start(shared);
            if !records.is_empty() {
                return Ok(records);
            }
            let now = env.now();
            if now >= until {
                return Ok(records);
            }
            let retry = shared.fetcher.borrow().next_deadline(now);
            let wake = until.min(retry.unwrap_or(Instant::MAX));
            let changed = deadline::either(
                shared.arrived.changed(arrived),
                shared.client.metadata_changed(metadata),
            );
            deadline::before(env, wake, changed).await;
        }
    }

    /// What is being read just now.
    pub fn assignment(&self) -> Vec<TopicPartitionName> {
        self.shared.fetcher.borrow().partitions()
    }

    /// The rebalances that polls carried out since the last call.
    pub fn take_rebalances(&self) -> Vec<Rebalance> {
        match &self.shared.member {
            Some(member) => member.rebalances.take(),
            None => Vec::new(),
        }
    }

    /// The member's id and generation; an empty id and -1 outside of a group.
    pub fn membership(&self) -> (String, i32) {
        match &self.shared.member {
            Some(member) => {
                let membership = member.membership.borrow();
                (membership.member_id().to_owned(), membership.generation())
            }
            None => (String::new(), -1),
        }
    }

    /// The offset of the next record that `poll` gives of a partition, once it is known.
    pub fn position(&self, partition: &TopicPartitionName) -> Option<Offset> {
        self.shared.fetcher.borrow().position(partition)
    }

    /// The end of the partition as the last answer had it.
    pub fn high_watermark(&self, partition: &TopicPartitionName) -> Option<Offset> {
        self.shared.fetcher.borrow().high_watermark(partition)
    }

    /// What has kept this consumer from going on, for how long, and why the last time: polls go on and wait for it to pass.
    pub fn hindered(&self) -> Option<(Duration, String)> {
        let fetcher = self.shared.fetcher.borrow();
        let mut hindrances = self.shared.hindrances.borrow_mut();
        hindrances.keep_partitions(|name| fetcher.contains(name));
        let (since, why) = hindrances.longest()?;
        let now = self.shared.client.env().now();
        Some((now.saturating_since(since), why.to_owned()))
    }

    /// Goes on reading elsewhere. Nothing if the partition is not assigned.
    pub fn seek(&self, partition: &TopicPartitionName, start: StartAt) {
        let mut fetcher = self.shared.fetcher.borrow_mut();
        if fetcher.contains(partition) {
            fetcher.start(partition, start);
        }
        drop(fetcher);
        self.shared.arrived.notify();
    }

    /// Stores the positions of everything given out, as the group's offsets.
    pub async fn commit(&self) -> Result<(), ConsumeError> {
        let positions = self.shared.fetcher.borrow().positions();
        self.commit_offsets(&positions).await
    }

    /// Stores these offsets as the group's.
    ///
    /// # Panics
    /// Without [`ConsumerOptions::group`].
    pub async fn commit_offsets(
        &self,
        offsets: &BTreeMap<TopicPartitionName, Offset>,
    ) -> Result<(), ConsumeError> {
        let until = self.shared.client.operation_deadline();
        self.shared.commit(offsets, until).await
    }

    /// The group's offsets of these partitions. What has none is left out.
    ///
    /// # Panics
    /// Without [`ConsumerOptions::group`].
    pub async fn committed(
        &self,
        partitions: &[TopicPartitionName],
    ) -> Result<BTreeMap<TopicPartitionName, Offset>, ConsumeError> {
        let coordinator = self.shared.coordinator();
        let until = self.shared.client.operation_deadline();
        Ok(coordinator.committed(Some(partitions), until).await?)
    }

    /// Commits if commits are automatic, leaves the group (a static member keeps its place), and ends.
    pub async fn close(self) -> Result<(), ConsumeError> {
        let shared = &self.shared;
        let mut result = Ok(());
        if shared.options.auto_commit_interval.is_some() && shared.coordinator.is_some() {
            result = self.commit().await;
        }
        let until = shared.client.env().now() + shared.client.options().request_timeout;
        shared.leave(until).await;
        result
    }
}

impl<E: Env> Drop for Consumer<E> {
    fn drop(&mut self) {
        self.shared.closed.set(true);
        self.shared.arrived.notify();
        if let Some(member) = &self.shared.member {
            member.changed.notify();
        }
        self.shared.client.close_lane(self.shared.fetch_lane);
        self.shared.client.close_lane(self.shared.group_lane);
    }
}

impl<E: Env> Shared<E> {
    fn coordinator(&self) -> &Coordinator<E> {
        self.coordinator
            .as_ref()
            .expect("committed offsets need a group")
    }

    fn committer(&self) -> Committer {
        match &self.member {
            Some(member) if member.subscribed.get() => {
                let membership = member.membership.borrow();
                Committer {
                    generation: membership.generation(),
                    member_id: membership.member_id().to_owned(),
                    group_instance_id: self.options.group_instance_id.clone(),
                }
            }
            _ => Committer::nobody(),
        }
    }

    async fn commit(
        &self,
        offsets: &BTreeMap<TopicPartitionName, Offset>,
        until: Instant,
    ) -> Result<(), ConsumeError> {
        let committer = self.committer();
        let subscribed = self
            .member
            .as_ref()
            .is_some_and(|member| member.subscribed.get());
        if subscribed && committer.generation < 0 {
            return Err(ConsumeError::NotOwner);
        }
        let result = self.coordinator().commit(&committer, offsets, until).await;
        let Err(error) = result else { return Ok(()) };
        match error.code() {
            Some(code) if subscribed => Err(self.on_commit_refused(&committer, code, error)),
            _ => Err(ConsumeError::Client(error)),
        }
    }

    /// Something failed that is tried again. Answers whether it went well the time before.
    fn failed(&self, work: Work, why: impl ToString) -> bool {
        let now = self.client.env().now();
        let why = why.to_string();
        self.hindrances.borrow_mut().failed(now, work, why)
    }

    fn went_well(&self, work: &Work) {
        self.hindrances.borrow_mut().went_well(work);
    }

    /// A poll fails with this, unless an earlier failure is still to be told.
    fn fail(&self, failure: ConsumeError) {
        let mut present = self.failure.borrow_mut();
        if present.is_none() {
            *present = Some(failure);
        }
        drop(present);
        self.arrived.notify();
    }
}
