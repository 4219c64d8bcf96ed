//! The catalogue of faults: what can be broken, how often it was, and how often the product met it.
//!
//! A kind has a rate (parts per million of its opportunities), drawn per seed so that each seed mixes other
//! faults and some have none. *Injected* counts what the world broke; *met* counts when a live node's
//! operation ran into it, so that a fault that never matters shows as a probe never hit. The atlas says, for
//! each fault on stored data, whether this seed must be able to survive it.

use crate::decision::{Decisions, Stream};
use crate::node::NodeId;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::path::Path;

macro_rules! catalogue {
    ($($kind:ident, $name:literal, $what:literal;)*) => {
        /// What can be broken.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum FaultKind { $(#[doc = $what] $kind,)* }

        impl FaultKind {
            /// Every kind, in the order of their numbers.
            pub const ALL: &'static [FaultKind] = &[$(FaultKind::$kind,)*];

            /// The kind with this number.
            pub fn numbered(number: u64) -> Option<FaultKind> {
                FaultKind::ALL.get(usize::try_from(number).ok()?).copied()
            }

            /// The kind's name in options, reports and scenario files.
            pub fn name(self) -> &'static str {
                match self { $(FaultKind::$kind => $name,)* }
            }

            /// What it does, and when it counts as met.
            pub fn describe(self) -> &'static str {
                match self { $(FaultKind::$kind => $what,)* }
            }
        }
    };
}

catalogue! {
    DiskSyncFailed, "disk-sync-failed", "A sync fails, once or for good; its pages are marked clean and some of them are lost with the cache. Met when the error is delivered.";
    DiskReadError, "disk-read-error", "A read fails once. Met when the error is delivered.";
    DiskWriteError, "disk-write-error", "A write, truncation or zeroing fails after a part of it. Met when the error is delivered.";
    DiskMetadataError, "disk-metadata-error", "Opening, renaming, removing, listing or syncing a name fails. Met when the error is delivered.";
    DiskNoSpace, "disk-no-space", "The file system is full. Met when the error is delivered.";
    DiskReadOnly, "disk-read-only", "The file system was remounted read-only. Met when the error is delivered.";
    DiskLatentSector, "disk-latent-sector", "A sector cannot be read until it is written again. Met when a read fails on it.";
    DiskBitRot, "disk-bit-rot", "A bit of stored data flips. Met when the byte is read.";
    DiskReadFlip, "disk-read-flip", "One read returns a flipped bit. Met at once.";
    DiskMisdirectedWrite, "disk-misdirected-write", "A write reaches the platter at another place of the file. Met when either place is read after the cache has gone.";
    DiskLostWrite, "disk-lost-write", "A write never reaches the platter. Met when its place is read after the cache has gone.";
    DiskStaleRead, "disk-stale-read", "One read returns what the platter held before it was overwritten. Met if that differs.";
    DiskMisdirectedRead, "disk-misdirected-read", "One read returns the bytes of another place, or of another file. Met if they differ.";
    DiskShortRead, "disk-short-read", "A read returns fewer bytes than asked for. Met at once.";
    DiskStall, "disk-stall", "The device stops for one to sixty seconds. Met when an operation waits for it.";
    DiskSlow, "disk-slow", "The device is ten to ten thousand times slower. Met at the next operation.";
    DiskTornSector, "disk-torn-sector", "Power is lost while a sector is being written: a part of it is new. Met when it is read.";
    DiskLostSectors, "disk-lost-sectors", "Unsynced sectors are gone after a power cut. Met when they are read.";
    DiskLostLength, "disk-lost-length", "After a power cut a file's length belongs to another moment than its contents. Met when it is read or measured.";
    DiskLostName, "disk-lost-name", "An unsynced creation, rename or removal is gone after a power cut. Met when the directory is listed or the name looked up.";
    DiskCacheDropped, "disk-cache-dropped", "What was only in the cache after a failed sync, or a lost or misdirected write, is read from the platter again. Met when the file is read.";
    DiskReplaced, "disk-replaced", "The disk is empty after a restart. Met at the start.";
    NetTail, "net-tail", "A packet takes a hundred to ten thousand times longer than usual. Met on arrival.";
    NetReset, "net-reset", "A connection breaks at any byte. Met when an end sees it.";
    NetRefused, "net-refused", "A connection attempt is refused although somebody listens. Met at once.";
    NetAcceptStall, "net-accept-stall", "An established connection is not accepted for a while. Met on the late accept.";
    NetSplit, "net-split", "What was written together arrives in two parts, cut at any byte. Met on arrival.";
    NetShortRead, "net-short-read", "A read returns fewer bytes than have arrived. Met at once.";
    NetSmallWindow, "net-small-window", "A connection holds only a few bytes in flight. Met when a write has to wait.";
    NetHalfOpen, "net-half-open", "A dead process's connection is not closed towards its peer. Met when the peer writes to it.";
    NetCut, "net-cut", "One direction between two nodes is cut. Met when a packet is held back.";
    NodeKill, "node-kill", "The process is killed at an await. Met at once.";
    NodeKillInRecovery, "node-kill-in-recovery", "The process is killed before it said that it is ready. Met at once.";
    NodePowerCut, "node-power-cut", "The node loses power. Met at once.";
    NodePowerCutAll, "node-power-cut-all", "All nodes lose power at once. Met at once.";
    NodePause, "node-pause", "No task of the node runs for 10 ms to 10 min; then all its timers are late. Met at the resume.";
    NodeStarve, "node-starve", "Tasks are chosen unfairly for the whole run. Met at once.";
    ClientKill, "client-kill", "A client's process is killed at an await; another comes in its place. Met at once.";
    ClientPause, "client-pause", "No task of a client runs for 10 ms to 10 min. Met at the resume.";
    ClientCut, "client-cut", "A client is cut off from a server, one way or both. Met at once; what is held back counts as net-cut.";
    CodePoint, "code-point", "The product takes the awkward way at one of its fault points. Met at once.";
    ClockOffset, "clock-offset", "The node's wall clock is wrong from the start. Met at once.";
    ClockDrift, "clock-drift", "The node's clocks run up to 500 ppm fast or slow. Met at once.";
    ClockStep, "clock-step", "The wall clock jumps by a second to ten years, either way. Met at once.";
    ClockFreeze, "clock-freeze", "The wall clock stands still for a while. Met at once.";
}

