//! A cluster for tests of one's own: brokers, clients that are closures, judges that hear what the clients do.
//!
//! [`Cluster::start`] puts a broker into a world, started again by itself when it dies of a fault. [`Cluster::client`] runs a closure as a
//! process on a node of its own, with the product's own client; what goes through [`RecordedProducer`] and
//! [`RecordedConsumer`] is judged, event by event. [`Cluster::account`] ends the faults, demands progress, reads everything back
//! again and again, and asks the judges for the last time. What is done to nodes, links and clocks is done through the
//! [`World`], where programs of one's own run beside the cluster.
//!
//! Whatever is recorded is told as soon as it happens; a broken promise ends the run, with the invariant and a witness in
//! [`crate::Outcome::failure`]. Promises of one's own are kept by `assert!` in any closure, or by [`World::fail`].

mod account;
mod client;
mod consumer;
mod producer;

pub use client::{ClientNode, Running};
pub use consumer::RecordedConsumer;
pub use producer::{RecordedDelivery, RecordedProducer};

use crate::atlas::Law;
use crate::chaos::Chaos;
use crate::cluster::{Broker, draw_config, plain_config};
use crate::disk::DiskOptions;
use crate::env::SimEnv;
use crate::history::Event;
use crate::node::{NodeId, NodeOptions};
use crate::witness;
use crate::workload::{Stage, Topic};
use crate::world::World;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;
use taffrail_client::admin::{NewTopic, TopicDescription};
use taffrail_client::{Admin, Client, ClientError, ErrorCode, TopicPartitionName};
use taffrail_record::{TopicId, TopicPartition};

/// How long a cluster without faults may take for anything that it owes.
const PATIENCE: Duration = Duration::from_secs(180);

/// What a cluster is like.
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    /// How many; so far a cluster is one broker.
    pub brokers: u32,
    /// The brokers' configuration keys, as in their files. Topics are not made by being asked for, and retention removes
    /// nothing, unless it says so here.
    pub settings: BTreeMap<String, String>,
    /// The seed draws the sizes of segments, journal and caches and the number of shards, small: what is rare in production
    /// happens all the time. Otherwise they are as in production.
    pub draws_sizes: bool,
    /// Faults that damage synced data may strike, where the product has to go on beside records that it may refuse.
    pub damages_synced_data: bool,
    pub disk: DiskOptions,
}

impl Default for ClusterOptions {
    /// One broker with sizes drawn by the seed, whose disk keeps what it has synced.
    fn default() -> ClusterOptions {
        ClusterOptions {
            brokers: 1,
            settings: BTreeMap::new(),
            draws_sizes: true,
            damages_synced_data: false,
            disk: DiskOptions::default(),
        }
    }
}

/// What every broker is told before [`ClusterOptions::settings`]. Clocks are wrong at times, and judges expect what was acknowledged.
const SETTINGS: [(&str, &str); 3] = [
    ("auto.create.topics.enable", "false"),
    ("log.retention.ms", "-1"),
    ("log.message.timestamp.after.max.ms", "9223372036854775807"),
];

/// A broker, and whether it is to stay down.
struct Place {
    broker: Rc<Broker>,
    held: Rc<Cell<bool>>,
}

/// A cluster in a world. A handle.
#[derive(Clone)]
pub struct Cluster(Rc<Inner>);

struct Inner {
    world: World,
    places: Vec<Place>,
    stage: Rc<Stage>,
    chaos: Chaos,
    /// Nodes of those who make and delete topics.
    operators: RefCell<Vec<NodeId>>,
    /// The next producer or consumer is known to judges by this number.
    next_client: Cell<u32>,
    /// Records with a lower number were handed over before judges knew the topic.
    births: RefCell<BTreeMap<TopicId, u64>>,
    /// Names of topics that were deleted; others may bear them.
    deleted: RefCell<BTreeSet<String>>,
    /// Topics whose records may leave them by themselves.
    trimmed: RefCell<BTreeSet<String>>,
    /// All topics are such.
    trims: bool,
}

/// Whether a setting of a broker or a topic lets records leave by themselves.
fn trims(key: &str, value: &str) -> bool {
    // Not how often retention looks, nor how long offsets and tombstones are kept.
    let is_other = ["check", "offsets", "delete."];
    let is_other = is_other.iter().any(|word| key.contains(word));
    let bounds = key.contains("retention") && !is_other && value != "-1";
    bounds || (key.contains("cleanup.policy") && value != "delete")
}

