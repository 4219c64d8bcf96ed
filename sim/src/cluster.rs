//! The broker under test: its node, its processes one after the other, and what it says of itself.
//!
//! A supervisor outside of the node starts the next process a while after the last one died, as an operator's service
//! manager would, and restarts one that reports a failed disk. How the broker is configured (shards, segment and journal sizes,
//! limits) is drawn once per seed, small, so that everything that happens rarely in production happens all the time here.

use crate::env::SimEnv;
use crate::history::{Bounds, Event};
use crate::node::{Death, NodeId, NodeOptions};
use crate::workload::Stage;
use crate::world::World;
use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;
use taffrail_broker::config::BrokerSettings;
use taffrail_broker::{Node, NodeConfig};

/// Port of the Kafka listener.
pub const PORT: u16 = 9092;
/// Memory that clients can make grow, in bytes.
const BUDGET_BYTES: u64 = 24 << 20;
/// What a node may hold beside that: caches, tables, the journal's next group, the code's own structures.
const BESIDE_BUDGET_BYTES: u64 = 40 << 20;

/// The broker's node, over all its processes.
pub struct Broker {
    pub node: NodeId,
    world: World,
    config: NodeConfig,
    /// The process that serves, once it does.
    serving: RefCell<Option<Node<SimEnv>>>,
    /// Why the last process could not start.
    refusal: RefCell<Option<String>>,
    /// Whether the supervisor starts processes.
    supervised: Cell<bool>,
    clean: Cell<bool>,
}

impl Broker {
    /// Adds the node; nothing runs yet.
    pub fn new(world: &World, options: NodeOptions, partitions: i32) -> Rc<Broker> {
        let node = world.add_node(options);
        Rc::new(Broker {
            node,
            world: world.clone(),
            config: draw_config(world, node, partitions),
            serving: RefCell::new(None),
            refusal: RefCell::new(None),
            supervised: Cell::new(true),
            clean: Cell::new(false),
        })
    }

    /// `HOST:PORT` for clients.
    pub fn address(&self) -> String {
        format!("{}:{PORT}", self.node.address())
    }

    /// Starts processes as long as it is supervised: the first at once, each other a while after the death of the one before.
    pub fn supervise(self: &Rc<Self>, stage: &Rc<Stage>) {
        let (broker, stage) = (self.clone(), stage.clone());
        self.world.clone().spawn_harness(async move {
            let pause = broker.world.decisions().stream("supervisor/pause");
            loop {
                if broker.supervised.get() && !broker.world.is_running(broker.node) {
                    broker.start(&stage);
                }
                broker.world.exited(broker.node).await;
                broker.serving.take();
                stage.tell(Event::NodeDown { node: broker.node.number() });
                let millis = broker.world.decisions().between(pause, 1, 800);
                broker.world.sleep(Duration::from_millis(millis)).await;
                while !broker.supervised.get() {
                    broker.world.sleep(Duration::from_millis(10)).await;
                }
            }
        });
    }

    fn start(self: &Rc<Self>, stage: &Rc<Stage>) {
        let (broker, stage) = (self.clone(), stage.clone());
        stage.count("starts");
        self.world.start(self.node, move |env| async move {
            match taffrail_broker::start(env, broker.config.clone()).await {
                Ok(node) => {
                    broker.refusal.take();
                    let incarnation = broker.world.incarnation(broker.node);
                    let clean = broker.clean.replace(false);
                    stage.tell(Event::NodeUp { node: broker.node.number(), incarnation, clean });
                    let stopped = node.stopped();
                    *broker.serving.borrow_mut() = Some(node);
                    stopped.await;
                }
                Err(error) => {
                    stage.count("refused-starts");
                    *broker.refusal.borrow_mut() = Some(error.to_string());
                }
            }
        });
    }

    /// Whether it serves.
    pub fn is_serving(&self) -> bool {
        self.serving.borrow().is_some() && self.world.is_running(self.node)
    }

    /// Why the last process could not start, if it could not.
    pub fn refusal(&self) -> Option<String> {
        self.refusal.borrow().clone()
    }

    /// What the serving process can be asked.
    pub fn with_serving<T>(&self, ask: impl FnOnce(&Node<SimEnv>) -> T) -> Option<T> {
        if !self.world.is_running(self.node) {
            return None;
        }
        self.serving.borrow().as_ref().map(ask)
    }

