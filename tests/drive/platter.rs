//! What the drive does: a platter under a volatile write cache.
//!
//! **Cache.** A write is seen by every later read and is held until the next flush, which puts all that is held on the platter.
//! **Power.** A cut that was ordered comes at one of the next writes or flushes, as its seed draws, and with something held.
//! Each held write is kept, lost, or torn into sectors of which any may be kept, whatever was written before or after it;
//! what was flushed stays. From then on everything fails until power is back.
//! **Failures.** A failed read changes nothing. A failed write leaves any of its sectors behind. A failed flush loses any of the
//! held sectors for good, and the next flush succeeds: whoever tries again has lost them without a word.
//!
//! Sectors are 512 bytes. Only the first 4 KiB are never torn: ext4's superblock is there, and no file system comes back from half of one.

#[cfg(test)]
mod tests;

use crate::control::{Command, Operation};
use std::fs::File;
use std::io::{Error, Result};
use std::os::unix::fs::FileExt;
use std::path::Path;

const SECTOR: u64 = 512;
/// A cut comes after at most so many writes and flushes,
const CUT_AFTER_MAX: u64 = 100;
/// and then waits at most for so many more until enough writes are held.
const CUT_PATIENCE: u64 = 600;
/// Up to here the drive writes a block wholly or not at all.
const WHOLE: u64 = 4096;

pub struct Platter {
    size: u64,
    /// What survives a cut.
    durable: File,
    /// What reads find: that, and what is held.
    seen: File,
    held: Vec<Held>,
    power: bool,
    coming_cut: Option<ComingCut>,
    /// What became of the last cut.
    cut: String,
    /// Percent of requests that fail.
    failing: [u8; 3],
    random: Random,
    counts: Counts,
}

/// A cut that was ordered.
struct ComingCut {
    /// Writes and flushes to come before it.
    after: u64,
    /// Writes that shall be held when it comes.
    held: usize,
    patience: u64,
}

struct Held {
    offset: u64,
    data: Vec<u8>,
}

#[derive(Default)]
struct Counts {
    writes: u64,
    flushes: u64,
    failed: [u64; 3],
}

impl Platter {
    /// A drive full of zeros, kept in two files in `directory`.
    pub fn create(directory: &Path, size: u64) -> Result<Platter> {
        let create = |name| -> Result<File> {
            let file = File::options()
                .read(true)
                .write(true)
                .create_new(true)
                .open(directory.join(name))?;
            file.set_len(size)?;
            Ok(file)
        };
        Ok(Platter {
            size,
            durable: create("platter")?,
            seen: create("seen")?,
            held: Vec::new(),
            power: true,
            coming_cut: None,
            cut: String::new(),
            failing: [0; 3],
            random: Random(0),
            counts: Counts::default(),
        })
    }

    pub fn size(&self) -> u64 {
        self.size
    }

    pub fn read(&mut self, offset: u64, len: usize) -> Result<Vec<u8>> {
        if self.fails(Operation::Reads) {
            return Err(Error::other("a failed read"));
        }
        let left = self.size.saturating_sub(offset);
        let mut data = vec![0; usize::try_from(left).map_or(len, |left| left.min(len))];
        self.seen.read_exact_at(&mut data, offset)?;
        Ok(data)
    }

    pub fn write(&mut self, offset: u64, data: &[u8]) -> Result<()> {
        if offset
            .checked_add(data.len() as u64)
            .is_none_or(|end| end > self.size)
        {
            return Err(Error::other("a write past the end"));
        }
        let failed = self.fails(Operation::Writes);
        if !self.power {
            return Err(Error::other("a write without power"));
        }
        self.counts.writes += 1;
        if !failed {
            self.hold(offset, data)?;
            return self.come_to_cut();
        }
        for (offset, sector) in sectors(offset, data) {
            if self.random.percent(50) {
                self.hold(offset, sector)?;
            }
        }
        Err(Error::other("a failed write"))
    }

    fn hold(&mut self, offset: u64, data: &[u8]) -> Result<()> {
        self.seen.write_all_at(data, offset)?;
        let data = data.to_vec();
        self.held.push(Held { offset, data });
        Ok(())
    }

