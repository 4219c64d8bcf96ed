//! The broker under test: its processes one after the other, and what it says of itself.
//!
//! [`crate::chaos::Chaos`] starts the next process a while after the last one died, as a service manager would; a process that reports a
//! failed disk ends itself. How the broker is configured (shards, segment and journal sizes, limits) is drawn once per
//! seed, small, so that everything that happens rarely in production happens all the time here.

use crate::atlas::{Atlas, Law};
use crate::env::SimEnv;
use crate::fault::FaultKind;
use crate::history::{Bounds, Event, Grievance, Owed, Stop};
use crate::node::{NodeId, NodeOptions};
use crate::workload::{Stage, turnover};
use crate::world::World;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;
use taffrail_broker::config::StaticSettings;
use taffrail_broker::{IN_FLIGHT_MAX, Inspection, Node, NodeConfig, Replayed, StartError};
use taffrail_client::TopicPartitionName;
use taffrail_env::{Clock, Spawn};
use taffrail_record::{Offset, TopicPartition};
use taffrail_storage::offline::Finding;
use taffrail_storage::{Health, OpenError};

/// Port of the Kafka listener.
const PORT: u16 = 9092;
const DATA: &str = "/data/broker";
/// Memory that clients can make grow, in bytes.
const BUDGET_BYTES: u64 = 24 << 20;
/// What a node may hold beside that: the journal's groups, caches, tables, the code's own structures.
const BESIDE_BUDGET_BYTES: u64 = 40 << 20;
/// Between two looks at a serving node.
const LOOK: Duration = Duration::from_millis(20);
/// A process with a failed disk goes on serving reads for so long.
const FAILED_LINGER: Duration = Duration::from_millis(300);

/// What the next process, or the serving one, is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Serve,
    /// Stop cleanly, and serve again.
    Restart,
    /// Stop cleanly; after that see [`Order::Verify`].
    Stop,
    /// Verify the stopped directory as `taffrail log verify` does, then serve again.
    Verify,
}

/// Why a process did not start.
#[derive(Clone, Debug)]
pub struct Refusal {
    pub over: Grievance,
    pub why: String,
    /// The directory was found damaged before anything was written to it.
    pub untouched: bool,
}

impl Refusal {
    fn of(error: &StartError) -> Refusal {
        // By its file; or the newest one is not there, and the one before it needs what is gone.
        let of_checkpoints = |file: &Path, what: &str| {
            file.starts_with(Path::new(DATA).join("checkpoint"))
                || file.ends_with("taffrail.meta")
                || what.starts_with("checkpoint ")
        };
        let over = match error {
            StartError::Open(OpenError::Damaged { file, what, .. })
                if of_checkpoints(file, what) =>
            {
                Grievance::Checkpoint
            }
            _ => Grievance::Other,
        };
        Refusal {
            over,
            why: error.to_string(),
            untouched: matches!(error, StartError::Open(OpenError::Damaged { .. })),
        }
    }
}

/// The broker's node, over all its processes.
pub struct Broker {
    pub node: NodeId,
    world: World,
    config: NodeConfig,
    has_steady_clock: bool,
    order: Cell<Order>,
    serving: Cell<bool>,
    /// Why the last process could not start.
    refusal: RefCell<Option<Refusal>>,
    /// What the last look saw.
    seen: RefCell<Option<Inspection>>,
    advances: Cell<u64>,
    /// How the last stop and the offline verification after it ended.
    verified: RefCell<Option<Stop>>,
    stopped_cleanly: Cell<bool>,
    /// The last stop was told of an error, or killed, perhaps only when it had written that all was done: whether it was clean,
    /// nobody knows.
    stop_failed: Cell<bool>,
    /// Why the last stop was not clean.
    stop_error: RefCell<Option<String>>,
    /// Starts that were refused since the last one that was not.
    refused_in_row: Cell<u32>,
    /// Done to the directory before it is served again.
    before_serving: RefCell<Option<Box<dyn FnOnce()>>>,
    /// Files of which the offline verification complained right after that.
    found: RefCell<Vec<PathBuf>>,
    /// The next process verifies the directory before it serves it.
    verifies_first: Cell<bool>,
    /// A process with a failed disk goes on for as long as this is set.
    stays_failed: Cell<bool>,
    /// The running process has said that its disk failed.
    has_failed: Cell<bool>,
    atlas: Rc<Atlas>,
}

