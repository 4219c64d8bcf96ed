//! Admission: the order of appends is the order of calls, whatever each has to wait for.
//!
//! A batch is admitted once its producer's sequence is in order and its segment has room reserved for it. From
//! then on nothing that the disk lacks can stop it from reaching its segment.

use super::{Appended, Log, LogInner};
use crate::flush::open_to_extend;
use crate::journal::entry::Entry;
use crate::journal::messages::Lane;
use crate::layout::{self, FileKind};
use crate::producer::Verdict;
use crate::segment::Plan;
use crate::shard::{InFlight, Shard};
use crate::{AppendError, Durability};
use bytes::BytesMut;
use futures_channel::oneshot;
use std::future::Future;
use std::rc::Rc;
use taffrail_env::disk::{DiskResult, EntryKind};
use taffrail_env::{DiskError, DiskErrorKind, Env, File, OpenMode};
use taffrail_record::Offset;
use taffrail_record::batch::{self, BatchHeader, TimestampType};

/// The least that is reserved at once.
const RESERVE_STEP_MIN: u64 = 16 << 10;

/// What an append will be told, and which end of the log must be durable before it is.
pub(crate) struct Judged {
    until: Offset,
    outcome: Result<Appended, AppendError>,
}

/// An append that waits for room.
pub(crate) struct Pending {
    pub batch: BytesMut,
    header: BatchHeader,
    time_ms: i64,
    answer: oneshot::Sender<Judged>,
}

/// What the first pending append needs.
enum Need {
    Nothing,
    NewSegment {
        base: Offset,
        bytes: u64,
    },
    Room {
        base: Offset,
        from: u64,
        bytes: u64,
        least: u64,
    },
}

enum Entered {
    Judged(Judged),
    Waiting(oneshot::Receiver<Judged>),
}

impl<E: Env> Log<E> {
    /// Appends one validated batch: judges its sequence, writes base offset and leader epoch in place, queues it for the journal. Takes
    /// its place in the order when called. The future is ready when the batch is durable and the high watermark has passed
    /// it; dropping it changes nothing. Refusals, too, wait for what they were judged against.
    pub fn append(
        &self,
        batch: BytesMut,
        append_time_ms: i64,
    ) -> impl Future<Output = Result<Appended, AppendError>> + use<E> + 'static {
        let entered = self.enter(batch, append_time_ms);
        let log = self.clone();
        async move {
            let judged = match entered {
                Entered::Judged(judged) => judged,
                Entered::Waiting(answer) => match answer.await {
                    Ok(judged) => judged,
                    Err(oneshot::Canceled) => return Err(log.gone()),
                },
            };
            log.reach(judged.until, true).await;
            if log.high_watermark() >= judged.until {
                return judged.outcome;
            }
            Err(log.gone())
        }
    }

    fn gone(&self) -> AppendError {
        if self.inner.running.borrow().deleted {
            return AppendError::Deleted;
        }
        match self.shard.failed.borrow().clone() {
            Some(error) => AppendError::Failed(error),
            None => AppendError::Closed,
        }
    }

    fn enter(&self, batch: BytesMut, time_ms: i64) -> Entered {
        let header = match self.admissible(&batch) {
            Ok(header) => header,
            Err(error) => {
                return Entered::Judged(Judged {
                    until: Offset::MIN,
                    outcome: Err(error),
                });
            }
        };
        if self.inner.running.borrow().pending.is_empty() {
            if let Some(judged) = self.inner.judge(&self.shard, &header) {
                return Entered::Judged(judged);
            }
            if let Need::Nothing = self.inner.need(&self.shard, &header) {
                return Entered::Judged(self.inner.admit(&self.shard, batch, time_ms));
            }
        }
        let (answer, waiting) = oneshot::channel();
        let mut running = self.inner.running.borrow_mut();
        running.uncommitted += batch.len();
        let uncommitted = self.shard.uncommitted_bytes.get();
        self.shard.uncommitted_bytes.set(uncommitted + batch.len());
        running.pending.push_back(Pending {
            batch,
            header,
            time_ms,
            answer,
        });
        if !std::mem::replace(&mut running.making_room, true) {
            let (shard, log) = (self.shard.clone(), self.inner.clone());
            self.shard.env.spawn(make_room(shard, log));
        }
        Entered::Waiting(waiting)
    }

    /// What can be refused at the door.
    fn admissible(&self, batch: &BytesMut) -> Result<BatchHeader, AppendError> {
        let running = self.inner.running.borrow();
        if running.deleted {
            return Err(AppendError::Deleted);
        }
        if let Some(error) = self.shard.failed.borrow().clone() {
            return Err(AppendError::Failed(error));
        }
        if self.shard.closing.get() {
            return Err(AppendError::Closed);
        }
        if batch.len() > self.shard.payload_max {
            return Err(AppendError::TooLarge {
                max: self.shard.payload_max,
            });
        }
        if running.uncommitted > 0
            && running.uncommitted + batch.len()
                > self.shard.options.uncommitted_bytes_max_per_partition
        {
            return Err(AppendError::Backlogged);
        }
        match BatchHeader::parse(batch) {
            Ok(header) if header.size() == batch.len() => Ok(header),
            _ => Err(AppendError::NotOneBatch),
        }
    }
}

