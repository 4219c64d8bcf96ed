//! One node's disk: its file system, what is on its way to it, and what goes wrong with it.
//!
//! An operation begins when it is called and takes effect when it ends, a drawn time later. When a process
//! dies, a drawn part of what is on its way still happens, and nothing afterwards: the next process finds a
//! quiet disk.

use super::files::{Answer, Files, IO_ERROR, Refusal};
use super::handle::Handle;
use super::image::Dice;
use crate::decision::{Decisions, Stream, Tail};
use crate::env::SimEnv;
use crate::fault::{FaultKind, Target};
use crate::memory::{WORLD, charge_to};
use crate::node::{Death, Life, NodeId};
use crate::timeline::Event;
use crate::trace::{EventKind, digest};
use crate::world::World;
use bytes::Bytes;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use taffrail_env::disk::{DiskError, DiskErrorKind, DiskOperation, DiskResult};

/// A disk before anything happens to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskOptions {
    /// Bytes that it can hold.
    pub capacity: u64,
}

impl Default for DiskOptions {
    /// One gibibyte.
    fn default() -> Self {
        Self { capacity: 1 << 30 }
    }
}

/// Nanoseconds that a kind of operation takes on a device that is not slow.
pub(super) const METADATA: Tail = Tail(&[(950_000, 15_000, 120_000), (50_000, 120_000, 4_000_000)]);
pub(super) const READ: Tail = Tail(&[
    (800_000, 3_000, 20_000),
    (190_000, 60_000, 250_000),
    (10_000, 250_000, 20_000_000),
]);
pub(super) const WRITE: Tail = Tail(&[(980_000, 4_000, 40_000), (20_000, 40_000, 5_000_000)]);
pub(super) const SYNC: Tail = Tail(&[
    (900_000, 150_000, 1_500_000),
    (95_000, 1_500_000, 10_000_000),
    (5_000, 10_000_000, 200_000_000),
]);

/// However slow the device, no operation takes longer than a stall.
const SLOW_NANOS_MAX: u64 = 60_000_000_000;

/// An operation on an open file, as somebody outside sees it who watches the disk.
#[derive(Clone, Copy, Debug)]
pub struct DiskNote<'a> {
    pub path: &'a Path,
    /// Which file it is, whatever its name.
    pub inode: usize,
    /// Which open handle.
    pub handle: u64,
    pub operation: DiskOperation,
    pub step: DiskStep<'a>,
}