impl Broker {
    /// Adds the node; nothing runs yet.
    pub fn new(world: &World, options: NodeOptions, partitions: i32, law: Law) -> Rc<Broker> {
        let node = world.add_node(options);
        let mut config = draw_config(world, node, partitions);
        config.first_offset = draw_first_offset(world);
        Broker::with_config(world, node, config, law)
    }

    /// The broker of a node that is there; nothing runs yet.
    pub fn with_config(world: &World, node: NodeId, config: NodeConfig, law: Law) -> Rc<Broker> {
        Rc::new(Broker {
            node,
            world: world.clone(),
            config,
            has_steady_clock: is_clock_steady(world),
            order: Cell::new(Order::Serve),
            serving: Cell::new(false),
            refusal: RefCell::new(None),
            seen: RefCell::new(None),
            advances: Cell::new(0),
            verified: RefCell::new(None),
            stopped_cleanly: Cell::new(false),
            stop_failed: Cell::new(false),
            stop_error: RefCell::new(None),
            refused_in_row: Cell::new(0),
            before_serving: RefCell::new(None),
            found: RefCell::default(),
            verifies_first: Cell::new(false),
            stays_failed: Cell::new(false),
            has_failed: Cell::new(false),
            atlas: Atlas::open(world, node, Path::new(DATA), law),
        })
    }

    /// Where the logs of its topics begin.
    pub fn first_offset(&self) -> Offset {
        self.config.first_offset
    }

    /// `HOST:PORT` for clients.
    pub fn address(&self) -> String {
        address(self.node)
    }

    /// Starts the next process.
    pub fn start(self: &Rc<Self>, stage: &Rc<Stage>) {
        self.serving.set(false);
        self.has_failed.set(false);
        if self.order.get() == Order::Serve
            && let Some(before) = self.before_serving.take()
        {
            before();
            self.verifies_first.set(true);
        }
        let (broker, stage) = (self.clone(), stage.clone());
        self.world.start(self.node, move |env| async move {
            match broker.order.get() {
                Order::Verify => broker.verify(&env).await,
                Order::Serve | Order::Restart | Order::Stop => broker.serve(env, stage).await,
            }
        });
    }

    async fn serve(self: Rc<Self>, env: SimEnv, stage: Rc<Stage>) {
        stage.count("starts");
        self.look_before_serving(&env).await;
        let node = match taffrail_broker::start(env.clone(), self.config.clone()).await {
            Ok(node) => node,
            Err(error) => {
                stage.count("refused-starts");
                *self.refusal.borrow_mut() = Some(Refusal::of(&error));
                self.refused_in_row.set(self.refused_in_row.get() + 1);
                return;
            }
        };
        self.refusal.take();
        self.refused_in_row.set(0);
        self.serving.set(true);
        let incarnation = self.world.incarnation(self.node);
        let believes_clean = node.identity().clean && !node.identity().fresh;
        let clean = self.stopped_cleanly.replace(false)
            || self.stop_failed.replace(false) && believes_clean;
        stage.tell(Event::NodeUp {
            node: self.node.number(),
            incarnation,
            clean,
            believes_clean,
        });
        // What it answers first is part of what it answers.
        self.look(&stage, &node).await;
        let mut looks = 0_u32;
        loop {
            env.sleep(LOOK).await;
            if self.order.get() != Order::Serve {
                // Killed meanwhile, it may have come as far as to say that all was done, or not.
                self.stop_failed.set(true);
                let stopped = node.shutdown().await;
                self.serving.set(false);
                self.stopped_cleanly.set(stopped.is_ok());
                self.stop_failed.set(stopped.is_err());
                *self.stop_error.borrow_mut() = stopped.err().map(|error| error.to_string());
                self.order.set(match self.order.get() {
                    Order::Stop => Order::Verify,
                    _ => Order::Serve,
                });
                return;
            }
            if matches!(node.health(), Health::Failed(_)) {
                stage.count("failed-disks");
                self.has_failed.set(true);
                env.sleep(FAILED_LINGER).await;
                while self.stays_failed.get() {
                    env.sleep(LOOK).await;
                }
                return;
            }
            self.look(&stage, &node).await;
            looks += 1;
            if looks.is_multiple_of(16) && self.atlas.law != Law::Lawless {
                let auditor = Auditor {
                    broker: self.clone(),
                    stage: stage.clone(),
                    node: node.clone(),
                };
                env.spawn(auditor.audit(looks / 16));
            }
        }
    }

