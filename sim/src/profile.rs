<<<<<<< HEAD
//! Profiles: a cluster, its workload, its faults and its checkers under one name.

mod ground;

use crate::run::{Outcome, Simulation};

/// What `taffrail-sim run --profile` takes.
#[derive(Clone, Copy)]
pub struct Profile {
    pub name: &'static str,
    /// One line for listings.
    pub about: &'static str,
    /// Sets the rates of the seed and runs its story.
    pub run: fn(Simulation) -> Outcome<()>,
}

/// All profiles, in the order of listings.
pub const PROFILES: &[Profile] = &[Profile {
    name: "ground",
    about: "a small log server and its clients: the simulator's own disk, network and deaths, nothing of the broker",
    run: ground::run,
}];

impl Profile {
    /// Finds a profile; the error names all there are.
    pub fn named(name: &str) -> Result<Profile, String> {
        let found = PROFILES.iter().find(|profile| profile.name == name);
        found.copied().ok_or_else(|| {
            let names: Vec<&str> = PROFILES.iter().map(|profile| profile.name).collect();
            format!("no profile `{name}`; there are: {}", names.join(", "))
        })
    }

    /// A run of one seed, as far as the seed decides everything.
    pub fn simulation(&self, seed: u64) -> Simulation {
        Simulation::new(self.name, seed)
    }
}
=======
//! Profiles: what a run is made of, from its seed to its verdict.
//!
//! A run warms up, suffers, heals and gives an account of itself. Safety is judged at every event. After the healing the
//! cluster owes progress within a bounded time; then every partition is read back, the broker is killed and the same is read again;
//! then it is stopped cleanly, its directory is verified offline, and everything is read a third time.

use crate::chaos;
use crate::cluster::Broker;
use crate::fault::{FaultKind, Rates};
use crate::history::Event;
use crate::node::{NodeId, NodeOptions};
use crate::run::{Limits, Outcome, Simulation};
use crate::trace::Recording;
use crate::workload::{Phase, Stage, Tally, Topic, commits, group, producer, read_back, reader};
use crate::world::World;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

/// How long a healed cluster may take for anything it owes.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a run is made of.
#[derive(Clone, Copy, Debug)]
pub struct Profile {
    pub name: &'static str,
    /// One line on what it is for.
    pub about: &'static str,
    /// Simulated milliseconds of work before and under faults, drawn between these.
    pub chaos_ms: (u64, u64),
    pub producers: u64,
    pub readers: u64,
    pub committers: u64,
    pub members: u64,
    /// Faults and their highest rates, in parts per million: of their opportunities for disks and networks, of ticks for the rest.
    pub menu: &'static [(FaultKind, u32)],
}

/// Seconds of everything, for every build.
const SMOKE: Profile = Profile {
    name: "smoke",
    about: "a short life of one broker: kills, power cuts, a broken network",
    chaos_ms: (300, 900),
    producers: 1,
    readers: 1,
    committers: 1,
    members: 0,
    menu: &[
        (FaultKind::NetSplit, 200_000),
        (FaultKind::NetShortRead, 200_000),
        (FaultKind::NetReset, 3_000),
        (FaultKind::DiskShortRead, 100_000),
        (FaultKind::DiskTornSector, 500_000),
        (FaultKind::DiskLostSectors, 800_000),
        (FaultKind::DiskLostLength, 500_000),
        (FaultKind::DiskLostName, 500_000),
        (FaultKind::NodeKill, 60_000),
        (FaultKind::NodePowerCut, 60_000),
        (FaultKind::NodeStarve, 300_000),
    ],
};

/// One broker's promises under everything that a disk, a network, a process and a clock can do.
const STORAGE: Profile = Profile {
    name: "storage",
    about: "one broker, several clients, every fault that leaves one good copy of what was synced",
    chaos_ms: (2_000, 8_000),
    producers: 3,
    readers: 2,
    committers: 1,
    members: 2,
    menu: &[
        (FaultKind::DiskSyncFailed, 300),
        (FaultKind::DiskReadError, 3_000),
        (FaultKind::DiskWriteError, 300),
        (FaultKind::DiskMetadataError, 1_000),
        (FaultKind::DiskNoSpace, 5_000),
        (FaultKind::DiskReadFlip, 3_000),
        (FaultKind::DiskShortRead, 200_000),
        (FaultKind::DiskStall, 200),
        (FaultKind::DiskSlow, 2_000),
        (FaultKind::DiskTornSector, 500_000),
        (FaultKind::DiskLostSectors, 800_000),
        (FaultKind::DiskLostLength, 500_000),
        (FaultKind::DiskLostName, 500_000),
        (FaultKind::DiskCacheDropped, 500_000),
        (FaultKind::NetTail, 10_000),
        (FaultKind::NetReset, 2_000),
        (FaultKind::NetRefused, 50_000),
        (FaultKind::NetAcceptStall, 50_000),
        (FaultKind::NetSplit, 200_000),
        (FaultKind::NetShortRead, 200_000),
        (FaultKind::NetSmallWindow, 200_000),
        (FaultKind::NetHalfOpen, 200_000),
        (FaultKind::NetCut, 20_000),
        (FaultKind::NodeKill, 40_000),
        (FaultKind::NodeKillInRecovery, 300_000),
        (FaultKind::NodePowerCut, 40_000),
        (FaultKind::NodePause, 10_000),
        (FaultKind::NodeStarve, 200_000),
        (FaultKind::ClockOffset, 200_000),
        (FaultKind::ClockDrift, 300_000),
        (FaultKind::ClockStep, 20_000),
        (FaultKind::ClockFreeze, 10_000),
    ],
};

