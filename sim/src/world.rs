//! The world: nodes, time, and everything that can be done to them from outside.
//!
//! [`World`] is a handle for the harness, which stands outside all nodes: it adds nodes, starts and kills
//! their processes, cuts links and power, turns clocks, reads disks, and judges. A kill takes effect at
//! once, except that a process that kills itself lives until the poll it is in has returned.

use crate::decision::{Decisions, Stream};
use crate::disk::DiskView;
use crate::env::SimEnv;
use crate::fault::{FaultKind, Faults, fault_points};
use crate::kernel::{Sandbox, catching};
use crate::memory::charge_to;
use crate::net::Network;
use crate::node::{Death, Life, Node, NodeId, NodeOptions, Trap};
use crate::run::{Failure, Limits, Told};
use crate::scheduler::{Owner, SchedulePolicy, Scheduler, TaskFuture};
use crate::timeline::{Event, Timeline, TimerKey};
use crate::trace::{EventKind, Recording, Trace};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::ops::Deref;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;
use taffrail_record::TopicPartition;

/// No fault point strikes more often than this, in parts per million of the times it is come to.
const AWKWARD_MAX: u32 = 250_000;

/// The whole simulated world; a handle.
#[derive(Clone)]
pub struct World(Rc<Inner>);

/// Looks at the world after each step, and may fail it.
type Observer = Box<dyn FnMut(&World)>;

/// What the handle leads to; nothing of it is for users.
#[doc(hidden)]
pub struct Inner {
    pub(crate) now: Cell<u64>,
    pub(crate) decisions: Decisions,
    pub(crate) faults: Faults,
    pub(crate) trace: RefCell<Trace>,
    pub(crate) scheduler: RefCell<Scheduler>,
    pub(crate) timeline: RefCell<Timeline>,
    pub(crate) network: Network,
    pub(crate) limits: Limits,
    pub(crate) sandbox: Sandbox,
    pub(crate) schedule: Stream,
    pub(crate) polls: Cell<u64>,
    pub(crate) operations: Cell<u64>,
    pub(crate) tally: RefCell<BTreeMap<&'static str, u64>>,
    /// The fault points that were come to, and how many times the rate they strike in this run.
    points: RefCell<BTreeMap<&'static str, u32>>,
    pub(crate) told: RefCell<Vec<Told>>,
    pub(crate) partitions: RefCell<BTreeMap<TopicPartition, String>>,
    nodes: RefCell<Vec<Rc<Node>>>,
    current: RefCell<Option<Rc<Life>>>,
    doomed: RefCell<Vec<(Rc<Life>, Death)>>,
    retired: RefCell<Vec<(Rc<Life>, usize)>>,
    unsettled: Cell<bool>,
    observers: RefCell<Vec<Observer>>,
    failure: RefCell<Option<Failure>>,
    finished: Cell<bool>,
}

impl Deref for World {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl World {
    pub(crate) fn new(
        decisions: Decisions,
        faults: Faults,
        limits: Limits,
        recording: Recording,
    ) -> Self {
        let schedule = decisions.stream("schedule");
        let network = Network::new(&decisions);
        let world = World(Rc::new(Inner {
            now: Cell::new(0),
            decisions,
            faults,
            trace: RefCell::new(Trace::new(recording)),
            scheduler: RefCell::new(Scheduler::new()),
            timeline: RefCell::new(Timeline::default()),
            network,
            limits,
            sandbox: Sandbox::current(),
            schedule,
            polls: Cell::new(0),
            operations: Cell::new(0),
            tally: RefCell::default(),
            points: RefCell::default(),
            told: RefCell::default(),
            partitions: RefCell::default(),
            nodes: RefCell::new(Vec::new()),
            current: RefCell::new(None),
            doomed: RefCell::new(Vec::new()),
            retired: RefCell::new(Vec::new()),
            unsettled: Cell::new(false),
            observers: RefCell::new(Vec::new()),
            failure: RefCell::new(None),
            finished: Cell::new(false),
        }));
        world.draw_policy();
        world
    }