/// The product's fault points, each with its awkward way; see [`FaultKind::CodePoint`].
pub fn fault_points() -> impl Iterator<Item = (&'static str, &'static str)> {
    let broker = taffrail_broker::FAULT_POINTS.iter();
    broker.chain(taffrail_storage::FAULT_POINTS).copied()
}

impl FaultKind {
    /// Reads a kind's name.
    pub fn parse(name: &str) -> Option<FaultKind> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }

    /// Whether it damages data that a sync had promised to keep, or lies about them: only the atlas can allow it.
    pub fn damages_synced_data(self) -> bool {
        matches!(
            self,
            Self::DiskLatentSector
                | Self::DiskBitRot
                | Self::DiskMisdirectedWrite
                | Self::DiskLostWrite
                | Self::DiskStaleRead
                | Self::DiskMisdirectedRead
                | Self::DiskReadFlip
                | Self::DiskReplaced
        )
    }
}

const KINDS: usize = FaultKind::ALL.len();

/// How often each kind strikes, in parts per million of its opportunities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rates([u32; KINDS]);

impl Default for Rates {
    fn default() -> Self {
        Self::none()
    }
}

impl Rates {
    /// No fault at all.
    pub fn none() -> Self {
        Self([0; KINDS])
    }

    /// Draws a mix from a menu of (kind, highest rate): one seed in eight has none; in the others each kind is
    /// left out in half of them, and its rate is spread over two orders of magnitude.
    pub fn draw(decisions: &Decisions, menu: &[(FaultKind, u32)]) -> Self {
        let mut rates = Self::none();
        if decisions.chance(decisions.stream("swarm/calm"), 125_000) {
            return rates;
        }
        for (kind, most) in menu {
            let stream = decisions.stream(&format!("swarm/{}", kind.name()));
            if decisions.chance(stream, 500_000) {
                let divisor = [1, 3, 10, 100][decisions.below(stream, 4) as usize];
                rates.set(*kind, (most / divisor).max(1));
            }
        }
        rates
    }

    /// Those that may strike.
    pub fn kinds(&self) -> impl Iterator<Item = FaultKind> {
        FaultKind::ALL
            .iter()
            .copied()
            .filter(|kind| self.get(*kind) > 0)
    }

    pub fn get(&self, kind: FaultKind) -> u32 {
        self.0[kind as usize]
    }

    pub fn set(&mut self, kind: FaultKind, ppm: u32) {
        self.0[kind as usize] = ppm;
    }

    /// The same rates with `kind` at `ppm`.
    pub fn with(mut self, kind: FaultKind, ppm: u32) -> Self {
        self.set(kind, ppm);
        self
    }
}

