//! The one place where our own structures become bytes: commands of the metadata log and snapshots of
//! machines. Never a record, segment or journal format, which are laid out by hand.
//!
//! Fixed-width little-endian integers, so that equal values are equal bytes. Decoding is bounded: it never
//! reserves more than [`DECODED_BYTES_MAX`], whatever the lengths in the input say, and it refuses what is
//! left over.

use std::fmt;

use bincode::config::{Configuration, Fixint, Limit, LittleEndian};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The largest value that is decoded: well above the largest snapshot, far below what hurts a node.
pub const DECODED_BYTES_MAX: usize = 512 << 20;

const FORMAT: Configuration<LittleEndian, Fixint, Limit<DECODED_BYTES_MAX>> =
    bincode::config::standard()
        .with_fixed_int_encoding()
        .with_limit::<DECODED_BYTES_MAX>();

/// Appends `value` to `out`. Only values whose parts all know their length can be encoded; ours do.
pub fn encode<T: Serialize>(value: &T, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    bincode::serde::encode_into_std_write(value, out, FORMAT)
        .map(|_| ())
        .map_err(|error| EncodeError(error.to_string()))
}

/// The value that fills `bytes` exactly.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    let (value, read) = bincode::serde::decode_from_slice(bytes, FORMAT)
        .map_err(|error| DecodeError::Malformed(error.to_string()))?;
    if read != bytes.len() {
        return Err(DecodeError::Trailing {
            bytes: bytes.len() - read,
        });
    }
    Ok(value)
}

/// A value that has no encoding, or is larger than the limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodeError(pub String);

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "value cannot be encoded: {}", self.0)
    }
}

impl std::error::Error for EncodeError {}

/// Bytes that are no encoding of the wanted type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// Cut, over the limit, or no value of this type.
    Malformed(String),
    /// A whole value, and more bytes after it.
    Trailing { bytes: usize },
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DecodeError::Malformed(what) => write!(f, "value cannot be decoded: {what}"),
            DecodeError::Trailing { bytes } => write!(f, "{bytes} bytes follow the value"),
        }
    }
}

impl std::error::Error for DecodeError {}

#[cfg(test)]
mod tests;
