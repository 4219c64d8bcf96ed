//! Reading a frame: a cursor that never leaves the frame and never believes a length.
//!
//! Numbers, strings and raw bytes are taken from the front of what remains. Strings are borrowed;
//! raw bytes are slices that share the frame's memory. An array's count is believed only if that
//! many of its smallest possible elements fit into what remains, and the memory that all arrays of
//! one frame take together has a limit, so that a small element on the wire with a large one in
//! memory is no lever either.

use bytes::Bytes;
use std::fmt;

/// Memory for arrays that any frame may take, however small it is.
const HEAP_BYTES_ALWAYS: usize = 1 << 20;
/// Memory for arrays that a frame may take beyond that, for each byte it has.
///
/// What a message's arrays take in memory is at most about five times what they take on the wire,
/// for the densest of honest messages: many topics with short names and one partition each.
const HEAP_BYTES_PER_BYTE: usize = 8;

/// A cursor over one frame.
#[derive(Debug)]
pub struct Decoder<'a> {
    frame: &'a Bytes,
    position: usize,
    end: usize,
    heap_left: usize,
}

impl<'a> Decoder<'a> {
    /// A cursor at the front of `frame` (without its length prefix). All arrays decoded from it
    /// together may take [`Decoder::heap_bytes_max`] bytes of memory.
    pub fn new(frame: &'a Bytes) -> Self {
        Self {
            frame,
            position: 0,
            end: frame.len(),
            heap_left: Self::heap_bytes_max(frame.len()),
        }
    }

    /// Lowers what all arrays decoded together may take to `bytes`, for messages whose bulk is not in arrays.
    pub fn heap_at_most(mut self, bytes: usize) -> Self {
        self.heap_left = self.heap_left.min(bytes);
        self
    }

    /// The most memory that the arrays of a frame of this size may take: 8 bytes for each byte of
    /// the frame and 1 MiB in addition. Honest messages stay well below.
    pub fn heap_bytes_max(frame_bytes: usize) -> usize {
        HEAP_BYTES_ALWAYS.saturating_add(frame_bytes.saturating_mul(HEAP_BYTES_PER_BYTE))
    }

    /// Bytes not yet read.
    pub fn remaining(&self) -> usize {
        self.end - self.position
    }

    /// Bytes read so far.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Checks that everything was read.
    pub fn finish(&self) -> Result<(), DecodeError> {
        match self.remaining() {
            0 => Ok(()),
            bytes => Err(self.error(DecodeReason::TrailingBytes { bytes })),
        }
    }

    /// An error at the present position.
    #[cold]
    pub fn error(&self, reason: DecodeReason) -> DecodeError {
        DecodeError {
            structure: "",
            field: "",
            position: self.position,
            reason,
        }
    }

