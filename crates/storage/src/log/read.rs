//! Reading: the tail from memory, everything else from segments, verified before it is handed out.

use super::{Log, LogInner, Read};
use crate::ReadError;
use crate::checksum::chain_next;
use crate::digest::{DigestEntry, DigestKey};
use crate::flush::{follow, is_of_reading, note_corrupt, resume_side};
use crate::layout::{self, FileKind};
use crate::reading::read_verified;
use crate::segment::Segment;
use crate::side::SideWriter;
use bytes::{Bytes, BytesMut};
use std::path::PathBuf;
use std::rc::Rc;
use taffrail_env::disk::{DiskResult, read_full};
use taffrail_env::{DiskError, DiskErrorKind, Env, File, OpenMode};
use taffrail_record::Offset;
use taffrail_record::batch::{BatchHeader, HEADER_LEN, split_batch, verify_crc};

/// One read of a segment takes at most about this much.
const SPAN_MAX: usize = 8 << 20;

/// What was read of a log, before the offsets of the moment are put beside it.
pub(super) struct Found {
    pub batches: Vec<(BatchHeader, Bytes)>,
    pub next_offset: Offset,
}

/// Bytes of a segment between two places whose chains are known.
struct Chunk {
    from: DigestEntry,
    end: u64,
    end_chain: u64,
    end_offset: Offset,
    /// A smaller one would do.
    is_wide: bool,
}

impl<E: Env> Log<E> {
    /// Whole batches below the high watermark; the first one contains `from`, or is the next there is. About `max_bytes`
    /// at most; with `min_one` at least one batch if there is one, whatever its size.
    pub async fn read(
        &self,
        from: Offset,
        max_bytes: usize,
        min_one: bool,
    ) -> Result<Read, ReadError> {
        let is_meager = min_one && self.shard.env.strikes_at("read/one-batch");
        let max_bytes = if is_meager { 0 } else { max_bytes };
        let found = self.find(from, max_bytes, min_one).await?;
        let bytes = found.batches.iter().map(|(_, batch)| batch.len()).sum();
        Ok(Read {
            batches: found.batches.into_iter().map(|(_, batch)| batch).collect(),
            bytes,
            next_offset: found.next_offset,
            high_watermark: self.high_watermark(),
            last_stable_offset: self.last_stable_offset(),
            log_start_offset: self.log_start_offset(),
        })
    }

    pub(super) async fn find(
        &self,
        from: Offset,
        max_bytes: usize,
        min_one: bool,
    ) -> Result<Found, ReadError> {
        loop {
            let (start, high_watermark) = self.check_readable(from)?;
            if let Some(found) = self.find_in_memory(from, high_watermark, max_bytes, min_one) {
                return Ok(found);
            }
            let segment = self.segment_of(from)?;
            match self.find_on_disk(&segment, from, max_bytes, min_one).await {
                Err(ReadError::Disk(error)) if error.kind == DiskErrorKind::NotFound => {
                    // Its segment went while it was being read: the log's start tells.
                    if self.log_start_offset() == start && !self.inner.running.borrow().deleted {
                        return Err(self.missing(&segment, &error));
                    }
                }
                found => return found,
            }
        }
    }

    /// `None` if memory does not hold `from`.
    fn find_in_memory(
        &self,
        from: Offset,
        high_watermark: Offset,
        max_bytes: usize,
        min_one: bool,
    ) -> Option<Found> {
        let mut found = Found {
            batches: Vec::new(),
            next_offset: from,
        };
        if from >= high_watermark {
            return Some(found);
        }
        let running = self.inner.running.borrow();
        if running.tail.first_offset().is_none_or(|first| from < first) {
            return None;
        }
        let mut bytes = 0;
        for batch in running.tail.from(from) {
            let fits = bytes + batch.bytes.len() <= max_bytes;
            let takes = fits || min_one && bytes == 0;
            if batch.next_offset > high_watermark || !takes {
                break;
            }
            bytes += batch.bytes.len();
            let header = BatchHeader::parse(&batch.bytes).expect("it was parsed on the way in");
            found.batches.push((header, batch.bytes.clone()));
            found.next_offset = batch.next_offset;
        }
        Some(found)
    }

