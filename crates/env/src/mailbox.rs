//! The only code that crosses threads: bounded mailboxes between shards, and one-time replies.
//!
//! A mailbox has many senders and one receiver. Sending never blocks a thread: [`Sender::try_send`] answers at
//! once, [`Sender::send`] waits as a future while the mailbox is full, and that is how a slow shard slows those
//! that give it work. Messages of one sender arrive in the order in which its sends were accepted. Nothing here
//! knows a runtime: it works with any [`Waker`](std::task::Waker), so in the simulator, on one
//! thread, it is deterministic.
//!
//! What must hold:
//! - *No wake-up is lost.* Whoever is about to sleep first makes itself known, then looks once more; whoever
//!   changes something first changes it, then looks for sleepers. Both looks are read-modify-writes of one
//!   atomic, so one of the two sees the other.
//! - *Nobody sleeps beside an empty mailbox.* Each message taken wakes the longest waiting sender; a receiver that finds
//!   nothing wakes all of them before it sleeps. So a woken sender may be dropped, or be late, without harm to the others.
//! - *Nothing is left behind.* When the receiver is gone, every message, also one that is being sent at that
//!   moment, is dropped at once, so that the replies it carries end as [`Abandoned`].
//!
//! The code is generic over its atomics so that the tests run the very same code under a model checker.

mod atomics;
mod oneshot;
mod queue;
mod waiters;
mod waker;

#[cfg(test)]
mod tests;

pub use atomics::{Atomics, Cell, Pointer, RealAtomics, Word};
pub use oneshot::{Abandoned, Reply, ReplySender, oneshot, oneshot_with};

use queue::Queue;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::task::{Context, Poll};
use waiters::{Waiter, Waiters};
use waker::WakerSlot;

/// Why a message could not be sent at once. The message comes back.
#[derive(Debug, PartialEq, Eq)]
pub enum TrySendError<M> {
    /// There is no room now.
    Full(M),
    /// The receiver is gone.
    Closed(M),
}

/// The receiver is gone. The message comes back.
#[derive(Debug, PartialEq, Eq)]
pub struct Closed<M>(pub M);

/// A mailbox that holds at most `capacity` messages.
///
/// # Panics
/// If `capacity` is zero.
pub fn bounded<M: Send>(capacity: usize) -> (Sender<M>, Receiver<M>) {
    bounded_with(capacity)
}

/// [`bounded`] on other atomics than the processor's, for model checkers.
pub fn bounded_with<M: Send, A: Atomics>(capacity: usize) -> (Sender<M, A>, Receiver<M, A>) {
    let shared = A::share(Shared {
        queue: Queue::new(capacity),
        waiters: Waiters::new(),
        receiver: WakerSlot::new(),
        senders: A::Word::new(1),
        closed: A::Word::new(0),
    });
    let sender = Sender {
        shared: shared.clone(),
        spare: RefCell::new(Vec::new()),
    };
    let receiver = Receiver {
        shared,
        waiting: VecDeque::new(),
    };
    (sender, receiver)
}

struct Shared<M, A: Atomics> {
    queue: Queue<M, A>,
    /// Senders that have begun to wait since the receiver last looked.
    waiters: Waiters<A>,
    /// The receiver, while it waits.
    receiver: WakerSlot<A>,
    /// How many [`Sender`]s there are.
    senders: A::Word,
    /// 1 once the receiver is gone.
    closed: A::Word,
}

impl<M, A: Atomics> Shared<M, A> {
    fn is_closed(&self) -> bool {
        self.closed.load(Acquire) != 0
    }

    fn try_send(&self, message: M) -> Result<(), TrySendError<M>> {
        if self.is_closed() {
            return Err(TrySendError::Closed(message));
        }
        self.queue.push(message).map_err(TrySendError::Full)?;
        // This wake-up is also what the closing receiver and this sender agree by: either the receiver's
        // last look at the queue comes after, or `closed` is seen here.
        self.receiver.wake();
        if self.is_closed() {
            self.discard();
        }
        Ok(())
    }

    fn discard(&self) {
        while let Some(message) = self.queue.pop() {
            drop(message);
        }
    }
}

/// Gives messages to a mailbox. Clones give to the same one; it is not shared between threads, but cloned.
pub struct Sender<M, A: Atomics = RealAtomics> {
    shared: A::Shared<Shared<M, A>>,
    /// Waiters that no send of this handle uses. One may still stand in line after its send was dropped; the next
    /// send takes over its place, so that sends that are dropped again and again do not pile up.
    spare: RefCell<Vec<A::Shared<Waiter<A>>>>,
}

// SAFETY: a `Sender` reaches the other threads only through `Shared`, whose parts are each made for use from many
// threads; messages move between threads, hence `M: Send`. `spare` is this handle's own.
unsafe impl<M: Send, A: Atomics> Send for Sender<M, A> {}

impl<M, A: Atomics> Sender<M, A> {
    /// Puts `message` into the mailbox if there is room now. It may pass sends that wait.
    pub fn try_send(&self, message: M) -> Result<(), TrySendError<M>> {
        self.shared.try_send(message)
    }

