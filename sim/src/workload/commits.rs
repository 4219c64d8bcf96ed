//! A client that commits offsets for a group of its own without being a member, and asks for them again; and one without
//! manners, which asks for the same whenever the broker begins to take connections, as early as it can.

use super::group::{GROUP, GROUP_NAME};
use super::peer::Peer;
use super::{Phase, Presence, Stage};
use crate::env::SimEnv;
use crate::history::{ClientId, Event, OperationId};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;
use taffrail_client::{Client, ClientOptions, Consumer, ConsumerOptions, TopicPartitionName};
use taffrail_env::{Clock, Spawn};
use taffrail_record::TopicPartition;
use taffrail_wire::offset_commit::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use taffrail_wire::offset_fetch::OffsetFetchRequestTopic;
use taffrail_wire::{OffsetCommitRequest, OffsetFetchRequest};

/// How long the impatient one stays with a connection on which it has its answer.
const STAY: Duration = Duration::from_secs(1);
/// How soon it tries again where nobody listens.
const KNOCK: Duration = Duration::from_millis(10);
const FETCH_VERSION: i16 = 5;
/// In which a commit says how long it is to be kept.
const KEPT_VERSIONS: std::ops::Range<i16> = 2..5;

/// Runs until the stage is quiet.
pub async fn run(env: SimEnv, stage: Rc<Stage>, id: ClientId) {
    let _presence = Presence::new(&stage);
    stage.committers.borrow_mut().push(id);
    let consumer = consumer(&env, &stage, id, Duration::from_secs(5));
    env.spawn(ask_early(env.clone(), stage.clone(), id));
    let decisions = stage.world.decisions();
    let choice = decisions.stream(&format!("commits-{id}"));
    let mut next = 0;
    while stage.phase.get() == Phase::Work {
        let partition = stage.pick_partition(choice);
        if decisions.below(choice, 2) == 0 {
            next += 1 + decisions.below(choice, 50) as i64;
            let identity = stage.identity(&partition);
            let place = (&partition, identity);
            if decisions.below(choice, 4) == 0 {
                let version = KEPT_VERSIONS.start + decisions.below(choice, 3) as i16;
                commit_kept(&env, &stage, id, place, (version, next)).await;
            } else {
                commit(&stage, &consumer, id, place, next).await;
            }
        } else {
            ask_by_name(&stage, &consumer, id, &partition).await;
        }
        env.sleep(Duration::from_millis(decisions.below(choice, 150)))
            .await;
    }
    for partition in stage.partitions() {
        ask_by_name(&stage, &consumer, id, &partition).await;
    }
}

/// Commits in the name of a group without being in it.
pub(super) fn consumer(
    env: &SimEnv,
    stage: &Stage,
    id: ClientId,
    patience: Duration,
) -> Consumer<SimEnv> {
    let options = ClientOptions {
        client_id: format!("commits-{id}"),
        operation_timeout: patience,
        ..ClientOptions::default()
    };
    let client = Client::new(env, std::slice::from_ref(&stage.broker), options);
    Consumer::new(
        &client,
        ConsumerOptions {
            group: Some(group_name(id)),
            ..ConsumerOptions::default()
        },
    )
}

/// A partition whose committed offset was asked for, and how long the answer took, or what was in its way.
pub type Answered = (TopicPartitionName, Result<Duration, String>);

/// Asks for every offset that was ever committed, each within `patience`.
pub async fn ask_all(env: SimEnv, stage: Rc<Stage>, patience: Duration) -> Vec<Answered> {
    let mut groups = stage.committers.borrow().clone();
    groups.push(GROUP);
    let mut answers = Vec::new();
    for id in groups {
        let consumer = consumer(&env, &stage, id, patience);
        for partition in stage.partitions() {
            let asked = stage.world.elapsed();
            let came = match ask_by_name(&stage, &consumer, id, &partition).await {
                true => Ok(stage.world.elapsed() - asked),
                false => Err(format!("group {} got no answer", group_name(id))),
            };
            answers.push((partition, came));
        }
    }
    answers
}

/// A commit of one offset, by hand.
pub(super) fn request<'a>(
    group_id: &'a str,
    partition: &'a TopicPartitionName,
    offset: i64,
) -> OffsetCommitRequest<'a> {
    OffsetCommitRequest {
        group_id,
        topics: vec![OffsetCommitRequestTopic {
            name: &partition.topic,
            partitions: vec![OffsetCommitRequestPartition {
                partition_index: partition.partition,
                committed_offset: offset,
                ..OffsetCommitRequestPartition::default()
            }],
            ..OffsetCommitRequestTopic::default()
        }],
        ..OffsetCommitRequest::default()
    }
}

/// Tells of a commit by nobody in particular.
fn begin(stage: &Stage, group: ClientId, partition: TopicPartition, offset: i64) -> OperationId {
    let operation = stage.next_operation();
    stage.tell(Event::CommitStarted {
        operation,
        group,
        partition,
        offset,
        by: None,
    });
    operation
}

