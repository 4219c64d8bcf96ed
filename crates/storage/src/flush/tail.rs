//! Writing one log's durable tail into its segment, and ending the segment before.

use super::{Written, destination, open_to_extend, resume_side};
use crate::layout::{self, FileKind};
use crate::log::LogInner;
use crate::segment::{Segment, SideMark};
use crate::shard::Shard;
use crate::side::SideWriter;
use bytes::Bytes;
use std::rc::Rc;
use taffrail_env::disk::DiskResult;
use taffrail_env::{Disk, DiskErrorKind, Env, File, OpenMode};
use taffrail_record::Offset;
use taffrail_record::batch::{BatchHeader, header_bytes};

/// One round writes at most this much of one log (and at least one batch).
const WRITE_MAX: usize = 8 << 20;
/// The side files are synced after this much of the segment.
const SIDE_SYNC_BYTES: u64 = 16 << 20;

/// The first durable batches that are not in a segment, as far as they go into one.
struct Run {
    /// Base offset of that segment.
    base_offset: Offset,
    first_offset: Offset,
    batches: Vec<Bytes>,
    bytes: usize,
    /// Space for them was reserved when they were admitted.
    reserved: bool,
}

/// Writes; syncs nothing. `None` if there is nothing to write.
pub(super) async fn write_out<E: Env>(
    shard: &Rc<Shard<E>>,
    log: &Rc<LogInner>,
) -> DiskResult<Option<Written<<E as Disk>::File>>> {
    let Some(mut run) = first_run(log) else {
        return Ok(None);
    };
    log.prepare_directory(shard).await?;
    let mut written = Written::default();
    let (mut segment, file) = target(shard, log, &mut run, &mut written).await?;
    shard.check_alive()?;
    if !run.reserved {
        file.reserve(segment.length, run.bytes as u64).await?;
    }
    let mut side = take_side(shard, log, &segment).await?;
    shard.check_alive()?;
    if let Err(error) = file.write_at(segment.length, run.batches.clone()).await {
        if error.kind == DiskErrorKind::NoSpace {
            give_back(shard, log, &segment).await?;
        }
        return Err(error);
    }
    written.files.push(file);
    let index_interval = log.running.borrow().config.index_interval_bytes;
    for batch in &run.batches {
        let header = BatchHeader::parse(batch).expect("it was parsed on the way in");
        let bytes = header_bytes(batch);
        segment.extend(&header, bytes);
        side.batch(
            &header,
            bytes,
            index_interval,
            shard.options.digest_interval_bytes,
        );
    }
    let sync_side = segment.length - u64::from(side.synced.position) >= SIDE_SYNC_BYTES;
    if sync_side {
        side.settle();
    }
    written.new_digest_entries = side.take_entries();
    if write_side(shard, log, &mut side, sync_side, &mut written).await? {
        segment.side = side.synced;
        written.side = Some(side);
    }
    written.marks.push(segment);
    Ok(Some(written))
}

/// The segment that the batches go into. If it is a new one, the one before is ended.
async fn target<E: Env>(
    shard: &Rc<Shard<E>>,
    log: &Rc<LogInner>,
    run: &mut Run,
    written: &mut Written<<E as Disk>::File>,
) -> DiskResult<(Segment, <E as Disk>::File)> {
    let last = log.state.borrow().segments.last().cloned();
    let mut base_offset = run.base_offset;
    if let Some(last) = last.filter(|last| !last.sealed) {
        if last.base_offset != base_offset {
            end_segment(shard, log, last, true, written).await?;
        } else if let Some(file) = open_to_extend(shard, log, base_offset).await? {
            return Ok((last, file));
        } else {
            written.marks.push(end_as_it_is(last));
            base_offset = run.first_offset;
            run.reserved = false;
        }
    }
    written.new_name = true;
    let mode = OpenMode::CreateOrOpen;
    let file = shard
        .file(log, FileKind::Segment, base_offset, mode)
        .await?;
    Ok((Segment::new(log.id, base_offset), file))
}

/// A segment whose file is not what its mark says ends at its mark; the file stays as it was found.
fn end_as_it_is(segment: Segment) -> Segment {
    Segment {
        sealed: true,
        ..segment
    }
}

fn first_run(log: &LogInner) -> Option<Run> {
    let running = log.running.borrow();
    let state = log.state.borrow();
    if running.gone {
        return None;
    }
    let first = running.tail.dirty().next()?;
    let goes_to = |meant, offset| destination(state.segments.last(), meant, offset);
    let base_offset = goes_to(first.segment, first.base_offset);
    let mut run = Run {
        base_offset,
        first_offset: first.base_offset,
        batches: Vec::new(),
        bytes: 0,
        // A plan of this start covers all that it admitted; what was recovered has none.
        reserved: Some(first.base_offset) >= running.reserved_from,
    };
    for batch in running.tail.dirty() {
        let full = run.bytes > 0 && run.bytes + batch.bytes.len() > WRITE_MAX;
        // All that have lost their segment go into one.
        let together = batch.segment == first.segment
            || goes_to(batch.segment, batch.base_offset) == base_offset;
        if !together || full {
            break;
        }
        run.bytes += batch.bytes.len();
        run.batches.push(batch.bytes.clone());
    }
    Some(run)
}

