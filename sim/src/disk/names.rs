//! A directory's names, twice: as they are seen, and as they survive a power cut.
//!
//! Names are apart from contents: a synced file under an unsynced name is gone after a power cut, and an
//! unsynced file may have a name. A rename within one directory is either not done, or shows both names, or
//! is done; across directories each side stands for itself.

use super::image::{Dice, Survivors};
use std::collections::{BTreeMap, BTreeSet};

/// An index into the device's inodes.
pub(crate) type InodeId = usize;

enum Change {
    Link(InodeId),
    Unlink,
}

struct Unsynced {
    sequence: u64,
    /// The two halves of one rename share this.
    rename: Option<u64>,
    name: String,
    change: Change,
}

#[derive(Default)]
pub(crate) struct Names {
    seen: BTreeMap<String, InodeId>,
    platter: BTreeMap<String, InodeId>,
    unsynced: Vec<Unsynced>,
    sequence: u64,
    /// The handle that holds the directory's lock.
    pub lock: Option<u64>,
    /// Something that was done here was lost in a power cut.
    pub lost: bool,
}

impl Names {
    pub fn get(&self, name: &str) -> Option<InodeId> {
        self.seen.get(name).copied()
    }

    pub fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&String, InodeId)> {
        self.seen.iter().map(|(name, inode)| (name, *inode))
    }

    pub fn platter(&self) -> impl Iterator<Item = (&String, InodeId)> {
        self.platter.iter().map(|(name, inode)| (name, *inode))
    }

    /// Inodes that a sync or a power cut may still give a name to.
    pub fn to_come(&self) -> impl Iterator<Item = InodeId> + '_ {
        self.unsynced.iter().filter_map(|u| match u.change {
            Change::Link(inode) => Some(inode),
            Change::Unlink => None,
        })
    }

    /// Gives `inode` a name here; answers what had it before.
    pub fn link(&mut self, name: &str, inode: InodeId, rename: Option<u64>) -> Option<InodeId> {
        self.push(name, Change::Link(inode), rename);
        self.seen.insert(name.to_owned(), inode)
    }

    pub fn unlink(&mut self, name: &str, rename: Option<u64>) -> Option<InodeId> {
        self.push(name, Change::Unlink, rename);
        self.seen.remove(name)
    }

    fn push(&mut self, name: &str, change: Change, rename: Option<u64>) {
        self.sequence += 1;
        self.unsynced.push(Unsynced {
            sequence: self.sequence,
            rename,
            name: name.to_owned(),
            change,
        });
    }

    /// Names the present moment, for [`Names::sync`].
    pub fn moment(&self) -> u64 {
        self.sequence
    }

    /// Makes every change durable that had happened at `moment`.
    pub fn sync(&mut self, moment: u64) {
        let count = self.unsynced.partition_point(|u| u.sequence <= moment);
        for unsynced in self.unsynced.drain(..count) {
            apply(&mut self.platter, unsynced);
        }
    }

    /// Puts a name on the platter at once; for what is there before the world begins.
    pub fn found(&mut self, name: &str, inode: InodeId) {
        self.seen.insert(name.to_owned(), inode);
        self.platter.insert(name.to_owned(), inode);
    }

    /// Some of the unsynced changes are lost; answers how many. `is_directory` keeps renames of directories whole.
    pub fn power_cut(&mut self, dice: Dice<'_>, is_directory: impl Fn(InodeId) -> bool) -> usize {
        let mut lost = 0;
        if !self.unsynced.is_empty() {
            let changes = std::mem::take(&mut self.unsynced);
            let survivors = Survivors::draw(dice, changes.len());
            let mut linked = BTreeSet::new();
            let mut left_out = BTreeSet::new();
            for (index, unsynced) in changes.into_iter().enumerate() {
                let drawn = match survivors {
                    Survivors::None => false,
                    Survivors::All => true,
                    Survivors::Prefix(count, _) => index < count,
                    Survivors::EachChange => dice.chance(500_000),
                    Survivors::EachSector(ppm) => dice.chance(ppm),
                };
                let keep = match (&unsynced.change, unsynced.rename) {
                    // The link comes first; without it the old name stays. A directory never has two names.
                    (Change::Unlink, Some(rename)) if left_out.contains(&rename) => false,
                    (Change::Unlink, Some(rename)) if linked.contains(&rename) => true,
                    _ => drawn,
                };
                if let (Change::Link(inode), Some(rename)) = (&unsynced.change, unsynced.rename) {
                    if !keep {
                        left_out.insert(rename);
                    } else if is_directory(*inode) {
                        linked.insert(rename);
                    }
                }
                if keep {
                    apply(&mut self.platter, unsynced);
                } else {
                    lost += 1;
                }
            }
        }
        self.seen.clone_from(&self.platter);
        self.lost |= lost > 0;
        lost
    }

    /// Takes a name away without a trace; for repairs after a power cut.
    pub fn forget(&mut self, name: &str) {
        self.seen.remove(name);
        self.platter.remove(name);
    }
}

fn apply(platter: &mut BTreeMap<String, InodeId>, unsynced: Unsynced) {
    match unsynced.change {
        Change::Link(inode) => {
            platter.insert(unsynced.name, inode);
        }
        Change::Unlink => {
            platter.remove(&unsynced.name);
        }
    }
}
