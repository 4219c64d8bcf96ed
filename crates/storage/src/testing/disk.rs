//! The disk: what the system shows, what the platter has, and what may become of the difference.

use super::{Dice, TestEnv, complete};
use bytes::{Bytes, BytesMut};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use taffrail_env::disk::{DiskResult, Entry, EntryKind, Space};
use taffrail_env::{Directory, DiskError, DiskErrorKind, DiskOperation, File, OpenMode};

const SECTOR: usize = 512;

/// What goes wrong, and at which operation (counted from 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The power goes before this operation takes effect.
    PowerCut(u64),
    /// The first write, sync, zeroing or truncation from this one on fails.
    WriteError(u64),
}

#[derive(Clone, Default)]
struct Inode {
    data: Vec<u8>,
    /// As of the last sync.
    synced: Vec<u8>,
    dirty: BTreeSet<usize>,
    /// Bytes for which space is taken.
    allocated: u64,
}

#[derive(Clone)]
enum NameChange {
    Set(PathBuf, Node),
    Removed(PathBuf),
    Renamed(PathBuf, PathBuf, Node),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Node {
    File(usize),
    Directory,
}

/// A file system.
#[derive(Clone)]
pub struct DiskWorld {
    inodes: Vec<Inode>,
    names: BTreeMap<PathBuf, Node>,
    durable_names: BTreeMap<PathBuf, Node>,
    /// Since the last sync of their directory.
    changes: Vec<NameChange>,
    locked: BTreeSet<PathBuf>,
    pub capacity: u64,
    /// The next change of this kind finds no room, whatever there is.
    pub no_room: Option<DiskOperation>,
    /// Files may be opened for reading only.
    pub read_only: bool,
    pub fault: Option<Fault>,
    pub operations: u64,
    dead: bool,
    /// Writes and syncs after the first injected failure: there must be none.
    pub failed: bool,
    /// Everybody has heard of it.
    pub noticed: bool,
    pub writes_after_failure: Vec<String>,
    pub bytes_read: u64,
    /// What the first read of these places returns instead.
    pub lies: Vec<(PathBuf, usize, Vec<u8>)>,
    /// Directories that cannot be listed.
    pub unlistable: BTreeSet<PathBuf>,
    /// Sectors that cannot be read.
    pub unreadable: BTreeSet<(PathBuf, usize)>,
}

fn error(kind: DiskErrorKind, operation: DiskOperation, path: &Path) -> DiskError {
    DiskError {
        kind,
        operation,
        path: path.into(),
        system: format!("{kind:?}"),
    }
}

impl DiskWorld {
    pub fn new() -> DiskWorld {
        let mut names = BTreeMap::new();
        names.insert(PathBuf::from("/"), Node::Directory);
        DiskWorld {
            inodes: Vec::new(),
            durable_names: names.clone(),
            names,
            changes: Vec::new(),
            locked: BTreeSet::new(),
            capacity: 1 << 40,
            no_room: None,
            read_only: false,
            fault: None,
            operations: 0,
            dead: false,
            failed: false,
            noticed: false,
            writes_after_failure: Vec::new(),
            bytes_read: 0,
            lies: Vec::new(),
            unlistable: BTreeSet::new(),
            unreadable: BTreeSet::new(),
        }
    }

    pub fn is_dead(&self) -> bool {
        self.dead
    }

    /// Counts an operation that changes something. An error if it is to fail.
    fn operation(&mut self, operation: DiskOperation, path: &Path) -> DiskResult<()> {
        self.operations += 1;
        if self.noticed {
            self.writes_after_failure
                .push(format!("{} {}", operation.name(), path.display()));
        }
        match self.fault {
            Some(Fault::PowerCut(at)) if self.operations >= at => {
                self.dead = true;
                Err(error(DiskErrorKind::Io, operation, path))
            }
            Some(Fault::WriteError(at)) if self.operations >= at && !self.failed => {
                let hit = matches!(
                    operation,
                    DiskOperation::Write
                        | DiskOperation::Sync
                        | DiskOperation::WriteZeros
                        | DiskOperation::Truncate
                );
                if hit {
                    self.failed = true;
                    return Err(error(DiskErrorKind::Io, operation, path));
                }
                Ok(())
            }
            _ if self.dead => Err(error(DiskErrorKind::Io, operation, path)),
            _ => Ok(()),
        }
    }