impl Cluster {
    /// Puts a cluster into the world, and waits until it serves; not for ever, where faults keep it from that.
    ///
    /// # Panics
    /// If a setting is refused, or if more than one broker is asked for.
    pub async fn start(world: &World, options: ClusterOptions) -> Cluster {
        assert_eq!(options.brokers, 1, "a cluster is one broker so far");
        let mut settings = options.settings.iter();
        let trims = settings.any(|(key, value)| trims(key, value));
        let law = match options.damages_synced_data {
            true => Law::Survivable,
            false => Law::Sound,
        };
        let broker = make_broker(world, &options, law);
        let node = broker.node;
        let atlas = broker.atlas().clone();
        let stage = Stage::new(world, broker.address(), Vec::new(), atlas.clone());
        *stage.ids.borrow_mut() = Some(BTreeMap::new());
        witness::watch(world, node, &stage);
        let held = Rc::new(Cell::new(false));
        let (starter, told, holds) = (broker.clone(), stage.clone(), held.clone());
        let chaos = Chaos::begin(world, &[node], move |_, _| {
            if !holds.get() {
                starter.start(&told);
            }
        });
        world.spawn_harness(atlas.rot());
        broker.until_serving(PATIENCE).await;
        Cluster(Rc::new(Inner {
            world: world.clone(),
            places: vec![Place { broker, held }],
            stage,
            chaos,
            operators: RefCell::default(),
            next_client: Cell::new(0),
            births: RefCell::default(),
            deleted: RefCell::default(),
            trimmed: RefCell::default(),
            trims,
        }))
    }

    /// The brokers' nodes.
    pub fn brokers(&self) -> Vec<NodeId> {
        let places = self.0.places.iter();
        places.map(|place| place.broker.node).collect()
    }

    /// `HOST:PORT` of every broker, for clients that begin somewhere.
    pub fn addresses(&self) -> Vec<String> {
        let places = self.0.places.iter();
        places.map(|place| place.broker.address()).collect()
    }

    /// Whether a broker serves.
    pub fn is_serving(&self, broker: NodeId) -> bool {
        self.place(broker).broker.is_serving()
    }

    /// Kills a broker (`kill -9`), and keeps it down until [`Cluster::boot`], [`Cluster::heal`] or [`Cluster::account`].
    pub fn kill(&self, broker: NodeId) {
        let place = self.place(broker);
        place.held.set(true);
        place.broker.kill();
    }

    /// Cuts a broker's power, and keeps it off likewise.
    pub fn power_cut(&self, broker: NodeId) {
        let place = self.place(broker);
        place.held.set(true);
        place.broker.power_cut();
    }

    /// Stops a serving broker cleanly, and keeps it down likewise. The error says why it was not clean.
    pub async fn stop(&self, broker: NodeId) -> Result<(), String> {
        let place = self.place(broker);
        place.held.set(true);
        place.broker.stop(PATIENCE).await
    }

    /// Starts a broker that was kept down. Whether it serves; if not, something is wrong with it or still with its world.
    pub async fn boot(&self, broker: NodeId) -> bool {
        let place = self.place(broker);
        place.held.set(false);
        place.broker.until_serving(PATIENCE).await
    }

    /// Breaks brokers, their links and their clocks for so long, by the rates of the run; see [`crate::Simulation::with_menu`].
    /// A broker that dies of it is started again a while later. Faults of disk and network strike from the beginning.
    pub async fn rage(&self, duration: Duration) {
        self.0.chaos.rage(duration).await;
    }

    /// Ends all faults for good: links are whole, clocks go on, disks do what they should, and every broker is started.
    pub fn heal(&self) {
        self.0.chaos.heal();
        self.0.places.iter().for_each(|place| place.held.set(false));
    }

    /// Makes a topic, if there is none of this name. Records may not leave it by themselves: judges would take them for lost.
    pub async fn create_topic(
        &self,
        name: &str,
        partitions: i32,
        configs: &[(&str, &str)],
    ) -> Result<(), ClientError> {
        if configs.iter().any(|(key, value)| trims(key, value)) {
            self.0.trimmed.borrow_mut().insert(name.to_owned());
        }
        let configs = configs.iter();
        let topic = NewTopic {
            name: name.to_owned(),
            partitions: Some(partitions),
            replication_factor: None,
            configs: configs
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
        };
        let made = self.operate(async move |admin| make_topic(&admin, &topic).await);
        let found = made.await?;
        self.learn(&found);
        Ok(())
    }

    /// Deletes a topic, and what judges expect of it.
    pub async fn delete_topic(&self, name: &str) -> Result<(), ClientError> {
        let partitions = self.partitions_of(name);
        let id = self.id_of(name);
        for partition in &partitions {
            let partition = *partition;
            self.0.stage.tell(Event::DeleteStarted { partition });
        }
        let topic = name.to_owned();
        self.0.deleted.borrow_mut().insert(topic.clone());
        self.operate(async move |admin| match id {
            Some(id) => admin.delete_topic_with_id(id).await,
            None => admin.delete_topic(&topic).await,
        })
        .await?;
        for partition in partitions {
            self.0.stage.tell(Event::Deleted { partition });
        }
        let stage = &self.0.stage;
        stage.also.borrow_mut().retain(|topic| topic.name != name);
        if let Some(ids) = stage.ids.borrow_mut().as_mut() {
            ids.remove(name);
        }
        Ok(())
    }

    fn place(&self, broker: NodeId) -> &Place {
        let mut places = self.0.places.iter();
        let found = places.find(|place| place.broker.node == broker);
        found.unwrap_or_else(|| panic!("{broker} is no broker"))
    }

