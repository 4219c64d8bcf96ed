//! What a healed broker owes: progress, and an account of everything that it was given.

use super::{PATIENCE, failing, trial};
use crate::atlas::{Law, Part, Place, batches};
use crate::chaos::Chaos;
use crate::cluster::Broker;
use crate::env::SimEnv;
use crate::history::{ClientId, Event, Owed};
use crate::node::{NodeId, NodeOptions};
use crate::workload::turnover::Kept;
use crate::workload::{
    Phase, Stage, commits, group, producer, prompt, read_back, session, turnover,
};
use crate::world::World;
use std::cell::Cell;
use std::future::Future;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

/// A broker that refused to start so often will not start.
pub(super) const REFUSALS: u32 = 5;

/// What a healed core owes while everybody else goes on suffering: it serves, and every partition takes records.
pub(super) async fn core_progress(
    world: &World,
    chaos: &Chaos,
    broker: &Rc<Broker>,
    stage: &Rc<Stage>,
    core: &[NodeId],
) {
    chaos.heal_core(core);
    let done = Rc::new(Cell::new(false));
    let over = done.clone();
    let harassed = chaos.clone();
    world.spawn_harness(async move { harassed.harass_while(|| !over.get()).await });
    serves_and_takes(world, broker, stage, "core").await;
    done.set(true);
}

/// What a healed cluster owes: it serves, every partition takes records, and whoever waits gets an answer.
pub(super) async fn progress(
    world: &World,
    broker: &Rc<Broker>,
    stage: &Rc<Stage>,
    thorough: bool,
) -> bool {
    if !serves_and_takes(world, broker, stage, "prober").await {
        return false;
    }
    let sound = broker.atlas().law == Law::Sound;
    if !groups_load(world, broker, stage).await {
        return false;
    }
    // Members that all claim to be the same one take turns for ever, and nobody shares out anew for them (KAFKA-13435).
    let gather = sound && stage.has_members.get() && stage.twins != 0;
    if gather && !members_keep_up(world, broker, stage).await {
        return false;
    }
    stage.phase.set(Phase::Drain);
    let settled = until(world, || stage.unsettled.get() == 0).await;
    let fates = settled.ok_or_else(|| format!("{} records have no fate", stage.unsettled.get()));
    if !stage.tell_wait(Owed::Fates, "the producers", fates, PATIENCE) {
        return false;
    }
    stage.phase.set(Phase::Quiet);
    let ended = until(world, || stage.busy.get() == 0).await;
    let rest = ended.ok_or_else(|| format!("{} clients do not end", stage.busy.get()));
    if !stage.tell_wait(Owed::Rest, "everybody", rest, PATIENCE) {
        return false;
    }
    if sound && !keeps_to_policy(world, broker, stage).await {
        return false;
    }
    if sound && !tells_at_once(world, stage, thorough).await {
        return false;
    }
    if sound && thorough && !tells_all(world, stage).await {
        return false;
    }
    groups_go_on(world, stage).await
}

/// Whether all coordinators come to serve.
async fn groups_load(world: &World, broker: &Broker, stage: &Stage) -> bool {
    let loaded = until(world, || broker.groups_loading() == Some(0)).await;
    let loading = || format!("{:?} partitions are being read", broker.groups_loading());
    let loaded = loaded.ok_or_else(loading);
    stage.tell_wait(Owed::Loaded, "the coordinators", loaded, PATIENCE)
}

/// Retention takes what is too much of the turnover's topic, while nobody writes to it any more. The segment that is being filled never
/// goes, nor does the last one before that while the next is in none of the files; and the oldest goes only if enough is left. One more
/// segment is for whatever lies between two looks. Age takes them all, if the clock that tells it can be believed.
async fn keeps_to_policy(world: &World, broker: &Broker, stage: &Stage) -> bool {
    let resident = stage.resident.borrow().clone();
    let Some((resident, kept)) = resident.and_then(|it| Some((it.identity, it.kept?))) else {
        return true;
    };
    let bound = match kept {
        Kept::Bytes(bytes) => bytes + 3 * turnover::SEGMENT_BYTES as u64,
        Kept::Nothing if broker.has_steady_clock() => 0,
        Kept::Nothing => return true,
    };
    let size = || broker.size_of(resident);
    let begun = world.elapsed();
    let kept_to = until(world, || size().is_some_and(|size| size <= bound)).await;
    stage.tell(Event::Retained {
        partition: resident,
        bytes: size(),
        bytes_max: bound,
        waited: world.elapsed() - begun,
    });
    stage.count(match kept {
        Kept::Bytes(_) => "retained-by-size",
        Kept::Nothing => "retained-by-age",
    });
    kept_to.is_some()
}

