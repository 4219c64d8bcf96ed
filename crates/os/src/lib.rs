//! The one real `Env`: files, sockets, timers, entropy and threads of a Linux machine.
//!
//! [`run`] turns the calling thread into a node's first shard. Each shard is a thread with a single-threaded tokio
//! runtime; files are served by I/O threads of their own (`pool`), so no shard ever waits for a disk. What
//! the program needs of its surroundings beside `Env` - signals, standard streams, its arguments - is in
//! [`signal`], [`stdio`] and [`process`].
//!
//! A panic in a task, a further shard or an I/O thread ends the process at once: exit code 101 after one line on stderr
//! that says where and why. What a half-done step left behind is for the next start's recovery to judge. A
//! panic of the future given to [`run`] unwinds into its caller, unless [`process::exit_on_any_panic`] was called.

// This is the crate whose work it is to meet clocks, files, sockets and threads; the others are banned from them.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod clock;
mod disk;
mod entropy;
mod net;
mod panics;
mod pool;
pub mod process;
pub mod signal;
mod spawn;
pub mod stdio;

#[cfg(test)]
mod tests;

pub use disk::{OsDirectory, OsFile};
pub use net::{OsConnection, OsListener};
pub use spawn::run;

use std::rc::Rc;

/// A node's real surroundings, as one of its shards sees them.
#[derive(Clone)]
pub struct Os {
    shard: Rc<spawn::Shard>,
}