    /// Tells the judges what the node exposes of each partition, and what memory it holds.
    async fn look(&self, stage: &Stage, node: &Node<SimEnv>) {
        let seen = node.inspect().await;
        let (number, incarnation) = (self.node.number(), self.world.incarnation(self.node));
        let committed = |seen: &Inspection| -> i64 {
            let marks = seen.partitions.iter().map(|view| view.high_watermark);
            // They only grow; the sum may lie beyond what there are numbers for.
            marks.fold(0, i64::wrapping_add)
        };
        let before = self.seen.borrow().as_ref().map_or(0, committed);
        if committed(&seen) != before {
            self.advances.set(self.advances.get() + 1);
        }
        for view in &seen.partitions {
            stage.learn(view.partition.topic, &view.topic);
            let name = TopicPartitionName::new(&*view.topic, view.partition.partition);
            let by_id = name.topic == turnover::TOPIC || stage.ids.borrow().is_some();
            let partition = match by_id {
                true => view.partition,
                false => stage.identity(&name),
            };
            self.world
                .keep_name(partition, || format!("{}/{}", name.topic, name.partition));
            let bounds = Bounds {
                start: view.log_start_offset,
                last_stable: view.last_stable_offset,
                high_watermark: view.high_watermark,
                end: view.log_end_offset,
            };
            stage.tell(Event::Exposed {
                node: number,
                incarnation,
                partition,
                bounds,
                size: view.size_bytes,
            });
        }
        // Where anything may be lost, a snapshot may end beyond what is left of its log.
        let committed = seen.metadata_committed;
        if let Some(committed) = committed.filter(|_| self.atlas.law != Law::Lawless) {
            stage.tell(Event::MetadataShown {
                node: number,
                incarnation,
                applied: seen.metadata_position,
                committed,
            });
        }
        let used = u64::try_from(self.world.take_memory_peak(self.node)).unwrap_or(0);
        stage.tell(Event::Memory {
            node: number,
            used,
            budget: BUDGET_BYTES + BESIDE_BUDGET_BYTES,
        });
        for (what, longest, bound) in queues(&seen) {
            stage.tell(Event::Queue {
                node: number,
                what,
                longest,
                bound,
            });
        }
        *self.seen.borrow_mut() = Some(seen);
    }

    /// One of the partitions that the last look saw, in turn.
    fn partition(&self, turn: usize) -> Option<TopicPartition> {
        let seen = self.seen.borrow();
        let views = &seen.as_ref()?.partitions;
        let view = views.get(turn.checked_rem(views.len())?)?;
        Some(view.partition)
    }

    /// If something was done to the directory just now, notes what the offline verification says of it.
    async fn look_before_serving(&self, env: &SimEnv) {
        if !self.verifies_first.take() {
            return;
        }
        let mut found = Vec::new();
        let mut report = |finding: Finding| found.push(finding.file);
        let result = taffrail_storage::offline::verify(env, Path::new(DATA), &mut report).await;
        if let Err(OpenError::Damaged { file, .. }) = result {
            found.push(file);
        }
        *self.found.borrow_mut() = found;
    }

