//! `taffrail.meta`: who the directory is, its start number, and whether it was stopped cleanly.
//!
//! Two slots written in place, one after the other: a start on a full disk needs no room, a torn write leaves the
//! other slot, and so does a sector that goes bad later.

use crate::OpenError;
use crate::checksum::crc64;
use crate::cursor::Cursor;
use crate::journal::{Joint, Place};
use crate::layout::{self, FORMAT_VERSION};
use crate::reading::read_verified;
use bytes::{BufMut, Bytes, BytesMut};
use std::path::Path;
use taffrail_env::disk::DiskResult;
use taffrail_env::{Directory, Disk, DiskErrorKind, Env, File, OpenMode};

const MAGIC: &[u8; 8] = b"TAFFMETA";
const SLOT: usize = 4096;
const SLOT_LEN: usize = 128;
const CLEAN: u32 = 1;
const COMPLETE: u32 = 2;
/// No directory is started so often; a number near the end of its range would overflow at the next start.
const COUNT_MAX: u64 = u64::MAX >> 1;
/// More files than any journal has.
const JOURNAL_FILES_MAX: u32 = 1 << 16;

/// What a slot says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    pub counter: u64,
    pub directory_id: [u8; 16],
    pub cluster_id: [u8; 16],
    pub start_number: u64,
    /// After a clean stop: where the journal ends, and which checkpoint holds.
    pub clean: Option<(Joint, u64)>,
    /// Journal and checkpoint exist.
    pub complete: bool,
    pub journal_file_bytes: u64,
    pub journal_files: u32,
}

impl Meta {
    pub fn encode(&self) -> Bytes {
        let (joint, generation) = self.clean.unwrap_or_default();
        let flags =
            if self.clean.is_some() { CLEAN } else { 0 } | if self.complete { COMPLETE } else { 0 };
        let mut slot = BytesMut::with_capacity(SLOT);
        slot.put_slice(MAGIC);
        slot.put_u32_le(FORMAT_VERSION);
        slot.put_u32_le(flags);
        slot.put_u64_le(self.counter);
        slot.put_slice(&self.directory_id);
        slot.put_slice(&self.cluster_id);
        slot.put_u64_le(self.start_number);
        slot.put_u64_le(joint.place.file);
        slot.put_u64_le(joint.place.offset);
        slot.put_u64_le(joint.sequence);
        slot.put_u64_le(joint.checksum);
        slot.put_u64_le(generation);
        slot.put_u64_le(self.journal_file_bytes);
        slot.put_u32_le(self.journal_files);
        slot.put_u32_le(0);
        let checksum = crc64(&slot);
        slot.put_u64_le(checksum);
        slot.resize(SLOT, 0);
        slot.freeze()
    }

    /// `None` if the slot does not verify.
    pub fn decode(slot: &[u8]) -> Option<Meta> {
        let mut cursor = Cursor::new(slot);
        if &cursor.array::<8>()? != MAGIC || cursor.u32()? != FORMAT_VERSION {
            return None;
        }
        let flags = cursor.u32()?;
        let mut meta = Meta {
            counter: cursor.u64()?,
            directory_id: cursor.array()?,
            cluster_id: cursor.array()?,
            start_number: cursor.u64()?,
            clean: None,
            complete: flags & COMPLETE != 0,
            journal_file_bytes: 0,
            journal_files: 0,
        };
        let place = Place {
            file: cursor.u64()?,
            offset: cursor.u64()?,
        };
        let (sequence, checksum) = (cursor.u64()?, cursor.u64()?);
        let generation = cursor.u64()?;
        let joint = Joint {
            place,
            sequence,
            checksum,
        };
        meta.clean = (flags & CLEAN != 0).then_some((joint, generation));
        meta.journal_file_bytes = cursor.u64()?;
        meta.journal_files = cursor.u32()?;
        cursor.u32()?;
        let sound = cursor.u64()? == crc64(&slot[..SLOT_LEN - 8]);
        (sound && flags & !(CLEAN | COMPLETE) == 0 && meta.is_sane()).then_some(meta)
    }

