//! The I/O threads: what waits for what.

use crate::pool::{Class, Pool, Strand, Work};
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Waker};

fn with_pool<T>(test: impl FnOnce(&Arc<Work>) -> T) -> T {
    let pool = Pool::new();
    let work = Work::new(pool.clone());
    let output = test(&work);
    work.wait_until_done();
    pool.close();
    output
}

/// The answer of a job that is known to be done.
fn answer<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it is not done"),
    }
}

#[test]
fn a_strand_runs_its_jobs_one_by_one_in_order_whatever_their_classes() {
    const JOBS: usize = 3_000;
    let order = Arc::new(Mutex::new(Vec::new()));
    with_pool(|work| {
        let strand = Strand::new(work.clone());
        let busy = Arc::new(AtomicBool::new(false));
        for number in 0..JOBS {
            let class = [Class::Read, Class::Write, Class::Write, Class::Bulk][number * 7 % 4];
            let (order, busy) = (order.clone(), busy.clone());
            drop(strand.submit(class, move || {
                assert!(!busy.swap(true, Ordering::SeqCst));
                order.lock().expect("the order").push(number);
                busy.store(false, Ordering::SeqCst);
            }));
        }
    });
    assert_eq!(*order.lock().expect("the order"), Vec::from_iter(0..JOBS));
}

#[test]
fn a_job_waits_for_the_one_before_though_other_threads_are_free() {
    with_pool(|work| {
        let strand = Strand::new(work.clone());
        let (release, blocked) = mpsc::channel::<()>();
        let (begin, begun) = mpsc::channel();
        drop(strand.submit(Class::Write, move || {
            begin.send(()).expect("the test waits");
            blocked.recv()
        }));
        begun.recv().expect("it runs");
        let early = Arc::new(AtomicBool::new(true));
        let next = early.clone();
        let was_early = strand.submit(Class::Write, move || next.load(Ordering::SeqCst));
        // Others that came later are done meanwhile.
        for _ in 0..100 {
            let (done, is_done) = mpsc::channel();
            drop(work.submit(Class::Write, move || done.send(())));
            is_done.recv().expect("it is done");
        }
        early.store(false, Ordering::SeqCst);
        release.send(()).expect("the first job waits");
        work.wait_until_done();
        assert!(!answer(was_early));
    });
}

#[test]
fn writes_and_housekeeping_pass_by_reads_that_hang() {
    let (release, blocked) = mpsc::channel::<()>();
    let blocked = Arc::new(Mutex::new(blocked));
    with_pool(|work| {
        // More than there are threads for reads.
        let reads: Vec<_> = (0..100)
            .map(|_| {
                let blocked = blocked.clone();
                work.submit(Class::Read, move || {
                    let blocked = blocked.lock().expect("the channel");
                    blocked.recv().expect("a release");
                })
            })
            .collect();
        for class in [Class::Write, Class::Bulk, Class::ManySyncs] {
            let (done, is_done) = mpsc::channel();
            drop(work.submit(class, move || done.send(7)));
            assert_eq!(is_done.recv(), Ok(7));
        }
        for _ in &reads {
            release.send(()).expect("somebody waits");
        }
        work.wait_until_done();
        reads.into_iter().for_each(answer);
    });
}

#[test]
fn different_files_are_read_in_parallel() {
    with_pool(|work| {
        // Each job waits for the other to have begun.
        let (tell_b, hear_a) = mpsc::channel();
        let (tell_a, hear_b) = mpsc::channel();
        let a = work.submit(Class::Read, move || {
            tell_b.send(()).expect("b");
            hear_b.recv()
        });
        let b = work.submit(Class::Read, move || {
            tell_a.send(()).expect("a");
            hear_a.recv()
        });
        work.wait_until_done();
        assert_eq!((answer(a), answer(b)), (Ok(()), Ok(())));
    });
}

#[test]
fn jobs_of_a_closed_pool_still_are_done() {
    let pool = Pool::new();
    pool.close();
    let work = Work::new(pool);
    let done = Arc::new(AtomicUsize::new(0));
    for _ in 0..100 {
        let done = done.clone();
        drop(work.submit(Class::Write, move || done.fetch_add(1, Ordering::SeqCst)));
    }
    work.wait_until_done();
    assert_eq!(done.load(Ordering::SeqCst), 100);
}
