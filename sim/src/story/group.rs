//! The members of a story's groups: what they do, as the judges hear of it, and how far their groups have come.

use super::actor::Member;
use super::records::Records;
use crate::env::SimEnv;
use crate::history::{ClientId, Event, Membership, OperationId, Written};
use crate::workload::Stage;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;
use taffrail_client::{ConsumeError, Consumer, Fetched, Rebalance, TopicPartitionName};
use taffrail_record::{Offset, TopicPartition};

/// Between the numbers of a client's processes, as judges know them in groups. What a member knows of itself dies with it.
const LIFE: ClientId = 256;

/// A group as judges number it.
pub fn number(group: &str) -> u32 {
    crate::trace::digest(group.as_bytes()) as u32
}

/// The client on this node as a member, in this life of its.
pub fn member_number(node: u32, incarnation: u32) -> ClientId {
    node + LIFE * incarnation
}

/// Who is in which group at present, and how far the groups have read.
#[derive(Default)]
pub struct Groups {
    members: RefCell<BTreeMap<ClientId, Standing>>,
    /// How far each group committed that it has read a partition.
    reach: RefCell<BTreeMap<(String, TopicPartitionName), Offset>>,
    /// Topics whose logs may begin later than they did, so that a member may have to begin anew.
    shortened: RefCell<BTreeSet<String>>,
}

/// What a member believes.
struct Standing {
    group: String,
    topics: Vec<String>,
    generation: i32,
}

impl Groups {
    /// Records of this topic may go.
    pub fn shorten(&self, topic: &str) {
        self.shortened.borrow_mut().insert(topic.to_owned());
    }

    /// The groups that have members.
    pub fn names(&self) -> BTreeSet<String> {
        let members = self.members.borrow();
        members.values().map(|held| held.group.clone()).collect()
    }

    /// In which generation each member of the group believes itself.
    pub fn generations(&self, group: &str) -> Vec<(ClientId, i32)> {
        let members = self.members.borrow();
        let of_group = members.iter().filter(|(_, held)| held.group == group);
        of_group.map(|(id, held)| (*id, held.generation)).collect()
    }

    /// How far the group has come in the partitions that end there, where they are its members' business.
    pub fn reach(
        &self,
        group: &str,
        ends: &BTreeMap<TopicPartitionName, Offset>,
    ) -> Vec<(TopicPartitionName, Offset, Offset)> {
        let members = self.members.borrow();
        let is_read = |topic: &String| {
            let mut of_group = members.values().filter(|held| held.group == group);
            of_group.any(|held| held.topics.contains(topic))
        };
        let reach = self.reach.borrow();
        let mut found = Vec::new();
        for (name, end) in ends.iter().filter(|(name, _)| is_read(&name.topic)) {
            let reached = reach.get(&(group.to_owned(), name.clone()));
            found.push((name.clone(), reached.copied().unwrap_or(0), *end));
        }
        found
    }
}

/// A question for records that is not answered yet.
struct Open {
    operation: OperationId,
    partition: TopicPartition,
    position: Offset,
}

/// A member's part in its group, for as long as it takes part.
pub struct Part {
    stage: Rc<Stage>,
    groups: Rc<Groups>,
    records: Rc<Records>,
    member: Rc<Member>,
    group: String,
    instance: Option<String>,
    id: ClientId,
    /// What was read last has not been committed.
    is_behind: Cell<bool>,
}

impl Drop for Part {
    fn drop(&mut self) {
        self.groups.members.borrow_mut().remove(&self.id);
    }
}

/// Who listens to a member.
pub struct Audience {
    pub stage: Rc<Stage>,
    pub groups: Rc<Groups>,
    pub records: Rc<Records>,
}

impl Part {
    /// The member enters its group, to read these topics.
    pub fn begin(
        audience: Audience,
        member: Rc<Member>,
        id: ClientId,
        (group, topics, instance): (String, Vec<String>, Option<String>),
    ) -> Part {
        let Audience {
            stage,
            groups,
            records,
        } = audience;
        let standing = Standing {
            group: group.clone(),
            topics,
            generation: -1,
        };
        groups.members.borrow_mut().insert(id, standing);
        Part {
            stage,
            groups,
            records,
            member,
            group,
            instance,
            id,
            is_behind: Cell::new(false),
        }
    }

    /// Polls and commits until the member leaves or is refused.
    pub async fn take(self) {
        loop {
            let Some(consumer) = self.member.consumer.borrow().clone() else {
                break;
            };
            match self.poll(&consumer).await {
                Ok(records) if records.is_empty() => {
                    if self.is_behind.get() {
                        self.commit(&consumer).await;
                    }
                    self.note_reach(&consumer);
                }
                Ok(records) => {
                    self.member.seen.borrow_mut().extend(records);
                    self.commit(&consumer).await;
                    self.note_reach(&consumer);
                }
                Err(error) => {
                    self.member.said.borrow_mut().push(error.to_string());
                    if matches!(error, ConsumeError::Refused(_)) {
                        break;
                    }
                }
            }
        }
        self.stage.tell(Event::Revoked {
            group: number(&self.group),
            member: self.id,
        });
    }

    /// One poll of all that it owns, told.
    async fn poll(&self, consumer: &Consumer<SimEnv>) -> Result<Vec<Fetched>, ConsumeError> {
        let mut asked = BTreeMap::new();
        for name in consumer.assignment() {
            if let Some(position) = consumer.position(&name) {
                asked.insert(name.clone(), self.ask(&name, position));
            }
        }
        let answer = consumer.poll(Duration::from_millis(200)).await;
        for moved in self.tell_rebalances(consumer) {
            if let Some(open) = asked.remove(&moved) {
                self.fail(&open);
            }
        }
        if let Some(standing) = self.groups.members.borrow_mut().get_mut(&self.id) {
            standing.generation = consumer.membership().1;
        }
        match &answer {
            Ok(records) => self.tell_answers(consumer, asked, records),
            Err(_) => asked.values().for_each(|open| self.fail(open)),
        }
        answer
    }

