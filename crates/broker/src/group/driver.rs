//! Serves groups: brings each request to the coordinator of its partition, and keeps time for all of them.
//!
//! One [`Partition`] for each partition of `__consumer_offsets`; one task sleeps until the next deadline of any
//! of them. Until a partition has been read, whoever asks is told to ask again, and never that there is no
//! offset.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;

use futures_channel::mpsc;
use futures_util::future::{join_all, select};
use futures_util::{FutureExt, StreamExt};
use taffrail_env::{Env, Instant, dawdle};
use taffrail_record::{TopicId, TopicPartition};

use self::partition::{Partition, Shared};
use super::coordinator::OffsetAnswers;
use super::{
    CommitRequest, CommittedOffset, GroupConfig, GroupDescription, GroupError, GroupListing,
    HeartbeatRequest, JoinRefused, JoinReply, JoinRequest, LeaveRequest, SyncReply, SyncRequest,
    new_member_id, partition_for,
};
use crate::metadata::RawTopicId;
use crate::node::{Audit, Difference};
use crate::router::Router;

mod load;
mod partition;

/// What is committed of a topic, by partition.
pub(crate) type CommittedTopic = (String, Vec<(i32, CommittedOffset)>);

/// Offsets of several partitions, or that there are none.
type FetchedOffsets = Vec<Option<CommittedOffset>>;

/// The partitions that are served, and the topic they are of.
type Served<E> = Option<(TopicId, Vec<Rc<Partition<E>>>)>;

/// All groups that this node coordinates.
pub(crate) struct Groups<E: Env> {
    shared: Rc<Shared<E>>,
    served: RefCell<Served<E>>,
    stopped: Cell<bool>,
}

impl<E: Env> Groups<E> {
    /// Serves nothing until [`Groups::serve`].
    pub fn new(env: &E, router: Rc<Router<E>>, config: GroupConfig) -> Rc<Groups<E>> {
        let (poke, poked) = mpsc::channel(1);
        let groups = Rc::new(Groups {
            shared: Rc::new(Shared::new(env.clone(), router, config, poke)),
            served: RefCell::new(None),
            stopped: Cell::new(false),
        });
        env.spawn(groups.clone().keep_time(poked));
        groups
    }

    /// Whom to ask whether there is a topic: what is stored of one that is gone is forgotten whenever a partition is read.
    pub fn ask_of_topics(&self, exists: impl Fn(&RawTopicId) -> bool + 'static) {
        let set = self.shared.topic_exists.set(Box::new(exists));
        assert!(set.is_ok(), "a node has one metadata");
    }

    /// Begins to read and serve the partitions of the offsets topic. Once for a topic; again does nothing.
    pub fn serve(&self, topic: TopicId, partitions: i32) {
        let is_served = self
            .served
            .borrow()
            .as_ref()
            .is_some_and(|(served, _)| *served == topic);
        if is_served || self.stopped.get() {
            return;
        }
        let partition =
            |partition| Partition::load(&self.shared, TopicPartition { topic, partition });
        let old = self
            .served
            .replace(Some((topic, (0..partitions).map(partition).collect())));
        old.into_iter()
            .flat_map(|(_, partitions)| partitions)
            .for_each(|partition| partition.stop());
    }

    /// Tells everybody who waits that this node coordinates no more, and stops.
    pub fn stop(&self) {
        self.stopped.set(true);
        let served = self.served.take();
        served
            .into_iter()
            .flat_map(|(_, partitions)| partitions)
            .for_each(|partition| partition.stop());
        self.shared.stop();
    }

    /// A member id that nobody had before.
    pub fn new_member_id(&self, name: &str) -> String {
        let mut random = [0; 16];
        self.shared.env.fill("group member id", &mut random);
        new_member_id(name, random)
    }

    /// Of how many topics that are gone something is stored still.
    pub fn topics_outlived(&self) -> usize {
        let partitions = self.partitions();
        let outlived = partitions.iter().flat_map(|partition| {
            let gone = partition.look(|coordinator| self.shared.gone(coordinator.stored()));
            gone.unwrap_or_default()
        });
        outlived.collect::<BTreeSet<RawTopicId>>().len()
    }