    async fn verify(&self, env: &SimEnv) {
        let stop = match findings(env).await {
            _ if !self.stopped_cleanly.get() => {
                Stop::Unclean(self.stop_error.take().unwrap_or_default())
            }
            Err(error) => Stop::Unverifiable(error),
            Ok((_, strays)) if !strays.is_empty() && self.atlas.law == Law::Sound => {
                Stop::Stray(strays[0].display().to_string())
            }
            Ok((findings, _)) => {
                // What the disk did is not the product's mistake.
                let mut findings = findings.into_iter();
                match findings.find(|finding| !self.atlas.is_hurt(&finding.file)) {
                    Some(finding) => Stop::Unsound {
                        over: match finding.invariant {
                            "CHECKPOINT-ATOMIC" => Grievance::Checkpoint,
                            _ => Grievance::Other,
                        },
                        what: finding.to_string(),
                    },
                    None => Stop::Sound,
                }
            }
        };
        *self.verified.borrow_mut() = Some(stop);
        self.order.set(Order::Serve);
    }

    /// Whether it serves.
    pub fn is_serving(&self) -> bool {
        self.serving.get() && self.world.is_running(self.node)
    }

    /// Whether a process with a failed disk is to go on until it is killed, instead of ending soon.
    pub fn stay_when_failed(&self, stay: bool) {
        self.stays_failed.set(stay);
    }

    /// Whether the running process has said that its disk failed.
    pub fn has_failed(&self) -> bool {
        self.has_failed.get()
    }

    /// Why it does not serve.
    pub fn why_absent(&self) -> String {
        let refusal = self.refusal.borrow();
        let why = refusal.as_ref().map(|refusal| refusal.why.clone());
        why.unwrap_or_else(|| "it is still starting".to_owned())
    }

    /// Tells that it does not serve, though nothing is in its way `after` this, and so much time was given to it.
    pub fn tell_absence(&self, stage: &Stage, after: &str, patience: Duration) {
        let refusal = self.refusal();
        let Some(refusal) = refusal else {
            stage.tell_wait(Owed::Service, after, Err(self.why_absent()), patience);
            return;
        };
        stage.tell(Event::StartRefused {
            node: self.node.number(),
            after: after.to_owned(),
            over: refusal.over,
            why: refusal.why,
            hurt: None,
        });
    }

    /// Waits until it serves, at most so long, and tells how that went: `after` this nothing is in its way.
    pub async fn comes_back(&self, stage: &Stage, after: &str, patience: Duration) -> bool {
        let begun = self.world.elapsed();
        if !self.until_serving(patience).await {
            self.tell_absence(stage, after, patience);
            return false;
        }
        let took = self.world.elapsed() - begun;
        stage.tell_wait(Owed::Service, after, Ok(took), patience)
    }

    /// At how many looks there was something committed that was not there at the look before.
    pub fn advances(&self) -> u64 {
        self.advances.get()
    }

    /// Why the last process did not start, if it did not.
    pub fn refusal(&self) -> Option<Refusal> {
        self.refusal.borrow().clone()
    }

    /// How often in a row it did not start.
    pub fn refused_in_row(&self) -> u32 {
        self.refused_in_row.get()
    }

    /// Runs `before` while no process has the directory open, right before the next one that is to serve it.
    pub fn before_serving(&self, before: impl FnOnce() + 'static) {
        *self.before_serving.borrow_mut() = Some(Box::new(before));
    }

    /// What its disk may damage.
    pub fn atlas(&self) -> &Rc<Atlas> {
        &self.atlas
    }

    /// Files of which the offline verification complained after what was done before serving.
    pub fn found_before_serving(&self) -> Vec<PathBuf> {
        self.found.borrow().clone()
    }