/// The members' group reads all that is there now, and all of them belong to one generation, whoever was fenced, died or left
/// before.
async fn members_keep_up(world: &World, broker: &Broker, stage: &Stage) -> bool {
    let ends = broker.ends(stage);
    stage.steady.set(true);
    let decisions = world.decisions();
    if decisions.below(decisions.stream("profile/lapse"), 2) == 0 {
        let lapse = stage.session + Duration::from_secs(2);
        cut_off_members(world, broker, lapse).await;
    }
    let reached = |partition| {
        let reach = stage.group_reach.borrow();
        let first = stage.first_offset.get();
        reach.get(partition).copied().unwrap_or(first)
    };
    let keeps_up = || {
        let mut all = ends.iter();
        all.all(|(partition, end)| reached(partition) >= *end)
    };
    let settled = until(world, || keeps_up() && is_one_generation(stage)).await;
    let reach = ends.iter();
    stage.tell(Event::GroupSettled {
        generations: generations(stage),
        reach: reach
            .map(|(partition, end)| (*partition, reached(partition), *end))
            .collect(),
        waited: settled.unwrap_or(PATIENCE),
    });
    if settled.is_some() && decisions.below(decisions.stream("profile/idle-group"), 4) == 0 {
        leave_members_alone(world, stage).await;
    }
    settled.is_some()
}

/// What the members believe in.
fn generations(stage: &Stage) -> Vec<(ClientId, i32)> {
    let generations = stage.generations.borrow();
    generations.iter().map(|(id, held)| (*id, *held)).collect()
}

fn is_one_generation(stage: &Stage) -> bool {
    let generations = stage.generations.borrow();
    let first = generations.values().next();
    generations.values().all(|other| Some(other) == first)
}

/// Whoever disturbed the group goes, and is forgotten by and by; after that it stays as it is, although its members have nothing to say but
/// that they are there.
async fn leave_members_alone(world: &World, stage: &Stage) {
    // As long as a rebalance waits for whoever does not come, and longer than anybody may be silent.
    let lasted = 2 * stage.session + Duration::from_secs(10);
    let until = world.elapsed() + PATIENCE;
    loop {
        let before = generations(stage);
        world.sleep(lasted).await;
        if before == generations(stage) || world.elapsed() >= until {
            break;
        }
    }
    let before = generations(stage);
    world.sleep(lasted).await;
    stage.count("group-left-alone");
    stage.tell(Event::GroupIdle {
        before,
        after: generations(stage),
        lasted,
    });
}

/// Keeps some members from being heard for so long. They go on as if nothing were, until they are told what the group made of it.
async fn cut_off_members(world: &World, broker: &Broker, lapse: Duration) {
    let decisions = world.decisions();
    let choice = decisions.stream("profile/lapse/members");
    let members: Vec<NodeId> = world
        .nodes()
        .into_iter()
        .filter(|node| world.name(*node).starts_with("member-"))
        .filter(|_| decisions.below(choice, 2) == 0)
        .collect();
    let set_links = |cut: bool| {
        for member in &members {
            world.set_link(*member, broker.node, cut);
            world.set_link(broker.node, *member, cut);
        }
    };
    set_links(true);
    world.sleep(lapse).await;
    set_links(false);
}

/// Whether a fetch session brings everything there is, and gives every partition its turn.
async fn tells_all(world: &World, stage: &Rc<Stage>) -> bool {
    let node = world.add_node(NodeOptions::named("session-keeper"));
    let id = node.0;
    let errand = move |env, stage| session::catch_up(env, stage, id, PATIENCE);
    let begun = world.elapsed();
    let left = on_node(world, node, stage, errand).await;
    if !stage.tell_waits(Owed::CatchUp, left, begun, PATIENCE) {
        return false;
    }
    let errand = move |env, stage| session::take_turns(env, stage, id, PATIENCE);
    let begun = world.elapsed();
    let starved = on_node(world, node, stage, errand).await;
    stage.tell_waits(Owed::Turn, starved, begun, PATIENCE)
}

