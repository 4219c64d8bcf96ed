//! TCP by tokio: one reader and one writer at most per connection, nothing buffered here.

use crate::Os;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use rustix::net::{Shutdown, shutdown};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use taffrail_env::net::{Connection, Listener, Net, NetError, NetErrorKind, NetResult};
use tokio::net::{TcpListener, TcpSocket, TcpStream, lookup_host};

/// Connections that the kernel accepts before we do.
const BACKLOG: u32 = 1024;
/// Pieces handed to the kernel by one call.
const PIECES_PER_CALL_MAX: usize = 64;

impl Net for Os {
    type Listener = OsListener;
    type Connection = OsConnection;

    fn listen(&self, address: &str) -> impl Future<Output = NetResult<OsListener>> + 'static {
        let address = address.to_owned();
        async move {
            first_of(&address, |resolved| async move { listen(resolved) })
                .await
                .map_err(|error| net_error(&address, &error))
        }
    }

    fn connect(&self, address: &str) -> impl Future<Output = NetResult<OsConnection>> + 'static {
        let address = address.to_owned();
        async move {
            let connect = |resolved| async move {
                let stream = TcpStream::connect(resolved).await?;
                OsConnection::new(stream)
            };
            first_of(&address, connect)
                .await
                .map_err(|error| net_error(&address, &error))
        }
    }
}

/// Resolves the address, and does `attempt` with each result until one succeeds.
async fn first_of<T, F: Future<Output = io::Result<T>>>(
    address: &str,
    attempt: impl Fn(SocketAddr) -> F,
) -> io::Result<T> {
    if let Ok(literal) = address.parse() {
        return attempt(literal).await;
    }
    let invalid = |text: String| io::Error::new(ErrorKind::InvalidInput, text);
    let resolved = lookup_host(address).await;
    let mut answer = Err(invalid("the name has no address".to_owned()));
    for resolved in resolved.map_err(|error| invalid(error.to_string()))? {
        answer = attempt(resolved).await;
        if answer.is_ok() {
            break;
        }
    }
    answer
}

fn listen(address: SocketAddr) -> io::Result<OsListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // A restarted node takes its port back while old connections still linger in the kernel.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    let listener = socket.listen(BACKLOG)?;
    let local = listener.local_addr()?;
    Ok(OsListener { listener, local })
}

fn net_error(address: &str, error: &io::Error) -> NetError {
    let kind = match error.kind() {
        ErrorKind::AddrInUse => NetErrorKind::AddressInUse,
        ErrorKind::PermissionDenied => NetErrorKind::NotPermitted,
        ErrorKind::AddrNotAvailable | ErrorKind::InvalidInput => NetErrorKind::AddressInvalid,
        ErrorKind::ConnectionRefused => NetErrorKind::Refused,
        ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe
        | ErrorKind::NotConnected
        | ErrorKind::TimedOut => NetErrorKind::Reset,
        _ => match rustix::io::Errno::from_io_error(error) {
            Some(
                rustix::io::Errno::MFILE
                | rustix::io::Errno::NFILE
                | rustix::io::Errno::NOBUFS
                | rustix::io::Errno::NOMEM,
            ) => NetErrorKind::Exhausted,
            _ => NetErrorKind::Other,
        },
    };
    NetError {
        kind,
        address: address.to_owned(),
        system: error.to_string(),
    }
}

/// A listening socket.
pub struct OsListener {
    listener: TcpListener,
    local: SocketAddr,
}

impl Listener for OsListener {
    type Connection = OsConnection;

    fn local_address(&self) -> SocketAddr {
        self.local
    }

    async fn accept(&self) -> NetResult<OsConnection> {
        loop {
            let accepted = match self.listener.accept().await {
                Ok((stream, _)) => OsConnection::new(stream),
                Err(error) => Err(error),
            };
            match accepted {
                Ok(connection) => return Ok(connection),
                // It was gone before we had it: the next one, then.
                Err(error) if is_gone(&error) => {}
                Err(error) => return Err(net_error(&self.local.to_string(), &error)),
            }
        }
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::NotConnected
    )
}

/// One TCP connection.
#[derive(Clone)]
pub struct OsConnection {
    shared: Rc<Shared>,
}

