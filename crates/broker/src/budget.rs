//! The memory that clients can make the node take, counted before it is taken.
//!
//! One node-wide sum, divided into pools, so that holding memory of one kind never waits for more of the same kind: a
//! request is reserved before it is read, a response before it is put together, room to recompress a batch
//! before it is needed. When a pool is empty, those who need it wait in line, and that is what stops the
//! reading of sockets. Requests have two pools with a line each, so that large ones that wait, or come in slowly, never hold up
//! the small ones. What must hold: a [`Reservation`] gives everything back when it is dropped, on every path, so an idle
//! node has all of it.
//!
//! All of it lives on the shard that has the connections, so nothing here crosses threads.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};

/// The pools of one node.
#[derive(Clone, Debug)]
pub struct Budget {
    /// Small frames being read or served.
    pub small_requests: Pool,
    /// Large ones; and small ones that find no room in their own pool, while nobody stands in line here.
    pub large_requests: Pool,
    /// Record batches on their way to consumers.
    pub responses: Pool,
    /// Batches being rewritten.
    pub rewrites: Pool,
}

/// A request that takes no more memory than this is small.
pub const SMALL_REQUEST_MAX: usize = 1 << 20;

impl Budget {
    /// Divides `bytes`: half for requests, three eighths for responses, an eighth for rewriting. Of the half, small requests have a
    /// tenth to themselves: a node of the default size still takes the largest request that Kafka's does.
    pub fn new(bytes: usize) -> Budget {
        let eighth = bytes / 8;
        let requests = bytes - 4 * eighth;
        let small = (requests / 10).max((2 * SMALL_REQUEST_MAX).min(requests / 2));
        Budget {
            small_requests: Pool::new(small),
            large_requests: Pool::new(requests - small),
            responses: Pool::new(3 * eighth),
            rewrites: Pool::new(eighth),
        }
    }

    /// Bytes reserved in all pools.
    pub fn used(&self) -> usize {
        self.pools().map(Pool::used).sum()
    }

    /// How many wait for any of the pools.
    pub fn waiting(&self) -> usize {
        self.pools().map(Pool::waiting).sum()
    }

    /// Bytes of all pools.
    pub fn total(&self) -> usize {
        self.pools().map(Pool::total).sum()
    }

    fn pools(&self) -> impl Iterator<Item = &Pool> {
        [
            &self.small_requests,
            &self.large_requests,
            &self.responses,
            &self.rewrites,
        ]
        .into_iter()
    }

    /// Reserves memory for a request, in the line that is right for it.
    pub async fn reserve_request(&self, bytes: usize) -> Reservation {
        if bytes > SMALL_REQUEST_MAX {
            return self.large_requests.reserve(bytes).await;
        }
        let at_once = self.small_requests.reserve_now(bytes);
        match at_once.or_else(|| self.large_requests.reserve_now(bytes)) {
            Some(reservation) => reservation,
            None => self.small_requests.reserve(bytes).await,
        }
    }
}

/// A number of bytes to be shared, first come, first served.
#[derive(Clone, Debug)]
pub struct Pool(Rc<Shared>);

#[derive(Debug)]
struct Shared {
    total: usize,
    used: Cell<usize>,
    line: RefCell<VecDeque<Weak<Place>>>,
}

/// Somebody's place in the line.
#[derive(Debug)]
struct Place {
    waker: RefCell<Option<Waker>>,
}

impl Pool {
    fn new(total: usize) -> Pool {
        Pool(Rc::new(Shared {
            total,
            used: Cell::new(0),
            line: RefCell::default(),
        }))
    }

    /// The size of the pool; more can never be reserved at once.
    pub fn total(&self) -> usize {
        self.0.total
    }

    /// Bytes reserved now. Above [`Pool::total`] while a reservation has grown past it.
    pub fn used(&self) -> usize {
        self.0.used.get()
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        let line = self.0.line.borrow();
        line.iter().filter(|place| place.strong_count() > 0).count()
    }

