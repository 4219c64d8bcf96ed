//! Something that happens, and everybody who waits for it, on one shard.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// Set once, seen by all from then on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Signal(Rc<State>);

#[derive(Debug, Default)]
struct State {
    /// How many things keep the waiting from being over.
    open: Cell<usize>,
    next: Cell<u64>,
    waiting: RefCell<BTreeMap<u64, Waker>>,
    set: Cell<bool>,
}

impl State {
    fn wake_all(&self) {
        let waiting = std::mem::take(&mut *self.waiting.borrow_mut());
        waiting.into_values().for_each(Waker::wake);
    }
}

/// Waits until what it was made for is the case. Leaves nothing behind when it is dropped.
#[derive(Debug)]
pub(crate) struct Wait {
    state: Rc<State>,
    is_over: fn(&State) -> bool,
    place: Option<u64>,
}

impl Wait {
    fn new(state: &Rc<State>, is_over: fn(&State) -> bool) -> Wait {
        Wait {
            state: state.clone(),
            is_over,
            place: None,
        }
    }
}

impl Future for Wait {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if (self.is_over)(&self.state) {
            return Poll::Ready(());
        }
        let state = self.state.clone();
        let place = *self.place.get_or_insert_with(|| {
            let place = state.next.get();
            state.next.set(place + 1);
            place
        });
        let mut waiting = state.waiting.borrow_mut();
        waiting.insert(place, context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.state.waiting.borrow_mut().remove(&place);
        }
    }
}

impl Signal {
    pub fn set(&self) {
        self.0.set.set(true);
        self.0.wake_all();
    }

    pub fn is_set(&self) -> bool {
        self.0.set.get()
    }

    /// Ready once it is set.
    pub fn wait(&self) -> Wait {
        Wait::new(&self.0, |state| state.set.get())
    }
}

/// Counts things under way, for those who wait until there are none.
#[derive(Clone, Debug, Default)]
pub(crate) struct UnderWay(Rc<State>);

/// One thing under way, until it is dropped.
#[derive(Debug)]
pub(crate) struct Step(Rc<State>);

impl UnderWay {
    pub fn begin(&self) -> Step {
        self.0.open.set(self.0.open.get() + 1);
        Step(self.0.clone())
    }

    pub fn count(&self) -> usize {
        self.0.open.get()
    }

    /// Ready when nothing is under way.
    pub fn none(&self) -> Wait {
        Wait::new(&self.0, |state| state.open.get() == 0)
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get() - 1);
        if self.0.open.get() == 0 {
            self.0.wake_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[test]
    fn none_is_ready_only_while_nothing_is_under_way() {
        let under_way = UnderWay::default();
        assert!(under_way.none().now_or_never().is_some());
        let (one, two) = (under_way.begin(), under_way.begin());
        assert!(under_way.none().now_or_never().is_none());
        drop(one);
        assert!(under_way.none().now_or_never().is_none());
        drop(two);
        assert!(under_way.none().now_or_never().is_some());
    }

    #[test]
    fn a_wait_that_is_given_up_leaves_nothing_behind() {
        let signal = Signal::default();
        assert!(signal.wait().now_or_never().is_none());
        assert!(signal.0.waiting.borrow().is_empty());
        signal.set();
        assert!(signal.wait().now_or_never().is_some());
    }
}
