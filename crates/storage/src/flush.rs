//! Write-behind: committed batches from memory into segments, many logs to one round of syncs.
//!
//! The order that must hold, per log: batches, then sync (and the directory's, if a name is new), then the mark. Only
//! then does the tail count as flushed, and only then may the journal forget it.

mod extend;
mod resume;
mod tail;

use crate::journal::Place;
use crate::journal::entry::Entry;
use crate::journal::messages::{Lane, ToKeeper};
use crate::layout;
use crate::log::LogInner;
use crate::segment::Segment;
use crate::shard::{InFlight, Shard};
use futures_channel::oneshot;
use futures_util::future::{Either, select, try_join_all};
use futures_util::lock::MutexGuard;
use std::pin::pin;
use std::rc::Rc;
use taffrail_env::disk::DiskResult;
use taffrail_env::{Disk, DiskError, DiskErrorKind, Env, dawdle};
use taffrail_record::Offset;

pub(crate) use extend::{destination, open_to_extend};
pub(crate) use resume::{Intervals, follow, follow_by, is_of_reading, note_corrupt, resume_side};

/// A small tail that was copied this often goes into its segment after all.
const COPIES_MAX: u8 = 4;

/// What one log contributes to a round: written, not synced.
struct Written<F> {
    /// Descriptors as they will hold once everything is synced, in order.
    marks: Vec<Segment>,
    files: Vec<F>,
    new_name: bool,
    side: Option<crate::side::SideWriter>,
    new_digest_entries: Vec<crate::digest::DigestEntry>,
}

impl<F> Default for Written<F> {
    fn default() -> Written<F> {
        Written {
            marks: Vec::new(),
            files: Vec::new(),
            new_name: false,
            side: None,
            new_digest_entries: Vec::new(),
        }
    }
}

/// What became of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Round {
    Done,
    /// Some logs found no room; they are as they were.
    NoSpace,
    /// The disk failed.
    Failed,
}

/// The shard's flusher: serves the queue, and the keeper's wish for room in the journal.
pub async fn run<E: Env>(shard: Rc<Shard<E>>) {
    while !shard.finished.get() {
        if shard.failed.borrow().is_some() {
            shard.flush_bell.heard().await;
            continue;
        }
        if let Some(before) = shard.clear_before.get() {
            clear(&shard, before).await;
            continue;
        }
        dawdle(&shard.env, "flush/late").await;
        let logs = next_in_queue(&shard);
        if logs.is_empty() {
            shard.flush_bell.heard().await;
            continue;
        }
        if flush_round(&shard, logs).await == Round::NoSpace {
            pause(&shard).await;
        }
    }
}

fn next_in_queue<E: Env>(shard: &Shard<E>) -> Vec<Rc<LogInner>> {
    let mut queue = shard.flush_queue.borrow_mut();
    let count = match shard.env.strikes_at("flush/one-log") {
        true => 1,
        false => shard.options.flush_files_max,
    };
    let count = queue.len().min(count);
    let logs: Vec<Rc<LogInner>> = queue.drain(..count).collect();
    for log in &logs {
        log.running.borrow_mut().flush_queued = false;
    }
    logs
}

/// Waits until there may be room again.
async fn pause<E: Env>(shard: &Shard<E>) {
    let patience = pin!(shard.env.sleep(shard.options.space_probe));
    let bell = pin!(shard.flush_bell.heard());
    match select(patience, bell).await {
        Either::Left(_) | Either::Right(_) => {}
    }
}

/// Brings everything that the journal holds before `before` elsewhere: small tails to its new end, the others
/// into their segments.
async fn clear<E: Env>(shard: &Rc<Shard<E>>, before: Place) {
    let needed = all_needs(shard, before);
    let (small, large) = sort_out(shard, before);
    if !copy_forward(shard, &small, before).await {
        // The next look writes them out.
        return;
    }
    for logs in large.chunks(shard.options.flush_files_max) {
        match flush_round(shard, logs.to_vec()).await {
            Round::Done => {}
            Round::NoSpace => pause(shard).await,
            Round::Failed => return,
        }
    }
    let left = all_needs(shard, before);
    if left > 0 && left == needed {
        // Nothing could be moved. It is not asked for again and again without a pause.
        pause(shard).await;
    }
    if left == 0 && shard.failed.borrow().is_none() {
        shard.clear_before.set(None);
        let shard_index = shard.index;
        let _gone = shard
            .keeper
            .send(ToKeeper::Cleared { shard: shard_index })
            .await;
    }
}

fn all_needs<E: Env>(shard: &Shard<E>, before: Place) -> usize {
    let logs = shard.logs.borrow();
    logs.values().map(|log| needs(log, before)).sum()
}

/// Bytes of `log` that only the journal before `before` holds.
fn needs(log: &LogInner, before: Place) -> usize {
    let running = log.running.borrow();
    let old = running
        .tail
        .dirty()
        .filter(|batch| batch.place.is_some_and(|place| place < before));
    old.map(|batch| batch.bytes.len()).sum()
}