    /// Simulated nanoseconds since the beginning.
    pub fn nanos(&self) -> u64 {
        self.now.get()
    }

    /// Simulated time since the beginning.
    pub fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.now.get())
    }

    /// The source of every choice, for workloads and fault drivers too.
    pub fn decisions(&self) -> &Decisions {
        &self.0.decisions
    }

    /// Rates, atlas and counts of faults.
    pub fn faults(&self) -> &Faults {
        &self.0.faults
    }

    // ---- nodes and processes ----

    /// Adds a node; nothing runs on it yet.
    pub fn add_node(&self, options: NodeOptions) -> NodeId {
        let id = NodeId(self.nodes.borrow().len() as u32);
        let node = Rc::new(Node::new(id, options, &self.0.decisions));
        let stale_reads = self.0.faults.rate(FaultKind::DiskStaleRead) > 0;
        node.device.files.borrow_mut().remembers = stale_reads;
        if self.strikes(&node, FaultKind::ClockOffset) {
            let stream = self.0.decisions.stream(&format!("{id}/clock-offset"));
            // Up to ten days, either way.
            let offset = self.0.decisions.below(stream, 1_728_000_000_000_000) as i64;
            let offset = offset - 864_000_000_000_000;
            node.clock.step(offset);
            self.event(EventKind::ClockStep, id.number(), (offset as u64, 0, 0));
            self.0.faults.count_met(FaultKind::ClockOffset);
        }
        if self.strikes(&node, FaultKind::DiskSlow) {
            let stream = self.0.decisions.stream(&format!("{id}/disk/slow"));
            let factor = [10, 100, 1_000, 10_000][self.0.decisions.below(stream, 4) as usize];
            node.device.slow.set(factor);
            node.device.tell(self, FaultKind::DiskSlow, factor);
        }
        self.nodes.borrow_mut().push(node);
        id
    }

    /// The node's disk, seen and touched from outside.
    pub fn disk(&self, node: NodeId) -> DiskView {
        DiskView::new(self.clone(), self.node(node).device.clone())
    }

    // ---- the network ----

    /// Cuts the way of packets from one node to another, or heals it; the way back is another link.
    pub fn set_link(&self, from: NodeId, to: NodeId, cut: bool) {
        self.event(
            EventKind::Link,
            from.number(),
            (to.number().into(), cut.into(), 0),
        );
        self.network.set_cut(self, from, to, cut);
    }

    /// Cuts both ways between each node of one side and each of the other.
    pub fn partition(&self, one: &[NodeId], other: &[NodeId]) {
        for a in one {
            for b in other {
                self.set_link(*a, *b, true);
                self.set_link(*b, *a, true);
            }
        }
    }

    /// Heals every link.
    pub fn heal_links(&self) {
        for (from, to) in self.network.cut_links() {
            self.set_link(from, to, false);
        }
    }

    /// Makes the usual delay of packets between two different nodes, one way, this long.
    pub fn set_delay(&self, from: NodeId, to: NodeId, delay: Duration) {
        let nanos = u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX);
        self.network.set_delay(from, to, nanos);
    }

    /// Breaks every connection between two nodes, at whatever byte it is.
    pub fn reset_connections(&self, one: NodeId, other: NodeId) {
        self.network.reset_between(self, one, other);
    }

    /// All nodes, in the order in which they were added.
    pub fn nodes(&self) -> Vec<NodeId> {
        self.nodes.borrow().iter().map(|node| node.id).collect()
    }

    /// Starts a process on a node on which none runs; a machine without power gets it back.
    /// When `main` returns, the process exits.
    pub fn start<M, F>(&self, node: NodeId, main: M)
    where
        M: FnOnce(SimEnv) -> F + 'static,
        F: Future<Output = ()> + 'static,
    {
        let place = self.node(node);
        assert!(place.living().is_none(), "{node} runs a process already");
        let incarnation = place.incarnations.get() + 1;
        place.incarnations.set(incarnation);
        let life = Rc::new(Life::new(node, incarnation));
        *place.life.borrow_mut() = Some(life.clone());
        place.trap.set(None);
        let origin = self
            .0
            .decisions
            .below(place.monotonic_origin, 1_000_000_000_000);
        let drift = self.draw_drift(&place);
        place.clock.begin(self.now.get(), origin, drift);
        if !place.powered.replace(true) {
            self.network.power_on(self, node);
        }
        let details = (incarnation.into(), drift as u64, 0);
        self.event(EventKind::Start, life.number(), details);
        let env = SimEnv::new(self.clone(), place, life.clone(), 0);
        let world = self.clone();
        let owner = Owner {
            life: Some(life.clone()),
            shard: 0,
        };
        self.spawn_task(owner, async move {
            main(env).await;
            world.doom(life, Death::Exit);
        });
    }

    /// The node's name.
    pub fn name(&self, node: NodeId) -> String {
        self.node(node).name.clone()
    }

    /// Keeps a partition's name, if everything is recorded.
    pub(crate) fn keep_name(&self, partition: TopicPartition, name: impl FnOnce() -> String) {
        if self.trace.borrow().recording() == Recording::Full {
            let mut names = self.partitions.borrow_mut();
            names.entry(partition).or_insert_with(name);
        }
    }

    /// Keeps what the judges are told, if everything is recorded.
    pub(crate) fn keep_history(&self, event: &crate::history::Event) {
        if self.trace.borrow().recording() == Recording::Full {
            self.told.borrow_mut().push(Told {
                time: self.nanos(),
                events: self.events(),
                node: self.speaker(),
                event: event.clone(),
            });
        }
    }

    /// Whether a process runs on the node.
    pub fn is_running(&self, node: NodeId) -> bool {
        self.node(node).living().is_some()
    }

    /// How often a process was started there.
    pub fn incarnation(&self, node: NodeId) -> u32 {
        self.node(node).incarnations.get()
    }

    /// Ready when the process that runs on the node now is dead; at once if none runs.
    pub fn exited(&self, node: NodeId) -> impl Future<Output = Option<Death>> + 'static {
        let life = self.node(node).life.borrow().clone();
        poll_fn(move |context| match &life {
            Some(life) if life.alive.get() => {
                life.mourners.borrow_mut().push(context.waker().clone());
                Poll::Pending
            }
            Some(life) => Poll::Ready(life.death.get()),
            None => Poll::Ready(None),
        })
    }

    /// Kills the process (`kill -9`). The machine goes on: its cache, its sockets' last bytes.
    pub fn kill(&self, node: NodeId) {
        self.strike_down(node, Death::Kill);
    }

    /// Cuts the power of these nodes at one instant. Start brings it back.
    pub fn power_cut(&self, nodes: &[NodeId]) {
        for node in nodes {
            self.strike_down(*node, Death::PowerCut);
        }
    }

    /// Lets the process die without anybody looking at a clock: in the middle of whatever it does then.
    pub fn set_trap(&self, node: NodeId, trap: Trap, death: Death) {
        self.node(node).trap.set(Some((trap, death)));
    }

    /// Takes a trap away that has not sprung.
    pub fn clear_trap(&self, node: NodeId) {
        self.node(node).trap.set(None);
    }

    /// Runs none of the node's tasks until [`World::resume`].
    pub fn pause(&self, node: NodeId) {
        if let Some(life) = self.node(node).living() {
            life.paused.set(true);
            self.event(EventKind::Pause, life.number(), (0, 0, 0));
        }
    }

    /// Lets a paused process go on, with all its timers late.
    pub fn resume(&self, node: NodeId) {
        if let Some(life) = self.node(node).living() {
            life.paused.set(false);
            let parked = life.parked.take();
            self.scheduler.borrow_mut().unpark(parked);
            self.event(EventKind::Resume, life.number(), (0, 0, 0));
        }
    }

    /// Replaces the disk of a node without a process by an empty one.
    pub fn wipe_disk(&self, node: NodeId) {
        let place = self.node(node);
        assert!(place.living().is_none(), "{node} still uses its disk");
        place.device.wipe();
        self.event(EventKind::WipeDisk, node.number(), (0, 0, 0));
    }

    /// Bytes that the node's process holds, if the counting allocator is installed.
    pub fn memory(&self, node: NodeId) -> i64 {
        crate::memory::held(node.number())
    }

    /// The most bytes that the node's processes held at any instant since this was last asked.
    pub fn take_memory_peak(&self, node: NodeId) -> i64 {
        crate::memory::take_peak(node.number())
    }

    // ---- clocks ----

    /// Steps the node's wall clock.
    pub fn step_clock(&self, node: NodeId, by_ms: i64) {
        let by_ns = by_ms.saturating_mul(1_000_000);
        self.node(node).clock.step(by_ns);
        self.event(EventKind::ClockStep, node.number(), (by_ns as u64, 0, 0));
    }

    /// Stops the node's wall clock, or lets it go on.
    pub fn freeze_clock(&self, node: NodeId, frozen: bool) {
        self.node(node).clock.freeze(self.now.get(), frozen);
        let details = (0, 1 + u64::from(frozen), 0);
        self.event(EventKind::ClockStep, node.number(), details);
    }

    // ---- the harness ----

    /// Runs `task` outside of all nodes.
    pub fn spawn_harness(&self, task: impl Future<Output = ()> + 'static) {
        self.spawn_task(Owner::harness(), task);
    }

    /// Ready when so much simulated time has passed.
    pub fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + 'static {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let at = self.now.get().saturating_add(nanos);
        let mut alarm = Alarm::new(self.clone());
        poll_fn(move |context| alarm.poll_at(at, context))
    }

    /// Calls `observer` after every step of the world: a poll, or the events of one instant.
    pub fn observe(&self, observer: impl FnMut(&World) + 'static) {
        self.observers.borrow_mut().push(Box::new(observer));
    }

    /// Ends the run with a verdict: the name of what was violated, and the witness. The first one counts.
    pub fn fail(&self, invariant: &str, witness: impl Into<String>) {
        self.fail_on(0, invariant, witness.into());
    }

    /// Puts something of the workload's into the trace.
    pub fn note(&self, a: u64, b: u64, digest: u64, text: impl FnOnce() -> String) {
        self.event_with(EventKind::Note, self.speaker(), (a, b, digest), text);
    }

    /// The run is in another phase from here on.
    pub fn phase(&self, name: &'static str) {
        self.event_with(EventKind::Phase, 0, (0, 0, 0), || name.to_owned());
    }

    /// The number of the node whose process runs now; 0 is the harness.
    fn speaker(&self) -> u32 {
        let current = self.current.borrow();
        current.as_ref().map_or(0, |life| life.number())
    }

    /// One more operation of the workload was acknowledged.
    pub fn count_operation(&self) {
        self.operations.set(self.operations.get() + 1);
    }

    /// Something that the workload wants counted happened once more.
    pub fn count(&self, what: &'static str) {
        *self.tally.borrow_mut().entry(what).or_default() += 1;
    }

    /// The number of events so far.
    pub fn events(&self) -> u64 {
        self.trace.borrow().events()
    }

    // ---- for the other modules ----

    pub(crate) fn node(&self, id: NodeId) -> Rc<Node> {
        self.nodes.borrow()[id.0 as usize].clone()
    }

    pub(crate) fn node_named(&self, name: &str) -> Option<NodeId> {
        let nodes = self.nodes.borrow();
        nodes.iter().find(|node| node.name == name).map(|n| n.id)
    }

    pub(crate) fn strikes(&self, node: &Node, kind: FaultKind) -> bool {
        if self.0.faults.strikes_never(node.id, kind) {
            return false;
        }
        let struck = self.0.faults.strikes(kind, &self.0.decisions, || {
            node.fault_stream(kind, &self.0.decisions)
        });
        if struck {
            self.fault(node.id, kind, 0);
        }
        struck
    }

    /// Whether this node takes the awkward way at a fault point. Half of the points are left alone in a run; where others are seldom
    /// come to, they may strike more often than the rate says. In a story all strike by the rate.
    pub(crate) fn strikes_at(&self, node: &Node, point: &'static str) -> bool {
        let (faults, kind) = (&self.0.faults, FaultKind::CodePoint);
        let rate = faults.rate(kind);
        if rate == 0 || faults.strikes_never(node.id, kind) {
            return false;
        }
        let decisions = &self.0.decisions;
        let chance = match faults.are_points_alike() {
            true => rate,
            false => (rate * self.draw_times(point)).min(AWKWARD_MAX),
        };
        if chance == 0 || !decisions.chance(node.point_stream(point, decisions), chance) {
            return false;
        }
        faults.count_injected(kind);
        faults.count_met(kind);
        self.count(point);
        let details = (kind as u64, crate::trace::digest(point.as_bytes()), 0);
        let (number, now) = (node.id.number(), self.now.get());
        let name = || Some(point.to_owned());
        let mut trace = self.trace.borrow_mut();
        trace.event(EventKind::Fault, number, now, details, name);
        true
    }

    /// How many times the rate a fault point strikes in this run.
    fn draw_times(&self, point: &'static str) -> u32 {
        let decisions = &self.0.decisions;
        *self.points.borrow_mut().entry(point).or_insert_with(|| {
            let known = fault_points().any(|(name, _)| name == point);
            assert!(known, "{point} is not among the fault points");
            let stream = decisions.stream(&format!("point/{point}"));
            [0, 0, 0, 1, 4, 16][decisions.below(stream, 6) as usize]
        })
    }

    /// Counts a fault and puts it into the trace.
    pub(crate) fn fault(&self, node: NodeId, kind: FaultKind, what: u64) {
        self.0.faults.count_injected(kind);
        self.event(EventKind::Fault, node.number(), (kind as u64, what, 0));
    }

    #[inline]
    pub(crate) fn event(&self, kind: EventKind, node: u32, details: (u64, u64, u64)) {
        let mut trace = self.trace.borrow_mut();
        trace.event(kind, node, self.now.get(), details, || None);
    }

    #[inline]
    pub(crate) fn event_with(
        &self,
        kind: EventKind,
        node: u32,
        details: (u64, u64, u64),
        text: impl FnOnce() -> String,
    ) {
        let mut trace = self.trace.borrow_mut();
        trace.event(kind, node, self.now.get(), details, || Some(text()));
    }

    pub(crate) fn after(&self, nanos: u64, event: Event) {
        let at = self.now.get().saturating_add(nanos);
        self.timeline.borrow_mut().schedule(at, event);
    }

    pub(crate) fn spawn_task(&self, owner: Owner, task: impl Future<Output = ()> + 'static) {
        let future: TaskFuture = Box::pin(task);
        self.scheduler.borrow_mut().spawn(owner, future);
    }

    pub(crate) fn fire(&self, event: Event) {
        match event {
            Event::Timer(key) => {
                let waker = self.timeline.borrow_mut().fire(key);
                if let Some(waker) = waker {
                    self.event(EventKind::Timer, 0, (0, 0, 0));
                    waker.wake();
                }
            }
            Event::Disk(handle, ticket) => handle.finish_first(self, ticket),
            Event::Packet(pair, direction) => self.network.arrive(self, &pair, direction),
            Event::Call(call) => call(self),
        }
    }

    pub(crate) fn enter(&self, life: Option<Rc<Life>>) {
        *self.current.borrow_mut() = life;
    }

    pub(crate) fn leave(&self) {
        *self.current.borrow_mut() = None;
    }

    /// A poll of this process has returned: springs the trap that waited for it.
    pub(crate) fn count_poll(&self, life: &Rc<Life>) {
        let node = self.node(life.node);
        if let Some((Trap::Polls(left), death)) = node.trap.get() {
            self.count_down(
                &node,
                life,
                Trap::Polls(left.saturating_sub(1)),
                left,
                death,
            );
        }
    }

    /// A disk operation of this process begins.
    pub(crate) fn count_disk_operation(&self, life: &Rc<Life>, node: &Node) {
        if let Some((Trap::DiskOperations(left), death)) = node.trap.get() {
            let next = Trap::DiskOperations(left.saturating_sub(1));
            self.count_down(node, life, next, left, death);
        }
    }

    fn count_down(&self, node: &Node, life: &Rc<Life>, next: Trap, left: u64, death: Death) {
        if left <= 1 {
            node.trap.set(None);
            self.doom(life.clone(), death);
        } else {
            node.trap.set(Some((next, death)));
        }
    }

    /// The process dies when the present poll has returned.
    pub(crate) fn doom(&self, life: Rc<Life>, death: Death) {
        self.doomed.borrow_mut().push((life, death));
        self.unsettled.set(true);
    }

    /// The main of a shard has returned: its other tasks end with it.
    pub(crate) fn retire(&self, life: Rc<Life>, shard: usize) {
        self.retired.borrow_mut().push((life, shard));
        self.unsettled.set(true);
    }

    /// After each step: deaths that waited for it, then the observers.
    pub(crate) fn settle(&self) {
        if self.unsettled.replace(false) {
            let retired = self.retired.take();
            for (life, shard) in retired {
                let same = |owner: &Owner| owner.shard == shard && owns(owner, &life);
                let futures = self.scheduler.borrow_mut().remove(same);
                self.drop_futures(life.number(), futures);
            }
            let doomed = self.doomed.take();
            for (life, death) in doomed {
                self.die(&life, death);
            }
        }
        if self.observers.borrow().is_empty() {
            return;
        }
        let mut observers = self.observers.take();
        for observer in &mut observers {
            if let Err(panic) = catching(|| observer(self)) {
                self.fail_on(0, "PANIC", panic);
            }
        }
        let added = self.observers.replace(observers);
        self.observers.borrow_mut().extend(added);
    }

    fn strike_down(&self, node: NodeId, death: Death) {
        let place = self.node(node);
        let inside = self.current.borrow().as_ref().map(|life| life.node) == Some(node);
        match place.living() {
            Some(life) if inside => self.doom(life, death),
            Some(life) => self.die(&life, death),
            None if death == Death::PowerCut && place.powered.replace(false) => {
                self.event(EventKind::PowerCut, node.number(), (0, 0, 0));
                place.device.power_cut(self);
                self.network.power_off(self, node);
            }
            None => {}
        }
    }

    fn die(&self, life: &Rc<Life>, death: Death) {
        if !life.alive.replace(false) {
            return;
        }
        life.death.set(Some(death));
        let kind = match death {
            Death::Exit => EventKind::Exit,
            Death::Kill => EventKind::Kill,
            Death::PowerCut => EventKind::PowerCut,
        };
        self.event(kind, life.number(), (life.incarnation.into(), 0, 0));
        let node = self.node(life.node);
        node.trap.set(None);
        node.device.process_died(self, death);
        if death == Death::PowerCut {
            node.powered.set(false);
            node.device.power_cut(self);
            self.network.power_off(self, life.node);
        } else {
            self.network.process_died(self, life);
        }
        let futures = self
            .scheduler
            .borrow_mut()
            .remove(|owner| owns(owner, life));
        self.drop_futures(life.number(), futures);
        for mourner in life.mourners.take() {
            mourner.wake();
        }
    }

    fn drop_futures(&self, number: u32, futures: Vec<TaskFuture>) {
        let _charge = charge_to(number);
        for future in futures {
            if let Err(panic) = catching(|| drop(future)) {
                self.fail_on(number, "PANIC", panic);
            }
        }
    }

    pub(crate) fn fail_on(&self, number: u32, invariant: &str, witness: String) {
        let mut failure = self.failure.borrow_mut();
        if failure.is_none() {
            *failure = Some(Failure {
                invariant: invariant.to_owned(),
                witness,
                node: number.checked_sub(1).map(NodeId),
                time: self.elapsed(),
                event: self.events(),
            });
        }
    }

    pub(crate) fn finish(&self) {
        self.finished.set(true);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.finished.get() || self.failure.borrow().is_some()
    }

    pub(crate) fn take_failure(&self) -> Option<Failure> {
        self.failure.take()
    }

    /// Ends every process without a sound, and drops everything that could keep the world alive.
    pub(crate) fn end(&self) {
        let nodes = self.nodes.borrow().clone();
        for node in &nodes {
            if let Some(life) = node.life.take() {
                life.alive.set(false);
            }
        }
        let futures = self.scheduler.borrow_mut().remove(|_| true);
        self.drop_futures(0, futures);
        let events = self.timeline.borrow_mut().clear();
        drop(events);
        self.observers.take();
        self.0.faults.forget_atlas();
        self.network.clear();
        for node in &nodes {
            node.device.clear();
        }
        // Dropped events may have held futures' channels, and woken or spawned into the void.
        let futures = self.scheduler.borrow_mut().remove(|_| true);
        drop(futures);
        self.nodes.take();
    }

    fn draw_policy(&self) {
        if self
            .0
            .faults
            .strikes(FaultKind::NodeStarve, &self.0.decisions, || {
                self.0.decisions.stream("node-starve")
            })
        {
            self.0.faults.count_injected(FaultKind::NodeStarve);
            self.0.faults.count_met(FaultKind::NodeStarve);
            self.event(EventKind::Fault, 0, (FaultKind::NodeStarve as u64, 0, 0));
            let stream = self.0.decisions.stream("schedule-policy");
            let policies = [
                SchedulePolicy::Fifo,
                SchedulePolicy::Lifo,
                SchedulePolicy::Starve,
            ];
            let index = self.0.decisions.below(stream, policies.len() as u64);
            self.scheduler.borrow_mut().policy = policies[index as usize];
        }
    }

    fn draw_drift(&self, node: &Node) -> i64 {
        if !self.strikes(node, FaultKind::ClockDrift) {
            return 0;
        }
        self.0.faults.count_met(FaultKind::ClockDrift);
        let stream = self.0.decisions.stream(&format!("{}/drift-ppm", node.id));
        self.0.decisions.below(stream, 1001) as i64 - 500
    }
}

