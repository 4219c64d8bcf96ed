//! What is done from time to time: retention, idle producers, and files whose time is over.
//!
//! A log's start moves durably before a file goes; a file's removal is durable before it is forgotten. What a
//! crash interrupts is still on a list in the journal or the checkpoint, and is done again.

mod presence;

use crate::Log;
use crate::flush::{self, Round};
use crate::journal::entry::Entry;
use crate::layout::{self, FileKind};
use crate::log::LogInner;
use crate::retention::{self, Expiry, TailBytes};
use crate::shard::{Cached, Removed, Shard};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;
use taffrail_env::disk::{self, DiskResult, EntryKind};
use taffrail_env::{DiskErrorKind, Env, File, OpenMode};
use taffrail_record::Offset;

/// So much room must there be before a full disk counts as not full.
const ROOM_MIN: u64 = 1 << 20;

/// One look at everything.
pub async fn run<E: Env>(shard: &Rc<Shard<E>>) {
    look_for_room(shard).await;
    let step_agreement_min = shard.options.step_agreement_min;
    let wall_ms =
        shard
            .wall
            .borrow_mut()
            .look(shard.env.unix_ms(), shard.env.now(), step_agreement_min);
    let agreement_min = shard.options.clock_agreement_min;
    let now = shard.env.now();
    let tells_silence = shard.wall.borrow().has_agreed_for(now, agreement_min);
    let logs: Vec<Rc<LogInner>> = shard.logs.borrow().values().cloned().collect();
    for inner in logs {
        let log = Log {
            shard: shard.clone(),
            inner,
        };
        retain(&log, wall_ms).await;
        if let Some(wall_ms) = wall_ms
            && tells_silence
        {
            forget_producers(&log, wall_ms).await;
        }
        if shard.failed.borrow().is_some() || shard.closing.get() {
            return;
        }
    }
    let delay = shard.full.borrow().is_some().then_some(Duration::ZERO);
    remove_old(shard, delay).await;
    remove_deleted(shard, delay.is_some()).await;
    presence::look(shard, false).await;
}

/// What the next look would find missing is made again before a clean stop.
pub async fn look_before_stop<E: Env>(shard: &Rc<Shard<E>>) {
    presence::look(shard, true).await;
}

async fn look_for_room<E: Env>(shard: &Rc<Shard<E>>) {
    if shard.full.borrow().is_none() {
        return;
    }
    match shard.env.space(&shard.directory).await {
        Ok(space) if space.available >= ROOM_MIN => shard.note_room().await,
        Ok(_) => {}
        Err(error) => tracing::warn!("{error}"),
    }
}

/// Applies retention to one log.
async fn retain<E: Env>(log: &Log<E>, wall_ms: Option<i64>) {
    let inner = &log.inner;
    if inner.running.borrow().deleted || !inner.running.borrow().configured {
        return;
    }
    if tail_is_old(inner, wall_ms) || tail_is_too_much(inner) {
        flush_tail(log).await;
    }
    let Some(expiry) = expiry(inner, wall_ms) else {
        return;
    };
    if expiry.seals_last {
        if flush::seal_last(&log.shard, inner).await != Round::Done {
            return;
        }
        let sealed = inner
            .state
            .borrow()
            .segments
            .last()
            .is_some_and(|last| last.sealed);
        if !sealed {
            return;
        }
    }
    match log.advance_log_start(expiry.start).await {
        Ok(start) => tracing::debug!("log {} starts at {start} by retention", inner.id),
        Err(error) => tracing::warn!("log {}: retention: {error}", inner.id),
    }
}

/// Writes out all that lies in the journal only. One round ends where a segment does, and a segment counts as full when something lies
/// behind it.
async fn flush_tail<E: Env>(log: &Log<E>) {
    let flushed_end = || log.inner.state.borrow().flushed_end;
    let goal = log.inner.running.borrow().high_watermark;
    while flushed_end() < goal {
        let before = flushed_end();
        let round = flush::flush_round(&log.shard, vec![log.inner.clone()]).await;
        if round != Round::Done || flushed_end() == before {
            return;
        }
    }
}

fn expiry(inner: &LogInner, wall_ms: Option<i64>) -> Option<Expiry> {
    let state = inner.state.borrow();
    let running = inner.running.borrow();
    retention::expired(
        &running.config,
        &state.segments,
        TailBytes {
            durable: running.tail.dirty_bytes() as u64,
            on_its_way: running.uncommitted as u64,
        },
        running.high_watermark.min(state.flushed_end),
        wall_ms,
    )
}

/// Whether something is over its time that lies in the journal only; it has to reach a segment before it can go.
fn tail_is_old(inner: &LogInner, wall_ms: Option<i64>) -> bool {
    let running = inner.running.borrow();
    let oldest = running.tail.dirty().map(|batch| batch.max_timestamp).min();
    let (Some(oldest), Some(wall_ms)) = (oldest, wall_ms) else {
        return false;
    };
    let config = &running.config;
    config.cleanup_delete
        && config.retention_ms >= 0
        && oldest >= 0
        && wall_ms.saturating_sub(oldest) > config.retention_ms
}

