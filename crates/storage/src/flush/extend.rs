//! Opening a segment to write on. Below its mark nothing may be missing: a file that is gone, or shorter than its mark, is neither
//! made again nor written over. It is corrupt, it ends where its mark says, and the log goes on in a new segment.

use super::note_corrupt;
use crate::layout::FileKind;
use crate::log::LogInner;
use crate::segment::Segment;
use crate::shard::Shard;
use std::rc::Rc;
use taffrail_env::disk::DiskResult;
use taffrail_env::{Disk, DiskErrorKind, Env, File, OpenMode};
use taffrail_record::Offset;

/// The file of the log's segment `base`, made if no mark knows of it yet. `None`: it must not be written on.
pub(crate) async fn open_to_extend<E: Env>(
    shard: &Rc<Shard<E>>,
    log: &Rc<LogInner>,
    base: Offset,
) -> DiskResult<Option<<E as Disk>::File>> {
    let last = log.state.borrow().segments.last().cloned();
    let marked = last.filter(|last| last.base_offset == base && last.length > 0);
    let Some(segment) = marked else {
        let mode = OpenMode::CreateOrOpen;
        return shard
            .file(log, FileKind::Segment, base, mode)
            .await
            .map(Some);
    };
    let opened = shard
        .file(log, FileKind::Segment, base, OpenMode::ReadWrite)
        .await;
    let file = match opened {
        Err(error) if error.kind == DiskErrorKind::NotFound => {
            give_up(shard, log, &segment, "the file is not there".into());
            return Ok(None);
        }
        opened => opened?,
    };
    if log.running.borrow().whole != Some(base) {
        let found = file.len().await?;
        if found < segment.length {
            let what = format!("{} bytes were synced, {found} are there", segment.length);
            give_up(shard, log, &segment, what);
            return Ok(None);
        }
        log.running.borrow_mut().whole = Some(base);
    }
    Ok(Some(file))
}

/// Nothing more goes into this segment. What was meant for it, and has room reserved there, needs room elsewhere.
fn give_up<E: Env>(shard: &Rc<Shard<E>>, log: &Rc<LogInner>, segment: &Segment, what: String) {
    note_corrupt(shard, log, segment, &what);
    let mut running = log.running.borrow_mut();
    running.reserved_from = Some(Offset::MAX);
    running.plan = running
        .plan
        .take()
        .filter(|plan| plan.base_offset != segment.base_offset);
}

/// The base offset of the segment into which a batch goes that is at `base_offset`, and was meant for `meant` when it was admitted. The one it was meant
/// for may have ended before it came.
pub(crate) fn destination(last: Option<&Segment>, meant: Offset, base_offset: Offset) -> Offset {
    match last {
        Some(last) if last.base_offset >= meant && last.sealed => base_offset,
        Some(last) if last.base_offset > meant => last.base_offset,
        _ => meant,
    }
}
