//! One answer, from one thread to another.

use super::atomics::{Atomics, Cell, RealAtomics, Word};
use super::waker::WakerSlot;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::Ordering::{AcqRel, Acquire};
use std::task::{Context, Poll};

/// Nothing has happened yet.
const OPEN: usize = 0;
/// The answer is in the cell.
const ANSWERED: usize = 1;
/// The one who should have answered is gone.
const ABANDONED: usize = 2;
/// The one who asked is gone, or has the answer.
const DONE: usize = 3;

/// The one who should have answered is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abandoned;

impl fmt::Display for Abandoned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nobody is left to answer")
    }
}

impl std::error::Error for Abandoned {}

/// A reply, and the right to give it once.
pub fn oneshot<T: Send>() -> (ReplySender<T>, Reply<T>) {
    oneshot_with()
}

/// [`oneshot`] on other atomics than the processor's, for model checkers.
pub fn oneshot_with<T: Send, A: Atomics>() -> (ReplySender<T, A>, Reply<T, A>) {
    let shared = A::share(Shared {
        state: A::Word::new(OPEN),
        answer: A::Cell::new(None),
        asker: WakerSlot::new(),
    });
    let reply = Reply {
        shared: shared.clone(),
    };
    (ReplySender { shared }, reply)
}

struct Shared<T, A: Atomics> {
    state: A::Word,
    /// The replier's until the state leaves OPEN; then of whoever moves the state away from ANSWERED.
    answer: A::Cell<Option<T>>,
    asker: WakerSlot<A>,
}

impl<T, A: Atomics> Shared<T, A> {
    fn take_answer(&self) -> Option<T> {
        // SAFETY: called only by the side whose change of state made the answer its own; see `answer`.
        self.answer.with_mut(|place| unsafe { (*place).take() })
    }
}

/// Gives the answer. Dropped without one, the asker learns that it was [`Abandoned`].
pub struct ReplySender<T, A: Atomics = RealAtomics> {
    shared: A::Shared<Shared<T, A>>,
}

// SAFETY: the two halves share the answer as `Shared::answer` says, one at a time; it moves between threads,
// hence `T: Send`.
unsafe impl<T: Send, A: Atomics> Send for ReplySender<T, A> {}

impl<T, A: Atomics> ReplySender<T, A> {
    /// Answers, or gives the answer back if nobody waits for it any more.
    pub fn send(self, answer: T) -> Result<(), T> {
        // SAFETY: the state is OPEN or DONE as seen from here, and the cell is ours in both.
        self.shared
            .answer
            .with_mut(|place| unsafe { *place = Some(answer) });
        if self.shared.state.swap(ANSWERED, AcqRel) == DONE {
            return Err(self
                .shared
                .take_answer()
                .expect("put there by the line above"));
        }
        // The asker is woken by the drop of `self`.
        Ok(())
    }

    /// Whether somebody still waits for the answer.
    pub fn is_wanted(&self) -> bool {
        self.shared.state.load(Acquire) != DONE
    }
}

impl<T, A: Atomics> Drop for ReplySender<T, A> {
    fn drop(&mut self) {
        // Only OPEN becomes ABANDONED; an answer that was given stays.
        let _ = self
            .shared
            .state
            .compare_exchange(OPEN, ABANDONED, AcqRel, Acquire);
        self.shared.asker.wake();
    }
}

/// The answer to come.
#[must_use = "the answer is lost unless it is awaited"]
pub struct Reply<T, A: Atomics = RealAtomics> {
    shared: A::Shared<Shared<T, A>>,
}

// SAFETY: as for `ReplySender`.
unsafe impl<T: Send, A: Atomics> Send for Reply<T, A> {}

impl<T, A: Atomics> Reply<T, A> {
    fn look(&self) -> Poll<Result<T, Abandoned>> {
        match self.shared.state.load(Acquire) {
            OPEN => Poll::Pending,
            ANSWERED => {
                self.shared.state.swap(DONE, AcqRel);
                Poll::Ready(self.shared.take_answer().ok_or(Abandoned))
            }
            _ => Poll::Ready(Err(Abandoned)),
        }
    }
}

/// Once it was ready, it is ready with [`Abandoned`] for ever.
impl<T, A: Atomics> Future for Reply<T, A> {
    type Output = Result<T, Abandoned>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Poll::Ready(answer) = self.look() {
            return Poll::Ready(answer);
        }
        self.shared.asker.register(context.waker());
        self.look()
    }
}

impl<T, A: Atomics> Drop for Reply<T, A> {
    fn drop(&mut self) {
        self.shared.asker.forget();
        if self.shared.state.swap(DONE, AcqRel) == ANSWERED {
            drop(self.shared.take_answer());
        }
    }
}