    fn used(&self) -> u64 {
        let live: BTreeSet<usize> = self
            .names
            .values()
            .filter_map(|node| match node {
                Node::File(inode) => Some(*inode),
                Node::Directory => None,
            })
            .collect();
        live.iter().map(|inode| self.inodes[*inode].allocated).sum()
    }

    pub fn space(&self) -> Space {
        Space {
            available: self.capacity.saturating_sub(self.used()),
            total: self.capacity,
        }
    }

    fn allocate(&mut self, inode: usize, end: u64) -> bool {
        let more = end.saturating_sub(self.inodes[inode].allocated);
        if more > self.capacity.saturating_sub(self.used()) {
            return false;
        }
        self.inodes[inode].allocated += more;
        true
    }

    pub fn create_directory(&mut self, path: &Path) -> DiskResult<()> {
        let operation = DiskOperation::CreateDirectory;
        self.operation(operation, path)?;
        if self.names.contains_key(path) {
            return Err(error(DiskErrorKind::AlreadyExists, operation, path));
        }
        if !self.names.contains_key(path.parent().unwrap_or(path)) {
            return Err(error(DiskErrorKind::NotFound, operation, path));
        }
        self.names.insert(path.into(), Node::Directory);
        self.changes
            .push(NameChange::Set(path.into(), Node::Directory));
        Ok(())
    }

    pub fn rename(&mut self, from: &Path, to: &Path) -> DiskResult<()> {
        let operation = DiskOperation::Rename;
        self.operation(operation, from)?;
        let Some(node) = self.names.remove(from) else {
            return Err(error(DiskErrorKind::NotFound, operation, from));
        };
        self.names.insert(to.into(), node);
        self.changes
            .push(NameChange::Renamed(from.into(), to.into(), node));
        Ok(())
    }

    pub fn remove(&mut self, path: &Path, directory: bool) -> DiskResult<()> {
        let operation = if directory {
            DiskOperation::RemoveDirectory
        } else {
            DiskOperation::RemoveFile
        };
        self.operation(operation, path)?;
        if directory && self.names.keys().any(|name| name.parent() == Some(path)) {
            return Err(error(DiskErrorKind::NotEmpty, operation, path));
        }
        if self.names.remove(path).is_none() {
            return Err(error(DiskErrorKind::NotFound, operation, path));
        }
        self.changes.push(NameChange::Removed(path.into()));
        Ok(())
    }

    pub fn list(&self, path: &Path) -> DiskResult<Vec<Entry>> {
        if self.unlistable.contains(path) {
            return Err(error(DiskErrorKind::Io, DiskOperation::List, path));
        }
        match self.names.get(path) {
            Some(Node::Directory) => {}
            Some(Node::File(_)) => {
                return Err(error(DiskErrorKind::WrongKind, DiskOperation::List, path));
            }
            None => return Err(error(DiskErrorKind::NotFound, DiskOperation::List, path)),
        }
        let entries = self
            .names
            .iter()
            .filter(|(name, _)| name.parent() == Some(path));
        Ok(entries
            .map(|(name, node)| Entry {
                name: name
                    .file_name()
                    .expect("it has a parent")
                    .to_string_lossy()
                    .into(),
                kind: match node {
                    Node::File(_) => EntryKind::File,
                    Node::Directory => EntryKind::Directory,
                },
                len: match node {
                    Node::File(inode) => self.inodes[*inode].data.len() as u64,
                    Node::Directory => 0,
                },
            })
            .collect())
    }

    fn sync_directory(&mut self, path: &Path) -> DiskResult<()> {
        self.operation(DiskOperation::SyncDirectory, path)?;
        let within = |name: &Path| name.parent() == Some(path);
        let (synced, kept): (Vec<NameChange>, Vec<NameChange>) = std::mem::take(&mut self.changes)
            .into_iter()
            .partition(|change| match change {
                NameChange::Set(name, _) | NameChange::Removed(name) => within(name),
                NameChange::Renamed(from, to, _) => within(from) || within(to),
            });
        self.changes = kept;
        synced
            .iter()
            .for_each(|change| apply(&mut self.durable_names, change));
        Ok(())
    }

