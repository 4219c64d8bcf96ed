//! A small world for this crate's tests: one thread, a clock that jumps when nothing else can happen, and a
//! disk with a volatile and a durable half. The world can end at any disk operation, as by a power cut, and be
//! opened again as the platter has it.

#[allow(dead_code)]
mod disk;

pub use disk::{DiskWorld, Fault, TestDirectory, TestFile};

use bytes::{Bytes, BytesMut};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use taffrail_env::disk::{DiskResult, Entry, Space};
use taffrail_env::net::{NetError, NetErrorKind, NetResult};
use taffrail_env::{
    Clock, Connection, Disk, Entropy, FaultPoints, Instant, Listener, Net, OpenMode, Spawn,
};

/// A seeded generator.
pub struct Dice(Cell<u64>);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(Cell::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1))
    }

    pub fn roll(&self) -> u64 {
        let mut x = self.0.get();
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.0.set(x);
        x.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    pub fn below(&self, bound: u64) -> u64 {
        (self.roll() >> 11) % bound
    }
}

type Task = Pin<Box<dyn Future<Output = ()>>>;

struct TaskWaker {
    id: usize,
    ready: Arc<Mutex<VecDeque<usize>>>,
    queued: AtomicBool,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        if !self.queued.swap(true, Ordering::SeqCst) {
            self.ready
                .lock()
                .expect("no test thread panics here")
                .push_back(self.id);
        }
    }
}

struct Slot {
    task: Option<Task>,
    waker: Arc<TaskWaker>,
}

/// The world of one run.
pub struct World {
    pub dice: Dice,
    pub disk: Rc<RefCell<DiskWorld>>,
    now: Cell<u64>,
    pub wall_ms: Cell<i64>,
    tasks: RefCell<Vec<Slot>>,
    ready: Arc<Mutex<VecDeque<usize>>>,
    sleepers: RefCell<Vec<(u64, Waker)>>,
    watch: RefCell<Option<Box<dyn Fn() -> bool>>>,
    news: Cell<u64>,
}

/// The `Env` of that world. A handle.
#[derive(Clone)]
pub struct TestEnv(pub Rc<World>);

impl TestEnv {
    pub fn new(seed: u64, disk: DiskWorld) -> TestEnv {
        TestEnv(Rc::new(World {
            dice: Dice::new(seed),
            disk: Rc::new(RefCell::new(disk)),
            now: Cell::new(1),
            wall_ms: Cell::new(1_700_000_000_000),
            tasks: RefCell::default(),
            ready: Arc::default(),
            sleepers: RefCell::default(),
            watch: RefCell::default(),
            news: Cell::default(),
        }))
    }