    /// Puts `message` into the mailbox, waiting while it is full. Waiting sends are woken in the order in
    /// which they began to wait. If the future is dropped before it is ready, nothing was sent.
    pub fn send(&self, message: M) -> Sending<'_, M, A> {
        Sending {
            sender: self,
            message: Some(message),
            waiter: None,
        }
    }

    /// Whether the receiver is gone.
    pub fn is_closed(&self) -> bool {
        self.shared.is_closed()
    }

    /// How many messages wait, at some recent moment.
    pub fn len(&self) -> usize {
        self.shared.queue.len()
    }

    /// Whether no message waited, at some recent moment.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<M, A: Atomics> Clone for Sender<M, A> {
    fn clone(&self) -> Self {
        self.shared.senders.fetch_add(1, Relaxed);
        Sender {
            shared: self.shared.clone(),
            spare: RefCell::new(Vec::new()),
        }
    }
}

impl<M, A: Atomics> Drop for Sender<M, A> {
    fn drop(&mut self) {
        if self.shared.senders.fetch_sub(1, AcqRel) == 1 {
            self.shared.receiver.wake();
        }
    }
}

/// A message on its way into a mailbox: the future of [`Sender::send`].
#[must_use = "nothing is sent unless it is awaited"]
pub struct Sending<'a, M, A: Atomics = RealAtomics> {
    sender: &'a Sender<M, A>,
    /// There until it is sent, or given back.
    message: Option<M>,
    /// There once this send had to wait.
    waiter: Option<A::Shared<Waiter<A>>>,
}

// Nothing in it is ever pinned.
impl<M, A: Atomics> Unpin for Sending<'_, M, A> {}

impl<M, A: Atomics> Sending<'_, M, A> {
    /// `None`: the mailbox is full, the message is still here.
    fn attempt(&mut self) -> Option<Result<(), Closed<M>>> {
        let message = self.message.take().expect("a send is not polled again");
        match self.sender.shared.try_send(message) {
            Ok(()) => Some(Ok(())),
            Err(TrySendError::Closed(message)) => Some(Err(Closed(message))),
            Err(TrySendError::Full(message)) => {
                self.message = Some(message);
                None
            }
        }
    }
}

impl<M, A: Atomics> Future for Sending<'_, M, A> {
    type Output = Result<(), Closed<M>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(answer) = self.attempt() {
            return Poll::Ready(answer);
        }
        let sender = self.sender;
        let again = self.waiter.is_some();
        let waiter = self.waiter.get_or_insert_with(|| {
            let spare = sender.spare.borrow_mut().pop();
            spare.unwrap_or_else(|| A::share(Waiter::new()))
        });
        sender.shared.waiters.wait(waiter, again, context.waker());
        match self.attempt() {
            Some(answer) => Poll::Ready(answer),
            None => Poll::Pending,
        }
    }
}

impl<M, A: Atomics> Drop for Sending<'_, M, A> {
    fn drop(&mut self) {
        if let Some(waiter) = self.waiter.take() {
            waiter.forget_waker();
            self.sender.spare.borrow_mut().push(waiter);
        }
    }
}

/// Takes messages out of a mailbox.
pub struct Receiver<M, A: Atomics = RealAtomics> {
    shared: A::Shared<Shared<M, A>>,
    /// Senders in line, the longest waiting first.
    waiting: VecDeque<A::Shared<Waiter<A>>>,
}

// SAFETY: as for `Sender`; the waiters in `waiting` are made for use from many threads.
unsafe impl<M: Send, A: Atomics> Send for Receiver<M, A> {}

impl<M, A: Atomics> Receiver<M, A> {
    /// The next message, or `None` once there are no senders and no messages any more. Dropping the future loses nothing.
    pub async fn recv(&mut self) -> Option<M> {
        std::future::poll_fn(|context| self.poll_recv(context)).await
    }

    /// [`Receiver::recv`], for hand-written futures.
    pub fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Option<M>> {
        if let Some(message) = self.try_recv() {
            return Poll::Ready(Some(message));
        }
        self.shared.receiver.register(context.waker());
        let no_senders = self.shared.senders.load(Acquire) == 0;
        if let Some(message) = self.try_recv() {
            return Poll::Ready(Some(message));
        }
        if no_senders {
            return Poll::Ready(None);
        }
        self.wake_senders(usize::MAX);
        Poll::Pending
    }

    /// The next message, if one is there.
    pub fn try_recv(&mut self) -> Option<M> {
        let message = self.shared.queue.pop()?;
        self.wake_senders(1);
        Some(message)
    }

    /// How many messages wait, at some recent moment.
    pub fn len(&self) -> usize {
        self.shared.queue.len()
    }

    /// Whether no message waited, at some recent moment.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn wake_senders(&mut self, max: usize) {
        self.shared.waiters.take_into(&mut self.waiting);
        let mut woken = 0;
        while woken < max {
            let Some(waiter) = self.waiting.pop_front() else {
                return;
            };
            woken += usize::from(waiter.leave_line_and_wake());
        }
    }
}

impl<M, A: Atomics> Drop for Receiver<M, A> {
    fn drop(&mut self) {
        self.shared.closed.store(1, Release);
        // The slot's read-modify-write orders `closed` before every later wake-up; see `Shared::try_send`.
        self.shared.receiver.forget();
        self.shared.discard();
        self.wake_senders(usize::MAX);
    }
}
