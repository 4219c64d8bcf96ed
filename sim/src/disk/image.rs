//! One file's bytes, twice: what reads see, and what survives a power cut.
//!
//! Between the two lie the changes since the last sync, in order: ranges, not copies; a range's old bytes are
//! saved only when a later change overwrites them before a sync. A power cut replays the changes with some of
//! them left out: sectors each on their own, always whole versions (a kept sector holds everything that was
//! written to it before), lengths apart from contents, and perhaps one torn sector.

use crate::decision::{Decisions, Stream};
use crate::fault::FaultKind;
use bytes::Bytes;
use std::collections::VecDeque;
use std::ops::Range;

/// What the platter writes at once.
pub(crate) const SECTOR: usize = 512;
/// A file with more unsynced changes than this has its oldest half written back by the kernel.
const UNSYNCED_MAX: usize = 512;
/// Remembered damage per file; older damage is forgotten, which only costs probes.
const SCARS_MAX: usize = 64;
/// Overwritten places that a file remembers, and the longest of them.
const FORMER_MAX: usize = 8;
const FORMER_LEN_MAX: usize = 64 << 10;

/// What becomes of a write on its way to the platter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Sound,
    Lost,
    /// It lands at this offset of the same file instead.
    Misdirected(usize),
}

enum Change {
    Write {
        range: Range<usize>,
        saved: Option<Vec<u8>>,
        fate: Fate,
    },
    Length(usize),
}

struct Unsynced {
    sequence: u64,
    change: Change,
}

/// A place that is not as the product left it.
pub(crate) struct Scar {
    range: Range<usize>,
    kind: FaultKind,
}

/// Draws for one power cut or failed sync.
#[derive(Clone, Copy)]
pub(crate) struct Dice<'a> {
    pub decisions: &'a Decisions,
    pub stream: Stream,
}

impl Dice<'_> {
    pub fn below(&self, n: usize) -> usize {
        self.decisions.below(self.stream, n as u64) as usize
    }

    pub fn chance(&self, ppm: u32) -> bool {
        self.decisions.chance(self.stream, ppm)
    }
}

/// Which of the changes reach the platter.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Survivors {
    None,
    All,
    /// The first so many changes, and of the next one the first so many sectors (in parts per million).
    Prefix(usize, usize),
    /// Each change by the toss of a coin.
    EachChange,
    /// Each sector on its own, so often in a million.
    EachSector(u32),
}

impl Survivors {
    pub fn draw(dice: Dice<'_>, changes: usize) -> Self {
        match dice.below(10) {
            0 | 1 => Self::None,
            2 => Self::All,
            3..=5 => Self::Prefix(dice.below(changes + 1), dice.below(1_000_001)),
            6 => Self::EachChange,
            7 => Self::EachSector(100_000),
            8 => Self::EachSector(500_000),
            _ => Self::EachSector(900_000),
        }
    }
}

/// What a power cut did to a file.
#[derive(Default)]
pub(crate) struct Loss {
    pub lost_sectors: usize,
    pub torn: bool,
    pub length: bool,
}

#[derive(Default)]
pub(crate) struct Image {
    cache: Vec<u8>,
    platter: Vec<u8>,
    unsynced: Vec<Unsynced>,
    sequence: u64,
    /// No unsynced write reaches beyond this.
    unsynced_end: usize,
    /// The cache shows what the platter will never get: after failed syncs, lost and misdirected writes.
    diverged: bool,
    scars: Vec<Scar>,
    /// What the platter held before, newest last, for reads that return old blocks; `None` if nobody wants to know.
    former: Option<VecDeque<(usize, Vec<u8>)>>,
}

impl Image {
    /// An empty file; with `remembers` it keeps some of what is overwritten.
    pub fn new(remembers: bool) -> Self {
        Self {
            former: remembers.then(VecDeque::new),
            ..Self::default()
        }
    }

    /// The length that reads see.
    pub fn len(&self) -> usize {
        self.cache.len()
    }

    pub fn cache(&self) -> &[u8] {
        &self.cache
    }

    pub fn platter(&self) -> &[u8] {
        &self.platter
    }