impl LogInner {
    /// The answer to a batch that is not to be appended.
    fn judge<E: Env>(&self, shard: &Shard<E>, header: &BatchHeader) -> Option<Judged> {
        if !header.has_producer_id() {
            return None;
        }
        let state = self.state.borrow();
        let running = self.running.borrow();
        let until = running.end;
        let refuse = |error| {
            Some(Judged {
                until,
                outcome: Err(error),
            })
        };
        match running.overlay.judge(&state.producers, header) {
            Verdict::Next => {
                let known = running.overlay.knows(&state.producers, header.producer_id);
                if !known
                    && shard.producers.get() + running.overlay.len() >= shard.options.producers_max
                {
                    return refuse(AppendError::TooManyProducers);
                }
                None
            }
            Verdict::Duplicate(original) => Some(Judged {
                until: original.last_offset + 1,
                outcome: Ok(Appended {
                    base_offset: original.last_offset - i64::from(original.offset_delta),
                    last_offset: original.last_offset,
                    log_append_time_ms: match header.timestamp_type() {
                        TimestampType::LogAppendTime => original.timestamp,
                        TimestampType::CreateTime => -1,
                    },
                    log_start_offset: state.start_offset,
                    duplicate: true,
                }),
            }),
            Verdict::OutOfOrder { expected } => refuse(AppendError::OutOfOrderSequence {
                expected,
                found: header.base_sequence,
            }),
            Verdict::Fenced { current } => refuse(AppendError::ProducerFenced {
                current,
                found: header.producer_epoch,
            }),
        }
    }

    fn need<E: Env>(&self, shard: &Shard<E>, header: &BatchHeader) -> Need {
        let running = self.running.borrow();
        let config = &running.config;
        let size = header.size() as u64;
        let last_offset = running.end + i64::from(header.last_offset_delta);
        let now_ms = shard.env.unix_ms();
        let rolls = |plan: &Plan| {
            plan.must_roll(
                config,
                header.size(),
                header.max_timestamp,
                last_offset,
                now_ms,
            )
        };
        let has_reserve = config.reserve_ahead_bytes > 0;
        let is_full = shard.full.borrow().is_some();
        let ends = |plan: &Plan| {
            // What lives on its reserve goes on in it: a new segment finds no room now.
            let waits = has_reserve && is_full && plan.length + size <= plan.reserved;
            // A segment may end anywhere but before its first batch.
            let awkward =
                || !has_reserve && plan.length > 0 && shard.env.strikes_at("segment/roll");
            !waits && (rolls(plan) || awkward())
        };
        let Some(plan) = running.plan.as_ref().filter(|plan| !ends(plan)) else {
            let bytes = if config.preallocate {
                u64::from(config.segment_bytes)
            } else {
                RESERVE_STEP_MIN
            };
            return Need::NewSegment {
                base: running.end,
                bytes: bytes.max(size).max(config.reserve_ahead_bytes),
            };
        };
        let end = plan.length + size;
        // A reserve is filled up when half of it is used, as long as there is something to fill it with.
        let ahead = match is_full || shard.env.now() < running.reserve_after {
            true => 0,
            false => config.reserve_ahead_bytes / 2,
        };
        if end + ahead <= plan.reserved {
            return Need::Nothing;
        }
        let step = plan
            .length
            .clamp(RESERVE_STEP_MIN, shard.options.reserve_step_max)
            .max(config.reserve_ahead_bytes);
        let least = end.saturating_sub(plan.reserved);
        let cap = u64::from(config.segment_bytes).saturating_sub(plan.reserved);
        let bytes = if has_reserve { step } else { step.min(cap) };
        Need::Room {
            base: plan.base_offset,
            from: plan.reserved,
            bytes: bytes.max(least),
            least,
        }
    }

