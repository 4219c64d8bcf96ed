//! What a process holds of the network: listeners and connections.

use super::network::Network;
use super::pair::{End, Packet, Pair, State};
use crate::env::SimEnv;
use crate::fault::FaultKind;
use crate::memory::{WORLD, charge_to};
use crate::node::{Life, NodeId};
use crate::timeline::Event;
use crate::trace::EventKind;
use crate::world::{Alarm, World};
use bytes::{Bytes, BytesMut};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use taffrail_env::net::{Connection, Listener, Net, NetError, NetErrorKind, NetResult};

/// Connections that wait to be accepted; beyond it attempts are put off.
const BACKLOG_MAX: usize = 128;
/// A connection attempt that gets no answer is repeated after this long, so often.
const RETRY_NANOS: u64 = 1_000_000_000;
const ATTEMPTS_MAX: u32 = 60;
/// How long a stalled accept may take.
const STALL_NANOS_MAX: u64 = 10_000_000_000;

/// Where connections to one port wait.
pub(crate) struct Backlog {
    life: Rc<Life>,
    waiting: RefCell<VecDeque<Rc<Pair>>>,
    acceptor: RefCell<Option<Waker>>,
    stalled_until: Cell<u64>,
}

impl Backlog {
    /// Nobody will accept these any more.
    pub fn refuse_all(&self, world: &World) {
        let waiting = self.waiting.take();
        for pair in waiting {
            if pair.ends[1].state.get() == State::Open {
                pair.ends[1].state.set(State::Reset);
                world.network.send(world, &pair, 1, Packet::Reset);
            }
        }
        self.acceptor.take();
    }
}

/// A listening socket of a simulated process.
pub struct SimListener {
    env: SimEnv,
    address: SocketAddr,
    backlog: Rc<Backlog>,
    alarm: RefCell<Alarm>,
}

impl Drop for SimListener {
    fn drop(&mut self) {
        if self.env.is_alive() {
            let world = self.env.world();
            let key = (self.env.node_id(), self.address.port());
            let removed = world.network.listeners.borrow_mut().remove(&key);
            drop(removed);
            self.backlog.refuse_all(world);
        }
    }
}

impl SimListener {
    fn poll_accept(&self, context: &mut Context<'_>) -> Poll<NetResult<SimConnection>> {
        if !self.env.is_alive() {
            return Poll::Pending;
        }
        *self.backlog.acceptor.borrow_mut() = Some(context.waker().clone());
        let world = self.env.world();
        let mut waiting = self.backlog.waiting.borrow_mut();
        if waiting.is_empty() {
            return Poll::Pending;
        }
        let network = &world.network;
        if self.backlog.stalled_until.get() == 0
            && network.strikes(world, FaultKind::NetAcceptStall, self.env.node_id())
        {
            let (kind, own) = (FaultKind::NetAcceptStall, self.env.node_id());
            let stall = 1 + network.draw(world, kind, own, STALL_NANOS_MAX as usize) as u64;
            self.backlog.stalled_until.set(world.nanos() + stall);
        }
        let until = self.backlog.stalled_until.get();
        if self.alarm.borrow_mut().poll_at(until, context).is_pending() {
            return Poll::Pending;
        }
        if self.backlog.stalled_until.take() > 0 {
            world.faults().count_met(FaultKind::NetAcceptStall);
        }
        match waiting.pop_front() {
            Some(pair) => Poll::Ready(Ok(SimConnection::new(self.env.clone(), pair, 1))),
            None => Poll::Pending,
        }
    }
}

impl Listener for SimListener {
    type Connection = SimConnection;

    fn local_address(&self) -> SocketAddr {
        self.address
    }

    fn accept(&self) -> impl Future<Output = NetResult<SimConnection>> {
        poll_fn(|context| self.poll_accept(context))
    }
}

/// A connection of a simulated process.
#[derive(Clone)]
pub struct SimConnection(Rc<OpenConnection>);

struct OpenConnection {
    env: SimEnv,
    pair: Rc<Pair>,
    end: usize,
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        if self.env.is_alive() {
            let world = self.env.world();
            world.network.close(world, &self.pair, self.end);
        }
    }
}

impl SimConnection {
    fn new(env: SimEnv, pair: Rc<Pair>, end: usize) -> Self {
        Self(Rc::new(OpenConnection { env, pair, end }))
    }

    fn own(&self) -> &End {
        &self.0.pair.ends[self.0.end]
    }

