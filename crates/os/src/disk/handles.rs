//! Open files and directories.

use super::calls;
use super::errors::{dead, error};
use crate::pool::{Class, Done, Strand, Work};
use bytes::{Bytes, BytesMut};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use taffrail_env::disk::{Directory, DiskOperation, DiskResult, File, OpenMode};

/// What the I/O threads know of an open file or directory.
pub(super) struct Opened {
    descriptor: OwnedFd,
    path: PathBuf,
    /// A write, zeroing, truncation or sync failed. Only jobs of the file's own strand touch it.
    dead: AtomicBool,
}

impl Opened {
    pub(super) fn open(path: PathBuf, mode: OpenMode) -> DiskResult<Opened> {
        match calls::open(&path, mode) {
            Ok(descriptor) => Ok(Opened::new(descriptor, path)),
            Err(errno) => Err(error(DiskOperation::Open, &path, errno)),
        }
    }

    pub(super) fn open_directory(path: PathBuf) -> DiskResult<Opened> {
        match calls::open_directory(&path) {
            Ok(descriptor) => Ok(Opened::new(descriptor, path)),
            Err(errno) => Err(error(DiskOperation::OpenDirectory, &path, errno)),
        }
    }

    fn new(descriptor: OwnedFd, path: PathBuf) -> Opened {
        Opened {
            descriptor,
            path,
            dead: AtomicBool::new(false),
        }
    }

    fn attempt<T>(
        &self,
        operation: DiskOperation,
        call: impl FnOnce(&OwnedFd) -> Result<T, Errno>,
    ) -> DiskResult<T> {
        call(&self.descriptor).map_err(|errno| error(operation, &self.path, errno))
    }

    /// For everything but reads.
    fn attempt_if_alive<T>(
        &self,
        operation: DiskOperation,
        call: impl FnOnce(&OwnedFd) -> Result<T, Errno>,
    ) -> DiskResult<T> {
        if self.dead.load(Ordering::Relaxed) {
            return Err(dead(operation, &self.path));
        }
        self.attempt(operation, call)
    }

    /// For what kills the handle when it fails.
    fn attempt_or_die<T>(
        &self,
        operation: DiskOperation,
        call: impl FnOnce(&OwnedFd) -> Result<T, Errno>,
    ) -> DiskResult<T> {
        let answer = self.attempt_if_alive(operation, call);
        if answer.is_err() {
            self.dead.store(true, Ordering::Relaxed);
        }
        answer
    }
}

/// An open file. Its operations run one after the other, on the I/O threads.
#[derive(Clone)]
pub struct OsFile {
    handle: Rc<Handle>,
}

struct Handle {
    opened: Arc<Opened>,
    strand: Arc<Strand>,
}

impl Drop for Handle {
    /// Closing the last descriptor of a removed file gives its blocks back, which takes time: not here.
    fn drop(&mut self) {
        let opened = self.opened.clone();
        drop(self.strand.submit(Class::Bulk, move || drop(opened)));
    }
}

impl OsFile {
    pub(super) fn new(opened: Opened, work: Arc<Work>) -> OsFile {
        OsFile {
            handle: Rc::new(Handle {
                opened: Arc::new(opened),
                strand: Strand::new(work),
            }),
        }
    }

    fn submit<T: Send + 'static>(
        &self,
        class: Class,
        job: impl FnOnce(&Opened) -> T + Send + 'static,
    ) -> Done<T> {
        let opened = self.handle.opened.clone();
        self.handle.strand.submit(class, move || {
            let answer = job(&opened);
            // Before the answer is given: whoever has it may count on nothing being held on its behalf.
            drop(opened);
            answer
        })
    }

    pub(super) fn submit_sync(&self, class: Class) -> Done<DiskResult<()>> {
        self.submit(class, |opened| {
            opened.attempt_or_die(DiskOperation::Sync, calls::sync)
        })
    }
}

impl File for OsFile {
    fn path(&self) -> &Path {
        &self.handle.opened.path
    }

    fn read_at(
        &self,
        offset: u64,
        len: usize,
        mut buffer: BytesMut,
    ) -> impl Future<Output = (BytesMut, DiskResult<()>)> + 'static {
        self.submit(Class::Read, move |opened| {
            let answer = opened.attempt(DiskOperation::Read, |file| {
                calls::read(file, offset, len, &mut buffer)
            });
            (buffer, answer)
        })
    }

    fn write_at(
        &self,
        offset: u64,
        pieces: Vec<Bytes>,
    ) -> impl Future<Output = DiskResult<()>> + 'static {
        self.submit(Class::Write, move |opened| {
            opened.attempt_or_die(DiskOperation::Write, |file| {
                calls::write(file, offset, &pieces)
            })
        })
    }

    fn write_zeros(&self, offset: u64, len: u64) -> impl Future<Output = DiskResult<()>> + 'static {
        self.submit(Class::Write, move |opened| {
            opened.attempt_or_die(DiskOperation::WriteZeros, |file| {
                calls::write_zeros(file, offset, len)
            })
        })
    }

    fn reserve(&self, offset: u64, len: u64) -> impl Future<Output = DiskResult<()>> + 'static {
        self.submit(Class::Write, move |opened| {
            opened.attempt_if_alive(DiskOperation::Reserve, |file| {
                calls::reserve(file, offset, len)
            })
        })
    }

    fn sync(&self) -> impl Future<Output = DiskResult<()>> + 'static {
        self.submit_sync(Class::Write)
    }

    fn truncate(&self, len: u64) -> impl Future<Output = DiskResult<()>> + 'static {
        self.submit(Class::Write, move |opened| {
            opened.attempt_or_die(DiskOperation::Truncate, |file| calls::truncate(file, len))
        })
    }

    fn len(&self) -> impl Future<Output = DiskResult<u64>> + 'static {
        self.submit(Class::Read, |opened| {
            opened.attempt_if_alive(DiskOperation::Len, calls::len)
        })
    }
}

/// An open directory, and its lock if it was taken.
#[derive(Clone)]
pub struct OsDirectory {
    opened: Arc<Opened>,
    strand: Arc<Strand>,
}

impl OsDirectory {
    pub(super) fn new(opened: Opened, work: Arc<Work>) -> OsDirectory {
        OsDirectory {
            opened: Arc::new(opened),
            strand: Strand::new(work),
        }
    }

    /// An operation under way keeps the directory open until it is done.
    fn submit(
        &self,
        operation: DiskOperation,
        call: impl FnOnce(&OwnedFd) -> Result<(), Errno> + Send + 'static,
    ) -> Done<DiskResult<()>> {
        let opened = self.opened.clone();
        self.strand.submit(Class::Bulk, move || {
            let answer = opened.attempt(operation, call);
            // Before the answer is given, so that whoever has it and drops the handle has given the lock back.
            drop(opened);
            answer
        })
    }
}

impl Directory for OsDirectory {
    fn sync(&self) -> impl Future<Output = DiskResult<()>> + 'static {
        self.submit(DiskOperation::SyncDirectory, calls::sync_directory)
    }

    fn lock(&self) -> impl Future<Output = DiskResult<()>> + 'static {
        self.submit(DiskOperation::Lock, calls::lock)
    }
}