    /// Gives the batch its offset and queues it.
    fn admit<E: Env>(
        self: &Rc<Self>,
        shard: &Rc<Shard<E>>,
        mut batch: BytesMut,
        time_ms: i64,
    ) -> Judged {
        let state = self.state.borrow();
        let running = &mut *self.running.borrow_mut();
        batch::set_base_offset(&mut batch, running.end);
        batch::set_leader_epoch(&mut batch, running.epoch);
        let header = BatchHeader::parse(&batch).expect("it was parsed before");
        let bytes = batch.freeze();
        let plan = running.plan.as_mut().expect("room was made in a segment");
        plan.admit(&running.config, bytes.len(), header.max_timestamp);
        let segment = plan.base_offset;
        if header.has_producer_id() {
            running.overlay.admit(&state.producers, &header, time_ms);
        }
        running
            .tail
            .push(&header, bytes.clone(), segment, time_ms, None);
        running.end = header.next_offset();
        running.uncommitted += bytes.len();
        let uncommitted = shard.uncommitted_bytes.get();
        shard.uncommitted_bytes.set(uncommitted + bytes.len());
        if running.config.durability == Durability::Replicated {
            running.high_watermark = running.end;
            running.waiters.wake_up_to(running.end);
        }
        let entry = Entry::append(
            self.key(),
            running.epoch,
            header.base_offset,
            segment,
            time_ms,
            bytes,
        );
        let then = InFlight::Append {
            log: self.clone(),
            header,
            time_ms,
        };
        shard.submit(Lane::Ordinary, entry, then);
        Judged {
            until: header.next_offset(),
            outcome: Ok(Appended {
                base_offset: header.base_offset,
                last_offset: header.last_offset(),
                log_append_time_ms: match header.timestamp_type() {
                    TimestampType::LogAppendTime => header.max_timestamp,
                    TimestampType::CreateTime => -1,
                },
                log_start_offset: state.start_offset,
                duplicate: false,
            }),
        }
    }

    fn next_pending<E: Env>(&self, shard: &Shard<E>) -> Option<Pending> {
        let mut running = self.running.borrow_mut();
        let pending = running.pending.pop_front()?;
        let len = pending.batch.len();
        running.uncommitted -= len;
        shard
            .uncommitted_bytes
            .set(shard.uncommitted_bytes.get() - len);
        Some(pending)
    }

    /// Answers pending appends for as long as none of them needs the disk.
    fn answer_pending<E: Env>(self: &Rc<Self>, shard: &Rc<Shard<E>>) -> Option<Need> {
        loop {
            let header = self.running.borrow().pending.front()?.header;
            if self.running.borrow().deleted || shard.failed.borrow().is_some() {
                // The answers are dropped, and their waiters see why.
                self.next_pending(shard);
                continue;
            }
            if let Some(judged) = self.judge(shard, &header) {
                if let Some(pending) = self.next_pending(shard) {
                    let _nobody_waits = pending.answer.send(judged);
                }
                continue;
            }
            let need = self.need(shard, &header);
            if !matches!(need, Need::Nothing) {
                return Some(need);
            }
            if let Some(pending) = self.next_pending(shard) {
                let judged = self.admit(shard, pending.batch, pending.time_ms);
                let _nobody_waits = pending.answer.send(judged);
            }
        }
    }

    fn refuse_first<E: Env>(&self, shard: &Shard<E>, error: DiskError) {
        if let Some(pending) = self.next_pending(shard) {
            let _nobody_waits = pending.answer.send(Judged {
                until: Offset::MIN,
                outcome: Err(AppendError::NoSpace(error)),
            });
        }
    }
}

/// Makes room for pending appends, one after the other, until there are none.
async fn make_room<E: Env>(shard: Rc<Shard<E>>, log: Rc<LogInner>) {
    while let Some(need) = log.answer_pending(&shard) {
        let full = shard.full.borrow().clone();
        if let Some(error) = full
            && shard.env.now() < shard.next_probe.get()
        {
            log.refuse_first(&shard, error);
            continue;
        }
        // The batch has room; it was the reserve behind it that was to be filled up.
        let is_extra = matches!(need, Need::Room { least: 0, .. });
        match meet(&shard, &log, need).await {
            Ok(()) => shard.note_room().await,
            Err(error) if error.kind == DiskErrorKind::NoSpace && is_extra => {
                let after = shard.env.now() + shard.options.space_probe;
                log.running.borrow_mut().reserve_after = after;
            }
            Err(error) if error.kind == DiskErrorKind::NoSpace => {
                shard.note_full(error.clone()).await;
                log.refuse_first(&shard, error);
            }
            Err(error) if log.running.borrow().gone => drop(error),
            Err(error) => shard.fail(error).await,
        }
    }
    log.running.borrow_mut().making_room = false;
    shard.settled.ring();
}