    fn ask(&self, name: &TopicPartitionName, position: Offset) -> Open {
        let operation = self.stage.next_operation();
        let partition = self.stage.identity(name);
        self.stage.tell(Event::PollStarted {
            operation,
            client: self.id,
            partition,
            position,
            fresh: false,
        });
        Open {
            operation,
            partition,
            position,
        }
    }

    fn fail(&self, open: &Open) {
        let operation = open.operation;
        self.stage.tell(Event::PollFailed { operation });
    }

    fn tell_answers(
        &self,
        consumer: &Consumer<SimEnv>,
        asked: BTreeMap<TopicPartitionName, Open>,
        records: &[Fetched],
    ) {
        let mut given: BTreeMap<TopicPartitionName, Vec<(Offset, Written)>> = BTreeMap::new();
        for record in records {
            let name = TopicPartitionName::new(&*record.topic, record.partition);
            let of_partition = given.entry(name).or_default();
            of_partition.push(self.records.as_read(record));
        }
        let answer = |open: &Open, name: &TopicPartitionName, records: Vec<(Offset, Written)>| {
            // Without records nobody knows whether it is still that of another topic of this name.
            let known = consumer.high_watermark(name);
            let known = known.filter(|_| !records.is_empty());
            self.stage.tell(Event::PollAcked {
                operation: open.operation,
                records,
                high_watermark: known.unwrap_or(-1),
            });
        };
        for (name, open) in asked {
            let records = given.get(&name).map_or(&[][..], Vec::as_slice);
            if self.goes_on(consumer, &name, &open, records) {
                answer(&open, &name, given.remove(&name).unwrap_or_default());
                continue;
            }
            self.fail(&open);
            self.stage.tell(Event::Placed {
                client: self.id,
                partition: self.stage.identity(&name),
                position: None,
            });
        }
        // It was given to this member, or begun anew, and read in this one poll.
        for (name, records) in given {
            let open = self.ask(&name, records[0].0);
            answer(&open, &name, records);
        }
    }

    /// Whether an answer is about what was asked: not if the topic is another one by now, nor if its log was cut short and its reading
    /// begun anew.
    fn goes_on(
        &self,
        consumer: &Consumer<SimEnv>,
        name: &TopicPartitionName,
        open: &Open,
        records: &[(Offset, Written)],
    ) -> bool {
        if self.stage.identity(name) != open.partition {
            return false;
        }
        let first = records.first().map(|(offset, _)| *offset);
        let place = first.or_else(|| consumer.position(name));
        place == Some(open.position) || !self.groups.shortened.borrow().contains(&name.topic)
    }

    /// Who it believes to be, in this generation.
    fn membership(&self, consumer: &Consumer<SimEnv>, generation: i32) -> Membership {
        Membership {
            client: self.id,
            member_id: consumer.membership().0,
            instance: self.instance.clone(),
            generation,
        }
    }

    /// Tells how partitions changed hands in the last poll. Answers those of which it does not read on where it was.
    fn tell_rebalances(&self, consumer: &Consumer<SimEnv>) -> Vec<TopicPartitionName> {
        let group = number(&self.group);
        let identities = |names: &[TopicPartitionName]| {
            let names = names.iter();
            names.map(|name| self.stage.identity(name)).collect()
        };
        let mut moved = Vec::new();
        for rebalance in consumer.take_rebalances() {
            match rebalance {
                Rebalance::Assigned {
                    generation,
                    partitions,
                } => {
                    self.stage.tell(Event::Assigned {
                        group,
                        by: self.membership(consumer, generation),
                        partitions: identities(&partitions),
                    });
                    moved.extend(partitions);
                }
                Rebalance::Held {
                    generation,
                    partitions,
                } => self.stage.tell(Event::Held {
                    group,
                    by: self.membership(consumer, generation),
                    partitions: identities(&partitions),
                }),
                Rebalance::Revoked(partitions) | Rebalance::Lost(partitions) => {
                    moved.extend(partitions);
                }
            }
        }
        moved
    }

    /// Commits the positions of everything given out.
    async fn commit(&self, consumer: &Consumer<SimEnv>) {
        let stage = &self.stage;
        let by = self.membership(consumer, consumer.membership().1);
        let mut operations = Vec::new();
        for name in consumer.assignment() {
            let Some(offset) = consumer.position(&name) else {
                continue;
            };
            let operation = stage.next_operation();
            stage.tell(Event::CommitStarted {
                operation,
                group: number(&self.group),
                partition: stage.identity(&name),
                offset,
                by: Some(by.clone()),
            });
            operations.push(operation);
        }
        let committed = consumer.commit().await;
        self.is_behind.set(committed.is_err());
        match committed {
            Ok(()) => {
                let acked = |operation| stage.tell(Event::CommitAcked { operation });
                operations.into_iter().for_each(acked);
            }
            // It may have taken effect all the same, so the judges are told nothing.
            Err(error) => self
                .member
                .said
                .borrow_mut()
                .push(format!("commit: {error}")),
        }
    }

    /// Where it stands is what its group has committed, unless a commit has failed since.
    fn note_reach(&self, consumer: &Consumer<SimEnv>) {
        if self.is_behind.get() {
            return;
        }
        let mut reach = self.groups.reach.borrow_mut();
        for name in consumer.assignment() {
            if let Some(position) = consumer.position(&name) {
                reach.insert((self.group.clone(), name), position);
            }
        }
    }
}