/// Whether it was acknowledged.
pub(super) async fn commit(
    stage: &Stage,
    consumer: &Consumer<SimEnv>,
    id: ClientId,
    (partition, identity): (&TopicPartitionName, TopicPartition),
    offset: i64,
) -> bool {
    let operation = begin(stage, id, identity, offset);
    // A failed commit may have taken effect all the same: the client tries again by itself, so it stays open.
    let offsets = BTreeMap::from([(partition.clone(), offset)]);
    let is_taken = consumer.commit_offsets(&offsets).await.is_ok();
    if is_taken {
        stage.count("commits");
        stage.tell(Event::CommitAcked { operation });
    }
    is_taken
}

/// Commits by hand, and says how long that is to be kept, as only old clients do: longer than any run. Once, and if nothing comes of it
/// it may have been taken all the same.
async fn commit_kept(
    env: &SimEnv,
    stage: &Stage,
    id: ClientId,
    (partition, identity): (&TopicPartitionName, TopicPartition),
    (version, offset): (i16, i64),
) -> Option<()> {
    const KEPT_MS: i64 = 36_500 * 86_400_000;
    let group = group_name(id);
    let request = OffsetCommitRequest {
        retention_time_ms: KEPT_MS,
        ..request(&group, partition, offset)
    };
    let mut peer = Peer::connect(env, &stage.broker, &group, STAY).await?;
    let operation = begin(stage, id, identity, offset);
    let answer = peer.call(version, &request).await?;
    let response = answer.read::<OffsetCommitRequest<'_>>(version)?;
    let taken = response.topics.first()?.partitions.first()?.error_code == 0;
    peer.leave();
    if taken {
        stage.count("commits-kept");
        stage.tell(Event::CommitAcked { operation });
    }
    Some(())
}

async fn ask_by_name(
    stage: &Stage,
    consumer: &Consumer<SimEnv>,
    id: ClientId,
    partition: &TopicPartitionName,
) -> bool {
    let identity = stage.identity(partition);
    ask(stage, consumer, id, (partition, identity)).await
}

/// Asks for what was committed. Whether there was an answer.
pub(super) async fn ask(
    stage: &Stage,
    consumer: &Consumer<SimEnv>,
    id: ClientId,
    (partition, identity): (&TopicPartitionName, TopicPartition),
) -> bool {
    let operation = stage.next_operation();
    stage.tell(Event::CommittedStarted {
        operation,
        group: id,
        partition: identity,
    });
    let Ok(found) = consumer.committed(std::slice::from_ref(partition)).await else {
        stage.tell(Event::CommittedFailed { operation });
        return false;
    };
    stage.count("commits-asked");
    stage.tell(Event::CommittedAcked {
        operation,
        offset: found.get(partition).copied(),
    });
    true
}

fn group_name(group: u32) -> String {
    match group {
        GROUP => GROUP_NAME.to_owned(),
        id => format!("commits-{id}"),
    }
}

/// Asks for everything that the group has committed, once on each connection. Most of them end with the broker.
async fn ask_early(env: SimEnv, stage: Rc<Stage>, id: ClientId) {
    let _presence = Presence::new(&stage);
    let name = format!("impatient-{id}");
    while stage.phase.get() == Phase::Work {
        match Peer::connect(&env, &stage.broker, &name, STAY).await {
            Some(mut peer) => {
                ask_on(&stage, &mut peer, id).await;
                // Nothing comes but the end.
                peer.receive().await;
                peer.leave();
            }
            None => env.sleep(KNOCK).await,
        }
    }
}

async fn ask_on(stage: &Stage, peer: &mut Peer, id: ClientId) -> Option<()> {
    let group = group_name(id);
    let topics = stage.topics.iter().map(|topic| OffsetFetchRequestTopic {
        name: &topic.name,
        partition_indexes: (0..topic.partitions).collect(),
    });
    let request = OffsetFetchRequest {
        group_id: &group,
        topics: Some(topics.collect()),
        ..OffsetFetchRequest::default()
    };
    let mut operations = BTreeMap::new();
    for partition in stage.partitions() {
        let operation = stage.next_operation();
        stage.tell(Event::CommittedStarted {
            operation,
            group: id,
            partition: stage.identity(&partition),
        });
        operations.insert(partition, operation);
    }
    let answer = peer.call(FETCH_VERSION, &request).await?;
    let response = answer.read::<OffsetFetchRequest<'_>>(FETCH_VERSION)?;
    if response.error_code != 0 {
        return None;
    }
    stage.count("commits-asked-early");
    for topic in &response.topics {
        for partition in &topic.partitions {
            let place = TopicPartitionName::new(topic.name, partition.partition_index);
            if let Some(operation) = operations.remove(&place)
                && partition.error_code == 0
            {
                let offset = partition.committed_offset;
                stage.tell(Event::CommittedAcked {
                    operation,
                    offset: (offset >= 0).then_some(offset),
                });
            }
        }
    }
    Some(())
}