    /// Reserves `bytes` (at most the pool's total), waiting in line until there is room.
    pub fn reserve(&self, bytes: usize) -> Reserving {
        self.reserve_between(bytes, bytes)
    }

    /// Reserves as much as there is between `min` and `max`, waiting in line until there is `min`.
    pub fn reserve_between(&self, min: usize, max: usize) -> Reserving {
        let min = min.min(self.0.total);
        Reserving {
            pool: self.clone(),
            min,
            max: max.clamp(min, self.0.total.max(min)),
            place: None,
        }
    }

    /// Reserves `bytes` if there is room and nobody waits.
    pub fn reserve_now(&self, bytes: usize) -> Option<Reservation> {
        (self.waiting() == 0 && self.free() >= bytes).then(|| self.take(bytes))
    }

    fn take(&self, bytes: usize) -> Reservation {
        self.0.used.set(self.0.used.get() + bytes);
        Reservation {
            pool: self.clone(),
            bytes,
        }
    }

    fn free(&self) -> usize {
        self.0.total.saturating_sub(self.0.used.get())
    }

    /// Wakes the first in line.
    fn wake_first(&self) {
        let mut line = self.0.line.borrow_mut();
        while let Some(first) = line.front() {
            match first.upgrade() {
                Some(place) => {
                    if let Some(waker) = place.waker.borrow_mut().take() {
                        waker.wake();
                    }
                    return;
                }
                None => {
                    line.pop_front();
                }
            }
        }
    }
}

/// A reservation to come.
#[must_use = "nothing is reserved unless it is awaited"]
#[derive(Debug)]
pub struct Reserving {
    pool: Pool,
    min: usize,
    max: usize,
    place: Option<Rc<Place>>,
}

impl Reserving {
    /// Whether everybody who came before has been served.
    fn is_first(&self) -> bool {
        let mut line = self.pool.0.line.borrow_mut();
        while line.front().is_some_and(|first| first.strong_count() == 0) {
            line.pop_front();
        }
        match (line.front(), &self.place) {
            (None, _) => true,
            (Some(first), Some(place)) => std::ptr::eq(first.as_ptr(), Rc::as_ptr(place)),
            (Some(_), None) => false,
        }
    }
}