    /// Names the present moment, for [`Image::sync`].
    pub fn moment(&self) -> u64 {
        self.sequence
    }

    /// Writes the pieces one after the other; a gap before them reads as zeros.
    pub fn write(&mut self, offset: usize, pieces: &[Bytes], fate: Fate) {
        let len = pieces.iter().map(Bytes::len).sum::<usize>();
        self.begin_write(offset..offset + len, fate);
        let mut at = offset;
        for piece in pieces {
            self.cache[at..at + piece.len()].copy_from_slice(piece);
            at += piece.len();
        }
    }

    pub fn write_zeros(&mut self, offset: usize, len: usize) {
        if len == 0 {
            return;
        }
        self.begin_write(offset..offset + len, Fate::Sound);
        self.cache[offset..offset + len].fill(0);
    }

    fn begin_write(&mut self, range: Range<usize>, fate: Fate) {
        if range.is_empty() {
            return;
        }
        self.save_overlapped(range.clone());
        self.sequence += 1;
        self.unsynced_end = self.unsynced_end.max(range.end);
        self.diverged |= fate != Fate::Sound;
        if range.end > self.cache.len() {
            self.cache.resize(range.end, 0);
            self.push(Change::Length(range.end));
        }
        self.push(Change::Write {
            range,
            saved: None,
            fate,
        });
        if self.unsynced.len() > UNSYNCED_MAX {
            self.apply_first(UNSYNCED_MAX / 2);
        }
    }

    fn push(&mut self, change: Change) {
        let sequence = self.sequence;
        self.unsynced.push(Unsynced { sequence, change });
    }

    /// What an unsynced write wrote. A write with a copy of its own may reach beyond the cache, which was cut since.
    fn bytes_of<'a>(&'a self, range: &Range<usize>, saved: Option<&'a [u8]>) -> &'a [u8] {
        match saved {
            Some(saved) => saved,
            None => &self.cache[range.clone()],
        }
    }

    /// Before bytes in `range` change: unsynced writes that point there keep a copy of their own.
    fn save_overlapped(&mut self, range: Range<usize>) {
        if range.start >= self.unsynced_end {
            return;
        }
        for unsynced in &mut self.unsynced {
            if let Change::Write {
                range: written,
                saved,
                ..
            } = &mut unsynced.change
                && saved.is_none()
                && written.start < range.end
                && range.start < written.end
            {
                *saved = Some(self.cache[written.clone()].to_vec());
            }
        }
    }

    /// Cuts, or extends with zeros.
    pub fn set_len(&mut self, len: usize) {
        if len == self.cache.len() {
            return;
        }
        if len < self.cache.len() {
            self.save_overlapped(len..self.cache.len());
        }
        self.sequence += 1;
        self.cache.resize(len, 0);
        self.push(Change::Length(len));
    }

    /// Makes everything durable that had happened at `moment`.
    pub fn sync(&mut self, moment: u64) {
        let count = self.count_until(moment);
        self.apply_first(count);
        if self.unsynced.is_empty() {
            // A length that an earlier, failed sync lost is written with the inode by the next.
            self.platter.resize(self.cache.len(), 0);
        }
    }

    fn count_until(&self, moment: u64) -> usize {
        self.unsynced.partition_point(|u| u.sequence <= moment)
    }

    fn apply_first(&mut self, count: usize) {
        let changes: Vec<Unsynced> = self.unsynced.drain(..count).collect();
        for unsynced in changes {
            match unsynced.change {
                Change::Length(len) => self.platter.resize(len, 0),
                Change::Write { range, saved, fate } => {
                    let bytes = match &saved {
                        Some(saved) => saved.as_slice(),
                        None => &self.cache[range.clone()],
                    };
                    if let Some(former) = &mut self.former {
                        remember(former, &self.platter, range.start, bytes);
                    }
                    put(&mut self.platter, range, bytes, fate, &mut self.scars);
                }
            }
        }
        if self.unsynced.is_empty() {
            self.unsynced_end = 0;
        }
    }

