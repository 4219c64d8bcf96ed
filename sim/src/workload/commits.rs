//! A client that commits offsets for a group of its own without being a member, and asks for them again.

use super::{Phase, Presence, Stage};
use crate::env::SimEnv;
use crate::history::{ClientId, Event};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;
use taffrail_client::{Client, ClientOptions, Consumer, ConsumerOptions, TopicPartitionName};
use taffrail_env::Clock;

/// Runs until the stage is quiet.
pub async fn run(env: SimEnv, stage: Rc<Stage>, id: ClientId) {
    let _presence = Presence::new(&stage);
    let options = ClientOptions {
        client_id: format!("commits-{id}"),
        operation_timeout: Duration::from_secs(5),
        ..ClientOptions::default()
    };
    let client = Client::new(&env, std::slice::from_ref(&stage.broker), options);
    let group = format!("commits-{id}");
    let consumer = Consumer::new(
        &client,
        ConsumerOptions {
            group: Some(group),
            ..ConsumerOptions::default()
        },
    );
    let decisions = stage.world.decisions();
    let choice = decisions.stream(&format!("commits-{id}"));
    let mut next = 0;
    while stage.phase.get() == Phase::Work {
        let partition = stage.pick_partition(choice);
        if decisions.below(choice, 2) == 0 {
            next += 1 + decisions.below(choice, 50) as i64;
            commit(&stage, &consumer, id, &partition, next).await;
        } else {
            ask(&stage, &consumer, id, &partition).await;
        }
        env.sleep(Duration::from_millis(decisions.below(choice, 150)))
            .await;
    }
    for partition in stage.partitions() {
        ask(&stage, &consumer, id, &partition).await;
    }
}

async fn commit(
    stage: &Stage,
    consumer: &Consumer<SimEnv>,
    id: ClientId,
    partition: &TopicPartitionName,
    offset: i64,
) {
    let operation = stage.next_operation();
    let identity = stage.identity(partition);
    stage.tell(Event::CommitStarted {
        operation,
        group: id,
        partition: identity,
        offset,
        by: None,
    });
    // A failed commit may have taken effect all the same: the client tries again by itself, so it stays open.
    if consumer
        .commit_offsets(&BTreeMap::from([(partition.clone(), offset)]))
        .await
        .is_ok()
    {
        stage.count("commits");
        stage.tell(Event::CommitAcked { operation });
    }
}

async fn ask(
    stage: &Stage,
    consumer: &Consumer<SimEnv>,
    id: ClientId,
    partition: &TopicPartitionName,
) {
    let operation = stage.next_operation();
    let identity = stage.identity(partition);
    stage.tell(Event::CommittedStarted {
        operation,
        group: id,
        partition: identity,
    });
    if let Ok(found) = consumer.committed(std::slice::from_ref(partition)).await {
        stage.count("commits-asked");
        stage.tell(Event::CommittedAcked {
            operation,
            offset: found.get(partition).copied(),
        });
    }
}
