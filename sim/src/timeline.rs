//! What will happen when: one heap of events in simulated time, and timers that can be taken back.
//!
//! Events at the same instant fire in the order in which they were put in. A timer that is dropped is
//! forgotten, not fired: a spurious wake would hide a wake that the product forgot.

use crate::world::World;
use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::rc::Rc;
use std::task::Waker;

/// What the kernel does at an event.
pub(crate) enum Event {
    Timer(TimerKey),
    /// The first operation of a file handle's queue ends, if it is still the one with this ticket.
    Disk(Rc<crate::disk::Handle>, u64),
    /// The first packet of one direction of a connection arrives.
    Packet(Rc<crate::net::Pair>, usize),
    Call(Box<dyn FnOnce(&World)>),
}

/// A timer, for as long as it has neither fired nor been taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimerKey {
    slot: u32,
    generation: u32,
}

struct Entry {
    at: u64,
    sequence: u64,
    event: Event,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    /// Reversed, for the heap gives out its greatest.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.sequence).cmp(&(self.at, self.sequence))
    }
}

struct TimerSlot {
    generation: u32,
    waker: Option<Waker>,
}

/// Taken-back timers stay in the heap until they are this many and more than half of it.
const STALE_MIN: usize = 4096;

#[derive(Default)]
pub(crate) struct Timeline {
    heap: BinaryHeap<Entry>,
    sequence: u64,
    timers: Vec<TimerSlot>,
    free: Vec<u32>,
    stale: usize,
}

impl Timeline {
    pub fn schedule(&mut self, at: u64, event: Event) {
        let sequence = self.sequence;
        self.sequence += 1;
        self.heap.push(Entry {
            at,
            sequence,
            event,
        });
    }

    /// Wakes `waker` at `at`, unless taken back before.
    pub fn arm(&mut self, at: u64, waker: Waker) -> TimerKey {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.timers.push(TimerSlot {
                generation: 0,
                waker: None,
            });
            (self.timers.len() - 1) as u32
        });
        let place = &mut self.timers[slot as usize];
        place.waker = Some(waker);
        let key = TimerKey {
            slot,
            generation: place.generation,
        };
        self.schedule(at, Event::Timer(key));
        key
    }

    /// Whether the timer has still to fire; if so, it will wake `waker`.
    pub fn rearm(&mut self, key: TimerKey, waker: &Waker) -> bool {
        let place = &mut self.timers[key.slot as usize];
        if place.generation != key.generation {
            return false;
        }
        match &mut place.waker {
            Some(present) => present.clone_from(waker),
            None => return false,
        }
        true
    }

    /// Takes a timer back; nothing happens if it has fired.
    pub fn disarm(&mut self, key: TimerKey) {
        if self.release(key).is_some() {
            self.stale += 1;
            if self.stale > STALE_MIN && self.stale > self.heap.len() / 2 {
                self.compact();
            }
        }
    }

    fn release(&mut self, key: TimerKey) -> Option<Waker> {
        let place = &mut self.timers[key.slot as usize];
        if place.generation != key.generation {
            return None;
        }
        place.generation = place.generation.wrapping_add(1);
        self.free.push(key.slot);
        place.waker.take()
    }

    fn compact(&mut self) {
        let timers = &self.timers;
        self.heap.retain(|entry| match &entry.event {
            Event::Timer(key) => timers[key.slot as usize].generation == key.generation,
            _ => true,
        });
        self.stale = 0;
    }

    /// The time of the next event, after forgetting what was taken back.
    pub fn next_at(&mut self) -> Option<u64> {
        while let Some(entry) = self.heap.peek() {
            match &entry.event {
                Event::Timer(key)
                    if self.timers[key.slot as usize].generation != key.generation =>
                {
                    self.stale = self.stale.saturating_sub(1);
                    self.heap.pop();
                }
                _ => return Some(entry.at),
            }
        }
        None
    }

    /// The next event, and its time. Call after [`Timeline::next_at`].
    pub fn pop(&mut self) -> Option<(u64, Event)> {
        self.heap.pop().map(|entry| (entry.at, entry.event))
    }

    /// The waker of a timer that fires now.
    pub fn fire(&mut self, key: TimerKey) -> Option<Waker> {
        self.release(key)
    }

    /// Everything that was to come, for the end of the world.
    pub fn clear(&mut self) -> Vec<Event> {
        let events = std::mem::take(&mut self.heap);
        events.into_iter().map(|entry| entry.event).collect()
    }
}
