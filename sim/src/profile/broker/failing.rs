//! A disk that fails for good under a broker that goes on running: what the broker still owes, and what it has when it is started again on
//! a disk that is well.
//!
//! A process that waits for its disk is no better than one that is gone, and worse than one that says so: its clients wait with it. So
//! from the first operation that fails everybody is answered, whatever was under way then; records are refused until the next
//! start, even if the disk has recovered meanwhile, since nobody knows what it forgot.

use super::PATIENCE;
use super::account::{on_node, read_everything};
use crate::cluster::Broker;
use crate::fault::FaultKind;
use crate::history::Owed;
use crate::node::NodeId;
use crate::workload::Stage;
use crate::workload::undaunted;
use crate::world::World;
use std::rc::Rc;
use std::time::Duration;

/// So soon the broker says that its disk has failed.
const NOTICE: Duration = Duration::from_secs(10);
/// Between two looks at it.
const LOOK: Duration = Duration::from_millis(20);
/// So long after it says so every shard knows; and so long a broker remembers how many connections came from an address.
const SPREAD: Duration = Duration::from_millis(1_100);

/// Lets every sync or every write fail, asks for everything meanwhile, and reads everything back after the next start.
pub(super) async fn run(
    world: &World,
    broker: &Rc<Broker>,
    stage: &Rc<Stage>,
    reader: NodeId,
    round: u32,
) {
    let decisions = world.decisions();
    let (what, kind) = match decisions.below(decisions.stream("failing/kind"), 2) {
        0 => ("failing-syncs", FaultKind::DiskSyncFailed),
        _ => ("failing-writes", FaultKind::DiskWriteError),
    };
    world.phase("failing disk");
    stage.count(what);
    broker.stay_when_failed(true);
    world.sleep(SPREAD).await;
    world.disk(broker.node).set_failing(Some(kind));
    if !is_answered(world, reader, stage, false).await || !is_known(world, broker, stage).await {
        return;
    }
    world.sleep(SPREAD).await;
    if !is_answered(world, reader, stage, true).await {
        return;
    }
    world.disk(broker.node).set_failing(None);
    world.sleep(SPREAD).await;
    if !is_answered(world, reader, stage, true).await {
        return;
    }
    broker.stay_when_failed(false);
    match decisions.below(decisions.stream("failing/death"), 2) {
        0 => broker.kill(),
        _ => broker.power_cut(),
    }
    if broker
        .comes_back(stage, "after its disk failed", PATIENCE)
        .await
    {
        read_everything(world, reader, stage, round).await;
    }
}

/// Whether everybody is answered. `knows`: the broker has said that its disk failed.
async fn is_answered(world: &World, node: NodeId, stage: &Rc<Stage>, knows: bool) -> bool {
    let id = node.0;
    let errand = move |env, stage| undaunted::run(env, stage, id, knows);
    match on_node(world, node, stage, errand).await {
        None => true,
        Some((owed, of, instead)) => stage.tell_wait(owed, of, Err(instead), undaunted::SOON),
    }
}

/// Whether the broker notices.
async fn is_known(world: &World, broker: &Broker, stage: &Stage) -> bool {
    let begun = world.elapsed();
    let until = world.elapsed() + NOTICE;
    while !broker.has_failed() && world.elapsed() < until {
        world.sleep(LOOK).await;
    }
    let known = match broker.has_failed() {
        true => Ok(world.elapsed() - begun),
        false => Err("its disk took none of its records, and it goes on".to_owned()),
    };
    stage.tell_wait(Owed::Notice, "the broker", known, NOTICE + LOOK)
}
