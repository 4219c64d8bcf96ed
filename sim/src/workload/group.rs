//! A member of a consumer group: joins, reads, commits what it read, leaves, comes back.

use super::{Phase, Presence, Stage, reader, value};
use crate::decision::Stream;
use crate::env::SimEnv;
use crate::history::{ClientId, Event, Membership, OperationId, Written};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;
use taffrail_client::Rebalance;
use taffrail_client::{
    AssignorKind, Client, ClientOptions, ConsumeError, Consumer, ConsumerOptions,
    TopicPartitionName,
};
use taffrail_env::Clock;
use taffrail_record::{Offset, TopicPartition};

/// The group that all members share; groups of lone committers have the numbers of their clients.
pub(super) const GROUP: u32 = u32::MAX;
/// What the broker calls it.
pub(super) const GROUP_NAME: &str = "members";

/// How a member takes part. The assignor is the same for all: they have to agree on how they share.
fn options(stage: &Stage, instance: Option<String>) -> ConsumerOptions {
    let assignor = [
        AssignorKind::Range,
        AssignorKind::RoundRobin,
        AssignorKind::CooperativeSticky,
    ][stage.assignor];
    ConsumerOptions {
        group: Some(GROUP_NAME.to_owned()),
        group_instance_id: instance,
        assignors: vec![assignor],
        session_timeout: stage.session,
        rebalance_timeout: Duration::from_secs(10),
        heartbeat_interval: stage.session / 6,
        fetch_wait_max: Duration::from_millis(200),
        ..ConsumerOptions::default()
    }
}

fn draw_instance(stage: &Stage, id: ClientId) -> Option<String> {
    let decisions = stage.world.decisions();
    let own = decisions.stream(&format!("member-{id}/habits"));
    match stage.twins {
        // All claim to be the same, and fence each other.
        0 => Some("twin".to_owned()),
        _ => (decisions.below(own, 3) == 0).then(|| format!("member-{id}")),
    }
}

fn client(env: &SimEnv, stage: &Stage, id: ClientId) -> Client<SimEnv> {
    let options = ClientOptions {
        client_id: format!("member-{id}"),
        operation_timeout: Duration::from_secs(10),
        ..ClientOptions::default()
    };
    Client::new(env, std::slice::from_ref(&stage.broker), options)
}

/// Runs until the stage is quiet.
pub async fn run(env: SimEnv, stage: Rc<Stage>, id: ClientId) {
    let _presence = Presence::new(&stage);
    let client = client(&env, &stage, id);
    let decisions = stage.world.decisions();
    let life = decisions.stream(&format!("member-{id}/life"));
    while stage.phase.get() == Phase::Work {
        let member = Member::join(&client, &stage, id, draw_instance(&stage, id));
        let polls = 20 + decisions.below(life, 200);
        member.take_part(polls).await;
        member.tell_end();
        if decisions.below(life, 3) != 0 && member.consumer.close().await.is_ok() {
            stage.count("members-left");
        }
        env.sleep(Duration::from_millis(decisions.below(life, 3000)))
            .await;
    }
}

/// Joins the group when everybody has left it or died, and stays until it owns everything and has found where to go on. What is
/// missing after `patience`.
pub async fn inherit(
    env: SimEnv,
    stage: Rc<Stage>,
    id: ClientId,
    patience: Duration,
) -> Option<String> {
    let client = client(&env, &stage, id);
    let member = Member::join(&client, &stage, id, None);
    let until = env.now() + patience;
    let all = stage.partitions();
    let missing = loop {
        let found = |partition: &&TopicPartitionName| member.consumer.position(partition).is_some();
        let Some(missing) = all.iter().find(|partition| !found(partition)) else {
            break None;
        };
        if env.now() >= until {
            break Some(missing.to_string());
        }
        if let Err(ConsumeError::Refused(error)) = member.poll().await {
            break Some(format!("{missing}: {error}"));
        }
    };
    member.tell_end();
    missing
}

