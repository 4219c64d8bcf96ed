//! Tasks and who polls next.
//!
//! A task's waker is a number (slot and generation), not a pointer: waking pushes it onto a list of this
//! thread, which the kernel takes over between polls. So wakers cost no allocation, may be kept longer than
//! their task, and may be called from anywhere in the product as long as it is this thread; there is no other
//! thread in a simulation. Which of the ready tasks is polled next is a keyed decision.

use crate::decision::{Decisions, Stream};
use crate::node::Life;
use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{RawWaker, RawWakerVTable, Waker};

pub(crate) type TaskFuture = Pin<Box<dyn Future<Output = ()>>>;

/// Slot in the low half, generation in the high half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TaskId(pub u64);

impl TaskId {
    fn new(slot: usize, generation: u32) -> Self {
        Self((u64::from(generation) << 32) | slot as u64)
    }

    fn slot(self) -> usize {
        (self.0 & 0xffff_ffff) as usize
    }

    fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

const _: () = assert!(size_of::<usize>() == 8, "a task id travels in a pointer");

thread_local! {
    /// Tasks woken since the kernel last looked; `None` on threads that run no simulation.
    static WOKEN: RefCell<Option<Vec<TaskId>>> = const { RefCell::new(None) };
}

static VTABLE: RawWakerVTable = RawWakerVTable::new(clone_raw, wake_raw, wake_raw, drop_raw);

fn clone_raw(data: *const ()) -> RawWaker {
    RawWaker::new(data, &VTABLE)
}

fn wake_raw(data: *const ()) {
    WOKEN.with_borrow_mut(|woken| match woken {
        Some(woken) => woken.push(TaskId(data.addr() as u64)),
        None => panic!("a simulated task was woken from a thread that runs no simulation"),
    });
}

fn drop_raw(_: *const ()) {}

pub(crate) fn waker(id: TaskId) -> Waker {
    // SAFETY: the functions of the table never dereference the pointer, which is only a number, so they are
    // sound on every thread and for as long as anybody likes.
    unsafe { Waker::new(std::ptr::without_provenance(id.0 as usize), &VTABLE) }
}

/// Who a task belongs to: a node's incarnation, or nobody (the harness).
#[derive(Clone)]
pub(crate) struct Owner {
    pub life: Option<Rc<Life>>,
    pub shard: usize,
}

impl Owner {
    pub fn harness() -> Self {
        Self {
            life: None,
            shard: 0,
        }
    }
}

struct Slot {
    generation: u32,
    /// In the ready list, or parked with its paused node.
    queued: bool,
    /// Away while it is being polled.
    future: Option<TaskFuture>,
    owner: Option<Owner>,
}

/// How the next task is chosen; drawn per seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchedulePolicy {
    /// Any ready task, all alike.
    Uniform,
    /// The one that has been ready for longest.
    Fifo,
    /// The one that became ready last: others starve while it can run.
    Lifo,
    /// As uniform, but every fourth task runs only now and then while others are ready.
    Starve,
}

pub(crate) struct Scheduler {
    slots: Vec<Slot>,
    free: Vec<usize>,
    ready: Vec<TaskId>,
    spare: Vec<TaskId>,
    live: usize,
    pub policy: SchedulePolicy,
}

/// A task taken out for a poll.
pub(crate) struct Taken {
    pub id: TaskId,
    pub future: TaskFuture,
    pub owner: Owner,
}

