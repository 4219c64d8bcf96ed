//! Snappy in the two shapes that Kafka's clients send: a bare block, and xerial's framing of blocks.
//!
//! A bare block starts with its decompressed length and can only be decompressed whole. Xerial's stream is
//! 16 bytes of header (magic, version, oldest compatible version), then blocks, each behind its length in
//! four bytes, big-endian. A block's claimed output is checked against the cap, and against what its bytes
//! could expand to at all, before memory is taken for it.

use super::{Codec, DecompressError, malformed};
use bytes::{BufMut, BytesMut};

const MAGIC: [u8; 8] = *b"\x82SNAPPY\0";
const HEADER_LEN: usize = 16;
const VERSION: i32 = 1;
/// What xerial's stream puts in a block by default.
const BLOCK_LEN: usize = 32 * 1024;
/// The densest element of a block is a copy of 64 bytes in 3.
const EXPANSION_MAX: usize = 22;

/// Puts `input` behind `out` as xerial's stream.
pub(super) fn compress(input: &[u8], out: &mut BytesMut) -> Result<(), snap::Error> {
    out.put_slice(&MAGIC);
    out.put_i32(VERSION);
    out.put_i32(VERSION);
    let mut encoder = snap::raw::Encoder::new();
    let mut room = vec![0; snap::raw::max_compress_len(input.len().min(BLOCK_LEN))];
    for block in input.chunks(BLOCK_LEN) {
        let length = encoder.compress(block, &mut room)?;
        out.put_u32(length as u32);
        out.put_slice(&room[..length]);
    }
    Ok(())
}

/// Reads either shape. One block at a time stands decompressed.
pub(super) struct Decoder<'a> {
    rest: &'a [u8],
    framed: bool,
    block: Vec<u8>,
    /// How much of `block` was given out.
    given: usize,
}

pub(super) enum ReadError {
    /// A block claims more than may still come out.
    TooLarge,
    Malformed(DecompressError),
}

impl<'a> Decoder<'a> {
    pub(super) fn new(input: &'a [u8]) -> Result<Decoder<'a>, DecompressError> {
        let framed = input.starts_with(&MAGIC);
        let mut rest = input;
        if framed {
            let Some((header, blocks)) = input.split_first_chunk::<HEADER_LEN>() else {
                return Err(malformed(Codec::Snappy, "the stream ends in its header"));
            };
            // The version is for information; the oldest compatible one says who can read on.
            let [.., a, b, c, d] = *header;
            let compatible = i32::from_be_bytes([a, b, c, d]);
            if compatible != VERSION {
                let detail = format!("readers of version {compatible} are needed");
                return Err(malformed(Codec::Snappy, detail));
            }
            rest = blocks;
        } else if input.is_empty() {
            return Err(malformed(Codec::Snappy, "there are no bytes"));
        }
        Ok(Decoder {
            rest,
            framed,
            block: Vec::new(),
            given: 0,
        })
    }

    /// Bytes of the input behind the blocks that were read.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Fills the start of `out`; 0 at the end. At most `output_left` bytes more may come out.
    pub(super) fn read(&mut self, out: &mut [u8], output_left: usize) -> Result<usize, ReadError> {
        while self.given == self.block.len() {
            if self.rest.is_empty() {
                return Ok(0);
            }
            self.next_block(output_left)?;
        }
        let read = out.len().min(self.block.len() - self.given);
        out[..read].copy_from_slice(&self.block[self.given..self.given + read]);
        self.given += read;
        Ok(read)
    }

    /// All of the last block was given out.
    fn next_block(&mut self, output_left: usize) -> Result<(), ReadError> {
        let compressed = if self.framed {
            self.next_chunk()
                .map_err(|detail| ReadError::Malformed(malformed(Codec::Snappy, detail)))?
        } else {
            std::mem::take(&mut self.rest)
        };
        let fail = |error: snap::Error| ReadError::Malformed(malformed(Codec::Snappy, error));
        let length = snap::raw::decompress_len(compressed).map_err(fail)?;
        if length > compressed.len().saturating_mul(EXPANSION_MAX) {
            let detail = "a block claims more than its bytes can hold";
            return Err(ReadError::Malformed(malformed(Codec::Snappy, detail)));
        }
        if length > output_left {
            return Err(ReadError::TooLarge);
        }
        self.block.resize(length, 0);
        self.given = 0;
        let written = snap::raw::Decoder::new()
            .decompress(compressed, &mut self.block)
            .map_err(fail)?;
        self.block.truncate(written);
        Ok(())
    }

    fn next_chunk(&mut self) -> Result<&'a [u8], &'static str> {
        let Some((&length, rest)) = self.rest.split_first_chunk() else {
            return Err("the stream ends in a chunk's length");
        };
        let length = u32::from_be_bytes(length) as usize;
        let Some((chunk, rest)) = rest.split_at_checked(length) else {
            return Err("a chunk's length is more than the bytes that remain");
        };
        self.rest = rest;
        Ok(chunk)
    }
}

#[cfg(test)]
mod tests;
