//! What the logs of one shard share: the way to the journal and back, open files, caches, and how the disk fares.
//!
//! Entries leave through two outboxes, one per lane, and come back in the same order when they are durable: for
//! each entry that was queued, one [`InFlight`] stands in line, and is carried out then.

use crate::digest::DigestCache;
use crate::files::{FileKey, OpenFiles};
use crate::journal::Place;
use crate::journal::entry::Entry;
use crate::journal::messages::{Lane, Submission, ToKeeper, ToShard, ToWriter, WriterSenders};
use crate::layout::{self, FileKind};
use crate::log::LogInner;
use crate::signal::Signal;
use crate::{Health, Options};
use futures_channel::oneshot;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use taffrail_env::disk::DiskResult;
use taffrail_env::mailbox::{Receiver, Sender};
use taffrail_env::{Directory, Disk, DiskError, DiskErrorKind, Env, Instant, OpenMode};
use taffrail_record::batch::BatchHeader;
use taffrail_record::{Offset, TopicPartition};

/// What else happens once an entry is durable.
pub type Then<E> = Box<dyn FnOnce(&Rc<Shard<E>>)>;

/// What happens once an entry is durable.
pub enum InFlight<E: Env> {
    Append {
        log: Rc<LogInner>,
        header: BatchHeader,
        time_ms: i64,
    },
    Copy {
        log: Rc<LogInner>,
        base_offset: Offset,
        done: Option<oneshot::Sender<()>>,
    },
    Then(Then<E>),
    Nothing,
}

/// One way to the journal.
pub struct Outbox {
    entries: RefCell<Vec<Entry>>,
    bell: Signal,
}

/// A batch that is kept in memory after it reached its segment.
pub struct Cached {
    pub log: Rc<LogInner>,
    pub base_offset: Offset,
}

/// A deleted log whose files are to go.
#[derive(Clone, Copy)]
pub struct Removed {
    pub partition: TopicPartition,
    pub number: u64,
    pub due: Instant,
}

/// See the module's head.
pub struct Shard<E: Env> {
    pub env: E,
    pub index: usize,
    pub shards: usize,
    pub options: Options,
    pub directory: PathBuf,
    pub payload_max: usize,
    pub logs: RefCell<BTreeMap<TopicPartition, Rc<LogInner>>>,
    pub creating: RefCell<BTreeSet<TopicPartition>>,
    pub removed: RefCell<Vec<Removed>>,
    pub next_log_number: Cell<u64>,
    outboxes: [Outbox; 2],
    in_flight: RefCell<[VecDeque<InFlight<E>>; 2]>,
    pub writer: WriterSenders,
    pub keeper: Sender<ToKeeper>,
    /// Everything of this shard before this place has been carried out.
    pub as_of: Cell<Place>,
    pub failed: RefCell<Option<DiskError>>,
    pub full: RefCell<Option<DiskError>>,
    /// While the disk is full: when to ask again.
    pub next_probe: Cell<Instant>,
    pub closing: Cell<bool>,
    pub finished: Cell<bool>,
    /// There was no room to note down that the stop was clean.
    pub unclosed: RefCell<Option<DiskError>>,
    /// Rung when the lines of entries in flight have become empty, or failed, or the directory is closed.
    pub settled: Signal,
    pub files: RefCell<OpenFiles<<E as Disk>::File>>,
    pub digests: RefCell<DigestCache>,
    pub cached: RefCell<VecDeque<Cached>>,
    pub cached_bytes: Cell<usize>,
    pub uncommitted_bytes: Cell<usize>,
    pub producers: Cell<usize>,
    pub flush_queue: RefCell<VecDeque<Rc<LogInner>>>,
    /// What the keeper asked for and has not been answered.
    pub clear_before: Cell<Option<Place>>,
    /// The journal has no room even for what makes room in it.
    pub crowded: Cell<bool>,
    /// Rung when `crowded` begins.
    pub crowded_bell: Signal,
    pub flush_bell: Signal,
    pub wall: RefCell<crate::retention::WallClock>,
    /// The log whose files were looked at last.
    pub looked_at: Cell<Option<TopicPartition>>,
}

