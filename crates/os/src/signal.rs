//! Being asked to end: SIGTERM, SIGINT from a terminal, and SIGHUP when the terminal goes away.

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
    /// SIGHUP.
    HangUp,
}

impl Termination {
    /// The signal's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "SIGINT",
            Self::HangUp => "SIGHUP",
        }
    }
}

/// Listens for these signals. From now on, and for the rest of the process's life, they do not kill it.
pub struct Terminations {
    terminate: unix::Signal,
    interrupt: unix::Signal,
    /// `None` where SIGHUP was ignored from the beginning, as by `nohup`: then it still is.
    hang_up: Option<unix::Signal>,
}

impl Os {
    /// Starts to listen.
    pub fn terminations(&self) -> io::Result<Terminations> {
        Ok(Terminations {
            terminate: unix::signal(SignalKind::terminate())?,
            interrupt: unix::signal(SignalKind::interrupt())?,
            hang_up: match ignores_hang_up() {
                true => None,
                false => Some(unix::signal(SignalKind::hangup())?),
            },
        })
    }
}

/// Whether whoever started this process had it ignore SIGHUP.
fn ignores_hang_up() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // The lowest bit is signal 1.
    mask.is_some_and(|mask| mask & 1 != 0)
}

impl Terminations {
    /// The next signal. Several of one kind that come in quick succession may count as one.
    pub async fn next(&mut self) -> Termination {
        poll_fn(|context| {
            if self.terminate.poll_recv(context).is_ready() {
                Poll::Ready(Termination::Terminate)
            } else if self.interrupt.poll_recv(context).is_ready() {
                Poll::Ready(Termination::Interrupt)
            } else if let Some(hang_up) = &mut self.hang_up
                && hang_up.poll_recv(context).is_ready()
            {
                Poll::Ready(Termination::HangUp)
            } else {
                Poll::Pending
            }
        })
        .await
    }
}
