//! One broker's promises: the profiles `smoke` and `storage`.
//!
//! A run warms up, suffers, heals and gives an account of itself. Safety is judged at every event. First the broker and a few
//! clients are healed, and owe progress while the other clients are as broken as they were; then everything is. After that every partition is read back, the broker is killed and the same is read
//! again; then the power is cut, and read again; then it is stopped cleanly, its directory is verified offline, and
//! everything is read once more. Every third run then wounds the stopped directory in one place; of the others every third lets the
//! disk fail under the running broker, which goes on answering.

mod account;
mod failing;
mod trial;

use crate::atlas::Law;
use crate::chaos::Chaos;
use crate::cluster::Broker;
use crate::env::SimEnv;
use crate::fault::{FaultKind, Rates};
use crate::history::{ClientId, Event};
use crate::node::{NodeId, NodeOptions};
use crate::run::{Limits, Outcome, Simulation};
use crate::witness;
use crate::workload::{
    Stage, Topic, commits, group, operator, pipeliner, producer, reader, revenant, scanner,
    session, stranger, truant, turnover, zombie,
};
use crate::world::{LocalFuture, World};
use account::LastAct;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

/// Without a fault, until so much was achieved or so long.
const WARM_ADVANCES: u64 = 3;
const WARM_MAX: Duration = Duration::from_secs(20);

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
    sessions: u64,
    turnovers: u64,
    revenants: u64,
    truants: u64,
    operators: u64,
    /// The disk may damage what was synced.
    wounds: bool,
    /// What can be asked of a healed broker is asked often and in every way.
    thorough: bool,
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
pub(super) const STORAGE_MENU: &[(FaultKind, u32)] = &[
    (FaultKind::DiskBitRot, 30_000),
    (FaultKind::DiskLatentSector, 10_000),
    (FaultKind::DiskLostWrite, 50_000),
    (FaultKind::DiskMisdirectedWrite, 30_000),
    (FaultKind::DiskSyncFailed, 300),
    (FaultKind::DiskReadError, 3_000),
    (FaultKind::DiskWriteError, 300),
    (FaultKind::DiskMetadataError, 1_000),
    (FaultKind::DiskReadFlip, 3_000),
    (FaultKind::DiskStaleRead, 3_000),
    (FaultKind::DiskMisdirectedRead, 3_000),
    (FaultKind::DiskReadOnly, 3_000),
    (FaultKind::DiskReplaced, 50_000),
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
    (FaultKind::NodePowerCutAll, 5_000),
    (FaultKind::NodePause, 10_000),
    (FaultKind::NodeStarve, 200_000),
    (FaultKind::ClientKill, 10_000),
    (FaultKind::ClientPause, 2_000),
    (FaultKind::ClientCut, 5_000),
    (FaultKind::CodePoint, 50_000),
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
        sessions: 0,
        turnovers: 0,
        revenants: 0,
        truants: 0,
        operators: 0,
        wounds: false,
        thorough: false,
    };
    run(simulation.with_menu(SMOKE_MENU), size)
}

