//! What breaks nodes, links and clocks while a workload runs, and heals them afterwards.
//!
//! Simulated time is cut into ticks; in each tick every kind of fault has one draw per node, of a stream of its
//! own, and what it does in detail is drawn from another one, by the time at which it strikes. So taking one fault away
//! (an edit of that draw to 0) leaves all others where they are. A dead process is started again after a drawn while; a started
//! one may be killed before it has done much.
//!
//! Servers meet everything. Clients are killed, paused and cut off, more rarely. The servers and some clients can be healed before
//! the rest is: what is whole owes progress whatever the others do.

use crate::decision::Stream;
use crate::fault::{FaultKind, Rates};
use crate::node::{Death, NodeId, Trap};
use crate::world::World;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

/// A kind's rate is per so much simulated time and node.
pub const TICK: Duration = Duration::from_millis(100);
const MILLISECOND: u64 = 1_000_000;
/// A dead process is started again after at most this long.
const DOWN_NANOS_MAX: u64 = 5_000 * MILLISECOND;
/// How far a trap may lie ahead.
const TRAP_MAX: u64 = 200;
/// A link stays cut for at most this long.
const CUT_NANOS_MAX: u64 = 30_000 * MILLISECOND;

/// Starts a node's process.
type Starter = Rc<dyn Fn(&World, NodeId)>;

/// The nodes that may be broken, and how they are started again. A handle.
#[derive(Clone)]
pub struct Chaos(Rc<Inner>);

struct Inner {
    world: World,
    nodes: Vec<NodeId>,
    starter: Starter,
    /// Nodes whose processes are clients.
    clients: RefCell<Vec<NodeId>>,
    /// Servers are broken.
    raging: Cell<bool>,
    /// Clients are broken, but for those that were spared.
    harassing: Cell<bool>,
}

impl Chaos {
    /// Starts the nodes, and from now on again whenever they die.
    pub fn begin(
        world: &World,
        nodes: &[NodeId],
        starter: impl Fn(&World, NodeId) + 'static,
    ) -> Self {
        let chaos = Self(Rc::new(Inner {
            world: world.clone(),
            nodes: nodes.to_vec(),
            starter: Rc::new(starter),
            clients: RefCell::default(),
            raging: Cell::new(false),
            harassing: Cell::new(false),
        }));
        for node in nodes {
            world.spawn_harness(chaos.clone().keep(*node));
        }
        chaos
    }

    /// Starts a client, and another in its place whenever it is killed, until it ends by itself.
    pub fn add_client(&self, node: NodeId, starter: impl Fn(&World, NodeId) + 'static) {
        self.0.clients.borrow_mut().push(node);
        starter(&self.0.world, node);
        let chaos = self.clone();
        self.0.world.spawn_harness(async move {
            let world = chaos.0.world.clone();
            while world.exited(node).await != Some(Death::Exit) {
                let down = chaos.draw(node, FaultKind::ClientKill, DOWN_NANOS_MAX);
                world.sleep(Duration::from_nanos(down)).await;
                starter(&world, node);
            }
        });
    }

    /// Keeps one node's process running.
    async fn keep(self, node: NodeId) {
        let world = self.0.world.clone();
        loop {
            (self.0.starter)(&world, node);
            // Caches are cold and everybody wants something: what has to be read takes its time.
            if self.0.raging.get() && self.strikes(node, FaultKind::DiskSlow) {
                self.slow_down(node);
            }
            if self.0.raging.get() && self.strikes(node, FaultKind::NodeKillInRecovery) {
                let kind = FaultKind::NodeKillInRecovery;
                let trap = Trap::DiskOperations(1 + self.draw(node, kind, 30));
                world.set_trap(node, trap, self.draw_death(node, kind));
                self.met(kind);
            }
            world.exited(node).await;
            let down = match self.0.raging.get() {
                true => self.draw(node, FaultKind::NodeKill, DOWN_NANOS_MAX),
                false => MILLISECOND,
            };
            world.sleep(Duration::from_nanos(down)).await;
            if self.0.raging.get() && self.replaces_disk(node) {
                world.wipe_disk(node);
                self.met(FaultKind::DiskReplaced);
            }
        }
    }

    fn replaces_disk(&self, node: NodeId) -> bool {
        let target = crate::fault::Target {
            node,
            kind: FaultKind::DiskReplaced,
            path: std::path::Path::new("/"),
            offset: 0,
            len: u64::MAX,
        };
        self.0.world.faults().rate(FaultKind::DiskReplaced) > 0
            && self.0.world.faults().allows(&target)
            && self.strikes(node, FaultKind::DiskReplaced)
    }