    /// Breaks the connection so that the peer sees a reset.
    pub fn reset(&self) {
        let world = self.0.env.world();
        if self.0.env.is_alive() && self.own().state.get() == State::Open {
            self.own().state.set(State::Reset);
            self.own().wake();
            let packet = Packet::Reset;
            world.network.send(world, &self.0.pair, self.0.end, packet);
        }
    }

    fn error(&self, kind: NetErrorKind) -> NetError {
        let words = match kind {
            NetErrorKind::Closed => "the connection was closed here",
            _ => "Connection reset by peer (os error 104)",
        };
        net_error(kind, &self.peer_address().to_string(), words)
    }

    fn poll_read(
        &self,
        context: &mut Context<'_>,
        buffer: &mut BytesMut,
        max: usize,
    ) -> Poll<NetResult<usize>> {
        if !self.0.env.is_alive() {
            return Poll::Pending;
        }
        let own = self.own();
        if own.state.get() == State::Closed {
            return Poll::Ready(Err(self.error(NetErrorKind::Closed)));
        }
        let there = own.received_len.get();
        if there == 0 {
            if own.state.get() != State::Open {
                return Poll::Ready(Err(self.error(NetErrorKind::Reset)));
            }
            if own.finished.get() {
                return Poll::Ready(Ok(0));
            }
            *own.reader.borrow_mut() = Some(context.waker().clone());
            return Poll::Pending;
        }
        let world = self.0.env.world();
        let network = &world.network;
        let mut count = there.min(max);
        if count > 1 && network.strikes(world, FaultKind::NetShortRead, own.node) {
            count = 1 + network.draw(world, FaultKind::NetShortRead, own.node, count - 1);
            world.faults().count_met(FaultKind::NetShortRead);
        }
        take(&mut own.received.borrow_mut(), count, buffer);
        own.received_len.set(there - count);
        network.acknowledge(&self.0.pair, self.0.end, count);
        Poll::Ready(Ok(count))
    }

    /// Hands over what fits into the window; ready when nothing is left.
    fn poll_write(
        &self,
        context: &mut Context<'_>,
        pieces: &mut VecDeque<Bytes>,
    ) -> Poll<NetResult<()>> {
        if !self.0.env.is_alive() {
            return Poll::Pending;
        }
        let _charge = charge_to(WORLD);
        let own = self.own();
        let world = self.0.env.world();
        let way = &self.0.pair.ways[self.0.end];
        loop {
            match own.state.get() {
                State::Open => {}
                State::Closed => return Poll::Ready(Err(self.error(NetErrorKind::Closed))),
                State::Reset | State::Gone => {
                    return Poll::Ready(Err(self.error(NetErrorKind::Reset)));
                }
            }
            let left: usize = pieces.iter().map(Bytes::len).sum();
            if left == 0 {
                return Poll::Ready(Ok(()));
            }
            let room = self.0.pair.window.saturating_sub(way.outstanding.get());
            if room == 0 {
                if self.0.pair.window <= 4096 {
                    world.faults().count_met(FaultKind::NetSmallWindow);
                }
                *own.writer.borrow_mut() = Some(context.waker().clone());
                return Poll::Pending;
            }
            let mut count = left.min(room);
            if count > 1 && world.network.strikes(world, FaultKind::NetSplit, own.node) {
                count = 1 + world
                    .network
                    .draw(world, FaultKind::NetSplit, own.node, count - 1);
                world.faults().count_met(FaultKind::NetSplit);
            }
            way.outstanding.set(way.outstanding.get() + count);
            let packet = Packet::Data(split(pieces, count), count);
            world.network.send(world, &self.0.pair, self.0.end, packet);
        }
    }
}

impl Connection for SimConnection {
    fn local_address(&self) -> SocketAddr {
        self.own().address
    }

    fn peer_address(&self) -> SocketAddr {
        self.0.pair.ends[1 - self.0.end].address
    }

    fn read(&self, buffer: &mut BytesMut, max: usize) -> impl Future<Output = NetResult<usize>> {
        poll_fn(move |context| self.poll_read(context, buffer, max))
    }

    fn write(&self, pieces: Vec<Bytes>) -> impl Future<Output = NetResult<()>> {
        let mut pieces = VecDeque::from(pieces);
        poll_fn(move |context| self.poll_write(context, &mut pieces))
    }