/// A consumer in its group.
struct Member {
    stage: Rc<Stage>,
    consumer: Consumer<SimEnv>,
    id: ClientId,
    instance: Option<String>,
    belief: Belief,
    /// How it commits.
    habit: Stream,
    /// What was given to it and has no position yet, with the question for the group's offset.
    beginnings: RefCell<Questions>,
}

/// The generation that a member believes in, for as long as there is that member.
struct Belief(Rc<Stage>, ClientId);

impl Belief {
    fn is(&self, generation: i32) {
        self.0.generations.borrow_mut().insert(self.1, generation);
    }
}

impl Drop for Belief {
    fn drop(&mut self) {
        self.0.generations.borrow_mut().remove(&self.1);
    }
}

/// Questions for the group's offsets.
type Questions = BTreeMap<TopicPartitionName, OperationId>;

impl Member {
    fn join(
        client: &Client<SimEnv>,
        stage: &Rc<Stage>,
        id: ClientId,
        instance: Option<String>,
    ) -> Member {
        let consumer = Consumer::new(client, options(stage, instance.clone()));
        let topics = stage.topics.iter().map(|topic| topic.name.clone());
        consumer.subscribe(&topics.collect::<Vec<String>>());
        Member {
            stage: stage.clone(),
            consumer,
            id,
            instance,
            belief: Belief(stage.clone(), id),
            habit: stage
                .world
                .decisions()
                .stream(&format!("member-{id}/commits")),
            beginnings: RefCell::default(),
        }
    }

    fn tell_end(&self) {
        self.stage.tell(Event::Revoked {
            group: GROUP,
            member: self.id,
        });
    }

    async fn take_part(&self, polls: u64) {
        let mut polled = 0;
        while self.stage.phase.get() == Phase::Work && (polled < polls || self.stage.steady.get()) {
            polled += 1;
            let answer = self.poll().await;
            self.belief.is(self.consumer.membership().1);
            match answer {
                Ok(0) => {}
                Ok(_) => self.commit().await,
                Err(ConsumeError::Refused(_)) => return,
                Err(_) => self.stage.count("member-polls-failed"),
            }
        }
    }

    /// One poll of all that it owns, told. How many records it gave.
    async fn poll(&self) -> Result<usize, ConsumeError> {
        let stage = &self.stage;
        let mut asked = BTreeMap::new();
        for partition in self.consumer.assignment() {
            if let Some(position) = self.consumer.position(&partition) {
                asked.insert(partition.clone(), self.begin(&partition, position));
            }
        }
        let mut questions = self.ask_offsets();
        let answer = self.consumer.poll(Duration::from_millis(300)).await;
        let moved = self.tell_rebalances(&mut questions);
        self.withdraw(questions);
        for moved in moved {
            if let Some(operation) = asked.remove(&moved) {
                stage.tell(Event::PollFailed { operation });
            }
        }
        let records = match answer {
            Ok(records) => records,
            Err(error) => {
                reader::object_to_corruption(stage, &error);
                for operation in asked.into_values() {
                    stage.tell(Event::PollFailed { operation });
                }
                return Err(error);
            }
        };
        let mut given: BTreeMap<TopicPartitionName, Vec<(Offset, Written)>> = BTreeMap::new();
        for record in &records {
            let partition = TopicPartitionName::new(&*record.topic, record.partition);
            let given = given.entry(partition).or_default();
            given.push((record.offset, value::as_read(record)));
        }
        self.tell_beginnings(&given);
        for (partition, records) in &given {
            // It was given to this member and read in this one poll.
            let begin = || self.begin(partition, records[0].0);
            asked.entry(partition.clone()).or_insert_with(begin);
        }
        for (partition, operation) in asked {
            stage.tell(Event::PollAcked {
                operation,
                records: given.remove(&partition).unwrap_or_default(),
                high_watermark: self.consumer.high_watermark(&partition).unwrap_or(-1),
            });
        }
        Ok(records.len())
    }