    /// Contents of a file as the system shows them.
    pub fn contents(&self, path: &Path) -> Option<&[u8]> {
        match self.names.get(path)? {
            Node::File(inode) => Some(&self.inodes[*inode].data),
            Node::Directory => None,
        }
    }

    pub fn files(&self) -> Vec<PathBuf> {
        let files = self.names.iter();
        files
            .filter(|(_, node)| matches!(node, Node::File(_)))
            .map(|(path, _)| path.clone())
            .collect()
    }

    /// Changes a byte under everybody's feet, on the platter as well.
    pub fn corrupt(&mut self, path: &Path, at: usize) {
        if let Some(Node::File(inode)) = self.names.get(path) {
            let inode = &mut self.inodes[*inode];
            inode.data[at] ^= 0x40;
            if let Some(byte) = inode.synced.get_mut(at) {
                *byte ^= 0x40;
            }
        }
    }

    /// Overwrites bytes in a file, on the platter as well.
    pub fn overwrite(&mut self, path: &Path, at: usize, bytes: &[u8]) {
        if let Some(Node::File(inode)) = self.names.get(path) {
            let inode = &mut self.inodes[*inode];
            inode.data[at..at + bytes.len()].copy_from_slice(bytes);
            inode.synced = inode.data.clone();
        }
    }

    pub fn add_file(&mut self, path: &Path, bytes: &[u8]) {
        self.inodes.push(Inode {
            data: bytes.to_vec(),
            synced: bytes.to_vec(),
            dirty: BTreeSet::new(),
            allocated: bytes.len() as u64,
        });
        let node = Node::File(self.inodes.len() - 1);
        self.names.insert(path.into(), node);
        self.durable_names.insert(path.into(), node);
    }

    /// The first read of these bytes returns them with a flipped bit.
    pub fn lie(&mut self, path: &Path, at: usize) {
        let byte = self.contents(path).expect("it is there")[at] ^ 0x40;
        self.lies.push((path.into(), at, vec![byte]));
    }

    pub fn remove_file_now(&mut self, path: &Path) {
        self.names.remove(path);
        self.durable_names.remove(path);
    }

    fn reborn(&self) -> DiskWorld {
        DiskWorld {
            locked: BTreeSet::new(),
            fault: None,
            operations: 0,
            dead: false,
            failed: false,
            noticed: false,
            writes_after_failure: Vec::new(),
            bytes_read: 0,
            ..self.clone()
        }
    }

    pub fn kill(&mut self) -> DiskWorld {
        self.dead = true;
        self.reborn()
    }

