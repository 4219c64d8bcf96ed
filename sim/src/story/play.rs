//! A story while it is told: its world, its broker, its clients, and the judges.

use super::actor::{Actor, Hands};
use super::group::Groups;
use super::records::Records;
use crate::cluster::Broker;
use crate::history::{Event, OperationId};
use crate::node::NodeId;
use crate::witness;
use crate::workload::Stage;
use crate::world::World;
use futures_channel::oneshot;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;
use taffrail_client::{
    Acked, Admin, ConsumeError, Consumer, ConsumerOptions, Fetched, OffsetReset, OffsetSpec,
    SendError, StartAt, TopicPartitionName,
};
use taffrail_env::Clock;
use taffrail_record::TopicPartition;

/// How long anything may take before the story says that it did not happen.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What became of a record.
pub type Fate = Result<Acked, SendError>;

/// A record on its way.
pub struct Sent {
    pub partition: TopicPartitionName,
    pub value: String,
    pub operation: OperationId,
    /// Never comes if the client dies.
    pub fate: oneshot::Receiver<Fate>,
}

/// See the module's head.
pub struct Play {
    pub world: World,
    broker: RefCell<Option<(String, Rc<Broker>)>>,
    stage: RefCell<Option<Rc<Stage>>>,
    clients: RefCell<BTreeMap<String, Rc<Actor>>>,
    pub records: Rc<Records>,
    /// Where something was acknowledged, unless that was deleted since.
    pub written: RefCell<BTreeSet<TopicPartitionName>>,
    /// Topics whose records may go by retention.
    pub retained: RefCell<BTreeSet<String>>,
    /// Who is in which group.
    pub groups: Rc<Groups>,
    /// Deliveries that nobody has waited for yet, by client.
    pub open: RefCell<BTreeMap<String, Vec<Sent>>>,
    /// The story damaged what was synced.
    pub damaged: Cell<bool>,
    /// The story broke something, so that a stop may end unclean.
    pub strained: Cell<bool>,
    /// The answer to the last command.
    pub last: RefCell<Vec<String>>,
}

impl Play {
    pub fn new(world: World) -> Play {
        Play {
            world,
            broker: RefCell::new(None),
            stage: RefCell::new(None),
            clients: RefCell::default(),
            written: RefCell::default(),
            retained: RefCell::default(),
            records: Rc::default(),
            groups: Rc::default(),
            open: RefCell::default(),
            damaged: Cell::new(false),
            strained: Cell::new(false),
            last: RefCell::default(),
        }
    }

    /// The broker joins the story; from here on the judges see what it writes and syncs.
    pub fn enter(&self, name: String, broker: Rc<Broker>) {
        let stage = Stage::new(
            &self.world,
            broker.address(),
            Vec::new(),
            broker.atlas().clone(),
        );
        *stage.ids.borrow_mut() = Some(BTreeMap::new());
        let records = self.records.clone();
        let numbers_in = move |bytes: &[u8]| records.numbers_in(bytes);
        witness::watch_for(&self.world, broker.node, &stage, numbers_in);
        *self.stage.borrow_mut() = Some(stage);
        *self.broker.borrow_mut() = Some((name, broker));
    }

    pub fn broker(&self) -> Result<Rc<Broker>, String> {
        let broker = self.broker.borrow();
        let (_, broker) = broker.as_ref().ok_or("there is no broker yet")?;
        Ok(broker.clone())
    }

    /// The broker, if it has this name.
    pub fn broker_named(&self, name: &str) -> Result<Rc<Broker>, String> {
        match &*self.broker.borrow() {
            Some((of_broker, broker)) if of_broker == name => Ok(broker.clone()),
            _ => Err(format!("there is no broker `{name}`")),
        }
    }

    pub fn stage(&self) -> Result<Rc<Stage>, String> {
        let stage = self.stage.borrow();
        stage.clone().ok_or("there is no broker yet".to_owned())
    }

