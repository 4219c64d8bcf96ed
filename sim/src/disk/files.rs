//! The file system of one disk: inodes, paths, space.
//!
//! Space is counted in blocks of 4 KiB up to the highest place ever written or reserved; a file that is
//! extended by truncation alone allocates nothing, so a later write into the gap can find the disk full.

use super::image::{Dice, Image};
use super::names::{InodeId, Names};
use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Component, Path};
use taffrail_env::disk::{DiskErrorKind, Entry, EntryKind, OpenMode, Space};

const BLOCK: u64 = 4096;
const ROOT: InodeId = 0;
/// Inodes without a name are collected when there are this many more than half of all.
const COLLECT_MIN: usize = 64;

/// Why an operation was refused: its kind, and the words of Linux.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub kind: DiskErrorKind,
    pub words: &'static str,
}

pub(crate) const IO_ERROR: Refusal = refusal(DiskErrorKind::Io, "Input/output error (os error 5)");
pub(crate) const READ_ONLY: Refusal =
    refusal(DiskErrorKind::Io, "Read-only file system (os error 30)");
pub(crate) const TOO_LARGE: Refusal = refusal(DiskErrorKind::Io, "File too large (os error 27)");
pub(crate) const DEAD: Refusal = refusal(
    DiskErrorKind::Dead,
    "an earlier operation on this handle failed",
);
pub(crate) const NO_SPACE: Refusal = refusal(
    DiskErrorKind::NoSpace,
    "No space left on device (os error 28)",
);
pub(crate) const DENIED: Refusal = refusal(
    DiskErrorKind::PermissionDenied,
    "Bad file descriptor (os error 9)",
);
const INVALID: Refusal = refusal(DiskErrorKind::Io, "Invalid argument (os error 22)");
const NOT_FOUND: Refusal = refusal(
    DiskErrorKind::NotFound,
    "No such file or directory (os error 2)",
);
const EXISTS: Refusal = refusal(DiskErrorKind::AlreadyExists, "File exists (os error 17)");
const NOT_EMPTY: Refusal = refusal(DiskErrorKind::NotEmpty, "Directory not empty (os error 39)");
const NOT_DIRECTORY: Refusal = refusal(DiskErrorKind::WrongKind, "Not a directory (os error 20)");
const IS_DIRECTORY: Refusal = refusal(DiskErrorKind::WrongKind, "Is a directory (os error 21)");
const LOCKED: Refusal = refusal(
    DiskErrorKind::Locked,
    "Resource temporarily unavailable (os error 11)",
);

const fn refusal(kind: DiskErrorKind, words: &'static str) -> Refusal {
    Refusal { kind, words }
}

pub(crate) type Answer<T> = Result<T, Refusal>;

pub(crate) enum Content {
    File(Image),
    Directory(Names),
}

pub(crate) struct Inode {
    pub content: Content,
    links: u32,
    opens: u32,
    allocated: u64,
    /// Sectors that cannot be read until they are written.
    pub bad: BTreeSet<usize>,
    /// What the last read that lied was asked for.
    pub lied: Option<Range<usize>>,
}

pub(crate) struct Files {
    inodes: Vec<Option<Inode>>,
    free: Vec<InodeId>,
    pub capacity: u64,
    used: u64,
    renames: u64,
    nameless: usize,
    /// A power cut took a name from some directory.
    lost: bool,
    pub read_only: bool,
    /// New files remember what their platter held before it was overwritten.
    pub remembers: bool,
}

/// Where a path leads: its directory, and its name there.
type Place<'a> = (InodeId, &'a str);

impl Files {
    /// An empty file system with the durable directory `/data`, the usual mount point.
    pub fn new(capacity: u64) -> Self {
        let mut files = Self {
            inodes: Vec::new(),
            free: Vec::new(),
            capacity,
            used: 0,
            renames: 0,
            nameless: 0,
            lost: false,
            read_only: false,
            remembers: false,
        };
        files.add(Content::Directory(Names::default()));
        let data = files.add(Content::Directory(Names::default()));
        files.inode(data).links = 1;
        files.names(ROOT).found("data", data);
        files
    }

    fn add(&mut self, content: Content) -> InodeId {
        let inode = Some(Inode {
            content,
            links: 0,
            opens: 0,
            allocated: 0,
            bad: BTreeSet::new(),
            lied: None,
        });
        match self.free.pop() {
            Some(id) => {
                self.inodes[id] = inode;
                id
            }
            None => {
                self.inodes.push(inode);
                self.inodes.len() - 1
            }
        }
    }

    pub fn inode(&mut self, id: InodeId) -> &mut Inode {
        self.inodes[id]
            .as_mut()
            .expect("an inode lives as long as a name or a handle leads to it")
    }