/// Whether the log is over its size while a whole segment of it lies in the journal only; that one has to be written to become one that can go.
fn tail_is_too_much(inner: &LogInner) -> bool {
    let state = inner.state.borrow();
    let running = inner.running.borrow();
    let config = &running.config;
    let in_segments: u64 = state.segments.iter().map(|segment| segment.length).sum();
    let size = in_segments + running.tail.dirty_bytes() as u64;
    let filled = running.plan.as_ref().map(|plan| plan.base_offset);
    let whole = running.tail.dirty().next().map(|batch| batch.segment) != filled;
    let bounded = config.cleanup_delete && config.retention_bytes >= 0;
    bounded && whole && size > config.retention_bytes as u64
}

async fn forget_producers<E: Env>(log: &Log<E>, wall_ms: i64) {
    let since = wall_ms.saturating_sub(log.shard.options.producer_expiry_ms);
    let idle = log.inner.state.borrow().producers.has_idle(since);
    if !idle || log.inner.running.borrow().deleted {
        return;
    }
    let forget = move |shard: &Shard<E>, state: &mut crate::state::LogState| {
        let before = state.producers.len();
        state.producers.forget_idle(since);
        let gone = before - state.producers.len();
        shard.producers.set(shard.producers.get() - gone);
    };
    let entry = Entry::forget_producers(log.inner.key(), since);
    if let Err(error) = log.record(entry, forget).await {
        tracing::warn!("log {}: forgetting producers: {error}", log.inner.id);
    }
}

/// A log's deletion is durable.
pub fn forget<E: Env>(shard: &Rc<Shard<E>>, log: &Rc<LogInner>) {
    shard.logs.borrow_mut().remove(&log.id);
    log.running.borrow_mut().gone = true;
    let delay = log.running.borrow().config.file_delete_delay_ms.max(0) as u64;
    shard.removed.borrow_mut().push(Removed {
        partition: log.id,
        number: log.number,
        due: shard.env.now() + Duration::from_millis(delay),
    });
    let producers = log.state.borrow().producers.len();
    shard.producers.set(shard.producers.get() - producers);
    let cached = log.running.borrow().tail.clean_bytes();
    shard.cached_bytes.set(shard.cached_bytes.get() - cached);
    if cached > 0 {
        // What stands in line there keeps the log in memory.
        let is_other = |kept: &Cached| !Rc::ptr_eq(&kept.log, log);
        shard.cached.borrow_mut().retain(is_other);
    }
    log.running.borrow_mut().tail.clear();
    shard.files.borrow_mut().remove_log(log.number, Offset::MAX);
}

/// Removes the directories of deleted logs that are due (all of them with `now`).
pub async fn remove_deleted<E: Env>(shard: &Rc<Shard<E>>, now: bool) {
    let due: Vec<Removed> = {
        let removed = shard.removed.borrow();
        let at = shard.env.now();
        let due = removed.iter().filter(|removed| now || removed.due <= at);
        due.copied().collect()
    };
    for removed in due {
        if shard.failed.borrow().is_some() {
            return;
        }
        let path = layout::log_directory(&shard.directory, removed.partition, removed.number);
        match remove_directory(shard, &path).await {
            Ok(()) => shard
                .removed
                .borrow_mut()
                .retain(|kept| kept.number != removed.number),
            // Somebody was still writing into it; next time.
            Err(error) if error.kind == DiskErrorKind::NotEmpty => {}
            Err(error) => {
                shard.fail(error).await;
                return;
            }
        }
    }
}

async fn remove_directory<E: Env>(shard: &Rc<Shard<E>>, path: &Path) -> DiskResult<()> {
    match shard.env.list(path).await {
        // Removed before, but perhaps not durably.
        Err(error) if error.kind == DiskErrorKind::NotFound => {}
        Err(error) => return Err(error),
        Ok(entries) => {
            let (ours, foreign): (Vec<disk::Entry>, Vec<disk::Entry>) =
                entries.into_iter().partition(|entry| {
                    entry.kind == EntryKind::File && layout::is_log_file(&entry.name)
                });
            for entry in ours {
                shard.remove_file(&path.join(&entry.name)).await?;
            }
            shard.check_alive()?;
            match foreign.first() {
                None => match shard.env.remove_directory(path).await {
                    // A stop and a round of housekeeping may come here at the same time.
                    Err(error) if error.kind == DiskErrorKind::NotFound => {}
                    removed => removed?,
                },
                Some(entry) => {
                    let name = &entry.name;
                    tracing::warn!("{}: {name:?} is not ours and stays", path.display());
                    shard.sync_directory(path).await?;
                }
            }
        }
    }
    shard
        .sync_directory(&layout::partitions(&shard.directory))
        .await
}

