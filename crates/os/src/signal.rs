//! Being asked to end: SIGTERM, and SIGINT from a terminal.

use crate::Os;
use std::future::poll_fn;
use std::io;
use std::task::Poll;
use tokio::signal::unix::{self, SignalKind};

/// The wish to end, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Termination {
    /// SIGTERM.
    Terminate,
    /// SIGINT.
    Interrupt,
}

impl Termination {
    /// The signal's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "SIGINT",
        }
    }
}

/// Listens for both signals. From now on, and for the rest of the process's life, they do not kill it.
pub struct Terminations {
    terminate: unix::Signal,
    interrupt: unix::Signal,
}

impl Os {
    /// Starts to listen.
    pub fn terminations(&self) -> io::Result<Terminations> {
        Ok(Terminations {
            terminate: unix::signal(SignalKind::terminate())?,
            interrupt: unix::signal(SignalKind::interrupt())?,
        })
    }
}

impl Terminations {
    /// The next signal. Several of one kind that come in quick succession may count as one.
    pub async fn next(&mut self) -> Termination {
        poll_fn(|context| {
            if self.terminate.poll_recv(context).is_ready() {
                Poll::Ready(Termination::Terminate)
            } else if self.interrupt.poll_recv(context).is_ready() {
                Poll::Ready(Termination::Interrupt)
            } else {
                Poll::Pending
            }
        })
        .await
    }
}
