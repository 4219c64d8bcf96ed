//! Journal groups: what one sync makes durable.
//!
//! A group is valid only in one life of one file (the nonce keys its checksum) and only behind one group
//! (it carries that one's checksum). Nothing here believes a length before it is bounded.

use super::entry::Entry;
use super::{BLOCK, Joint};
use crate::checksum::Crc64;
use crate::cursor::Cursor;
use bytes::{BufMut, Bytes, BytesMut};

pub const GROUP_HEADER: usize = 40;
const MAGIC: &[u8; 8] = b"TAFGROUP";
const CHECKED: usize = 32;
static ZEROS: [u8; BLOCK as usize] = [0; BLOCK as usize];

/// A group's header as it stands there; nothing verified but the magic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupHeader {
    pub sequence: u64,
    pub previous: u64,
    pub length: u32,
    pub count: u32,
    pub checksum: u64,
}

/// A group ready to be written.
pub struct Encoded {
    pub pieces: Vec<Bytes>,
    pub checksum: u64,
    /// With the zeros up to the next block.
    pub padded_len: u64,
}

/// Bytes that a group with entries of `length` bytes takes in the file.
pub fn padded_len(length: usize) -> u64 {
    (GROUP_HEADER + length).next_multiple_of(BLOCK as usize) as u64
}

/// Encodes the group that comes behind `before`. Payloads are spliced in, not copied.
pub fn encode(nonce: u64, before: &Joint, entries: impl Iterator<Item = Entry>) -> Encoded {
    let mut pieces = vec![Bytes::new()];
    let mut head = BytesMut::with_capacity(BLOCK as usize);
    let (mut length, mut count) = (0, 0);
    for entry in entries {
        length += entry.encoded_len();
        count += 1;
        entry.encode(&mut head, &mut pieces);
    }
    if !head.is_empty() {
        pieces.push(head.freeze());
    }
    let mut header = BytesMut::with_capacity(GROUP_HEADER);
    header.put_slice(MAGIC);
    header.put_u64_le(before.sequence + 1);
    header.put_u64_le(before.checksum);
    header.put_u32_le(length as u32);
    header.put_u32_le(count);
    let mut crc = Crc64::new();
    crc.update(&nonce.to_le_bytes());
    crc.update(&header);
    pieces[1..].iter().for_each(|piece| crc.update(piece));
    let checksum = crc.value();
    header.put_u64_le(checksum);
    pieces[0] = header.freeze();
    let padded_len = padded_len(length);
    let padding = padded_len as usize - GROUP_HEADER - length;
    if padding > 0 {
        pieces.push(Bytes::from_static(&ZEROS[..padding]));
    }
    Encoded {
        pieces,
        checksum,
        padded_len,
    }
}

impl GroupHeader {
    /// Reads a header; `None` if there is none, or it claims more than `room` bytes.
    pub fn parse(bytes: &[u8], room: u64) -> Option<GroupHeader> {
        let mut cursor = Cursor::new(bytes);
        if &cursor.array::<8>()? != MAGIC {
            return None;
        }
        let header = GroupHeader {
            sequence: cursor.u64()?,
            previous: cursor.u64()?,
            length: cursor.u32()?,
            count: cursor.u32()?,
            checksum: cursor.u64()?,
        };
        (header.padded_len() <= room).then_some(header)
    }

    pub fn padded_len(&self) -> u64 {
        padded_len(self.length as usize)
    }

    /// Whether `bytes`, which start at the header, hold this whole group, in the life that `nonce` names.
    pub fn verifies(&self, nonce: u64, bytes: &[u8]) -> bool {
        let Some(entries) = bytes.get(GROUP_HEADER..GROUP_HEADER + self.length as usize) else {
            return false;
        };
        let mut crc = Crc64::new();
        crc.update(&nonce.to_le_bytes());
        crc.update(&bytes[..CHECKED]);
        crc.update(entries);
        crc.value() == self.checksum
    }

    /// The entries of a group that verified. `None` if they are not what this version writes.
    pub fn entries(&self, bytes: &Bytes) -> Option<Vec<Entry>> {
        let bytes = bytes.slice(..GROUP_HEADER + self.length as usize);
        let mut entries = Vec::new();
        let mut at = GROUP_HEADER;
        while at < bytes.len() {
            let (entry, next) = Entry::decode(&bytes, at)?;
            entries.push(entry);
            at = next;
        }
        (entries.len() == self.count as usize).then_some(entries)
    }
}
