//! Journal files: fixed size, zeroed once, recycled; each life has a sequence and a nonce of its own.

use super::BLOCK;
use crate::checksum::crc64;
use crate::cursor::Cursor;
use crate::layout;
use crate::meta::Meta;
use crate::reading::read_verified;
use bytes::{BufMut, Bytes, BytesMut};
use std::path::Path;
use taffrail_env::disk::DiskResult;
use taffrail_env::{Disk, Env, File, OpenMode};

const MAGIC: &[u8; 8] = b"TAFFJRNL";
const VERSION: u32 = 1;
const HEADER: usize = 64;
/// The second copy of the header: another sector, so that one bad sector does not hide a whole file.
const COPY_AT: usize = 2048;

/// The header of a journal file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileHeader {
    pub directory_id: [u8; 16],
    /// 0: zeroed, never used.
    pub sequence: u64,
    pub nonce: u64,
    pub len: u64,
}

impl FileHeader {
    /// The file's first block.
    pub fn encode(&self) -> Bytes {
        let mut header = BytesMut::with_capacity(HEADER);
        header.put_slice(MAGIC);
        header.put_u32_le(VERSION);
        header.put_u32_le(0);
        header.put_slice(&self.directory_id);
        header.put_u64_le(self.sequence);
        header.put_u64_le(self.nonce);
        header.put_u64_le(self.len);
        let checksum = crc64(&header);
        header.put_u64_le(checksum);
        let mut block = BytesMut::zeroed(BLOCK as usize);
        block[..HEADER].copy_from_slice(&header);
        block[COPY_AT..COPY_AT + HEADER].copy_from_slice(&header);
        block.freeze()
    }

    /// Reads both copies; `None` if neither verifies. The later life counts: the other copy may not have been reached.
    pub fn decode(block: &[u8]) -> Option<FileHeader> {
        [0, COPY_AT]
            .into_iter()
            .filter_map(|at| FileHeader::decode_copy(block.get(at..at + HEADER)?))
            .max_by_key(|header| header.sequence)
    }

    fn decode_copy(bytes: &[u8]) -> Option<FileHeader> {
        let mut cursor = Cursor::new(bytes);
        let sound = &cursor.array::<8>()? == MAGIC && cursor.u32()? == VERSION;
        cursor.u32()?;
        let header = FileHeader {
            directory_id: cursor.array()?,
            sequence: cursor.u64()?,
            nonce: cursor.u64()?,
            len: cursor.u64()?,
        };
        (sound && cursor.u64()? == crc64(&bytes[..HEADER - 8])).then_some(header)
    }
}

/// A journal file that is there.
#[derive(Clone)]
pub struct JournalFile<F> {
    pub file: F,
    pub sequence: u64,
    pub nonce: u64,
}

/// Makes a file and zeroes it; with its header it is durable when this returns, its name is not. `alive` is asked before
/// every change.
pub async fn create<E: Env>(
    env: &E,
    directory: &Path,
    index: u32,
    header: FileHeader,
    alive: impl Fn() -> DiskResult<()>,
) -> DiskResult<JournalFile<<E as Disk>::File>> {
    let path = layout::journal_file(directory, index);
    alive()?;
    let file = env.open(&path, OpenMode::CreateOrOpen).await?;
    alive()?;
    file.write_zeros(BLOCK, header.len - BLOCK).await?;
    alive()?;
    file.sync().await?;
    write_header(&file, header, alive).await?;
    Ok(JournalFile {
        file,
        sequence: header.sequence,
        nonce: header.nonce,
    })
}

/// Begins a life; durable when this returns. One copy after the other, so that at every moment one of them
/// is whole.
pub async fn write_header<F: File>(
    file: &F,
    header: FileHeader,
    alive: impl Fn() -> DiskResult<()>,
) -> DiskResult<()> {
    let block = header.encode();
    let halves = [
        (0, block.slice(..COPY_AT)),
        (COPY_AT as u64, block.slice(COPY_AT..)),
    ];
    for (at, half) in halves {
        alive()?;
        let write = file.write_at(at, vec![half]);
        let sync = file.sync();
        write.await?;
        sync.await?;
    }
    Ok(())
}

/// Opens a file and reads its header, if it has one that belongs here.
pub async fn open<E: Env>(
    env: &E,
    directory: &Path,
    index: u32,
    meta: &Meta,
    mode: OpenMode,
) -> DiskResult<(<E as Disk>::File, Option<FileHeader>)> {
    let path = layout::journal_file(directory, index);
    let file = env.open(&path, mode).await?;
    let mut copies = Vec::new();
    for at in [0, COPY_AT] {
        let decode = |bytes: BytesMut| FileHeader::decode_copy(bytes.get(..HEADER)?);
        copies.push(read_verified(&file, at as u64, HEADER, decode).await);
    }
    let newest = copies
        .iter()
        .filter_map(|copy| copy.as_ref().ok().copied()?)
        .max_by_key(|header| header.sequence);
    if newest.is_none() {
        // A copy that cannot be read may have been the sound one.
        copies.into_iter().collect::<DiskResult<Vec<_>>>()?;
    }
    let header = newest.filter(|header| {
        header.directory_id == meta.directory_id && header.len == meta.journal_file_bytes
    });
    Ok((file, header))
}