    /// Where its data are.
    pub fn data(&self) -> &'static Path {
        Path::new(DATA)
    }

    /// Where the partitions of the workload ended at the last look, as judges name them.
    pub fn ends(&self, stage: &Stage) -> BTreeMap<TopicPartition, Offset> {
        let seen = self.seen.borrow();
        let views = seen.iter().flat_map(|seen| &seen.partitions);
        let of_workload = |topic: &str| stage.topics.iter().any(|known| known.name == topic);
        let views = views.filter(|view| of_workload(&view.topic));
        let end = |view: &taffrail_broker::PartitionView| {
            let name = TopicPartitionName::new(&*view.topic, view.partition.partition);
            (stage.identity(&name), view.high_watermark)
        };
        views.map(end).collect()
    }

    /// How large a segment of a topic without settings of its own may be.
    pub fn segment_bytes(&self) -> u64 {
        self.config.settings.effective().log_segment_bytes as u64
    }

    /// Whether its wall clock goes on as it should, be it right or not.
    pub fn has_steady_clock(&self) -> bool {
        self.has_steady_clock
    }

    /// Partitions of groups that were still being read at the last look.
    pub fn groups_loading(&self) -> Option<usize> {
        let seen = self.seen.borrow();
        seen.as_ref().map(|seen| seen.group_partitions_loading)
    }

    /// How many bytes the last look saw of a partition, by its true topic id.
    pub fn size_of(&self, partition: TopicPartition) -> Option<u64> {
        let seen = self.seen.borrow();
        let mut views = seen.iter().flat_map(|seen| &seen.partitions);
        let view = views.find(|view| view.partition == partition)?;
        Some(view.size_bytes)
    }

    /// Bytes of the memory budget that were reserved at the last look.
    pub fn reserved_bytes(&self) -> Option<u64> {
        self.seen
            .borrow()
            .as_ref()
            .map(|seen| seen.budget_used as u64)
    }

    /// Waits until nothing is reserved, at most so long as it may be while nobody asks anything any more: soon after the last
    /// connection has gone, and until then as long as the broker gives a peer that went without a word, ten seconds for more of a request
    /// and thirty until somebody takes more of an answer.
    pub async fn until_unreserved(&self) {
        const PATIENCE: Duration = Duration::from_secs(2);
        const PATIENCE_WITH_PEERS: Duration = Duration::from_secs(45);
        const PAUSE: Duration = Duration::from_millis(100);
        let begun = self.world.elapsed();
        let mut alone_since = begun;
        self.world.sleep(PAUSE).await;
        while self.reserved_bytes().is_some_and(|held| held > 0) {
            let now = self.world.elapsed();
            let has_peers = self
                .seen
                .borrow()
                .as_ref()
                .is_some_and(|seen| seen.connections > 0);
            if has_peers {
                alone_since = now;
            }
            if now >= alone_since + PATIENCE || now >= begun + PATIENCE_WITH_PEERS {
                return;
            }
            self.world.sleep(PAUSE).await;
        }
    }

    /// How many partitions had no log at the last look.
    pub fn partitions_missing(&self) -> Option<usize> {
        let seen = self.seen.borrow();
        seen.as_ref().map(|seen| seen.partitions_missing)
    }

    /// What the last look saw of topics that are gone: how many are in the metadata still, and of how many groups have offsets.
    pub fn remains(&self) -> Option<(u64, u64)> {
        let seen = self.seen.borrow();
        let seen = seen.as_ref()?;
        Some((seen.deleted_topics as u64, seen.topics_outlived as u64))
    }

    /// Long polls that waited in its logs at the last look.
    pub fn waiting_reads(&self) -> Option<u64> {
        self.seen
            .borrow()
            .as_ref()
            .map(|seen| seen.waiting_reads as u64)
    }

    /// Nobody asks anything any more: all reservations must have returned, or return soon. So must the reads that waited, whose clients have
    /// gone: at the latest when their shard asks whether anybody still wants them, which it does every second. A process that has ended
    /// meanwhile holds nothing.
    pub async fn tell_idle(&self, stage: &Stage) {
        const PATIENCE_WITH_READS: Duration = Duration::from_secs(5);
        const LOOK: Duration = Duration::from_millis(100);
        let life = self.world.incarnation(self.node);
        let lives =
            || self.world.is_running(self.node) && self.world.incarnation(self.node) == life;
        let tell = |what: &'static str, held: Option<u64>| {
            if let Some(held) = held.filter(|_| lives()) {
                let node = self.node.number();
                stage.tell(Event::IdleReservations { node, what, held });
            }
        };
        let begun = self.world.elapsed();
        self.until_unreserved().await;
        tell("bytes of memory", self.reserved_bytes());
        let is_waited_for = || self.waiting_reads().is_some_and(|held| held > 0);
        while is_waited_for() && self.world.elapsed() < begun + PATIENCE_WITH_READS {
            self.world.sleep(LOOK).await;
        }
        tell("waiting reads", self.waiting_reads());
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

    /// Kills the serving process; another is started.
    pub fn kill(&self) {
        self.serving.set(false);
        self.world.kill(self.node);
    }

    /// Cuts the power; another process is started.
    pub fn power_cut(&self) {
        self.serving.set(false);
        self.world.power_cut(&[self.node]);
    }

    /// From time to time until `over`, has a serving process stopped cleanly; another is started.
    pub async fn restart_at_times(self: Rc<Self>, over: impl Fn() -> bool) {
        let decisions = self.world.decisions();
        let stream = decisions.stream("broker/restarts");
        // Half of all brokers are never stopped.
        let often = decisions.below(stream, 2) == 0;
        while often && !over() {
            let pause = decisions.between(stream, 300, 5_000);
            self.world.sleep(Duration::from_millis(pause)).await;
            if !over() && self.is_serving() && self.order.get() == Order::Serve {
                self.order.set(Order::Restart);
            }
        }
    }

    /// Has the serving process stop cleanly; nothing is started after it.
    pub async fn stop(&self, patience: Duration) -> Result<(), String> {
        let node = self.node;
        if !self.is_serving() {
            return Err("it does not serve".to_owned());
        }
        self.order.set(Order::Restart);
        let until = self.world.elapsed() + patience;
        while self.world.is_running(node) {
            if self.world.elapsed() >= until {
                return Err(format!("it runs after {patience:?}"));
            }
            self.world.sleep(Duration::from_millis(1)).await;
        }
        match self.stop_error.take() {
            Some(why) => Err(why),
            None => Ok(()),
        }
    }

    /// What an offline verification finds, while no process runs.
    pub async fn findings(self: &Rc<Self>) -> Result<Vec<String>, String> {
        let found = Rc::new(RefCell::new(Err("it did not end".to_owned())));
        let slot = found.clone();
        self.world.start(self.node, move |env| async move {
            let findings = findings(&env).await;
            let words = |findings: Vec<Finding>| findings.iter().map(Finding::to_string).collect();
            *slot.borrow_mut() = findings.map(|(findings, _)| words(findings));
        });
        self.world.exited(self.node).await;
        found.replace(Ok(Vec::new()))
    }

    /// Paths of a partition's files.
    pub fn files_of(&self, partition: TopicPartition) -> Vec<String> {
        let id = u128::from_be_bytes(partition.topic.0);
        let directory = format!("{DATA}/partitions/{id:032x}-{}", partition.partition);
        let mut files = self.world.disk(self.node).files();
        files.retain(|path| path.starts_with(&directory));
        files
    }

    /// Stops cleanly, verifies the directory, and starts again. Tells how that went; whether all was well.
    pub async fn stop_and_verify(&self, stage: &Stage, patience: Duration) -> bool {
        self.verified.take();
        self.order.set(Order::Stop);
        let until = self.world.elapsed() + patience;
        while self.verified.borrow().is_none() && self.world.elapsed() < until {
            self.world.sleep(Duration::from_millis(5)).await;
        }
        let stop = self.verified.take().unwrap_or(Stop::Endless(patience));
        let is_sound = stop == Stop::Sound;
        stage.tell(Event::Stopped {
            node: self.node.number(),
            stop,
        });
        is_sound
    }
}