    fn close(&self) {
        if self.0.env.is_alive() {
            let world = self.0.env.world();
            world.network.close(world, &self.0.pair, self.0.end);
        }
    }
}

impl Net for SimEnv {
    type Listener = SimListener;
    type Connection = SimConnection;

    fn listen(&self, address: &str) -> impl Future<Output = NetResult<SimListener>> + 'static {
        let (env, address) = (self.clone(), address.to_owned());
        async move {
            if !env.is_alive() {
                std::future::pending::<()>().await;
            }
            listen(env, &address)
        }
    }

    fn connect(&self, address: &str) -> impl Future<Output = NetResult<SimConnection>> + 'static {
        let (env, address) = (self.clone(), address.to_owned());
        async move {
            if !env.is_alive() {
                std::future::pending::<()>().await;
            }
            connect(env, &address).await
        }
    }
}

fn net_error(kind: NetErrorKind, address: &str, words: &str) -> NetError {
    NetError {
        kind,
        address: address.to_owned(),
        system: words.to_owned(),
    }
}

fn listen(env: SimEnv, address: &str) -> NetResult<SimListener> {
    let world = env.world();
    let own = env.node_id();
    let invalid = |words| net_error(NetErrorKind::AddressInvalid, address, words);
    let (ip, node, port) = world
        .network
        .resolve(world, own, address)
        .ok_or_else(|| invalid("Name or service not known"))?;
    if node != own {
        return Err(invalid("Cannot assign requested address (os error 99)"));
    }
    let port = match port {
        0 => world.network.free_port(own),
        port => port,
    };
    let mut listeners = world.network.listeners.borrow_mut();
    if listeners.contains_key(&(own, port)) {
        let words = "Address already in use (os error 98)";
        return Err(net_error(NetErrorKind::AddressInUse, address, words));
    }
    let backlog = Rc::new(Backlog {
        life: env.life().clone(),
        waiting: RefCell::new(VecDeque::new()),
        acceptor: RefCell::new(None),
        stalled_until: Cell::new(0),
    });
    listeners.insert((own, port), backlog.clone());
    drop(listeners);
    Ok(SimListener {
        address: SocketAddr::new(ip, port),
        alarm: RefCell::new(Alarm::new(world.clone())),
        backlog,
        env,
    })
}

/// Where a connection attempt's answer is left, for as long as somebody waits for it.
struct Attempt {
    env: SimEnv,
    address: String,
    ip: IpAddr,
    to: NodeId,
    port: u16,
    result: RefCell<Option<NetResult<Rc<Pair>>>>,
    waker: RefCell<Option<Waker>>,
    abandoned: Cell<bool>,
}

/// Marks the attempt abandoned when its future is dropped; a connection made for nobody is closed.
struct Waiter(Rc<Attempt>);

impl Drop for Waiter {
    fn drop(&mut self) {
        self.0.abandoned.set(true);
        if let Some(Ok(pair)) = self.0.result.take()
            && self.0.env.is_alive()
        {
            let world = self.0.env.world();
            world.network.close(world, &pair, 0);
        }
    }
}

async fn connect(env: SimEnv, address: &str) -> NetResult<SimConnection> {
    let world = env.world().clone();
    let own = env.node_id();
    let Some((ip, to, port)) = world.network.resolve(&world, own, address) else {
        let words = "Name or service not known";
        return Err(net_error(NetErrorKind::AddressInvalid, address, words));
    };
    let details = (port.into(), to.number().into(), 0);
    world.event(EventKind::Connect, own.number(), details);
    let attempt = Rc::new(Attempt {
        env: env.clone(),
        address: address.to_owned(),
        ip,
        to,
        port,
        result: RefCell::new(None),
        waker: RefCell::new(None),
        abandoned: Cell::new(false),
    });
    let waiter = Waiter(attempt.clone());
    knock(&world, attempt, 1);
    let result = poll_fn(|context| {
        if !waiter.0.env.is_alive() {
            return Poll::Pending;
        }
        if let Some(result) = waiter.0.result.take() {
            return Poll::Ready(result);
        }
        *waiter.0.waker.borrow_mut() = Some(context.waker().clone());
        Poll::Pending
    })
    .await;
    result.map(|pair| SimConnection::new(env, pair, 0))
}