/// Where an operation stands.
#[derive(Clone, Copy, Debug)]
pub enum DiskStep<'a> {
    /// A process asks for it. With what is to be written, and where.
    Asked(Option<(u64, &'a [Bytes])>),
    /// It has taken effect, or it was refused.
    Ended(Option<DiskErrorKind>),
}

/// Is told of every operation on the disk's files.
type Watcher = Rc<dyn Fn(DiskNote<'_>)>;

/// A metadata operation on its way: runs it; the flag says whether somebody is left to hear of it.
type Call = Box<dyn FnOnce(&World, bool)>;

pub(crate) struct Device {
    pub node: NodeId,
    options: DiskOptions,
    pub files: RefCell<Files>,
    busy: RefCell<BTreeMap<u64, Rc<Handle>>>,
    calls: RefCell<BTreeMap<u64, Call>>,
    next: Cell<u64>,
    latency: Stream,
    /// Draws of where exactly a fault strikes, and what a cut leaves.
    damage: Stream,
    pub slow: Cell<u64>,
    pub stalled_until: Cell<u64>,
    /// Every sync fails, or every write, until somebody says otherwise.
    failing: Cell<Option<FaultKind>>,
    watcher: RefCell<Option<Watcher>>,
}

impl Device {
    pub fn new(node: NodeId, options: DiskOptions, decisions: &Decisions) -> Self {
        Self {
            node,
            options,
            files: RefCell::new(Files::new(options.capacity)),
            busy: RefCell::new(BTreeMap::new()),
            calls: RefCell::new(BTreeMap::new()),
            next: Cell::new(0),
            latency: decisions.stream(&format!("{node}/disk/latency")),
            damage: decisions.stream(&format!("{node}/disk/damage")),
            slow: Cell::new(1),
            stalled_until: Cell::new(0),
            failing: Cell::new(None),
            watcher: RefCell::new(None),
        }
    }

    pub fn watch(&self, watcher: Watcher) {
        *self.watcher.borrow_mut() = Some(watcher);
    }

    #[inline]
    pub fn note(&self, note: DiskNote<'_>) {
        let watcher = self.watcher.borrow().clone();
        if let Some(watcher) = watcher {
            watcher(note);
        }
    }

    pub fn dice<'a>(&self, world: &'a World) -> Dice<'a> {
        world.decisions().reach(self.damage, world.nanos());
        Dice {
            decisions: world.decisions(),
            stream: self.damage,
        }
    }

    /// Puts into the trace that the disk is in another condition; see [`EventKind::DiskCondition`].
    pub fn tell(&self, world: &World, kind: FaultKind, measure: u64) {
        let details = (kind as u64, measure, 0);
        world.event(EventKind::DiskCondition, self.node.number(), details);
    }

    /// From now on every operation that `kind` can strike fails, or none for that reason.
    pub fn set_failing(&self, world: &World, kind: Option<FaultKind>) {
        if let Some(over) = self.failing.replace(kind) {
            self.tell(world, over, 0);
        }
        if let Some(kind) = kind {
            self.tell(world, kind, 1);
        }
    }

    /// Whether the disk is in a condition in which everything fails that `kind` can strike.
    fn fails(&self, world: &World, kind: FaultKind, at: u64) -> bool {
        let fails = self.failing.get() == Some(kind);
        if fails {
            world.fault(self.node, kind, at);
        }
        fails
    }

    pub fn next_id(&self) -> u64 {
        self.next.replace(self.next.get() + 1)
    }

    /// How long an operation that begins now takes.
    pub fn delay(&self, world: &World, tail: Tail) -> u64 {
        let mut delay = world.decisions().tail(self.latency, tail);
        if self.slow.get() > 1 {
            delay = delay.saturating_mul(self.slow.get()).min(SLOW_NANOS_MAX);
            world.faults().count_met(FaultKind::DiskSlow);
        }
        let now = world.nanos();
        if world.faults().rate(FaultKind::DiskStall) > 0
            && world.strikes(&world.node(self.node), FaultKind::DiskStall)
        {
            let stream = world
                .node(self.node)
                .detail_stream(FaultKind::DiskStall, world);
            let stall = world
                .decisions()
                .between(stream, 1_000_000_000, 60_000_000_000);
            self.stalled_until.set(now + stall);
            self.tell(world, FaultKind::DiskStall, stall);
        }
        let stalled = self.stalled_until.get().saturating_sub(now);
        if stalled > 0 {
            world.faults().count_met(FaultKind::DiskStall);
        }
        stalled + delay
    }

    /// Whether `kind` strikes an operation on these bytes, and the atlas lets it.
    pub fn strikes(&self, world: &World, kind: FaultKind, path: &Path, at: (u64, u64)) -> bool {
        if self.fails(world, kind, at.0) {
            return true;
        }
        if world.faults().rate(kind) == 0 || world.faults().is_spared(self.node) {
            return false;
        }
        let node = world.node(self.node);
        let stream = node.fault_stream(kind, world.decisions());
        let drawn = world.decisions().chance(stream, world.faults().rate(kind));
        let target = Target {
            node: self.node,
            kind,
            path,
            offset: at.0,
            len: at.1,
        };
        let struck = drawn && world.faults().allows(&target);
        if struck {
            world.fault(self.node, kind, at.0);
        }
        struck
    }

    /// An operation on names: begins now, takes effect and answers later.
    pub fn call<T: 'static, U: 'static>(
        self: &Rc<Self>,
        env: &SimEnv,
        operation: DiskOperation,
        path: &Path,
        effect: impl FnOnce(&mut Files) -> Answer<T> + 'static,
        answer: impl FnOnce(T) -> U + 'static,
    ) -> Waiting<DiskResult<U>> {
        let waiting = Waiting::new(env.life().clone());
        if !env.is_alive() {
            return waiting;
        }
        let _charge = charge_to(WORLD);
        let world = env.world();
        world.count_disk_operation(env.life(), env.node());
        let place = digest(path.as_os_str().as_encoded_bytes());
        let details = (operation as u64, 0, place);
        world.event_with(EventKind::DiskBegin, self.node.number(), details, || {
            format!("{} {}", operation.name(), path.display())
        });
        let id = self.next_id();
        let (device, path, slot) = (self.clone(), path.to_owned(), waiting.clone());
        let call = move |world: &World, deliver: bool| {
            let result = device.metadata(world, operation, &path, deliver, effect);
            let outcome = result.as_ref().map_or_else(|r| 1 + r.kind as u64, |_| 0);
            let details = (operation as u64, outcome, place);
            world.event_with(EventKind::DiskName, device.node.number(), details, || {
                format!("{} {}", operation.name(), path.display())
            });
            if deliver {
                let result = result.map(answer);
                slot.done(result.map_err(|refused| error(refused, operation, &path)));
            }
        };
        self.calls.borrow_mut().insert(id, Box::new(call));
        let table = match operation {
            DiskOperation::SyncDirectory => SYNC,
            _ => METADATA,
        };
        self.end_call_after(world, id, self.delay(world, table));
        waiting
    }

    fn end_call_after(self: &Rc<Self>, world: &World, id: u64, delay: u64) {
        let device = self.clone();
        let end = move |world: &World| {
            let call = device.calls.borrow_mut().remove(&id);
            if let Some(call) = call {
                call(world, true);
            }
        };
        world.after(delay, Event::Call(Box::new(end)));
    }

    /// The device is whole and quick again: what it was busy with ends now.
    pub fn heal(self: &Rc<Self>, world: &World) {
        self.slow.set(1);
        self.stalled_until.set(0);
        self.set_failing(world, None);
        self.files.borrow_mut().read_only = false;
        for over in [
            FaultKind::DiskSlow,
            FaultKind::DiskStall,
            FaultKind::DiskReadOnly,
        ] {
            self.tell(world, over, 0);
        }
        for handle in self.busy.borrow().values() {
            handle.hurry(world);
        }
        let calls: Vec<u64> = self.calls.borrow().keys().copied().collect();
        for id in calls {
            self.end_call_after(world, id, 0);
        }
    }

    fn metadata<T>(
        &self,
        world: &World,
        operation: DiskOperation,
        path: &Path,
        deliver: bool,
        effect: impl FnOnce(&mut Files) -> Answer<T>,
    ) -> Answer<T> {
        let lockless = operation != DiskOperation::Lock && operation != DiskOperation::Space;
        if deliver && lockless && self.strikes(world, FaultKind::DiskMetadataError, path, (0, 0)) {
            world.faults().count_met(FaultKind::DiskMetadataError);
            return Err(IO_ERROR);
        }
        let is_sync = operation == DiskOperation::SyncDirectory;
        if deliver && is_sync && self.fails(world, FaultKind::DiskSyncFailed, 0) {
            world.faults().count_met(FaultKind::DiskSyncFailed);
            return Err(IO_ERROR);
        }
        let mut files = self.files.borrow_mut();
        if deliver && files.take_lost(path) {
            world.faults().count_met(FaultKind::DiskLostName);
        }
        let result = effect(&mut files);
        if let (Err(refused), true) = (&result, deliver) {
            self.count_refusal(world, *refused);
        }
        result
    }

    /// Counts refusals that have a name in the catalogue.
    pub fn count_refusal(&self, world: &World, refused: Refusal) {
        let kind = match refused {
            super::files::NO_SPACE => FaultKind::DiskNoSpace,
            super::files::READ_ONLY => FaultKind::DiskReadOnly,
            _ => return,
        };
        if world.faults().rate(kind) == 0 {
            // Not struck by a draw, but met because the harness made the disk full or read-only.
            world.fault(self.node, kind, 0);
        }
        world.faults().count_met(kind);
    }

    pub fn set_busy(&self, handle: &Rc<Handle>) {
        self.busy.borrow_mut().insert(handle.id, handle.clone());
    }

    pub fn set_idle(&self, handle: &Handle) {
        let removed = self.busy.borrow_mut().remove(&handle.id);
        drop(removed);
    }

    /// The process is dead: a drawn part of what was on its way happens, and its handles are closed.
    pub fn process_died(&self, world: &World, _death: Death) {
        let busy = self.busy.take();
        for handle in busy.values() {
            handle.abandon(world);
        }
        let calls = self.calls.take();
        for (_, call) in calls {
            if self.dice(world).chance(500_000) {
                call(world, false);
            }
        }
        self.files.borrow_mut().close_all();
        let rate = world.faults().rate(FaultKind::DiskCacheDropped);
        let dice = self.dice(world);
        for image in self.files.borrow_mut().images() {
            if image.is_diverged() && dice.chance(rate) {
                image.drop_cache();
                world.fault(self.node, FaultKind::DiskCacheDropped, 0);
            }
        }
    }

    /// The cache is gone; what was not synced is there in part.
    pub fn power_cut(&self, world: &World) {
        let dice = self.dice(world);
        let torn_rate = world.faults().rate(FaultKind::DiskTornSector);
        let mut files = self.files.borrow_mut();
        for image in files.images() {
            if !image.has_unsynced() && !image.is_diverged() {
                continue;
            }
            let torn = torn_rate > 0 && dice.chance(torn_rate);
            let loss = image.power_cut(dice, torn);
            if loss.torn {
                world.fault(self.node, FaultKind::DiskTornSector, 0);
            }
            if loss.lost_sectors > 0 {
                let lost = loss.lost_sectors as u64;
                world.fault(self.node, FaultKind::DiskLostSectors, lost);
            }
            if loss.length {
                world.fault(self.node, FaultKind::DiskLostLength, 0);
            }
        }
        let lost = files.power_cut(dice);
        if lost > 0 {
            world.fault(self.node, FaultKind::DiskLostName, lost as u64);
        }
        self.stalled_until.set(0);
    }

    /// An empty disk in place of this one.
    pub fn wipe(&self) {
        let mut files = self.files.borrow_mut();
        let remembers = files.remembers;
        *files = Files::new(self.options.capacity);
        files.remembers = remembers;
    }

    /// Lets go of everything that could keep the world alive.
    pub fn clear(&self) {
        let busy = self.busy.take();
        for handle in busy.values() {
            handle.forget_all();
        }
        drop(busy);
        drop(self.calls.take());
        drop(self.watcher.take());
    }
}

pub(super) fn error(refused: Refusal, operation: DiskOperation, path: &Path) -> DiskError {
    DiskError {
        kind: refused.kind,
        operation,
        path: PathBuf::from(path),
        system: refused.words.to_owned(),
    }
}

/// The answer of an operation that goes on whether or not anybody waits for it.
pub(crate) struct Waiting<T>(Rc<Slot<T>>);

struct Slot<T> {
    life: Rc<Life>,
    value: RefCell<Option<T>>,
    waker: RefCell<Option<Waker>>,
}

impl<T> Clone for Waiting<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Waiting<T> {
    pub fn new(life: Rc<Life>) -> Self {
        Self(Rc::new(Slot {
            life,
            value: RefCell::new(None),
            waker: RefCell::new(None),
        }))
    }

    pub fn done(&self, value: T) {
        *self.0.value.borrow_mut() = Some(value);
        if let Some(waker) = self.0.waker.take() {
            waker.wake();
        }
    }
}

impl<T> Future for Waiting<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        if !self.0.life.alive.get() {
            return Poll::Pending;
        }
        if let Some(value) = self.0.value.take() {
            return Poll::Ready(value);
        }
        *self.0.waker.borrow_mut() = Some(context.waker().clone());
        Poll::Pending
    }
}
