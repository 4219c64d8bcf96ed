//! A local bell: one task rings, one task waits.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::task::{Poll, Waker};

/// Rings stay until they are heard; ringing twice is ringing once.
#[derive(Default)]
pub struct Signal {
    rung: Cell<bool>,
    waiter: RefCell<Option<Waker>>,
}

impl Signal {
    pub fn ring(&self) {
        self.rung.set(true);
        if let Some(waker) = self.waiter.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Ready once it was rung since the last time.
    pub fn heard(&self) -> impl Future<Output = ()> + '_ {
        poll_fn(|context| {
            if self.rung.take() {
                return Poll::Ready(());
            }
            *self.waiter.borrow_mut() = Some(context.waker().clone());
            Poll::Pending
        })
    }
}
