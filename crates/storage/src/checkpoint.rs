//! Checkpoints: what the recycled part of the journal left behind.
//!
//! A checkpoint is made of sections, each a number of logs as of one place in the journal; a replay goes on for
//! each log from there. It names the place from which the journal is still needed.

use crate::checksum::Crc64;
use crate::cursor::Cursor;
use crate::journal::{Joint, Place};
use crate::layout;
use crate::state::LogState;
use bytes::{BufMut, Bytes, BytesMut};
use std::path::Path;
use taffrail_env::disk::{DiskResult, read_full};
use taffrail_env::{DiskErrorKind, Env, File, OpenMode};

const MAGIC: &[u8; 8] = b"TAFFCHKP";
const VERSION: u32 = 1;
const HEADER: usize = 96;
const CHECKSUM_AT: usize = 88;
/// Room kept for the smallest checkpoints.
const RESERVE_MIN: u64 = 256 << 10;

/// Logs as of a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    pub as_of: Place,
    pub count: u32,
    pub logs: Bytes,
}

impl Section {
    pub fn of<'a>(as_of: Place, logs: impl Iterator<Item = &'a LogState>) -> Section {
        let mut out = BytesMut::new();
        let mut count = 0;
        for log in logs {
            log.encode(&mut out);
            count += 1;
        }
        Section {
            as_of,
            count,
            logs: out.freeze(),
        }
    }
}

/// A checkpoint that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    pub generation: u64,
    /// From here the journal is needed.
    pub replay: Joint,
    pub next_log_number: u64,
    pub sections: Vec<(Place, Vec<LogState>)>,
}

pub fn encode(
    directory_id: &[u8; 16],
    generation: u64,
    replay: &Joint,
    next_log_number: u64,
    sections: &[Section],
) -> Vec<Bytes> {
    let mut pieces = vec![Bytes::new()];
    for section in sections {
        let mut head = BytesMut::with_capacity(24);
        head.put_u64_le(section.as_of.file);
        head.put_u64_le(section.as_of.offset);
        head.put_u32_le(section.count);
        head.put_u32_le(section.logs.len() as u32);
        pieces.push(head.freeze());
        pieces.push(section.logs.clone());
    }
    let length = HEADER + pieces.iter().map(Bytes::len).sum::<usize>();
    let mut header = BytesMut::with_capacity(HEADER);
    header.put_slice(MAGIC);
    header.put_u32_le(VERSION);
    header.put_u32_le(sections.len() as u32);
    header.put_slice(directory_id);
    header.put_u64_le(generation);
    header.put_u64_le(replay.place.file);
    header.put_u64_le(replay.place.offset);
    header.put_u64_le(replay.sequence);
    header.put_u64_le(replay.checksum);
    header.put_u64_le(next_log_number);
    header.put_u64_le(length as u64);
    let mut crc = Crc64::new();
    crc.update(&header);
    pieces.iter().for_each(|piece| crc.update(piece));
    header.put_u64_le(crc.value());
    pieces[0] = header.freeze();
    pieces
}

/// `None` if the bytes are not a whole checkpoint of this directory.
pub fn decode(directory_id: &[u8; 16], bytes: &[u8]) -> Option<Checkpoint> {
    let mut cursor = Cursor::new(bytes);
    if &cursor.array::<8>()? != MAGIC || cursor.u32()? != VERSION {
        return None;
    }
    let sections = cursor.u32()?;
    if &cursor.array::<16>()? != directory_id {
        return None;
    }
    let generation = cursor.u64()?;
    let place = Place {
        file: cursor.u64()?,
        offset: cursor.u64()?,
    };
    let replay = Joint {
        place,
        sequence: cursor.u64()?,
        checksum: cursor.u64()?,
    };
    let next_log_number = cursor.u64()?;
    let length = usize::try_from(cursor.u64()?).ok()?;
    let checksum = cursor.u64()?;
    let body = bytes.get(HEADER..length)?;
    let mut crc = Crc64::new();
    crc.update(&bytes[..CHECKSUM_AT]);
    crc.update(body);
    if crc.value() != checksum {
        return None;
    }
    let mut cursor = Cursor::new(body);
    let mut checkpoint = Checkpoint {
        generation,
        replay,
        next_log_number,
        sections: Vec::new(),
    };
    for _ in 0..sections {
        let as_of = Place {
            file: cursor.u64()?,
            offset: cursor.u64()?,
        };
        let count = cursor.u32()?;
        let len = cursor.u32()? as usize;
        let mut logs = Cursor::new(cursor.take(len)?);
        let states: Option<Vec<LogState>> =
            (0..count).map(|_| LogState::decode(&mut logs)).collect();
        checkpoint.sections.push((as_of, states?));
    }
    Some(checkpoint)
}

