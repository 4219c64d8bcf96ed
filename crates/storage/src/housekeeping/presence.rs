//! Whether the files that marks speak of are there, and as long as they say: some logs at each look, in rotation.
//!
//! Nothing of this is looked for at a start, which costs an idle log nothing. A segment's file that is gone is found here before somebody asks for what
//! was in it. Files beside a segment hold nothing of their own: they are made again from it.

use super::segment_kinds;
use crate::flush::{self, Intervals};
use crate::layout::{self, FileKind};
use crate::log::LogInner;
use crate::segment::{Segment, SideMark};
use crate::shard::Shard;
use crate::side::SideWriter;
use std::collections::BTreeMap;
use std::rc::Rc;
use taffrail_env::disk::DiskResult;
use taffrail_env::{DiskErrorKind, DiskOperation, Env, File, OpenMode};
use taffrail_record::{Offset, TopicPartition};

/// One look goes on to further logs until it has seen this many segments.
const SEGMENTS_MAX: usize = 4000;

/// What a segment lacks.
enum Lack {
    /// The segment itself, or a part of it.
    Itself(String),
    /// Files beside it.
    Beside(Vec<FileKind>),
}

/// Looks at the next logs in turn; at all of them, if they have few segments.
pub async fn look<E: Env>(shard: &Rc<Shard<E>>, at_stop: bool) {
    let mut seen = 0;
    for log in in_turn(shard) {
        if seen >= SEGMENTS_MAX || shard.failed.borrow().is_some() {
            return;
        }
        shard.looked_at.set(Some(log.id));
        let bases: Vec<Offset> = {
            let state = log.state.borrow();
            state.segments.iter().map(|kept| kept.base_offset).collect()
        };
        if bases.is_empty() {
            continue;
        }
        seen += bases.len();
        if let Err(error) = look_at(shard, &log, &bases, at_stop).await {
            let is_of_looking =
                flush::is_of_reading(&error) || error.operation == DiskOperation::List;
            if is_of_looking || error.kind == DiskErrorKind::NoSpace {
                tracing::warn!("log {}: its files could not be looked at: {error}", log.id);
            } else if !log.running.borrow().gone {
                shard.fail(error).await;
            }
        }
    }
}

/// The logs, those first that were not looked at for longest.
fn in_turn<E: Env>(shard: &Shard<E>) -> Vec<Rc<LogInner>> {
    let last = shard.looked_at.get();
    let logs = shard.logs.borrow();
    let is_behind = |id: &TopicPartition| last.is_none_or(|last| *id > last);
    let behind = logs.iter().filter(|(id, _)| is_behind(id));
    let before = logs.iter().filter(|(id, _)| !is_behind(id));
    behind.chain(before).map(|(_, log)| log.clone()).collect()
}

async fn look_at<E: Env>(
    shard: &Rc<Shard<E>>,
    log: &Rc<LogInner>,
    bases: &[Offset],
    at_stop: bool,
) -> DiskResult<()> {
    let found = {
        // Files go and names change by turns.
        let _turn = log.work.lock().await;
        let found = match shard.env.list(&shard.log_directory(log)).await {
            Err(error) if error.kind == DiskErrorKind::NotFound => Vec::new(),
            found => found?,
        };
        let found = found.into_iter().filter_map(|entry| {
            let name = layout::parse_log_file(&entry.name)?;
            Some((name, entry.len))
        });
        let found: BTreeMap<(Offset, FileKind), u64> = found.collect();
        lacks(log, bases, &found)
    };
    for (segment, lack) in found {
        match lack {
            Lack::Itself(what) => {
                flush::note_corrupt(shard, log, &segment, &what);
                // Nothing more may go into a file that has no name: whoever opens it to write on finds that, and goes on in a new segment.
                let key = (log.number, FileKind::Segment, segment.base_offset);
                shard.files.borrow_mut().remove(&key);
                log.running.borrow_mut().whole = None;
            }
            Lack::Beside(kinds) => mend(shard, log, &segment, &kinds, at_stop).await?,
        }
    }
    Ok(())
}