/// What an offline verification finds, and directories that no log explains.
async fn findings(env: &SimEnv) -> Result<(Vec<Finding>, Vec<PathBuf>), String> {
    let mut findings = Vec::new();
    let mut report = |finding| findings.push(finding);
    let verified = taffrail_storage::offline::verify(env, Path::new(DATA), &mut report).await;
    let verified = verified.map_err(|error| error.to_string())?;
    Ok((findings, verified.unexplained))
}

/// Compares what a serving node has in memory with a replay of its logs.
struct Auditor {
    broker: Rc<Broker>,
    stage: Rc<Stage>,
    node: Node<SimEnv>,
}

impl Auditor {
    /// Metadata and groups, and the producers of one partition after the other.
    async fn audit(self, turn: u32) {
        match self.node.audit().await {
            Ok(audit) => {
                self.stage.count("audits");
                for prefix in audit.prefixes {
                    self.stage.tell(Event::PrefixLeft {
                        node: self.broker.node.number(),
                        log: prefix.log,
                        start: prefix.start,
                        snapshot_end: prefix.snapshot_end,
                    });
                }
                let replayed = audit.replayed.into_iter();
                replayed.for_each(|replayed| self.tell(replayed));
            }
            Err(difference) => {
                let world = &self.broker.world;
                return world.fail(difference.invariant, difference.what);
            }
        }
        let Some(partition) = self.broker.partition(turn as usize) else {
            return;
        };
        // Where the clock jumps, nobody is taken for idle until it has agreed with itself for long.
        let world = &self.broker.world;
        let agreement_min = self.broker.config.storage.clock_agreement_min;
        let is_steady = self.broker.has_steady_clock && is_clock_steady(world);
        let complete = is_steady || world.elapsed() < agreement_min;
        if let Some(replayed) = self.node.audit_producers(partition, complete).await {
            self.stage.count("producer-audits");
            self.tell(replayed);
        }
    }