impl Scheduler {
    /// Begins to collect the wakes of this thread.
    pub fn new() -> Self {
        WOKEN.set(Some(Vec::new()));
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            ready: Vec::new(),
            spare: Vec::new(),
            live: 0,
            policy: SchedulePolicy::Uniform,
        }
    }

    pub fn spawn(&mut self, owner: Owner, future: TaskFuture) -> TaskId {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot {
                generation: 0,
                queued: false,
                future: None,
                owner: None,
            });
            self.slots.len() - 1
        });
        let place = &mut self.slots[slot];
        place.future = Some(future);
        place.owner = Some(owner);
        place.queued = true;
        let id = TaskId::new(slot, place.generation);
        self.ready.push(id);
        self.live += 1;
        id
    }

    /// Tasks that have not ended.
    pub fn live(&self) -> usize {
        self.live
    }

    /// Moves what was woken since into the ready list.
    pub fn collect_wakes(&mut self) {
        let mut woken = std::mem::take(&mut self.spare);
        WOKEN.with_borrow_mut(|list| {
            if let Some(list) = list {
                std::mem::swap(list, &mut woken);
            }
        });
        for id in woken.drain(..) {
            if let Some(slot) = self.slots.get_mut(id.slot())
                && slot.generation == id.generation()
                && slot.owner.is_some()
                && !slot.queued
            {
                slot.queued = true;
                self.ready.push(id);
            }
        }
        self.spare = woken;
    }

    /// Puts back tasks that were parked while their node was paused.
    pub fn unpark(&mut self, parked: Vec<TaskId>) {
        self.ready.extend(parked);
    }

    /// Takes the next task to poll; `None` when nobody is ready.
    pub fn take_next(&mut self, decisions: &Decisions, stream: Stream) -> Option<Taken> {
        loop {
            self.collect_wakes();
            let id = match self.ready.len() {
                0 => return None,
                1 => self.ready.pop()?,
                count => self.choose(count, decisions, stream),
            };
            let slot = &mut self.slots[id.slot()];
            if slot.generation != id.generation() {
                continue;
            }
            let owner = slot.owner.clone()?;
            if let Some(life) = &owner.life
                && life.paused.get()
            {
                life.parked.borrow_mut().push(id);
                continue;
            }
            slot.queued = false;
            if let Some(future) = slot.future.take() {
                return Some(Taken { id, future, owner });
            }
        }
    }

    fn choose(&mut self, count: usize, decisions: &Decisions, stream: Stream) -> TaskId {
        match self.policy {
            SchedulePolicy::Fifo => self.ready.remove(0),
            SchedulePolicy::Lifo => self.ready.remove(count - 1),
            SchedulePolicy::Uniform => {
                let index = decisions.below(stream, count as u64) as usize;
                self.ready.swap_remove(index)
            }
            SchedulePolicy::Starve => {
                let mut index = decisions.below(stream, count as u64) as usize;
                for _ in 0..3 {
                    if self.ready[index].slot() % 4 != 3 {
                        break;
                    }
                    index = decisions.below(stream, count as u64) as usize;
                }
                self.ready.swap_remove(index)
            }
        }
    }

    /// Gives a pending task back after its poll. If it was removed meanwhile, its future comes back to be dropped.
    pub fn put_back(&mut self, id: TaskId, future: TaskFuture) -> Option<TaskFuture> {
        let slot = &mut self.slots[id.slot()];
        if slot.generation == id.generation() && slot.owner.is_some() {
            slot.future = Some(future);
            None
        } else {
            Some(future)
        }
    }

    /// Forgets a task that has ended.
    pub fn end(&mut self, id: TaskId) {
        if self.slots[id.slot()].generation == id.generation() {
            self.release(id.slot());
        }
    }

    fn release(&mut self, slot: usize) -> Option<TaskFuture> {
        let place = &mut self.slots[slot];
        place.generation = place.generation.wrapping_add(1);
        place.queued = false;
        place.owner = None;
        self.live -= 1;
        self.free.push(slot);
        place.future.take()
    }

    /// Takes away every task whose owner answers to `which`. The caller drops the futures when nothing is borrowed.
    pub fn remove(&mut self, which: impl Fn(&Owner) -> bool) -> Vec<TaskFuture> {
        let mut removed = Vec::new();
        for slot in 0..self.slots.len() {
            if self.slots[slot].owner.as_ref().is_some_and(&which) {
                removed.extend(self.release(slot));
            }
        }
        removed
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        // Wakers may outlive the simulation by a few drops; what they wake is gone.
        WOKEN.set(Some(Vec::new()));
    }
}
