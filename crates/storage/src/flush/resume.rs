//! Going on with the side files of a segment after a start: cut to what was synced, the rest made again from
//! the segment, and the result held against the mark.

use super::tail::side_lengths;
use crate::digest::{DIGEST_ENTRY, DIGEST_HEADER, DigestEntry, DigestKey};
use crate::layout::FileKind;
use crate::log::LogInner;
use crate::segment::{Segment, SideMark};
use crate::shard::Shard;
use crate::side::SideWriter;
use std::rc::Rc;
use taffrail_env::disk::{DiskResult, read_full};
use taffrail_env::{DiskError, DiskErrorKind, DiskOperation, Env, File, OpenMode};
use taffrail_record::batch::{HEADER_LEN, split_batch};

const TIME_ENTRY: u64 = 12;
/// The segment is read in pieces of this size (or of one batch, if that is larger).
const WINDOW: usize = 1 << 20;

/// A writer for the side files that stands at the segment's mark.
pub(crate) async fn resume_side<E: Env>(
    shard: &Rc<Shard<E>>,
    log: &Rc<LogInner>,
    segment: &Segment,
) -> DiskResult<SideWriter> {
    let known = match known_part(shard, log, segment).await {
        Err(error) if is_of_reading(&error) => None,
        known => known?,
    };
    let mut side = match known {
        Some(side) => side,
        None => {
            cut_side_files(shard, log, segment, &SideMark::default()).await?;
            SideWriter::new(log.id, segment.base_offset)
        }
    };
    if u64::from(side.at().position) == segment.length {
        return Ok(side);
    }
    let (from, synced) = (*side.at(), side.synced);
    let followed = match follow(shard, log, segment, &mut side).await {
        Err(error) if is_of_reading(&error) => Err(error.to_string()),
        followed => followed?,
    };
    if let Err(what) = followed {
        note_corrupt(shard, log, segment, &what);
        let key = DigestKey {
            partition: log.id,
            base_offset: segment.base_offset,
        };
        side = SideWriter::resume(key, from, synced, i64::MAX);
        side.skip_to(segment);
    }
    Ok(side)
}

/// Whether nothing was to be changed when it happened.
pub(crate) fn is_of_reading(error: &DiskError) -> bool {
    matches!(
        error.operation,
        DiskOperation::Read | DiskOperation::Len | DiskOperation::Open
    )
}

/// Writes down, once, that a segment is not what was written.
pub(crate) fn note_corrupt<E: Env>(
    shard: &Shard<E>,
    log: &LogInner,
    segment: &Segment,
    what: &str,
) {
    let path = crate::layout::log_file(
        &shard.log_directory(log),
        segment.base_offset,
        FileKind::Segment,
    );
    let mut running = log.running.borrow_mut();
    if running
        .corrupt
        .insert(segment.base_offset, what.into())
        .is_none()
    {
        tracing::error!(
            "disk: {}: corrupt: {what}; it is not served",
            path.display()
        );
    }
}

/// The side files cut to what was synced, if they are there and agree with it.
async fn known_part<E: Env>(
    shard: &Rc<Shard<E>>,
    log: &Rc<LogInner>,
    segment: &Segment,
) -> DiskResult<Option<SideWriter>> {
    let mark = segment.side;
    if !cut_side_files(shard, log, segment, &mark).await? || mark.position == 0 {
        return Ok(None);
    }
    let base = segment.base_offset;
    let key = DigestKey {
        partition: log.id,
        base_offset: base,
    };
    let digest = shard
        .file(log, FileKind::Digest, base, OpenMode::ReadWrite)
        .await?;
    let Some(number) = (mark.digest_len as usize)
        .checked_sub(DIGEST_HEADER + DIGEST_ENTRY)
        .map(|len| len / DIGEST_ENTRY)
    else {
        return Ok(None);
    };
    let at = (DIGEST_HEADER + number * DIGEST_ENTRY) as u64;
    let bytes = read_full(&digest, at, DIGEST_ENTRY).await?;
    let Some(entry) = DigestEntry::decode(&key, number as u32, &bytes)
        .filter(|entry| entry.position == mark.position)
    else {
        return Ok(None);
    };
    let mut last_time_entry = -1;
    if let Some(at) = u64::from(mark.time_index_len).checked_sub(TIME_ENTRY) {
        let file = shard
            .file(log, FileKind::TimeIndex, base, OpenMode::ReadWrite)
            .await?;
        let bytes = read_full(&file, at, 8).await?;
        let Some(timestamp) = bytes.first_chunk::<8>() else {
            return Ok(None);
        };
        last_time_entry = i64::from_be_bytes(*timestamp);
    }
    Ok(Some(SideWriter::resume(key, entry, mark, last_time_entry)))
}

