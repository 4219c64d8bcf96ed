//! Tasks on this shard, and other shards.

use std::future::Future;

/// Starts tasks. There is no handle: a task that has something to say says it through a channel.
///
/// A panic in any task ends the whole node: its state can no longer be trusted.
pub trait Spawn: Sized {
    /// Runs `task` on this shard, interleaved with its other tasks at their awaits.
    fn spawn(&self, task: impl Future<Output = ()> + 'static);

    /// This shard's number; the node's first shard is 0.
    fn shard(&self) -> usize;

    /// Starts the node's shard `index`, a thread of its own where there are threads, and runs there what
    /// `main` makes of that shard's `Env`. The shard ends when `main`'s future is done; its other tasks end with it.
    /// Shards share nothing but what `main` carries over, which is `Send`: mailboxes, in the main.
    fn start_shard<M, F>(&self, index: usize, main: M)
    where
        M: FnOnce(Self) -> F + Send + 'static,
        F: Future<Output = ()> + 'static;
}
