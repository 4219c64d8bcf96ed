//! One partition's log.

mod append;
mod read;
mod saved;
mod time;

use crate::journal::Place;
use crate::journal::entry::{Entry, LogKey};
use crate::journal::messages::Lane;
use crate::logs::EpochEnd;
use crate::producer::ProducerOverlay;
use crate::segment::Plan;
use crate::shard::{InFlight, Shard};
use crate::side::SideWriter;
use crate::state::{LogState, Membership};
use crate::tail::Tail;
use crate::waiters::{Ticket, Waiters};
use crate::{Durability, LogConfig, ReadError, StorageError};
use append::Pending;
use bytes::Bytes;
use futures_channel::oneshot;
use futures_util::lock::Mutex;
pub(crate) use saved::decode_state;
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use taffrail_env::{Env, Instant};
use taffrail_record::batch::BatchHeader;
use taffrail_record::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, TopicPartition};

/// A durable append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    pub base_offset: Offset,
    pub last_offset: Offset,
    /// -1 unless the batch carries log append time.
    pub log_append_time_ms: i64,
    pub log_start_offset: Offset,
    /// It was in the log already; the offsets are the original's.
    pub duplicate: bool,
}

/// Whole batches, one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    pub batches: Vec<Bytes>,
    pub bytes: usize,
    /// Where the next read goes on.
    pub next_offset: Offset,
    pub high_watermark: Offset,
    pub last_stable_offset: Offset,
    pub log_start_offset: Offset,
}

/// What is known of an idempotent producer in a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerInfo {
    pub producer_id: ProducerId,
    pub producer_epoch: ProducerEpoch,
    pub last_sequence: Sequence,
    pub last_timestamp: i64,
    pub coordinator_epoch: i32,
    /// First offset of its open transaction, -1 if none.
    pub current_transaction_start_offset: Offset,
}

/// Entries that take no offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ZeroWidth {
    /// A term begins at the log's end.
    Term { term: LeaderEpoch, leader: i64 },
    /// A membership holds from the log's end on.
    Membership { term: LeaderEpoch, members: Bytes },
}

/// A vote: at most one candidate per term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochVote {
    pub term: LeaderEpoch,
    pub candidate: i64,
}

/// One partition's log on its shard. A handle: cloning is cheap.
pub struct Log<E: Env> {
    pub(crate) shard: Rc<Shard<E>>,
    pub(crate) inner: Rc<LogInner>,
}

impl<E: Env> Clone for Log<E> {
    fn clone(&self) -> Self {
        Log {
            shard: self.shard.clone(),
            inner: self.inner.clone(),
        }
    }
}

/// A log: what is durable of it, and what is going on.
pub(crate) struct LogInner {
    pub id: TopicPartition,
    pub number: u64,
    /// Its end at this start: a segment that begins here or behind is of this start.
    pub began_at: Offset,
    pub state: RefCell<LogState>,
    pub running: RefCell<Running>,
    /// Taken by whoever works on its segments.
    pub work: Mutex<()>,
    /// Taken by whoever prepares its directory.
    pub preparing: Mutex<()>,
}

/// What is not durable, or only in memory.
pub(crate) struct Running {
    pub config: LogConfig,
    /// The configuration has been set since the start; before, retention has nothing to go by.
    pub configured: bool,
    /// Where the next admitted batch goes.
    pub end: Offset,
    pub high_watermark: Offset,
    /// Under which the next batch is written.
    pub epoch: LeaderEpoch,
    pub tail: Tail,
    pub overlay: ProducerOverlay,
    /// The segment that is being filled; `None` until the next append.
    pub plan: Option<Plan>,
    pub pending: VecDeque<Pending>,
    /// A task is making room.
    pub making_room: bool,
    /// There was nothing to fill the reserve up with; not asked again before this.
    pub reserve_after: Instant,
    pub uncommitted: usize,
    pub waiters: Waiters,
    /// How many of those who wait are readers, from when they begin to wait to when they leave.
    pub waiting_reads: usize,
    /// Takes nothing any more; its deletion is on its way to the journal.
    pub deleted: bool,
    /// Its deletion is durable, and its files may go at any moment.
    pub gone: bool,
    /// Writes the indexes and the digest of the last segment.
    pub side: Option<SideWriter>,
    /// The directory is there, and holds no file that nobody knows.
    pub tidied: bool,
    /// It stands in the shard's queue.
    pub flush_queued: bool,
    /// The directory's own name is durable.
    pub named: bool,
    /// How often its tail was copied forward since it was last written out.
    pub copies: u8,
    /// Batches from here on had their space reserved when they were admitted.
    pub reserved_from: Option<Offset>,
    /// Kafka's producer snapshot for the segment that begins there, to be written when the one before ends.
    pub snapshot: Option<(Offset, Bytes)>,
    /// When the files of segments that have left the log are to go.
    pub removal_due: BTreeMap<Offset, Instant>,
    /// The segment whose file was seen to be as long as its mark says, before anything was written on it.
    pub whole: Option<Offset>,
    /// Segments that do not verify, and why.
    pub corrupt: BTreeMap<Offset, String>,
}