/// Which logs are copied forward, and which are written out. What all shards copy together leaves room in one file.
fn sort_out<E: Env>(shard: &Shard<E>, before: Place) -> (Vec<Rc<LogInner>>, Vec<Rc<LogInner>>) {
    let mut budget = shard.payload_max / 8 / shard.shards;
    let (mut small, mut large) = (Vec::new(), Vec::new());
    for log in shard.logs.borrow().values() {
        let needed = needs(log, before);
        if needed == 0 {
            continue;
        }
        let mut running = log.running.borrow_mut();
        let is_small = !shard.crowded.get()
            && !shard.env.strikes_at("clear/write-out")
            && running.tail.dirty_bytes() <= shard.options.copy_forward_bytes_max;
        if is_small && needed <= budget && running.copies < COPIES_MAX {
            budget -= needed;
            running.copies += 1;
            small.push(log.clone());
        } else {
            large.push(log.clone());
        }
    }
    (small, large)
}

/// `false`: the journal has no room for the copies.
async fn copy_forward<E: Env>(shard: &Rc<Shard<E>>, logs: &[Rc<LogInner>], before: Place) -> bool {
    let mut copies = Vec::new();
    for log in logs {
        let running = log.running.borrow();
        let old = running
            .tail
            .dirty()
            .filter(|batch| batch.place.is_some_and(|place| place < before));
        for batch in old {
            let append = Entry::append(
                log.key(),
                batch.epoch,
                batch.base_offset,
                batch.segment,
                batch.time_ms,
                batch.bytes.clone(),
            );
            copies.push((log.clone(), batch.base_offset, append.into_copy()));
        }
    }
    let (done, wait) = oneshot::channel();
    let mut done = Some(done);
    let last = copies.len();
    for (number, (log, base_offset, entry)) in copies.into_iter().enumerate() {
        let done = if number + 1 == last {
            done.take()
        } else {
            None
        };
        let then = InFlight::Copy {
            log,
            base_offset,
            done,
        };
        shard.submit(Lane::Relief, entry, then);
    }
    // Nothing to copy, or nothing becomes durable any more: the sender is dropped.
    drop(done);
    let crowded = pin!(async {
        while !shard.crowded.get() {
            shard.crowded_bell.heard().await;
        }
    });
    // Copies that find no room are overtaken: what they hold goes into segments, and they do no harm when they come.
    matches!(select(wait, crowded).await, Either::Left(_))
}

/// What is done to each log of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Task {
    /// Its durable tail is written.
    WriteOut,
    /// Its last segment ends, if nothing is on its way into it.
    Seal,
    /// What stands beside its last segment is completed.
    Tidy,
    /// What is missing beside its last segment is made again, if nobody has written there since the start: whoever does makes it again himself.
    /// Once a stop has begun, only if that stop asks for it.
    Mend { at_stop: bool },
}

/// Writes what is durable of these logs into their segments, one segment each, and syncs all of it together.
pub async fn flush_round<E: Env>(shard: &Rc<Shard<E>>, logs: Vec<Rc<LogInner>>) -> Round {
    round(shard, logs, Task::WriteOut).await
}

/// Seals a log's last segment if nothing is on its way into it. The next append begins a new one.
pub async fn seal_last<E: Env>(shard: &Rc<Shard<E>>, log: &Rc<LogInner>) -> Round {
    round(shard, vec![log.clone()], Task::Seal).await
}

/// After the last append: completes what stands beside each log's last segment, and cuts it to what it holds.
pub async fn tidy_round<E: Env>(shard: &Rc<Shard<E>>, logs: Vec<Rc<LogInner>>) -> Round {
    round(shard, logs, Task::Tidy).await
}

/// Makes again what is missing beside each log's last segment. A stop asks with `at_stop`.
pub async fn mend_round<E: Env>(
    shard: &Rc<Shard<E>>,
    logs: Vec<Rc<LogInner>>,
    at_stop: bool,
) -> Round {
    round(shard, logs, Task::Mend { at_stop }).await
}

async fn round<E: Env>(shard: &Rc<Shard<E>>, mut logs: Vec<Rc<LogInner>>, task: Task) -> Round {
    // In one order everywhere, so that two rounds never wait for each other.
    logs.sort_by_key(|log| log.id);
    let mut turns: Vec<MutexGuard<'_, ()>> = Vec::new();
    let mut written = Vec::new();
    let mut outcome = Round::Done;
    for log in &logs {
        turns.push(log.work.lock().await);
        if shard.failed.borrow().is_some() {
            return Round::Failed;
        }
        match write(shard, log, task).await {
            Ok(Some(done)) => written.push((log.clone(), done)),
            Ok(None) => {}
            Err(_) if log.running.borrow().gone => {}
            Err(error) if error.kind == DiskErrorKind::NoSpace => {
                // The file that found no room is of no use any more by the handle that is kept of it.
                shard.files.borrow_mut().remove_log(log.number, Offset::MAX);
                shard.note_full(error).await;
                outcome = Round::NoSpace;
            }
            Err(error) => {
                shard.fail(error).await;
                return Round::Failed;
            }
        }
    }
    if let Err(error) = sync(shard, &written).await {
        shard.fail(error).await;
        return Round::Failed;
    }
    if shard.failed.borrow().is_some() {
        return Round::Failed;
    }
    for (log, done) in written {
        publish(shard, &log, done);
    }
    outcome
}