/// The writer of the side files, at the segment's mark.
async fn take_side<E: Env>(
    shard: &Rc<Shard<E>>,
    log: &Rc<LogInner>,
    segment: &Segment,
) -> DiskResult<SideWriter> {
    let running = log.running.borrow_mut().side.take();
    match running {
        Some(side)
            if side.base_offset() == segment.base_offset
                && u64::from(side.at().position) == segment.length =>
        {
            Ok(side)
        }
        // Nothing was ever written beside it, so there is nothing to look for.
        _ if segment.length == 0 && segment.base_offset >= log.began_at => {
            Ok(SideWriter::new(log.id, segment.base_offset))
        }
        _ => resume_side(shard, log, segment).await,
    }
}

/// Writes the side files as far as they go; with `sync`, they are synced in this round. `false`: there was no room, and they will be made again.
async fn write_side<E: Env>(
    shard: &Rc<Shard<E>>,
    log: &Rc<LogInner>,
    side: &mut SideWriter,
    sync: bool,
    written: &mut Written<<E as Disk>::File>,
) -> DiskResult<bool> {
    let base = side.base_offset();
    for write in side.take_writes() {
        let file = shard
            .file(log, write.kind, base, OpenMode::CreateOrOpen)
            .await?;
        shard.check_alive()?;
        match file.write_at(write.offset, vec![write.bytes]).await {
            Ok(()) => {}
            Err(error) if error.kind == DiskErrorKind::NoSpace => {
                let key = (log.number, write.kind, base);
                shard.files.borrow_mut().remove(&key);
                return Ok(false);
            }
            Err(error) => return Err(error),
        }
    }
    if sync {
        let mark = side.mark();
        for (kind, len) in side_lengths(&mark) {
            // Kafka's tools read a time index only beside an offset index: it is there even without an entry.
            let beside = kind == FileKind::OffsetIndex && mark.time_index_len > 0;
            if len > 0 || beside {
                written
                    .files
                    .push(shard.file(log, kind, base, OpenMode::CreateOrOpen).await?);
                written.new_name = true;
            }
        }
        side.synced = mark;
    }
    Ok(true)
}

pub(super) fn side_lengths(mark: &SideMark) -> [(FileKind, u32); 3] {
    [
        (FileKind::OffsetIndex, mark.index_len),
        (FileKind::TimeIndex, mark.time_index_len),
        (FileKind::Digest, mark.digest_len),
    ]
}

/// Completes a segment's side files and cuts its file to what it holds; with `seal` for good.
pub(super) async fn end_segment<E: Env>(
    shard: &Rc<Shard<E>>,
    log: &Rc<LogInner>,
    mut segment: Segment,
    seal: bool,
    written: &mut Written<<E as Disk>::File>,
) -> DiskResult<()> {
    let Some(file) = open_to_extend(shard, log, segment.base_offset).await? else {
        written.marks.push(end_as_it_is(segment));
        return Ok(());
    };
    let mut side = take_side(shard, log, &segment).await?;
    side.seal();
    if write_side(shard, log, &mut side, true, written).await? {
        segment.side = side.synced;
    }
    shard.check_alive()?;
    file.truncate(segment.length).await?;
    written.files.push(file);
    segment.sealed = seal;
    let snapshot = log.running.borrow_mut().snapshot.take();
    if let Some((offset, bytes)) = snapshot
        && offset == segment.end_offset
    {
        write_producer_snapshot(shard, log, offset, bytes).await?;
    }
    written.marks.push(segment);
    Ok(())
}

/// Makes again what is missing beside the last segment. Nothing is written on the segment itself.
pub(super) async fn mend_side<E: Env>(
    shard: &Rc<Shard<E>>,
    log: &Rc<LogInner>,
    mut segment: Segment,
    written: &mut Written<<E as Disk>::File>,
) -> DiskResult<()> {
    let mut side = take_side(shard, log, &segment).await?;
    side.seal();
    if write_side(shard, log, &mut side, true, written).await? {
        segment.side = side.synced;
    }
    written.marks.push(segment);
    Ok(())
}

/// Kafka's producer snapshot, for its tools. It is no part of recovery, so it is not waited for, and a full disk does without.
pub(super) async fn write_producer_snapshot<E: Env>(
    shard: &Rc<Shard<E>>,
    log: &Rc<LogInner>,
    offset: Offset,
    bytes: Bytes,
) -> DiskResult<()> {
    let path = layout::log_file(
        &shard.log_directory(log),
        offset,
        FileKind::ProducerSnapshot,
    );
    shard.check_alive()?;
    let file = shard.env.open(&path, OpenMode::CreateOrOpen).await?;
    shard.check_alive()?;
    file.truncate(0).await?;
    shard.check_alive()?;
    match file.write_at(0, vec![bytes]).await {
        Err(error) if error.kind != DiskErrorKind::NoSpace => Err(error),
        _ => Ok(()),
    }
}

/// A write found no room although it should have had some: the file goes back to its mark.
async fn give_back<E: Env>(
    shard: &Rc<Shard<E>>,
    log: &Rc<LogInner>,
    segment: &Segment,
) -> DiskResult<()> {
    let key = (log.number, FileKind::Segment, segment.base_offset);
    shard.files.borrow_mut().remove(&key);
    log.running.borrow_mut().reserved_from = Some(Offset::MAX);
    let file = shard
        .file(
            log,
            FileKind::Segment,
            segment.base_offset,
            OpenMode::ReadWrite,
        )
        .await?;
    shard.check_alive()?;
    file.truncate(segment.length).await
}
