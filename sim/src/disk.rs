//! The simulated disk: a volatile cache over a durable platter, and everything that goes wrong between them.
//!
//! The contract is the one of `taffrail_env::disk`, and no promise beyond it is kept. Operations of one
//! handle run in order, those of different handles as their drawn latencies have it. A sync makes durable
//! what was complete when it began. A power cut leaves any subset of unsynced sectors, contents apart from
//! lengths and names apart from both; a process kill leaves everything that was complete.

mod device;
mod files;
mod handle;
mod image;
mod names;
mod reading;
mod view;

pub(crate) use device::Device;
pub use device::{DiskNote, DiskOptions, DiskStep};
pub(crate) use handle::Handle;
pub use view::DiskView;

use crate::env::SimEnv;
use bytes::{Bytes, BytesMut};
use device::Waiting;
use handle::Work;
use names::InodeId;
use std::cell::Cell;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use taffrail_env::disk::{
    Directory, Disk, DiskOperation, DiskResult, Entry, File, OpenMode, Space,
};

/// An open file of a simulated process.
#[derive(Clone)]
pub struct SimFile(Rc<OpenFile>);

struct OpenFile {
    env: SimEnv,
    handle: Rc<Handle>,
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        if self.env.is_alive() {
            self.handle.close();
        }
    }
}

/// An open directory of a simulated process.
#[derive(Clone)]
pub struct SimDirectory(Rc<OpenDirectory>);

struct OpenDirectory {
    env: SimEnv,
    inode: InodeId,
    path: PathBuf,
    /// The lock's holder, if this handle has asked for it.
    lock: Cell<Option<u64>>,
}

impl Drop for OpenDirectory {
    fn drop(&mut self) {
        if self.env.is_alive() {
            let mut files = self.env.node().device.files.borrow_mut();
            if let Some(holder) = self.lock.get() {
                files.unlock(self.inode, holder);
            }
            files.close(self.inode);
        }
    }
}

impl Disk for SimEnv {
    type File = SimFile;
    type Directory = SimDirectory;

    fn open(
        &self,
        path: &Path,
        mode: OpenMode,
    ) -> impl Future<Output = DiskResult<SimFile>> + 'static {
        let (env, place, wanted) = (self.clone(), path.to_owned(), path.to_owned());
        let device = self.node().device.clone();
        device.call(
            self,
            DiskOperation::Open,
            path,
            move |files| files.open(&wanted, mode),
            move |inode| {
                let device = env.node().device.clone();
                let writable = mode != OpenMode::Read;
                let handle = Handle::new(device, env.life().clone(), inode, place, writable);
                SimFile(Rc::new(OpenFile { env, handle }))
            },
        )
    }

    fn open_directory(
        &self,
        path: &Path,
    ) -> impl Future<Output = DiskResult<SimDirectory>> + 'static {
        let (env, place, wanted) = (self.clone(), path.to_owned(), path.to_owned());
        self.node().device.call(
            self,
            DiskOperation::OpenDirectory,
            path,
            move |files| files.open_directory(&wanted),
            move |inode| {
                SimDirectory(Rc::new(OpenDirectory {
                    env,
                    inode,
                    path: place,
                    lock: Cell::new(None),
                }))
            },
        )
    }

    fn create_directory(&self, path: &Path) -> impl Future<Output = DiskResult<()>> + 'static {
        let wanted = path.to_owned();
        self.node().device.call(
            self,
            DiskOperation::CreateDirectory,
            path,
            move |files| files.create_directory(&wanted),
            |()| (),
        )
    }

    fn rename(&self, from: &Path, to: &Path) -> impl Future<Output = DiskResult<()>> + 'static {
        let (source, target) = (from.to_owned(), to.to_owned());
        self.node().device.call(
            self,
            DiskOperation::Rename,
            from,
            move |files| files.rename(&source, &target),
            |()| (),
        )
    }

    fn remove_file(&self, path: &Path) -> impl Future<Output = DiskResult<()>> + 'static {
        let wanted = path.to_owned();
        self.node().device.call(
            self,
            DiskOperation::RemoveFile,
            path,
            move |files| files.remove_file(&wanted),
            |()| (),
        )
    }

    fn remove_directory(&self, path: &Path) -> impl Future<Output = DiskResult<()>> + 'static {
        let wanted = path.to_owned();
        self.node().device.call(
            self,
            DiskOperation::RemoveDirectory,
            path,
            move |files| files.remove_directory(&wanted),
            |()| (),
        )
    }

    fn list(&self, path: &Path) -> impl Future<Output = DiskResult<Vec<Entry>>> + 'static {
        let wanted = path.to_owned();
        self.node().device.call(
            self,
            DiskOperation::List,
            path,
            move |files| files.list(&wanted),
            |entries| entries,
        )
    }

    fn space(&self, path: &Path) -> impl Future<Output = DiskResult<Space>> + 'static {
        let wanted = path.to_owned();
        self.node().device.call(
            self,
            DiskOperation::Space,
            path,
            move |files| files.find(&wanted).map(|_| files.space()),
            |space| space,
        )
    }

    fn sync_many(
        &self,
        files: Vec<SimFile>,
    ) -> impl Future<Output = Vec<DiskResult<()>>> + 'static {
        let waiting: Vec<_> = files.iter().map(SimFile::begin_sync).collect();
        async move {
            let mut results = Vec::with_capacity(waiting.len());
            for one in waiting {
                results.push(one.await);
            }
            results
        }
    }
}