    fn tell(&self, replayed: Replayed) {
        self.stage.tell(Event::Digests {
            what: replayed.invariant,
            of: replayed.of,
            node: self.broker.node.number(),
            live: replayed.live,
            replayed: replayed.replayed,
        });
    }
}

fn address(node: NodeId) -> String {
    format!("{}:{PORT}", node.address())
}

/// What a broker is like of which nothing else was said.
pub fn plain_config(node: NodeId) -> NodeConfig {
    let mut config = NodeConfig::new(PathBuf::from(DATA));
    config.listen = address(node);
    config.memory_bytes = BUDGET_BYTES;
    config.storage.journal_file_bytes = 2 << 20;
    config
}

/// Mostly 0. Else so little below where a narrower number ends that the run passes it, or very far on.
fn draw_first_offset(world: &World) -> Offset {
    const BEFORE: Offset = 150;
    let decisions = world.decisions();
    let stream = decisions.stream("broker/config/first-offset");
    let ends = [0, 0, 0, 0, 0, 1 << 31, 1 << 32, 1 << 62];
    let end: Offset = ends[decisions.below(stream, ends.len() as u64) as usize];
    (end - BEFORE).max(0)
}

/// What is small more rarely.
fn draw_rest(world: &World, config: &mut NodeConfig) {
    let decisions = world.decisions();
    let stream = decisions.stream("broker/config/rest");
    let pick = |n: usize| decisions.below(stream, n as u64) as usize;
    let mut set = |key: &str, value: &str| {
        if let Err(error) = config.settings.set(key, value) {
            panic!("the simulator draws {key}={value}, which the broker refuses: {error}");
        }
    };
    set("log.roll.ms", ["604800000", "604800000", "700"][pick(3)]);
    set(
        "log.index.size.max.bytes",
        ["10485760", "10485760", "48"][pick(3)],
    );
    set(
        "max.incremental.fetch.session.cache.slots",
        ["1000", "2", "0"][pick(3)],
    );
    set("log.segment.delete.delay.ms", ["60000", "50", "0"][pick(3)]);
    config.producer_ids_per_block = [1000, 3, 1][pick(3)];
    let storage = &mut config.storage;
    storage.journal_files = [8, 8, 4, 3][pick(4)];
    storage.copy_forward_bytes_max = [16 << 10, 1000, 0][pick(3)];
    storage.digest_cache_bytes = [8 << 20, 2000, 0][pick(3)];
    storage.flush_files_max = [128, 3, 1][pick(3)];
    storage.reserve_step_max = [16 << 20, 32 << 10][pick(2)];
    storage.uncommitted_bytes_max_per_partition = [64 << 20, 64 << 20, 40_000][pick(3)];
}

