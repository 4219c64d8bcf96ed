//! Files and directories, and what is durable after which call.
//!
//! **Durability.** Nothing is durable until a sync says so. `File::sync` makes the contents and the length
//! of that file durable, *not* its name: a created, renamed or removed name is durable only after
//! `Directory::sync` of the directory that holds it returned. Without that, after a power cut any subset of
//! the unsynced changes may be there, each 512-byte sector on its own, in any order, contents apart from
//! length and names apart from both.
//!
//! **Order.** Operations on one file handle (and its clones) take effect in the order in which the methods
//! were called, from the moment of the call, whether or not anybody awaits them. Between different
//! handles only an awaited completion orders anything.
//!
//! **Visibility.** A completed write is seen by every later read, through any handle, until power is lost.
//!
//! **Failure.** The first failed write, zeroing, truncation or sync kills that handle: the error is reported once,
//! and every later operation but reads (the length, too) answers [`DiskErrorKind::Dead`]. What the failed operation left behind is
//! unknown, down to single sectors; a page whose sync failed may look written and be gone later, so nobody may
//! retry a sync. [`DiskErrorKind::NoSpace`] from a write kills the handle too: reopen, and
//! truncate to the last synced length. A failed `reserve` changes nothing and kills nothing.

use bytes::{Bytes, BytesMut};
use std::fmt;
use std::future::Future;
use std::path::{Path, PathBuf};

/// How [`Disk::open`] opens a file. All files are opened for reading; there is no append mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// An existing file, for reading only: a write fails with [`DiskErrorKind::PermissionDenied`], as any that fails.
    Read,
    /// An existing file, for reading and writing.
    ReadWrite,
    /// A file that must not exist yet.
    CreateNew,
    /// A file that is made if absent, and keeps its contents if present.
    CreateOrOpen,
}

/// What a directory entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    File,
    Directory,
    /// A socket, a device, a dangling symbolic link. Symbolic links are otherwise followed.
    Other,
}

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub name: String,
    pub kind: EntryKind,
    /// Length in bytes; zero for what is not a file.
    pub len: u64,
}

/// Room on the file system that holds a path, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// What this process may still allocate.
    pub available: u64,
    /// The size of the whole file system.
    pub total: u64,
}

/// The operation that failed, for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskOperation {
    Open,
    OpenDirectory,
    CreateDirectory,
    RemoveFile,
    RemoveDirectory,
    Rename,
    List,
    Space,
    Lock,
    SyncDirectory,
    Read,
    Write,
    WriteZeros,
    Reserve,
    Sync,
    Truncate,
    Len,
}

impl DiskOperation {
    /// The word for messages: "read", "write zeros", ...
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::OpenDirectory => "open directory",
            Self::CreateDirectory => "create directory",
            Self::RemoveFile => "remove file",
            Self::RemoveDirectory => "remove directory",
            Self::Rename => "rename",
            Self::List => "list",
            Self::Space => "space",
            Self::Lock => "lock",
            Self::SyncDirectory => "sync directory",
            Self::Read => "read",
            Self::Write => "write",
            Self::WriteZeros => "write zeros",
            Self::Reserve => "reserve",
            Self::Sync => "sync",
            Self::Truncate => "truncate",
            Self::Len => "length",
        }
    }
}

/// What a caller can act on. Everything else is [`DiskErrorKind::Io`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskErrorKind {
    NotFound,
    AlreadyExists,
    /// A directory to be removed is not empty.
    NotEmpty,
    PermissionDenied,
    /// A file where a directory is needed, or the other way round.
    WrongKind,
    /// No room, or over a quota.
    NoSpace,
    /// Another process (or another handle of this one) holds the lock.
    Locked,
    /// This handle failed before; see the module's head.
    Dead,
    /// The device failed: contents of the range unknown.
    Io,
}

/// A failed disk operation: which, on what, and the system's own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskError {
    pub kind: DiskErrorKind,
    pub operation: DiskOperation,
    pub path: PathBuf,
    /// The operating system's text, such as "No space left on device (os error 28)".
    pub system: String,
}

impl fmt::Display for DiskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "disk: {} {}: {}",
            self.operation.name(),
            self.path.display(),
            self.system
        )
    }
}

impl std::error::Error for DiskError {}

/// The answer of a disk operation.
pub type DiskResult<T> = Result<T, DiskError>;

/// A file system.
pub trait Disk {
    type File: File;
    type Directory: Directory;

