//! Reads, and what they return instead of what was written.
//!
//! Damage stays until the place is written again. A read that lies (a flipped bit, an old block, another place's
//! bytes) lies once: the next read of the same bytes is sound, so that whoever asks again learns the truth.

use super::files::{Answer, Files, IO_ERROR};
use super::handle::Handle;
use super::image::SECTOR;
use crate::fault::FaultKind;
use crate::memory::charge_to;
use crate::world::World;
use bytes::BytesMut;

impl Handle {
    pub(super) fn read(
        &self,
        world: &World,
        offset: u64,
        len: usize,
        buffer: &mut BytesMut,
    ) -> Answer<()> {
        let range = (offset, len as u64);
        if self.strikes(world, FaultKind::DiskReadError, range) {
            world.faults().count_met(FaultKind::DiskReadError);
            return Err(IO_ERROR);
        }
        let dice = self.device.dice(world);
        let mut files = self.device.files.borrow_mut();
        let size = files.image(self.inode).len();
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(size);
        let mut count = len.min(size - start);
        if count == 0 {
            return Ok(());
        }
        if count > 1 && self.strikes(world, FaultKind::DiskShortRead, range) {
            count = 1 + dice.below(count - 1);
            world.faults().count_met(FaultKind::DiskShortRead);
        }
        if self.strikes(world, FaultKind::DiskBitRot, range) {
            let at = start + dice.below(count);
            let bit = dice.below(8) as u8;
            files.image(self.inode).flip(at, bit, false);
        }
        if self.strikes(world, FaultKind::DiskLatentSector, range) {
            let sector = (start + dice.below(count)) / SECTOR;
            files.inode(self.inode).bad.insert(sector);
        }
        let bad = &files.inode(self.inode).bad;
        if !bad.is_empty() {
            let sectors = start / SECTOR..=(start + count - 1) / SECTOR;
            if bad.range(sectors).next().is_some() {
                world.faults().count_met(FaultKind::DiskLatentSector);
                return Err(IO_ERROR);
            }
        }
        let image = files.image(self.inode);
        for scar in image.scars_in(start..start + count) {
            world.faults().count_met(scar);
        }
        let _charge = charge_to(self.life.number());
        let had = buffer.len();
        buffer.extend_from_slice(&image.cache()[start..start + count]);
        self.lie(world, &mut files, start, &mut buffer[had..]);
        Ok(())
    }

    /// Perhaps what was read is not what is there.
    fn lie(&self, world: &World, files: &mut Files, start: usize, got: &mut [u8]) {
        let place = start..start + got.len();
        let inode = files.inode(self.inode);
        if let Some(lied) = &inode.lied
            && lied.start < place.end
            && place.start < lied.end
        {
            inode.lied = None;
            return;
        }
        let range = (start as u64, got.len() as u64);
        let stale = self.strikes(world, FaultKind::DiskStaleRead, range);
        let misdirected = self.strikes(world, FaultKind::DiskMisdirectedRead, range);
        let flipped = self.strikes(world, FaultKind::DiskReadFlip, range);
        if !(stale || misdirected || flipped) {
            return;
        }
        let before = got.to_vec();
        let mut kinds = Vec::new();
        if stale {
            let dice = self.device.dice(world);
            if files.image(self.inode).make_stale(start, got, dice) {
                kinds.push(FaultKind::DiskStaleRead);
            }
        }
        if misdirected {
            self.misdirect(world, files, start, got);
            kinds.push(FaultKind::DiskMisdirectedRead);
        }
        if flipped {
            let dice = self.device.dice(world);
            let at = dice.below(got.len());
            got[at] ^= 1 << dice.below(8);
            kinds.push(FaultKind::DiskReadFlip);
        }
        if before != got {
            for kind in kinds {
                world.faults().count_met(kind);
            }
            files.inode(self.inode).lied = Some(place);
        }
    }

    /// The bytes of another place: of this file, or the same place of another one.
    fn misdirect(&self, world: &World, files: &mut Files, start: usize, got: &mut [u8]) {
        let dice = self.device.dice(world);
        let (inode, from) = if dice.chance(500_000) {
            let size = files.image(self.inode).len();
            let sectors = (size - got.len()) / SECTOR + 1;
            (self.inode, dice.below(sectors) * SECTOR + start % SECTOR)
        } else {
            (files.any_file(dice), start)
        };
        let other = files.image(inode).cache();
        let other = &other[from.min(other.len())..];
        let count = other.len().min(got.len());
        got[..count].copy_from_slice(&other[..count]);
    }
}
