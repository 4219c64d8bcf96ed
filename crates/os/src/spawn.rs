//! Shards and their tasks: a thread with a single-threaded runtime each.

use crate::Os;
use crate::clock::Timers;
use crate::panics::{self, Fatal};
use crate::pool::{Pool, Work};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use taffrail_env::Spawn;
use tokio::runtime;
use tokio::task::{LocalSet, spawn_local};

/// Threads of a shard's runtime that resolve host names, which the system does by blocking calls.
const RESOLVER_THREADS_MAX: usize = 2;

/// What the shards of one node share.
struct Node {
    origin: std::time::Instant,
    pool: Arc<Pool>,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.pool.close();
    }
}

/// One shard of a node.
pub(crate) struct Shard {
    index: usize,
    node: Arc<Node>,
    pub(crate) timers: Rc<Timers>,
    /// What this shard has asked of the I/O threads.
    pub(crate) work: Arc<Work>,
}

impl Shard {
    /// The threads that do what blocks.
    pub(crate) fn pool(&self) -> Arc<Pool> {
        self.node.pool.clone()
    }
}

/// Makes the calling thread shard 0 of a new node, runs there what `main` makes of it, and gives back what that gives.
///
/// Tasks that are still running then are dropped; disk operations that were begun are finished. Other shards, if they were
/// started and have not ended, run on until they end or the process does.
pub fn run<M, F>(main: M) -> F::Output
where
    M: FnOnce(Os) -> F,
    F: Future,
{
    panics::install();
    let node = Arc::new(Node {
        origin: std::time::Instant::now(),
        pool: Pool::new(),
    });
    run_shard(node, 0, main)
}

fn run_shard<M, F>(node: Arc<Node>, index: usize, main: M) -> F::Output
where
    M: FnOnce(Os) -> F,
    F: Future,
{
    let runtime = runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .thread_name(format!("resolver-{index}"))
        .max_blocking_threads(RESOLVER_THREADS_MAX)
        .build()
        .unwrap_or_else(|error| panic!("the system gives no event queue: {error}"));
    let work = Work::new(node.pool.clone());
    let timers = Timers::new(node.origin);
    let os = Os {
        shard: Rc::new(Shard {
            index,
            node,
            timers: timers.clone(),
            work: work.clone(),
        }),
    };
    let tasks = LocalSet::new();
    let output = tasks.block_on(&runtime, async move {
        spawn_local(timers.drive());
        main(os).await
    });
    drop(tasks);
    // Tasks of the runtime hold sockets; none of them waits for anything any more.
    runtime.shutdown_background();
    work.wait_until_done();
    output
}

impl Spawn for Os {
    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        spawn_local(async move {
            let mut task = pin!(task);
            poll_fn(|context| {
                let _fatal = Fatal::enter();
                task.as_mut().poll(context)
            })
            .await;
        });
    }

    fn shard(&self) -> usize {
        self.shard.index
    }

    fn start_shard<M, F>(&self, index: usize, main: M)
    where
        M: FnOnce(Self) -> F + Send + 'static,
        F: Future<Output = ()> + 'static,
    {
        let node = self.shard.node.clone();
        std::thread::Builder::new()
            .name(format!("shard-{index}"))
            .spawn(move || {
                let _fatal = Fatal::enter();
                run_shard(node, index, main);
            })
            .unwrap_or_else(|error| {
                panic!("the system gives no thread for shard {index}: {error}")
            });
    }
}