    pub fn flush(&mut self) -> Result<()> {
        let failed = self.fails(Operation::Flushes);
        if !self.power {
            return Err(Error::other("a flush without power"));
        }
        self.come_to_cut()?;
        self.counts.flushes += 1;
        if failed {
            let kept = self.random.below(101) as u8;
            self.settle(kept)?;
            return Err(Error::other("a failed flush"));
        }
        for held in self.held.drain(..) {
            self.durable.write_all_at(&held.data, held.offset)?;
        }
        Ok(())
    }

    /// Answers what was done.
    pub fn obey(&mut self, command: Command) -> Result<String> {
        match command {
            Command::Cut { seed } => {
                self.random = Random(seed);
                self.coming_cut = Some(ComingCut {
                    after: self.random.below(CUT_AFTER_MAX),
                    held: [1, 4, 6, 12, 24][self.random.below(5) as usize],
                    patience: CUT_PATIENCE,
                });
                Ok(format!("cut {seed} will come"))
            }
            Command::Fail {
                what,
                percent,
                seed,
            } => {
                self.random = Random(seed);
                self.failing[what as usize] = percent;
                Ok(self.state())
            }
            Command::On => {
                let said = self.state();
                self.power = true;
                self.coming_cut = None;
                self.failing = [0; 3];
                self.counts = Counts::default();
                Ok(said)
            }
            Command::State => Ok(self.state()),
        }
    }

    /// Another write or flush: the one at which the power fails?
    fn come_to_cut(&mut self) -> Result<()> {
        let Some(cut) = &mut self.coming_cut else {
            return Ok(());
        };
        if cut.after > 0 {
            cut.after -= 1;
            return Ok(());
        }
        let wanted = if cut.patience > 0 { cut.held } else { 1 };
        cut.patience = cut.patience.saturating_sub(1);
        if self.held.len() < wanted {
            return Ok(());
        }
        self.coming_cut = None;
        // Some cuts keep nothing, some everything, most a part.
        let kept = [0, 10, 50, 90, 100][self.random.below(5) as usize];
        let (writes, sectors, of) = self.settle(kept)?;
        self.cut = format!("cut: {writes} writes were held, {sectors} of their {of} sectors kept");
        self.power = false;
        Err(Error::other("the power fails"))
    }

    fn state(&self) -> String {
        if !self.power {
            return self.cut.clone();
        }
        let Counts {
            writes,
            flushes,
            failed: [reads_failed, writes_failed, flushes_failed],
        } = self.counts;
        format!(
            "{writes} writes, {flushes} flushes; failed {reads_failed} reads, {writes_failed} writes, {flushes_failed} flushes; {} held",
            self.held.len()
        )
    }

    /// Whether such a request fails now.
    fn fails(&mut self, what: Operation) -> bool {
        let fails = !self.power || self.random.percent(self.failing[what as usize]);
        self.counts.failed[what as usize] += u64::from(fails);
        fails
    }

    /// Decides what of all that is held reaches the platter, about `percent` of it, and forgets the rest. Answers the number of
    /// writes, and of sectors kept and held.
    fn settle(&mut self, percent: u8) -> Result<(usize, u64, u64)> {
        let held = std::mem::take(&mut self.held);
        let (mut kept, mut of) = (0, 0);
        for write in &held {
            let torn = self.random.percent(30);
            let mut keep = self.random.percent(percent);
            for (offset, sector) in sectors(write.offset, &write.data) {
                if torn {
                    keep = self.random.percent(percent);
                }
                of += 1;
                if keep {
                    kept += 1;
                    self.durable.write_all_at(sector, offset)?;
                }
            }
        }
        for write in &held {
            let mut now = vec![0; write.data.len()];
            self.durable.read_exact_at(&mut now, write.offset)?;
            self.seen.write_all_at(&now, write.offset)?;
        }
        Ok((held.len(), kept, of))
    }
}

/// What of a write is there or not on its own, in order.
fn sectors(mut offset: u64, mut data: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    std::iter::from_fn(move || {
        let end = if offset < WHOLE {
            WHOLE
        } else {
            (offset / SECTOR + 1) * SECTOR
        };
        let (sector, rest) = data.split_at(data.len().min((end - offset) as usize));
        let at = offset;
        (offset, data) = (end, rest);
        (!sector.is_empty()).then_some((at, sector))
    })
}

/// SplitMix64: few lines, every seed good.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31) % bound
    }

    fn percent(&mut self, percent: u8) -> bool {
        self.below(100) < u64::from(percent)
    }
}