    /// A node by its name.
    pub fn node(&self, name: &str) -> Result<NodeId, String> {
        self.world
            .node_named(name)
            .ok_or_else(|| format!("there is no node `{name}`"))
    }

    /// The client of this name; a new one at its first mention, and another process if the last one is dead.
    pub fn client(&self, name: &str) -> Result<Rc<Actor>, String> {
        let broker = self.broker()?;
        let known = self.clients.borrow().get(name).cloned();
        if let Some(actor) = &known
            && self.world.is_running(actor.node)
        {
            return Ok(actor.clone());
        }
        let node = known.map(|actor| actor.node);
        if node.is_none() && self.world.node_named(name).is_some() {
            return Err(format!("`{name}` is no client"));
        }
        let actor = Rc::new(Actor::start(&self.world, name, node, &broker.address()));
        self.clients
            .borrow_mut()
            .insert(name.to_owned(), actor.clone());
        Ok(actor)
    }

    /// Has a nameless client do something that a dead client would leave undone.
    pub async fn ask<T: 'static, F: Future<Output = T> + 'static>(
        &self,
        errand: impl FnOnce(Rc<Hands>) -> F + 'static,
    ) -> Result<T, String> {
        let answer = self.client("somebody")?.ask(errand).await;
        answer.ok_or("the client died over it".to_owned())
    }

    /// Sees to it that judges know a topic by its id, if it is there.
    pub async fn learn(&self, topic: &str) -> Result<(), String> {
        let stage = self.stage()?;
        let known = stage
            .ids
            .borrow()
            .as_ref()
            .is_some_and(|ids| ids.contains_key(topic));
        if known {
            return Ok(());
        }
        let name = topic.to_owned();
        let errand =
            |hands: Rc<Hands>| async move { Admin::new(&hands.client).describe_topic(&name).await };
        if let Ok(found) = self.ask(errand).await? {
            if let Some(ids) = stage.ids.borrow_mut().as_mut() {
                ids.insert(topic.to_owned(), found.id);
            }
            stage.tell(Event::NameResolved {
                partition: stage.identity(&TopicPartitionName::new(topic, 0)),
                found: Some(found.id),
            });
        }
        Ok(())
    }

    /// Tells the judges that partitions may be gone from here on.
    pub fn tell_deleted(
        &self,
        is_deleted: impl Fn(&TopicPartitionName) -> bool,
    ) -> Result<(), String> {
        self.tell_of_written(is_deleted, |partition| Event::DeleteStarted { partition })
    }

    /// Tells the judges that the broker says that they are.
    pub fn tell_gone(&self, is_gone: impl Fn(&TopicPartitionName) -> bool) -> Result<(), String> {
        self.tell_of_written(is_gone, |partition| Event::Deleted { partition })
    }

    fn tell_of_written(
        &self,
        is_meant: impl Fn(&TopicPartitionName) -> bool,
        event: impl Fn(TopicPartition) -> Event,
    ) -> Result<(), String> {
        let stage = self.stage()?;
        for partition in self.written.borrow().iter().filter(|name| is_meant(name)) {
            stage.tell(event(stage.identity(partition)));
        }
        Ok(())
    }

    /// They are gone.
    pub fn forget_deleted(
        &self,
        is_deleted: impl Fn(&TopicPartitionName) -> bool,
    ) -> Result<(), String> {
        let stage = self.stage()?;
        let mut written = self.written.borrow_mut();
        if let Some(ids) = stage.ids.borrow_mut().as_mut() {
            for gone in written.iter().filter(|name| is_deleted(name)) {
                ids.remove(&gone.topic);
            }
        }
        written.retain(|name| !is_deleted(name));
        Ok(())
    }

    /// Somebody will ask for their fates.
    pub fn send_later(&self, client: &str, sent: Vec<Sent>) {
        let mut open = self.open.borrow_mut();
        open.entry(client.to_owned()).or_default().extend(sent);
    }