    /// What the platter has: what was synced, and of the rest whatever the dice say.
    pub fn power_cut(&mut self, dice: &Dice) -> DiskWorld {
        self.dead = true;
        let mut world = self.reborn();
        // Some cuts lose everything that was not synced, some nothing, most a part.
        let mood = dice.below(4);
        let survives = |dice: &Dice| match mood {
            0 => false,
            1 => true,
            _ => dice.below(2) == 0,
        };
        let mut names = self.durable_names.clone();
        for change in &self.changes {
            if survives(dice) {
                apply(&mut names, change);
            }
        }
        // A name whose directory is not there is lost with it.
        let all = names.clone();
        names.retain(|name, _| {
            name.ancestors()
                .skip(1)
                .all(|parent| all.contains_key(parent))
        });
        world.names = names.clone();
        world.durable_names = names;
        world.changes.clear();
        for inode in &mut world.inodes {
            let len = if survives(dice) {
                inode.data.len()
            } else {
                inode.synced.len()
            };
            let mut data = inode.synced.clone();
            data.resize(len, 0);
            for sector in &inode.dirty {
                let (from, to) = (
                    sector * SECTOR,
                    ((sector + 1) * SECTOR).min(inode.data.len()),
                );
                if survives(dice) && from < to && to <= len {
                    data[from..to].copy_from_slice(&inode.data[from..to]);
                }
            }
            inode.synced = data.clone();
            inode.allocated = data.len() as u64;
            inode.data = data;
            inode.dirty.clear();
        }
        world
    }
}

fn apply(names: &mut BTreeMap<PathBuf, Node>, change: &NameChange) {
    match change {
        NameChange::Set(name, node) => {
            names.insert(name.clone(), *node);
        }
        NameChange::Removed(name) => {
            names.remove(name);
        }
        NameChange::Renamed(from, to, node) => {
            names.remove(from);
            names.insert(to.clone(), *node);
        }
    }
}

/// An open file.
#[derive(Clone)]
pub struct TestFile {
    env: TestEnv,
    path: Rc<PathBuf>,
    inode: usize,
    broken: Rc<Cell<bool>>,
}

impl TestFile {
    pub fn open(env: &TestEnv, path: &Path, mode: OpenMode) -> DiskResult<TestFile> {
        let disk = &mut *env.0.disk.borrow_mut();
        let operation = DiskOperation::Open;
        if disk.read_only && mode != OpenMode::Read {
            return Err(error(DiskErrorKind::PermissionDenied, operation, path));
        }
        let inode = match disk.names.get(path) {
            Some(Node::Directory) => {
                return Err(error(DiskErrorKind::WrongKind, operation, path));
            }
            Some(Node::File(_)) if mode == OpenMode::CreateNew => {
                return Err(error(DiskErrorKind::AlreadyExists, operation, path));
            }
            Some(Node::File(inode)) => *inode,
            None if matches!(mode, OpenMode::Read | OpenMode::ReadWrite) => {
                return Err(error(DiskErrorKind::NotFound, operation, path));
            }
            None => {
                disk.operation(operation, path)?;
                if !disk.names.contains_key(path.parent().unwrap_or(path)) {
                    return Err(error(DiskErrorKind::NotFound, operation, path));
                }
                disk.inodes.push(Inode::default());
                let node = Node::File(disk.inodes.len() - 1);
                disk.names.insert(path.into(), node);
                disk.changes.push(NameChange::Set(path.into(), node));
                disk.inodes.len() - 1
            }
        };
        Ok(TestFile {
            env: env.clone(),
            path: Rc::new(path.into()),
            inode,
            broken: Rc::default(),
        })
    }

    /// A change of the file, which fails if the handle did.
    fn change(
        &self,
        operation: DiskOperation,
        change: impl FnOnce(&mut DiskWorld) -> bool,
    ) -> DiskResult<()> {
        let disk = &mut *self.env.0.disk.borrow_mut();
        if self.broken.get() {
            return Err(error(DiskErrorKind::Dead, operation, &self.path));
        }
        if let Err(failed) = disk.operation(operation, &self.path) {
            self.broken.set(true);
            if operation == DiskOperation::Sync {
                // The pages count as clean from now on; the platter has what it has.
                disk.inodes[self.inode].dirty.clear();
            }
            return Err(failed);
        }
        let no_room = disk.no_room.take_if(|kind| *kind == operation).is_some();
        if no_room || !change(disk) {
            self.broken.set(operation != DiskOperation::Reserve);
            return Err(error(DiskErrorKind::NoSpace, operation, &self.path));
        }
        Ok(())
    }

    pub fn sync_now(&self) -> DiskResult<()> {
        let inode = self.inode;
        self.change(DiskOperation::Sync, |disk| {
            let inode = &mut disk.inodes[inode];
            inode.synced = inode.data.clone();
            inode.dirty.clear();
            true
        })
    }

    fn write(&self, operation: DiskOperation, offset: u64, bytes: Vec<u8>) -> DiskResult<()> {
        let inode = self.inode;
        self.change(operation, |disk| {
            let end = offset as usize + bytes.len();
            if !disk.allocate(inode, end as u64) {
                return false;
            }
            let inode = &mut disk.inodes[inode];
            if inode.data.len() < end {
                inode.data.resize(end, 0);
            }
            inode.data[offset as usize..end].copy_from_slice(&bytes);
            let sectors = offset as usize / SECTOR..end.div_ceil(SECTOR);
            inode.dirty.extend(sectors);
            true
        })
    }
}

impl File for TestFile {
    fn path(&self) -> &Path {
        &self.path
    }