/// What segments lack that are part of the log now.
fn lacks(
    log: &LogInner,
    bases: &[Offset],
    found: &BTreeMap<(Offset, FileKind), u64>,
) -> Vec<(Segment, Lack)> {
    let state = log.state.borrow();
    let running = log.running.borrow();
    if running.gone || running.deleted {
        return Vec::new();
    }
    let looked_at = state.segments.iter().filter(|segment| {
        segment.length > 0
            && bases.contains(&segment.base_offset)
            && !running.corrupt.contains_key(&segment.base_offset)
    });
    looked_at
        .filter_map(|segment| {
            let len = |kind| found.get(&(segment.base_offset, kind)).copied();
            let itself = match len(FileKind::Segment) {
                None => Some("the file is not there".to_string()),
                Some(len) if len < segment.length => Some(format!(
                    "{} bytes were synced, {len} are there",
                    segment.length
                )),
                Some(_) => None,
            };
            if let Some(what) = itself {
                return Some((segment.clone(), Lack::Itself(what)));
            }
            let beside = segment_kinds().filter(|kind| {
                let wanted = wanted_len(&segment.side, *kind);
                wanted.is_some_and(|wanted| len(*kind).is_none_or(|len| len < wanted))
            });
            let beside: Vec<FileKind> = beside.collect();
            (!beside.is_empty()).then(|| (segment.clone(), Lack::Beside(beside)))
        })
        .collect()
}

/// How long a file beside a segment has to be; `None` if it need not be there.
fn wanted_len(mark: &SideMark, kind: FileKind) -> Option<u64> {
    let len = match kind {
        FileKind::OffsetIndex => mark.index_len,
        FileKind::TimeIndex => mark.time_index_len,
        FileKind::Digest => mark.digest_len,
        _ => return None,
    };
    // Kafka's tools read a time index only beside an offset index: it is there even without an entry.
    let beside = kind == FileKind::OffsetIndex && mark.time_index_len > 0;
    (len > 0 || beside).then_some(u64::from(len))
}

/// Makes files beside a segment again.
async fn mend<E: Env>(
    shard: &Rc<Shard<E>>,
    log: &Rc<LogInner>,
    segment: &Segment,
    kinds: &[FileKind],
    at_stop: bool,
) -> DiskResult<()> {
    for kind in kinds {
        // A file that is kept open may have no name any more.
        let key = (log.number, *kind, segment.base_offset);
        shard.files.borrow_mut().remove(&key);
    }
    if segment.sealed {
        let Some(side) = make_again(shard, log, segment, kinds).await? else {
            return Ok(());
        };
        write(shard, log, segment, kinds, side).await?;
    } else {
        flush::mend_round(shard, vec![log.clone()], at_stop).await;
    }
    tracing::info!(
        "log {}: what was missing beside segment {} is made again",
        log.id,
        segment.base_offset
    );
    Ok(())
}

/// What stood beside a segment, at least as long as its mark says: that cannot be changed any more, and intervals may be others now.
async fn make_again<E: Env>(
    shard: &Rc<Shard<E>>,
    log: &Rc<LogInner>,
    segment: &Segment,
    kinds: &[FileKind],
) -> DiskResult<Option<SideWriter>> {
    let mut intervals = Intervals::of(shard, log);
    let mut is_again = false;
    loop {
        let mut side = SideWriter::new(log.id, segment.base_offset);
        if let Err(what) = flush::follow_by(shard, log, segment, &mut side, intervals).await? {
            // Once more: it may have been the reading.
            if std::mem::replace(&mut is_again, true) {
                flush::note_corrupt(shard, log, segment, &what);
                return Ok(None);
            }
            continue;
        }
        side.seal();
        let made = side.mark();
        let is_enough =
            |kind: &FileKind| wanted_len(&made, *kind) >= wanted_len(&segment.side, *kind);
        if kinds.iter().all(is_enough) || !intervals.halve() {
            return Ok(Some(side));
        }
    }
}

async fn write<E: Env>(
    shard: &Rc<Shard<E>>,
    log: &Rc<LogInner>,
    segment: &Segment,
    kinds: &[FileKind],
    mut side: SideWriter,
) -> DiskResult<()> {
    let _turn = log.work.lock().await;
    let base = segment.base_offset;
    if log.running.borrow().gone || !log.state.borrow().begins_at(base) {
        return Ok(());
    }
    let writes = side.take_writes();
    let mut files = Vec::new();
    for kind in kinds {
        let mode = OpenMode::CreateOrOpen;
        let file = shard.file(log, *kind, base, mode).await?;
        shard.check_alive()?;
        file.truncate(0).await?;
        for write in writes.iter().filter(|write| write.kind == *kind) {
            shard.check_alive()?;
            let bytes = write.bytes.clone();
            file.write_at(write.offset, vec![bytes]).await?;
        }
        files.push(file);
    }
    shard.check_alive()?;
    let synced: DiskResult<Vec<()>> = shard.env.sync_many(files).await.into_iter().collect();
    synced?;
    shard.sync_directory(&shard.log_directory(log)).await
}