/// Whether readers who wait get what comes. Damage may be in their way.
async fn tells_at_once(world: &World, stage: &Rc<Stage>, thorough: bool) -> bool {
    // The record comes a little before or after the reader.
    let times = if thorough { 3 } else { 1 };
    let node = world.add_node(NodeOptions::named("waiter"));
    let id = node.0;
    let errand = move |env, stage| prompt::run(env, stage, id, times, PATIENCE);
    !on_node(world, node, stage, errand).await
}

/// Whether the broker comes back, and takes a record into each partition. A node of this name asks.
async fn serves_and_takes(
    world: &World,
    broker: &Rc<Broker>,
    stage: &Rc<Stage>,
    name: &str,
) -> bool {
    if !broker
        .comes_back(stage, "after the healing", PATIENCE)
        .await
    {
        return false;
    }
    let prober = world.add_node(NodeOptions::named(name));
    let id = prober.0;
    let begun = world.elapsed();
    let probed = on_node(world, prober, stage, move |env, stage| {
        producer::probe(env, stage, id, PATIENCE)
    })
    .await;
    stage.tell_waits(Owed::Intake, probed, begun, PATIENCE)
}

/// The members are gone; whoever joins after them is given all that they had, and everybody is told what was committed.
async fn groups_go_on(world: &World, stage: &Rc<Stage>) -> bool {
    let heir = world.add_node(NodeOptions::named("heir"));
    let id = heir.0;
    let inherits = move |env, stage| group::inherit(env, stage, id, PATIENCE);
    let begun = world.elapsed();
    let missing = on_node(world, heir, stage, inherits).await;
    let inherited = missing.map_or_else(|| Ok(world.elapsed() - begun), Err);
    if !stage.tell_wait(Owed::Inheritance, "its group", inherited, PATIENCE) {
        return false;
    }
    say_what_was_committed(world, heir, stage, Owed::CommittedOffset).await
}

/// Whether everybody is told what was committed. The node asks.
pub(super) async fn say_what_was_committed(
    world: &World,
    node: NodeId,
    stage: &Rc<Stage>,
    owed: Owed,
) -> bool {
    let asks = move |env, stage| commits::ask_all(env, stage, PATIENCE);
    let answers = on_node(world, node, stage, asks).await;
    tell_answers(stage, answers, owed, PATIENCE)
}

/// Tells how long each question for what was committed waited for its answer. Whether all came.
pub(super) fn tell_answers(
    stage: &Stage,
    answers: Vec<commits::Answered>,
    owed: Owed,
    patience: Duration,
) -> bool {
    let mut all = true;
    for (partition, came) in answers {
        all &= stage.tell_wait(owed, partition.to_string(), came, patience);
    }
    all
}

/// How an account ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LastAct {
    None,
    /// See [`trial`].
    Wound,
    /// See [`failing`].
    FailingDisk,
}

/// Everything read back: at once, after a kill, after a power cut, and after a clean stop. Then, in some runs, the
/// directory is wounded, and read back with and without the wound; in some others the disk fails, and everything is read back when it has been
/// replaced by one that does not.
pub(super) async fn account(world: &World, broker: &Rc<Broker>, stage: &Rc<Stage>, last: LastAct) {
    const ROUNDS: u32 = 4;
    let reader = world.add_node(NodeOptions::named("accountant"));
    for round in 0..ROUNDS {
        if !read_everything(world, reader, stage, round).await {
            return;
        }
        broker.tell_idle(stage).await;
        // A start has looked through what groups have stored.
        if broker.atlas().law == Law::Sound && round > 0 {
            tell_remains(world, broker, stage).await;
        }
        if broker.atlas().law == Law::Sound {
            tell_segments(world, broker, stage);
        }
        match (round, last) {
            (0, _) => broker.kill(),
            (1, _) => broker.power_cut(),
            (2, _) => {
                if !broker.stop_and_verify(stage, PATIENCE).await {
                    return;
                }
            }
            (round, LastAct::Wound) => {
                return trial::run(world, broker, stage, reader, round + 1).await;
            }
            (round, LastAct::FailingDisk) => {
                return failing::run(world, broker, stage, reader, round + 1).await;
            }
            (_, LastAct::None) => return,
        }
        let after = format!("after round {round}");
        if !broker.comes_back(stage, &after, PATIENCE).await {
            return;
        }
    }
}

