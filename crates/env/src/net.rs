//! Byte streams between addresses, bounded both ways.
//!
//! A connection is a pair of independent byte streams. Reads and writes on one connection may be awaited at
//! the same time by different tasks, but at most one of each. Bytes arrive in order, cut anywhere. What was
//! written may be lost with the connection; only an answer of the peer says that it arrived.

use bytes::{Bytes, BytesMut};
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;

/// What a caller can act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetErrorKind {
    /// The address to listen on is taken.
    AddressInUse,
    /// The address cannot be parsed, resolved or bound.
    AddressInvalid,
    /// Nobody listens there.
    Refused,
    /// The peer, or something between, broke the connection.
    Reset,
    /// This end closed it.
    Closed,
    /// This process may not listen there.
    NotPermitted,
    /// Out of descriptors or buffers: an accept that may be tried again a little later.
    Exhausted,
    Other,
}

/// A failed network operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetError {
    pub kind: NetErrorKind,
    /// The address it was about.
    pub address: String,
    /// The operating system's text.
    pub system: String,
}

impl fmt::Display for NetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "network: {}: {}", self.address, self.system)
    }
}

impl std::error::Error for NetError {}

/// The answer of a network operation.
pub type NetResult<T> = Result<T, NetError>;

/// A network.
pub trait Net {
    type Listener: Listener<Connection = Self::Connection>;
    type Connection: Connection;

    /// Listens on `HOST:PORT`; port 0 picks a free one. The returned listener queues connections at once.
    fn listen(&self, address: &str) -> impl Future<Output = NetResult<Self::Listener>> + 'static;

    /// Connects to `HOST:PORT`. No time limit of its own: race it with a sleep.
    fn connect(&self, address: &str)
    -> impl Future<Output = NetResult<Self::Connection>> + 'static;
}

/// A listening socket. Closed when dropped.
pub trait Listener: 'static {
    type Connection: Connection;

    fn local_address(&self) -> SocketAddr;

    /// The next connection. May be dropped while waiting without losing one.
    fn accept(&self) -> impl Future<Output = NetResult<Self::Connection>>;
}

/// One connection. Clones are the same connection; it is closed when the last is dropped.
pub trait Connection: Clone + 'static {
    fn local_address(&self) -> SocketAddr;

    fn peer_address(&self) -> SocketAddr;

    /// Appends to `buffer` at least one and at most `max` bytes (`max` > 0), and answers how many; 0 at the end of the
    /// peer's stream. The buffer may be grown by up to `max`. If the future is dropped while pending, nothing was read.
    fn read(&self, buffer: &mut BytesMut, max: usize) -> impl Future<Output = NetResult<usize>>;

    /// Hands all of the pieces to the network, waiting while the peer does not read. If the future is dropped while
    /// pending, an unknown part was sent: the connection is good for nothing but closing.
    fn write(&self, pieces: Vec<Bytes>) -> impl Future<Output = NetResult<()>>;

    /// Ends the outgoing stream after what was written; pending reads and writes end with [`NetErrorKind::Closed`].
    fn close(&self);
}
