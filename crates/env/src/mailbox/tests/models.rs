//! The mailboxes under a model checker, which tries the interleavings of their atomics, weak memory included.
//!
//! Each model is as small as it can be and still show the race it is about. A lost wake-up is a deadlock,
//! which the checker reports; so it does two accesses to one cell, and memory that is leaked.

use super::super::*;
use super::poll;
use loom::future::block_on;
use loom::thread;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::task::Waker;

struct Checked;

impl Atomics for Checked {
    type Word = loom::sync::atomic::AtomicUsize;
    type Pointer<T> = loom::sync::atomic::AtomicPtr<T>;
    type Cell<T> = loom::cell::UnsafeCell<T>;
    type Shared<T> = loom::sync::Arc<T>;

    fn share<T>(value: T) -> Self::Shared<T> {
        loom::sync::Arc::new(value)
    }

    fn into_raw<T>(shared: Self::Shared<T>) -> *const T {
        loom::sync::Arc::into_raw(shared)
    }

    unsafe fn from_raw<T>(raw: *const T) -> Self::Shared<T> {
        // SAFETY: the caller's promise is that of `Arc::from_raw`.
        unsafe { loom::sync::Arc::from_raw(raw) }
    }

    fn spin() {
        thread::yield_now();
    }
}

impl Word for loom::sync::atomic::AtomicUsize {
    fn new(value: usize) -> Self {
        Self::new(value)
    }

    fn load(&self, order: Ordering) -> usize {
        self.load(order)
    }

    fn store(&self, value: usize, order: Ordering) {
        self.store(value, order);
    }

    fn swap(&self, value: usize, order: Ordering) -> usize {
        self.swap(value, order)
    }

    fn fetch_add(&self, value: usize, order: Ordering) -> usize {
        self.fetch_add(value, order)
    }

    fn fetch_sub(&self, value: usize, order: Ordering) -> usize {
        self.fetch_sub(value, order)
    }

    fn fetch_or(&self, value: usize, order: Ordering) -> usize {
        self.fetch_or(value, order)
    }

    fn fetch_and(&self, value: usize, order: Ordering) -> usize {
        self.fetch_and(value, order)
    }

    fn compare_exchange(
        &self,
        current: usize,
        new: usize,
        success: Ordering,
        failure: Ordering,
    ) -> Result<usize, usize> {
        self.compare_exchange(current, new, success, failure)
    }
}

impl<T> Pointer<T> for loom::sync::atomic::AtomicPtr<T> {
    fn new(value: *mut T) -> Self {
        Self::new(value)
    }

    fn load(&self, order: Ordering) -> *mut T {
        self.load(order)
    }

    fn swap(&self, value: *mut T, order: Ordering) -> *mut T {
        self.swap(value, order)
    }

    fn compare_exchange(
        &self,
        current: *mut T,
        new: *mut T,
        success: Ordering,
        failure: Ordering,
    ) -> Result<*mut T, *mut T> {
        self.compare_exchange(current, new, success, failure)
    }
}

impl<T> Cell<T> for loom::cell::UnsafeCell<T> {
    fn new(value: T) -> Self {
        Self::new(value)
    }

    fn with_mut<R>(&self, access: impl FnOnce(*mut T) -> R) -> R {
        self.with_mut(access)
    }
}

/// Forced switches between threads in one run, beside those where a thread waits. Without a bound the larger models
/// take hours.
const PREEMPTIONS_MAX: usize = 2;

fn check(model: impl Fn() + Send + Sync + 'static) {
    let mut checker = loom::model::Builder::new();
    checker.preemption_bound = Some(PREEMPTIONS_MAX);
    checker.check(model);
}

fn mailbox<M: Send>(capacity: usize) -> (Sender<M, Checked>, Receiver<M, Checked>) {
    bounded_with(capacity)
}

