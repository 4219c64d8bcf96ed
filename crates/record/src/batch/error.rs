//! What can be wrong with a batch.

use crate::compression::DecompressError;
use crate::identity::Offset;
use crate::record::RecordFault;
use std::fmt;

/// Why bytes are not a batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BatchError {
    /// The bytes end before the header or the batch does.
    Truncated { needed: usize, available: usize },
    /// The length field leaves no room for a header.
    LengthTooSmall { batch_length: i32 },
    /// A message set of format 0 or 1.
    LegacyMagic { magic: u8 },
    /// A format that does not exist.
    UnknownMagic { magic: u8 },
    /// The bytes are not those that the checksum was made of.
    CrcMismatch { stored: u32, computed: u32 },
    /// Base offset or last offset is negative, or the last one is more than 2^63-1.
    OffsetsOutOfRange {
        base_offset: Offset,
        last_offset_delta: i32,
    },
    /// Fewer records than none, or more than offsets.
    CountOutOfRange {
        record_count: i32,
        last_offset_delta: i32,
    },
    /// A codec number that names no codec.
    UnknownCodec { id: u8 },
    /// A record does not keep to the format.
    Record { index: i32, fault: RecordFault },
    /// The records do not decompress.
    Decompress(DecompressError),
}

impl From<DecompressError> for BatchError {
    fn from(error: DecompressError) -> BatchError {
        BatchError::Decompress(error)
    }
}

impl fmt::Display for BatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BatchError::Truncated { needed, available } => {
                write!(
                    f,
                    "the batch needs {needed} bytes and {available} are there"
                )
            }
            BatchError::LengthTooSmall { batch_length } => {
                write!(
                    f,
                    "the length field says {batch_length}, less than a header"
                )
            }
            BatchError::LegacyMagic { magic } => {
                write!(
                    f,
                    "magic is {magic}: message sets of before format 2 are not supported"
                )
            }
            BatchError::UnknownMagic { magic } => write!(f, "magic is {magic}, which is no format"),
            BatchError::CrcMismatch { stored, computed } => {
                write!(
                    f,
                    "the checksum is {stored:08x} but the bytes have {computed:08x}"
                )
            }
            BatchError::OffsetsOutOfRange {
                base_offset,
                last_offset_delta,
            } => {
                write!(
                    f,
                    "base offset {base_offset} and last offset delta {last_offset_delta} are no range of offsets"
                )
            }
            BatchError::CountOutOfRange {
                record_count,
                last_offset_delta,
            } => {
                write!(
                    f,
                    "the record count is {record_count} with a last offset delta of {last_offset_delta}"
                )
            }
            BatchError::UnknownCodec { id } => write!(f, "compression codec {id} is none"),
            BatchError::Record { index, fault } => write!(f, "record {index}: {fault}"),
            BatchError::Decompress(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for BatchError {}