struct Shared {
    stream: TcpStream,
    local: SocketAddr,
    peer: SocketAddr,
    closed: Cell<bool>,
    /// Who waits in a read, and who in a write, to be woken by a close.
    waiting: [RefCell<Option<Waker>>; 2],
}

const READER: usize = 0;
const WRITER: usize = 1;

impl OsConnection {
    fn new(stream: TcpStream) -> io::Result<OsConnection> {
        // Whatever is handed over is complete; waiting for more to send with it only costs time.
        stream.set_nodelay(true)?;
        let (local, peer) = (stream.local_addr()?, stream.peer_addr()?);
        Ok(OsConnection {
            shared: Rc::new(Shared {
                stream,
                local,
                peer,
                closed: Cell::new(false),
                waiting: [RefCell::new(None), RefCell::new(None)],
            }),
        })
    }
}

impl Shared {
    fn error(&self, error: &io::Error) -> NetError {
        net_error(&self.peer.to_string(), error)
    }

    /// Repeats `attempt` whenever the socket may be ready, until it does not ask to wait, or the connection is closed.
    fn poll_io<T>(
        &self,
        side: usize,
        context: &mut Context<'_>,
        mut attempt: impl FnMut(&TcpStream) -> io::Result<T>,
    ) -> Poll<NetResult<T>> {
        loop {
            if self.closed.get() {
                return Poll::Ready(Err(NetError {
                    kind: NetErrorKind::Closed,
                    address: self.peer.to_string(),
                    system: "closed at this end".to_owned(),
                }));
            }
            let readiness = match side {
                READER => self.stream.poll_read_ready(context),
                _ => self.stream.poll_write_ready(context),
            };
            if readiness.is_pending() {
                let mut waiting = self.waiting[side].borrow_mut();
                match &mut *waiting {
                    Some(waker) => waker.clone_from(context.waker()),
                    None => *waiting = Some(context.waker().clone()),
                }
                return Poll::Pending;
            }
            let answer = ready!(readiness).and_then(|()| attempt(&self.stream));
            match answer {
                Ok(done) => return Poll::Ready(Ok(done)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(self.error(&error))),
            }
        }
    }
}

impl Connection for OsConnection {
    fn local_address(&self) -> SocketAddr {
        self.shared.local
    }

    fn peer_address(&self) -> SocketAddr {
        self.shared.peer
    }

    async fn read(&self, buffer: &mut BytesMut, max: usize) -> NetResult<usize> {
        assert!(
            max > 0,
            "a read of nothing would look like the end of the stream"
        );
        poll_fn(|context| {
            self.shared.poll_io(READER, context, |stream| {
                buffer.reserve(max);
                stream.try_read_buf(&mut (&mut *buffer).limit(max))
            })
        })
        .await
    }

    async fn write(&self, pieces: Vec<Bytes>) -> NetResult<()> {
        let mut pieces: VecDeque<Bytes> = pieces.into();
        loop {
            while pieces.front().is_some_and(Bytes::is_empty) {
                pieces.pop_front();
            }
            if pieces.is_empty() {
                return Ok(());
            }
            let mut written = poll_fn(|context| {
                self.shared.poll_io(WRITER, context, |stream| {
                    let mut slices = [IoSlice::new(&[]); PIECES_PER_CALL_MAX];
                    let count = pieces.len().min(PIECES_PER_CALL_MAX);
                    for (slice, piece) in slices.iter_mut().zip(&pieces) {
                        *slice = IoSlice::new(piece);
                    }
                    stream.try_write_vectored(&slices[..count])
                })
            })
            .await?;
            while let Some(first) = pieces.front_mut() {
                if written < first.len() {
                    first.advance(written);
                    break;
                }
                written -= first.len();
                pieces.pop_front();
            }
        }
    }

    fn close(&self) {
        if self.shared.closed.replace(true) {
            return;
        }
        // That the peer is gone already is no news to one who closes.
        let _ = shutdown(&self.shared.stream, Shutdown::Write);
        for waiting in &self.shared.waiting {
            if let Some(waker) = waiting.take() {
                waker.wake();
            }
        }
    }
}
