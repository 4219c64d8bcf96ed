//! What a healed broker owes: progress, and an account of everything that it was given.

use super::{PATIENCE, failing, trial};
use crate::atlas::Law;
use crate::chaos::Chaos;
use crate::cluster::Broker;
use crate::env::SimEnv;
use crate::history::Event;
use crate::node::{NodeId, NodeOptions};
use crate::workload::{Phase, Stage, commits, group, producer, prompt, read_back, session};
use crate::world::World;
use std::cell::Cell;
use std::future::Future;
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
    // Members that all claim to be the same one take turns for ever, and nobody shares out anew for them (KAFKA-13435).
    let gather = sound && stage.has_members.get() && stage.twins != 0;
    if gather && !members_keep_up(world, broker, stage).await {
        return false;
    }
    stage.phase.set(Phase::Drain);
    if !until(world, || stage.unsettled.get() == 0).await {
        world.fail(
            "LIVE-ACK",
            format!(
                "{} records have no fate {PATIENCE:?} after the healing",
                stage.unsettled.get()
            ),
        );
        return false;
    }
    stage.phase.set(Phase::Quiet);
    if !until(world, || stage.busy.get() == 0).await {
        world.fail(
            "LIVE-CONSUME",
            format!(
                "{} clients do not end {PATIENCE:?} after the healing",
                stage.busy.get()
            ),
        );
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
    let is_one = || {
        let generations = stage.generations.borrow();
        let first = generations.values().next();
        generations.values().all(|other| Some(other) == first)
    };
    let lagging = || {
        let reach = stage.group_reach.borrow();
        let first = stage.first_offset.get();
        let reached = |partition| reach.get(partition).copied().unwrap_or(first);
        let mut lagging = ends
            .iter()
            .filter(|(partition, end)| reached(*partition) < **end);
        lagging
            .next()
            .map(|(partition, end)| (*partition, reached(partition), *end))
    };
    if until(world, || lagging().is_none() && is_one()).await {
        return true;
    }
    if !is_one() {
        let witness = format!(
            "the members' generations are {:?} {PATIENCE:?} after the healing",
            stage.generations.borrow()
        );
        world.fail("LIVE-REBALANCE", witness);
    }
    if let Some((partition, reached, end)) = lagging() {
        let witness = format!(
            "{partition:?} reached {end}; its group has committed {reached} {PATIENCE:?} after the healing"
        );
        world.fail("LIVE-REBALANCE", witness);
    }
    false
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
    let left = on_node(world, node, stage, errand).await;
    if let Some((partition, why)) = left.first() {
        let witness = format!("{partition}: a fetch session came no further than {why}");
        world.fail("LIVE-CONSUME", witness);
        return false;
    }
    let errand = move |env, stage| session::take_turns(env, stage, id, PATIENCE);
    let starved = on_node(world, node, stage, errand).await;
    if let Some((partition, why)) = starved.first() {
        let witness = format!("{partition}: a fetch session gave it no turn in {why}");
        world.fail("LIVE-CONSUME", witness);
    }
    starved.is_empty()
}

/// Whether readers who wait get what comes. Damage may be in their way.
async fn tells_at_once(world: &World, stage: &Rc<Stage>, thorough: bool) -> bool {
    // The record comes a little before or after the reader.
    let times = if thorough { 3 } else { 1 };
    let node = world.add_node(NodeOptions::named("waiter"));
    let id = node.0;
    let errand = move |env, stage| prompt::run(env, stage, id, times, PATIENCE);
    let left = on_node(world, node, stage, errand).await;
    if let Some((partition, late)) = left.first() {
        world.fail(late.invariant, format!("{partition}: {}", late.witness));
    }
    left.is_empty()
}

/// Whether the broker comes back, and takes a record into each partition. A node of this name asks.
async fn serves_and_takes(
    world: &World,
    broker: &Rc<Broker>,
    stage: &Rc<Stage>,
    name: &str,
) -> bool {
    if !broker.until_serving(PATIENCE).await {
        let (invariant, why) = broker.absence();
        world.fail(
            invariant,
            format!("the healed broker does not come back: {why}"),
        );
        return false;
    }
    let prober = world.add_node(NodeOptions::named(name));
    let id = prober.0;
    let probed = on_node(world, prober, stage, move |env, stage| {
        producer::probe(env, stage, id, PATIENCE)
    })
    .await;
    if let Some((partition, why)) = probed.first() {
        world.fail(
            "LIVE-PRODUCE",
            format!("{partition} takes no record {PATIENCE:?} after the healing: {why}"),
        );
        return false;
    }
    true
}