    /// Puts into `got`, which was read at `start`, what the platter holds under unsynced writes, or held before it was
    /// overwritten. Answers whether that makes a difference.
    pub fn make_stale(&self, start: usize, got: &mut [u8], dice: Dice<'_>) -> bool {
        let end = start + got.len();
        let mut olds: Vec<(usize, &[u8])> = Vec::new();
        let platter = &self.platter[start.min(self.platter.len())..end.min(self.platter.len())];
        if got[..platter.len()] != *platter {
            olds.push((start, platter));
        }
        let former = self.former.iter().flatten();
        let overlapping = former.filter(|(at, bytes)| *at < end && start < at + bytes.len());
        olds.extend(overlapping.map(|(at, bytes)| (*at, bytes.as_slice())));
        if olds.is_empty() {
            return false;
        }
        let (at, old) = olds[dice.below(olds.len())];
        let (from, to) = (at.max(start), (at + old.len()).min(end));
        let (old, new) = (&old[from - at..to - at], &mut got[from - start..to - start]);
        let differs = old != new;
        new.copy_from_slice(old);
        differs
    }

    /// Puts bytes on the platter and into the cache. `false` if the file does not reach so far.
    pub fn put_at(&mut self, start: usize, bytes: &[u8]) -> bool {
        let end = start + bytes.len();
        if end > self.platter.len() || end > self.cache.len() {
            return false;
        }
        self.platter[start..end].copy_from_slice(bytes);
        self.cache[start..end].copy_from_slice(bytes);
        true
    }

    /// A failed sync: some of what it should have made durable is, the rest never will be, and the cache does not show it.
    pub fn fail_sync(&mut self, moment: u64, dice: Dice<'_>) -> Loss {
        let count = self.count_until(moment);
        let (platter, loss, scars) = self.replay(count, dice, false);
        self.platter = platter;
        self.unsynced.drain(..count);
        self.diverged |= loss.lost_sectors > 0 || loss.length;
        self.scar_all(scars);
        loss
    }

    /// The cache is gone, and with it some of what was not synced.
    pub fn power_cut(&mut self, dice: Dice<'_>, torn: bool) -> Loss {
        let mut loss = Loss::default();
        if !self.unsynced.is_empty() {
            let (platter, what, scars) = self.replay(self.unsynced.len(), dice, torn);
            self.platter = platter;
            self.unsynced.clear();
            self.unsynced_end = 0;
            self.scar_all(scars);
            loss = what;
            self.diverged = true;
        }
        if self.diverged {
            self.cache.clone_from(&self.platter);
            self.diverged = false;
        }
        loss
    }

    pub fn has_unsynced(&self) -> bool {
        !self.unsynced.is_empty()
    }

    pub fn is_diverged(&self) -> bool {
        self.diverged
    }

    /// Drops clean pages: reads see the platter, under the changes that are still to be written back.
    pub fn drop_cache(&mut self) {
        let mut full = self.platter.clone();
        for unsynced in &self.unsynced {
            match &unsynced.change {
                Change::Length(len) => full.resize(*len, 0),
                Change::Write { range, saved, .. } => {
                    let bytes = self.bytes_of(range, saved.as_deref());
                    put(
                        &mut full,
                        range.clone(),
                        bytes,
                        Fate::Sound,
                        &mut Vec::new(),
                    );
                }
            }
        }
        let same = |(old, new): &(&u8, &u8)| old == new;
        let first = full.iter().zip(&self.cache).take_while(same).count();
        self.scar(first..full.len(), FaultKind::DiskCacheDropped);
        // Changes without a copy of their own point into the cache, which now holds the same bytes there.
        self.cache = full;
        self.diverged = false;
    }

    /// Flips a bit at rest. If the sector is in the cache and clean, the cache may hide it until it is dropped.
    pub fn flip(&mut self, offset: usize, bit: u8, hidden: bool) {
        let Some(byte) = self.platter.get_mut(offset) else {
            return;
        };
        *byte ^= 1 << bit;
        self.scar(offset..offset + 1, FaultKind::DiskBitRot);
        if hidden {
            self.diverged = true;
        } else if !self.is_unsynced_at(offset)
            && let Some(byte) = self.cache.get_mut(offset)
        {
            *byte ^= 1 << bit;
        }
    }

