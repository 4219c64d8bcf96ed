//! Open files, at most so many: the least recently used one is closed when another is needed.

use crate::layout::FileKind;
use std::collections::BTreeMap;
use taffrail_record::Offset;

/// A file of a log: the log's number, what it is, its base offset.
pub type FileKey = (u64, FileKind, Offset);

pub struct OpenFiles<F> {
    files: BTreeMap<FileKey, (F, u64)>,
    by_use: BTreeMap<u64, FileKey>,
    clock: u64,
    max: usize,
}

impl<F: Clone> OpenFiles<F> {
    pub fn new(max: usize) -> OpenFiles<F> {
        OpenFiles {
            files: BTreeMap::new(),
            by_use: BTreeMap::new(),
            clock: 0,
            max,
        }
    }

    pub fn get(&mut self, key: &FileKey) -> Option<F> {
        self.clock += 1;
        let (file, used) = self.files.get_mut(key)?;
        self.by_use.remove(used);
        *used = self.clock;
        self.by_use.insert(self.clock, *key);
        Some(file.clone())
    }

    pub fn insert(&mut self, key: FileKey, file: F) {
        self.remove(&key);
        self.clock += 1;
        self.files.insert(key, (file, self.clock));
        self.by_use.insert(self.clock, key);
        while self.files.len() > self.max
            && let Some((_, oldest)) = self.by_use.pop_first()
        {
            self.files.remove(&oldest);
        }
    }

    pub fn remove(&mut self, key: &FileKey) {
        if let Some((_, used)) = self.files.remove(key) {
            self.by_use.remove(&used);
        }
    }

    /// Closes all.
    pub fn clear(&mut self) {
        self.files.clear();
        self.by_use.clear();
    }

    /// Closes the files of one log (of its segments up to `base_max`).
    pub fn remove_log(&mut self, number: u64, base_max: Offset) {
        let first = (number, FileKind::Segment, Offset::MIN);
        let last = (number, FileKind::State, Offset::MAX);
        let keys: Vec<FileKey> = self
            .files
            .range(first..=last)
            .map(|(key, _)| *key)
            .filter(|(_, _, base)| *base <= base_max)
            .collect();
        keys.iter().for_each(|key| self.remove(key));
    }

    pub fn len(&self) -> usize {
        self.files.len()
    }
}
