//! One broker's promises: the profiles `smoke` and `storage`.
//!
//! A run warms up, suffers, heals and gives an account of itself. Safety is judged at every event. After the healing the
//! cluster owes progress within a bounded time; then every partition is read back, the broker is killed and the same is read
//! again; then the power is cut, and read again; then it is stopped cleanly, its directory is verified offline, and
//! everything is read once more. Every third run then wounds the stopped directory in one place.

mod account;
mod trial;

use crate::atlas::Law;
use crate::chaos::Chaos;
use crate::cluster::Broker;
use crate::fault::FaultKind;
use crate::history::Event;
use crate::node::NodeOptions;
use crate::run::{Limits, Outcome, Simulation};
use crate::witness;
use crate::workload::{
    Stage, Topic, commits, group, pipeliner, producer, reader, revenant, scanner, stranger,
    turnover, zombie,
};
use crate::world::World;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

/// How long a healed cluster may take for anything it owes.
const PATIENCE: Duration = Duration::from_secs(180);

/// How much of everything.
#[derive(Clone, Copy, Debug)]
struct Size {
    /// Faults end when so much was achieved in spite of them, drawn between these; see [`Broker::advances`].
    advances: (u64, u64),
    /// Or after this time, however little that was.
    chaos_max: Duration,
    producers: u64,
    readers: u64,
    committers: u64,
    members: u64,
    pipeliners: u64,
    strangers: u64,
    zombies: u64,
    scanners: u64,
    turnovers: u64,
    revenants: u64,
    /// The disk may damage what was synced.
    wounds: bool,
}

/// A few faults that every build can afford.
const SMOKE_MENU: &[(FaultKind, u32)] = &[
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
];

/// Everything. What damages synced data does so where the run's law allows it.
const STORAGE_MENU: &[(FaultKind, u32)] = &[
    (FaultKind::DiskBitRot, 30_000),
    (FaultKind::DiskLatentSector, 10_000),
    (FaultKind::DiskLostWrite, 50_000),
    (FaultKind::DiskMisdirectedWrite, 30_000),
    (FaultKind::DiskSyncFailed, 300),
    (FaultKind::DiskReadError, 3_000),
    (FaultKind::DiskWriteError, 300),
    (FaultKind::DiskMetadataError, 1_000),
    (FaultKind::DiskNoSpace, 5_000),
    (FaultKind::DiskShortRead, 200_000),
    (FaultKind::DiskStall, 200),
    (FaultKind::DiskSlow, 30_000),
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
];

/// Seconds of everything, for every build.
pub(super) fn smoke(simulation: Simulation) -> Outcome<()> {
    let size = Size {
        advances: (10, 40),
        chaos_max: Duration::from_secs(2),
        producers: 1,
        readers: 1,
        committers: 1,
        members: 0,
        pipeliners: 0,
        strangers: 0,
        zombies: 0,
        scanners: 0,
        turnovers: 0,
        revenants: 0,
        wounds: false,
    };
    run(simulation.with_menu(SMOKE_MENU), size)
}

/// One broker under everything that a disk, a network, a process and a clock can do.
pub(super) fn storage(simulation: Simulation) -> Outcome<()> {
    let size = Size {
        advances: (30, 150),
        chaos_max: Duration::from_secs(120),
        producers: 3,
        readers: 2,
        committers: 1,
        members: 2,
        pipeliners: 1,
        strangers: 1,
        zombies: 1,
        scanners: 1,
        turnovers: 1,
        revenants: 1,
        wounds: true,
    };
    run(simulation.with_menu(STORAGE_MENU), size)
}

fn run(mut simulation: Simulation, size: Size) -> Outcome<()> {
    simulation.limits = Limits {
        time_max: 3_600 * 1_000_000_000,
        ..Limits::default()
    };
    simulation.run(move |world| live(world, size))
}

