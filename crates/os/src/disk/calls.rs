//! The system calls: each blocks, is repeated when a signal interrupts it, and does all of its work or says why not.

use super::errors::error;
use bytes::{Bytes, BytesMut};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{self, FallocateFlags, FileType, FlockOperation, Mode, OFlags};
use rustix::io::{self, Errno, retry_on_intr};
use std::io::IoSlice;
use std::path::Path;
use taffrail_env::disk::{DiskOperation, DiskResult, Entry, EntryKind, OpenMode, Space};

/// Pieces per call: what Linux takes at most (`IOV_MAX`).
const PIECES_PER_CALL_MAX: usize = 1024;
/// Zeros are written by this much at a time.
const ZEROS_PER_CALL: usize = 1 << 20;
/// One piece of that.
static ZEROS: [u8; 1 << 16] = [0; 1 << 16];
/// Permissions of new files and directories, before the process's mask.
const FILE_MODE: u32 = 0o640;
const DIRECTORY_MODE: u32 = 0o750;

pub(super) fn open(path: &Path, mode: OpenMode) -> Result<OwnedFd, Errno> {
    // Not to block on a pipe that somebody put there; for files it means nothing.
    let flags = OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    let flags = flags
        | match mode {
            OpenMode::Read => OFlags::RDONLY,
            OpenMode::ReadWrite => OFlags::RDWR,
            OpenMode::CreateNew => OFlags::RDWR | OFlags::CREATE | OFlags::EXCL,
            OpenMode::CreateOrOpen => OFlags::RDWR | OFlags::CREATE,
        };
    let file = retry_on_intr(|| fs::open(path, flags, Mode::from_raw_mode(FILE_MODE)))?;
    let kind = FileType::from_raw_mode(fs::fstat(&file)?.st_mode);
    if kind == FileType::Directory {
        return Err(Errno::ISDIR);
    }
    Ok(file)
}

pub(super) fn open_directory(path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::CLOEXEC | OFlags::RDONLY | OFlags::DIRECTORY;
    retry_on_intr(|| fs::open(path, flags, Mode::empty()))
}

/// One read; short only at the end of the file, or if the system has it so.
pub(super) fn read(
    file: &OwnedFd,
    offset: u64,
    len: usize,
    buffer: &mut BytesMut,
) -> Result<(), Errno> {
    buffer.reserve(len);
    let read = retry_on_intr(|| {
        let spare = &mut buffer.spare_capacity_mut()[..len];
        io::pread(file, spare, offset).map(|(read, _)| read.len())
    })?;
    // SAFETY: the system initialised that many bytes from the start of the spare capacity.
    unsafe { buffer.set_len(buffer.len() + read) };
    Ok(())
}

/// All of the pieces, from `offset` on.
pub(super) fn write(file: &OwnedFd, offset: u64, pieces: &[Bytes]) -> Result<(), Errno> {
    let pieces = pieces.iter().filter(|piece| !piece.is_empty());
    let mut slices: Vec<_> = pieces.map(|piece| IoSlice::new(piece)).collect();
    write_slices(file, offset, &mut slices)
}

fn write_slices(
    file: &OwnedFd,
    mut offset: u64,
    mut slices: &mut [IoSlice<'_>],
) -> Result<(), Errno> {
    while !slices.is_empty() {
        let batch = &slices[..slices.len().min(PIECES_PER_CALL_MAX)];
        let written = retry_on_intr(|| io::pwritev(file, batch, offset))?;
        if written == 0 {
            // A device that takes nothing and gives no reason.
            return Err(Errno::IO);
        }
        offset += written as u64;
        IoSlice::advance_slices(&mut slices, written);
    }
    Ok(())
}

pub(super) fn write_zeros(file: &OwnedFd, offset: u64, len: u64) -> Result<(), Errno> {
    let end = offset.checked_add(len).ok_or(Errno::INVAL)?;
    let mut at = offset;
    while at < end {
        let mut left = usize::try_from(end - at).map_or(ZEROS_PER_CALL, |n| n.min(ZEROS_PER_CALL));
        let chunk = left as u64;
        let mut slices = Vec::with_capacity(ZEROS_PER_CALL / ZEROS.len());
        while left > 0 {
            let piece = left.min(ZEROS.len());
            slices.push(IoSlice::new(&ZEROS[..piece]));
            left -= piece;
        }
        write_slices(file, at, &mut slices)?;
        at += chunk;
    }
    Ok(())
}

/// A reservation that does not fit may leave blocks behind the end of the file; they come back with the next truncation.
pub(super) fn reserve(file: &OwnedFd, offset: u64, len: u64) -> Result<(), Errno> {
    let end = offset.checked_add(len).ok_or(Errno::INVAL)?;
    if len == 0 {
        return Ok(());
    }
    let flags = FallocateFlags::KEEP_SIZE;
    match retry_on_intr(|| fs::fallocate(file, flags, offset, len)) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => find_room(file, offset, end),
        answer => answer,
    }
}