fn is_clock_steady(world: &World) -> bool {
    let faults = world.faults();
    let steady = [FaultKind::ClockStep, FaultKind::ClockFreeze];
    steady.iter().all(|kind| faults.rate(*kind) == 0)
}

/// Small sizes and few shards or many, so that rolls, recycling and checkpoints happen all the time.
pub fn draw_config(world: &World, node: NodeId, partitions: i32) -> NodeConfig {
    let decisions = world.decisions();
    let stream = decisions.stream("broker/config");
    let pick = |n: usize| decisions.below(stream, n as u64) as usize;
    let mut settings = StaticSettings::default();
    let mut set = |key: &str, value: String| {
        if let Err(error) = settings.set(key, &value) {
            panic!("the simulator draws {key}={value}, which the broker refuses: {error}");
        }
    };
    set("num.partitions", partitions.to_string());
    set("auto.create.topics.enable", "true".to_owned());
    set(
        "log.segment.bytes",
        [4096, 20_000, 200_000, 1 << 20][pick(4)].to_string(),
    );
    set(
        "log.index.interval.bytes",
        [1, 500, 4096][pick(3)].to_string(),
    );
    set(
        "log.retention.check.interval.ms",
        [50, 500, 5000][pick(3)].to_string(),
    );
    set("log.message.timestamp.after.max.ms", i64::MAX.to_string());
    set("log.retention.ms", "-1".to_owned());
    set(
        "compression.type",
        ["producer", "producer", "lz4", "uncompressed"][pick(4)].to_owned(),
    );
    set(
        "group.initial.rebalance.delay.ms",
        [0, 100, 1000][pick(3)].to_string(),
    );
    set("group.min.session.timeout.ms", "500".to_owned());
    set(
        "offsets.topic.num.partitions",
        [1, 3, 8][pick(3)].to_string(),
    );
    let mut config = NodeConfig::new(PathBuf::from(DATA));
    config.listen = address(node);
    config.settings = settings;
    config.memory_bytes = BUDGET_BYTES;
    config.shards = 1 + pick(4);
    config.metadata_snapshot_interval = [2, 10, 1024][pick(3)];
    config.group_snapshot_bytes_min = [200, 5_000, 4 << 20][pick(3)];
    config.storage.journal_file_bytes = [96 << 10, 256 << 10, 512 << 10, 1 << 20][pick(4)];
    config.storage.group_bytes_max = [8 << 10, 32 << 10][pick(2)];
    config.storage.flush_bytes = [1000, 20_000, 1 << 20][pick(3)];
    config.storage.open_files_max = [2, 8, 64][pick(3)];
    config.storage.tail_cache_bytes = [0, 10_000, 1 << 20][pick(3)];
    config.storage.digest_interval_bytes = [1, 500, 65_536][pick(3)];
    draw_rest(world, &mut config);
    if is_clock_steady(world) {
        // Nobody is taken for idle by a clock that is right, and no offset for old.
        config.storage.clock_agreement_min = Duration::from_millis([20, 1_000][pick(2)]);
        let often = config
            .settings
            .set("offsets.retention.check.interval.ms", "100");
        often.expect("a number of milliseconds");
    }
    config
}

/// What clients fill, how full it is, and how full it may be.
fn queues(seen: &Inspection) -> [(&'static str, usize, usize); 3] {
    [
        (
            "requests of one connection",
            seen.in_flight_peak,
            IN_FLIGHT_MAX,
        ),
        ("connections", seen.connections, seen.connections_max),
        (
            "fetch sessions",
            seen.fetch_sessions,
            seen.fetch_sessions_max,
        ),
    ]
}
