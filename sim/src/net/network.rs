//! The network between all nodes: links, listeners, connections, and what goes wrong with them.
//!
//! A link is one direction between two nodes. While it is cut, packets that would arrive wait, as a sender
//! that retransmits would have it, and arrive after the heal. A dead process's machine goes on to answer; a
//! machine without power answers nothing until it is back, and then breaks what it does not know.

use super::connection::Backlog;
use super::pair::{End, Packet, Pair, State};
use crate::decision::{Decisions, Stream, Tail};
use crate::fault::FaultKind;
use crate::node::{Life, NodeId};
use crate::timeline::Event;
use crate::trace::{EventKind, digest_more};
use crate::world::World;
use bytes::Bytes;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;

/// One way between two nodes, in nanoseconds: base and spread.
const DISTANCE: Tail = Tail(&[(900_000, 80_000, 300_000), (100_000, 300_000, 2_000_000)]);
const LOOPBACK: Tail = Tail(&[(1_000_000, 5_000, 30_000)]);
/// What a packet of the tail takes.
const LATE: Tail = Tail(&[
    (900_000, 5_000_000, 200_000_000),
    (100_000, 200_000_000, 5_000_000_000),
]);
/// Bytes in flight and unread per direction.
const WINDOW: Tail = Tail(&[(300_000, 16 << 10, 64 << 10), (700_000, 64 << 10, 1 << 20)]);
const SMALL_WINDOW: Tail = Tail(&[(500_000, 1, 64), (500_000, 64, 4096)]);
const FIRST_EPHEMERAL: u16 = 32_768;
const LAST_EPHEMERAL: u16 = 60_999;

#[derive(Clone, Copy)]
struct Link {
    cut: bool,
    /// Added to what is drawn.
    delay: u64,
}

pub(crate) struct Network {
    links: RefCell<BTreeMap<(NodeId, NodeId), Link>>,
    pub listeners: RefCell<BTreeMap<(NodeId, u16), Rc<Backlog>>>,
    pairs: RefCell<BTreeMap<u64, Rc<Pair>>>,
    next_pair: Cell<u64>,
    next_port: RefCell<BTreeMap<NodeId, u16>>,
    delay: Stream,
    windows: Stream,
    deaths: Stream,
}

impl Network {
    pub fn new(decisions: &Decisions) -> Self {
        Self {
            links: RefCell::new(BTreeMap::new()),
            listeners: RefCell::new(BTreeMap::new()),
            pairs: RefCell::new(BTreeMap::new()),
            next_pair: Cell::new(0),
            next_port: RefCell::new(BTreeMap::new()),
            delay: decisions.stream("net/delay"),
            windows: decisions.stream("net/window"),
            deaths: decisions.stream("net/death"),
        }
    }

    // ---- links ----

    pub fn is_cut(&self, from: NodeId, to: NodeId) -> bool {
        let links = self.links.borrow();
        !links.is_empty() && links.get(&(from, to)).is_some_and(|link| link.cut)
    }

    pub fn cut_links(&self) -> Vec<(NodeId, NodeId)> {
        let links = self.links.borrow();
        let cut = links.iter().filter(|(_, link)| link.cut);
        cut.map(|(ends, _)| *ends).collect()
    }

    pub fn set_delay(&self, from: NodeId, to: NodeId, delay: u64) {
        let mut links = self.links.borrow_mut();
        let none = Link {
            cut: false,
            delay: 0,
        };
        links.entry((from, to)).or_insert(none).delay = delay;
    }

    pub fn set_cut(&self, world: &World, from: NodeId, to: NodeId, cut: bool) {
        let none = Link {
            cut: false,
            delay: 0,
        };
        let mut links = self.links.borrow_mut();
        let link = links.entry((from, to)).or_insert(none);
        if std::mem::replace(&mut link.cut, cut) == cut {
            return;
        }
        drop(links);
        if cut {
            world.faults().count_injected(FaultKind::NetCut);
            return;
        }
        for pair in self.pairs_of(from) {
            for direction in [0, 1] {
                if pair.ends[direction].node == from && pair.ends[1 - direction].node == to {
                    self.release(world, &pair, direction);
                }
            }
        }
    }

    /// The link of this direction is whole again: what waited arrives, and what was read is acknowledged.
    fn release(&self, world: &World, pair: &Rc<Pair>, direction: usize) {
        for _ in 0..pair.ways[direction].held.take() {
            self.schedule(world, pair, direction, 0);
        }
        let back = &pair.ways[1 - direction];
        let read = back.unacknowledged.take();
        if read > 0 {
            back.outstanding.set(back.outstanding.get() - read);
            let writer = pair.ends[1 - direction].writer.take();
            if let Some(writer) = writer {
                writer.wake();
            }
        }
    }