    fn is_unsynced_at(&self, offset: usize) -> bool {
        self.unsynced.iter().any(|u| match &u.change {
            Change::Write { range, .. } => range.contains(&offset),
            Change::Length(_) => false,
        })
    }

    fn scar(&mut self, range: Range<usize>, kind: FaultKind) {
        self.scar_all(vec![Scar { range, kind }]);
    }

    fn scar_all(&mut self, scars: Vec<Scar>) {
        self.scars.extend(scars);
        let excess = self.scars.len().saturating_sub(SCARS_MAX);
        self.scars.drain(..excess);
    }

    /// The kinds of damage that a read of `range` meets.
    pub fn scars_in(&self, range: Range<usize>) -> impl Iterator<Item = FaultKind> + '_ {
        self.scars
            .iter()
            .filter(move |s| s.range.start < range.end && range.start < s.range.end)
            .map(|scar| scar.kind)
    }

    /// What the platter holds if only survivors among the first `count` changes reach it.
    fn replay(&self, count: usize, dice: Dice<'_>, torn: bool) -> (Vec<u8>, Loss, Vec<Scar>) {
        let survivors = Survivors::draw(dice, count);
        let mut replay = Replay {
            full: self.platter.clone(),
            kept: self.platter.clone(),
            len: self.platter.len(),
            lengths_kept: self.draw_lengths(count, survivors, dice),
            torn_write: self.draw_torn(count, torn, dice),
            survivors,
            dice,
            loss: Loss::default(),
            scars: Vec::new(),
        };
        for (index, unsynced) in self.unsynced[..count].iter().enumerate() {
            match &unsynced.change {
                Change::Length(len) => replay.length(*len),
                Change::Write { range, saved, fate } => {
                    let bytes = self.bytes_of(range, saved.as_deref());
                    replay.write(index, range.clone(), bytes, *fate);
                }
            }
        }
        replay.finish()
    }

    /// How many of the changes of length are kept.
    fn draw_lengths(&self, count: usize, survivors: Survivors, dice: Dice<'_>) -> usize {
        let changes = self.unsynced[..count].iter();
        let lengths = changes.filter(|u| matches!(u.change, Change::Length(_)));
        let before = |end: usize| {
            let changes = self.unsynced[..end.min(count)].iter();
            changes
                .filter(|u| matches!(u.change, Change::Length(_)))
                .count()
        };
        let lengths = lengths.count();
        if lengths == 0 {
            return 0;
        }
        match survivors {
            _ if dice.chance(250_000) => dice.below(lengths + 1),
            Survivors::None => 0,
            Survivors::All => lengths,
            Survivors::Prefix(changes, _) => before(changes),
            Survivors::EachChange | Survivors::EachSector(_) => dice.below(lengths + 1),
        }
    }

    fn draw_torn(&self, count: usize, torn: bool, dice: Dice<'_>) -> Option<usize> {
        let changes = self.unsynced[..count].iter().enumerate();
        let writes: Vec<usize> = changes
            .filter(|(_, u)| matches!(u.change, Change::Write { .. }))
            .map(|(index, _)| index)
            .collect();
        match writes.len() {
            0 => None,
            n if torn => Some(writes[dice.below(n)]),
            _ => None,
        }
    }
}

struct Replay<'a> {
    /// As if everything so far had reached the platter.
    full: Vec<u8>,
    kept: Vec<u8>,
    len: usize,
    lengths_kept: usize,
    torn_write: Option<usize>,
    survivors: Survivors,
    dice: Dice<'a>,
    loss: Loss,
    scars: Vec<Scar>,
}