    /// Breaks things for so long, by the world's rates. Leaves broken what is broken; see [`Chaos::heal`].
    pub async fn rage(&self, duration: Duration) {
        let end = self.0.world.elapsed() + duration;
        self.rage_while(|| self.0.world.elapsed() < end).await;
    }

    /// As [`Chaos::rage`], for as long as the condition holds.
    pub async fn rage_while(&self, goes_on: impl Fn() -> bool) {
        let world = &self.0.world;
        self.0.raging.set(true);
        self.0.harassing.set(true);
        while goes_on() {
            world.sleep(TICK).await;
            if self.strikes(self.0.nodes[0], FaultKind::NodePowerCutAll) {
                self.met(FaultKind::NodePowerCutAll);
                world.power_cut(&self.0.nodes);
            }
            for node in &self.0.nodes {
                self.tick(*node);
            }
            self.tick_clients();
        }
        self.0.raging.set(false);
        self.0.harassing.set(false);
    }

    /// Leaves the servers alone, and breaks clients that were not spared, for as long as the condition holds.
    pub async fn harass_while(&self, goes_on: impl Fn() -> bool) {
        self.0.harassing.set(true);
        while goes_on() {
            self.0.world.sleep(TICK).await;
            self.tick_clients();
        }
        self.0.harassing.set(false);
    }

    fn tick_clients(&self) {
        let clients = self.0.clients.borrow().clone();
        for node in clients {
            self.tick_client(node);
        }
    }

    fn tick_client(&self, node: NodeId) {
        let world = &self.0.world;
        if self.strikes(node, FaultKind::ClientKill) && world.is_running(node) {
            self.met(FaultKind::ClientKill);
            let ahead = 1 + self.draw(node, FaultKind::ClientKill, TRAP_MAX);
            world.set_trap(node, Trap::Polls(ahead), Death::Kill);
        }
        if self.strikes(node, FaultKind::ClientPause) {
            self.met(FaultKind::ClientPause);
            self.pause(node, FaultKind::ClientPause);
        }
        if self.strikes(node, FaultKind::ClientCut) {
            self.met(FaultKind::ClientCut);
            self.cut(node, FaultKind::ClientCut);
        }
    }

    fn pause(&self, node: NodeId, kind: FaultKind) {
        let pause = self.log_uniform(node, kind, 10 * MILLISECOND, 600_000 * MILLISECOND);
        self.0.world.pause(node);
        self.later(pause, move |world| world.resume(node));
    }

    fn tick(&self, node: NodeId) {
        let world = &self.0.world;
        if self.strikes(node, FaultKind::NodeKill) {
            self.met(FaultKind::NodeKill);
            self.strike_down(node, FaultKind::NodeKill, Death::Kill);
        }
        if self.strikes(node, FaultKind::NodePowerCut) {
            self.met(FaultKind::NodePowerCut);
            self.strike_down(node, FaultKind::NodePowerCut, Death::PowerCut);
        }
        if self.strikes(node, FaultKind::DiskSlow) {
            self.slow_down(node);
        }
        if self.strikes(node, FaultKind::NodePause) {
            self.met(FaultKind::NodePause);
            self.pause(node, FaultKind::NodePause);
        }
        if self.strikes(node, FaultKind::DiskReadOnly) {
            let kind = FaultKind::DiskReadOnly;
            let span = self.log_uniform(node, kind, 10 * MILLISECOND, 20_000 * MILLISECOND);
            world.disk(node).set_read_only(true);
            self.later(span, move |world| world.disk(node).set_read_only(false));
        }
        self.tick_clock(node);
        if self.strikes(node, FaultKind::NetCut) {
            self.cut(node, FaultKind::NetCut);
        }
    }

    fn tick_clock(&self, node: NodeId) {
        let world = &self.0.world;
        let kind = FaultKind::ClockStep;
        if self.strikes(node, kind) {
            self.met(kind);
            let step = self.log_uniform(node, kind, 1_000, 315_360_000_000) as i64;
            let back = self.draw(node, kind, 2) == 0;
            world.step_clock(node, if back { -step } else { step });
        }
        let kind = FaultKind::ClockFreeze;
        if self.strikes(node, kind) {
            self.met(kind);
            let freeze = self.log_uniform(node, kind, 100 * MILLISECOND, 60_000 * MILLISECOND);
            world.freeze_clock(node, true);
            self.later(freeze, move |world| world.freeze_clock(node, false));
        }
    }