/// One broker under everything that a disk, a network, a process and a clock can do.
pub(super) fn storage(simulation: Simulation) -> Outcome<()> {
    let size = Size {
        advances: (15, 80),
        chaos_max: Duration::from_secs(120),
        producers: 3,
        readers: 2,
        committers: 1,
        members: 2,
        pipeliners: 1,
        strangers: 1,
        zombies: 1,
        scanners: 1,
        sessions: 1,
        turnovers: 1,
        revenants: 1,
        truants: 1,
        operators: 1,
        wounds: true,
        thorough: true,
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
    // Hardly ever fewer: but a run that fails can be told with fewer.
    let brief = decisions.chance(decisions.stream("profile/brief"), 10_000);
    let advances = match brief {
        true => decisions.between(length, 1, size.advances.0),
        false => decisions.between(length, size.advances.0, size.advances.1),
    };
    let options = NodeOptions::named("broker");
    let broker = Broker::new(&world, options, partitions, draw_law(&world, size));
    let atlas = broker.atlas().clone();
    let topics = draw_topics(&world, partitions);
    let stage = Stage::new(&world, broker.address(), topics, atlas.clone());
    stage.begin_logs_at(broker.first_offset());
    witness::watch(&world, broker.node, &stage);
    let (starter, told) = (broker.clone(), stage.clone());
    let chaos = Chaos::begin(&world, &[broker.node], move |_, _| starter.start(&told));
    let core = start_clients(&chaos, &stage, size);
    warm_up(&world, &broker).await;

    world.spawn_harness(atlas.clone().rot());
    if atlas.law == Law::Lawless {
        let node = broker.node.number();
        stage.tell(Event::LossAllowed { node });
    }
    let healed = Rc::new(Cell::new(false));
    let over = healed.clone();
    world.spawn_harness(broker.clone().restart_at_times(move || over.get()));
    world.phase("chaos");
    chaos
        .rage_while(|| {
            let gives_up =
                atlas.law == Law::Lawless && broker.refused_in_row() >= account::REFUSALS;
            broker.advances() < advances && world.elapsed() < size.chaos_max && !gives_up
        })
        .await;
    healed.set(true);
    atlas.close();
    if atlas.law != Law::Lawless {
        world.phase("core healed");
        account::core_progress(&world, &chaos, &broker, &stage, &core).await;
    }
    chaos.heal();
    world.phase("healed");
    if atlas.law == Law::Lawless {
        account::account_without_law(&world, &broker, &stage).await;
    } else if account::progress(&world, &broker, &stage, size.thorough).await {
        world.phase("account");
        account::account(&world, &broker, &stage, draw_last_act(&world, size)).await;
    }
    stage.conclude();
}

/// Three runs of four begin with a while in which nothing happens but work; the first start of the others may be broken at once.
async fn warm_up(world: &World, broker: &Broker) {
    let decisions = world.decisions();
    if decisions.below(decisions.stream("profile/cold"), 4) == 0 {
        return;
    }
    world.phase("warm-up");
    let rates = world.faults().rates();
    world.faults().set_rates(Rates::none());
    while broker.advances() < WARM_ADVANCES && world.elapsed() < WARM_MAX {
        world.sleep(Duration::from_millis(20)).await;
    }
    world.faults().set_rates(rates);
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

/// Where there is time for one.
fn draw_last_act(world: &World, size: Size) -> LastAct {
    let decisions = world.decisions();
    let one_in_three = |name| decisions.below(decisions.stream(name), 3) == 0;
    match size.wounds {
        true if one_in_three("profile/wounds") => LastAct::Wound,
        true if one_in_three("profile/failing") => LastAct::FailingDisk,
        _ => LastAct::None,
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

/// Between the numbers of a client's lives. What a client knows of itself dies with it.
const LIFE: ClientId = 256;

/// What a client is, by its kind's name.
type Main = fn(SimEnv, Rc<Stage>, ClientId) -> LocalFuture<()>;

/// All kinds of clients, and how many there are of each.
fn kinds(size: Size) -> [(&'static str, u64, Main); 13] {
    [
        ("producer", size.producers, |e, s, id| {
            Box::pin(producer::run(e, s, id))
        }),
        ("reader", size.readers, |e, s, id| {
            Box::pin(reader::run(e, s, id))
        }),
        ("committer", size.committers, |e, s, id| {
            Box::pin(commits::run(e, s, id))
        }),
        ("turnover", size.turnovers, |e, s, id| {
            Box::pin(turnover::run(e, s, id))
        }),
        ("revenant", size.revenants, |e, s, id| {
            Box::pin(revenant::run(e, s, id))
        }),
        ("member", size.members, |e, s, id| {
            Box::pin(group::run(e, s, id))
        }),
        ("pipeliner", size.pipeliners, |e, s, id| {
            Box::pin(pipeliner::run(e, s, id))
        }),
        ("stranger", size.strangers, |e, s, id| {
            Box::pin(stranger::run(e, s, id))
        }),
        ("scanner", size.scanners, |e, s, id| {
            Box::pin(scanner::run(e, s, id))
        }),
        ("session", size.sessions, |e, s, id| {
            Box::pin(session::run(e, s, id))
        }),
        ("zombie", size.zombies, |e, s, id| {
            Box::pin(zombie::run(e, s, id))
        }),
        ("truant", size.truants, |e, s, id| {
            Box::pin(truant::run(e, s, id))
        }),
        ("operator", size.operators, |e, s, id| {
            Box::pin(operator::run(e, s, id))
        }),
    ]
}

/// Starts all clients, and answers those that are healed first.
fn start_clients(chaos: &Chaos, stage: &Rc<Stage>, size: Size) -> Vec<NodeId> {
    let decisions = stage.world.decisions();
    let mut core = Vec::new();
    for (kind, count, main) in kinds(size) {
        // A few runs do without one kind; and a run that fails without it is told more shortly.
        let stream = decisions.stream(&format!("profile/without/{kind}"));
        let count = match count > 0 && kind != "producer" && decisions.chance(stream, 30_000) {
            true => 0,
            false => count,
        };
        if kind == "member" {
            stage.has_members.set(count > 0);
        }
        for number in 0..count {
            let node = stage
                .world
                .add_node(NodeOptions::named(format!("{kind}-{number}")));
            if number == 0 && ["producer", "reader", "committer"].contains(&kind) {
                core.push(node);
            }
            // What these have begun, nobody else could go on with.
            if ["turnover", "revenant", "zombie", "truant", "operator"].contains(&kind) {
                stage.world.faults().never(node, FaultKind::ClientKill);
            }
            let stage = stage.clone();
            chaos.add_client(node, move |world, node| {
                let (stage, life) = (stage.clone(), world.incarnation(node));
                world.start(node, move |env| main(env, stage, node.0 + LIFE * life));
            });
        }
    }
    core
}

#[cfg(test)]
mod tests;