    /// The next `len` bytes, borrowed.
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        if len > self.remaining() {
            return Err(self.error(DecodeReason::Truncated {
                needed: len,
                remaining: self.remaining(),
            }));
        }
        let start = self.position;
        self.position += len;
        Ok(&self.frame[start..start + len])
    }

    /// The next `len` bytes as a slice that keeps the frame's memory alive.
    pub fn take_bytes(&mut self, len: usize) -> Result<Bytes, DecodeError> {
        let start = self.position;
        self.take(len)?;
        Ok(self.frame.slice(start..start + len))
    }

    /// The next `N` bytes by value.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    /// A big-endian 16-bit number.
    pub fn i16(&mut self) -> Result<i16, DecodeError> {
        Ok(i16::from_be_bytes(self.array()?))
    }

    /// A big-endian 32-bit number.
    pub fn i32(&mut self) -> Result<i32, DecodeError> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    /// An unsigned number in groups of seven bits, the lowest first; at most five bytes.
    pub fn uvarint(&mut self) -> Result<u32, DecodeError> {
        let mut value = 0u64;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.array()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return u32::try_from(value).map_err(|_| self.error(DecodeReason::VarintTooLong));
            }
        }
        Err(self.error(DecodeReason::VarintTooLong))
    }

    /// The length of something that may be null, in the encoding of `flexible` versions (length
    /// plus one, zero is null) or as a signed number of `OLD` bytes (-1 is null).
    pub fn length<const OLD: usize>(
        &mut self,
        flexible: bool,
    ) -> Result<Option<usize>, DecodeError> {
        if flexible {
            return Ok((self.uvarint()? as usize).checked_sub(1));
        }
        let length = match OLD {
            2 => i32::from(self.i16()?),
            _ => self.i32()?,
        };
        match length {
            -1 => Ok(None),
            length => usize::try_from(length)
                .map(Some)
                .map_err(|_| self.error(DecodeReason::NegativeLength { length })),
        }
    }

    /// An empty vector with room for `count` elements, each of which takes at least
    /// `size_min` bytes of the frame; refused if they cannot be there.
    pub fn room<T>(&mut self, count: usize, size_min: usize) -> Result<Vec<T>, DecodeError> {
        if count > self.remaining() / size_min.max(1) {
            return Err(self.error(DecodeReason::CountBeyondFrame {
                count,
                remaining: self.remaining(),
            }));
        }
        // Cannot overflow: no frame is that long, and no type that large.
        let heap = count.saturating_mul(size_of::<T>());
        self.heap_left = self
            .heap_left
            .checked_sub(heap)
            .ok_or_else(|| self.error(DecodeReason::HeapLimit))?;
        Ok(Vec::with_capacity(count))
    }

    /// The tagged fields that end a structure in flexible versions: `known` is called with each
    /// tag and a view of its bytes and says whether it read them. Unknown ones are skipped.
    pub fn tagged_fields(
        &mut self,
        mut known: impl FnMut(u32, &mut Self) -> Result<bool, DecodeError>,
    ) -> Result<(), DecodeError> {
        for _ in 0..self.uvarint()? {
            let tag = self.uvarint()?;
            let size = self.uvarint()? as usize;
            if size > self.remaining() {
                return Err(self.error(DecodeReason::Truncated {
                    needed: size,
                    remaining: self.remaining(),
                }));
            }
            let outer_end = self.end;
            self.end = self.position + size;
            if known(tag, self)? {
                self.finish()?;
            }
            self.position = self.end;
            self.end = outer_end;
        }
        Ok(())
    }
}

/// Why bytes are not the message they should be, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// The structure that was being read; empty outside of any.
    pub structure: &'static str,
    /// The field of it; empty outside of any.
    pub field: &'static str,
    /// Bytes from the front of the frame.
    pub position: usize,
    /// What is wrong there.
    pub reason: DecodeReason,
}

impl DecodeError {
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

/// What is wrong with bytes that are not a message.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeReason {
    /// More bytes are needed than there are.
    Truncated {
        /// Bytes asked for.
        needed: usize,
        /// Bytes there are.
        remaining: usize,
    },
    /// An array claims more elements than can be in the bytes that remain.
    CountBeyondFrame {
        /// Elements claimed.
        count: usize,
        /// Bytes there are.
        remaining: usize,
    },
    /// All arrays of the frame together would take more memory than a frame of its size may.
    HeapLimit,
    /// A length below -1.
    NegativeLength {
        /// The length read.
        length: i32,
    },
    /// A string longer than 32,767 bytes.
    StringTooLong {
        /// The length read.
        length: usize,
    },
    /// Null where the version allows none.
    Null,
    /// A string that is not UTF-8.
    NotUtf8,
    /// A variable-length number that does not end, or is above 32 bits.
    VarintTooLong,
    /// Bytes after the end of the message or of a tagged field.
    TrailingBytes {
        /// How many.
        bytes: usize,
    },
    /// The message has no such version.
    UnsupportedVersion {
        /// The version asked for.
        version: i16,
    },
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            DecodeReason::Truncated { needed, remaining } => {
                write!(f, "{needed} bytes needed where {remaining} remain")
            }
            DecodeReason::CountBeyondFrame { count, remaining } => {
                write!(f, "{count} elements do not fit into {remaining} bytes")
            }
            DecodeReason::HeapLimit => write!(f, "more memory needed than a frame may take"),
            DecodeReason::NegativeLength { length } => write!(f, "negative length {length}"),
            DecodeReason::StringTooLong { length } => write!(f, "string of {length} bytes"),
            DecodeReason::Null => write!(f, "null where none is allowed"),
            DecodeReason::NotUtf8 => write!(f, "string is not UTF-8"),
            DecodeReason::VarintTooLong => write!(f, "variable-length number above 32 bits"),
            DecodeReason::TrailingBytes { bytes } => write!(f, "{bytes} bytes too many"),
            DecodeReason::UnsupportedVersion { version } => {
                write!(f, "version {version} is not supported")
            }
        }?;
        write!(f, " at byte {}", self.position)?;
        if !self.field.is_empty() {
            write!(f, " ({}.{})", self.structure, self.field)?;
        }
        Ok(())
    }
}

impl std::error::Error for DecodeError {}