    /// A drawn time for one way.
    pub fn draw_delay(&self, world: &World, from: NodeId, to: NodeId) -> u64 {
        if from == to {
            return world.decisions().tail(self.delay, LOOPBACK);
        }
        let mut delay = world.decisions().tail(self.delay, DISTANCE);
        if self.strikes(world, FaultKind::NetTail, from) {
            let details = world.node(from).detail_stream(FaultKind::NetTail, world);
            delay += world.decisions().tail(details, LATE);
            world.faults().count_met(FaultKind::NetTail);
        }
        let links = self.links.borrow();
        delay + links.get(&(from, to)).map_or(0, |link| link.delay)
    }

    pub fn strikes(&self, world: &World, kind: FaultKind, node: NodeId) -> bool {
        world.faults().rate(kind) != 0 && world.strikes(&world.node(node), kind)
    }

    /// Draws of what is left of connections when an end dies now.
    fn deaths(&self, world: &World) -> Stream {
        world.decisions().reach(self.deaths, world.nanos());
        self.deaths
    }

    /// One of `0..n`, for where exactly a fault strikes.
    pub fn draw(&self, world: &World, kind: FaultKind, node: NodeId, n: usize) -> usize {
        let details = world.node(node).detail_stream(kind, world);
        world.decisions().below(details, n as u64) as usize
    }

    // ---- addresses ----

    /// The node and port that an address means, seen from `from`.
    pub fn resolve(
        &self,
        world: &World,
        from: NodeId,
        address: &str,
    ) -> Option<(IpAddr, NodeId, u16)> {
        let (host, port) = address.rsplit_once(':')?;
        let port = port.parse().ok()?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        if host == "localhost" {
            return Some((loopback, from, port));
        }
        if let Some(node) = world.node_named(host) {
            return Some((node.address(), node, port));
        }
        let ip: IpAddr = host.parse().ok()?;
        if ip.is_loopback() || ip.is_unspecified() {
            return Some((ip, from, port));
        }
        let node = world
            .nodes()
            .into_iter()
            .find(|node| node.address() == ip)?;
        Some((ip, node, port))
    }

    /// A port of this node that nobody listens on.
    pub fn free_port(&self, node: NodeId) -> u16 {
        let mut next = self.next_port.borrow_mut();
        let next = next.entry(node).or_insert(FIRST_EPHEMERAL);
        loop {
            let port = *next;
            *next = if port == LAST_EPHEMERAL {
                FIRST_EPHEMERAL
            } else {
                port + 1
            };
            if !self.listeners.borrow().contains_key(&(node, port)) {
                return port;
            }
        }
    }

    // ---- connections ----

    /// A new connection; `from` is end 0.
    pub fn pair(&self, world: &World, from: End, to: End) -> Rc<Pair> {
        let small = self.strikes(world, FaultKind::NetSmallWindow, from.node);
        let table = if small { SMALL_WINDOW } else { WINDOW };
        let id = self.next_pair.replace(self.next_pair.get() + 1);
        let pair = Rc::new(Pair {
            id,
            ends: [from, to],
            ways: Default::default(),
            window: world.decisions().tail(self.windows, table) as usize,
        });
        self.pairs.borrow_mut().insert(id, pair.clone());
        pair
    }

    /// A connection's local address; distinct per connection.
    pub fn ephemeral(&self, node: NodeId, ip: IpAddr) -> SocketAddr {
        SocketAddr::new(ip, self.free_port(node))
    }

    fn pairs_of(&self, node: NodeId) -> Vec<Rc<Pair>> {
        let pairs = self.pairs.borrow();
        let own = |pair: &&Rc<Pair>| pair.ends.iter().any(|end| end.node == node);
        pairs.values().filter(own).cloned().collect()
    }

    /// Puts a packet on its way, after all that were sent before.
    pub fn send(&self, world: &World, pair: &Rc<Pair>, from: usize, packet: Packet) {
        let node = pair.ends[from].node;
        if let Packet::Data(parts, len) = &packet {
            let digest = parts.iter().fold(2, |state, part| digest_more(state, part));
            let details = (pair.code(from), *len as u64, digest);
            world.event(EventKind::Send, node.number(), details);
        }
        let delay = self.draw_delay(world, node, pair.ends[1 - from].node);
        pair.ways[from].packets.borrow_mut().push_back(packet);
        self.schedule(world, pair, from, delay);
    }

