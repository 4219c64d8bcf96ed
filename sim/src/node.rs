//! Nodes, and the lives of their processes.
//!
//! A node has a name, an address, clocks and a disk, which stay, and at most one process at a time: its
//! *life*. `alive` goes false before anything of the process is dropped; every entry of the process's `Env`
//! and every handle's `Drop` looks at it, so that no destructor of a dead process has an effect. Entries of
//! the dead stay pending for ever.

use crate::clock::NodeClock;
use crate::decision::{Decisions, Stream};
use crate::disk::{Device, DiskOptions};
use crate::fault::FaultKind;
use crate::scheduler::TaskId;
use crate::world::World;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::task::Waker;

/// A node of the world: 0 and up, in the order in which they were added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

impl NodeId {
    /// The node's number in traces and in memory accounts, where 0 is the harness.
    pub fn number(self) -> u32 {
        self.0 + 1
    }

    /// 10.0.0.1 for node 0, and on from there.
    pub fn address(self) -> IpAddr {
        let number = self.number();
        IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + number))
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0)
    }
}

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// Its main returned.
    Exit,
    /// `kill -9`: the operating system, its page cache and its sockets live on.
    Kill,
    /// The machine stopped: what was not synced is at the mercy of the disk.
    PowerCut,
}

/// What a node is made of.
#[derive(Clone, Debug)]
pub struct NodeOptions {
    /// Also its host name.
    pub name: String,
    pub disk: DiskOptions,
}

impl NodeOptions {
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            disk: DiskOptions::default(),
        }
    }
}

/// One process, from start to death.
pub(crate) struct Life {
    pub node: NodeId,
    pub incarnation: u32,
    pub alive: Cell<bool>,
    pub paused: Cell<bool>,
    /// Ready tasks of a paused process.
    pub parked: RefCell<Vec<TaskId>>,
    pub death: Cell<Option<Death>>,
    pub mourners: RefCell<Vec<Waker>>,
}

impl Life {
    pub fn new(node: NodeId, incarnation: u32) -> Self {
        Self {
            node,
            incarnation,
            alive: Cell::new(true),
            paused: Cell::new(false),
            parked: RefCell::new(Vec::new()),
            death: Cell::new(None),
            mourners: RefCell::new(Vec::new()),
        }
    }

    pub fn number(&self) -> u32 {
        self.node.number()
    }
}

/// When a process dies without anybody looking at a clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trap {
    /// After so many more polls of its tasks.
    Polls(u64),
    /// In the poll that begins the so-many-th disk operation from now.
    DiskOperations(u64),
}

/// What stays when the process dies.
pub(crate) struct Node {
    pub id: NodeId,
    pub name: String,
    pub clock: NodeClock,
    pub device: Rc<Device>,
    pub life: RefCell<Option<Rc<Life>>>,
    pub incarnations: Cell<u32>,
    /// Whether the machine has power; a dead process's machine answers packets, a dead machine does not.
    pub powered: Cell<bool>,
    pub trap: Cell<Option<(Trap, Death)>>,
    pub monotonic_origin: Stream,
    fault_streams: RefCell<BTreeMap<FaultKind, Stream>>,
    detail_streams: RefCell<BTreeMap<FaultKind, Stream>>,
    point_streams: RefCell<BTreeMap<&'static str, Stream>>,
    entropy: RefCell<BTreeMap<&'static str, Stream>>,
}

impl Node {
    pub fn new(id: NodeId, options: NodeOptions, decisions: &Decisions) -> Self {
        Self {
            id,
            device: Rc::new(Device::new(id, options.disk, decisions)),
            name: options.name,
            clock: NodeClock::default(),
            life: RefCell::new(None),
            incarnations: Cell::new(0),
            powered: Cell::new(true),
            trap: Cell::new(None),
            monotonic_origin: decisions.stream(&format!("{id}/monotonic-origin")),
            fault_streams: RefCell::new(BTreeMap::new()),
            detail_streams: RefCell::new(BTreeMap::new()),
            point_streams: RefCell::new(BTreeMap::new()),
            entropy: RefCell::new(BTreeMap::new()),
        }
    }

    /// The stream that says when `kind` strikes this node.
    pub fn fault_stream(&self, kind: FaultKind, decisions: &Decisions) -> Stream {
        *self
            .fault_streams
            .borrow_mut()
            .entry(kind)
            .or_insert_with(|| decisions.stream(&format!("{}/{}", self.id, kind.name())))
    }

    /// The stream of how long, how far and where exactly `kind` strikes this node. Begun anew at each instant, so that
    /// a strike that is taken away moves no detail of a later one.
    pub fn detail_stream(&self, kind: FaultKind, world: &World) -> Stream {
        let decisions = world.decisions();
        let stream = *self
            .detail_streams
            .borrow_mut()
            .entry(kind)
            .or_insert_with(|| decisions.stream(&format!("{}/{}/details", self.id, kind.name())));
        decisions.reach(stream, world.nanos());
        stream
    }

    /// The stream that says when a fault point strikes this node.
    pub fn point_stream(&self, point: &'static str, decisions: &Decisions) -> Stream {
        let kind = FaultKind::CodePoint.name();
        *self
            .point_streams
            .borrow_mut()
            .entry(point)
            .or_insert_with(|| decisions.stream(&format!("{}/{point}/{kind}", self.id)))
    }

    /// The product's own randomness, a stream per label; it goes on over restarts.
    pub fn entropy_stream(&self, label: &'static str, decisions: &Decisions) -> Stream {
        *self
            .entropy
            .borrow_mut()
            .entry(label)
            .or_insert_with(|| decisions.stream(&format!("{}/entropy/{label}", self.id)))
    }

    /// The process that runs now.
    pub fn living(&self) -> Option<Rc<Life>> {
        let life = self.life.borrow();
        life.as_ref().filter(|life| life.alive.get()).cloned()
    }
}