    fn open(
        &self,
        path: &Path,
        mode: OpenMode,
    ) -> impl Future<Output = DiskResult<Self::File>> + 'static;

    fn open_directory(
        &self,
        path: &Path,
    ) -> impl Future<Output = DiskResult<Self::Directory>> + 'static;

    /// Makes one directory; its parent must exist. Durable once the parent is synced.
    fn create_directory(&self, path: &Path) -> impl Future<Output = DiskResult<()>> + 'static;

    /// Replaces `to` atomically if it is a file. Durable once the directories of both are synced; until
    /// then a power cut may show either name, both, or (across directories) neither.
    fn rename(&self, from: &Path, to: &Path) -> impl Future<Output = DiskResult<()>> + 'static;

    /// Removes a name. Open handles go on working.
    fn remove_file(&self, path: &Path) -> impl Future<Output = DiskResult<()>> + 'static;

    /// Removes an empty directory.
    fn remove_directory(&self, path: &Path) -> impl Future<Output = DiskResult<()>> + 'static;

    /// Every entry but `.` and `..`, sorted by name. Names that are not UTF-8 are left out.
    fn list(&self, path: &Path) -> impl Future<Output = DiskResult<Vec<Entry>>> + 'static;

    fn space(&self, path: &Path) -> impl Future<Output = DiskResult<Space>> + 'static;

    /// Syncs each file as [`File::sync`] does, and answers for each, in the order given. Cheaper than one
    /// at a time where the file system can share the work.
    fn sync_many(
        &self,
        files: Vec<Self::File>,
    ) -> impl Future<Output = Vec<DiskResult<()>>> + 'static;
}

/// An open directory.
pub trait Directory: Clone + 'static {
    /// Makes every creation, rename and removal in this directory that completed before durable.
    fn sync(&self) -> impl Future<Output = DiskResult<()>> + 'static;

    /// Takes the directory's exclusive lock, at once or not at all ([`DiskErrorKind::Locked`]). It is held
    /// until the last clone of this handle is dropped or the process dies.
    fn lock(&self) -> impl Future<Output = DiskResult<()>> + 'static;
}

/// An open file. Clones share the handle, its order and its death.
// Asking the length is an operation of its own; whether it is zero is not another.
#[allow(clippy::len_without_is_empty)]
pub trait File: Clone + 'static {
    /// The path it was opened by, for messages.
    fn path(&self) -> &Path;

    /// Appends to `buffer` up to `len` bytes found at `offset`. May be short; adds nothing only at or past
    /// the end of the file. On an error the buffer comes back as it was.
    fn read_at(
        &self,
        offset: u64,
        len: usize,
        buffer: BytesMut,
    ) -> impl Future<Output = (BytesMut, DiskResult<()>)> + 'static;

    /// Writes all of the pieces, one after the other, from `offset` on, extending the file if needed. A gap that this leaves reads as zeros.
    fn write_at(
        &self,
        offset: u64,
        pieces: Vec<Bytes>,
    ) -> impl Future<Output = DiskResult<()>> + 'static;

    /// Writes zeros (real ones: the blocks are allocated and initialised, so that overwriting them later
    /// changes no metadata), extending the file if needed.
    fn write_zeros(&self, offset: u64, len: u64) -> impl Future<Output = DiskResult<()>> + 'static;

    /// Makes sure that later writes into the range cannot fail for want of space. Does not change the length.
    fn reserve(&self, offset: u64, len: u64) -> impl Future<Output = DiskResult<()>> + 'static;

    /// Contents and length are durable when this returns.
    fn sync(&self) -> impl Future<Output = DiskResult<()>> + 'static;

    /// Cuts or extends (with zeros) to `len`, and gives back space reserved beyond.
    fn truncate(&self, len: u64) -> impl Future<Output = DiskResult<()>> + 'static;

    fn len(&self) -> impl Future<Output = DiskResult<u64>> + 'static;
}

/// Reads exactly `len` bytes at `offset`, or fewer if the file ends before.
pub async fn read_full<F: File>(file: &F, offset: u64, len: usize) -> DiskResult<BytesMut> {
    let mut buffer = BytesMut::with_capacity(len);
    while buffer.len() < len {
        let had = buffer.len();
        let (filled, result) = file.read_at(offset + had as u64, len - had, buffer).await;
        result?;
        buffer = filled;
        if buffer.len() == had {
            break;
        }
    }
    Ok(buffer)
}