    /// Runs `main` and every task; `None` if the power went first, or nothing could go on.
    pub fn run<T: 'static>(&self, main: impl Future<Output = T> + 'static) -> Option<T> {
        let result = Rc::new(RefCell::new(None));
        let out = result.clone();
        self.spawn(async move {
            let value = main.await;
            *out.borrow_mut() = Some(value);
        });
        let mut steps = 0;
        while result.borrow().is_none() && !self.0.disk.borrow().is_dead() {
            steps += 1;
            assert!(steps < 2_000_000, "it spins");
            self.look();
            if !self.step() && !self.pass_time() {
                break;
            }
        }
        result.take()
    }

    /// From when on `noticed` holds after a failure, no write may come any more.
    pub fn watch(&self, noticed: impl Fn() -> bool + 'static) {
        *self.0.watch.borrow_mut() = Some(Box::new(noticed));
    }

    fn look(&self) {
        let failed = self.0.disk.borrow().failed;
        // The news has to travel from task to task.
        let news = self.0.news.get() + u64::from(failed);
        self.0.news.set(news);
        if news > 60
            && self
                .0
                .watch
                .borrow()
                .as_ref()
                .is_some_and(|noticed| noticed())
        {
            self.0.disk.borrow_mut().noticed = true;
        }
    }

    /// Ends every task.
    pub fn stop(&self) {
        self.0.watch.borrow_mut().take();
        let tasks = std::mem::take(&mut *self.0.tasks.borrow_mut());
        drop(tasks);
        self.0
            .ready
            .lock()
            .expect("no test thread panics here")
            .clear();
        self.0.sleepers.borrow_mut().clear();
    }

    /// The disk as the platter has it after the power went; the world ends.
    pub fn cut_power(self) -> DiskWorld {
        self.stop();
        self.0.disk.borrow_mut().power_cut(&self.0.dice)
    }

    /// The disk as the system has it after the process was killed; the world ends.
    pub fn kill(self) -> DiskWorld {
        self.stop();
        self.0.disk.borrow_mut().kill()
    }

    fn step(&self) -> bool {
        let id = {
            let mut ready = self.0.ready.lock().expect("no test thread panics here");
            if ready.is_empty() {
                return false;
            }
            let pick = self.0.dice.below(ready.len() as u64) as usize;
            ready.remove(pick)
        };
        let Some(id) = id else {
            return false;
        };
        let (task, waker) = {
            let mut tasks = self.0.tasks.borrow_mut();
            let Some(slot) = tasks.get_mut(id) else {
                return true;
            };
            slot.waker.queued.store(false, Ordering::SeqCst);
            (slot.task.take(), slot.waker.clone())
        };
        if let Some(mut task) = task {
            let waker = Waker::from(waker);
            let done = task
                .as_mut()
                .poll(&mut Context::from_waker(&waker))
                .is_ready();
            if !done && let Some(slot) = self.0.tasks.borrow_mut().get_mut(id) {
                slot.task = Some(task);
            }
        }
        true
    }

    fn pass_time(&self) -> bool {
        let mut sleepers = self.0.sleepers.borrow_mut();
        let Some(earliest) = sleepers.iter().map(|(at, _)| *at).min() else {
            return false;
        };
        let passed = earliest.saturating_sub(self.0.now.get());
        self.0.now.set(self.0.now.get().max(earliest));
        self.0
            .wall_ms
            .set(self.0.wall_ms.get() + (passed / 1_000_000) as i64);
        sleepers.retain(|(at, waker)| {
            if *at == earliest {
                waker.wake_by_ref();
            }
            *at != earliest
        });
        true
    }
}

impl Clock for TestEnv {
    fn now(&self) -> Instant {
        Instant(self.0.now.get())
    }

    fn unix_ms(&self) -> i64 {
        self.0.wall_ms.get()
    }

    fn sleep_until(&self, deadline: Instant) -> impl Future<Output = ()> + 'static {
        let world = self.0.clone();
        std::future::poll_fn(move |context| {
            if world.now.get() >= deadline.0 {
                return Poll::Ready(());
            }
            world
                .sleepers
                .borrow_mut()
                .push((deadline.0, context.waker().clone()));
            Poll::Pending
        })
    }
}

impl Entropy for TestEnv {
    fn fill(&self, _label: &'static str, buffer: &mut [u8]) {
        for byte in buffer {
            *byte = self.0.dice.roll() as u8;
        }
    }
}

impl FaultPoints for TestEnv {}

impl Spawn for TestEnv {
    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        let mut tasks = self.0.tasks.borrow_mut();
        let waker = Arc::new(TaskWaker {
            id: tasks.len(),
            ready: self.0.ready.clone(),
            queued: AtomicBool::new(false),
        });
        tasks.push(Slot {
            task: Some(Box::pin(task)),
            waker: waker.clone(),
        });
        waker.wake();
    }

    fn shard(&self) -> usize {
        0
    }

    fn start_shard<M, F>(&self, _index: usize, _main: M)
    where
        M: FnOnce(Self) -> F + Send + 'static,
        F: Future<Output = ()> + 'static,
    {
        unreachable!("these tests run every shard's tasks on one thread")
    }
}