/// A whole run.
async fn live(world: World, size: Size) {
    let decisions = world.decisions();
    let partitions = decisions.between(decisions.stream("profile/partitions"), 1, 4) as i32;
    let length = decisions.stream("profile/length");
    let advances = decisions.between(length, size.advances.0, size.advances.1);
    let options = NodeOptions::named("broker");
    let broker = Broker::new(&world, options, partitions, draw_law(&world, size));
    let atlas = broker.atlas().clone();
    let topics = draw_topics(&world, partitions);
    let stage = Stage::new(&world, broker.address(), topics, atlas.clone());
    witness::watch(&world, broker.node, &stage);
    let (starter, told) = (broker.clone(), stage.clone());
    let chaos = Chaos::begin(&world, &[broker.node], move |_, _| starter.start(&told));
    start_clients(&world, &stage, size);

    world.spawn_harness(atlas.clone().rot());
    if atlas.law == Law::Lawless {
        let node = broker.node.number();
        stage.tell(Event::LossAllowed { node });
    }
    let healed = Rc::new(Cell::new(false));
    let over = healed.clone();
    world.spawn_harness(broker.clone().restart_at_times(move || over.get()));
    chaos
        .rage_while(|| {
            let gives_up =
                atlas.law == Law::Lawless && broker.refused_in_row() >= account::REFUSALS;
            broker.advances() < advances && world.elapsed() < size.chaos_max && !gives_up
        })
        .await;
    healed.set(true);
    chaos.heal();
    atlas.close();
    if atlas.law == Law::Lawless {
        account::account_without_law(&world, &broker, &stage).await;
    } else if account::progress(&world, &broker, &stage).await {
        let wounds = size.wounds && decisions.below(decisions.stream("profile/wounds"), 3) == 0;
        account::account(&world, &broker, &stage, wounds).await;
    }
    stage.conclude();
}

/// Half of the disks keep their word; of the others most do damage where something survives it.
fn draw_law(world: &World, size: Size) -> Law {
    if !size.wounds {
        return Law::Sound;
    }
    let decisions = world.decisions();
    match decisions.below(decisions.stream("profile/law"), 10) {
        0..=4 => Law::Sound,
        5..=8 => Law::Survivable,
        _ => Law::Lawless,
    }
}

/// Topics are made on first use, so all have the broker's default number of partitions.
fn draw_topics(world: &World, partitions: i32) -> Vec<Topic> {
    let decisions = world.decisions();
    let stream = decisions.stream("profile/topics");
    (0..1 + decisions.below(stream, 3))
        .map(|number| Topic {
            name: format!("topic-{number}"),
            partitions,
        })
        .collect()
}

fn start_clients(world: &World, stage: &Rc<Stage>, size: Size) {
    let add = |kind: &str, number: u64| {
        let node = world.add_node(NodeOptions::named(format!("{kind}-{number}")));
        (node, node.0, stage.clone())
    };
    for number in 0..size.producers {
        let (node, id, stage) = add("producer", number);
        world.start(node, move |env| producer::run(env, stage, id));
    }
    for number in 0..size.readers {
        let (node, id, stage) = add("reader", number);
        world.start(node, move |env| reader::run(env, stage, id));
    }
    for number in 0..size.committers {
        let (node, id, stage) = add("committer", number);
        world.start(node, move |env| commits::run(env, stage, id));
    }
    for number in 0..size.turnovers {
        let (node, id, stage) = add("turnover", number);
        world.start(node, move |env| turnover::run(env, stage, id));
    }
    for number in 0..size.revenants {
        let (node, id, stage) = add("revenant", number);
        world.start(node, move |env| revenant::run(env, stage, id));
    }
    for number in 0..size.members {
        let (node, id, stage) = add("member", number);
        world.start(node, move |env| group::run(env, stage, id));
    }
    for number in 0..size.pipeliners {
        let (node, id, stage) = add("pipeliner", number);
        world.start(node, move |env| pipeliner::run(env, stage, id));
    }
    for number in 0..size.strangers {
        let (node, id, stage) = add("stranger", number);
        world.start(node, move |env| stranger::run(env, stage, id));
    }
    for number in 0..size.scanners {
        let (node, id, stage) = add("scanner", number);
        world.start(node, move |env| scanner::run(env, stage, id));
    }
    for number in 0..size.zombies {
        let (node, id, stage) = add("zombie", number);
        world.start(node, move |env| zombie::run(env, stage, id));
    }
}

#[cfg(test)]
mod tests;