impl Running {
    /// Somebody waits no longer.
    fn leave(&mut self, ticket: Ticket, is_read: bool) {
        self.waiters.leave(ticket);
        self.waiting_reads -= usize::from(is_read);
    }
}

impl LogInner {
    pub fn new(state: LogState, config: LogConfig, configured: bool) -> LogInner {
        let running = Running {
            config,
            configured,
            end: state.end_offset,
            high_watermark: state.end_offset,
            epoch: state.epoch,
            tail: Tail::default(),
            overlay: ProducerOverlay::default(),
            plan: None,
            pending: VecDeque::new(),
            making_room: false,
            reserve_after: Instant(0),
            uncommitted: 0,
            waiters: Waiters::default(),
            waiting_reads: 0,
            deleted: false,
            gone: false,
            side: None,
            tidied: false,
            flush_queued: false,
            named: !state.segments.is_empty(),
            copies: 0,
            reserved_from: Some(state.end_offset),
            snapshot: None,
            removal_due: BTreeMap::new(),
            whole: None,
            corrupt: BTreeMap::new(),
        };
        LogInner {
            id: state.partition,
            number: state.number,
            began_at: state.end_offset,
            state: RefCell::new(state),
            running: RefCell::new(running),
            work: Mutex::new(()),
            preparing: Mutex::new(()),
        }
    }

    /// A batch is durable: it counts in every derived state, and the high watermark passes it.
    pub fn durable<E: Env>(
        self: &Rc<Self>,
        shard: &Rc<Shard<E>>,
        header: &BatchHeader,
        time_ms: i64,
        place: Place,
    ) {
        let mut state = self.state.borrow_mut();
        let running = &mut *self.running.borrow_mut();
        let producers = state.producers.len();
        let begins = running
            .tail
            .get(header.base_offset)
            .is_some_and(|batch| batch.segment == header.base_offset);
        if begins && producers > 0 {
            let snapshot = state.producers.kafka_snapshot().freeze();
            running.snapshot = Some((header.base_offset, snapshot));
        }
        assert_eq!(
            header.base_offset, state.end_offset,
            "batches become durable in order"
        );
        state.append(header, time_ms);
        shard
            .producers
            .set(shard.producers.get() + state.producers.len() - producers);
        if header.has_producer_id() {
            running.overlay.settle(header);
        }
        running.uncommitted -= header.size();
        shard
            .uncommitted_bytes
            .set(shard.uncommitted_bytes.get() - header.size());
        running.tail.durable(header.base_offset, place);
        running.high_watermark = running.high_watermark.max(state.end_offset);
        running.waiters.wake_up_to(running.high_watermark);
        let full = running.tail.dirty_bytes() >= shard.options.flush_bytes;
        if full && !running.flush_queued && !running.gone {
            running.flush_queued = true;
            shard.flush_queue.borrow_mut().push_back(self.clone());
            shard.flush_bell.ring();
        }
    }

    pub fn key(&self) -> LogKey {
        LogKey {
            partition: self.id,
            number: self.number,
        }
    }

    /// It is deleted: everybody who waits for it learns so.
    pub fn mark_deleted(&self) {
        let mut running = self.running.borrow_mut();
        running.deleted = true;
        running.waiters.wake_all();
    }
}

impl<E: Env> Log<E> {
    pub fn id(&self) -> TopicPartition {
        self.inner.id
    }

    pub fn config(&self) -> LogConfig {
        self.inner.running.borrow().config.clone()
    }