    /// A process that says that its disk has failed serves reads and nothing else until it is started anew.
    pub fn restart_if_failed(&self) {
        if self.with_serving(|node| node.health().is_failed()) == Some(true) {
            self.world.kill(self.node);
        }
    }

    /// Tells the judges what the node exposes of each partition, and what memory it holds.
    pub fn expose(&self, stage: &Stage) {
        let Some(partitions) = self.with_serving(Node::inspect) else { return };
        let (node, incarnation) = (self.node.number(), self.world.incarnation(self.node));
        for seen in partitions {
            let Some(name) = seen.name else { continue };
            let partition = stage.identity(&taffrail_client::TopicPartitionName::new(&*name, seen.partition));
            let bounds = Bounds {
                start: seen.log_start_offset,
                last_stable: seen.last_stable_offset,
                high_watermark: seen.high_watermark,
                end: seen.log_end_offset,
            };
            stage.tell(Event::Exposed { node, incarnation, partition, bounds });
        }
        let used = u64::try_from(self.world.memory(self.node)).unwrap_or(0);
        stage.tell(Event::Memory { node, used, budget: BUDGET_BYTES + BESIDE_BUDGET_BYTES });
    }

    /// Waits until it serves, at most so long.
    pub async fn until_serving(&self, patience: Duration) -> bool {
        let until = self.world.elapsed() + patience;
        while !self.is_serving() {
            if self.world.elapsed() >= until {
                return false;
            }
            self.world.sleep(Duration::from_millis(5)).await;
        }
        true
    }

    /// Stops the process cleanly, or kills it if it does not stop in time. Whether it was clean.
    pub async fn stop(&self, patience: Duration) -> bool {
        self.supervised.set(false);
        let Some(()) = self.with_serving(Node::begin_shutdown) else { return false };
        let until = self.world.elapsed() + patience;
        while self.world.is_running(self.node) && self.world.elapsed() < until {
            self.world.sleep(Duration::from_millis(5)).await;
        }
        let clean = !self.world.is_running(self.node);
        self.world.kill(self.node);
        self.clean.set(clean);
        clean
    }

    /// Lets the supervisor start processes again.
    pub fn go_on(&self) {
        self.supervised.set(true);
    }

    /// Kills the process; the supervisor starts another.
    pub fn strike(&self, death: Death) {
        match death {
            Death::PowerCut => self.world.power_cut(&[self.node]),
            Death::Kill | Death::Exit => self.world.kill(self.node),
        }
    }

    /// Where its data is.
    pub fn data(&self) -> PathBuf {
        self.config.data.clone()
    }
}

/// Small sizes and few shards or many, so that rolls, recycling and checkpoints happen all the time.
fn draw_config(world: &World, node: NodeId, partitions: i32) -> NodeConfig {
    let decisions = world.decisions();
    let stream = decisions.stream("broker/config");
    let pick = |n: usize| decisions.below(stream, n as u64) as usize;
    let mut settings = BrokerSettings::default();
    let mut set = |key: &str, value: String| {
        if let Err(error) = settings.set(key, &value) {
            panic!("the simulator draws {key}={value}, which the broker refuses: {error}");
        }
    };
    set("log.segment.bytes", [4096, 20_000, 200_000, 1 << 20][pick(4)].to_string());
    set("num.partitions", partitions.to_string());
    set("auto.create.topics.enable", "true".to_owned());
    set("log.index.interval.bytes", [1, 500, 4096][pick(3)].to_string());
    set("log.retention.check.interval.ms", [50, 500, 5000][pick(3)].to_string());
    set("log.message.timestamp.after.max.ms", i64::MAX.to_string());
    set("log.retention.ms", "-1".to_owned());
    set("group.initial.rebalance.delay.ms", [0, 100, 1000][pick(3)].to_string());
    set("offsets.topic.num.partitions", [1, 3, 8][pick(3)].to_string());
    let mut config = NodeConfig::new(PathBuf::from("/data"), format!("{}:{PORT}", node.address()));
    config.settings = settings;
    config.memory_bytes = BUDGET_BYTES;
    config.shards = 1 + pick(4);
    config.storage.journal_file_bytes = [64 << 10, 256 << 10, 1 << 20][pick(3)];
    config.storage.group_bytes_max = [8 << 10, 32 << 10][pick(2)];
    config.storage.open_files_max = [2, 8, 64][pick(3)];
    config.storage.tail_cache_bytes = [0, 10_000, 1 << 20][pick(3)];
    config
}
