//! Standard input as a bounded stream, and standard output that waits for its reader without blocking a shard.

use crate::Os;
use crate::panics::Fatal;
use crate::pool::{Class, Strand, Work};
use bytes::{Bytes, BytesMut};
use rustix::io::{Errno, read, retry_on_intr, write};
use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use taffrail_env::mailbox::{Receiver, Sender, bounded};

/// One read of standard input takes at most this much.
const CHUNK_BYTES_MAX: usize = 1 << 16;
/// So many chunks are read ahead.
const CHUNKS_MAX: usize = 4;

/// A standard stream failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StdioError {
    /// Nobody reads our output any more.
    NoReader,
    /// A line of input is longer than allowed: the limit, in bytes.
    LineTooLong(usize),
    /// The system's own words.
    System(String),
}

impl fmt::Display for StdioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoReader => f.write_str("nobody reads the output"),
            Self::LineTooLong(max) => write!(f, "a line of the input is longer than {max} bytes"),
            Self::System(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for StdioError {}

impl From<Errno> for StdioError {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::PIPE => Self::NoReader,
            _ => Self::System(std::io::Error::from(errno).to_string()),
        }
    }
}

impl Os {
    /// Standard input, read ahead by a thread of its own. To be called once: two would share the input.
    pub fn stdin(&self) -> Stdin {
        let (sender, chunks) = bounded(CHUNKS_MAX);
        thread::Builder::new()
            .name("stdin".to_owned())
            .spawn(move || {
                let _fatal = Fatal::enter();
                read_ahead(&sender);
            })
            .unwrap_or_else(|error| panic!("the system gives no thread for stdin: {error}"));
        Stdin { chunks }
    }

    /// Standard output. What is written and not awaited is not waited for at the end: whoever holds the other end of it may never take it.
    pub fn stdout(&self) -> Stdout {
        Stdout {
            strand: Strand::new(Work::new(self.shard.pool())),
        }
    }
}

type Chunk = Result<Bytes, StdioError>;

/// Standard input.
pub struct Stdin {
    chunks: Receiver<Chunk>,
}

impl Stdin {
    /// Some more of it, or `None` at its end.
    pub async fn next(&mut self) -> Option<Chunk> {
        self.chunks.recv().await
    }

    /// Cut into lines of at most `line_bytes_max` bytes.
    pub fn lines(self, line_bytes_max: usize) -> Lines {
        Lines {
            stdin: self,
            pending: BytesMut::new(),
            searched: 0,
            line_bytes_max,
        }
    }
}

fn read_ahead(sender: &Sender<Chunk>) {
    let input = rustix::stdio::stdin();
    let mut buffer = vec![0; CHUNK_BYTES_MAX];
    loop {
        let chunk = match retry_on_intr(|| read(input, &mut buffer[..])) {
            Ok(0) => return,
            Ok(read) => Ok(Bytes::copy_from_slice(&buffer[..read])),
            Err(errno) => Err(errno.into()),
        };
        let failed = chunk.is_err();
        if block_on(sender.send(chunk)).is_err() || failed {
            return;
        }
    }
}

/// The lines of standard input.
pub struct Lines {
    stdin: Stdin,
    pending: BytesMut,
    /// Up to here there is no end of line in `pending`.
    searched: usize,
    line_bytes_max: usize,
}

impl Lines {
    /// The next line without its `\n`; a last line needs none. A `\r` belongs to the line. `None` at the end.
    pub async fn next(&mut self) -> Option<Chunk> {
        loop {
            if let Some(line) = self.cut_line() {
                return Some(line);
            }
            match self.stdin.next().await {
                Some(Ok(chunk)) => self.pending.extend_from_slice(&chunk),
                Some(Err(error)) => return Some(Err(error)),
                None if self.pending.is_empty() => return None,
                None => {
                    self.searched = 0;
                    return Some(Ok(self.pending.split().freeze()));
                }
            }
        }
    }

    fn cut_line(&mut self) -> Option<Chunk> {
        let found = self.pending[self.searched..]
            .iter()
            .position(|byte| *byte == b'\n');
        let len = found.map_or(self.pending.len(), |at| self.searched + at);
        if len > self.line_bytes_max {
            return Some(Err(StdioError::LineTooLong(self.line_bytes_max)));
        }
        self.searched = len;
        found?;
        let line = self.pending.split_to(len + 1).freeze();
        self.searched = 0;
        Some(Ok(line.slice(..len)))
    }
}

/// Standard output.
#[derive(Clone)]
pub struct Stdout {
    strand: Arc<Strand>,
}

impl Stdout {
    /// Writes all of the pieces; in the order of the calls, also if they are not awaited.
    pub fn write(
        &self,
        pieces: Vec<Bytes>,
    ) -> impl Future<Output = Result<(), StdioError>> + 'static {
        self.strand.submit(Class::Write, move || {
            for piece in pieces {
                let mut rest = &piece[..];
                while !rest.is_empty() {
                    let written = retry_on_intr(|| write(rustix::stdio::stdout(), rest))?;
                    rest = &rest[written..];
                }
            }
            Ok(())
        })
    }
}

/// Waits for a future on a thread that has nothing else to do.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker: Waker = Arc::new(Unpark(thread::current())).into();
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}