impl<E: Env> Shard<E> {
    #[allow(clippy::too_many_arguments)]
    pub fn new(
        env: &E,
        index: usize,
        shards: usize,
        options: Options,
        directory: PathBuf,
        payload_max: usize,
        writer: WriterSenders,
        keeper: Sender<ToKeeper>,
    ) -> Rc<Shard<E>> {
        let outbox = || Outbox {
            entries: RefCell::default(),
            bell: Signal::default(),
        };
        Rc::new(Shard {
            env: env.clone(),
            index,
            shards,
            directory,
            payload_max,
            logs: RefCell::default(),
            creating: RefCell::default(),
            removed: RefCell::default(),
            next_log_number: Cell::new(1),
            outboxes: [outbox(), outbox()],
            in_flight: RefCell::new([VecDeque::new(), VecDeque::new()]),
            writer,
            keeper,
            as_of: Cell::default(),
            failed: RefCell::default(),
            full: RefCell::default(),
            next_probe: Cell::default(),
            closing: Cell::new(false),
            finished: Cell::new(false),
            unclosed: RefCell::new(None),
            settled: Signal::default(),
            files: RefCell::new(OpenFiles::new(options.open_files_max)),
            digests: RefCell::new(DigestCache::new(options.digest_cache_bytes)),
            cached: RefCell::default(),
            cached_bytes: Cell::new(0),
            uncommitted_bytes: Cell::new(0),
            producers: Cell::new(0),
            flush_queue: RefCell::default(),
            clear_before: Cell::new(None),
            crowded: Cell::new(false),
            crowded_bell: Signal::default(),
            flush_bell: Signal::default(),
            wall: RefCell::default(),
            looked_at: Cell::default(),
            options,
        })
    }

    /// Spawns the tasks that carry entries out and answers in.
    pub fn start(self: &Rc<Self>, mail: Receiver<ToShard>) {
        for lane in [Lane::Ordinary, Lane::Relief] {
            self.env.spawn(self.clone().carry_out(lane));
        }
        self.env.spawn(self.clone().carry_in(mail));
        self.env.spawn(crate::flush::run(self.clone()));
    }

    /// Queues an entry; `then` is carried out when it is durable.
    pub fn submit(&self, lane: Lane, entry: Entry, then: InFlight<E>) {
        if self.failed.borrow().is_some() {
            return;
        }
        let outbox = &self.outboxes[lane as usize];
        outbox.entries.borrow_mut().push(entry);
        self.in_flight.borrow_mut()[lane as usize].push_back(then);
        outbox.bell.ring();
    }

    /// Whether nothing is on its way.
    pub fn is_settled(&self) -> bool {
        self.in_flight.borrow().iter().all(VecDeque::is_empty)
    }

    async fn carry_out(self: Rc<Self>, lane: Lane) {
        let (outbox, sender) = match lane {
            Lane::Ordinary => (&self.outboxes[0], &self.writer.ordinary),
            Lane::Relief => (&self.outboxes[1], &self.writer.relief),
        };
        while !self.finished.get() {
            outbox.bell.heard().await;
            let entries = std::mem::take(&mut *outbox.entries.borrow_mut());
            if entries.is_empty() {
                continue;
            }
            let submission = Submission {
                shard: self.index,
                entries,
            };
            if sender.send(ToWriter::Submit(submission)).await.is_err() {
                return;
            }
        }
    }

    async fn carry_in(self: Rc<Self>, mut mail: Receiver<ToShard>) {
        while let Some(message) = mail.recv().await {
            match message {
                ToShard::Done { place, end, counts } => self.done(place, end, counts),
                ToShard::Failed(error) => self.note_failure(error),
                ToShard::Clear { before } => {
                    self.clear_before.set(Some(before));
                    self.flush_bell.ring();
                }
                ToShard::Sections { as_of } => {
                    self.as_of.set(self.as_of.get().max(as_of));
                    self.env.spawn(crate::sections::answer(self.clone()));
                }
                ToShard::Crowded(crowded) => {
                    self.crowded.set(crowded);
                    if crowded {
                        self.crowded_bell.ring();
                    }
                }
                ToShard::Space { full } => {
                    *self.full.borrow_mut() = full;
                    self.flush_bell.ring();
                }
                ToShard::Finished { full } => {
                    *self.unclosed.borrow_mut() = full;
                    break;
                }
            }
        }
        self.finish();
    }

    fn done(self: &Rc<Self>, place: Place, end: Place, counts: [usize; 2]) {
        if self.failed.borrow().is_some() {
            // Nobody waits any more; what became durable after all is found at the next start.
            return;
        }
        self.as_of.set(end);
        for lane in [Lane::Relief, Lane::Ordinary] {
            for _ in 0..counts[lane as usize] {
                let next = self.in_flight.borrow_mut()[lane as usize].pop_front();
                match next.expect("an entry that is done was in flight") {
                    InFlight::Append {
                        log,
                        header,
                        time_ms,
                    } => log.durable(self, &header, time_ms, place),
                    InFlight::Copy {
                        log,
                        base_offset,
                        done,
                    } => {
                        log.running.borrow_mut().tail.moved(base_offset, place);
                        if let Some(done) = done {
                            let _nobody_waits = done.send(());
                        }
                    }
                    InFlight::Then(then) => then(self),
                    InFlight::Nothing => {}
                }
            }
        }
        if self.is_settled() {
            self.settled.ring();
        }
    }

