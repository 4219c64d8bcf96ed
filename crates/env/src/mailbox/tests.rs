//! The mailboxes by example, on one thread and on several; `models` has them under the model checker.

// Threads are what is tested here.
#![allow(clippy::disallowed_methods)]

mod models;

use super::*;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::task::{Wake, Waker};
use std::thread;

/// Counts its wake-ups, and wakes the thread that made it.
struct Alarm {
    thread: thread::Thread,
    rung: AtomicUsize,
}

impl Alarm {
    fn new() -> (Arc<Alarm>, Waker) {
        let alarm = Arc::new(Alarm {
            thread: thread::current(),
            rung: AtomicUsize::new(0),
        });
        (alarm.clone(), alarm.into())
    }

    fn rung(&self) -> usize {
        self.rung.load(Relaxed)
    }
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.rung.fetch_add(1, Relaxed);
        self.thread.unpark();
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let (_, waker) = Alarm::new();
    let mut future = pin!(future);
    loop {
        match poll(future.as_mut(), &waker) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

fn poll<F: Future>(future: Pin<&mut F>, waker: &Waker) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(waker))
}

#[test]
fn messages_arrive_in_order_and_none_comes_after_the_last_sender() {
    let (sender, mut receiver) = bounded(3);
    for number in 0..3 {
        sender.try_send(number).unwrap();
    }
    assert_eq!(sender.try_send(3), Err(TrySendError::Full(3)));
    assert_eq!((sender.len(), receiver.len()), (3, 3));
    let clone = sender.clone();
    drop(sender);
    assert_eq!(receiver.try_recv(), Some(0));
    clone.try_send(3).unwrap();
    drop(clone);
    let rest = [(); 4].map(|()| block_on(receiver.recv()));
    assert_eq!(rest, [Some(1), Some(2), Some(3), None]);
}

#[test]
fn waiting_sends_are_woken_one_per_message_in_the_order_of_their_waiting() {
    let (sender, mut receiver) = bounded(1);
    sender.try_send(0).unwrap();
    let mut sends: Vec<_> = (1..4)
        .map(|number| (sender.send(number), Alarm::new()))
        .collect();
    for (send, (_, waker)) in &mut sends {
        assert!(poll(Pin::new(send), waker).is_pending());
    }
    for taken in 0..3 {
        assert_eq!(receiver.try_recv(), Some(taken));
        let rung: Vec<_> = sends.iter().map(|(_, (alarm, _))| alarm.rung()).collect();
        assert_eq!(rung.iter().sum::<usize>(), 1, "{rung:?}");
        let (mut send, (alarm, waker)) = sends.remove(0);
        assert_eq!(alarm.rung(), 1);
        assert_eq!(poll(Pin::new(&mut send), &waker), Poll::Ready(Ok(())));
    }
}

#[test]
fn a_send_that_was_overtaken_is_the_first_to_be_woken_again() {
    let (sender, mut receiver) = bounded(1);
    sender.try_send("first").unwrap();
    let (mut early, mut late) = (sender.send("early"), sender.send("late"));
    let ((early_alarm, early_waker), (late_alarm, late_waker)) = (Alarm::new(), Alarm::new());
    assert!(poll(Pin::new(&mut early), &early_waker).is_pending());
    assert!(poll(Pin::new(&mut late), &late_waker).is_pending());
    receiver.try_recv().unwrap();
    sender.try_send("pushed in").unwrap();
    assert!(poll(Pin::new(&mut early), &early_waker).is_pending());
    receiver.try_recv().unwrap();
    assert_eq!((early_alarm.rung(), late_alarm.rung()), (2, 0));
}

#[test]
fn a_dropped_send_sends_nothing_and_holds_up_nobody() {
    let (sender, mut receiver) = bounded(1);
    sender.try_send("first").unwrap();
    let (alarm, waker) = Alarm::new();
    let mut dropped = sender.send("dropped");
    let mut kept = sender.send("kept");
    assert!(poll(Pin::new(&mut dropped), &waker).is_pending());
    assert!(poll(Pin::new(&mut kept), &waker).is_pending());
    drop(dropped);
    assert_eq!(receiver.try_recv(), Some("first"));
    assert_eq!(alarm.rung(), 1);
    assert_eq!(poll(Pin::new(&mut kept), &waker), Poll::Ready(Ok(())));
    assert_eq!(receiver.try_recv(), Some("kept"));
    assert_eq!(receiver.try_recv(), None);
}

