//! Files and directories by system calls, each made on an I/O thread.
//!
//! A file's strand gives its operations the order in which they were called. `handles` has the open files and
//! directories, `calls` the system calls with their loops and fallbacks, `errors` what becomes of their errors.

mod calls;
mod errors;
mod handles;

pub(crate) use errors::error;
pub use handles::{OsDirectory, OsFile};

use crate::Os;
use crate::pool::Class;
use std::future::Future;
use std::path::Path;
use taffrail_env::disk::{Disk, DiskResult, Entry, OpenMode, Space};

impl Disk for Os {
    type File = OsFile;
    type Directory = OsDirectory;

    fn open(
        &self,
        path: &Path,
        mode: OpenMode,
    ) -> impl Future<Output = DiskResult<OsFile>> + 'static {
        let work = self.shard.work.clone();
        let path = path.to_owned();
        let opened = self
            .shard
            .work
            .submit(Class::Bulk, move || handles::Opened::open(path, mode));
        async move { Ok(OsFile::new(opened.await?, work)) }
    }

    fn open_directory(
        &self,
        path: &Path,
    ) -> impl Future<Output = DiskResult<OsDirectory>> + 'static {
        let work = self.shard.work.clone();
        let path = path.to_owned();
        let opened = self
            .shard
            .work
            .submit(Class::Bulk, move || handles::Opened::open_directory(path));
        async move { Ok(OsDirectory::new(opened.await?, work)) }
    }

    fn create_directory(&self, path: &Path) -> impl Future<Output = DiskResult<()>> + 'static {
        let path = path.to_owned();
        self.shard
            .work
            .submit(Class::Bulk, move || calls::create_directory(&path))
    }

    fn rename(&self, from: &Path, to: &Path) -> impl Future<Output = DiskResult<()>> + 'static {
        let (from, to) = (from.to_owned(), to.to_owned());
        self.shard
            .work
            .submit(Class::Bulk, move || calls::rename(&from, &to))
    }

    fn remove_file(&self, path: &Path) -> impl Future<Output = DiskResult<()>> + 'static {
        let path = path.to_owned();
        self.shard
            .work
            .submit(Class::Bulk, move || calls::remove_file(&path))
    }

    fn remove_directory(&self, path: &Path) -> impl Future<Output = DiskResult<()>> + 'static {
        let path = path.to_owned();
        self.shard
            .work
            .submit(Class::Bulk, move || calls::remove_directory(&path))
    }

    fn list(&self, path: &Path) -> impl Future<Output = DiskResult<Vec<Entry>>> + 'static {
        let path = path.to_owned();
        self.shard
            .work
            .submit(Class::Bulk, move || calls::list(&path))
    }

    fn space(&self, path: &Path) -> impl Future<Output = DiskResult<Space>> + 'static {
        let path = path.to_owned();
        self.shard
            .work
            .submit(Class::Bulk, move || calls::space(&path))
    }

    /// The files are synced in parallel, on threads of their own, so that the file system can answer
    /// several by one commit of its own journal while the single syncs of other files pass by.
    fn sync_many(&self, files: Vec<OsFile>) -> impl Future<Output = Vec<DiskResult<()>>> + 'static {
        let syncs: Vec<_> = files
            .iter()
            .map(|file| file.submit_sync(Class::ManySyncs))
            .collect();
        async move {
            let mut answers = Vec::with_capacity(syncs.len());
            for sync in syncs {
                answers.push(sync.await);
            }
            answers
        }
    }
}