    /// The contents of a file that some handle has open.
    pub fn image(&mut self, id: InodeId) -> &mut Image {
        match &mut self.inode(id).content {
            Content::File(image) => image,
            Content::Directory(_) => panic!("a file handle never leads to a directory"),
        }
    }

    /// The names of a directory.
    pub fn names(&mut self, id: InodeId) -> &mut Names {
        match &mut self.inode(id).content {
            Content::Directory(names) => names,
            Content::File(_) => panic!("a directory handle never leads to a file"),
        }
    }

    fn is_directory(&self, id: InodeId) -> bool {
        matches!(
            self.inodes[id].as_ref().map(|inode| &inode.content),
            Some(Content::Directory(_))
        )
    }

    // ---- paths ----

    fn step(&mut self, directory: InodeId, name: &str) -> Answer<InodeId> {
        if !self.is_directory(directory) {
            return Err(NOT_DIRECTORY);
        }
        self.names(directory).get(name).ok_or(NOT_FOUND)
    }

    pub fn find(&mut self, path: &Path) -> Answer<InodeId> {
        let mut at = ROOT;
        for name in components(path)? {
            at = self.step(at, name)?;
        }
        Ok(at)
    }

    fn place<'a>(&mut self, path: &'a Path) -> Answer<Place<'a>> {
        let mut names = components(path)?;
        let name = names.pop().ok_or(EXISTS)?;
        let mut at = ROOT;
        for name in names {
            at = self.step(at, name)?;
        }
        if !self.is_directory(at) {
            return Err(NOT_DIRECTORY);
        }
        Ok((at, name))
    }

    /// Whether a power cut had taken something from the directory of `path` since it was last looked at.
    pub fn take_lost(&mut self, path: &Path) -> bool {
        if !self.lost {
            return false;
        }
        let Ok(names) = components(path) else {
            return false;
        };
        let mut directory = ROOT;
        for (depth, name) in names.iter().enumerate() {
            match self.step(directory, name) {
                Ok(id) if self.is_directory(id) => directory = id,
                _ if depth + 1 == names.len() => break,
                _ => return false,
            }
        }
        std::mem::take(&mut self.names(directory).lost)
    }

    // ---- names ----

    pub fn open(&mut self, path: &Path, mode: OpenMode) -> Answer<InodeId> {
        let (directory, name) = self.place(path).map_err(|refused| match refused {
            EXISTS => IS_DIRECTORY,
            other => other,
        })?;
        let id = match (self.names(directory).get(name), mode) {
            (Some(_), OpenMode::CreateNew) => return Err(EXISTS),
            (Some(id), _) => id,
            (None, OpenMode::Read | OpenMode::ReadWrite) => return Err(NOT_FOUND),
            (None, OpenMode::CreateNew | OpenMode::CreateOrOpen) => {
                self.room_for_a_name()?;
                let image = Image::new(self.remembers);
                self.create(directory, name, Content::File(image))
            }
        };
        if self.is_directory(id) {
            return Err(IS_DIRECTORY);
        }
        if self.read_only && mode != OpenMode::Read {
            return Err(READ_ONLY);
        }
        self.inode(id).opens += 1;
        Ok(id)
    }

    pub fn open_directory(&mut self, path: &Path) -> Answer<InodeId> {
        let id = self.find(path)?;
        if !self.is_directory(id) {
            return Err(NOT_DIRECTORY);
        }
        self.inode(id).opens += 1;
        Ok(id)
    }

    fn room_for_a_name(&self) -> Answer<()> {
        if self.read_only {
            return Err(READ_ONLY);
        }
        if self.available() < BLOCK {
            return Err(NO_SPACE);
        }
        Ok(())
    }

    fn create(&mut self, directory: InodeId, name: &str, content: Content) -> InodeId {
        let id = self.add(content);
        self.inode(id).links = 1;
        self.names(directory).link(name, id, None);
        id
    }

    pub fn create_directory(&mut self, path: &Path) -> Answer<()> {
        let (directory, name) = self.place(path)?;
        if self.names(directory).get(name).is_some() {
            return Err(EXISTS);
        }
        self.room_for_a_name()?;
        self.create(directory, name, Content::Directory(Names::default()));
        Ok(())
    }

    pub fn rename(&mut self, from: &Path, to: &Path) -> Answer<()> {
        let (from_directory, from_name) = self.place(from)?;
        let (to_directory, to_name) = self.place(to)?;
        let moved = self.step(from_directory, from_name)?;
        if components(to)?.starts_with(&components(from)?) && from != to {
            return Err(INVALID);
        }
        let replaced = self.names(to_directory).get(to_name);
        if replaced == Some(moved) {
            return Ok(());
        }
        if let Some(replaced) = replaced {
            match (self.is_directory(moved), self.is_directory(replaced)) {
                (true, false) => return Err(NOT_DIRECTORY),
                (false, true) => return Err(IS_DIRECTORY),
                (true, true) if !self.names(replaced).is_empty() => return Err(NOT_EMPTY),
                _ => {}
            }
        }
        if self.read_only {
            return Err(READ_ONLY);
        }
        self.renames += 1;
        let rename = Some(self.renames);
        self.names(to_directory).link(to_name, moved, rename);
        self.names(from_directory).unlink(from_name, rename);
        if let Some(replaced) = replaced {
            self.lose_name(replaced);
        }
        Ok(())
    }

    pub fn remove_file(&mut self, path: &Path) -> Answer<()> {
        let (directory, name) = self.place(path)?;
        let id = self.step(directory, name)?;
        if self.is_directory(id) {
            return Err(IS_DIRECTORY);
        }
        self.unlink(directory, name, id)
    }

    pub fn remove_directory(&mut self, path: &Path) -> Answer<()> {
        let (directory, name) = self.place(path)?;
        let id = self.step(directory, name)?;
        if !self.is_directory(id) {
            return Err(NOT_DIRECTORY);
        }
        if !self.names(id).is_empty() {
            return Err(NOT_EMPTY);
        }
        self.unlink(directory, name, id)
    }

    fn unlink(&mut self, directory: InodeId, name: &str, id: InodeId) -> Answer<()> {
        if self.read_only {
            return Err(READ_ONLY);
        }
        self.names(directory).unlink(name, None);
        self.lose_name(id);
        Ok(())
    }

    pub fn list(&mut self, path: &Path) -> Answer<Vec<Entry>> {
        let id = self.find(path)?;
        if !self.is_directory(id) {
            return Err(NOT_DIRECTORY);
        }
        let names: Vec<(String, InodeId)> = self
            .names(id)
            .iter()
            .map(|(name, inode)| (name.clone(), inode))
            .collect();
        Ok(names
            .into_iter()
            .map(|(name, id)| match &self.inode(id).content {
                Content::File(image) => Entry {
                    name,
                    kind: EntryKind::File,
                    len: image.len() as u64,
                },
                Content::Directory(_) => Entry {
                    name,
                    kind: EntryKind::Directory,
                    len: 0,
                },
            })
            .collect())
    }

    pub fn lock(&mut self, directory: InodeId, handle: u64) -> Answer<()> {
        let lock = &mut self.names(directory).lock;
        match *lock {
            Some(holder) if holder != handle => Err(LOCKED),
            _ => {
                *lock = Some(handle);
                Ok(())
            }
        }
    }

    pub fn unlock(&mut self, directory: InodeId, handle: u64) {
        let lock = &mut self.names(directory).lock;
        if *lock == Some(handle) {
            *lock = None;
        }
    }

    // ---- space ----

    pub fn available(&self) -> u64 {
        self.capacity.saturating_sub(self.used)
    }

    pub fn space(&self) -> Space {
        Space {
            available: self.available(),
            total: self.capacity,
        }
    }

    /// Allocates the file's blocks up to `end`.
    pub fn allocate(&mut self, id: InodeId, end: u64) -> Answer<()> {
        let available = self.available();
        let inode = self.inode(id);
        let wanted = end.div_ceil(BLOCK).saturating_mul(BLOCK);
        let more = wanted.saturating_sub(inode.allocated);
        if more > available {
            return Err(NO_SPACE);
        }
        inode.allocated += more;
        self.used += more;
        Ok(())
    }

    /// The highest end that [`Files::allocate`] would grant now.
    pub fn allocatable(&mut self, id: InodeId) -> u64 {
        let available = self.available() / BLOCK * BLOCK;
        self.inode(id).allocated + available
    }

    /// Gives back the blocks beyond `len`.
    pub fn give_back(&mut self, id: InodeId, len: u64) {
        let inode = self.inode(id);
        let kept = inode.allocated.min(len.div_ceil(BLOCK) * BLOCK);
        let freed = inode.allocated - kept;
        inode.allocated = kept;
        self.used -= freed;
    }

    // ---- the end of inodes ----

    fn lose_name(&mut self, id: InodeId) {
        self.inode(id).links -= 1;
        self.free_if_unused(id);
    }

    pub fn close(&mut self, id: InodeId) {
        self.inode(id).opens -= 1;
        self.free_if_unused(id);
    }

    fn free_if_unused(&mut self, id: InodeId) {
        let inode = self.inode(id);
        if inode.links == 0 && inode.opens == 0 {
            self.give_back(id, 0);
            self.nameless += 1;
            if self.nameless > COLLECT_MIN.max(self.inodes.len() / 2) {
                self.collect();
            }
        }
    }

    /// Frees the inodes that nothing leads to: no name, no name to come, none on the platter, no handle.
    fn collect(&mut self) {
        let mut reached = vec![false; self.inodes.len()];
        let mut open: Vec<InodeId> = (0..self.inodes.len())
            .filter(|id| *id == ROOT || self.inodes[*id].as_ref().is_some_and(|i| i.opens > 0))
            .collect();
        while let Some(id) = open.pop() {
            if std::mem::replace(&mut reached[id], true) {
                continue;
            }
            if let Some(Inode {
                content: Content::Directory(names),
                ..
            }) = &self.inodes[id]
            {
                open.extend(names.iter().map(|(_, id)| id));
                open.extend(names.platter().map(|(_, id)| id));
                open.extend(names.to_come());
            }
        }
        for (id, reached) in reached.into_iter().enumerate() {
            if !reached && self.inodes[id].take().is_some() {
                self.free.push(id);
            }
        }
        self.nameless = 0;
    }

    /// Every handle is gone with its process.
    pub fn close_all(&mut self) {
        for id in 0..self.inodes.len() {
            let Some(inode) = &mut self.inodes[id] else {
                continue;
            };
            if let Content::Directory(names) = &mut inode.content {
                names.lock = None;
            }
            if std::mem::replace(&mut inode.opens, 0) > 0 && inode.links == 0 {
                self.free_if_unused(id);
            }
        }
    }

    /// Some file, open or not.
    pub fn any_file(&self, dice: Dice<'_>) -> InodeId {
        let files: Vec<InodeId> = (0..self.inodes.len())
            .filter(|id| {
                let inode = self.inodes[*id].as_ref();
                inode.is_some_and(|inode| matches!(inode.content, Content::File(_)))
            })
            .collect();
        files[dice.below(files.len())]
    }

    /// Every file, for a power cut or a dropped cache.
    pub fn images(&mut self) -> impl Iterator<Item = &mut Image> {
        self.inodes
            .iter_mut()
            .flatten()
            .filter_map(|inode| match &mut inode.content {
                Content::File(image) => Some(image),
                Content::Directory(_) => None,
            })
    }

    /// The names' part of a power cut; answers how many changes were lost. The contents' part comes before.
    pub fn power_cut(&mut self, dice: Dice<'_>) -> usize {
        let directories: Vec<bool> = (0..self.inodes.len())
            .map(|id| self.is_directory(id))
            .collect();
        let mut lost = 0;
        for inode in self.inodes.iter_mut().flatten() {
            inode.opens = 0;
            inode.links = 0;
            if let Content::Directory(names) = &mut inode.content {
                names.lock = None;
                lost += names.power_cut(dice, |id| directories[id]);
            }
        }
        self.count_anew();
        self.collect();
        self.lost |= lost > 0;
        lost
    }

    /// Walks all names: a directory keeps the first of its names, links and blocks are counted.
    fn count_anew(&mut self) {
        self.used = 0;
        let mut seen = BTreeSet::from([ROOT]);
        let mut open = vec![ROOT];
        while let Some(directory) = open.pop() {
            let names: Vec<(String, InodeId)> = self
                .names(directory)
                .iter()
                .map(|(name, id)| (name.clone(), id))
                .collect();
            for (name, id) in names {
                let first = seen.insert(id);
                if self.is_directory(id) {
                    if !first {
                        self.names(directory).forget(&name);
                        continue;
                    }
                    open.push(id);
                }
                self.inode(id).links += 1;
                if first && let Content::File(image) = &self.inode(id).content {
                    let blocks = (image.len() as u64).div_ceil(BLOCK) * BLOCK;
                    self.inode(id).allocated = blocks;
                    self.used += blocks;
                }
            }
        }
    }

    /// Every file below the root with its path, by the names that are seen.
    pub fn walk(&mut self) -> Vec<(String, InodeId)> {
        let mut found = Vec::new();
        let mut open = vec![(String::new(), ROOT)];
        while let Some((path, directory)) = open.pop() {
            let names: Vec<(String, InodeId)> = self
                .names(directory)
                .iter()
                .map(|(name, id)| (format!("{path}/{name}"), id))
                .collect();
            for (path, id) in names {
                if self.is_directory(id) {
                    open.push((path, id));
                } else {
                    found.push((path, id));
                }
            }
        }
        found.sort();
        found
    }
}

fn components(path: &Path) -> Answer<Vec<&str>> {
    let mut names = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => {
                names.push(name.to_str().ok_or(INVALID)?);
            }
            Component::ParentDir => {
                names.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    Ok(names)
}
