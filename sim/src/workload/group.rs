//! A member of a consumer group: joins, reads, commits what it read, leaves, comes back.

use super::{Phase, Presence, Stage, value};
use crate::env::SimEnv;
use crate::history::{ClientId, Event};
use std::rc::Rc;
use std::time::Duration;
use taffrail_client::Rebalance;
use taffrail_client::{
    AssignorKind, Client, ClientOptions, ConsumeError, Consumer, ConsumerOptions,
};
use taffrail_env::Clock;

/// The group that all members share; groups of lone committers have the numbers of their clients.
const GROUP: u32 = u32::MAX;

fn options(stage: &Stage, id: ClientId) -> ConsumerOptions {
    let decisions = stage.world.decisions();
    // The same for all members: they have to agree on how they share.
    let shared = decisions.seed() % 3;
    let assignor = [
        AssignorKind::Range,
        AssignorKind::RoundRobin,
        AssignorKind::CooperativeSticky,
    ][shared as usize];
    let own = decisions.stream(&format!("member-{id}/habits"));
    ConsumerOptions {
        group: Some("members".to_owned()),
        group_instance_id: (decisions.below(own, 3) == 0).then(|| format!("member-{id}")),
        assignors: vec![assignor],
        session_timeout: Duration::from_secs(6),
        rebalance_timeout: Duration::from_secs(10),
        heartbeat_interval: Duration::from_secs(1),
        fetch_wait_max: Duration::from_millis(200),
        ..ConsumerOptions::default()
    }
}

/// Runs until the stage is quiet.
pub async fn run(env: SimEnv, stage: Rc<Stage>, id: ClientId) {
    let _presence = Presence::new(&stage);
    let client_options = ClientOptions {
        client_id: format!("member-{id}"),
        operation_timeout: Duration::from_secs(10),
        ..ClientOptions::default()
    };
    let client = Client::new(&env, std::slice::from_ref(&stage.broker), client_options);
    let decisions = stage.world.decisions();
    let life = decisions.stream(&format!("member-{id}/life"));
    while stage.phase.get() == Phase::Work {
        let consumer = Consumer::new(&client, options(&stage, id));
        consumer.subscribe(
            &stage
                .topics
                .iter()
                .map(|topic| topic.name.clone())
                .collect::<Vec<String>>(),
        );
        let polls = 20 + decisions.below(life, 200);
        take_part(&stage, &consumer, id, polls).await;
        stage.tell(Event::Revoked {
            group: GROUP,
            member: id,
        });
        if decisions.below(life, 3) != 0 && consumer.close().await.is_ok() {
            stage.count("members-left");
        }
        env.sleep(Duration::from_millis(decisions.below(life, 3000)))
            .await;
    }
}

async fn take_part(stage: &Rc<Stage>, consumer: &Consumer<SimEnv>, id: ClientId, polls: u64) {
    for _ in 0..polls {
        if stage.phase.get() != Phase::Work {
            return;
        }
        let answer = consumer.poll(Duration::from_millis(300)).await;
        tell_rebalances(stage, consumer, id);
        match answer {
            Ok(records) => {
                for record in &records {
                    check(stage, record);
                }
                if !records.is_empty() && consumer.commit().await.is_ok() {
                    stage.count("member-commits");
                }
            }
            Err(ConsumeError::Refused(_)) => return,
            Err(_) => stage.count("member-polls-failed"),
        }
    }
}

fn tell_rebalances(stage: &Stage, consumer: &Consumer<SimEnv>, id: ClientId) {
    for rebalance in consumer.take_rebalances() {
        if let Rebalance::Assigned {
            generation,
            partitions,
        } = rebalance
        {
            stage.count("assignments");
            let partitions = partitions
                .iter()
                .map(|partition| stage.identity(partition))
                .collect();
            stage.tell(Event::Assigned {
                group: GROUP,
                member: id,
                generation,
                partitions,
            });
        }
    }
}

/// What a member reads is judged as a reading of one record.
fn check(stage: &Stage, record: &taffrail_client::Fetched) {
    let operation = stage.next_operation();
    let name = taffrail_client::TopicPartitionName::new(&*record.topic, record.partition);
    let partition = stage.identity(&name);
    stage.tell(Event::PollStarted {
        operation,
        client: GROUP,
        partition,
        position: record.offset,
    });
    let records = vec![(record.offset, value::as_read(record))];
    stage.tell(Event::PollAcked {
        operation,
        records,
        high_watermark: record.offset + 1,
    });
}