    fn read_at(
        &self,
        offset: u64,
        len: usize,
        mut buffer: BytesMut,
    ) -> impl Future<Output = (BytesMut, DiskResult<()>)> + 'static {
        let disk = &mut *self.env.0.disk.borrow_mut();
        let data = &disk.inodes[self.inode].data;
        let from = (offset as usize).min(data.len());
        let to = (from + len).min(data.len());
        let bad = (from / SECTOR..to.div_ceil(SECTOR))
            .any(|sector| disk.unreadable.contains(&(self.path.to_path_buf(), sector)));
        if bad {
            let failed = error(DiskErrorKind::Io, DiskOperation::Read, &self.path);
            return complete(self.env.clone(), (buffer, Err(failed)));
        }
        let had = buffer.len();
        buffer.extend_from_slice(&data[from..to]);
        disk.bytes_read += (to - from) as u64;
        disk.lies.retain(|(path, at, lie)| {
            let (start, end) = (from.max(*at), to.min(at + lie.len()));
            let told = *path == *self.path && start < end;
            if told {
                let lie = &lie[start - at..end - at];
                buffer[had + start - from..had + end - from].copy_from_slice(lie);
            }
            !told
        });
        complete(self.env.clone(), (buffer, Ok(())))
    }

    fn write_at(
        &self,
        offset: u64,
        pieces: Vec<Bytes>,
    ) -> impl Future<Output = DiskResult<()>> + 'static {
        let result = self.write(DiskOperation::Write, offset, pieces.concat());
        complete(self.env.clone(), result)
    }

    fn write_zeros(&self, offset: u64, len: u64) -> impl Future<Output = DiskResult<()>> + 'static {
        let result = self.write(DiskOperation::WriteZeros, offset, vec![0; len as usize]);
        complete(self.env.clone(), result)
    }

    fn reserve(&self, offset: u64, len: u64) -> impl Future<Output = DiskResult<()>> + 'static {
        let inode = self.inode;
        let result = self.change(DiskOperation::Reserve, |disk| {
            disk.allocate(inode, offset + len)
        });
        complete(self.env.clone(), result)
    }

    fn sync(&self) -> impl Future<Output = DiskResult<()>> + 'static {
        let result = self.sync_now();
        complete(self.env.clone(), result)
    }

    fn truncate(&self, len: u64) -> impl Future<Output = DiskResult<()>> + 'static {
        let inode = self.inode;
        let result = self.change(DiskOperation::Truncate, |disk| {
            let inode = &mut disk.inodes[inode];
            inode.data.resize(len as usize, 0);
            inode.allocated = len;
            true
        });
        complete(self.env.clone(), result)
    }

    fn len(&self) -> impl Future<Output = DiskResult<u64>> + 'static {
        let len = self.env.0.disk.borrow().inodes[self.inode].data.len();
        complete(self.env.clone(), Ok(len as u64))
    }
}

/// An open directory.
#[derive(Clone)]
pub struct TestDirectory {
    env: TestEnv,
    path: Rc<PathBuf>,
    lock: Rc<Lock>,
}

struct Lock {
    env: TestEnv,
    path: PathBuf,
    held: Cell<bool>,
}

impl Drop for Lock {
    fn drop(&mut self) {
        if self.held.get() {
            self.env.0.disk.borrow_mut().locked.remove(&self.path);
        }
    }
}

impl TestDirectory {
    pub fn open(env: &TestEnv, path: &Path) -> DiskResult<TestDirectory> {
        let operation = DiskOperation::OpenDirectory;
        match env.0.disk.borrow().names.get(path) {
            Some(Node::Directory) => {}
            Some(Node::File(_)) => return Err(error(DiskErrorKind::WrongKind, operation, path)),
            None => return Err(error(DiskErrorKind::NotFound, operation, path)),
        }
        Ok(TestDirectory {
            env: env.clone(),
            path: Rc::new(path.into()),
            lock: Rc::new(Lock {
                env: env.clone(),
                path: path.into(),
                held: Cell::new(false),
            }),
        })
    }
}

impl Directory for TestDirectory {
    fn sync(&self) -> impl Future<Output = DiskResult<()>> + 'static {
        let result = self.env.0.disk.borrow_mut().sync_directory(&self.path);
        complete(self.env.clone(), result)
    }

    fn lock(&self) -> impl Future<Output = DiskResult<()>> + 'static {
        let taken = self
            .env
            .0
            .disk
            .borrow_mut()
            .locked
            .insert(self.path.to_path_buf());
        let result = if taken {
            self.lock.held.set(true);
            Ok(())
        } else {
            Err(error(
                DiskErrorKind::Locked,
                DiskOperation::Lock,
                &self.path,
            ))
        };
        complete(self.env.clone(), result)
    }
}