    /// Whether a program can have written this. A checksum is no proof of that.
    fn is_sane(&self) -> bool {
        let counts = self.counter <= COUNT_MAX && self.start_number <= COUNT_MAX;
        let journal = (1..=JOURNAL_FILES_MAX).contains(&self.journal_files);
        counts && (journal || !self.complete)
    }

    /// The version of a sound slot of another version. Magic, version and checksum stand in the same place in all of them.
    fn other_version(slot: &[u8]) -> Option<u32> {
        let checksum = slot.get(SLOT_LEN - 8..SLOT_LEN)?.try_into().ok()?;
        let sound = u64::from_le_bytes(checksum) == crc64(&slot[..SLOT_LEN - 8]);
        let mut cursor = Cursor::new(slot);
        let is_ours = &cursor.array::<8>()? == MAGIC;
        let version = cursor.u32()?;
        (sound && is_ours && version != FORMAT_VERSION).then_some(version)
    }
}

/// What is found in the place of the file.
pub async fn read<E: Env>(env: &E, directory: &Path) -> Result<Option<Meta>, OpenError> {
    let path = layout::meta(directory);
    let file = match env.open(&path, OpenMode::Read).await {
        Ok(file) => file,
        Err(error) if error.kind == DiskErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let decode = |slot: BytesMut| Meta::decode(&slot);
    let slots = [
        read_verified(&file, 0, SLOT_LEN, decode).await,
        read_verified(&file, SLOT as u64, SLOT_LEN, decode).await,
    ];
    let other = |slot: BytesMut| Meta::other_version(&slot);
    for place in [0, SLOT as u64] {
        // An older slot that is still ours says nothing of what a newer program has made of the rest.
        if let Ok(Some(found)) = read_verified(&file, place, SLOT_LEN, other).await {
            return Err(OpenError::OtherVersion {
                path: directory.into(),
                found,
                supported: FORMAT_VERSION,
            });
        }
    }
    let newest = slots
        .iter()
        .filter_map(|slot| slot.as_ref().ok()?.as_ref())
        .max_by_key(|meta| meta.counter);
    if let Some(meta) = newest {
        return Ok(Some(meta.clone()));
    }
    // A slot that cannot be read may have been the sound one.
    for slot in slots {
        slot?;
    }
    Err(OpenError::Damaged {
        file: path,
        offset: 0,
        what: "neither slot verifies".into(),
    })
}

/// Makes the file; durable, name and all, when this returns.
pub async fn create<E: Env>(
    env: &E,
    directory: &Path,
    parent: &<E as Disk>::Directory,
    meta: &Meta,
) -> DiskResult<()> {
    let new = directory.join(layout::META_NEW);
    let file = env.open(&new, OpenMode::CreateOrOpen).await?;
    file.truncate(0).await?;
    // Both slots are written, so that later writes in place change no metadata.
    file.write_at(0, vec![meta.encode(), meta.encode()]).await?;
    file.sync().await?;
    env.rename(&new, &layout::meta(directory)).await?;
    parent.sync().await
}

/// Writes the slot of this counter in place; durable when this returns.
pub async fn update<E: Env>(env: &E, directory: &Path, meta: &Meta) -> DiskResult<()> {
    let file = env
        .open(&layout::meta(directory), OpenMode::ReadWrite)
        .await?;
    let slot = meta.counter % 2 * SLOT as u64;
    let write = file.write_at(slot, vec![meta.encode()]);
    let sync = file.sync();
    write.await?;
    sync.await
}

/// Says the same in both slots, one after the other; durable when this returns. Whichever of them is lost later, the
/// other one does not speak of a time before.
pub async fn update_both<E: Env>(env: &E, directory: &Path, meta: &mut Meta) -> DiskResult<()> {
    for _ in 0..2 {
        meta.counter += 1;
        update(env, directory, meta).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