    /// How many partitions are not yet served because they are being read.
    pub fn loading(&self) -> usize {
        self.partitions()
            .iter()
            .filter(|partition| partition.is_loading())
            .count()
    }

    /// What all groups and offsets take, roughly, in bytes.
    pub fn bytes(&self) -> usize {
        self.shared.bytes()
    }

    /// How often the groups of a partition were read again because what they had to write was not taken.
    pub fn reloads(&self) -> u64 {
        self.shared.reloads()
    }

    fn partitions(&self) -> Vec<Rc<Partition<E>>> {
        self.served
            .borrow()
            .as_ref()
            .map(|(_, partitions)| partitions.clone())
            .unwrap_or_default()
    }

    fn partition(&self, group_id: &str) -> Result<Rc<Partition<E>>, GroupError> {
        if self.shared.env.strikes_at("coordinator/loading") {
            return Err(GroupError::Loading);
        }
        self.partition_of(group_id)
            .ok_or(GroupError::NotCoordinator)
    }

    fn partition_of(&self, group_id: &str) -> Option<Rc<Partition<E>>> {
        let served = self.served.borrow();
        let (_, partitions) = served.as_ref()?;
        let index = partition_for(group_id, partitions.len() as i32);
        Some(partitions[index as usize].clone())
    }

    /// What a group takes beside its offsets, roughly, in bytes, and so what to expect of its description.
    pub fn described_bytes(&self, group_id: &str) -> usize {
        let partition = self.partition_of(group_id);
        let bytes = partition.and_then(|partition| {
            partition.look(|coordinator| coordinator.described_bytes(group_id))
        });
        bytes.unwrap_or(0)
    }

    /// What all offsets of a group take, roughly, in bytes.
    pub fn offset_bytes(&self, group_id: &str) -> usize {
        let partition = self.partition_of(group_id);
        let bytes = partition
            .and_then(|partition| partition.look(|coordinator| coordinator.offset_bytes(group_id)));
        bytes.unwrap_or(0)
    }

    /// What a list of all groups takes, roughly, in bytes.
    pub fn listed_bytes(&self) -> usize {
        let partitions = self.partitions();
        let bytes = partitions
            .iter()
            .filter_map(|partition| partition.look(|coordinator| coordinator.listed_bytes()));
        bytes.sum()
    }

    /// JoinGroup.
    pub async fn join(&self, request: JoinRequest) -> JoinReply {
        let member_id = request.member_id.clone();
        let refused = |error| JoinRefused {
            error,
            member_id: member_id.clone(),
        };
        let partition = self.partition(&request.group_id).map_err(&refused)?;
        partition.join(request).await.map_err(&refused)?
    }

    /// SyncGroup.
    pub async fn sync(&self, request: SyncRequest) -> SyncReply {
        self.partition(&request.group_id)?.sync(request).await?
    }

    /// Heartbeat.
    pub async fn heartbeat(&self, request: &HeartbeatRequest) -> Result<(), GroupError> {
        let partition = self.partition(&request.group_id)?;
        partition
            .act(|coordinator, now, effects| coordinator.heartbeat(now, request, effects))
            .await?
    }

    /// LeaveGroup.
    pub async fn leave(&self, request: &LeaveRequest) -> Result<OffsetAnswers, GroupError> {
        let partition = self.partition(&request.group_id)?;
        partition
            .act_to_write(|coordinator, now, effects| coordinator.leave(now, request, effects))
            .await?
    }

    /// OffsetCommit.
    pub async fn commit(&self, request: CommitRequest) -> Result<OffsetAnswers, GroupError> {
        let partition = self.partition(&request.group_id)?;
        let answers = partition
            .act_to_write(|coordinator, now, effects| coordinator.commit(now, request, effects))
            .await?;
        dawdle(&self.shared.env, "commit/late").await;
        answers
    }