/// A fault that is about to be done to stored data.
#[derive(Clone, Debug)]
pub struct Target<'a> {
    pub node: NodeId,
    pub kind: FaultKind,
    pub path: &'a Path,
    pub offset: u64,
    pub len: u64,
}

/// Says whether a fault on stored data is allowed in this seed; see [`Faults::set_atlas`].
pub type Atlas = Box<dyn Fn(&Target<'_>) -> bool>;

/// The present rates, and what came of them.
pub struct Faults {
    rates: RefCell<Rates>,
    injected: [Cell<u64>; KINDS],
    met: [Cell<u64>; KINDS],
    atlas: RefCell<Option<Atlas>>,
    spared: RefCell<BTreeSet<NodeId>>,
    never: RefCell<BTreeSet<(NodeId, FaultKind)>>,
    /// Every fault point strikes by the rate that is said.
    points_alike: Cell<bool>,
}

/// A row of [`Faults::table`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultCount {
    pub kind: FaultKind,
    pub injected: u64,
    pub met: u64,
}

impl Faults {
    pub(crate) fn new(rates: Rates) -> Self {
        Self {
            rates: RefCell::new(rates),
            injected: [const { Cell::new(0) }; KINDS],
            met: [const { Cell::new(0) }; KINDS],
            atlas: RefCell::new(None),
            spared: RefCell::default(),
            never: RefCell::default(),
            points_alike: Cell::new(false),
        }
    }

    pub fn rate(&self, kind: FaultKind) -> u32 {
        self.rates.borrow().get(kind)
    }

    /// Replaces all rates: how a run begins its chaos, and how it heals.
    pub fn set_rates(&self, rates: Rates) {
        *self.rates.borrow_mut() = rates;
    }

    /// All rates as they are.
    pub fn rates(&self) -> Rates {
        self.rates.borrow().clone()
    }

    /// From now on nothing strikes this node, whatever the rates.
    pub fn spare(&self, node: NodeId) {
        self.spared.borrow_mut().insert(node);
    }

    /// From now on this kind never strikes this node.
    pub fn never(&self, node: NodeId, kind: FaultKind) {
        self.never.borrow_mut().insert((node, kind));
    }

    /// From now on fault points strike as often as the rate of [`FaultKind::CodePoint`] says, each of them, where a run otherwise draws
    /// how often each strikes, and lets none strike often.
    pub(crate) fn strike_points_alike(&self) {
        self.points_alike.set(true);
    }

    pub(crate) fn are_points_alike(&self) -> bool {
        self.points_alike.get()
    }

    pub(crate) fn strikes_never(&self, node: NodeId, kind: FaultKind) -> bool {
        self.is_spared(node) || self.never.borrow().contains(&(node, kind))
    }

    pub(crate) fn is_spared(&self, node: NodeId) -> bool {
        let spared = self.spared.borrow();
        !spared.is_empty() && spared.contains(&node)
    }

    /// The atlas may hold on to the world, which holds this.
    pub(crate) fn forget_atlas(&self) {
        drop(self.atlas.take());
    }

    /// Faults that damage synced data happen only where the atlas allows it; without an atlas nowhere.
    pub fn set_atlas(&self, atlas: impl Fn(&Target<'_>) -> bool + 'static) {
        *self.atlas.borrow_mut() = Some(Box::new(atlas));
    }

    pub fn allows(&self, target: &Target<'_>) -> bool {
        if !target.kind.damages_synced_data() {
            return true;
        }
        self.atlas
            .borrow()
            .as_ref()
            .is_some_and(|atlas| atlas(target))
    }

    /// Draws whether `kind` strikes now. `stream` is asked for only if the rate is not zero.
    #[inline]
    pub(crate) fn strikes(
        &self,
        kind: FaultKind,
        decisions: &Decisions,
        stream: impl FnOnce() -> Stream,
    ) -> bool {
        let rate = self.rate(kind);
        rate != 0 && decisions.chance(stream(), rate)
    }

    /// The world broke something.
    pub fn count_injected(&self, kind: FaultKind) {
        let cell = &self.injected[kind as usize];
        cell.set(cell.get() + 1);
    }

    /// A live node ran into it.
    pub fn count_met(&self, kind: FaultKind) {
        let cell = &self.met[kind as usize];
        cell.set(cell.get() + 1);
    }

    /// All kinds with their counts.
    pub fn table(&self) -> Vec<FaultCount> {
        FaultKind::ALL
            .iter()
            .map(|kind| FaultCount {
                kind: *kind,
                injected: self.injected[*kind as usize].get(),
                met: self.met[*kind as usize].get(),
            })
            .collect()
    }
}