    /// To be asked before every change on disk: after a failure there is none.
    pub fn check_alive(&self) -> DiskResult<()> {
        match self.failed.borrow().clone() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Removes a file that somebody else may have removed since it was listed.
    pub async fn remove_file(&self, path: &Path) -> DiskResult<()> {
        self.check_alive()?;
        match self.env.remove_file(path).await {
            Err(error) if error.kind == DiskErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    /// Something could not be written: nothing is written any more, here and on all shards.
    pub async fn fail(&self, error: DiskError) {
        let first = self.failed.borrow().is_none();
        self.note_failure(error.clone());
        if first {
            let _gone = self.writer.relief.send(ToWriter::Fail(error)).await;
        }
    }

    fn note_failure(&self, error: DiskError) {
        if self.failed.borrow().is_some() {
            return;
        }
        *self.failed.borrow_mut() = Some(error);
        let waiting = std::mem::take(&mut *self.in_flight.borrow_mut());
        for outbox in &self.outboxes {
            outbox.entries.borrow_mut().clear();
        }
        drop(waiting);
        let logs: Vec<Rc<LogInner>> = self.logs.borrow().values().cloned().collect();
        for log in logs {
            log.running.borrow_mut().waiters.wake_all();
        }
        self.settled.ring();
        self.flush_bell.ring();
    }

    fn finish(&self) {
        self.finished.set(true);
        self.closing.set(true);
        self.settled.ring();
        self.flush_bell.ring();
        self.outboxes.iter().for_each(|outbox| outbox.bell.ring());
        let logs = std::mem::take(&mut *self.logs.borrow_mut());
        for log in logs.values() {
            log.running.borrow_mut().waiters.wake_all();
        }
        self.cached.borrow_mut().clear();
        self.flush_queue.borrow_mut().clear();
    }

    pub fn health(&self) -> Health {
        if let Some(error) = self.failed.borrow().clone() {
            return Health::Failed(error);
        }
        if self.full.borrow().is_some() {
            return Health::DiskFull;
        }
        Health::Serving
    }

    /// A write or reservation found no room.
    pub async fn note_full(&self, error: DiskError) {
        self.next_probe
            .set(self.env.now() + self.options.space_probe);
        let first = self.full.borrow_mut().replace(error.clone()).is_none();
        if first {
            tracing::warn!("{error}; appends that need room are refused until there is some");
            let full = Some(error);
            let _gone = self.keeper.send(ToKeeper::Space { full }).await;
        }
    }

    /// There is room again.
    pub async fn note_room(&self) {
        if self.full.borrow_mut().take().is_some() {
            tracing::info!("the disk has room again");
            let _gone = self.keeper.send(ToKeeper::Space { full: None }).await;
        }
    }

    /// A log's file, opened if it is not open.
    pub async fn file(
        &self,
        log: &LogInner,
        kind: FileKind,
        base_offset: Offset,
        mode: OpenMode,
    ) -> DiskResult<<E as Disk>::File> {
        let key: FileKey = (log.number, kind, base_offset);
        if self.env.strikes_at("files/close-all") {
            self.files.borrow_mut().clear();
        }
        if let Some(file) = self.files.borrow_mut().get(&key) {
            return Ok(file);
        }
        if mode == OpenMode::CreateOrOpen {
            self.check_alive()?;
        }
        let path = layout::log_file(&self.log_directory(log), base_offset, kind);
        let file = self.env.open(&path, mode).await?;
        self.files.borrow_mut().insert(key, file.clone());
        Ok(file)
    }

    /// A log's file, to be read. Where nothing may be written any more (a file system that failed is read-only), it is opened for
    /// reading alone, and not kept: whoever finds an open file counts on being able to write to it.
    pub async fn file_to_read(
        &self,
        log: &LogInner,
        kind: FileKind,
        base_offset: Offset,
    ) -> DiskResult<<E as Disk>::File> {
        match self.file(log, kind, base_offset, OpenMode::ReadWrite).await {
            Err(error) if error.kind != DiskErrorKind::NotFound => {
                let path = layout::log_file(&self.log_directory(log), base_offset, kind);
                self.env.open(&path, OpenMode::Read).await
            }
            opened => opened,
        }
    }

    /// Makes the names in a directory durable.
    pub async fn sync_directory(&self, path: &Path) -> DiskResult<()> {
        self.check_alive()?;
        let directory = self.env.open_directory(path).await?;
        self.check_alive()?;
        directory.sync().await
    }

    pub fn log_directory(&self, log: &LogInner) -> PathBuf {
        layout::log_directory(&self.directory, log.id, log.number)
    }

    /// Keeps a flushed batch for readers, and lets the oldest go beyond the bound.
    pub fn keep(&self, log: &Rc<LogInner>, kept: Vec<(Offset, usize)>) {
        let mut cached = self.cached.borrow_mut();
        for (base_offset, len) in kept {
            self.cached_bytes.set(self.cached_bytes.get() + len);
            cached.push_back(Cached {
                log: log.clone(),
                base_offset,
            });
        }
        while self.cached_bytes.get() > self.options.tail_cache_bytes
            && let Some(oldest) = cached.pop_front()
        {
            let len = oldest
                .log
                .running
                .borrow_mut()
                .tail
                .evict(oldest.base_offset);
            self.cached_bytes.set(self.cached_bytes.get() - len);
        }
    }
}
