//! The I/O threads, and the order of what they do.
//!
//! Every open file has a [`Strand`]: a queue of jobs that run one after the other, in the order of submission.
//! Different strands run in parallel. A strand that has something to do stands in the line of one of four
//! [`Class`]es, each with threads of its own, started when first needed: so a journal's sync waits neither for a
//! cold read nor behind a directory's worth of housekeeping. Jobs block; shards only submit them, and
//! hear of the end through a one-time reply.
//!
//! The queues have no bound of their own: each job belongs to one operation of a shard, and those who
//! begin operations bound how many they begin.

use crate::panics::Fatal;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::thread;
use taffrail_env::mailbox::{self, Reply};

/// Kinds of jobs that must not wait for one another.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Reads of files.
    Read,
    /// Writes and syncs of files.
    Write,
    /// Opening, closing, directories.
    Bulk,
    /// Syncs of many files.
    ManySyncs,
}

const CLASSES: usize = 4;
const READ_THREADS_MAX: usize = 4;
const WRITE_THREADS_MAX: usize = 4;
const BULK_THREADS_MAX: usize = 2;
/// A file system answers the syncs that wait together by one commit of its journal: with 500 files of 64 KiB ext4 does
/// 1,500 to 2,300 syncs a second from two threads, 4,000 to 9,000 from sixteen, and no more from 32.
const SYNC_THREADS_MAX: usize = 16;

/// Jobs that a strand may do before others of its class get their turn.
const JOBS_PER_TURN_MAX: usize = 16;

type Job = Box<dyn FnOnce() + Send>;

pub(crate) struct Pool {
    lines: [Line; CLASSES],
}

/// The strands of one class that have something to do, and the threads that do it.
struct Line {
    name: &'static str,
    threads_max: usize,
    state: Mutex<LineState>,
    changed: Condvar,
}

#[derive(Default)]
struct LineState {
    ready: VecDeque<Arc<Strand>>,
    threads: usize,
    /// Threads that wait for `changed`.
    idle: usize,
    /// Idle threads are to end.
    closing: bool,
}

impl Pool {
    pub(crate) fn new() -> Arc<Pool> {
        let line = |name, threads_max| Line {
            name,
            threads_max,
            state: Mutex::default(),
            changed: Condvar::new(),
        };
        Arc::new(Pool {
            lines: [
                line("io-read", READ_THREADS_MAX),
                line("io-write", WRITE_THREADS_MAX),
                line("io-bulk", BULK_THREADS_MAX),
                line("io-sync", SYNC_THREADS_MAX),
            ],
        })
    }

    /// Threads end when they have nothing left to do. Jobs that come later still are done.
    pub(crate) fn close(&self) {
        for line in &self.lines {
            lock(&line.state).closing = true;
            line.changed.notify_all();
        }
    }

    fn schedule(self: &Arc<Self>, strand: Arc<Strand>, class: Class) {
        let line = &self.lines[class as usize];
        let mut state = lock(&line.state);
        state.ready.push_back(strand);
        if state.ready.len() > state.idle && state.threads < line.threads_max {
            state.threads += 1;
            let number = state.threads;
            drop(state);
            self.start_thread(class, number);
        } else {
            drop(state);
            line.changed.notify_one();
        }
    }

    fn start_thread(self: &Arc<Self>, class: Class, number: usize) {
        let pool = self.clone();
        let name = self.lines[class as usize].name;
        thread::Builder::new()
            .name(format!("{name}-{number}"))
            .spawn(move || {
                let _fatal = Fatal::enter();
                while let Some(strand) = pool.lines[class as usize].next() {
                    strand.take_turn(class);
                }
            })
            .unwrap_or_else(|error| panic!("the system gives no thread for I/O: {error}"));
    }
}

impl Line {
    /// The next strand, or `None` if this thread is to end.
    fn next(&self) -> Option<Arc<Strand>> {
        let mut state = lock(&self.state);
        loop {
            if let Some(strand) = state.ready.pop_front() {
                return Some(strand);
            }
            if state.closing {
                state.threads -= 1;
                return None;
            }
            state.idle += 1;
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }
}

/// What one shard has asked of the I/O threads and is not done yet.
pub(crate) struct Work {
    pool: Arc<Pool>,
    pending: Mutex<usize>,
    none_pending: Condvar,
}

impl Work {
    pub(crate) fn new(pool: Arc<Pool>) -> Arc<Work> {
        Arc::new(Work {
            pool,
            pending: Mutex::new(0),
            none_pending: Condvar::new(),
        })
    }

    /// Blocks until all jobs of this shard are done.
    pub(crate) fn wait_until_done(&self) {
        let mut pending = lock(&self.pending);
        while *pending > 0 {
            pending = self
                .none_pending
                .wait(pending)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A job that is ordered with no other.
    pub(crate) fn submit<T: Send + 'static>(
        self: &Arc<Self>,
        class: Class,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Done<T> {
        Strand::new(self.clone()).submit(class, job)
    }

    fn job_done(&self) {
        let mut pending = lock(&self.pending);
        *pending -= 1;
        if *pending == 0 {
            self.none_pending.notify_all();
        }
    }
}

/// Jobs that run one after the other.
pub(crate) struct Strand {
    work: Arc<Work>,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<(Class, Job)>,
    /// It stands in a line, or a thread is at it.
    scheduled: bool,
}

impl Strand {
    pub(crate) fn new(work: Arc<Work>) -> Arc<Strand> {
        Arc::new(Strand {
            work,
            queue: Mutex::default(),
        })
    }

    /// Starts `job` after those submitted before; it is done whether or not anybody awaits the answer.
    pub(crate) fn submit<T: Send + 'static>(
        self: &Arc<Self>,
        class: Class,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Done<T> {
        let (reply, done) = mailbox::oneshot();
        let job = Box::new(move || {
            // An answer that nobody waits for is dropped here, on the I/O thread.
            let _ = reply.send(job());
        });
        *lock(&self.work.pending) += 1;
        let mut queue = lock(&self.queue);
        queue.jobs.push_back((class, job));
        if !queue.scheduled {
            queue.scheduled = true;
            drop(queue);
            self.work.pool.schedule(self.clone(), class);
        }
        Done(done)
    }

    fn take_turn(self: Arc<Self>, class: Class) {
        for _ in 0..JOBS_PER_TURN_MAX {
            let mut queue = lock(&self.queue);
            match queue.jobs.front() {
                None => {
                    queue.scheduled = false;
                    return;
                }
                Some((next, _)) if *next != class => break,
                Some(_) => {}
            }
            let job = queue.jobs.pop_front();
            drop(queue);
            if let Some((_, job)) = job {
                job();
                self.work.job_done();
            }
        }
        let mut queue = lock(&self.queue);
        match queue.jobs.front() {
            None => queue.scheduled = false,
            Some((next, _)) => {
                let next = *next;
                drop(queue);
                let work = self.work.clone();
                work.pool.schedule(self, next);
            }
        }
    }
}

/// A job's answer to come. Dropping it does not stop the job.
pub(crate) struct Done<T>(Reply<T>);

impl<T> Future for Done<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        Pin::new(&mut self.0)
            .poll(context)
            .map(|answer| answer.expect("an I/O thread does every job it was given"))
    }
}

/// A panic on an I/O thread ends the process, so nobody ever sees what one left behind.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
