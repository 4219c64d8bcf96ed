//! Which path is what, and what each law allows.

use super::{Atlas, Law, Part, Place};
use crate::fault::{FaultKind, Target};
use crate::node::{NodeId, NodeOptions};
use crate::run::Simulation;
use std::path::Path;
use taffrail_record::{TopicId, TopicPartition};

const DATA: &str = "/data/broker";
const SEGMENT: &str =
    "/data/broker/partitions/07070707070707070707070707070707-3.9/00000000000000000120.log";

fn place(path: &str) -> Place {
    Place::of(Path::new(DATA), Path::new(path))
}

#[test]
fn a_path_says_what_it_leads_to() {
    let partition = TopicPartition {
        topic: TopicId([7; 16]),
        partition: 3,
    };
    let of = |part| Place::Log {
        partition,
        base: 120,
        part,
    };
    assert_eq!(place(SEGMENT), of(Part::Segment));
    assert_eq!(place(&SEGMENT.replace(".log", ".digest")), of(Part::Cache));
    assert_eq!(
        place(&SEGMENT.replace(".log", ".timeindex")),
        of(Part::TimeIndex)
    );
    assert_eq!(place(&SEGMENT.replace(".log", ".state")), of(Part::State));
    assert_eq!(
        place(&SEGMENT.replace(".log", ".log.deleted")),
        of(Part::Other)
    );
    assert_eq!(place("/data/broker/taffrail.meta"), Place::Meta);
    assert_eq!(place("/data/broker/journal/0001.journal"), Place::Journal);
    assert_eq!(place("/data/broker/checkpoint/1"), Place::Checkpoint);
    assert_eq!(place("/data/elsewhere/checkpoint/1"), Place::Other);
    assert_eq!(place("/data/broker/partitions/strange/0.log"), Place::Other);
}

/// What is allowed in a run of this law: (kind, path, allowed).
fn allowed(law: Law, kind: FaultKind, path: &'static str) -> (bool, usize) {
    let outcome = Simulation::new("atlas", 1).run(move |world| async move {
        let node = world.add_node(NodeOptions::named("broker"));
        assert_eq!(node, NodeId(0));
        let atlas = Atlas::open(&world, node, Path::new(DATA), law);
        atlas.learn(TopicId([7; 16]));
        let target = Target {
            node,
            kind,
            path: Path::new(path),
            offset: 0,
            len: 1,
        };
        (world.faults().allows(&target), atlas.refusable().len())
    });
    outcome.expect_ok()
}

#[test]
fn records_of_users_may_be_damaged_and_the_journal_may_not() {
    let rot = FaultKind::DiskBitRot;
    let journal = "/data/broker/journal/0001.journal";
    let other = "/data/broker/partitions/01010101010101010101010101010101-0.1/0.log";
    assert_eq!(allowed(Law::Survivable, rot, SEGMENT), (true, 1));
    assert_eq!(allowed(Law::Survivable, rot, journal), (false, 0));
    assert_eq!(allowed(Law::Survivable, rot, other), (false, 0));
    assert_eq!(allowed(Law::Lawless, rot, journal), (true, 0));
    assert_eq!(allowed(Law::Sound, rot, SEGMENT), (false, 0));
    // What lies once tells the truth when it is asked again.
    let flip = FaultKind::DiskReadFlip;
    assert_eq!(allowed(Law::Survivable, flip, journal), (true, 0));
    assert_eq!(allowed(Law::Sound, flip, journal), (false, 0));
}