    /// Does something by the hands of somebody whom nothing breaks but the brokers' faults.
    async fn operate<T: 'static, F: Future<Output = T> + 'static>(
        &self,
        errand: impl FnOnce(Admin<SimEnv>) -> F + 'static,
    ) -> T {
        let node = self.idle_operator();
        let done = self.client_on(node, move |node| errand(node.admin()));
        done.join().await.expect("nobody kills an operator")
    }

    fn idle_operator(&self) -> NodeId {
        let world = &self.0.world;
        let mut operators = self.0.operators.borrow_mut();
        if let Some(idle) = operators.iter().find(|node| !world.is_running(**node)) {
            return *idle;
        }
        let name = format!("operator-{}", operators.len());
        let node = world.add_node(NodeOptions::named(name));
        operators.push(node);
        node
    }

    /// What the cluster's clients share.
    pub(crate) fn stage(&self) -> &Rc<Stage> {
        &self.0.stage
    }

    /// The number of one more client, as judges know it.
    pub(crate) fn next_client(&self) -> u32 {
        let number = self.0.next_client.get();
        self.0.next_client.set(number + 1);
        number
    }

    fn id_of(&self, topic: &str) -> Option<TopicId> {
        let ids = self.0.stage.ids.borrow();
        ids.as_ref().and_then(|ids| ids.get(topic).copied())
    }

    /// A partition, if judges know its topic.
    pub(crate) fn known(&self, name: &TopicPartitionName) -> Option<TopicPartition> {
        let topic = self.id_of(&name.topic)?;
        Some(TopicPartition {
            topic,
            partition: name.partition,
        })
    }

    /// Whether a record of this number may have been sent to the topic that bears this name now; or else it was to another before.
    pub(crate) fn is_of_present(&self, topic: &str, record: u64) -> bool {
        let births = self.0.births.borrow();
        let birth = self.id_of(topic).and_then(|id| births.get(&id));
        birth.is_some_and(|birth| record >= *birth)
    }

    /// Whether the name may have been another topic's before.
    pub(crate) fn is_reused(&self, topic: &str) -> bool {
        self.0.deleted.borrow().contains(topic)
    }

    /// Whether records may leave the topic by themselves, so that its log starts later than before.
    pub(crate) fn may_trim(&self, topic: &str) -> bool {
        self.0.trims || self.0.trimmed.borrow().contains(topic)
    }

    /// The partitions of a topic, as judges name them.
    fn partitions_of(&self, topic: &str) -> Vec<TopicPartition> {
        let stage = &self.0.stage;
        let partitions = self.partition_count(topic).unwrap_or(0);
        (0..partitions)
            .map(|partition| stage.identity(&TopicPartitionName::new(topic, partition)))
            .collect()
    }

    fn partition_count(&self, topic: &str) -> Option<i32> {
        let also = self.0.stage.also.borrow();
        let found = also.iter().find(|known| known.name == topic);
        found.map(|known| known.partitions)
    }

    /// Sees to it that judges know a topic by its id.
    async fn look_up(&self, client: &Client<SimEnv>, topic: &str) -> Result<(), ClientError> {
        if self.id_of(topic).is_none() {
            let found = Admin::new(client).describe_topic(topic).await?;
            self.learn(&found);
        }
        Ok(())
    }

    fn learn(&self, found: &TopicDescription) {
        let stage = &self.0.stage;
        let known = match stage.ids.borrow_mut().as_mut() {
            Some(ids) => ids.insert(found.name.clone(), found.id).is_some(),
            None => true,
        };
        let mut births = self.0.births.borrow_mut();
        births
            .entry(found.id)
            .or_insert_with(|| stage.next_record());
        if !known {
            stage.atlas.learn(found.id);
            stage.also.borrow_mut().push(Topic {
                name: found.name.clone(),
                partitions: found.partitions.len() as i32,
            });
        }
    }
}

/// Makes a topic that may be there, through faults.
async fn make_topic(
    admin: &Admin<SimEnv>,
    topic: &NewTopic,
) -> Result<TopicDescription, ClientError> {
    const TRIES: u32 = 5;
    let mut tries = 0;
    loop {
        match admin.create_topic(topic, false).await {
            Err(error @ ClientError::Refused { .. })
                if error.code() != Some(ErrorCode::TopicAlreadyExists) =>
            {
                return Err(error);
            }
            // An answer that was lost may have been yes.
            _ => {}
        }
        tries += 1;
        let found = admin.describe_topic(&topic.name).await;
        if found.is_ok() || tries == TRIES {
            return found;
        }
    }
}

fn make_broker(world: &World, options: &ClusterOptions, law: Law) -> Rc<Broker> {
    let node = world.add_node(NodeOptions {
        name: "broker".to_owned(),
        disk: options.disk,
    });
    let mut config = match options.draws_sizes {
        true => draw_config(world, node, 1),
        false => plain_config(node),
    };
    let own = options.settings.iter();
    let own = own.map(|(key, value)| (key.as_str(), value.as_str()));
    for (key, value) in SETTINGS.into_iter().chain(own) {
        if let Err(refusal) = config.settings.set(key, value) {
            panic!("{key}={value}: {refusal}");
        }
    }
    Broker::with_config(world, node, config, law)
}

#[cfg(test)]
mod tests;
