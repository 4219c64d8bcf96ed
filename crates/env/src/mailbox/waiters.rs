//! The line of senders that wait for room: pushed by any sender, taken as a whole by the receiver.
//!
//! A stack of shared nodes under one atomic pointer. The receiver always takes all of it, so a node is never
//! taken from under somebody's feet, and turns it round into the order of arrival. A node
//! says itself whether it stands in line, so that it never does twice, whatever its sender does meanwhile.

use super::atomics::{Atomics, Cell, Pointer, Word};
use super::waker::WakerSlot;
use std::collections::VecDeque;
use std::ptr;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::task::Waker;

/// One sender's place in line; used by one send at a time.
pub(super) struct Waiter<A: Atomics> {
    waker: WakerSlot<A>,
    /// 1 while it is in the stack or in the receiver's line. Whoever turns 0 into 1 puts it there.
    in_line: A::Word,
    /// 1 if its send was woken before and found the room taken. Written before the push, as `below`.
    again: A::Word,
    /// The node below in the stack. Written before the push, read after the take.
    below: A::Cell<*mut Waiter<A>>,
}

impl<A: Atomics> Waiter<A> {
    pub(super) fn new() -> Self {
        Waiter {
            waker: WakerSlot::new(),
            in_line: A::Word::new(0),
            again: A::Word::new(0),
            below: A::Cell::new(ptr::null_mut()),
        }
    }

    /// The receiver took it out of the line. Says whether anybody was waiting there.
    pub(super) fn leave_line_and_wake(&self) -> bool {
        // First out of the line, then the waker: a sender that registered and still saw itself in line is found.
        self.in_line.swap(0, AcqRel);
        self.waker.wake()
    }

    /// The send is over; its place in line, if it has one, wakes nobody.
    pub(super) fn forget_waker(&self) {
        self.waker.forget();
    }
}

/// The stack.
pub(super) struct Waiters<A: Atomics> {
    top: A::Pointer<Waiter<A>>,
}

impl<A: Atomics> Waiters<A> {
    pub(super) fn new() -> Self {
        Waiters {
            top: A::Pointer::new(ptr::null_mut()),
        }
    }

    /// Puts the waiter in line unless it stands there, to be woken by `waker`; at the head of the line if it was
    /// there `again`. The caller must look for room once more after that: what the receiver freed before its last
    /// take is visible then.
    pub(super) fn wait(&self, waiter: &A::Shared<Waiter<A>>, again: bool, waker: &Waker) {
        waiter.waker.register(waker);
        if waiter.in_line.swap(1, AcqRel) == 1 {
            return;
        }
        waiter.again.store(usize::from(again), Relaxed);
        let node = A::into_raw(waiter.clone()).cast_mut();
        let mut top = self.top.load(Relaxed);
        loop {
            // SAFETY: we turned `in_line` into 1, so the node is in no stack and `below` is ours until the push.
            waiter.below.with_mut(|below| unsafe { *below = top });
            match self.top.compare_exchange(top, node, AcqRel, Acquire) {
                Ok(_) => return,
                Err(now) => top = now,
            }
            A::spin();
        }
    }

    /// Moves everybody in the stack to the end of `line`, the first to come first; but those that are there again
    /// to its head.
    pub(super) fn take_into(&self, line: &mut VecDeque<A::Shared<Waiter<A>>>) {
        // A swap even if nobody is there: it is what tells the next waiter of the room made before.
        let mut node = self.top.swap(ptr::null_mut(), AcqRel);
        let mut first = line.len();
        while !node.is_null() {
            // SAFETY: the node's ownership was put into the stack by `into_raw`, and leaves it once, here.
            let waiter = unsafe { A::from_raw(node) };
            // SAFETY: written before the push that the swap read; not written again while in line.
            node = waiter.below.with_mut(|below| unsafe { *below });
            if waiter.again.load(Relaxed) == 1 {
                line.push_front(waiter);
                first += 1;
            } else {
                line.push_back(waiter);
            }
        }
        if line.len() - first > 1 {
            line.make_contiguous()[first..].reverse();
        }
    }
}

impl<A: Atomics> Drop for Waiters<A> {
    fn drop(&mut self) {
        self.take_into(&mut VecDeque::new());
    }
}