    pub fn set_config(&self, config: LogConfig) {
        let mut running = self.inner.running.borrow_mut();
        running.config = config;
        running.configured = true;
        if running.config.durability == Durability::Replicated {
            running.high_watermark = running.end;
            let end = running.end;
            running.waiters.wake_up_to(end);
        }
    }

    pub fn log_start_offset(&self) -> Offset {
        self.inner.state.borrow().start_offset
    }

    pub fn high_watermark(&self) -> Offset {
        self.inner.running.borrow().high_watermark
    }

    pub fn log_end_offset(&self) -> Offset {
        self.inner.running.borrow().end
    }

    pub fn last_stable_offset(&self) -> Offset {
        self.high_watermark()
    }

    pub fn leader_epoch(&self) -> LeaderEpoch {
        self.inner.running.borrow().epoch
    }

    /// Bytes in segments and tail.
    pub fn size_bytes(&self) -> u64 {
        let state = self.inner.state.borrow();
        let running = self.inner.running.borrow();
        let segments: u64 = state.segments.iter().map(|segment| segment.length).sum();
        segments + (running.tail.dirty_bytes() + running.uncommitted) as u64
    }

    /// Where the largest known epoch that is not above `epoch` ends; Kafka's OffsetForLeaderEpoch. (-1, -1) if unknown.
    pub fn end_offset_for_epoch(&self, epoch: LeaderEpoch) -> EpochEnd {
        self.inner.state.borrow().end_offset_for_epoch(epoch)
    }

    pub fn producers(&self) -> Vec<ProducerInfo> {
        let state = self.inner.state.borrow();
        let info = state.producers.iter().map(|(id, producer)| ProducerInfo {
            producer_id: *id,
            producer_epoch: producer.epoch,
            last_sequence: producer.last_sequence(),
            last_timestamp: producer.last_timestamp,
            coordinator_epoch: producer.coordinator_epoch,
            current_transaction_start_offset: producer.transaction_start,
        });
        info.collect()
    }

    /// The last vote that is durable.
    pub fn vote(&self) -> Option<EpochVote> {
        self.inner.state.borrow().vote
    }

    /// The last membership that is durable: its term, the offset from which it holds, and what it says.
    pub fn membership(&self) -> Option<(LeaderEpoch, Offset, Bytes)> {
        let state = self.inner.state.borrow();
        let membership = state.membership.as_ref()?;
        Some((
            membership.term,
            membership.offset,
            membership.members.clone(),
        ))
    }

