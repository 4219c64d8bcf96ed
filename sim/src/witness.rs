//! What a node asks of its disk, told to the judges as it happens.
//!
//! Records of the workload name themselves (see [`value`]), so it can be said which of them are in the bytes of a write, as long as they are there
//! as they are; a compressed one goes unnoticed, and judges have to make do with the order of things.

use crate::disk::{DiskNote, DiskStep};
use crate::history::{DiskChange, Event};
use crate::node::NodeId;
use crate::workload::{Stage, value};
use crate::world::World;
use std::rc::Rc;
use taffrail_env::disk::DiskOperation;

/// Tells of every change of files on this node's disk from now on.
pub fn watch(world: &World, node: NodeId, stage: &Rc<Stage>) {
    watch_for(world, node, stage, |bytes| {
        value::numbers_in(bytes).collect()
    });
}

/// As [`watch`], where records name themselves in another way: `numbers_in` finds those of which bytes are.
pub fn watch_for(
    world: &World,
    node: NodeId,
    stage: &Rc<Stage>,
    numbers_in: impl Fn(&[u8]) -> Vec<u64> + 'static,
) {
    let (stage, at) = (stage.clone(), world.clone());
    world.disk(node).watch(move |note| {
        let Some(change) = change(note.operation) else {
            return;
        };
        let incarnation = at.incarnation(node);
        stage.observe(event((node, incarnation), change, &note, &numbers_in));
    });
}

fn change(operation: DiskOperation) -> Option<DiskChange> {
    match operation {
        DiskOperation::Write => Some(DiskChange::Write),
        DiskOperation::Sync => Some(DiskChange::Sync),
        DiskOperation::WriteZeros | DiskOperation::Truncate => Some(DiskChange::Other),
        _ => None,
    }
}

fn event(
    (node, incarnation): (NodeId, u32),
    change: DiskChange,
    note: &DiskNote<'_>,
    numbers_in: impl Fn(&[u8]) -> Vec<u64>,
) -> Event {
    let (node, file, handle) = (node.number(), note.inode, note.handle);
    match note.step {
        DiskStep::Asked(data) => Event::DiskAsked {
            node,
            incarnation,
            file,
            handle,
            change,
            records: data.map_or_else(Vec::new, |(_, pieces)| {
                pieces.iter().flat_map(|piece| numbers_in(piece)).collect()
            }),
        },
        DiskStep::Ended(refused) => Event::DiskEnded {
            node,
            incarnation,
            file,
            handle,
            change,
            failed: refused.is_some(),
        },
    }
}
