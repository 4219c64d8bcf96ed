//! What a healed broker owes: progress, and an account of everything that it was given.

use super::PATIENCE;
use crate::cluster::Broker;
use crate::env::SimEnv;
use crate::history::Event;
use crate::node::{NodeId, NodeOptions};
use crate::workload::{Phase, Stage, producer, read_back};
use crate::world::World;
use std::cell::Cell;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

/// What a healed cluster owes: it serves, every partition takes records, and whoever waits gets an answer.
pub(super) async fn progress(world: &World, broker: &Rc<Broker>, stage: &Rc<Stage>) -> bool {
    if !broker.until_serving(PATIENCE).await {
        let (invariant, why) = broker.absence();
        world.fail(
            invariant,
            format!("the healed broker does not come back: {why}"),
        );
        return false;
    }
    let prober = world.add_node(NodeOptions::named("prober"));
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
    true
}

/// Everything read back: at once, after a kill, after a power cut, and after a clean stop.
pub(super) async fn account(world: &World, broker: &Rc<Broker>, stage: &Rc<Stage>) {
    const ROUNDS: u32 = 4;
    let reader = world.add_node(NodeOptions::named("accountant"));
    for round in 0..ROUNDS {
        let errand = move |env, stage| read_back::run(env, stage, round, PATIENCE);
        let refused = on_node(world, reader, stage, errand).await;
        if let Some((partition, why)) = refused.first() {
            let witness = format!("{partition} cannot be read back in round {round}: {why}");
            return world.fail("LIVE-CONSUME", witness);
        }
        idle(world, broker, stage).await;
        match round {
            0 => broker.kill(),
            1 => broker.power_cut(),
            2 => {
                if let Err(why) = broker.stop_and_verify(PATIENCE).await {
                    return world.fail("CHECKPOINT-ATOMIC", why);
                }
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

/// Nobody asks anything any more: all reservations must have returned.
async fn idle(world: &World, broker: &Broker, stage: &Stage) {
    world.sleep(Duration::from_secs(2)).await;
    if let Some(bytes) = broker.reserved_bytes() {
        stage.tell(Event::IdleReservations {
            node: broker.node.number(),
            bytes,
        });
    }
}

/// Runs a client's errand on a node of its own, and answers what it brought.
async fn on_node<T, F>(
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
