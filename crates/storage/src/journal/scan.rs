//! Reading the journal at a start: group after group, and what to make of the place where they end.
//!
//! A group is written only after the one before it was synced. So a group that does not verify was never
//! acknowledged, *unless* a later valid one exists: then it had been synced, and the disk has damaged it.

use super::entry::Entry;
use super::file::JournalFile;
use super::group::{GROUP_HEADER, GroupHeader};
use super::{BLOCK, Joint, Place};
use crate::OpenError;
use crate::reading::read_twice;
use bytes::Bytes;
use taffrail_env::File;
use taffrail_env::disk::DiskResult;

/// How much is read at once.
const WINDOW: usize = 1 << 20;

/// Where the journal ends.
pub struct ScanEnd {
    pub joint: Joint,
    /// Where each file begins that holds a group, the first one at the start of the scan.
    pub begins: Vec<Joint>,
    /// The last valid group: the only one that may not be on the platter.
    pub last_group: Option<LastGroup>,
    pub groups: u64,
    pub bytes_read: u64,
    /// Something was begun behind the end and not finished.
    pub torn: bool,
    /// The journal goes on behind the place where it was expected to end.
    pub goes_on: bool,
}

/// What is scanned.
pub struct Scanned<'a, F> {
    /// Consecutive lives, the first one being that of the scan's start.
    pub files: &'a [JournalFile<F>],
    /// By their headers these hold nothing that is needed.
    pub idle: &'a [JournalFile<F>],
    /// The length of each.
    pub file_len: u64,
}

/// A group to be written again where it was.
pub struct LastGroup {
    pub place: Place,
    pub bytes: Bytes,
}

/// Follows the groups from `start` through the files. Gives each group's entries to `fold`, which may say what is wrong with one.
/// Where the journal is known to end at `expected`, only the next group is looked for behind: if there is one, whoever
/// said so did not know of it.
pub async fn scan<F: File>(
    scanned: &Scanned<'_, F>,
    start: Joint,
    expected: Option<Joint>,
    fold: &mut impl FnMut(Place, Vec<Entry>) -> Result<(), String>,
) -> Result<ScanEnd, OpenError> {
    let mut scan = Scan {
        files: scanned.files,
        file_len: scanned.file_len,
        window: Window::default(),
        end: ScanEnd {
            joint: start,
            begins: vec![start],
            last_group: None,
            groups: 0,
            bytes_read: 0,
            torn: false,
            goes_on: false,
        },
    };
    let (mut at, mut offset) = (0, start.place.offset);
    loop {
        let expected_here = expected == Some(scan.end.joint);
        let mut next = scan.successor(at, offset).await?;
        if next.is_none() && !expected_here {
            // Once more: it may have been the reading.
            scan.window.forget();
            next = scan.successor(at, offset).await?;
        }
        let Some((file, header, bytes)) = next else {
            if !expected_here {
                scan.refuse_successors(at, offset).await?;
                scan.refuse_newer_contents(scanned.idle).await?;
            }
            scan.end.bytes_read = scan.window.bytes_read;
            return Ok(scan.end);
        };
        scan.end.goes_on |= expected_here;
        if file != at {
            (at, offset) = (file, BLOCK);
            let place = Place {
                file: scan.files[at].sequence,
                offset,
            };
            let begin = Joint {
                place,
                ..scan.end.joint
            };
            scan.end.begins.push(begin);
        }
        scan.accept(at, offset, header, bytes, fold)?;
        offset += header.padded_len();
    }
}

struct Scan<'a, F> {
    files: &'a [JournalFile<F>],
    file_len: u64,
    window: Window,
    end: ScanEnd,
}