    /// Records something that takes no offset; durable when the future is ready.
    pub fn append_zero_width(
        &self,
        entry: ZeroWidth,
    ) -> impl Future<Output = Result<(), StorageError>> + use<E> + 'static {
        let end = self.inner.running.borrow().end;
        match entry {
            ZeroWidth::Term { term, leader } => {
                let mut running = self.inner.running.borrow_mut();
                running.epoch = running.epoch.max(term);
                drop(running);
                let entry = Entry::term(self.inner.key(), term, end, leader);
                self.record(entry, move |_, state| state.begin_term(term, end))
            }
            ZeroWidth::Membership { term, members } => {
                let entry = Entry::membership(self.inner.key(), term, end, members.clone());
                self.record(entry, move |_, state| {
                    state.membership = Some(Membership {
                        term,
                        offset: end,
                        members,
                    });
                })
            }
        }
    }

    /// Records a vote; durable when the future is ready.
    pub fn record_vote(
        &self,
        vote: EpochVote,
    ) -> impl Future<Output = Result<(), StorageError>> + use<E> + 'static {
        let entry = Entry::vote(self.inner.key(), vote.term, vote.candidate);
        self.record(entry, move |_, state| state.vote = Some(vote))
    }

    /// Journals `entry`, then changes the durable state by `then`. What it needs of the shard it is given: the shard holds it until
    /// then, and must not be held in turn.
    pub(crate) fn record(
        &self,
        entry: Entry,
        then: impl FnOnce(&Shard<E>, &mut LogState) + 'static,
    ) -> Recording<E> {
        let (done, wait) = oneshot::channel();
        let refused = if self.inner.running.borrow().deleted {
            Some(StorageError::Deleted)
        } else if self.shard.closing.get() {
            Some(StorageError::Closed)
        } else {
            None
        };
        if refused.is_none() {
            let inner = self.inner.clone();
            let carry_out = move |shard: &Rc<Shard<E>>| {
                then(shard, &mut inner.state.borrow_mut());
                let _nobody_waits = done.send(());
            };
            let then = InFlight::Then(Box::new(carry_out));
            self.shard.submit(Lane::Ordinary, entry, then);
        }
        Recording {
            shard: self.shard.clone(),
            refused,
            wait,
        }
    }

    /// About how many bytes lie between `from` and the high watermark; no I/O.
    pub fn readable_bytes(&self, from: Offset) -> usize {
        let running = self.inner.running.borrow();
        let to = running.high_watermark;
        if from >= to {
            return 0;
        }
        let in_memory = running.tail.first_offset().unwrap_or(running.end);
        let tail = running.tail.bytes_between(from.max(in_memory), to);
        let state = self.inner.state.borrow();
        let on_disk = state
            .segments
            .iter()
            .filter(|segment| segment.end_offset > from);
        let on_disk: u64 = if from >= in_memory {
            0
        } else {
            on_disk.map(|segment| segment.length).sum()
        };
        (on_disk + tail.unwrap_or(0)) as usize
    }

    /// How many wait for [`Log::progress`].
    pub fn waiting_reads(&self) -> usize {
        self.inner.running.borrow().waiting_reads
    }

    /// Ready once the high watermark is above `beyond`, the log's start moved past it, or the log is gone.
    pub fn progress(&self, beyond: Offset) -> impl Future<Output = ()> + use<E> + 'static {
        let reach = self.reach(beyond.saturating_add(1), false);
        async move {
            reach.await;
        }
    }

    /// Ready when the high watermark is at or above `offset`, or will not get there; with `or_failed` also
    /// when the disk has failed.
    pub(crate) fn reach(&self, offset: Offset, or_failed: bool) -> Reach<E> {
        Reach {
            log: self.clone(),
            offset,
            or_failed,
            ticket: None,
        }
    }

    pub(crate) fn check_readable(&self, from: Offset) -> Result<(Offset, Offset), ReadError> {
        let running = self.inner.running.borrow();
        if running.deleted {
            return Err(ReadError::Deleted);
        }
        let start = self.inner.state.borrow().start_offset;
        if from < start || from > running.end {
            return Err(ReadError::OffsetOutOfRange {
                start,
                end: running.end,
            });
        }
        Ok((start, running.high_watermark))
    }
}

/// An entry on its way to the journal.
pub(crate) struct Recording<E: Env> {
    shard: Rc<Shard<E>>,
    refused: Option<StorageError>,
    wait: oneshot::Receiver<()>,
}

impl<E: Env> Future for Recording<E> {
    type Output = Result<(), StorageError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(error) = self.refused.take() {
            return Poll::Ready(Err(error));
        }
        Pin::new(&mut self.wait)
            .poll(context)
            .map(|done| match done {
                Ok(()) => Ok(()),
                // Dropped before it was carried out: the disk failed.
                Err(oneshot::Canceled) => Err(match self.shard.failed.borrow().clone() {
                    Some(error) => StorageError::Failed(error),
                    None => StorageError::Closed,
                }),
            })
    }
}

/// Waiting for a log's high watermark.
pub(crate) struct Reach<E: Env> {
    log: Log<E>,
    offset: Offset,
    or_failed: bool,
    ticket: Option<Ticket>,
}

impl<E: Env> Future for Reach<E> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let mut running = this.log.inner.running.borrow_mut();
        let shard = &this.log.shard;
        let ready = running.high_watermark >= this.offset
            || running.deleted
            || shard.finished.get()
            || this.or_failed && shard.failed.borrow().is_some();
        if ready {
            if let Some(ticket) = this.ticket.take() {
                running.leave(ticket, !this.or_failed);
            }
            return Poll::Ready(());
        }
        match this.ticket {
            Some(ticket) => running.waiters.renew(ticket, context.waker()),
            None => {
                this.ticket = Some(running.waiters.wait(this.offset, context.waker()));
                running.waiting_reads += usize::from(!this.or_failed);
            }
        }
        Poll::Pending
    }
}

impl<E: Env> Drop for Reach<E> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            let mut running = self.log.inner.running.borrow_mut();
            running.leave(ticket, !self.or_failed);
        }
    }
}