#[test]
fn two_senders_fill_two_slots_at_the_same_time() {
    check(|| {
        let (sender, mut receiver) = mailbox(2);
        let senders = [sender.clone(), sender];
        let sending: Vec<_> = (1..)
            .zip(senders)
            .map(|(number, sender)| thread::spawn(move || sender.try_send(number).unwrap()))
            .collect();
        let early = receiver.try_recv().unwrap_or(0);
        for thread in sending {
            thread.join().unwrap();
        }
        let late = [
            receiver.try_recv().unwrap_or(0),
            receiver.try_recv().unwrap_or(0),
        ];
        assert_eq!(early + late[0] + late[1], 3);
        assert_eq!(block_on(receiver.recv()), None);
    });
}

#[test]
fn two_senders_take_turns_in_one_slot() {
    check(|| {
        let (sender, mut receiver) = mailbox(1);
        let other = sender.clone();
        thread::spawn(move || block_on(other.send(1)).unwrap());
        // On this thread, so that there are only two: the receiver's steps and this sender's take turns.
        let mut send = sender.send(2);
        let mut sum = 0;
        block_on(std::future::poll_fn(|context| {
            if send.message.is_some() {
                let _ = poll(Pin::new(&mut send), context.waker());
            }
            receiver
                .poll_recv(context)
                .map(|number| sum += number.unwrap())
        }));
        if send.message.is_some() {
            block_on(&mut send).unwrap();
        }
        drop(send);
        drop(sender);
        while let Some(number) = block_on(receiver.recv()) {
            sum += number;
        }
        assert_eq!(sum, 3);
    });
}

#[test]
fn one_sender_waits_for_room_again_and_again() {
    check(|| {
        let (sender, mut receiver) = mailbox(1);
        thread::spawn(move || {
            for number in 0..2 {
                block_on(sender.send(number)).unwrap();
            }
        });
        for number in 0..2 {
            assert_eq!(block_on(receiver.recv()), Some(number));
        }
        assert_eq!(block_on(receiver.recv()), None);
    });
}

#[test]
fn a_dropped_send_takes_nobodys_wake_up_away() {
    check(|| {
        let (sender, mut receiver) = mailbox(1);
        sender.try_send(0).unwrap();
        thread::spawn(move || {
            let dropped = poll(pin!(sender.send(1)), Waker::noop()).is_pending();
            block_on(sender.send(if dropped { 1 } else { 2 })).unwrap();
        });
        let mut last = None;
        while let Some(number) = block_on(receiver.recv()) {
            last = Some(number);
        }
        assert!(matches!(last, Some(1 | 2)));
    });
}

#[test]
fn a_message_sent_while_the_receiver_goes_is_dropped() {
    check(|| {
        let (sender, receiver) = mailbox(2);
        let (reply_sender, reply) = oneshot_with::<u8, Checked>();
        let sending = thread::spawn(move || {
            let accepted = sender.try_send(reply_sender).is_ok();
            (sender, accepted)
        });
        drop(receiver);
        assert_eq!(block_on(reply), Err(Abandoned));
        sending.join().unwrap();
    });
}

#[test]
fn a_waiting_send_learns_that_the_receiver_is_gone() {
    check(|| {
        let (sender, receiver) = mailbox(1);
        sender.try_send(0).unwrap();
        let sending = thread::spawn(move || block_on(sender.send(1)));
        drop(receiver);
        // Either it found the room that the closing made, or it has its message back; but it does not wait.
        assert!(matches!(sending.join().unwrap(), Ok(()) | Err(Closed(1))));
    });
}

#[test]
fn an_answer_reaches_the_asker() {
    check(|| {
        let (reply_sender, reply) = oneshot_with::<_, Checked>();
        thread::spawn(move || reply_sender.send(7).unwrap());
        assert_eq!(block_on(reply), Ok(7));
    });
}

#[test]
fn an_asker_learns_that_it_is_abandoned() {
    check(|| {
        let (reply_sender, reply) = oneshot_with::<u8, Checked>();
        thread::spawn(move || drop(reply_sender));
        assert_eq!(block_on(reply), Err(Abandoned));
    });
}

#[test]
fn an_answer_is_either_given_back_or_dropped_with_the_asker() {
    check(|| {
        let (reply_sender, reply) = oneshot_with::<loom::sync::Arc<u8>, Checked>();
        let answering = thread::spawn(move || reply_sender.send(loom::sync::Arc::new(7)));
        drop(reply);
        drop(answering.join().unwrap());
    });
}