impl Disk for TestEnv {
    type File = TestFile;
    type Directory = TestDirectory;

    fn open(
        &self,
        path: &Path,
        mode: OpenMode,
    ) -> impl Future<Output = DiskResult<TestFile>> + 'static {
        let result = TestFile::open(self, path, mode);
        self.complete(result)
    }

    fn open_directory(
        &self,
        path: &Path,
    ) -> impl Future<Output = DiskResult<TestDirectory>> + 'static {
        let result = TestDirectory::open(self, path);
        self.complete(result)
    }

    fn create_directory(&self, path: &Path) -> impl Future<Output = DiskResult<()>> + 'static {
        let result = self.0.disk.borrow_mut().create_directory(path);
        self.complete(result)
    }

    fn rename(&self, from: &Path, to: &Path) -> impl Future<Output = DiskResult<()>> + 'static {
        let result = self.0.disk.borrow_mut().rename(from, to);
        self.complete(result)
    }

    fn remove_file(&self, path: &Path) -> impl Future<Output = DiskResult<()>> + 'static {
        let result = self.0.disk.borrow_mut().remove(path, false);
        self.complete(result)
    }

    fn remove_directory(&self, path: &Path) -> impl Future<Output = DiskResult<()>> + 'static {
        let result = self.0.disk.borrow_mut().remove(path, true);
        self.complete(result)
    }

    fn list(&self, path: &Path) -> impl Future<Output = DiskResult<Vec<Entry>>> + 'static {
        let result = self.0.disk.borrow().list(path);
        self.complete(result)
    }

    fn space(&self, _path: &Path) -> impl Future<Output = DiskResult<Space>> + 'static {
        let result = Ok(self.0.disk.borrow().space());
        self.complete(result)
    }

    fn sync_many(
        &self,
        files: Vec<TestFile>,
    ) -> impl Future<Output = Vec<DiskResult<()>>> + 'static {
        let results: Vec<DiskResult<()>> = files.iter().map(TestFile::sync_now).collect();
        self.complete(results)
    }
}

impl TestEnv {
    /// The answer arrives a little later, or never if the power is gone.
    fn complete<T: 'static>(&self, result: T) -> impl Future<Output = T> + 'static {
        complete(self.clone(), result)
    }
}

fn complete<T: 'static>(env: TestEnv, result: T) -> impl Future<Output = T> + 'static {
    let mut polls = 1 + env.0.dice.below(3);
    let mut result = Some(result);
    std::future::poll_fn(move |context| {
        if env.0.disk.borrow().is_dead() {
            return Poll::Pending;
        }
        if polls > 0 {
            polls -= 1;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(result.take().expect("polled once to its end"))
    })
}

/// There is no network in this world.
#[derive(Clone)]
pub struct NoNet;

fn no_net<T>() -> NetResult<T> {
    Err(NetError {
        kind: NetErrorKind::Other,
        address: String::new(),
        system: "no network".into(),
    })
}

impl Net for TestEnv {
    type Listener = NoNet;
    type Connection = NoNet;

    fn listen(&self, _address: &str) -> impl Future<Output = NetResult<NoNet>> + 'static {
        std::future::ready(no_net())
    }

    fn connect(&self, _address: &str) -> impl Future<Output = NetResult<NoNet>> + 'static {
        std::future::ready(no_net())
    }
}

impl Listener for NoNet {
    type Connection = NoNet;

    fn local_address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 0))
    }

    async fn accept(&self) -> NetResult<NoNet> {
        no_net()
    }
}

impl Connection for NoNet {
    fn local_address(&self) -> SocketAddr {
        Listener::local_address(self)
    }

    fn peer_address(&self) -> SocketAddr {
        Listener::local_address(self)
    }

    async fn read(&self, _buffer: &mut BytesMut, _max: usize) -> NetResult<usize> {
        no_net()
    }

    async fn write(&self, _pieces: Vec<Bytes>) -> NetResult<()> {
        no_net()
    }

    fn close(&self) {}
}