/// Sends the first packet of an attempt.
fn knock(world: &World, attempt: Rc<Attempt>, number: u32) {
    let from = attempt.env.node_id();
    let delay = world.network.draw_delay(world, from, attempt.to);
    let arrive = move |world: &World| {
        if attempt.abandoned.get() || !attempt.env.is_alive() {
            return;
        }
        answer_knock(world, attempt, number);
    };
    world.after(delay, Event::Call(Box::new(arrive)));
}

fn answer_knock(world: &World, attempt: Rc<Attempt>, number: u32) {
    let network = &world.network;
    let (from, to) = (attempt.env.node_id(), attempt.to);
    let backlog = network.listeners.borrow().get(&(to, attempt.port)).cloned();
    let unheard = network.is_cut(from, to)
        || network.is_cut(to, from)
        || !world.node(to).powered.get()
        || backlog
            .as_ref()
            .is_some_and(|b| b.waiting.borrow().len() >= BACKLOG_MAX);
    if unheard {
        knock_again(world, attempt, number);
        return;
    }
    let delay = network.draw_delay(world, to, from);
    let refused = network.strikes(world, FaultKind::NetRefused, to);
    if refused {
        world.faults().count_met(FaultKind::NetRefused);
    }
    let result = match backlog {
        Some(backlog) if !refused => {
            let pair = establish(world, &attempt, &backlog);
            Ok(pair)
        }
        _ => {
            let words = "Connection refused (os error 111)";
            Err(net_error(NetErrorKind::Refused, &attempt.address, words))
        }
    };
    let arrive = move |world: &World| {
        if attempt.abandoned.get() && attempt.env.is_alive() {
            if let Ok(pair) = result {
                world.network.close(world, &pair, 0);
            }
            return;
        }
        *attempt.result.borrow_mut() = Some(result);
        let waker = attempt.waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    };
    world.after(delay, Event::Call(Box::new(arrive)));
}

fn knock_again(world: &World, attempt: Rc<Attempt>, number: u32) {
    let again = move |world: &World| {
        if attempt.abandoned.get() || !attempt.env.is_alive() {
            return;
        }
        if number < ATTEMPTS_MAX {
            knock(world, attempt, number + 1);
            return;
        }
        let words = "Connection timed out (os error 110)";
        let error = net_error(NetErrorKind::Other, &attempt.address, words);
        *attempt.result.borrow_mut() = Some(Err(error));
        let waker = attempt.waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    };
    world.after(RETRY_NANOS, Event::Call(Box::new(again)));
}

/// The connection exists, and waits to be accepted.
fn establish(world: &World, attempt: &Attempt, backlog: &Rc<Backlog>) -> Rc<Pair> {
    let network: &Network = &world.network;
    let from = attempt.env.node_id();
    let to = attempt.to;
    let remote = match attempt.ip.is_unspecified() {
        true => IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
        false => attempt.ip,
    };
    let local = match remote.is_loopback() {
        true => remote,
        false => from.address(),
    };
    let caller = End::new(
        from,
        attempt.env.life().clone(),
        network.ephemeral(from, local),
    );
    let callee = End::new(
        to,
        backlog.life.clone(),
        SocketAddr::new(remote, attempt.port),
    );
    let pair = network.pair(world, caller, callee);
    world.event(EventKind::Established, to.number(), (pair.id, 0, 0));
    backlog.waiting.borrow_mut().push_back(pair.clone());
    let acceptor = backlog.acceptor.take();
    if let Some(acceptor) = acceptor {
        acceptor.wake();
    }
    pair
}

/// Moves `count` received bytes to the end of `buffer`.
fn take(received: &mut VecDeque<Bytes>, count: usize, buffer: &mut BytesMut) {
    buffer.reserve(count);
    let mut left = count;
    while left > 0 {
        let Some(first) = received.front_mut() else {
            break;
        };
        let taken = first.len().min(left);
        buffer.extend_from_slice(&first[..taken]);
        left -= taken;
        if taken == first.len() {
            received.pop_front();
        } else {
            let _gone = first.split_to(taken);
        }
    }
}

/// Takes the first `count` bytes off the pieces.
fn split(pieces: &mut VecDeque<Bytes>, count: usize) -> Vec<Bytes> {
    let mut parts = Vec::new();
    let mut left = count;
    while left > 0 {
        let Some(mut first) = pieces.pop_front() else {
            break;
        };
        if first.len() > left {
            let rest = first.split_off(left);
            pieces.push_front(rest);
        }
        left -= first.len();
        if !first.is_empty() {
            parts.push(first);
        }
    }
    parts
}
