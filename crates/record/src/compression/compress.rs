//! Compresses as Apache Kafka's own clients do.

use super::{Codec, ZSTD_WINDOW_LOG_MAX, snappy};
use bytes::{BufMut, BytesMut};
use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
use std::fmt;
use std::io::{self, Write};

/// From this level on zstd would choose larger windows by itself.
const ZSTD_LEVEL_WITH_LARGE_WINDOW: i32 = 20;
const ZSTD_LEVEL_DEFAULT: i32 = 3;

/// Why bytes were not compressed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CompressError {
    /// The codec does not have that level.
    Level { codec: Codec, level: i32 },
    /// The codec's library failed, which writing to memory gives it no reason to.
    Library { codec: Codec, detail: String },
}

/// Puts `input`, compressed, behind `out`. `level` is one of [`Codec::levels`], or `None` for the codec's
/// usual one; a codec without levels takes only `None`. On an error `out` is as before.
pub fn compress_into(
    codec: Codec,
    level: Option<i32>,
    input: &[u8],
    out: &mut BytesMut,
) -> Result<(), CompressError> {
    if let Some(level) = level
        && !codec.levels().contains(&level)
    {
        return Err(CompressError::Level { codec, level });
    }
    let length_before = out.len();
    let done = match codec {
        Codec::None => {
            out.extend_from_slice(input);
            Ok(())
        }
        Codec::Gzip => compress_gzip(level, input, out),
        Codec::Snappy => snappy::compress(input, out).map_err(io::Error::other),
        Codec::Lz4 => compress_lz4(input, out),
        Codec::Zstd => compress_zstd(level, input, out),
    };
    done.map_err(|error| {
        out.truncate(length_before);
        CompressError::Library {
            codec,
            detail: error.to_string(),
        }
    })
}

/// `input` compressed; see [`compress_into`].
pub fn compress(codec: Codec, level: Option<i32>, input: &[u8]) -> Result<BytesMut, CompressError> {
    let mut out = BytesMut::new();
    compress_into(codec, level, input, &mut out)?;
    Ok(out)
}

fn compress_gzip(level: Option<i32>, input: &[u8], out: &mut BytesMut) -> io::Result<()> {
    let level = level.map_or(flate2::Compression::default(), |level| {
        flate2::Compression::new(level.unsigned_abs())
    });
    let mut encoder = flate2::write::GzEncoder::new(out.writer(), level);
    encoder.write_all(input)?;
    encoder.finish().map(|_| ())
}

fn compress_lz4(input: &[u8], out: &mut BytesMut) -> io::Result<()> {
    let frame = FrameInfo::new()
        .block_mode(BlockMode::Independent)
        .block_size(BlockSize::Max64KB);
    let mut encoder = FrameEncoder::with_frame_info(frame, out.writer());
    encoder.write_all(input)?;
    encoder.finish().map(|_| ()).map_err(io::Error::from)
}

fn compress_zstd(level: Option<i32>, input: &[u8], out: &mut BytesMut) -> io::Result<()> {
    let level = level.unwrap_or(ZSTD_LEVEL_DEFAULT);
    let mut encoder = zstd::stream::write::Encoder::new(out.writer(), level)?;
    if level >= ZSTD_LEVEL_WITH_LARGE_WINDOW {
        encoder.window_log(ZSTD_WINDOW_LOG_MAX)?;
    }
    encoder.write_all(input)?;
    encoder.finish().map(|_| ())
}

impl fmt::Display for CompressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CompressError::Level { codec, level } => write!(f, "{codec} has no level {level}"),
            CompressError::Library { codec, detail } => write!(f, "{codec} failed: {detail}"),
        }
    }
}

impl std::error::Error for CompressError {}
