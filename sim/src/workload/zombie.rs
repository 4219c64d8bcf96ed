//! A zombie: commits offsets in the name of members of the group, as they were in generations that are over.

use super::group::{GROUP, GROUP_NAME};
use super::peer::Peer;
use super::{Phase, Presence, Stage};
use crate::decision::Stream;
use crate::env::SimEnv;
use crate::history::{ClientId, Event, Membership};
use std::rc::Rc;
use std::time::Duration;
use taffrail_client::TopicPartitionName;
use taffrail_env::Clock;
use taffrail_wire::OffsetCommitRequest;
use taffrail_wire::offset_commit::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};

const PATIENCE: Duration = Duration::from_secs(5);
const COMMIT_VERSION: i16 = 7;

/// Runs until the producers stop.
pub async fn run(env: SimEnv, stage: Rc<Stage>, id: ClientId) {
    let _presence = Presence::new(&stage);
    let name = format!("zombie-{id}");
    let decisions = stage.world.decisions();
    let choice = decisions.stream(&format!("{name}/choice"));
    while stage.phase.get() == Phase::Work {
        if let Some(former) = former(&stage, choice)
            && let Some(peer) = Peer::connect(&env, &stage.broker, &name, PATIENCE).await
        {
            commit(&stage, peer, former, choice).await;
        }
        let pause = Duration::from_millis(decisions.below(choice, 1_500));
        env.sleep(pause).await;
    }
}

/// Somebody's membership of a generation after which another one has begun.
fn former(stage: &Stage, choice: Stream) -> Option<Membership> {
    let memberships = stage.memberships.borrow();
    let newest = memberships.iter().map(|member| member.generation).max()?;
    let former: Vec<&Membership> = memberships
        .iter()
        .filter(|member| member.generation < newest)
        .collect();
    let decisions = stage.world.decisions();
    let index = decisions.below(choice, former.len().max(1) as u64);
    former.get(index as usize).map(|member| (*member).clone())
}

async fn commit(stage: &Stage, mut peer: Peer, by: Membership, choice: Stream) {
    let partition = stage.pick_partition(choice);
    let offset = stage.world.decisions().below(choice, 1_000) as i64;
    let operation = stage.next_operation();
    stage.tell(Event::CommitStarted {
        operation,
        group: GROUP,
        partition: stage.identity(&partition),
        offset,
        by: Some(by.clone()),
    });
    let request = request(&by, &partition, offset);
    let error = async {
        let answer = peer.call(COMMIT_VERSION, &request).await?;
        let response = answer.read::<OffsetCommitRequest<'_>>(COMMIT_VERSION)?;
        let topic = response.topics.first()?;
        Some(topic.partitions.first()?.error_code)
    };
    stage.count("zombie-commits");
    match error.await {
        Some(0) => stage.tell(Event::CommitAcked { operation }),
        Some(_) => stage.tell(Event::CommitFailed { operation }),
        // It may take effect later.
        None => {}
    }
    peer.leave();
}

fn request<'a>(
    by: &'a Membership,
    partition: &'a TopicPartitionName,
    offset: i64,
) -> OffsetCommitRequest<'a> {
    OffsetCommitRequest {
        group_id: GROUP_NAME,
        generation_id_or_member_epoch: by.generation,
        member_id: &by.member_id,
        group_instance_id: by.instance.as_deref(),
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
