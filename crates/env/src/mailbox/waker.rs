//! A place for one waker: put there by one task, taken by anybody, without locks.
//!
//! Three states guard the place: at rest, being registered, being taken. Whoever finds the place busy never waits. One
//! that wants to wake during a registration leaves a mark, and the registering task wakes itself; one that
//! wants to register during a wake-up wakes itself at once.

use super::atomics::{Atomics, Cell, Word};
use std::sync::atomic::Ordering::{AcqRel, Acquire, Release};
use std::task::Waker;

const REST: usize = 0;
const REGISTERING: usize = 1;
const WAKING: usize = 2;

pub(super) struct WakerSlot<A: Atomics> {
    state: A::Word,
    waker: A::Cell<Option<Waker>>,
}

impl<A: Atomics> WakerSlot<A> {
    pub(super) fn new() -> Self {
        WakerSlot {
            state: A::Word::new(REST),
            waker: A::Cell::new(None),
        }
    }

    /// Makes `waker` the one to wake. Only one task at a time may call this. What another thread did before
    /// a [`wake`](Self::wake) that missed this waker is visible when this returns.
    pub(super) fn register(&self, waker: &Waker) {
        if let Err(state) = self
            .state
            .compare_exchange(REST, REGISTERING, Acquire, Acquire)
        {
            debug_assert_eq!(state, WAKING, "one task registers at a time");
            waker.wake_by_ref();
            A::spin();
            return;
        }
        // SAFETY: REGISTERING is set by us alone, and keeps takers away.
        let replaced = self.waker.with_mut(|place| unsafe {
            match &*place {
                Some(present) if present.will_wake(waker) => None,
                _ => (*place).replace(waker.clone()),
            }
        });
        if self
            .state
            .compare_exchange(REGISTERING, REST, AcqRel, Acquire)
            .is_err()
        {
            // SAFETY: the taker that came meanwhile only left its mark; REGISTERING is still set.
            let missed = self.waker.with_mut(|place| unsafe { (*place).take() });
            self.state.swap(REST, AcqRel);
            if let Some(missed) = missed {
                missed.wake();
            }
        }
        drop(replaced);
    }

    /// Wakes the registered task, if there is one, and says whether there was.
    pub(super) fn wake(&self) -> bool {
        match self.take() {
            Some(waker) => {
                waker.wake();
                true
            }
            None => false,
        }
    }

    /// Nobody is to be woken any more.
    pub(super) fn forget(&self) {
        drop(self.take());
    }

    fn take(&self) -> Option<Waker> {
        if self.state.fetch_or(WAKING, AcqRel) != REST {
            return None;
        }
        // SAFETY: the state was at rest, and WAKING, set by us, keeps everybody else away.
        let waker = self.waker.with_mut(|place| unsafe { (*place).take() });
        self.state.fetch_and(!WAKING, Release);
        waker
    }
}
