//! The clocks of the machine, and one list of sleepers per shard.
//!
//! tokio's timers count whole milliseconds and promise no order within one. Here a shard keeps its sleepers in order
//! of their deadlines, to the nanosecond; a single task waits with tokio's timer for the earliest, and
//! wakes those that are due, first deadline first.

use crate::Os;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use taffrail_env::{Clock, Instant};

impl Clock for Os {
    fn now(&self) -> Instant {
        self.shard.timers.now()
    }

    fn unix_ms(&self) -> i64 {
        let millis = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => millis(since),
            Err(before) => -millis(before.duration()),
        }
    }

    fn sleep_until(&self, deadline: Instant) -> impl Future<Output = ()> + 'static {
        Sleep {
            timers: self.shard.timers.clone(),
            deadline,
            place: None,
        }
    }
}

/// The sleepers of one shard.
pub(crate) struct Timers {
    /// Where this node's time begins.
    origin: std::time::Instant,
    /// By deadline, then by age.
    sleepers: RefCell<BTreeMap<(Instant, u64), Waker>>,
    next_age: Cell<u64>,
    /// The task of [`Timers::drive`], to be woken when the earliest deadline moves forward.
    driver: RefCell<Option<Waker>>,
}

impl Timers {
    pub(crate) fn new(origin: std::time::Instant) -> Rc<Timers> {
        Rc::new(Timers {
            origin,
            sleepers: RefCell::new(BTreeMap::new()),
            next_age: Cell::new(0),
            driver: RefCell::new(None),
        })
    }

    fn now(&self) -> Instant {
        Instant::default() + self.origin.elapsed()
    }

    /// Wakes sleepers for as long as the shard lives.
    pub(crate) async fn drive(self: Rc<Self>) {
        let alarm = tokio::time::sleep(Duration::ZERO);
        let mut alarm = std::pin::pin!(alarm);
        let mut set_for = None;
        std::future::poll_fn(move |context| {
            loop {
                *self.driver.borrow_mut() = Some(context.waker().clone());
                self.wake_due();
                let Some(earliest) = self.earliest() else {
                    return Poll::<()>::Pending;
                };
                if set_for != Some(earliest) {
                    alarm.as_mut().reset(self.real(earliest));
                    set_for = Some(earliest);
                }
                if alarm.as_mut().poll(context).is_pending() {
                    return Poll::Pending;
                }
                set_for = None;
            }
        })
        .await;
    }

    fn earliest(&self) -> Option<Instant> {
        let sleepers = self.sleepers.borrow();
        sleepers
            .first_key_value()
            .map(|((deadline, _), _)| *deadline)
    }

    fn wake_due(&self) {
        let now = self.now();
        loop {
            let mut sleepers = self.sleepers.borrow_mut();
            match sleepers.first_entry() {
                Some(first) if first.key().0 <= now => {
                    let waker = first.remove();
                    drop(sleepers);
                    waker.wake();
                }
                _ => return,
            }
        }
    }

    /// tokio's timers end by themselves a while before time does.
    fn real(&self, deadline: Instant) -> tokio::time::Instant {
        const FAR: Duration = Duration::from_secs(86_400 * 365);
        let wait = deadline.saturating_since(self.now()).min(FAR);
        tokio::time::Instant::now() + wait
    }

    fn add(&self, deadline: Instant, waker: Waker) -> (Instant, u64) {
        let place = (deadline, self.next_age.get());
        self.next_age.set(place.1 + 1);
        let is_first = self.earliest().is_none_or(|earliest| deadline < earliest);
        self.sleepers.borrow_mut().insert(place, waker);
        if is_first && let Some(driver) = self.driver.take() {
            driver.wake();
        }
        place
    }
}

struct Sleep {
    timers: Rc<Timers>,
    deadline: Instant,
    /// Where this sleeper is in the list; it is gone from there once it was woken.
    place: Option<(Instant, u64)>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.timers.now() >= self.deadline {
            return Poll::Ready(());
        }
        if let Some(place) = self.place
            && let Some(waker) = self.timers.sleepers.borrow_mut().get_mut(&place)
        {
            waker.clone_from(context.waker());
            return Poll::Pending;
        }
        self.place = Some(self.timers.add(self.deadline, context.waker().clone()));
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            let waker = self.timers.sleepers.borrow_mut().remove(&place);
            drop(waker);
        }
    }
}