async fn meet<E: Env>(shard: &Rc<Shard<E>>, log: &Rc<LogInner>, need: Need) -> DiskResult<()> {
    match need {
        Need::Nothing => Ok(()),
        Need::NewSegment { base, bytes } => {
            log.prepare_directory(shard).await?;
            let file = shard
                .file(log, FileKind::Segment, base, OpenMode::CreateOrOpen)
                .await?;
            // A crash may have left a file of this name that no mark knows.
            if file.len().await? > 0 {
                shard.check_alive()?;
                file.truncate(0).await?;
            }
            shard.check_alive()?;
            if let Err(error) = file.reserve(0, bytes).await {
                // What is admitted next may go into the segment before, and the next segment begin elsewhere.
                let key = (log.number, FileKind::Segment, base);
                shard.files.borrow_mut().remove(&key);
                let path = layout::log_file(&shard.log_directory(log), base, FileKind::Segment);
                shard.remove_file(&path).await?;
                return Err(error);
            }
            let mut plan = Plan::new(log.id, base, shard.env.unix_ms());
            plan.reserved = bytes;
            log.running.borrow_mut().plan = Some(plan);
            Ok(())
        }
        Need::Room {
            base,
            from,
            bytes,
            least,
        } => {
            log.prepare_directory(shard).await?;
            let Some(file) = open_to_extend(shard, log, base).await? else {
                // The plan went with it: a new segment is needed instead.
                return Ok(());
            };
            shard.check_alive()?;
            let reserved = match file.reserve(from, bytes).await {
                Err(error)
                    if error.kind == DiskErrorKind::NoSpace && (1..bytes).contains(&least) =>
                {
                    file.reserve(from, least).await?;
                    least
                }
                reserved => reserved.map(|()| bytes)?,
            };
            let mut running = log.running.borrow_mut();
            if let Some(plan) = running
                .plan
                .as_mut()
                .filter(|plan| plan.base_offset == base)
            {
                plan.reserved = from + reserved;
            }
            Ok(())
        }
    }
}

impl LogInner {
    /// Makes the log's directory if it is not there, and removes what a crash has left in it that nobody knows of. The crash
    /// may be many starts ago: only whoever writes here looks.
    pub async fn prepare_directory<E: Env>(&self, shard: &Shard<E>) -> DiskResult<()> {
        let _turn = self.preparing.lock().await;
        if self.running.borrow().tidied {
            return Ok(());
        }
        let path = shard.log_directory(self);
        shard.check_alive()?;
        match shard.env.create_directory(&path).await {
            Ok(()) => self.running.borrow_mut().named = false,
            Err(error) if error.kind == DiskErrorKind::AlreadyExists => {
                self.remove_unknown(shard, &path).await?;
            }
            Err(error) => return Err(error),
        }
        self.running.borrow_mut().tidied = true;
        Ok(())
    }

    async fn remove_unknown<E: Env>(
        &self,
        shard: &Shard<E>,
        path: &std::path::Path,
    ) -> DiskResult<()> {
        for entry in shard.env.list(path).await? {
            if entry.kind != EntryKind::File || !layout::is_log_file(&entry.name) {
                tracing::warn!("{}: {:?} is not ours and stays", path.display(), entry.name);
                continue;
            }
            let known = match layout::parse_log_file(&entry.name) {
                Some((_, FileKind::State | FileKind::ProducerSnapshot)) => true,
                Some((base, _)) => self.knows(base),
                None => false,
            };
            if !known {
                shard.remove_file(&path.join(&entry.name)).await?;
            }
        }
        Ok(())
    }

    /// Whether a segment of this base offset is part of the log, or planned.
    fn knows(&self, base: Offset) -> bool {
        let state = self.state.borrow();
        let running = self.running.borrow();
        state.removals.contains(&base)
            || state.begins_at(base)
            || running.tail.iter().any(|batch| batch.segment == base)
            || running
                .plan
                .as_ref()
                .is_some_and(|plan| plan.base_offset == base)
    }
}