fn owns(owner: &Owner, life: &Rc<Life>) -> bool {
    owner.life.as_ref().is_some_and(|own| Rc::ptr_eq(own, life))
}

/// A timer that belongs to a future: taken back when the future is dropped.
pub(crate) struct Alarm {
    world: World,
    armed: Option<(TimerKey, u64)>,
}

impl Alarm {
    pub fn new(world: World) -> Self {
        Self { world, armed: None }
    }

    /// Ready once the world's time is `at`.
    pub fn poll_at(&mut self, at: u64, context: &mut Context<'_>) -> Poll<()> {
        if self.world.now.get() >= at {
            self.disarm();
            return Poll::Ready(());
        }
        let mut timeline = self.world.timeline.borrow_mut();
        if let Some((key, armed_at)) = self.armed {
            if armed_at == at && timeline.rearm(key, context.waker()) {
                return Poll::Pending;
            }
            timeline.disarm(key);
        }
        self.armed = Some((timeline.arm(at, context.waker().clone()), at));
        Poll::Pending
    }

    fn disarm(&mut self) {
        if let Some((key, _)) = self.armed.take() {
            self.world.timeline.borrow_mut().disarm(key);
        }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.disarm();
    }
}

/// A future in a box, as harness code passes them around.
pub type LocalFuture<T> = Pin<Box<dyn Future<Output = T>>>;