    /// For a while.
    fn slow_down(&self, node: NodeId) {
        let kind = FaultKind::DiskSlow;
        let factor = self.log_uniform(node, kind, 10, 10_000);
        let span = self.log_uniform(node, kind, 10 * MILLISECOND, 5_000 * MILLISECOND);
        self.0.world.disk(node).set_slow(factor);
        self.later(span, move |world| world.disk(node).set_slow(1));
    }

    /// At once, or at some await or disk operation soon.
    fn strike_down(&self, node: NodeId, kind: FaultKind, death: Death) {
        let ahead = 1 + self.draw(node, kind, TRAP_MAX);
        let world = &self.0.world;
        match (self.draw(node, kind, 4), death) {
            (0, Death::PowerCut) => world.power_cut(&[node]),
            (0, _) => world.kill(node),
            (1, _) => world.set_trap(node, Trap::DiskOperations(ahead), death),
            _ => world.set_trap(node, Trap::Polls(ahead), death),
        }
    }

    /// Cuts this node off from another one, or from all; one way or both. A client is cut off from servers.
    fn cut(&self, node: NodeId, kind: FaultKind) {
        let world = &self.0.world;
        let everybody: Vec<NodeId> = match kind {
            FaultKind::ClientCut => self.0.nodes.clone(),
            _ => world.nodes().into_iter().filter(|n| *n != node).collect(),
        };
        if everybody.is_empty() {
            return;
        }
        let one = everybody[self.draw(node, kind, everybody.len() as u64) as usize];
        let others = match self.draw(node, kind, 2) {
            0 => vec![one],
            _ => everybody,
        };
        let ways = self.draw(node, kind, 3);
        let until = self.log_uniform(node, kind, MILLISECOND, CUT_NANOS_MAX);
        for other in others {
            for (from, to, wanted) in [(node, other, ways != 1), (other, node, ways != 0)] {
                if wanted {
                    world.set_link(from, to, true);
                    self.later(until, move |world| world.set_link(from, to, false));
                }
            }
        }
    }

    /// Ends all faults of the servers and of these clients, and makes the links between them whole. The others are as broken as
    /// they were, and break further if they are harassed.
    pub fn heal_core(&self, clients: &[NodeId]) {
        let world = &self.0.world;
        self.0.raging.set(false);
        let core: Vec<NodeId> = self.0.nodes.iter().chain(clients).copied().collect();
        for node in &core {
            world.faults().spare(*node);
            self.heal_node(*node);
            for other in &core {
                world.set_link(*node, *other, false);
            }
        }
    }

    /// Ends all faults: links are whole, clocks go on, disks take writes, paused processes run. Dead ones are
    /// started again by themselves.
    pub fn heal(&self) {
        let world = &self.0.world;
        self.0.raging.set(false);
        self.0.harassing.set(false);
        world.faults().set_rates(Rates::none());
        world.heal_links();
        let clients = self.0.clients.borrow().clone();
        for node in self.0.nodes.iter().chain(&clients) {
            self.heal_node(*node);
        }
    }

    fn heal_node(&self, node: NodeId) {
        let world = &self.0.world;
        world.clear_trap(node);
        world.resume(node);
        world.freeze_clock(node, false);
        world.disk(node).heal();
    }

    fn later(&self, nanos: u64, then: impl FnOnce(&World) + 'static) {
        let world = self.0.world.clone();
        self.0.world.spawn_harness(async move {
            world.sleep(Duration::from_nanos(nanos)).await;
            then(&world);
        });
    }

    fn strikes(&self, node: NodeId, kind: FaultKind) -> bool {
        let world = &self.0.world;
        world.strikes(&world.node(node), kind)
    }

    fn met(&self, kind: FaultKind) {
        self.0.world.faults().count_met(kind);
    }

    /// Draws of how long, how far and which, when `kind` strikes a node.
    fn details(&self, node: NodeId, kind: FaultKind) -> Stream {
        self.0.world.node(node).detail_stream(kind, &self.0.world)
    }

    fn draw(&self, node: NodeId, kind: FaultKind, n: u64) -> u64 {
        let details = self.details(node, kind);
        self.0.world.decisions().below(details, n)
    }

    fn draw_death(&self, node: NodeId, kind: FaultKind) -> Death {
        match self.draw(node, kind, 2) {
            0 => Death::Kill,
            _ => Death::PowerCut,
        }
    }

    /// Every order of magnitude between the bounds alike, roughly.
    fn log_uniform(&self, node: NodeId, kind: FaultKind, least: u64, most: u64) -> u64 {
        let doublings = u64::from((most / least).max(2).ilog2());
        let base = least << self.draw(node, kind, doublings);
        (base + self.draw(node, kind, base)).min(most)
    }
}
