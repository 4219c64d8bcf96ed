//! What breaks nodes, links and clocks while a workload runs, and heals them afterwards.
//!
//! Simulated time is cut into ticks; in each tick every kind of fault has one draw per node, of a stream of its
//! own. So taking one fault away (an edit of that draw to 0) leaves all others where they are. A dead process
//! is started again after a drawn while; a started one may be killed before it has done much.

use crate::decision::Stream;
use crate::fault::{FaultKind, Rates};
use crate::node::{Death, NodeId, Trap};
use crate::world::World;
use std::cell::Cell;
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
type Starter = Box<dyn Fn(&World, NodeId)>;

/// The nodes that may be broken, and how they are started again. A handle.
#[derive(Clone)]
pub struct Chaos(Rc<Inner>);

struct Inner {
    world: World,
    nodes: Vec<NodeId>,
    starter: Starter,
    raging: Cell<bool>,
    /// Draws of how long, how far and which.
    details: Stream,
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
            starter: Box::new(starter),
            raging: Cell::new(false),
            details: world.decisions().stream("chaos/details"),
        }));
        for node in nodes {
            world.spawn_harness(chaos.clone().keep(*node));
        }
        chaos
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
                let trap = Trap::DiskOperations(1 + self.draw(30));
                world.set_trap(node, trap, self.draw_death());
                self.met(FaultKind::NodeKillInRecovery);
            }
            world.exited(node).await;
            let down = match self.0.raging.get() {
                true => self.draw(DOWN_NANOS_MAX),
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
        while goes_on() {
            world.sleep(TICK).await;
            if self.strikes(self.0.nodes[0], FaultKind::NodePowerCutAll) {
                self.met(FaultKind::NodePowerCutAll);
                world.power_cut(&self.0.nodes);
            }
            for node in &self.0.nodes {
                self.tick(*node);
            }
        }
        self.0.raging.set(false);
    }

    fn tick(&self, node: NodeId) {
        let world = &self.0.world;
        if self.strikes(node, FaultKind::NodeKill) {
            self.met(FaultKind::NodeKill);
            self.strike_down(node, Death::Kill);
        }
        if self.strikes(node, FaultKind::NodePowerCut) {
            self.met(FaultKind::NodePowerCut);
            self.strike_down(node, Death::PowerCut);
        }
        if self.strikes(node, FaultKind::DiskSlow) {
            self.slow_down(node);
        }
        if self.strikes(node, FaultKind::NodePause) {
            self.met(FaultKind::NodePause);
            let pause = self.log_uniform(10 * MILLISECOND, 600_000 * MILLISECOND);
            world.pause(node);
            self.later(pause, move |world| world.resume(node));
        }
        if self.strikes(node, FaultKind::ClockStep) {
            self.met(FaultKind::ClockStep);
            let step = self.log_uniform(1_000, 315_360_000_000) as i64;
            world.step_clock(node, if self.draw(2) == 0 { step } else { -step });
        }
        if self.strikes(node, FaultKind::ClockFreeze) {
            self.met(FaultKind::ClockFreeze);
            let freeze = self.log_uniform(100 * MILLISECOND, 60_000 * MILLISECOND);
            world.freeze_clock(node, true);
            self.later(freeze, move |world| world.freeze_clock(node, false));
        }
        if self.strikes(node, FaultKind::NetCut) {
            self.cut(node);
        }
    }

    /// For a while.
    fn slow_down(&self, node: NodeId) {
        let factor = self.log_uniform(10, 10_000);
        let while_nanos = self.log_uniform(10 * MILLISECOND, 5_000 * MILLISECOND);
        self.0.world.disk(node).set_slow(factor);
        self.later(while_nanos, move |world| world.disk(node).set_slow(1));
    }

    /// At once, or at some await or disk operation soon.
    fn strike_down(&self, node: NodeId, death: Death) {
        let ahead = 1 + self.draw(TRAP_MAX);
        let world = &self.0.world;
        match (self.draw(4), death) {
            (0, Death::PowerCut) => world.power_cut(&[node]),
            (0, _) => world.kill(node),
            (1, _) => world.set_trap(node, Trap::DiskOperations(ahead), death),
            _ => world.set_trap(node, Trap::Polls(ahead), death),
        }
    }

    /// Cuts this node off from another one, or from all; one way or both.
    fn cut(&self, node: NodeId) {
        let world = &self.0.world;
        let everybody: Vec<NodeId> = world.nodes().into_iter().filter(|n| *n != node).collect();
        if everybody.is_empty() {
            return;
        }
        let one = everybody[self.draw(everybody.len() as u64) as usize];
        let others = if self.draw(2) == 0 {
            vec![one]
        } else {
            everybody
        };
        let ways = self.draw(3);
        let until = self.log_uniform(MILLISECOND, CUT_NANOS_MAX);
        for other in others {
            for (from, to, wanted) in [(node, other, ways != 1), (other, node, ways != 0)] {
                if wanted {
                    world.set_link(from, to, true);
                    self.later(until, move |world| world.set_link(from, to, false));
                }
            }
        }
    }

    /// Ends all faults: links are whole, clocks go on, disks take writes, paused processes run. Dead ones are
    /// started again by themselves.
    pub fn heal(&self) {
        let world = &self.0.world;
        self.0.raging.set(false);
        world.faults().set_rates(Rates::none());
        world.heal_links();
        for node in &self.0.nodes {
            world.clear_trap(*node);
            world.resume(*node);
            world.freeze_clock(*node, false);
            world.disk(*node).heal();
        }
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

    fn draw(&self, n: u64) -> u64 {
        self.0.world.decisions().below(self.0.details, n)
    }

    fn draw_death(&self) -> Death {
        match self.draw(2) {
            0 => Death::Kill,
            _ => Death::PowerCut,
        }
    }

    /// Every order of magnitude between the bounds alike, roughly.
    fn log_uniform(&self, least: u64, most: u64) -> u64 {
        let doublings = u64::from((most / least).max(2).ilog2());
        let base = least << self.draw(doublings);
        (base + self.draw(base)).min(most)
    }
}
