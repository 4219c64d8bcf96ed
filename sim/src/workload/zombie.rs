//! A zombie: commits offsets, and says that it is alive or asks for its share, in the name of members of the group as they were in
//! generations that are over.

use super::group::{GROUP, GROUP_NAME};
use super::peer::Peer;
use super::{Phase, Presence, Stage, commits};
use crate::decision::Stream;
use crate::env::SimEnv;
use crate::history::{ClientId, Event, Membership};
use std::rc::Rc;
use std::time::Duration;
use taffrail_client::TopicPartitionName;
use taffrail_env::Clock;
use taffrail_wire::{HeartbeatRequest, OffsetCommitRequest, SyncGroupRequest};

const PATIENCE: Duration = Duration::from_secs(5);
const COMMIT_VERSION: i16 = 7;
const HEARTBEAT_VERSION: i16 = 3;
const SYNC_VERSION: i16 = 3;

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
            match decisions.below(choice, 3) {
                0 => claim_to_live(&stage, peer, former, choice).await,
                _ => commit(&stage, peer, former, choice).await,
            }
        }
        let pause = Duration::from_millis(decisions.below(choice, 1_500));
        env.sleep(pause).await;
    }
}

/// Somebody's membership of a generation after which another one has begun.
fn former(stage: &Stage, choice: Stream) -> Option<Membership> {
    let memberships = stage.memberships.borrow();
    let former = former_of(&memberships);
    let decisions = stage.world.decisions();
    let index = decisions.below(choice, former.len().max(1) as u64);
    former.get(index as usize).map(|member| (*member).clone())
}

/// Those of a generation before the newest. Not what was told behind a later one: the group may have been forgotten and have begun anew.
fn former_of(memberships: &[Membership]) -> Vec<&Membership> {
    let generations = memberships.iter().map(|member| member.generation);
    let newest = generations.max().unwrap_or_default();
    let mut latest = 0;
    let mut former = Vec::new();
    for member in memberships {
        latest = latest.max(member.generation);
        if latest < newest && member.generation == latest {
            former.push(member);
        }
    }
    former
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

/// Beats, or asks for its share. Whoever belongs to a generation that is over is told so.
async fn claim_to_live(stage: &Stage, mut peer: Peer, by: Membership, choice: Stream) {
    let (what, error) = match stage.world.decisions().below(choice, 2) {
        0 => ("heartbeat", beat(&mut peer, &by).await),
        _ => ("sync", sync(&mut peer, &by).await),
    };
    stage.count("zombie-claims");
    if error == Some(0) {
        let witness = format!("a {what} of {by:?} was accepted, whose generation is over");
        stage.object("ZOMBIE-FENCED", witness);
    }
    peer.leave();
}

async fn beat(peer: &mut Peer, by: &Membership) -> Option<i16> {
    let request = HeartbeatRequest {
        group_id: GROUP_NAME,
        generation_id: by.generation,
        member_id: &by.member_id,
        group_instance_id: by.instance.as_deref(),
    };
    let answer = peer.call(HEARTBEAT_VERSION, &request).await?;
    let response = answer.read::<HeartbeatRequest<'_>>(HEARTBEAT_VERSION)?;
    Some(response.error_code)
}

async fn sync(peer: &mut Peer, by: &Membership) -> Option<i16> {
    let request = SyncGroupRequest {
        group_id: GROUP_NAME,
        generation_id: by.generation,
        member_id: &by.member_id,
        group_instance_id: by.instance.as_deref(),
        ..SyncGroupRequest::default()
    };
    let answer = peer.call(SYNC_VERSION, &request).await?;
    let response = answer.read::<SyncGroupRequest<'_>>(SYNC_VERSION)?;
    Some(response.error_code)
}

fn request<'a>(
    by: &'a Membership,
    partition: &'a TopicPartitionName,
    offset: i64,
) -> OffsetCommitRequest<'a> {
    OffsetCommitRequest {
        generation_id_or_member_epoch: by.generation,
        member_id: &by.member_id,
        group_instance_id: by.instance.as_deref(),
        ..commits::request(GROUP_NAME, partition, offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_generation_of_a_group_that_began_anew_is_not_over() {
        let told = |generations: &[i32]| -> Vec<Membership> {
            let member = |generation: &i32| Membership {
                client: 1,
                member_id: "member".into(),
                instance: None,
                generation: *generation,
            };
            generations.iter().map(member).collect()
        };
        let former = |generations: &[i32]| -> Vec<i32> {
            let memberships = told(generations);
            let former = former_of(&memberships);
            former.iter().map(|member| member.generation).collect()
        };
        assert!(former(&[]).is_empty());
        assert_eq!(former(&[1, 1, 2]), [1, 1]);
        assert_eq!(former(&[1, 3, 2, 4]), [1, 3]);
        assert!(former(&[2, 1, 1]).is_empty());
    }
}
