//! Clients of a simulated cluster: what they do, and what they tell the judges of it.
//!
//! Every client is a process on a node of its own and uses the product's own client. A [`Stage`] is what they share: the
//! world, the judges, numbers that are unique in the run, and the phase that the run is in. Clients end by themselves when
//! the phase tells them to, so that the world can be asked for progress and for quiet.

pub mod commits;
pub mod group;
pub mod operator;
pub mod pace;
mod peer;
pub mod pipeliner;
pub mod producer;
pub mod prompt;
pub mod read_back;
pub mod reader;
pub mod revenant;
pub mod scanner;
pub mod session;
pub mod stranger;
pub mod truant;
pub mod turnover;
pub mod undaunted;
pub mod value;
pub mod zombie;

use crate::atlas::Atlas;
use crate::checker::Court;
use crate::decision::Stream;
use crate::history::{ClientId, Event, Membership, OperationId, Owed};
use crate::world::World;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;
use taffrail_client::TopicPartitionName;
use taffrail_record::{Offset, TopicId, TopicPartition};

/// What clients do at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Everybody works.
    Work,
    /// Producers take nothing new and wait for what is on its way; readers go on.
    Drain,
    /// Everybody ends.
    Quiet,
}

/// The wall clock of records, which does not follow any node's: 2023-11-14.
const EPOCH_MS: i64 = 1_700_000_000_000;

/// A topic of the workload.
#[derive(Clone, Debug)]
pub struct Topic {
    pub name: String,
    pub partitions: i32,
}

/// What all clients of a run share.
pub struct Stage {
    pub world: World,
    /// `HOST:PORT` of the broker.
    pub broker: String,
    pub topics: Vec<Topic>,
    /// Topics that came later.
    pub also: RefCell<Vec<Topic>>,
    /// What the turnover's topic is at present; see [`turnover`].
    pub resident: RefCell<Option<turnover::Resident>>,
    /// The ids of topics by their names, where a name may be given again. Without it, names serve as identities.
    pub ids: RefCell<Option<BTreeMap<String, TopicId>>>,
    /// What it has ever been, the newest last.
    pub lives: RefCell<Vec<TopicPartition>>,
    pub phase: Cell<Phase>,
    /// Clients that have not ended yet.
    pub busy: Cell<u32>,
    /// Records given to producers whose fate is not known yet.
    pub unsettled: Cell<u64>,
    /// How the members of the group share, by the number of the assignor.
    pub assignor: usize,
    /// How long the group waits for a member without a heartbeat.
    pub session: Duration,
    /// 0: all members claim to be the same one.
    pub twins: u64,
    /// Every membership of the members' group that any of them ever had.
    pub memberships: RefCell<Vec<Membership>>,
    /// How far the members' group committed that it has read each partition.
    pub group_reach: RefCell<BTreeMap<TopicPartition, Offset>>,
    /// The generations of the group that its members believe in at present.
    pub generations: RefCell<BTreeMap<ClientId, i32>>,
    /// There are members.
    pub has_members: Cell<bool>,
    /// Members stay from now on.
    pub steady: Cell<bool>,
    /// Clients that commit offsets for a group of their own.
    pub committers: RefCell<Vec<ClientId>>,
    /// Where all logs begin.
    pub first_offset: Cell<Offset>,
    /// What the broker's disk may damage.
    pub atlas: Rc<Atlas>,
    /// Names of topics by their true ids, as far as the broker was seen with them.
    names: RefCell<BTreeMap<TopicId, String>>,
    court: RefCell<Court>,
    operations: Cell<OperationId>,
    records: Cell<u64>,
}

impl Stage {
    pub fn new(world: &World, broker: String, topics: Vec<Topic>, atlas: Rc<Atlas>) -> Rc<Stage> {
        let decisions = world.decisions();
        Rc::new(Stage {
            world: world.clone(),
            broker,
            topics,
            also: RefCell::default(),
            resident: RefCell::new(None),
            ids: RefCell::new(None),
            lives: RefCell::default(),
            phase: Cell::new(Phase::Work),
            busy: Cell::new(0),
            unsettled: Cell::new(0),
            assignor: decisions.below(decisions.stream("members/assignor"), 3) as usize,
            session: Duration::from_secs(
                [1, 6][decisions.below(decisions.stream("members/session"), 2) as usize],
            ),
            twins: decisions.below(decisions.stream("members/twins"), 3),
            memberships: RefCell::default(),
            group_reach: RefCell::default(),
            generations: RefCell::default(),
            has_members: Cell::new(false),
            steady: Cell::new(false),
            committers: RefCell::default(),
            first_offset: Cell::new(0),
            atlas,
            names: RefCell::default(),
            court: RefCell::default(),
            operations: Cell::new(0),
            records: Cell::new(0),
        })
    }

    /// Shows the judges what happened; an objection ends the run.
    pub fn tell(&self, event: Event) {
        if event.ends_operation() {
            self.world.count_operation();
        }
        self.world.keep_history(&event);
        self.observe(event);
    }

    /// As [`Stage::tell`], of something that no client did.
    pub fn observe(&self, event: Event) {
        let verdict = self.court.borrow_mut().on_event(&event);
        if let Err(violation) = verdict {
            self.world.fail(violation.invariant, violation.witness);
        }
    }

    /// Tells the judges how somebody fared who waited for what a healed cluster owes. Whether it came.
    pub fn tell_wait(
        &self,
        owed: Owed,
        of: impl Into<String>,
        came: Result<Duration, String>,
        patience: Duration,
    ) -> bool {
        let is_there = came.as_ref().is_ok_and(|took| *took <= patience);
        self.tell(Event::Awaited {
            owed,
            of: of.into(),
            came,
            patience,
        });
        is_there
    }