/// Every profile.
pub const PROFILES: &[Profile] = &[SMOKE, STORAGE];

/// What a run has to say beside its verdict.
#[derive(Clone, Debug, Default)]
pub struct Account {
    /// Operations and observations judged.
    pub judged: u64,
    pub tally: Tally,
}

impl Profile {
    /// The profile of this name.
    pub fn find(name: &str) -> Option<&'static Profile> {
        PROFILES.iter().find(|profile| profile.name == name)
    }

    /// Runs one seed.
    pub fn run(&'static self, seed: u64, recording: Recording) -> Outcome<Account> {
        let mut simulation = Simulation::new(self.name, seed).with_recording(recording);
        simulation.limits = Limits { time_max: 3_600 * 1_000_000_000, ..Limits::default() };
        simulation.run(move |world| live(world, self))
    }
}

/// A whole run.
async fn live(world: World, profile: &'static Profile) -> Account {
    let rates = Rates::draw(world.decisions(), profile.menu);
    let partitions = world.decisions().between(world.decisions().stream("profile/partitions"), 1, 4) as i32;
    let broker = Broker::new(&world, NodeOptions::named("broker"), partitions);
    let stage = Stage::new(&world, broker.address(), draw_topics(&world, partitions));
    observe(&world, &broker, &stage);
    broker.supervise(&stage);
    broker.until_serving(PATIENCE).await;
    let clients = Clients::start(&world, &stage, profile);

    let chaos_ms = world.decisions().between(world.decisions().stream("profile/length"), profile.chaos_ms.0, profile.chaos_ms.1);
    world.sleep(Duration::from_millis(chaos_ms / 4)).await;
    world.faults().set_rates(rates);
    chaos::rage(&world, &broker, &clients.nodes, Duration::from_millis(chaos_ms)).await;
    chaos::heal(&world, &broker, &clients.nodes);

    if progress(&world, &broker, &stage).await {
        account(&world, &broker, &stage).await;
    }
    stage.conclude();
    Account { judged: stage.judged(), tally: stage.tally.borrow().clone() }
}

/// Looks at the broker after every so many steps of the world.
fn observe(world: &World, broker: &Rc<Broker>, stage: &Rc<Stage>) {
    const STEPS: u32 = 64;
    let (broker, stage, steps) = (broker.clone(), stage.clone(), Cell::new(0));
    world.observe(move |_| {
        steps.set((steps.get() + 1) % STEPS);
        if steps.get() == 0 {
            broker.expose(&stage);
        }
    });
}

/// Topics are made on first use, so all have the broker's default number of partitions.
fn draw_topics(world: &World, partitions: i32) -> Vec<Topic> {
    let decisions = world.decisions();
    let stream = decisions.stream("profile/topics");
    (0..1 + decisions.below(stream, 3))
        .map(|number| Topic {
            name: format!("topic-{number}"),
            partitions,
            retained: false,
        })
        .collect()
}

/// The clients' nodes.
struct Clients {
    nodes: Vec<NodeId>,
}

impl Clients {
    fn start(world: &World, stage: &Rc<Stage>, profile: &Profile) -> Clients {
        let mut nodes = Vec::new();
        let mut add = |kind: &str| {
            let node = world.add_node(NodeOptions::named(format!("{kind}-{}", nodes.len())));
            nodes.push(node);
            (node, node.0)
        };
        for _ in 0..profile.producers {
            let ((node, id), stage) = (add("producer"), stage.clone());
            world.start(node, move |env| producer::run(env, stage, id));
        }
        for _ in 0..profile.readers {
            let ((node, id), stage) = (add("reader"), stage.clone());
            world.start(node, move |env| reader::run(env, stage, id));
        }
        for _ in 0..profile.committers {
            let ((node, id), stage) = (add("committer"), stage.clone());
            world.start(node, move |env| commits::run(env, stage, id));
        }
        for _ in 0..profile.members {
            let ((node, id), stage) = (add("member"), stage.clone());
            world.start(node, move |env| group::run(env, stage, id));
        }
        Clients { nodes }
    }
}