/// Cuts the side files to the lengths of `mark`. `false` if one of them is shorter.
async fn cut_side_files<E: Env>(
    shard: &Rc<Shard<E>>,
    log: &Rc<LogInner>,
    segment: &Segment,
    mark: &SideMark,
) -> DiskResult<bool> {
    for (kind, len) in side_lengths(mark) {
        let opened = shard
            .file(log, kind, segment.base_offset, OpenMode::ReadWrite)
            .await;
        let file = match opened {
            Err(error) if error.kind == DiskErrorKind::NotFound && len == 0 => continue,
            Err(error) if error.kind == DiskErrorKind::NotFound => return Ok(false),
            opened => opened?,
        };
        let found = file.len().await?;
        if found < u64::from(len) {
            return Ok(false);
        }
        if found > u64::from(len) {
            shard.check_alive()?;
            file.truncate(u64::from(len)).await?;
        }
    }
    Ok(true)
}

/// Bytes between two entries of what stands beside a segment.
#[derive(Clone, Copy)]
pub(crate) struct Intervals {
    index: u32,
    digest: u32,
}

impl Intervals {
    /// Those that hold now.
    pub fn of<E: Env>(shard: &Shard<E>, log: &LogInner) -> Intervals {
        Intervals {
            index: log.running.borrow().config.index_interval_bytes,
            digest: shard.options.digest_interval_bytes,
        }
    }

    /// Makes them smaller, so that there are more entries. `false` if there is an entry at every batch already.
    pub fn halve(&mut self) -> bool {
        let before = (self.index, self.digest);
        (self.index, self.digest) = (self.index / 2, (self.digest / 2).max(1));
        (self.index, self.digest) != before
    }
}

/// Leads `side` through the segment up to its mark. The inner error says what does not verify.
pub(crate) async fn follow<E: Env>(
    shard: &Rc<Shard<E>>,
    log: &Rc<LogInner>,
    segment: &Segment,
    side: &mut SideWriter,
) -> DiskResult<Result<(), String>> {
    follow_by(shard, log, segment, side, Intervals::of(shard, log)).await
}

/// [`follow`], with other intervals.
pub(crate) async fn follow_by<E: Env>(
    shard: &Rc<Shard<E>>,
    log: &Rc<LogInner>,
    segment: &Segment,
    side: &mut SideWriter,
    intervals: Intervals,
) -> DiskResult<Result<(), String>> {
    let before = side.clone();
    if let Ok(Ok(())) = follow_once(shard, log, segment, side, intervals).await {
        return Ok(Ok(()));
    }
    // Once more: it may have been the reading.
    *side = before;
    follow_once(shard, log, segment, side, intervals).await
}

async fn follow_once<E: Env>(
    shard: &Rc<Shard<E>>,
    log: &Rc<LogInner>,
    segment: &Segment,
    side: &mut SideWriter,
    intervals: Intervals,
) -> DiskResult<Result<(), String>> {
    let file = shard
        .file_to_read(log, FileKind::Segment, segment.base_offset)
        .await?;
    let mut window = WINDOW;
    while u64::from(side.at().position) < segment.length {
        let at = u64::from(side.at().position);
        let len = window.min((segment.length - at) as usize);
        let bytes = read_full(&file, at, len).await?;
        let mut rest = &bytes[..];
        while let Ok((header, batch)) = split_batch(rest) {
            let header_bytes = batch
                .first_chunk::<HEADER_LEN>()
                .expect("a batch has a header");
            if header.base_offset < side.at().offset {
                return Ok(Err(format!(
                    "offset {} behind {}",
                    header.base_offset,
                    side.at().offset
                )));
            }
            side.batch(&header, header_bytes, intervals.index, intervals.digest);
            rest = &rest[batch.len()..];
        }
        if u64::from(side.at().position) == at {
            // Not one whole batch in it: a larger window, unless this was all there is.
            if at + len as u64 >= segment.length || bytes.len() < len {
                return Ok(Err(format!("no batch at position {at}")));
            }
            window = (2 * window).min(segment.length as usize);
        }
    }
    let agrees = side.at().chain == segment.chain && side.at().offset == segment.end_offset;
    Ok(if agrees {
        Ok(())
    } else {
        Err("its batches are not those that were synced".into())
    })
}