/// The members are gone; whoever joins after them is given all that they had, and everybody is told what was committed.
async fn groups_go_on(world: &World, stage: &Rc<Stage>) -> bool {
    let heir = world.add_node(NodeOptions::named("heir"));
    let id = heir.0;
    let inherits = move |env, stage| group::inherit(env, stage, id, PATIENCE);
    if let Some(missing) = on_node(world, heir, stage, inherits).await {
        let witness = format!(
            "the last member of its group does not begin to read {missing} {PATIENCE:?} after the healing"
        );
        world.fail("LIVE-REBALANCE", witness);
        return false;
    }
    let asks = move |env, stage| commits::ask_all(env, stage, PATIENCE);
    if let Some(partition) = on_node(world, heir, stage, asks).await.first() {
        let witness = format!("nobody says which offset of {partition} was committed");
        world.fail("LIVE-FETCH-OFFSET", witness);
        return false;
    }
    true
}

/// Everything read back: at once, after a kill, after a power cut, and after a clean stop. Then, in some runs, the
/// directory is wounded, and read back with and without the wound; in some others the disk fails, and everything is read back when it has been
/// replaced by one that does not.
pub(super) async fn account(world: &World, broker: &Rc<Broker>, stage: &Rc<Stage>, wounds: bool) {
    const ROUNDS: u32 = 4;
    let reader = world.add_node(NodeOptions::named("accountant"));
    for round in 0..ROUNDS {
        if !read_everything(world, reader, stage, round).await {
            return;
        }
        idle(world, broker, stage).await;
        match round {
            0 => broker.kill(),
            1 => broker.power_cut(),
            2 => {
                if let Err(found) = broker.stop_and_verify(PATIENCE).await {
                    return world.fail(found.invariant, found.witness);
                }
            }
            _ if wounds => return trial::run(world, broker, stage, reader, round + 1).await,
            _ if failing::is_drawn(world) => {
                return failing::run(world, broker, stage, reader, round + 1).await;
            }
            _ => return,
        }
        if !broker.until_serving(PATIENCE).await {
            let (invariant, why) = broker.absence();
            let witness = format!("the broker does not come back after round {round}: {why}");
            return world.fail(invariant, witness);
        }
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
    let refused = on_node(world, reader, stage, errand).await;
    if let Some((partition, why)) = refused.first() {
        let witness = format!("{partition} cannot be read back in round {round}: {why}");
        world.fail("LIVE-CONSUME", witness);
    }
    refused.is_empty()
}

/// Nothing is owed by a broker whose disk knew no law, but that it serves nothing false, or says why it does not serve.
pub(super) async fn account_without_law(world: &World, broker: &Rc<Broker>, stage: &Rc<Stage>) {
    const ROUNDS: u32 = 2;
    let reader = world.add_node(NodeOptions::named("accountant"));
    stage.phase.set(Phase::Quiet);
    for round in 0..ROUNDS {
        let until = world.elapsed() + PATIENCE;
        while !broker.is_serving() {
            if broker.refused_in_row() >= REFUSALS {
                // It says why: a refusal has a text.
                return stage.count("halted");
            }
            if world.elapsed() >= until {
                let witness = "neither serves nor says why it does not".to_owned();
                return world.fail("LIVE-PRODUCE", witness);
            }
            world.sleep(Duration::from_millis(5)).await;
        }
        let errand = move |env, stage| read_back::run(env, stage, round, Duration::from_secs(20));
        on_node(world, reader, stage, errand).await;
        broker.kill();
    }
}

/// Nobody asks anything any more: all reservations must have returned, or return soon. So must the reads that waited, whose clients have
/// gone: at the latest when their shard asks whether anybody still wants them, which it does every second.
async fn idle(world: &World, broker: &Broker, stage: &Stage) {
    const PATIENCE: Duration = Duration::from_secs(2);
    const PATIENCE_WITH_READS: Duration = Duration::from_secs(5);
    const LOOK: Duration = Duration::from_millis(100);
    let begun = world.elapsed();
    world.sleep(LOOK).await;
    let is_held = |held: Option<u64>| held.is_some_and(|held| held > 0);
    while is_held(broker.reserved_bytes()) && world.elapsed() < begun + PATIENCE {
        world.sleep(LOOK).await;
    }
    let tell = |what: &'static str, held: Option<u64>| {
        if let Some(held) = held {
            let node = broker.node.number();
            stage.tell(Event::IdleReservations { node, what, held });
        }
    };
    tell("bytes of memory", broker.reserved_bytes());
    while is_held(broker.waiting_reads()) && world.elapsed() < begun + PATIENCE_WITH_READS {
        world.sleep(LOOK).await;
    }
    tell("waiting reads", broker.waiting_reads());
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