impl Replay<'_> {
    fn length(&mut self, len: usize) {
        self.full.resize(len, 0);
        if self.lengths_kept == 0 {
            self.loss.length = true;
            self.scars.push(Scar {
                range: self.len.min(len)..self.len.max(len),
                kind: FaultKind::DiskLostLength,
            });
            return;
        }
        self.lengths_kept -= 1;
        self.len = len;
        if len < self.kept.len() {
            self.kept.truncate(len);
        }
    }

    fn write(&mut self, index: usize, range: Range<usize>, bytes: &[u8], fate: Fate) {
        put(&mut self.full, range.clone(), bytes, fate, &mut self.scars);
        let range = match fate {
            Fate::Sound => range,
            Fate::Lost => return,
            Fate::Misdirected(to) => to..to + range.len(),
        };
        let first = range.start / SECTOR;
        let last = (range.end - 1) / SECTOR;
        let whole = match self.survivors {
            Survivors::None => Some(false),
            Survivors::All => Some(true),
            Survivors::EachChange => Some(self.dice.chance(500_000)),
            Survivors::Prefix(changes, _) if index != changes => Some(index < changes),
            _ => None,
        };
        let torn = match self.torn_write {
            Some(torn) if torn == index => Some(first + self.dice.below(last - first + 1)),
            _ => None,
        };
        for sector in first..=last {
            if torn == Some(sector) {
                let bytes = 1 + self.dice.below(SECTOR - 1);
                self.keep(sector, bytes);
                self.loss.torn = true;
                self.scar(sector, FaultKind::DiskTornSector);
                continue;
            }
            let keep = match (whole, self.survivors) {
                (Some(whole), _) => whole,
                (None, Survivors::Prefix(_, share)) => {
                    (sector - first) * 1_000_000 < (last - first + 1) * share
                }
                (None, Survivors::EachSector(ppm)) => self.dice.chance(ppm),
                (None, _) => false,
            };
            if keep {
                self.keep(sector, SECTOR);
            } else {
                self.loss.lost_sectors += 1;
                self.scar(sector, FaultKind::DiskLostSectors);
            }
        }
    }

    /// The first `count` bytes of the sector's present version reach the platter.
    fn keep(&mut self, sector: usize, count: usize) {
        let start = sector * SECTOR;
        let end = (start + count).min(self.full.len());
        if start >= end {
            return;
        }
        if self.kept.len() < end {
            self.kept.resize(end, 0);
        }
        self.kept[start..end].copy_from_slice(&self.full[start..end]);
    }

    fn scar(&mut self, sector: usize, kind: FaultKind) {
        if self.scars.len() < SCARS_MAX {
            let start = sector * SECTOR;
            self.scars.push(Scar {
                range: start..start + SECTOR,
                kind,
            });
        }
    }

    fn finish(mut self) -> (Vec<u8>, Loss, Vec<Scar>) {
        self.kept.resize(self.len, 0);
        (self.kept, self.loss, self.scars)
    }
}

/// Keeps what the platter holds where `bytes` go, if they differ.
fn remember(former: &mut VecDeque<(usize, Vec<u8>)>, platter: &[u8], start: usize, bytes: &[u8]) {
    let end = (start + bytes.len().min(FORMER_LEN_MAX)).min(platter.len());
    let Some(old) = platter.get(start..end).filter(|old| !old.is_empty()) else {
        return;
    };
    if *old != bytes[..old.len()] {
        former.push_back((start, old.to_vec()));
        if former.len() > FORMER_MAX {
            former.pop_front();
        }
    }
}

/// Puts the bytes of one write where its fate leads them.
fn put(
    platter: &mut Vec<u8>,
    range: Range<usize>,
    bytes: &[u8],
    fate: Fate,
    scars: &mut Vec<Scar>,
) {
    let at = match fate {
        Fate::Sound => range.start,
        Fate::Lost => {
            let kind = FaultKind::DiskLostWrite;
            scars.push(Scar { range, kind });
            return;
        }
        Fate::Misdirected(to) => {
            let kind = FaultKind::DiskMisdirectedWrite;
            let landed = to..to + bytes.len();
            scars.extend([range, landed].map(|range| Scar { range, kind }));
            to
        }
    };
    let end = at + bytes.len();
    if platter.len() < end {
        platter.resize(end, 0);
    }
    platter[at..end].copy_from_slice(bytes);
}

#[cfg(test)]
mod tests;