    /// Tells the judges of a record's fate, if there is one, and puts it into words.
    pub fn judge(&self, stage: &Stage, sent: &Sent, fate: Option<Fate>) -> String {
        let operation = sent.operation;
        if matches!(fate, Some(Ok(_))) {
            self.written.borrow_mut().insert(sent.partition.clone());
        }
        let (event, words) = match fate {
            None => (
                Event::SendUnknown { operation },
                "unknown: the client died".to_owned(),
            ),
            Some(Ok(acked)) if acked.offset >= 0 => (
                Event::SendAcked {
                    operation,
                    offset: acked.offset,
                },
                format!("acknowledged at offset {}", acked.offset),
            ),
            Some(Ok(_)) => (
                Event::SendUnknown { operation },
                "written, and nobody says where".to_owned(),
            ),
            Some(Err(error)) if error.may_be_written() => (
                Event::SendUnknown { operation },
                format!("unknown: {error}"),
            ),
            Some(Err(error)) => (Event::SendFailed { operation }, format!("refused: {error}")),
        };
        stage.tell(event);
        words
    }

    /// All records of a partition from an offset on, or from its start.
    pub async fn read(
        &self,
        client: &str,
        partition: &TopicPartitionName,
        from: Option<i64>,
    ) -> Result<Result<Whole, Unread>, String> {
        let partition = partition.clone();
        let errand = move |hands: Rc<Hands>| async move { whole(&hands, &partition, from).await };
        let answer = self.client(client)?.ask(errand).await;
        answer.ok_or("the client died over it".to_owned())
    }
}

/// A partition as it was read.
pub struct Whole {
    pub start: i64,
    pub end: i64,
    pub records: Vec<Fetched>,
}

/// Why a partition was not read.
pub struct Unread {
    pub why: String,
    /// The broker said that there is no such offset.
    pub is_out_of_range: bool,
}

impl From<String> for Unread {
    fn from(why: String) -> Unread {
        Unread {
            why,
            is_out_of_range: false,
        }
    }
}

async fn whole(
    hands: &Hands,
    partition: &TopicPartitionName,
    from: Option<i64>,
) -> Result<Whole, Unread> {
    let place = async |spec| {
        let wanted = BTreeMap::from([(partition.clone(), spec)]);
        let until = hands.env.now() + PATIENCE;
        let found = hands.client.list_offsets(&wanted, until).await;
        let found = found.map_err(|error| error.to_string())?;
        let place = found.get(partition).and_then(|found| found.offset);
        place.ok_or_else(|| format!("nobody knows {spec:?} of {partition}"))
    };
    let start = place(OffsetSpec::Earliest).await?;
    let end = place(OffsetSpec::Latest).await?;
    let mut whole = Whole {
        start,
        end,
        records: Vec::new(),
    };
    let options = ConsumerOptions {
        offset_reset: OffsetReset::Error,
        ..ConsumerOptions::default()
    };
    let consumer = Consumer::new(&hands.client, options);
    let begin = from.unwrap_or(start);
    consumer.assign(&[(partition.clone(), StartAt::Offset(begin))]);
    let until = hands.env.now() + PATIENCE;
    let mut last = None;
    // An offset beyond the end is asked for, to be refused; and one at the end, not to be.
    let mut asked = from.is_none();
    while consumer.position(partition).unwrap_or(begin) < end || begin > end || !asked {
        if hands.env.now() >= until {
            let why = last.unwrap_or_else(|| "no records came".to_owned());
            return Err(why.into());
        }
        match consumer.poll(Duration::from_secs(1)).await {
            Ok(records) => {
                asked = true;
                whole.records.extend(records);
            }
            Err(error @ ConsumeError::OutOfRange { .. }) => {
                return Err(Unread {
                    why: error.to_string(),
                    is_out_of_range: true,
                });
            }
            Err(error @ ConsumeError::Corrupt { .. }) => return Err(error.to_string().into()),
            Err(error) => last = Some(error.to_string()),
        }
    }
    whole.records.retain(|record| record.offset < end);
    Ok(whole)
}