/// Tells what lies in the segments of topics that have the broker's settings.
fn tell_segments(world: &World, broker: &Broker, stage: &Stage) {
    let disk = world.disk(broker.node);
    for path in disk.files() {
        let Place::Log {
            partition,
            base,
            part: Part::Segment,
        } = Place::of(broker.data(), Path::new(&path))
        else {
            continue;
        };
        if !stage.is_plain(partition.topic) {
            continue;
        }
        let bytes = disk.read(&path).unwrap_or_default();
        let found = batches(&bytes);
        stage.tell(Event::SegmentSeen {
            partition,
            base,
            batches: found.len(),
            bytes: found.iter().map(|(_, length, ..)| *length as u64).sum(),
            bytes_max: broker.segment_bytes(),
        });
    }
}

/// Whether all of it could be read.
pub(super) async fn read_everything(
    world: &World,
    reader: NodeId,
    stage: &Rc<Stage>,
    round: u32,
) -> bool {
    let errand = move |env, stage| read_back::run(env, stage, round, PATIENCE);
    let begun = world.elapsed();
    let refused = on_node(world, reader, stage, errand).await;
    stage.tell_waits(Owed::ReadBack { round }, refused, begun, PATIENCE)
}

/// Nothing is owed by a broker whose disk knew no law, but that it serves nothing false, or says why it does not serve.
pub(super) async fn account_without_law(world: &World, broker: &Rc<Broker>, stage: &Rc<Stage>) {
    const ROUNDS: u32 = 2;
    let reader = world.add_node(NodeOptions::named("accountant"));
    stage.phase.set(Phase::Quiet);
    for round in 0..ROUNDS {
        let begun = world.elapsed();
        while !broker.is_serving() {
            if broker.refused_in_row() >= REFUSALS {
                // It says why: a refusal has a text.
                return stage.count("halted");
            }
            if world.elapsed() >= begun + PATIENCE {
                return tell_silence(stage);
            }
            world.sleep(Duration::from_millis(5)).await;
        }
        let errand = move |env, stage| read_back::run(env, stage, round, Duration::from_secs(20));
        on_node(world, reader, stage, errand).await;
        broker.kill();
    }
}

/// The broker has not come to an end of starting.
pub(super) fn tell_silence(stage: &Stage) {
    let instead = "neither serves nor says why it does not".to_owned();
    stage.tell_wait(Owed::Word, "the broker", Err(instead), PATIENCE);
}

/// Runs a client's errand on a node of its own, and answers what it brought.
pub(super) async fn on_node<T, F>(
    world: &World,
    node: NodeId,
    stage: &Rc<Stage>,
    errand: impl FnOnce(SimEnv, Rc<Stage>) -> F + 'static,
) -> T
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

/// How long it took until this held, if it did in time.
async fn until(world: &World, condition: impl Fn() -> bool) -> Option<Duration> {
    let begun = world.elapsed();
    while !condition() {
        if world.elapsed() >= begun + PATIENCE {
            return None;
        }
        world.sleep(Duration::from_millis(20)).await;
    }
    Some(world.elapsed() - begun)
}

/// Topics that are there have logs. Those that are gone are gone everywhere: in the metadata, which waits for their data to be removed, and in
/// what groups have stored.
async fn tell_remains(world: &World, broker: &Broker, stage: &Stage) {
    const PATIENCE_WITH_DISKS: Duration = Duration::from_secs(30);
    const LOOK: Duration = Duration::from_millis(100);
    let begun = world.elapsed();
    let remains = || broker.remains().unwrap_or_default();
    let missing = || broker.partitions_missing().unwrap_or_default();
    while (remains(), missing()) != ((0, 0), 0) && world.elapsed() < begun + PATIENCE_WITH_DISKS {
        world.sleep(LOOK).await;
    }
    if missing() > 0 {
        let instead = Err(format!("{} partitions have no log", missing()));
        stage.tell_wait(Owed::Intake, "the topics", instead, PATIENCE_WITH_DISKS);
    }
    let node = broker.node.number();
    let (topics, offsets) = remains();
    for (what, held) in [
        ("topics that are deleted", topics),
        (
            "topics that are gone, by what groups committed of them",
            offsets,
        ),
    ] {
        stage.tell(Event::IdleReservations { node, what, held });
    }
}