    /// As [`Stage::tell_wait`], of all partitions since `begun`: one that is left waiting speaks for all. Whether none is.
    pub fn tell_waits(
        &self,
        owed: Owed,
        left: Vec<(TopicPartitionName, String)>,
        begun: Duration,
        patience: Duration,
    ) -> bool {
        let (of, came) = match left.into_iter().next() {
            Some((partition, why)) => (partition.to_string(), Err(why)),
            None => {
                // One after the other, each with as much patience.
                let took = self.world.elapsed() - begun;
                ("every partition".to_owned(), Ok(took.min(patience)))
            }
        };
        self.tell_wait(owed, of, came, patience)
    }

    /// What a client itself cannot explain ends the run, unless nothing of the kind is owed any more.
    pub fn object(&self, invariant: &'static str, witness: String) {
        if self.court.borrow().upholds(invariant) {
            self.world.fail(invariant, witness);
        }
    }

    /// Asks the judges for what should have happened and has not.
    pub fn conclude(&self) {
        let verdict = self.court.borrow_mut().finish();
        if let Err(violation) = verdict {
            self.world.fail(violation.invariant, violation.witness);
        }
    }

    /// A number for an operation.
    pub fn next_operation(&self) -> OperationId {
        let number = self.operations.get();
        self.operations.set(number + 1);
        number
    }

    /// A number for a record.
    pub fn next_record(&self) -> u64 {
        let number = self.records.get();
        self.records.set(number + 1);
        number
    }

    /// The time of a record that is made now.
    pub fn record_time(&self) -> i64 {
        EPOCH_MS + self.world.elapsed().as_millis() as i64
    }

    /// `pause`, or much longer while everybody waits for the members: then haste finds nothing out.
    pub fn rest(&self, pause: Duration) -> Duration {
        match self.steady.get() {
            true => pause * 8 + Duration::from_millis(20),
            false => pause,
        }
    }

    pub fn count(&self, what: &'static str) {
        self.world.count(what);
    }

    /// A partition, as judges name it. Only the turnover gives a name to a second topic; elsewhere names
    /// serve as identities.
    pub fn identity(&self, name: &TopicPartitionName) -> TopicPartition {
        let ids = self.ids.borrow();
        if let Some(id) = ids.as_ref().and_then(|ids| ids.get(&name.topic)) {
            return TopicPartition {
                topic: *id,
                partition: name.partition,
            };
        }
        let mut topic = [0; 16];
        for (byte, from) in topic.iter_mut().zip(name.topic.bytes()) {
            *byte = from;
        }
        TopicPartition {
            topic: TopicId(topic),
            partition: name.partition,
        }
    }

    /// The broker was seen with a topic of this id.
    pub fn learn(&self, id: TopicId, name: &str) {
        if !self.names.borrow().contains_key(&id) {
            self.names.borrow_mut().insert(id, name.to_owned());
            let of_workload = |topic: &Topic| topic.name == name;
            if name == turnover::TOPIC || self.topics.iter().any(of_workload) {
                self.atlas.learn(id);
            }
        }
    }

    /// Whether a topic has the broker's settings and nobody's own.
    pub fn is_plain(&self, id: TopicId) -> bool {
        let names = self.names.borrow();
        let name = names.get(&id);
        name.is_some_and(|name| self.topics.iter().any(|topic| topic.name == *name))
    }

    /// Offsets of a partition that may be refused, as spans.
    pub fn refusable(&self, partition: TopicPartition) -> Vec<(Offset, Offset)> {
        let names = self.names.borrow();
        let identity = |damaged: TopicPartition| match names.get(&damaged.topic) {
            Some(name) if name != turnover::TOPIC => {
                self.identity(&TopicPartitionName::new(name.as_str(), damaged.partition))
            }
            _ => damaged,
        };
        let damaged = self.atlas.refusable().into_iter();
        let here = damaged.filter(|(damaged, _, _)| identity(*damaged) == partition);
        here.map(|(_, from, to)| (from, to)).collect()
    }

    /// All logs begin here.
    pub fn begin_logs_at(&self, offset: Offset) {
        if offset != 0 {
            self.first_offset.set(offset);
            self.tell(Event::LogsBegin { offset });
        }
    }

    /// An offset of a log that reaches to `end`, as far as somebody knows; that end among them.
    pub fn pick_offset(&self, stream: Stream, end: Offset) -> Offset {
        let first = self.first_offset.get();
        let span = end.saturating_sub(first).max(0) as u64;
        first + self.world.decisions().below(stream, span + 1) as Offset
    }

    /// Every partition of the workload.
    pub fn partitions(&self) -> Vec<TopicPartitionName> {
        let of_topic = |topic: &Topic| {
            let name = topic.name.clone();
            (0..topic.partitions)
                .map(move |partition| TopicPartitionName::new(name.clone(), partition))
        };
        let also = self.also.borrow();
        self.topics
            .iter()
            .chain(also.iter())
            .flat_map(of_topic)
            .collect()
    }

    pub fn pick_partition(&self, stream: Stream) -> TopicPartitionName {
        let all = self.partitions();
        let index = self.world.decisions().below(stream, all.len() as u64);
        all[index as usize].clone()
    }
}

/// A client's presence: counted from its making to its end.
pub struct Presence(Rc<Stage>);

impl Presence {
    pub fn new(stage: &Rc<Stage>) -> Presence {
        stage.busy.set(stage.busy.get() + 1);
        Presence(stage.clone())
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.0.busy.set(self.0.busy.get() - 1);
    }
}