/// Where the file system cannot reserve: whether what the file lacks up to `end` would fit just now. It can be wrong
/// later, and is the best that such a file system allows.
fn find_room(file: &OwnedFd, offset: u64, end: u64) -> Result<(), Errno> {
    let size = len(file)?;
    let room = space_of(fs::fstatvfs(file)?).available;
    let needed = end.saturating_sub(size.max(offset));
    if needed <= room {
        Ok(())
    } else {
        Err(Errno::NOSPC)
    }
}

/// Contents and length; not the times, which would cost a write of their own.
pub(super) fn sync(file: &OwnedFd) -> Result<(), Errno> {
    retry_on_intr(|| fs::fdatasync(file))
}

pub(super) fn truncate(file: &OwnedFd, len: u64) -> Result<(), Errno> {
    retry_on_intr(|| fs::ftruncate(file, len))
}

pub(super) fn len(file: &OwnedFd) -> Result<u64, Errno> {
    let stat = fs::fstat(file)?;
    Ok(u64::try_from(stat.st_size).unwrap_or(0))
}

pub(super) fn sync_directory(directory: &OwnedFd) -> Result<(), Errno> {
    retry_on_intr(|| fs::fsync(directory))
}

pub(super) fn lock(directory: &OwnedFd) -> Result<(), Errno> {
    let operation = FlockOperation::NonBlockingLockExclusive;
    retry_on_intr(|| fs::flock(directory.as_fd(), operation))
}

pub(super) fn create_directory(path: &Path) -> DiskResult<()> {
    fs::mkdir(path, Mode::from_raw_mode(DIRECTORY_MODE))
        .map_err(|errno| error(DiskOperation::CreateDirectory, path, errno))
}

pub(super) fn rename(from: &Path, to: &Path) -> DiskResult<()> {
    fs::rename(from, to).map_err(|errno| error(DiskOperation::Rename, from, errno))
}

pub(super) fn remove_file(path: &Path) -> DiskResult<()> {
    fs::unlink(path).map_err(|errno| error(DiskOperation::RemoveFile, path, errno))
}

pub(super) fn remove_directory(path: &Path) -> DiskResult<()> {
    fs::rmdir(path).map_err(|errno| error(DiskOperation::RemoveDirectory, path, errno))
}

pub(super) fn space(path: &Path) -> DiskResult<Space> {
    retry_on_intr(|| fs::statvfs(path))
        .map(space_of)
        .map_err(|errno| error(DiskOperation::Space, path, errno))
}

fn space_of(found: fs::StatVfs) -> Space {
    Space {
        available: found.f_bavail.saturating_mul(found.f_frsize),
        total: found.f_blocks.saturating_mul(found.f_frsize),
    }
}

pub(super) fn list(path: &Path) -> DiskResult<Vec<Entry>> {
    let mut entries = Vec::new();
    read_names(path, &mut entries).map_err(|errno| error(DiskOperation::List, path, errno))?;
    entries.sort_by(|a: &Entry, b: &Entry| a.name.cmp(&b.name));
    Ok(entries)
}

fn read_names(path: &Path, entries: &mut Vec<Entry>) -> Result<(), Errno> {
    let directory = open_directory(path)?;
    for found in fs::Dir::read_from(&directory)? {
        let found = found?;
        let Ok(name) = found.file_name().to_str() else {
            continue;
        };
        if name == "." || name == ".." {
            continue;
        }
        let (kind, len) = match fs::statat(&directory, name, fs::AtFlags::empty()) {
            Ok(stat) => match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile => {
                    (EntryKind::File, u64::try_from(stat.st_size).unwrap_or(0))
                }
                FileType::Directory => (EntryKind::Directory, 0),
                _ => (EntryKind::Other, 0),
            },
            Err(errno) => {
                // Removed since, or a link that leads nowhere (or in a circle).
                let itself = fs::statat(&directory, name, fs::AtFlags::SYMLINK_NOFOLLOW);
                match (itself, errno) {
                    (Err(Errno::NOENT), _) => continue,
                    (Ok(_), Errno::NOENT | Errno::LOOP) => (EntryKind::Other, 0),
                    _ => return Err(errno),
                }
            }
        };
        entries.push(Entry {
            name: name.to_owned(),
            kind,
            len,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
