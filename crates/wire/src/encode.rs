//! Writing a frame: small parts gathered in one buffer, large ones spliced in without a copy.
//!
//! The result is a list of chunks for one vectored write. Four bytes at the front are kept free
//! for the frame's length. A part at or above [`SPLICE_BYTES_MIN`] becomes a chunk of its own; below that,
//! copying is cheaper than one more entry of the write.

use bytes::{BufMut, Bytes, BytesMut};
use std::fmt;

/// From this size on, bytes are passed on by reference.
pub const SPLICE_BYTES_MIN: usize = 1024;
/// The frame's length, in front of everything.
const PREFIX: usize = 4;

/// One frame being written.
#[derive(Debug)]
pub struct Encoder {
    /// The prefix and all small parts, one after another.
    small: BytesMut,
    /// Large parts, each with the length of `small` at which it belongs.
    spliced: Vec<(usize, Bytes)>,
    spliced_bytes: usize,
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Encoder {
    /// An empty frame.
    pub fn new() -> Self {
        Self::with_capacity(256 - PREFIX)
    }

    /// An empty frame with room for `bytes` bytes of small parts.
    pub fn with_capacity(bytes: usize) -> Self {
        let mut small = BytesMut::with_capacity(PREFIX + bytes);
        small.put_bytes(0, PREFIX);
        Self {
            small,
            spliced: Vec::new(),
            spliced_bytes: 0,
        }
    }

    /// Bytes written so far, without the length prefix.
    pub fn len(&self) -> usize {
        self.small.len() - PREFIX + self.spliced_bytes
    }

    /// Whether nothing was written yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies `bytes` to the end.
    pub fn put(&mut self, bytes: &[u8]) {
        self.small.put_slice(bytes);
    }

    /// Puts `bytes` at the end, by reference if they are many.
    pub fn put_shared(&mut self, bytes: &Bytes) {
        if bytes.len() < SPLICE_BYTES_MIN {
            self.put(bytes);
        } else {
            self.spliced_bytes += bytes.len();
            self.spliced.push((self.small.len(), bytes.clone()));
        }
    }

    /// An unsigned number in groups of seven bits, the lowest first.
    pub fn put_uvarint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.small.put_u8(value as u8 | 0x80);
            value >>= 7;
        }
        self.small.put_u8(value as u8);
    }

    /// The length of something that may be null, `limit` being the largest that the protocol
    /// allows; the counterpart of [`Decoder::length`](crate::Decoder::length).
    pub fn put_length<const OLD: usize>(
        &mut self,
        length: Option<usize>,
        flexible: bool,
        limit: usize,
    ) -> Result<(), EncodeError> {
        // One below the limit of the number itself, as flexible versions write the length plus one.
        let limit = limit.min(i32::MAX as usize - 1);
        let length = match length {
            Some(length) if length > limit => {
                return Err(EncodeError::new(EncodeReason::TooLong { length }));
            }
            Some(length) => length as i32,
            None => -1,
        };
        if flexible {
            self.put_uvarint((length + 1) as u32);
        } else if OLD == 2 {
            self.small.put_i16(length as i16);
        } else {
            self.small.put_i32(length);
        }
        Ok(())
    }

    /// A tagged field: its tag, its size, and what `write` writes.
    pub fn put_tagged(
        &mut self,
        tag: u32,
        write: impl FnOnce(&mut Encoder) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        let mut field = Encoder::new();
        write(&mut field)?;
        let size = u32::try_from(field.len()).map_err(|_| {
            EncodeError::new(EncodeReason::TooLong {
                length: field.len(),
            })
        })?;
        self.put_uvarint(tag);
        self.put_uvarint(size);
        for chunk in field.finish() {
            self.put_shared(&chunk);
        }
        Ok(())
    }

    /// Checks that the frame's length can be written.
    pub(crate) fn check_len(&self) -> Result<(), EncodeError> {
        match i32::try_from(self.len()) {
            Ok(_) => Ok(()),
            Err(_) => Err(EncodeError::new(EncodeReason::TooLong {
                length: self.len(),
            })),
        }
    }

    /// The frame as chunks, its length in front.
    pub fn finish_frame(mut self) -> Vec<Bytes> {
        // Every message checks this when it is written; headers alone never come near.
        let length = i32::try_from(self.len()).expect("a frame is below 2 GiB");
        self.small[..PREFIX].copy_from_slice(&length.to_be_bytes());
        self.chunks(0)
    }

    /// What was written as chunks, without a length in front.
    pub fn finish(self) -> Vec<Bytes> {
        self.chunks(PREFIX)
    }

    /// What was written in one piece; copies if there are large parts.
    pub fn finish_contiguous(self) -> Bytes {
        let mut chunks = self.finish();
        if chunks.len() == 1 {
            return chunks.remove(0);
        }
        Bytes::from(chunks.concat())
    }

    fn chunks(self, from: usize) -> Vec<Bytes> {
        let small = self.small.freeze();
        let mut chunks = Vec::with_capacity(2 * self.spliced.len() + 1);
        let mut start = from;
        for (at, bytes) in self.spliced {
            if at > start {
                chunks.push(small.slice(start..at));
            }
            chunks.push(bytes);
            start = at;
        }
        if small.len() > start {
            chunks.push(small.slice(start..));
        }
        chunks
    }
}

/// Why a message cannot be written in a version. The frame it was written to is unusable then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodeError {
    /// The structure that was being written; empty outside of any.
    pub structure: &'static str,
    /// The field of it; empty outside of any.
    pub field: &'static str,
    /// What the version cannot say.
    pub reason: EncodeReason,
}

impl EncodeError {
    #[cold]
    pub(crate) fn new(reason: EncodeReason) -> Self {
        Self {
            structure: "",
            field: "",
            reason,
        }
    }

    /// Names the field in which the error arose, unless an inner one is named already.
    #[cold]
    pub fn within(mut self, structure: &'static str, field: &'static str) -> Self {
        if self.field.is_empty() {
            self.structure = structure;
            self.field = field;
        }
        self
    }
}

/// What a version cannot say.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncodeReason {
    /// The message has no such version.
    UnsupportedVersion {
        /// The version asked for.
        version: i16,
    },
    /// The field is not its default, and the version does not carry it.
    NotInVersion {
        /// The version asked for.
        version: i16,
    },
    /// Null where the version allows none.
    Null {
        /// The version asked for.
        version: i16,
    },
    /// Longer than the protocol can say.
    TooLong {
        /// Its length.
        length: usize,
    },
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.field.is_empty() {
            write!(f, "{}.{}: ", self.structure, self.field)?;
        }
        match &self.reason {
            EncodeReason::UnsupportedVersion { version } => {
                write!(f, "version {version} is not supported")
            }
            EncodeReason::NotInVersion { version } => {
                write!(f, "version {version} does not carry it")
            }
            EncodeReason::Null { version } => write!(f, "null is not allowed in version {version}"),
            EncodeReason::TooLong { length } => write!(f, "{length} bytes are too long"),
        }
    }
}

impl std::error::Error for EncodeError {}
