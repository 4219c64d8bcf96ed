//! A disk seen and touched from outside, by harness and checkers: at once, without latency or faults.

use super::device::{Device, DiskNote};
use super::files::{Content, Files};
use super::names::InodeId;
use crate::fault::{FaultKind, Target};
use crate::world::World;
use std::path::Path;
use std::rc::Rc;

/// One node's disk, from outside.
pub struct DiskView {
    world: World,
    device: Rc<Device>,
}

impl DiskView {
    pub(crate) fn new(world: World, device: Rc<Device>) -> Self {
        Self { world, device }
    }

    /// Every file's path, by the names that a process would see now.
    pub fn files(&self) -> Vec<String> {
        let found = self.device.files.borrow_mut().walk();
        found.into_iter().map(|(path, _)| path).collect()
    }

    /// What a process would read now.
    pub fn read(&self, path: &str) -> Option<Vec<u8>> {
        self.with_file(path, |files, id| files.image(id).cache().to_vec())
    }

    /// How long a process would find the file.
    pub fn len(&self, path: &str) -> Option<usize> {
        self.with_file(path, |files, id| files.image(id).len())
    }

    /// What is on the platter of the file that has this name now.
    pub fn read_platter(&self, path: &str) -> Option<Vec<u8>> {
        self.with_file(path, |files, id| files.image(id).platter().to_vec())
    }

    fn with_file<T>(&self, path: &str, f: impl FnOnce(&mut Files, InodeId) -> T) -> Option<T> {
        let mut files = self.device.files.borrow_mut();
        let id = files.find(Path::new(path)).ok()?;
        match files.inode(id).content {
            Content::File(_) => Some(f(&mut files, id)),
            Content::Directory(_) => None,
        }
    }

    /// Bytes that can still be allocated.
    pub fn available(&self) -> u64 {
        self.device.files.borrow().available()
    }

    /// Makes the disk larger or smaller; below what is used, every allocation fails.
    pub fn set_capacity(&self, bytes: u64) {
        self.device.files.borrow_mut().capacity = bytes;
        let full = self.available() == 0;
        self.device
            .tell(&self.world, FaultKind::DiskNoSpace, full.into());
    }

    /// Remounts read-only, or writable again.
    pub fn set_read_only(&self, read_only: bool) {
        self.device.files.borrow_mut().read_only = read_only;
        self.device
            .tell(&self.world, FaultKind::DiskReadOnly, read_only.into());
    }

    /// From now on every sync fails ([`FaultKind::DiskSyncFailed`]) or every write ([`FaultKind::DiskWriteError`]), until this is
    /// called again, or the disk is healed.
    pub fn set_failing(&self, kind: Option<FaultKind>) {
        self.device.set_failing(&self.world, kind);
    }

    /// Makes every operation so many times slower.
    pub fn set_slow(&self, factor: u64) {
        if factor > 1 {
            self.world
                .fault(self.device.node, FaultKind::DiskSlow, factor);
        }
        self.device.slow.set(factor.max(1));
        let measure = if factor > 1 { factor } else { 0 };
        self.device.tell(&self.world, FaultKind::DiskSlow, measure);
    }

    /// No operation that begins within the next `nanos` ends before they are over.
    pub fn stall(&self, nanos: u64) {
        self.world
            .fault(self.device.node, FaultKind::DiskStall, nanos);
        self.device.stalled_until.set(self.world.nanos() + nanos);
        self.device.tell(&self.world, FaultKind::DiskStall, nanos);
    }

    /// Ends slowness, stall and read-only mount; operations that were caught in them end now.
    pub fn heal(&self) {
        self.device.heal(&self.world);
    }

    /// Flips a bit on the platter. `hidden`: the cache still shows the old one, until it is dropped.
    /// Answers whether the atlas allowed it and there is such a byte.
    pub fn rot(&self, path: &str, offset: u64, bit: u8, hidden: bool) -> bool {
        self.damage(path, offset, FaultKind::DiskBitRot, |files, id| {
            files.image(id).flip(offset as usize, bit & 7, hidden);
        })
    }

    /// Turns so many bytes into zeros, or those that there are. Answers whether the atlas allowed it and there is such a byte.
    pub fn blank(&self, path: &str, offset: u64, len: usize) -> bool {
        self.damage(path, offset, FaultKind::DiskBitRot, |files, id| {
            let image = files.image(id);
            let end = image.len().min(image.platter().len());
            let len = len.min(end.saturating_sub(offset as usize));
            image.put_at(offset as usize, &vec![0; len]);
        })
    }

    /// Makes the sector at `offset` unreadable until it is written again.
    pub fn make_unreadable(&self, path: &str, offset: u64) -> bool {
        self.damage(path, offset, FaultKind::DiskLatentSector, |files, id| {
            let sector = offset as usize / super::image::SECTOR;
            files.inode(id).bad.insert(sector);
        })
    }

    /// Puts bytes on the platter and into the cache, and makes their sectors readable, whatever the atlas says. `false` if
    /// there is no such place.
    pub fn put(&self, path: &str, offset: u64, bytes: &[u8]) -> bool {
        let (start, end) = (offset as usize, offset as usize + bytes.len());
        let put = self.with_file(path, |files, id| {
            let first = start / super::image::SECTOR;
            let last = end.saturating_sub(1) / super::image::SECTOR;
            files
                .inode(id)
                .bad
                .retain(|bad| *bad < first || *bad > last);
            files.image(id).put_at(start, bytes)
        });
        put == Some(true)
    }

    /// Makes a sector unreadable, whatever the atlas says.
    pub fn break_sector(&self, path: &str, offset: u64) {
        let broken = self.with_file(path, |files, id| {
            let sector = offset as usize / super::image::SECTOR;
            files.inode(id).bad.insert(sector);
        });
        if broken.is_some() {
            let faults = self.world.faults();
            faults.count_injected(FaultKind::DiskLatentSector);
        }
    }

    /// Tells `watcher` of every operation on the disk's files from now on.
    pub fn watch(&self, watcher: impl Fn(DiskNote<'_>) + 'static) {
        self.device.watch(Rc::new(watcher));
    }

    fn damage(
        &self,
        path: &str,
        offset: u64,
        kind: FaultKind,
        how: impl FnOnce(&mut Files, InodeId),
    ) -> bool {
        let target = Target {
            node: self.device.node,
            kind,
            path: Path::new(path),
            offset,
            len: 1,
        };
        if !self.world.faults().allows(&target) {
            return false;
        }
        let done = self.with_file(path, |files, id| {
            let there = (offset as usize) < files.image(id).platter().len();
            if there {
                how(files, id);
            }
            there
        });
        if done == Some(true) {
            self.world.fault(self.device.node, kind, offset);
        }
        done == Some(true)
    }
}