/// The newest checkpoint that verifies, if any does, and its bytes.
pub async fn read<E: Env>(
    env: &E,
    directory: &Path,
    directory_id: &[u8; 16],
) -> DiskResult<Option<(Checkpoint, Bytes)>> {
    let mut slots = Vec::new();
    for slot in 0..2 {
        let path = layout::checkpoint_file(directory, slot);
        slots.push(match read_slot(env, &path, directory_id).await {
            Ok(Some(found)) => Ok(Some(found)),
            // Once more: it may have been the reading.
            Ok(None) | Err(_) => read_slot(env, &path, directory_id).await,
        });
    }
    if slots.iter().all(|slot| !matches!(slot, Ok(Some(_)))) {
        // One that cannot be read may have been the sound one.
        return slots
            .into_iter()
            .collect::<DiskResult<Vec<_>>>()
            .map(|_| None);
    }
    let found = slots.into_iter().filter_map(|slot| slot.ok().flatten());
    Ok(found.max_by_key(|(checkpoint, _)| checkpoint.generation))
}

/// Writes a checkpoint again where it was read, the same bytes, and syncs: it may have stood in the page cache only.
pub async fn secure<E: Env>(
    env: &E,
    directory: &Path,
    generation: u64,
    bytes: Bytes,
) -> DiskResult<()> {
    let path = layout::checkpoint_file(directory, generation);
    let file = env.open(&path, OpenMode::ReadWrite).await?;
    let write = file.write_at(0, vec![bytes]);
    let sync = file.sync();
    write.await?;
    sync.await
}

async fn read_slot<E: Env>(
    env: &E,
    path: &Path,
    directory_id: &[u8; 16],
) -> DiskResult<Option<(Checkpoint, Bytes)>> {
    let file = match env.open(path, OpenMode::Read).await {
        Ok(file) => file,
        Err(error) if error.kind == DiskErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let head = read_full(&file, 0, HEADER).await?;
    let Some(length) = head.get(80..88) else {
        return Ok(None);
    };
    let length = u64::from_le_bytes(length.try_into().expect("eight bytes"));
    if length < HEADER as u64 || length > file.len().await? {
        return Ok(None);
    }
    let bytes = read_full(&file, 0, length as usize).await?.freeze();
    Ok(decode(directory_id, &bytes).map(|found| (found, bytes)))
}

/// Why a checkpoint was not written.
#[derive(Debug)]
pub enum WriteError {
    /// No room for a larger one. Nothing was changed.
    NoSpace(taffrail_env::DiskError),
    Disk(taffrail_env::DiskError),
    /// It was written, and something else is there.
    NotReadBack(std::path::PathBuf),
}

impl From<taffrail_env::DiskError> for WriteError {
    fn from(error: taffrail_env::DiskError) -> WriteError {
        WriteError::Disk(error)
    }
}

/// Writes generation `generation` over the one before the last; durable and verified when this returns. `alive` is
/// asked before every change.
pub async fn write<E: Env>(
    env: &E,
    directory: &Path,
    directory_id: &[u8; 16],
    generation: u64,
    pieces: Vec<Bytes>,
    alive: impl Fn() -> DiskResult<()>,
) -> Result<(), WriteError> {
    let path = layout::checkpoint_file(directory, generation);
    alive()?;
    let file = env.open(&path, OpenMode::CreateOrOpen).await?;
    let length: u64 = pieces.iter().map(|piece| piece.len() as u64).sum();
    // Twice what is needed now, so that a full disk is met long before this cannot be written.
    let wanted = (2 * length).max(RESERVE_MIN);
    alive()?;
    match file.reserve(0, wanted).await {
        Err(error) if error.kind == DiskErrorKind::NoSpace => {
            file.reserve(0, length).await.map_err(WriteError::NoSpace)?;
        }
        reserved => reserved?,
    }
    alive()?;
    let write = file.write_at(0, pieces);
    let sync = file.sync();
    write.await?;
    sync.await?;
    let found = match read_slot(env, &path, directory_id).await {
        Ok(Some(found)) => Some(found),
        Ok(None) | Err(_) => read_slot(env, &path, directory_id).await?,
    };
    if found.is_some_and(|(found, _)| found.generation == generation) {
        Ok(())
    } else {
        Err(WriteError::NotReadBack(path))
    }
}

#[cfg(test)]
mod tests;