    /// The segment that holds `from`, or the next there is.
    fn segment_of(&self, from: Offset) -> Result<Segment, ReadError> {
        let state = self.inner.state.borrow();
        let at = state
            .segments
            .partition_point(|segment| segment.end_offset <= from);
        state.segments.get(at).cloned().ok_or(ReadError::Corrupt {
            file: self.shard.log_directory(&self.inner),
            position: 0,
            what: format!("no segment holds offset {from}"),
        })
    }

    async fn find_on_disk(
        &self,
        segment: &Segment,
        from: Offset,
        max_bytes: usize,
        min_one: bool,
    ) -> Result<Found, ReadError> {
        let mut digest = self.digest(segment).await?;
        let mut wanted = max_bytes;
        let mut retried = false;
        loop {
            let chunk = chunk(segment, &digest, from, wanted);
            let read = self.read_chunk(segment, &chunk).await;
            let verified = read.map(|bytes| verify(&chunk, &bytes));
            // Once more: it may have been the reading.
            if !matches!(verified, Ok(Ok(_))) && !std::mem::replace(&mut retried, true) {
                continue;
            }
            match verified {
                Ok(Ok(batches)) => return Ok(take_from(batches, from, max_bytes, min_one)),
                // What is wrong may lie behind what was asked for.
                _ if chunk.is_wide => (wanted, retried) = (1, false),
                Ok(Err((position, what))) => {
                    digest = self
                        .settle_doubt(segment, position, &what, Some(&digest))
                        .await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn read_chunk(&self, segment: &Segment, chunk: &Chunk) -> DiskResult<Bytes> {
        let at = u64::from(chunk.from.position);
        let len = (chunk.end - at) as usize;
        let file = self
            .shard
            .file_to_read(&self.inner, FileKind::Segment, segment.base_offset)
            .await?;
        read_full(&file, at, len).await.map(BytesMut::freeze)
    }

    /// The segment's digest, from memory, from its file, or made again.
    pub(super) async fn digest(
        &self,
        segment: &Segment,
    ) -> Result<Rc<Vec<DigestEntry>>, ReadError> {
        let (number, base) = (self.inner.number, segment.base_offset);
        if self.shard.env.strikes_at("digest/forgotten") {
            self.shard.digests.borrow_mut().remove(number, base);
        }
        if let Some(digest) = self.shard.digests.borrow_mut().get(number, base) {
            return Ok(digest);
        }
        if !segment.sealed && u64::from(segment.side.position) < segment.length {
            self.ensure_side(base).await;
        }
        let loaded = match self.load_digest(segment).await {
            // It can be made again.
            Err(error) if is_of_reading(&error) && error.kind == DiskErrorKind::Io => None,
            loaded => loaded?,
        };
        if let Some(digest) = loaded {
            let digest = Rc::new(digest);
            let mut digests = self.shard.digests.borrow_mut();
            digests.insert(number, base, digest.clone());
            return Ok(digest);
        }
        self.settle_doubt(segment, 0, "its digest does not verify", None)
            .await
    }

    /// After a start, the last segment's digest goes only as far as it was synced: completes it.
    async fn ensure_side(&self, base: Offset) {
        let _turn = self.inner.work.lock().await;
        let last = self.inner.state.borrow().segments.last().cloned();
        let Some(segment) = last.filter(|last| last.base_offset == base && !last.sealed) else {
            return;
        };
        let known = self.inner.running.borrow().side.is_some();
        if known || self.shard.failed.borrow().is_some() {
            return;
        }
        match self.complete_side(&segment).await {
            Ok(side) => self.inner.running.borrow_mut().side = Some(side),
            // The batches can still be read, and verified against the mark. A file that met an error takes nothing more: whoever
            // writes beside the segment next opens it anew.
            Err(error) if error.kind == DiskErrorKind::NoSpace || is_of_reading(&error) => {
                let mut files = self.shard.files.borrow_mut();
                for kind in SideWriter::KINDS {
                    files.remove(&(self.inner.number, kind, base));
                }
            }
            Err(error) => self.shard.fail(error).await,
        }
    }

    async fn complete_side(&self, segment: &Segment) -> DiskResult<SideWriter> {
        let mut side = resume_side(&self.shard, &self.inner, segment).await?;
        side.take_entries();
        let base = segment.base_offset;
        for write in side.take_writes() {
            let file = self
                .shard
                .file(&self.inner, write.kind, base, OpenMode::CreateOrOpen)
                .await?;
            self.shard.check_alive()?;
            file.write_at(write.offset, vec![write.bytes]).await?;
        }
        Ok(side)
    }

    async fn load_digest(&self, segment: &Segment) -> DiskResult<Option<Vec<DigestEntry>>> {
        let len = {
            let running = self.inner.running.borrow();
            let side = running
                .side
                .as_ref()
                .filter(|side| side.base_offset() == segment.base_offset);
            side.map_or(segment.side, SideWriter::mark).digest_len as usize
        };
        let key = DigestKey {
            partition: self.inner.id,
            base_offset: segment.base_offset,
        };
        if len == 0 {
            // A short segment needs none; a long one whose digest found no room has to be read.
            let short = segment.length <= SPAN_MAX as u64;
            let first = DigestEntry::first(key.partition, key.base_offset);
            return Ok(short.then(|| vec![first]));
        }
        let file = match self
            .shard
            .file_to_read(&self.inner, FileKind::Digest, segment.base_offset)
            .await
        {
            Err(error) if error.kind == DiskErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let digest = read_verified(&file, 0, len, |bytes| key.decode(bytes.get(..len)?)).await?;
        // One that found no room for its end would have all that lies behind it read in one piece.
        let reaches = |digest: &Vec<DigestEntry>| {
            let last = digest.last().map_or(0, |last| u64::from(last.position));
            segment.length - last.min(segment.length) <= SPAN_MAX as u64
        };
        Ok(digest.filter(|digest| !segment.sealed || reaches(digest)))
    }

    /// Digest and segment do not agree. The mark says which of them is wrong: makes the digest again, or finds the segment corrupt.
    /// `had` is the digest by which it was read, if there was one.
    async fn settle_doubt(
        &self,
        segment: &Segment,
        position: u64,
        what: &str,
        had: Option<&[DigestEntry]>,
    ) -> Result<Rc<Vec<DigestEntry>>, ReadError> {
        let base = segment.base_offset;
        let known = self.inner.running.borrow().corrupt.get(&base).cloned();
        if known.is_none() {
            let mut side = SideWriter::new(self.inner.id, base);
            match follow(&self.shard, &self.inner, segment, &mut side).await? {
                Ok(()) => {
                    let mut digest = vec![DigestEntry::first(self.inner.id, base)];
                    digest.extend(side.take_entries());
                    let digest = Rc::new(digest);
                    let mut digests = self.shard.digests.borrow_mut();
                    digests.insert(self.inner.number, base, digest.clone());
                    // The same digest as before: then a record's own checksum is what is wrong.
                    if had.is_none_or(|had| *had != **digest) {
                        return Ok(digest);
                    }
                }
                Err(found) => {
                    note_corrupt(&self.shard, &self.inner, segment, &found);
                }
            }
        }
        note_corrupt(&self.shard, &self.inner, segment, what);
        Err(ReadError::Corrupt {
            file: self.segment_path(base),
            position,
            what: what.into(),
        })
    }

    /// A file of a segment that is part of the log is not there.
    fn missing(&self, segment: &Segment, error: &DiskError) -> ReadError {
        let what = error.to_string();
        note_corrupt(&self.shard, &self.inner, segment, &what);
        ReadError::Corrupt {
            file: self.segment_path(segment.base_offset),
            position: 0,
            what,
        }
    }

    fn segment_path(&self, base: Offset) -> PathBuf {
        layout::log_file(
            &self.shard.log_directory(&self.inner),
            base,
            FileKind::Segment,
        )
    }
}

/// What to read so that `from` and about `max_bytes` are in it, between two known places.
fn chunk(segment: &Segment, digest: &[DigestEntry], from: Offset, max_bytes: usize) -> Chunk {
    let low = digest
        .partition_point(|entry| entry.offset <= from)
        .saturating_sub(1);
    let wanted = u64::from(digest[low].position) + max_bytes.clamp(1, SPAN_MAX) as u64;
    // An entry behind this segment's mark belongs to what was written since.
    let above = &digest[low + 1..];
    let inside = above.partition_point(|entry| u64::from(entry.position) < segment.length);
    let above = &above[..inside];
    let high = above
        .iter()
        .position(|entry| u64::from(entry.position) >= wanted);
    match high {
        Some(high) => Chunk {
            from: digest[low],
            end: u64::from(above[high].position),
            end_chain: above[high].chain,
            end_offset: above[high].offset,
            is_wide: high > 0,
        },
        None => Chunk {
            from: digest[low],
            end: segment.length,
            end_chain: segment.chain,
            end_offset: segment.end_offset,
            is_wide: !above.is_empty(),
        },
    }
}

/// Checks every batch of a chunk, and that they are exactly those that belong there.
fn verify(chunk: &Chunk, bytes: &Bytes) -> Result<Vec<(BatchHeader, Bytes)>, (u64, String)> {
    let mut batches = Vec::new();
    let (mut at, mut chain, mut offset) = (0, chunk.from.chain, chunk.from.offset);
    let wrong = |at: usize, what: String| (u64::from(chunk.from.position) + at as u64, what);
    while at < bytes.len() {
        let (header, batch) =
            split_batch(&bytes[at..]).map_err(|error| wrong(at, format!("{error:?}")))?;
        if header.base_offset < offset {
            let what = format!("offset {} where {offset} is next", header.base_offset);
            return Err(wrong(at, what));
        }
        verify_crc(batch).map_err(|error| wrong(at, format!("{error:?}")))?;
        let header_bytes = batch
            .first_chunk::<HEADER_LEN>()
            .expect("a batch has a header");
        chain = chain_next(chain, header_bytes);
        offset = header.next_offset();
        let end = at + batch.len();
        batches.push((header, bytes.slice(at..end)));
        at = end;
    }
    let whole = at as u64 + u64::from(chunk.from.position) == chunk.end;
    if !whole || chain != chunk.end_chain || offset > chunk.end_offset {
        let what = "its batches are not those that were synced".to_string();
        return Err(wrong(at, what));
    }
    Ok(batches)
}

fn take_from(
    batches: Vec<(BatchHeader, Bytes)>,
    from: Offset,
    max_bytes: usize,
    min_one: bool,
) -> Found {
    let mut found = Found {
        batches: Vec::new(),
        next_offset: from,
    };
    let mut bytes = 0;
    for (header, batch) in batches {
        if header.next_offset() <= from {
            continue;
        }
        let fits = bytes + batch.len() <= max_bytes;
        if !(fits || min_one && bytes == 0) {
            break;
        }
        bytes += batch.len();
        found.next_offset = header.next_offset();
        found.batches.push((header, batch));
    }
    found
}

impl LogInner {
    /// Segments of the log that do not verify.
    pub fn corrupt_segments(&self) -> usize {
        let running = self.running.borrow();
        let state = self.state.borrow();
        let corrupt = running.corrupt.keys();
        corrupt.filter(|base| state.begins_at(**base)).count()
    }
}
