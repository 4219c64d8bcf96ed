//! The four codecs of Kafka, behind one streamed reader with an absolute cap on its output.
//!
//! Compressed bytes come from anybody, so what they claim is never believed: output is counted and stops at
//! the cap; windows, blocks and chunks are bounded before memory is taken for them; dictionaries are refused.
//! So is whatever some client reads and another does not: bytes behind the end of a stream, a frame that
//! ends without its end mark, lz4 with linked blocks or in the old frame format. What is admitted here,
//! every consumer can read.
//!
//! What we write is what Apache Kafka's own clients write: gzip with one member, snappy in xerial's framing,
//! lz4 frames of independent 64 KiB blocks, one zstd frame with a window of at most 8 MiB.

mod compress;
mod snappy;
mod zstandard;

use flate2::bufread::GzDecoder;
use lz4_flex::frame::FrameDecoder;
use std::fmt;
use std::io::{self, Read};

pub use compress::{CompressError, compress, compress_into};

/// How the records of a batch are compressed. The numbers are those in a batch's attributes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Codec {
    #[default]
    None = 0,
    Gzip = 1,
    Snappy = 2,
    Lz4 = 3,
    Zstd = 4,
}

/// Largest back-reference window of a zstd frame that is read or written, as a power of two: 8 MiB.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;
impl Codec {
    pub const ALL: [Codec; 5] = [
        Codec::None,
        Codec::Gzip,
        Codec::Snappy,
        Codec::Lz4,
        Codec::Zstd,
    ];

    /// The codec with this number in a batch's attributes.
    pub fn from_id(id: u8) -> Option<Codec> {
        Codec::ALL.get(usize::from(id)).copied()
    }

    /// The number in a batch's attributes.
    pub fn id(self) -> u8 {
        self as u8
    }

    /// The codec's name in settings.
    pub fn name(self) -> &'static str {
        match self {
            Codec::None => "none",
            Codec::Gzip => "gzip",
            Codec::Snappy => "snappy",
            Codec::Lz4 => "lz4",
            Codec::Zstd => "zstd",
        }
    }

    /// The codec with this name in settings.
    pub fn from_name(name: &str) -> Option<Codec> {
        Codec::ALL.into_iter().find(|codec| codec.name() == name)
    }

    /// The levels that [`compress`] takes; empty if the codec has none. Ours of lz4 has only its fast mode.
    pub fn levels(self) -> std::ops::RangeInclusive<i32> {
        match self {
            Codec::Gzip => 1..=9,
            Codec::Zstd => zstd::compression_level_range(),
            #[expect(
                clippy::reversed_empty_ranges,
                reason = "the empty range is what is meant"
            )]
            Codec::None | Codec::Snappy | Codec::Lz4 => 1..=0,
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How much a batch may be when decompressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DecompressLimit {
    pub output_bytes_max: usize,
}

/// Why compressed bytes were not read to their end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DecompressError {
    /// More comes out than may; how much more is not known.
    TooLarge { output_bytes_max: usize },
    /// The bytes are no stream of the codec, or of a kind that not every consumer reads.
    Malformed { codec: Codec, detail: String },
    /// Bytes stand behind the end of the stream.
    BytesBehindEnd { codec: Codec, count: usize },
}

/// `input` decompressed as a whole; an error if that is more than the limit.
pub fn decompress(
    codec: Codec,
    input: &[u8],
    limit: DecompressLimit,
) -> Result<Vec<u8>, DecompressError> {
    const PIECE: usize = 16 * 1024;
    let mut decompressor = Decompressor::new(codec, input, limit)?;
    let mut output = Vec::new();
    loop {
        let length = output.len();
        output.resize(length + PIECE.max(length), 0);
        let read = decompressor.read(&mut output[length..])?;
        output.truncate(length + read);
        if read == 0 {
            return Ok(output);
        }
    }
}

/// Reads compressed bytes piece by piece.
pub struct Decompressor<'a> {
    codec: Codec,
    stream: Stream<'a>,
    output_bytes_max: usize,
    produced: usize,
}