#[test]
fn sends_dropped_again_and_again_keep_one_place_in_line() {
    let (sender, mut receiver) = bounded(1);
    sender.try_send(0).unwrap();
    let (_, waker) = Alarm::new();
    for number in 1..100 {
        assert!(poll(Pin::new(&mut sender.send(number)), &waker).is_pending());
    }
    receiver.shared.waiters.take_into(&mut receiver.waiting);
    assert_eq!(receiver.waiting.len(), 1);
}

#[test]
fn a_receiver_that_goes_to_sleep_has_woken_every_waiting_send() {
    let (sender, mut receiver) = bounded(1);
    sender.try_send(0).unwrap();
    let (alarm, waker) = Alarm::new();
    let mut sends = [1, 2, 3].map(|number| sender.send(number));
    for send in &mut sends {
        assert!(poll(Pin::new(send), &waker).is_pending());
    }
    let (receiver_alarm, receiver_waker) = Alarm::new();
    assert_eq!(
        poll(pin!(receiver.recv()), &receiver_waker),
        Poll::Ready(Some(0))
    );
    assert!(poll(pin!(receiver.recv()), &receiver_waker).is_pending());
    assert_eq!(alarm.rung(), 3);
    assert_eq!(poll(Pin::new(&mut sends[2]), &waker), Poll::Ready(Ok(())));
    assert_eq!(receiver_alarm.rung(), 1);
}

#[test]
fn when_the_receiver_goes_messages_come_back_or_are_dropped() {
    let (sender, receiver) = bounded(1);
    let (reply_sender, reply) = oneshot::<()>();
    assert!(sender.try_send(reply_sender).is_ok());
    let (alarm, waker) = Alarm::new();
    let mut waiting = sender.send(oneshot().0);
    assert!(poll(Pin::new(&mut waiting), &waker).is_pending());
    drop(receiver);
    assert_eq!(block_on(reply), Err(Abandoned));
    assert_eq!(alarm.rung(), 1);
    assert!(matches!(
        poll(Pin::new(&mut waiting), &waker),
        Poll::Ready(Err(Closed(_)))
    ));
    assert!(matches!(
        sender.try_send(oneshot().0),
        Err(TrySendError::Closed(_))
    ));
    assert!(sender.is_closed());
}

#[test]
fn many_threads_through_a_small_mailbox_lose_and_reorder_nothing() {
    const SENDERS: usize = 4;
    const EACH: usize = 5_000;
    let (sender, mut receiver) = bounded(2);
    let threads: Vec<_> = (0..SENDERS)
        .map(|me| {
            let sender = sender.clone();
            thread::spawn(move || {
                for number in 0..EACH {
                    block_on(sender.send((me, number))).unwrap();
                }
            })
        })
        .collect();
    drop(sender);
    let mut next = [0; SENDERS];
    while let Some((from, number)) = block_on(receiver.recv()) {
        assert_eq!(number, next[from]);
        next[from] += 1;
    }
    assert_eq!(next, [EACH; SENDERS]);
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn an_answer_crosses_threads_once() {
    let (reply_sender, reply) = oneshot();
    let thread = thread::spawn(move || reply_sender.send(7));
    assert_eq!(block_on(reply), Ok(7));
    assert_eq!(thread.join().unwrap(), Ok(()));
}

#[test]
fn an_answer_nobody_waits_for_comes_back() {
    let (reply_sender, reply) = oneshot();
    assert!(reply_sender.is_wanted());
    drop(reply);
    assert!(!reply_sender.is_wanted());
    assert_eq!(reply_sender.send(7), Err(7));
}

#[test]
fn a_reply_without_an_answer_is_abandoned_for_ever() {
    let (reply_sender, mut reply) = oneshot::<u8>();
    let (alarm, waker) = Alarm::new();
    assert!(poll(Pin::new(&mut reply), &waker).is_pending());
    drop(reply_sender);
    assert_eq!(alarm.rung(), 1);
    assert_eq!(
        poll(Pin::new(&mut reply), &waker),
        Poll::Ready(Err(Abandoned))
    );
    assert_eq!(
        poll(Pin::new(&mut reply), &waker),
        Poll::Ready(Err(Abandoned))
    );
}