/// Removes the files of segments that have left their logs, after their delay (or `delay`, if given).
async fn remove_old<E: Env>(shard: &Rc<Shard<E>>, delay: Option<Duration>) {
    let logs: Vec<Rc<LogInner>> = shard.logs.borrow().values().cloned().collect();
    for log in logs {
        if log.state.borrow().removals.is_empty() || log.running.borrow().gone {
            continue;
        }
        let delay = delay.unwrap_or_else(|| {
            let ms = log.running.borrow().config.file_delete_delay_ms.max(0);
            Duration::from_millis(ms as u64)
        });
        let _turn = log.work.lock().await;
        if shard.failed.borrow().is_some() {
            return;
        }
        if let Err(error) = remove_segments(shard, &log, delay).await
            && !log.running.borrow().gone
        {
            shard.fail(error).await;
            return;
        }
    }
}

/// [`remove_old`] with one delay for all.
pub async fn remove_old_segments<E: Env>(shard: &Rc<Shard<E>>, delay: Duration) {
    remove_old(shard, Some(delay)).await;
}

async fn remove_segments<E: Env>(
    shard: &Rc<Shard<E>>,
    log: &Rc<LogInner>,
    delay: Duration,
) -> DiskResult<()> {
    let now = shard.env.now();
    let removals = log.state.borrow().removals.clone();
    let directory = shard.log_directory(log);
    let mut gone = Vec::new();
    for base in removals {
        let due = log.running.borrow().removal_due.get(&base).copied();
        match due {
            Some(due) if due <= now || delay.is_zero() => {
                remove_files(shard, &directory, base).await?;
                gone.push(base);
            }
            Some(_) => {}
            None if delay.is_zero() => {
                remove_files(shard, &directory, base).await?;
                gone.push(base);
            }
            None => {
                rename_files(shard, &directory, base).await?;
                log.running
                    .borrow_mut()
                    .removal_due
                    .insert(base, now + delay);
            }
        }
        shard.files.borrow_mut().remove_log(log.number, base);
    }
    if gone.is_empty() {
        return Ok(());
    }
    shard.sync_directory(&directory).await?;
    log.state
        .borrow_mut()
        .removals
        .retain(|base| !gone.contains(base));
    log.running
        .borrow_mut()
        .removal_due
        .retain(|base, _| !gone.contains(base));
    Ok(())
}

/// A segment's own files; a machine's snapshot is not one of them.
fn segment_kinds() -> impl Iterator<Item = FileKind> {
    FileKind::ALL
        .into_iter()
        .filter(|kind| *kind != FileKind::State)
}

/// Removes a segment's files under the name they had and under the one they got when they left the log.
async fn remove_files<E: Env>(
    shard: &Rc<Shard<E>>,
    directory: &Path,
    base: Offset,
) -> DiskResult<()> {
    for kind in segment_kinds() {
        let path = layout::log_file(directory, base, kind);
        for path in [layout::with_suffix(&path, ".deleted"), path] {
            shard.remove_file(&path).await?;
        }
    }
    Ok(())
}

async fn rename_files<E: Env>(
    shard: &Rc<Shard<E>>,
    directory: &Path,
    base: Offset,
) -> DiskResult<()> {
    for kind in segment_kinds() {
        shard.check_alive()?;
        let path = layout::log_file(directory, base, kind);
        match shard
            .env
            .rename(&path, &layout::with_suffix(&path, ".deleted"))
            .await
        {
            Err(error) if error.kind == DiskErrorKind::NotFound => {}
            renamed => renamed?,
        }
    }
    Ok(())
}

/// At a clean shutdown, Kafka's producer snapshot for the log's end; the one of the shutdown before goes.
pub async fn write_last_snapshot<E: Env>(shard: &Rc<Shard<E>>, log: &Rc<LogInner>) {
    let (end, bytes) = {
        let state = log.state.borrow();
        let touched = log.running.borrow().tidied;
        if state.producers.len() == 0 || state.segments.is_empty() || !touched {
            return;
        }
        (state.end_offset, state.producers.kafka_snapshot().freeze())
    };
    if let Err(error) = replace_snapshot(shard, log, end, bytes).await {
        // For tools only: worth a line, not worth the shutdown.
        tracing::warn!("log {}: producer snapshot: {error}", log.id);
    }
}

async fn replace_snapshot<E: Env>(
    shard: &Rc<Shard<E>>,
    log: &Rc<LogInner>,
    end: Offset,
    bytes: bytes::Bytes,
) -> DiskResult<()> {
    let directory = shard.log_directory(log);
    for entry in shard.env.list(&directory).await? {
        if let Some((offset, FileKind::ProducerSnapshot)) = layout::parse_log_file(&entry.name)
            && !log.state.borrow().begins_at(offset)
        {
            shard.remove_file(&directory.join(&entry.name)).await?;
        }
    }
    let path = layout::log_file(&directory, end, FileKind::ProducerSnapshot);
    shard.check_alive()?;
    let file = shard.env.open(&path, OpenMode::CreateOrOpen).await?;
    shard.check_alive()?;
    file.truncate(0).await?;
    shard.check_alive()?;
    file.write_at(0, vec![bytes]).await?;
    // Whoever looks at a directory that was stopped cleanly may find it after a power cut.
    file.sync().await?;
    shard.sync_directory(&directory).await
}