/// Writes what the task asks of one log; syncs nothing. `None` if there is nothing to do.
async fn write<E: Env>(
    shard: &Rc<Shard<E>>,
    log: &Rc<LogInner>,
    task: Task,
) -> DiskResult<Option<Written<<E as Disk>::File>>> {
    if task == Task::WriteOut {
        return tail::write_out(shard, log).await;
    }
    // What comes to its turn so late would be marked behind the end that the stop notes.
    let is_background = matches!(task, Task::Seal | Task::Mend { at_stop: false });
    if is_background && shard.closing.get() {
        return Ok(None);
    }
    let last = log.state.borrow().segments.last().cloned();
    let Some(last) = last.filter(|last| !last.sealed) else {
        return Ok(None);
    };
    {
        let mut running = log.running.borrow_mut();
        if task == Task::Seal {
            let idle = running.uncommitted == 0 && running.pending.is_empty();
            if !idle || running.tail.dirty_bytes() > 0 {
                return Ok(None);
            }
            running.plan = None;
        } else if matches!(task, Task::Mend { .. }) {
            // Made again from the mark on, whatever was written since into files that are not there any more.
            running.side = None;
        } else if !running.tidied && u64::from(last.side.position) == last.length {
            return Ok(None);
        }
    }
    let mut written = Written::default();
    if let Task::Mend { .. } = task {
        tail::mend_side(shard, log, last, &mut written).await?;
        return Ok(Some(written));
    }
    tail::end_segment(shard, log, last, task == Task::Seal, &mut written).await?;
    Ok(Some(written))
}

/// Syncs the files, then the directories whose names are new, parents after children.
async fn sync<E: Env>(
    shard: &Rc<Shard<E>>,
    written: &[(Rc<LogInner>, Written<<E as Disk>::File>)],
) -> Result<(), DiskError> {
    let files: Vec<<E as Disk>::File> = written
        .iter()
        .flat_map(|(_, done)| done.files.iter().cloned())
        .collect();
    if !files.is_empty() {
        shard.check_alive()?;
        let synced: DiskResult<Vec<()>> = shard.env.sync_many(files).await.into_iter().collect();
        synced?;
    }
    let named = written
        .iter()
        .filter(|(log, done)| done.new_name && !log.running.borrow().gone);
    // One after the other they would take as long as everything else together.
    let directories = named.clone().map(async |(log, _)| {
        match shard.sync_directory(&shard.log_directory(log)).await {
            // It was deleted meanwhile.
            Err(_) if log.running.borrow().gone => Ok(()),
            synced => synced,
        }
    });
    try_join_all(directories).await?;
    if named.clone().any(|(log, _)| !log.running.borrow().named) {
        shard
            .sync_directory(&layout::partitions(&shard.directory))
            .await?;
        for (log, _) in written.iter().filter(|(_, done)| done.new_name) {
            log.running.borrow_mut().named = true;
        }
    }
    Ok(())
}

/// Everything is synced: says so in memory and in the journal.
fn publish<E: Env>(shard: &Rc<Shard<E>>, log: &Rc<LogInner>, done: Written<<E as Disk>::File>) {
    let mut state = log.state.borrow_mut();
    let mut running = log.running.borrow_mut();
    running.side = done.side;
    running.copies = 0;
    if running.gone {
        return;
    }
    for segment in done.marks {
        let base_offset = segment.base_offset;
        let entry = Entry::mark(log.key(), segment.to_bytes());
        shard.submit(Lane::Relief, entry, InFlight::Nothing);
        let gone = state.mark(segment);
        let side = running.side.as_ref();
        if side.is_some_and(|side| side.base_offset() == base_offset) {
            let entries = &done.new_digest_entries;
            shard
                .digests
                .borrow_mut()
                .extend(log.number, base_offset, entries);
        } else {
            // Its digest was ended, or is not what it was.
            shard.digests.borrow_mut().remove(log.number, base_offset);
        }
        for base_offset in gone {
            shard.digests.borrow_mut().remove(log.number, base_offset);
        }
    }
    let end = state.flushed_end;
    let mut kept = Vec::new();
    running
        .tail
        .flushed(end, |base_offset, len| kept.push((base_offset, len)));
    let more = running.tail.dirty_bytes() >= shard.options.flush_bytes;
    if more && !running.flush_queued {
        running.flush_queued = true;
        shard.flush_queue.borrow_mut().push_back(log.clone());
        shard.flush_bell.ring();
    }
    drop((state, running));
    shard.keep(log, kept);
}