impl Directory for SimDirectory {
    fn sync(&self) -> impl Future<Output = DiskResult<()>> + 'static {
        let device = self.0.env.node().device.clone();
        let inode = self.0.inode;
        let moment = match self.0.env.is_alive() {
            true => device.files.borrow_mut().names(inode).moment(),
            false => 0,
        };
        // The handle goes along, so that the directory stays open until its sync is done.
        let held = self.clone();
        device.call(
            &self.0.env,
            DiskOperation::SyncDirectory,
            &self.0.path,
            move |files| {
                files.names(inode).sync(moment);
                Ok(())
            },
            move |()| drop(held),
        )
    }

    fn lock(&self) -> impl Future<Output = DiskResult<()>> + 'static {
        let device = self.0.env.node().device.clone();
        let inode = self.0.inode;
        let holder = match self.0.lock.get() {
            Some(holder) => holder,
            None => device.next_id(),
        };
        self.0.lock.set(Some(holder));
        let held = self.clone();
        device.call(
            &self.0.env,
            DiskOperation::Lock,
            &self.0.path,
            move |files| files.lock(inode, holder),
            move |()| drop(held),
        )
    }
}

impl SimFile {
    fn waiting<T>(&self) -> Waiting<T> {
        Waiting::new(self.0.env.life().clone())
    }

    fn submit<T>(&self, waiting: Waiting<T>, work: Work) -> Waiting<T> {
        self.0.handle.submit(&self.0.env, work);
        waiting
    }

    fn begin_sync(&self) -> Waiting<DiskResult<()>> {
        let done = self.waiting();
        self.submit(done.clone(), Work::Sync { done })
    }
}

impl File for SimFile {
    fn path(&self) -> &Path {
        &self.0.handle.path
    }

    fn read_at(
        &self,
        offset: u64,
        len: usize,
        buffer: BytesMut,
    ) -> impl Future<Output = (BytesMut, DiskResult<()>)> + 'static {
        let done = self.waiting();
        let work = Work::Read {
            offset,
            len,
            buffer,
            done: done.clone(),
        };
        self.submit(done, work)
    }

    fn write_at(
        &self,
        offset: u64,
        pieces: Vec<Bytes>,
    ) -> impl Future<Output = DiskResult<()>> + 'static {
        let done = self.waiting();
        let work = Work::Write {
            offset,
            pieces,
            done: done.clone(),
        };
        self.submit(done, work)
    }

    fn write_zeros(&self, offset: u64, len: u64) -> impl Future<Output = DiskResult<()>> + 'static {
        let done = self.waiting();
        let work = Work::Zeros {
            offset,
            len,
            done: done.clone(),
        };
        self.submit(done, work)
    }

    fn reserve(&self, offset: u64, len: u64) -> impl Future<Output = DiskResult<()>> + 'static {
        let done = self.waiting();
        let work = Work::Reserve {
            end: offset.saturating_add(len),
            done: done.clone(),
        };
        self.submit(done, work)
    }

    fn sync(&self) -> impl Future<Output = DiskResult<()>> + 'static {
        self.begin_sync()
    }

    fn truncate(&self, len: u64) -> impl Future<Output = DiskResult<()>> + 'static {
        let done = self.waiting();
        let work = Work::Truncate {
            len,
            done: done.clone(),
        };
        self.submit(done, work)
    }

    fn len(&self) -> impl Future<Output = DiskResult<u64>> + 'static {
        let done = self.waiting();
        self.submit(done.clone(), Work::Len { done })
    }
}