enum Stream<'a> {
    Plain(&'a [u8]),
    Gzip(Box<GzDecoder<&'a [u8]>>),
    Snappy(snappy::Decoder<'a>),
    Lz4(Box<FrameDecoder<Source<'a>>>),
    Zstd(zstandard::Decoder<'a>),
}

impl<'a> Decompressor<'a> {
    pub fn new(
        codec: Codec,
        input: &'a [u8],
        limit: DecompressLimit,
    ) -> Result<Decompressor<'a>, DecompressError> {
        let stream = match codec {
            Codec::None => Stream::Plain(input),
            Codec::Gzip => Stream::Gzip(Box::new(GzDecoder::new(input))),
            Codec::Snappy => Stream::Snappy(snappy::Decoder::new(input)?),
            Codec::Lz4 => {
                check_lz4_frame(input).map_err(|detail| malformed(codec, detail))?;
                Stream::Lz4(Box::new(FrameDecoder::new(Source {
                    rest: input,
                    overrun: false,
                })))
            }
            Codec::Zstd => Stream::Zstd(
                zstandard::Decoder::new(input).map_err(|error| malformed(codec, error))?,
            ),
        };
        Ok(Decompressor {
            codec,
            stream,
            output_bytes_max: limit.output_bytes_max,
            produced: 0,
        })
    }

    /// Bytes that came out so far.
    pub fn produced(&self) -> usize {
        self.produced
    }

    /// Fills the start of `out`, which is not empty, with the next bytes, and says how many they are; 0 if
    /// the stream ended, and then it ended as it should and nothing stands behind it.
    pub fn read(&mut self, out: &mut [u8]) -> Result<usize, DecompressError> {
        // One byte over the cap is enough to know.
        let room = out
            .len()
            .min((self.output_bytes_max - self.produced).saturating_add(1));
        let read = self.read_some(&mut out[..room])?;
        if read > self.output_bytes_max - self.produced {
            return Err(DecompressError::TooLarge {
                output_bytes_max: self.output_bytes_max,
            });
        }
        self.produced += read;
        if read == 0 && room > 0 {
            self.check_end()?;
        }
        Ok(read)
    }

    fn read_some(&mut self, out: &mut [u8]) -> Result<usize, DecompressError> {
        let output_left = self.output_bytes_max - self.produced;
        let read = match &mut self.stream {
            Stream::Plain(rest) => rest.read(out),
            Stream::Gzip(decoder) => decoder.read(out),
            Stream::Snappy(decoder) => {
                return decoder.read(out, output_left).map_err(|error| match error {
                    snappy::ReadError::TooLarge => DecompressError::TooLarge {
                        output_bytes_max: self.output_bytes_max,
                    },
                    snappy::ReadError::Malformed(error) => error,
                });
            }
            Stream::Lz4(decoder) => decoder.read(out),
            Stream::Zstd(decoder) => decoder.read(out),
        };
        read.map_err(|error| malformed(self.codec, error))
    }

    fn check_end(&self) -> Result<(), DecompressError> {
        let rest = match &self.stream {
            Stream::Plain(rest) => rest,
            Stream::Gzip(decoder) => *decoder.get_ref(),
            Stream::Snappy(decoder) => decoder.rest(),
            Stream::Lz4(decoder) => {
                if decoder.get_ref().overrun {
                    return Err(malformed(self.codec, "the frame has no end mark"));
                }
                decoder.get_ref().rest
            }
            Stream::Zstd(decoder) => decoder.rest(),
        };
        if !rest.is_empty() {
            return Err(DecompressError::BytesBehindEnd {
                codec: self.codec,
                count: rest.len(),
            });
        }
        Ok(())
    }
}

fn malformed(codec: Codec, detail: impl fmt::Display) -> DecompressError {
    DecompressError::Malformed {
        codec,
        detail: detail.to_string(),
    }
}

/// Kafka's consumers read only this kind of frame: version 1, independent blocks, no dictionary.
fn check_lz4_frame(input: &[u8]) -> Result<(), &'static str> {
    const MAGIC: [u8; 4] = 0x184D_2204_u32.to_le_bytes();
    const VERSION: u8 = 0b1100_0000;
    const VERSION_1: u8 = 0b0100_0000;
    const INDEPENDENT: u8 = 0b0010_0000;
    const RESERVED_OR_DICTIONARY: u8 = 0b0000_0011;
    let Some((&magic, [flags, ..])) = input.split_first_chunk() else {
        return Err("the frame ends in its header");
    };
    if magic != MAGIC || flags & VERSION != VERSION_1 {
        return Err("not an lz4 frame of version 1");
    }
    if flags & INDEPENDENT == 0 {
        return Err("the frame's blocks depend on each other");
    }
    if flags & RESERVED_OR_DICTIONARY != 0 {
        return Err("the frame needs a dictionary or a later format");
    }
    Ok(())
}

/// A slice that remembers if more was asked of it than it had. The lz4 decoder takes the end of its input
/// for the end of the frame.
struct Source<'a> {
    rest: &'a [u8],
    overrun: bool,
}

impl Read for Source<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.overrun |= out.len() > self.rest.len();
        self.rest.read(out)
    }
}

impl fmt::Display for DecompressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DecompressError::TooLarge { output_bytes_max } => {
                write!(
                    f,
                    "the records decompress to more than {output_bytes_max} bytes"
                )
            }
            DecompressError::Malformed { codec, detail } => {
                write!(f, "the records do not decompress as {codec}: {detail}")
            }
            DecompressError::BytesBehindEnd { codec, count } => {
                write!(
                    f,
                    "{count} bytes stand behind the end of the {codec} stream"
                )
            }
        }
    }
}

impl std::error::Error for DecompressError {}

#[cfg(test)]
mod tests;