    fn schedule(&self, world: &World, pair: &Rc<Pair>, direction: usize, delay: u64) {
        let way = &pair.ways[direction];
        let at = (world.nanos() + delay).max(way.last_arrival.get());
        way.last_arrival.set(at);
        let event = Event::Packet(pair.clone(), direction);
        world.after(at - world.nanos(), event);
    }

    /// The first packet of this direction is there, if the link lets it.
    pub fn arrive(&self, world: &World, pair: &Rc<Pair>, direction: usize) {
        let way = &pair.ways[direction];
        let (sender, receiver) = (&pair.ends[direction], &pair.ends[1 - direction]);
        if self.is_cut(sender.node, receiver.node) {
            way.held.set(way.held.get() + 1);
            world.faults().count_met(FaultKind::NetCut);
            return;
        }
        let Some(packet) = way.packets.borrow_mut().pop_front() else {
            return;
        };
        match packet {
            Packet::Data(parts, len) => self.data(world, pair, direction, parts, len),
            Packet::Finish => {
                let details = (pair.code(direction), 0, 0);
                world.event(EventKind::Finish, receiver.node.number(), details);
                receiver.finished.set(true);
                receiver.wake();
            }
            Packet::Reset => self.break_end(world, pair, 1 - direction),
        }
        self.forget_if_over(pair);
    }

    fn data(&self, world: &World, pair: &Rc<Pair>, way: usize, parts: Vec<Bytes>, len: usize) {
        let receiver = &pair.ends[1 - way];
        match receiver.state.get() {
            State::Open => {}
            State::Gone => {
                world.faults().count_met(FaultKind::NetHalfOpen);
                if world.node(receiver.node).powered.get() {
                    self.send(world, pair, 1 - way, Packet::Reset);
                } else {
                    pair.ways[way].unanswered.set(true);
                }
                return;
            }
            State::Closed => {
                self.send(world, pair, 1 - way, Packet::Reset);
                return;
            }
            State::Reset => return,
        }
        if self.strikes(world, FaultKind::NetReset, receiver.node) {
            let kept = self.draw(world, FaultKind::NetReset, receiver.node, len + 1);
            self.receive(world, pair, way, cut(parts, kept), kept);
            self.break_both(world, pair, 1 - way);
            return;
        }
        self.receive(world, pair, way, parts, len);
    }

