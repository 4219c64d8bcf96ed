//! The few changes to a batch that reach below its checksum.
//!
//! A topic's settings may ask for the broker's timestamp or another codec, and a producer's max timestamp
//! may be wrong. What must hold: a new checksum is made only of bytes whose old one was just verified, so
//! that no flipped bit is ever blessed.

use crate::batch::{
    BatchError, BatchHeader, CODEC_MASK, HEADER_LEN, TIMESTAMP_TYPE_BIT, check_crc, check_length,
    seal, split_batch,
};
use crate::compression::{Codec, CompressError, DecompressLimit, compress_into, decompress};
use bytes::{BufMut, BytesMut};
use std::fmt;

/// Why a batch was not rewritten.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RewriteError {
    /// The old batch is not sound.
    Batch(BatchError),
    Compress(CompressError),
    /// The new batch would exceed 2^31-1 bytes.
    TooLarge,
}

/// Gives all records of the batch at the start of `batch` the broker's time.
pub fn set_log_append_time(batch: &mut [u8], timestamp_ms: i64) -> Result<(), BatchError> {
    rewrite_header(batch, |header| {
        header.attributes |= TIMESTAMP_TYPE_BIT;
        header.max_timestamp = timestamp_ms;
    })
}

/// Leaves all records of the batch at the start of `batch` their own times, the latest of which is `max_timestamp`.
pub fn set_create_time(batch: &mut [u8], max_timestamp: i64) -> Result<(), BatchError> {
    rewrite_header(batch, |header| {
        header.attributes &= !TIMESTAMP_TYPE_BIT;
        header.max_timestamp = max_timestamp;
    })
}

/// The batch at the start of `batch` with its records under another codec. `level` is one of
/// [`Codec::levels`]. Everything else stays: offsets, timestamps, producer.
pub fn recompress(
    batch: &[u8],
    codec: Codec,
    level: Option<i32>,
    limit: DecompressLimit,
) -> Result<BytesMut, RewriteError> {
    let (mut header, batch) = split_batch(batch)?;
    check_crc(&header, batch)?;
    let body = &batch[HEADER_LEN..];
    let old_codec = header.codec()?;
    let mut new_batch = BytesMut::with_capacity(batch.len());
    new_batch.put_bytes(0, HEADER_LEN);
    if old_codec == Codec::None {
        compress_into(codec, level, body, &mut new_batch)?;
    } else {
        let records = decompress(old_codec, body, limit).map_err(BatchError::Decompress)?;
        compress_into(codec, level, &records, &mut new_batch)?;
    }
    header.batch_length = check_length(new_batch.len()).ok_or(RewriteError::TooLarge)?;
    header.attributes = header.attributes & !CODEC_MASK | i16::from(codec.id());
    seal(&header, &mut new_batch);
    Ok(new_batch)
}

fn rewrite_header(
    batch: &mut [u8],
    change: impl FnOnce(&mut BatchHeader),
) -> Result<(), BatchError> {
    let (mut header, whole) = split_batch(batch)?;
    check_crc(&header, whole)?;
    change(&mut header);
    seal(&header, &mut batch[..header.size()]);
    Ok(())
}

impl From<BatchError> for RewriteError {
    fn from(error: BatchError) -> RewriteError {
        RewriteError::Batch(error)
    }
}

impl From<CompressError> for RewriteError {
    fn from(error: CompressError) -> RewriteError {
        RewriteError::Compress(error)
    }
}

impl fmt::Display for RewriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RewriteError::Batch(error) => error.fmt(f),
            RewriteError::Compress(error) => error.fmt(f),
            RewriteError::TooLarge => f.write_str("the new batch would exceed 2^31-1 bytes"),
        }
    }
}

impl std::error::Error for RewriteError {}

#[cfg(test)]
mod tests;