/// What a healed cluster owes: it serves, every partition takes records, and whoever waits gets an answer.
async fn progress(world: &World, broker: &Rc<Broker>, stage: &Rc<Stage>) -> bool {
    if !broker.until_serving(PATIENCE).await {
        let why = broker.refusal().unwrap_or_else(|| "it is still starting".to_owned());
        world.fail("RECOVERY-RAN", format!("the healed broker does not come back: {why}"));
        return false;
    }
    let prober = world.add_node(NodeOptions::named("prober"));
    let id = prober.0;
    let probed = on_node(world, prober, stage, move |env, stage| producer::probe(env, stage, id, PATIENCE)).await;
    if let Some((partition, why)) = probed.first() {
        world.fail("LIVE-PRODUCE", format!("{partition} takes no record {PATIENCE:?} after the healing: {why}"));
        return false;
    }
    stage.phase.set(Phase::Drain);
    if !until(world, || stage.unsettled.get() == 0).await {
        world.fail("LIVE-ACK", format!("{} records have no fate {PATIENCE:?} after the healing", stage.unsettled.get()));
        return false;
    }
    stage.phase.set(Phase::Quiet);
    if !until(world, || stage.busy.get() == 0).await {
        world.fail("LIVE-CONSUME", format!("{} clients do not end {PATIENCE:?} after the healing", stage.busy.get()));
        return false;
    }
    true
}

/// Everything read back, three times: at once, after a kill, and after a clean stop.
async fn account(world: &World, broker: &Rc<Broker>, stage: &Rc<Stage>) {
    let reader = world.add_node(NodeOptions::named("accountant"));
    for round in 0..3 {
        let refused = on_node(world, reader, stage, move |env, stage| read_back::run(env, stage, round, PATIENCE)).await;
        if let Some((partition, why)) = refused.first() {
            world.fail("LIVE-CONSUME", format!("{partition} cannot be read back in round {round}: {why}"));
            return;
        }
        idle(world, broker, stage).await;
        match round {
            0 => broker.strike(crate::node::Death::Kill),
            1 => {
                if !broker.stop(PATIENCE).await {
                    world.fail("LIVE-STOP", format!("the broker does not stop cleanly within {PATIENCE:?}"));
                    return;
                }
                verify(world, broker).await;
                broker.go_on();
            }
            _ => return,
        }
        world.sleep(Duration::from_millis(1)).await;
        if !broker.until_serving(PATIENCE).await {
            let why = broker.refusal().unwrap_or_else(|| "it is still starting".to_owned());
            world.fail("RECOVERY-RAN", format!("the broker does not come back after round {round}: {why}"));
            return;
        }
    }
}

/// Nobody asks anything any more: all reservations must have returned.
async fn idle(world: &World, broker: &Broker, stage: &Stage) {
    world.sleep(Duration::from_secs(2)).await;
    if let Some(bytes) = broker.with_serving(|node| node.reserved_bytes()) {
        stage.tell(Event::IdleReservations { node: broker.node.number(), bytes });
    }
}

/// Verifies the stopped broker's directory as `taffrail log verify` does.
async fn verify(world: &World, broker: &Rc<Broker>) {
    let (verdict, data) = (Rc::new(Cell::new(None)), broker.data());
    let slot = verdict.clone();
    world.start(broker.node, move |env| async move {
        let complaints = match taffrail_storage::offline::verify(&env, &data).await {
            Ok(report) => report.complaints(),
            Err(error) => vec![error.to_string()],
        };
        slot.set(Some(complaints));
    });
    world.exited(broker.node).await;
    match verdict.take() {
        Some(complaints) if complaints.is_empty() => {}
        Some(complaints) => world.fail("CHECKPOINT-ATOMIC", format!("after a clean stop the directory does not verify: {}", complaints[0])),
        None => world.fail("CHECKPOINT-ATOMIC", "verifying the directory ended without a verdict"),
    }
}

/// Runs a client's errand on a node of its own, and answers what it brought.
async fn on_node<T, F>(world: &World, node: NodeId, stage: &Rc<Stage>, errand: impl FnOnce(crate::env::SimEnv, Rc<Stage>) -> F + 'static) -> T
where
    T: Default + 'static,
    F: Future<Output = T> + 'static,
{
    let result = Rc::new(Cell::new(T::default()));
    let (slot, stage) = (result.clone(), stage.clone());
    world.start(node, move |env| async move {
        slot.set(errand(env, stage).await);
    });
    world.exited(node).await;
    result.take()
}

async fn until(world: &World, condition: impl Fn() -> bool) -> bool {
    let end = world.elapsed() + PATIENCE;
    while !condition() {
        if world.elapsed() >= end {
            return false;
        }
        world.sleep(Duration::from_millis(20)).await;
    }
    true
}
>>>>>>> c23cbbe (Give one broker a life in the simulator, from warm-up to a full account)