impl<F: File> Scan<'_, F> {
    /// The valid group at a place, if there is one.
    async fn group_at(
        &mut self,
        at: usize,
        offset: u64,
    ) -> DiskResult<Option<(GroupHeader, Bytes)>> {
        if offset + BLOCK > self.file_len {
            return Ok(None);
        }
        let file = &self.files[at];
        let head = self.window.get(at, file, offset, GROUP_HEADER).await?;
        let Some(header) = GroupHeader::parse(&head, self.file_len - offset) else {
            return Ok(None);
        };
        let len = header.padded_len() as usize;
        let bytes = self.window.get(at, file, offset, len).await?;
        Ok(header
            .verifies(file.nonce, &bytes)
            .then_some((header, bytes)))
    }

    /// The next group: here, or at the beginning of the next file. With the number of its file.
    async fn successor(
        &mut self,
        at: usize,
        offset: u64,
    ) -> DiskResult<Option<(usize, GroupHeader, Bytes)>> {
        for (file, offset) in [(at, offset), (at + 1, BLOCK)] {
            if file < self.files.len()
                && let Some((header, bytes)) = self.group_at(file, offset).await?
                && self.follows(&header)
            {
                return Ok(Some((file, header, bytes)));
            }
        }
        Ok(None)
    }

    fn follows(&self, header: &GroupHeader) -> bool {
        let joint = &self.end.joint;
        header.sequence == joint.sequence + 1 && header.previous == joint.checksum
    }

    fn accept(
        &mut self,
        at: usize,
        offset: u64,
        header: GroupHeader,
        bytes: Bytes,
        fold: &mut impl FnMut(Place, Vec<Entry>) -> Result<(), String>,
    ) -> Result<(), OpenError> {
        let file = &self.files[at];
        let place = Place {
            file: file.sequence,
            offset,
        };
        let folded = match header.entries(&bytes) {
            Some(entries) => fold(place, entries),
            None => Err("a journal group holds entries that are not understood".into()),
        };
        folded.map_err(|what| OpenError::Damaged {
            file: file.file.path().into(),
            offset,
            what,
        })?;
        self.end.joint = Joint {
            place: Place {
                file: file.sequence,
                offset: offset + header.padded_len(),
            },
            sequence: header.sequence,
            checksum: header.checksum,
        };
        self.end.last_group = Some(LastGroup { place, bytes });
        self.end.groups += 1;
        Ok(())
    }

    /// The journal seems to end at this place. It does not if a later group verifies anywhere behind it.
    async fn refuse_successors(&mut self, at: usize, offset: u64) -> Result<(), OpenError> {
        for behind in at..self.files.len() {
            let mut block = if behind == at { offset } else { BLOCK };
            while block + BLOCK <= self.file_len {
                let file = &self.files[behind];
                let head = self.window.get(behind, file, block, GROUP_HEADER).await?;
                let header = GroupHeader::parse(&head, self.file_len - block);
                let later = header.is_some_and(|header| header.sequence > self.end.joint.sequence);
                self.end.torn |= later && behind == at && block == offset;
                if later && self.group_at(behind, block).await?.is_some() {
                    return Err(OpenError::Damaged {
                        file: self.files[at].file.path().into(),
                        offset,
                        what: format!(
                            "journal group {} does not verify, but a later one does (at {block} of {})",
                            self.end.joint.sequence + 1,
                            file.file.path().display()
                        ),
                    });
                }
                block += BLOCK;
            }
        }
        Ok(())
    }
}

impl<F: File> Scan<'_, F> {
    /// The journal ends here, unless a file goes on with it whose header belongs to an earlier life: then the disk has lost
    /// the newer header, or hides it.
    async fn refuse_newer_contents(&self, idle: &[JournalFile<F>]) -> Result<(), OpenError> {
        for file in idle {
            let head = read_twice(&file.file, BLOCK, GROUP_HEADER).await?;
            if GroupHeader::parse(&head, self.file_len - BLOCK)
                .is_some_and(|header| self.follows(&header))
            {
                return Err(OpenError::Damaged {
                    file: file.file.path().into(),
                    offset: 0,
                    what: format!(
                        "it holds journal group {}, and its header belongs to an earlier life of the file",
                        self.end.joint.sequence + 1
                    ),
                });
            }
        }
        Ok(())
    }
}

/// Whether a file without a header was in use: a new file holds nothing but zeros until it has one.
pub async fn holds_groups<F: File>(file: &F, file_len: u64) -> DiskResult<bool> {
    let mut offset = BLOCK;
    while offset < file_len {
        let bytes = read_twice(file, offset, WINDOW).await?;
        if bytes
            .chunks(BLOCK as usize)
            .any(|block| GroupHeader::parse(block, u64::MAX).is_some())
        {
            return Ok(true);
        }
        if bytes.is_empty() {
            break;
        }
        offset += bytes.len() as u64;
    }
    Ok(false)
}

/// Part of a file in memory, so that small groups are not read one by one.
#[derive(Default)]
struct Window {
    at: usize,
    offset: u64,
    bytes: Bytes,
    bytes_read: u64,
}

impl Window {
    /// What is asked for next is read again.
    fn forget(&mut self) {
        self.bytes = Bytes::new();
    }

    /// `len` bytes at `offset`, fewer only at the end of the file.
    async fn get<F: File>(
        &mut self,
        at: usize,
        file: &JournalFile<F>,
        offset: u64,
        len: usize,
    ) -> DiskResult<Bytes> {
        let inside = self.at == at
            && offset >= self.offset
            && offset + len as u64 <= self.offset + self.bytes.len() as u64;
        if !inside {
            let bytes = read_twice(&file.file, offset, len.max(WINDOW)).await?;
            self.bytes_read += bytes.len() as u64;
            (self.at, self.offset, self.bytes) = (at, offset, bytes.freeze());
        }
        let from = ((offset - self.offset) as usize).min(self.bytes.len());
        let to = (from + len).min(self.bytes.len());
        Ok(self.bytes.slice(from..to))
    }
}
