//! A member of a consumer group: joins, reads, commits what it read, leaves, comes back.

use super::{Phase, Presence, Stage, value};
use crate::env::SimEnv;
use crate::history::{ClientId, Event, Membership, OperationId};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;
use taffrail_client::Rebalance;
use taffrail_client::{
    AssignorKind, Client, ClientOptions, ConsumeError, Consumer, ConsumerOptions,
    TopicPartitionName,
};
use taffrail_env::Clock;

/// The group that all members share; groups of lone committers have the numbers of their clients.
pub(super) const GROUP: u32 = u32::MAX;
/// What the broker calls it.
pub(super) const GROUP_NAME: &str = "members";

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
        group: Some(GROUP_NAME.to_owned()),
        group_instance_id: match decisions.seed() / 3 % 3 {
            // All claim to be the same, and fence each other.
            0 => Some("twin".to_owned()),
            _ => (decisions.below(own, 3) == 0).then(|| format!("member-{id}")),
        },
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
        let options = options(&stage, id);
        let instance = options.group_instance_id.clone();
        let consumer = Consumer::new(&client, options);
        consumer.subscribe(
            &stage
                .topics
                .iter()
                .map(|topic| topic.name.clone())
                .collect::<Vec<String>>(),
        );
        let polls = 20 + decisions.below(life, 200);
        let member = Member {
            stage: &stage,
            consumer: &consumer,
            id,
            instance,
        };
        member.take_part(polls).await;
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

/// A consumer in its group.
struct Member<'a> {
    stage: &'a Stage,
    consumer: &'a Consumer<SimEnv>,
    id: ClientId,
    instance: Option<String>,
}

impl Member<'_> {
    async fn take_part(&self, polls: u64) {
        let stage = self.stage;
        for _ in 0..polls {
            if stage.phase.get() != Phase::Work {
                return;
            }
            let answer = self.consumer.poll(Duration::from_millis(300)).await;
            self.tell_rebalances();
            match answer {
                Ok(records) => {
                    for record in &records {
                        check(stage, record);
                    }
                    if !records.is_empty() {
                        self.commit().await;
                    }
                }
                Err(ConsumeError::Refused(_)) => return,
                Err(_) => stage.count("member-polls-failed"),
            }
        }
    }

    /// Who it believes to be, in this generation.
    fn membership(&self, generation: i32) -> Membership {
        Membership {
            client: self.id,
            member_id: self.consumer.membership().0,
            instance: self.instance.clone(),
            generation,
        }
    }

    fn tell_rebalances(&self) {
        for rebalance in self.consumer.take_rebalances() {
            let identities = |partitions: Vec<TopicPartitionName>| {
                let identity = |partition| self.stage.identity(partition);
                partitions.iter().map(identity).collect()
            };
            match rebalance {
                Rebalance::Assigned {
                    generation,
                    partitions,
                } => {
                    self.stage.count("assignments");
                    let by = self.membership(generation);
                    self.stage.memberships.borrow_mut().push(by.clone());
                    self.stage.tell(Event::Assigned {
                        group: GROUP,
                        by,
                        partitions: identities(partitions),
                    });
                }
                Rebalance::Held {
                    generation,
                    partitions,
                } => {
                    self.stage.count("assignments-held");
                    self.stage.tell(Event::Held {
                        group: GROUP,
                        by: self.membership(generation),
                        partitions: identities(partitions),
                    });
                }
                Rebalance::Revoked(_) | Rebalance::Lost(_) => {}
            }
        }
    }

    /// Commits the positions of everything given out.
    async fn commit(&self) {
        let (stage, consumer) = (self.stage, self.consumer);
        let by = self.membership(consumer.membership().1);
        let assigned = consumer.assignment().into_iter();
        let offsets: BTreeMap<TopicPartitionName, i64> = assigned
            .filter_map(|partition| {
                let position = consumer.position(&partition)?;
                Some((partition, position))
            })
            .collect();
        let begin = |(partition, offset): (&TopicPartitionName, &i64)| {
            let operation = stage.next_operation();
            stage.tell(Event::CommitStarted {
                operation,
                group: GROUP,
                partition: stage.identity(partition),
                offset: *offset,
                by: Some(by.clone()),
            });
            operation
        };
        let operations: Vec<OperationId> = offsets.iter().map(begin).collect();
        // One that failed may have taken effect all the same.
        if consumer.commit_offsets(&offsets).await.is_ok() {
            stage.count("member-commits");
            for operation in operations {
                stage.tell(Event::CommitAcked { operation });
            }
        }
    }
}

/// What a member reads is judged as a reading of one record.
fn check(stage: &Stage, record: &taffrail_client::Fetched) {
    let operation = stage.next_operation();
    let name = TopicPartitionName::new(&*record.topic, record.partition);
    let partition = stage.identity(&name);
    stage.tell(Event::PollStarted {
        operation,
        client: GROUP,
        partition,
        position: record.offset,
        fresh: false,
    });
    let records = vec![(record.offset, value::as_read(record))];
    stage.tell(Event::PollAcked {
        operation,
        records,
        high_watermark: record.offset + 1,
    });
}