    fn receive(&self, world: &World, pair: &Rc<Pair>, way: usize, parts: Vec<Bytes>, len: usize) {
        let receiver = &pair.ends[1 - way];
        let details = (pair.code(way), len as u64, 0);
        world.event(EventKind::Arrive, receiver.node.number(), details);
        receiver.received.borrow_mut().extend(parts);
        receiver.received_len.set(receiver.received_len.get() + len);
        let reader = receiver.reader.take();
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// So many bytes were read at `end`: the writer on the other side may go on once it knows.
    pub fn acknowledge(&self, pair: &Rc<Pair>, end: usize, read: usize) {
        let way = &pair.ways[1 - end];
        if self.is_cut(pair.ends[end].node, pair.ends[1 - end].node) {
            way.unacknowledged.set(way.unacknowledged.get() + read);
            return;
        }
        way.outstanding.set(way.outstanding.get() - read);
        let writer = pair.ends[1 - end].writer.take();
        if let Some(writer) = writer {
            writer.wake();
        }
    }

    /// This end learns that the connection is broken. What arrived before can perhaps still be read.
    fn break_end(&self, world: &World, pair: &Rc<Pair>, end: usize) {
        let broken = &pair.ends[end];
        if broken.state.get() == State::Open {
            let details = (pair.code(end), 0, 0);
            world.event(EventKind::Reset, broken.node.number(), details);
            if world.faults().rate(FaultKind::NetReset) > 0 {
                world.faults().count_met(FaultKind::NetReset);
            }
            if world.decisions().chance(self.deaths(world), 500_000) {
                broken.forget_received();
            }
        }
        broken.state.set(State::Reset);
        broken.wake();
    }

    /// The connection breaks here and now; the other end learns it a delay later.
    fn break_both(&self, world: &World, pair: &Rc<Pair>, here: usize) {
        self.break_end(world, pair, here);
        self.send(world, pair, here, Packet::Reset);
    }

    /// The process closed its end: the stream ends after what was written; what arrives later is refused.
    pub fn close(&self, world: &World, pair: &Rc<Pair>, end: usize) {
        let own = &pair.ends[end];
        if own.state.get() != State::Open {
            return;
        }
        own.state.set(State::Closed);
        let unread = own.received_len.get() > 0;
        own.forget_received();
        own.wake();
        let packet = if unread {
            Packet::Reset
        } else {
            Packet::Finish
        };
        self.send(world, pair, end, packet);
    }

    fn forget_if_over(&self, pair: &Rc<Pair>) {
        if pair.is_over() {
            self.pairs.borrow_mut().remove(&pair.id);
        }
    }

    pub fn reset_between(&self, world: &World, one: NodeId, other: NodeId) {
        for pair in self.pairs_of(one) {
            if pair.ends.iter().any(|end| end.node == other) {
                world.faults().count_injected(FaultKind::NetReset);
                self.break_end(world, &pair, 0);
                self.break_end(world, &pair, 1);
                world.faults().count_met(FaultKind::NetReset);
                self.forget_if_over(&pair);
            }
        }
    }

    // ---- deaths ----

    /// The process is dead: its machine closes its sockets, or (half-open) forgets to say so.
    pub fn process_died(&self, world: &World, life: &Rc<Life>) {
        self.stop_listening(world, life.node);
        for pair in self.pairs_of(life.node) {
            for (index, end) in pair.ends.iter().enumerate() {
                if !Rc::ptr_eq(&end.life, life) || end.state.get() != State::Open {
                    continue;
                }
                if self.strikes(world, FaultKind::NetHalfOpen, life.node) {
                    end.state.set(State::Gone);
                    end.forget_received();
                } else if world.decisions().chance(self.deaths(world), 300_000) {
                    end.state.set(State::Reset);
                    end.forget_received();
                    self.send(world, &pair, index, Packet::Reset);
                } else {
                    self.close(world, &pair, index);
                }
            }
            self.forget_if_over(&pair);
        }
    }

    /// The machine is dark: nobody is told, and of what it had sent only a part is still on its way.
    pub fn power_off(&self, world: &World, node: NodeId) {
        self.stop_listening(world, node);
        for pair in self.pairs_of(node) {
            for (index, end) in pair.ends.iter().enumerate() {
                if end.node != node {
                    continue;
                }
                end.state.set(State::Gone);
                end.forget_received();
                let mut packets = pair.ways[index].packets.borrow_mut();
                let kept = world
                    .decisions()
                    .below(self.deaths(world), packets.len() as u64 + 1);
                packets.truncate(kept as usize);
                world.faults().count_injected(FaultKind::NetHalfOpen);
            }
            self.forget_if_over(&pair);
        }
    }

    /// The machine is back: whoever had sent it something on an old connection gets a reset.
    pub fn power_on(&self, world: &World, node: NodeId) {
        for pair in self.pairs_of(node) {
            for (index, end) in pair.ends.iter().enumerate() {
                let unanswered = &pair.ways[1 - index].unanswered;
                if end.node == node && end.state.get() == State::Gone && unanswered.take() {
                    self.send(world, &pair, index, Packet::Reset);
                }
            }
        }
    }

    fn stop_listening(&self, world: &World, node: NodeId) {
        let mut listeners = self.listeners.borrow_mut();
        let ports: BTreeSet<u16> = listeners
            .range((node, 0)..=(node, u16::MAX))
            .map(|((_, port), _)| *port)
            .collect();
        let closed: Vec<Rc<Backlog>> = ports
            .into_iter()
            .filter_map(|port| listeners.remove(&(node, port)))
            .collect();
        drop(listeners);
        for backlog in closed {
            backlog.refuse_all(world);
        }
    }

    /// The world ends.
    pub fn clear(&self) {
        let pairs = self.pairs.take();
        for pair in pairs.values() {
            for (end, way) in pair.ends.iter().zip(&pair.ways) {
                end.reader.take();
                end.writer.take();
                end.forget_received();
                way.packets.take();
            }
        }
        drop(pairs);
        drop(self.listeners.take());
    }
}

/// The first `len` bytes of the parts.
fn cut(parts: Vec<Bytes>, len: usize) -> Vec<Bytes> {
    let mut left = len;
    let mut kept = Vec::new();
    for mut part in parts {
        part.truncate(left);
        left -= part.len();
        if !part.is_empty() {
            kept.push(part);
        }
    }
    kept
}