    fn begin(&self, partition: &TopicPartitionName, position: Offset) -> OperationId {
        let operation = self.stage.next_operation();
        self.stage.tell(Event::PollStarted {
            operation,
            client: self.id,
            partition: self.stage.identity(partition),
            position,
            fresh: false,
        });
        operation
    }

    /// Where it began to read what it was given is what the group committed. At the first offset it may as well have found no commit.
    fn tell_beginnings(&self, given: &BTreeMap<TopicPartitionName, Vec<(Offset, Written)>>) {
        self.beginnings.borrow_mut().retain(|partition, operation| {
            let first = given.get(partition).map(|records| records[0].0);
            let Some(found) = first.or_else(|| self.consumer.position(partition)) else {
                return true;
            };
            let operation = *operation;
            let is_first = found == self.stage.first_offset.get();
            self.stage.tell(match is_first {
                true => Event::CommittedFailed { operation },
                false => Event::CommittedAcked {
                    operation,
                    offset: Some(found),
                },
            });
            false
        });
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

    /// Tells how partitions changed hands in the last poll. Answers those of which it does not read on where it was.
    fn tell_rebalances(&self, questions: &mut Questions) -> Vec<TopicPartitionName> {
        let mut moved = Vec::new();
        for rebalance in self.consumer.take_rebalances() {
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
                        partitions: self.identities(&partitions),
                    });
                    for partition in partitions {
                        let question = questions.remove_entry(&partition);
                        self.beginnings.borrow_mut().extend(question);
                        moved.push(partition);
                    }
                }
                Rebalance::Held {
                    generation,
                    partitions,
                } => {
                    self.stage.count("assignments-held");
                    self.stage.tell(Event::Held {
                        group: GROUP,
                        by: self.membership(generation),
                        partitions: self.identities(&partitions),
                    });
                }
                Rebalance::Revoked(partitions) | Rebalance::Lost(partitions) => {
                    let mut beginnings = self.beginnings.borrow_mut();
                    let given_up = partitions.iter();
                    let void = given_up.filter_map(|name| beginnings.remove_entry(name));
                    self.withdraw(void.collect());
                    moved.extend(partitions);
                }
            }
        }
        moved
    }

    fn identities(&self, partitions: &[TopicPartitionName]) -> Vec<TopicPartition> {
        let identity = |partition| self.stage.identity(partition);
        partitions.iter().map(identity).collect()
    }

    /// A consumer that is given a partition by a poll asks for the group's offset of it at once. So before each poll it is told of
    /// all that it may ask for.
    fn ask_offsets(&self) -> Questions {
        let mut all = self.stage.partitions();
        all.retain(|partition| self.consumer.position(partition).is_none());
        all.retain(|partition| !self.beginnings.borrow().contains_key(partition));
        let ask = |partition: TopicPartitionName| {
            let operation = self.stage.next_operation();
            self.stage.tell(Event::CommittedStarted {
                operation,
                group: GROUP,
                partition: self.stage.identity(&partition),
            });
            (partition, operation)
        };
        all.into_iter().map(ask).collect()
    }

    fn withdraw(&self, questions: Questions) {
        for operation in questions.into_values() {
            self.stage.tell(Event::CommittedFailed { operation });
        }
    }

    /// Commits the positions of everything given out.
    async fn commit(&self) {
        let (stage, consumer) = (&self.stage, &self.consumer);
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
        // What was given out so far is what is committed if nothing else is said.
        let committed = match stage.world.decisions().below(self.habit, 2) {
            0 => consumer.commit().await,
            _ => consumer.commit_offsets(&offsets).await,
        };
        // One that failed may have taken effect all the same.
        if committed.is_ok() {
            stage.count("member-commits");
            for operation in operations {
                stage.tell(Event::CommitAcked { operation });
            }
            let mut reach = stage.group_reach.borrow_mut();
            let reached = offsets.into_iter();
            reach.extend(reached.map(|(partition, offset)| (stage.identity(&partition), offset)));
        }
    }
}
