//! One connection: two ends, and a stream of packets each way.
//!
//! What is written waits in flight until it arrives, then in the receiver's buffer until it is read; the
//! window bounds both together. Packets of one direction arrive in order; a reset may overtake.

use crate::node::{Life, NodeId};
use bytes::Bytes;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::Waker;

/// What travels.
pub(crate) enum Packet {
    Data(Vec<Bytes>, usize),
    /// The end of the stream.
    Finish,
    Reset,
}

/// What an end still is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Open,
    /// Closed by its own process.
    Closed,
    /// Broken.
    Reset,
    /// Its process or its machine is dead, and has not said so.
    Gone,
}

pub(crate) struct End {
    pub node: NodeId,
    pub life: Rc<Life>,
    pub address: SocketAddr,
    pub state: Cell<State>,
    pub reader: RefCell<Option<Waker>>,
    pub writer: RefCell<Option<Waker>>,
    /// What arrived here and was not read.
    pub received: RefCell<VecDeque<Bytes>>,
    pub received_len: Cell<usize>,
    pub finished: Cell<bool>,
}

impl End {
    pub fn new(node: NodeId, life: Rc<Life>, address: SocketAddr) -> Self {
        Self {
            node,
            life,
            address,
            state: Cell::new(State::Open),
            reader: RefCell::new(None),
            writer: RefCell::new(None),
            received: RefCell::new(VecDeque::new()),
            received_len: Cell::new(0),
            finished: Cell::new(false),
        }
    }

    /// Wakes whoever waits here.
    pub fn wake(&self) {
        for waker in [self.reader.take(), self.writer.take()]
            .into_iter()
            .flatten()
        {
            waker.wake();
        }
    }

    pub fn forget_received(&self) {
        drop(self.received.take());
        self.received_len.set(0);
    }
}

/// One direction: from end `i` to the other.
#[derive(Default)]
pub(crate) struct Way {
    pub packets: RefCell<VecDeque<Packet>>,
    /// Bytes written but not yet known to be read.
    pub outstanding: Cell<usize>,
    /// Bytes that were read while the way back was cut: the writer does not know yet.
    pub unacknowledged: Cell<usize>,
    /// When the last packet arrives: the next one does not arrive before.
    pub last_arrival: Cell<u64>,
    /// Arrivals that were due while the link was cut.
    pub held: Cell<usize>,
    /// Something was sent to a machine without power; when it is back it will answer with a reset.
    pub unanswered: Cell<bool>,
}

pub(crate) struct Pair {
    pub id: u64,
    pub ends: [End; 2],
    pub ways: [Way; 2],
    pub window: usize,
}

impl Pair {
    /// Whether neither end can do anything with it any more.
    pub fn is_over(&self) -> bool {
        let idle = |way: &Way| way.packets.borrow().is_empty();
        self.ends.iter().all(|end| end.state.get() != State::Open) && self.ways.iter().all(idle)
    }

    /// The connection and the direction as one number, for traces.
    pub fn code(&self, direction: usize) -> u64 {
        self.id * 2 + direction as u64
    }
}
