//! "Something changed": what tasks of one shard wait on when the state itself lies in a `RefCell` beside it.
//!
//! Take a mark, look at the state, and wait for the mark to be overtaken: a change between looking and waiting is
//! never missed. Waiters are bounded by the tasks there are.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// See the module's head.
#[derive(Default)]
pub(crate) struct Signal {
    changes: Cell<u64>,
    wakers: RefCell<Vec<Waker>>,
}

impl Signal {
    /// Where the count stands.
    pub fn mark(&self) -> u64 {
        self.changes.get()
    }

    /// Wakes everybody who waits.
    pub fn notify(&self) {
        self.changes.set(self.changes.get().wrapping_add(1));
        for waker in self.wakers.take() {
            waker.wake();
        }
    }

    /// Ready once something changed after `mark` was taken.
    pub fn changed(&self, mark: u64) -> Changed<'_> {
        Changed { signal: self, mark }
    }
}

/// The future of [`Signal::changed`].
pub(crate) struct Changed<'a> {
    signal: &'a Signal,
    mark: u64,
}

impl Future for Changed<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.signal.changes.get() != self.mark {
            return Poll::Ready(());
        }
        let mut wakers = self.signal.wakers.borrow_mut();
        if !wakers.iter().any(|waker| waker.will_wake(context.waker())) {
            wakers.push(context.waker().clone());
        }
        Poll::Pending
    }
}
