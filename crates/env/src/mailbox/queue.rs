//! A bounded queue of many producers and many consumers, after Dmitry Vyukov's: an array whose slots carry a turn.
//!
//! Position `p` (0, 1, 2, ... without end) lives in slot `p % capacity`. A slot's turn says whose it is: `2p` means
//! free for the push at `p`, `2p + 1` means filled by it, and the pop at `p` hands the slot on to `p + capacity`. A
//! push first claims its position by moving `tail`, then fills the slot, then publishes it by the turn; between
//! the claim and the publication a pop sees the queue as ended there.

use super::atomics::{Atomics, Cell, Word};
use std::mem::MaybeUninit;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

pub(super) struct Queue<M, A: Atomics> {
    slots: Box<[Slot<M, A>]>,
    /// The next position to push; producers fight over it, so it has a cache line of its own.
    tail: OwnLine<A::Word>,
    /// The next position to pop.
    head: OwnLine<A::Word>,
}

struct Slot<M, A: Atomics> {
    turn: A::Word,
    message: A::Cell<MaybeUninit<M>>,
}

/// Two cache lines of 64 bytes, which processors fetch in pairs.
#[repr(align(128))]
struct OwnLine<T>(T);

impl<M, A: Atomics> Queue<M, A> {
    pub(super) fn new(capacity: usize) -> Self {
        assert!(capacity > 0, "a mailbox holds at least one message");
        let slot = |position| Slot {
            turn: A::Word::new(2 * position),
            message: A::Cell::new(MaybeUninit::uninit()),
        };
        Queue {
            slots: (0..capacity).map(slot).collect(),
            tail: OwnLine(A::Word::new(0)),
            head: OwnLine(A::Word::new(0)),
        }
    }

    /// Gives the message back if the queue is full.
    pub(super) fn push(&self, message: M) -> Result<(), M> {
        loop {
            let position = self.tail.0.load(Relaxed);
            let slot = &self.slots[position % self.slots.len()];
            let turn = slot.turn.load(Acquire);
            if turn < 2 * position {
                return Err(message);
            }
            let claim = turn == 2 * position
                && self
                    .tail
                    .0
                    .compare_exchange(position, position + 1, Relaxed, Relaxed)
                    .is_ok();
            if claim {
                // SAFETY: the turn said that the slot is free for `position`, and `tail` moved past `position` once,
                // here: nobody else touches the message until the turn says that it is filled.
                slot.message.with_mut(|place| unsafe {
                    (*place).write(message);
                });
                slot.turn.store(2 * position + 1, Release);
                return Ok(());
            }
            A::spin();
        }
    }

    /// `None` if the queue is empty, or the next message is still being put in.
    pub(super) fn pop(&self) -> Option<M> {
        loop {
            let position = self.head.0.load(Relaxed);
            let slot = &self.slots[position % self.slots.len()];
            let turn = slot.turn.load(Acquire);
            if turn < 2 * position + 1 {
                return None;
            }
            let claim = turn == 2 * position + 1
                && self
                    .head
                    .0
                    .compare_exchange(position, position + 1, Relaxed, Relaxed)
                    .is_ok();
            if claim {
                // SAFETY: the turn said that the push at `position` filled the slot, and `head` moved past `position`
                // once, here: the message is initialised, ours, and read once.
                let message = slot
                    .message
                    .with_mut(|place| unsafe { (*place).assume_init_read() });
                let next = position + self.slots.len();
                slot.turn.store(2 * next, Release);
                return Some(message);
            }
            A::spin();
        }
    }

    pub(super) fn len(&self) -> usize {
        let head = self.head.0.load(Relaxed);
        let tail = self.tail.0.load(Relaxed);
        // The two were read at different moments.
        tail.saturating_sub(head).min(self.slots.len())
    }
}

impl<M, A: Atomics> Drop for Queue<M, A> {
    fn drop(&mut self) {
        while let Some(message) = self.pop() {
            drop(message);
        }
    }
}