    /// OffsetFetch of partitions of topics: the offsets of each topic, in order.
    pub async fn fetch(
        &self,
        group_id: &str,
        wanted: &[(String, Vec<i32>)],
    ) -> Result<Vec<FetchedOffsets>, GroupError> {
        let partition = self.partition(group_id)?;
        let fetch = partition.act(|coordinator, _, _| {
            let mut fetched: Vec<FetchedOffsets> = Vec::with_capacity(wanted.len());
            for (topic, indexes) in wanted {
                let offsets = indexes.iter();
                let offsets = offsets.map(|index| coordinator.offset(group_id, topic, *index));
                fetched.push(offsets.map(|offset| offset.cloned()).collect());
            }
            fetched
        });
        fetch.await
    }

    /// OffsetFetch of all that a group has committed, by topic.
    pub async fn fetch_all(&self, group_id: &str) -> Result<Vec<CommittedTopic>, GroupError> {
        let partition = self.partition(group_id)?;
        let fetch = partition.act(|coordinator, _, _| {
            let mut topics: Vec<CommittedTopic> = Vec::new();
            for (topic, index, offset) in coordinator.offsets(group_id) {
                if topics.last().is_none_or(|(last, _)| last != topic) {
                    topics.push((topic.to_string(), Vec::new()));
                }
                if let Some((_, offsets)) = topics.last_mut() {
                    offsets.push((index, offset.clone()));
                }
            }
            topics
        });
        fetch.await
    }

    /// OffsetDelete.
    pub async fn delete_offsets(
        &self,
        group_id: &str,
        offsets: &[(String, i32)],
    ) -> Result<OffsetAnswers, GroupError> {
        let partition = self.partition(group_id)?;
        partition
            .act_to_write(|coordinator, now, effects| {
                coordinator.delete_offsets(now, group_id, offsets, effects)
            })
            .await?
    }

    /// DescribeGroups of one group.
    pub async fn describe(&self, group_id: &str) -> Result<GroupDescription, GroupError> {
        self.partition(group_id)?
            .act(|coordinator, _, _| coordinator.describe(group_id))
            .await?
    }

    /// DeleteGroups of one group.
    pub async fn delete(&self, group_id: &str) -> Result<(), GroupError> {
        let partition = self.partition(group_id)?;
        partition
            .act_to_write(|coordinator, now, effects| coordinator.delete(now, group_id, effects))
            .await?
    }

    /// ListGroups: the groups of all partitions, by id. Without an offsets topic there are none.
    pub async fn list(&self) -> Result<Vec<GroupListing>, GroupError> {
        let partitions = self.partitions();
        let lists = join_all(
            partitions
                .iter()
                .map(|partition| partition.act(|coordinator, _, _| coordinator.list())),
        );
        let mut groups = Vec::new();
        for list in lists.await {
            groups.append(&mut list?);
        }
        groups.sort_by(|a, b| a.group_id.cmp(&b.group_id));
        Ok(groups)
    }

    /// Topics were deleted, and that has committed: what groups committed of them goes too.
    pub fn topics_deleted(&self, topic_ids: &BTreeSet<RawTopicId>) {
        self.partitions()
            .iter()
            .for_each(|partition| partition.delete_topics(topic_ids));
    }

    /// OFFSET-REPLAY-EQ: reads the log of every partition again.
    pub async fn audit(&self, audit: &mut Audit) -> Result<(), Difference> {
        for partition in self.partitions() {
            partition.audit(audit).await?;
        }
        Ok(())
    }

    /// Sleeps until the next deadline of any partition, or until there is an earlier one.
    async fn keep_time(self: Rc<Self>, mut poked: mpsc::Receiver<()>) {
        loop {
            let partitions = self.partitions();
            let next = partitions
                .iter()
                .filter_map(|partition| partition.next_deadline())
                .min();
            self.shared.armed.set(next.unwrap_or(Instant::MAX));
            // No timer while nothing is due ever.
            let poke = match next {
                None => poked.next().await,
                Some(deadline) => {
                    let due = self
                        .shared
                        .env
                        .sleep_until(deadline)
                        .map(|()| Some(()))
                        .boxed_local();
                    select(poked.next(), due).await.factor_first().0
                }
            };
            if poke.is_none() {
                return;
            }
            let now = self.shared.env.now();
            partitions
                .iter()
                .for_each(|partition| partition.on_time(now));
        }
    }
}