impl Future for Reserving {
    type Output = Reservation;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Reservation> {
        if self.is_first() && self.pool.free() >= self.min {
            if self.place.take().is_some() {
                self.pool.0.line.borrow_mut().pop_front();
            }
            let bytes = self.max.min(self.pool.free()).max(self.min);
            let reservation = self.pool.take(bytes);
            // There may be room left for the next one.
            self.pool.wake_first();
            return Poll::Ready(reservation);
        }
        let pool = self.pool.clone();
        let place = self.place.get_or_insert_with(|| {
            let place = Rc::new(Place {
                waker: RefCell::new(None),
            });
            pool.0.line.borrow_mut().push_back(Rc::downgrade(&place));
            place
        });
        *place.waker.borrow_mut() = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Reserving {
    fn drop(&mut self) {
        if self.place.take().is_some() {
            self.pool.wake_first();
        }
    }
}

/// Bytes of a pool, given back when dropped.
#[derive(Debug)]
pub struct Reservation {
    pool: Pool,
    bytes: usize,
}

impl Reservation {
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether others wait for the memory that this holds.
    pub fn is_wanted(&self) -> bool {
        self.pool.waiting() > 0
    }

    /// Sets the reservation to what turned out to be needed. Growing is never refused, because the bytes are there
    /// already; it may take the pool past its total, and then nobody gets anything until it is back below.
    pub fn resize(&mut self, bytes: usize) {
        let used = self.pool.0.used.get();
        self.pool.0.used.set(used - self.bytes + bytes);
        let shrunk = bytes < self.bytes;
        self.bytes = bytes;
        if shrunk {
            self.pool.wake_first();
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.resize(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use futures_util::task::noop_waker_ref;

    fn poll(reserving: &mut Reserving) -> Option<Reservation> {
        match reserving.poll_unpin(&mut Context::from_waker(noop_waker_ref())) {
            Poll::Ready(reservation) => Some(reservation),
            Poll::Pending => None,
        }
    }

    #[test]
    fn everything_comes_back_on_every_path() {
        let pool = Pool::new(100);
        let held = poll(&mut pool.reserve(60)).expect("there is room");
        let mut waiting = pool.reserve(60);
        assert!(poll(&mut waiting).is_none());
        assert_eq!((pool.used(), pool.waiting()), (60, 1));
        drop(waiting);
        assert_eq!((pool.used(), pool.waiting()), (60, 0));
        drop(held);
        assert_eq!(pool.used(), 0);
    }

    #[test]
    fn small_requests_go_on_while_large_ones_wait_and_take_no_turn_of_theirs() {
        let budget = Budget::new(64 << 20);
        let mut context = Context::from_waker(noop_waker_ref());
        let all = poll(&mut budget.large_requests.reserve(usize::MAX)).expect("there is room");
        let mut large = Box::pin(budget.reserve_request(2 << 20));
        assert!(large.poll_unpin(&mut context).is_pending());
        assert!(all.is_wanted());
        let small = budget.reserve_request(1 << 20).now_or_never();
        let small = small.expect("small ones have a pool of their own");
        let rest = poll(&mut budget.small_requests.reserve_between(1, usize::MAX));
        drop(all);
        assert!(
            budget.reserve_request(1 << 20).now_or_never().is_none(),
            "the large one stands in line for what came free"
        );
        assert!(large.poll_unpin(&mut context).is_ready());
        assert!(
            budget.reserve_request(1 << 20).now_or_never().is_some(),
            "nobody waits for it any more"
        );
        drop((small, rest, large));
        assert_eq!(budget.used(), 0);
        assert_eq!(budget.total(), 64 << 20);
    }

    #[test]
    fn a_large_reservation_is_not_starved_by_small_ones() {
        let pool = Pool::new(100);
        let held = poll(&mut pool.reserve(50)).expect("there is room");
        let mut large = pool.reserve(80);
        assert!(poll(&mut large).is_none());
        let mut small = pool.reserve(10);
        assert!(poll(&mut small).is_none(), "it stands behind the large one");
        drop(held);
        assert!(poll(&mut small).is_none(), "it still does");
        let large = poll(&mut large).expect("there is room");
        assert_eq!(poll(&mut small).expect("and for this").bytes(), 10);
        drop(large);
        assert_eq!(pool.used(), 0);
    }

    #[test]
    fn those_behind_one_who_gave_up_get_their_turn() {
        let pool = Pool::new(100);
        let _held = poll(&mut pool.reserve(50)).expect("there is room");
        let mut large = pool.reserve(80);
        assert!(poll(&mut large).is_none());
        let mut small = pool.reserve(10);
        assert!(poll(&mut small).is_none());
        drop(large);
        assert!(poll(&mut small).is_some());
    }

    #[test]
    fn between_takes_what_there_is() {
        let pool = Pool::new(100);
        let _held = poll(&mut pool.reserve(70)).expect("there is room");
        let mut rest = poll(&mut pool.reserve_between(10, 90)).expect("there is room");
        assert_eq!(rest.bytes(), 30);
        rest.resize(200);
        assert_eq!(pool.used(), 270, "what is there is counted");
        assert!(poll(&mut pool.reserve(1)).is_none());
        drop(rest);
        assert_eq!(pool.used(), 70);
    }

    #[test]
    fn more_than_the_pool_is_as_much_as_the_pool() {
        let pool = Pool::new(100);
        let all = poll(&mut pool.reserve(1_000)).expect("an empty pool serves anybody");
        assert_eq!(all.bytes(), 100);
    }
}
