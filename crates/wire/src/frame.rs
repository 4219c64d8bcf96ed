//! Frames: a four-byte length, then that many bytes.
//!
//! [`Splitter`] takes them off the front of a buffer that a connection fills. The length is judged
//! as soon as it is there, so that whoever reads can reserve memory for the frame, or hang up,
//! before the rest of it arrives.

use crate::encode::{EncodeError, Encoder};
use crate::header::{RequestHeader, ResponseHeader};
use crate::message::{Message, Request};
use bytes::{Buf, Bytes, BytesMut};
use std::fmt;

/// Bytes of the length in front of a frame.
pub const PREFIX_BYTES: usize = 4;

/// Takes frames off the front of a buffer.
#[derive(Clone, Copy, Debug)]
pub struct Splitter {
    /// The longest frame taken, without its prefix.
    pub frame_bytes_max: usize,
}

impl Splitter {
    /// The length (without prefix) of the frame that `buffer` begins with, or `None` if it is not
    /// there yet.
    pub fn length(&self, buffer: &[u8]) -> Result<Option<usize>, FrameError> {
        let Some(prefix) = buffer.first_chunk::<PREFIX_BYTES>() else {
            return Ok(None);
        };
        let length = i32::from_be_bytes(*prefix);
        match usize::try_from(length) {
            Ok(bytes) if bytes <= self.frame_bytes_max => Ok(Some(bytes)),
            Ok(bytes) => Err(FrameError::TooLong {
                bytes,
                bytes_max: self.frame_bytes_max,
            }),
            Err(_) => Err(FrameError::NegativeLength { length }),
        }
    }

    /// Takes the first frame, without its prefix, if all of it is there. Shares the memory of
    /// `buffer`.
    pub fn take(&self, buffer: &mut BytesMut) -> Result<Option<Bytes>, FrameError> {
        match self.length(buffer)? {
            Some(length) if buffer.len() - PREFIX_BYTES >= length => {
                buffer.advance(PREFIX_BYTES);
                Ok(Some(buffer.split_to(length).freeze()))
            }
            _ => Ok(None),
        }
    }
}

/// Why what a peer sends cannot be frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// Longer than allowed.
    TooLong {
        /// Its length.
        bytes: usize,
        /// The longest allowed.
        bytes_max: usize,
    },
    /// A length below zero.
    NegativeLength {
        /// The length read.
        length: i32,
    },
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { bytes, bytes_max } => {
                write!(
                    f,
                    "frame of {bytes} bytes where at most {bytes_max} are allowed"
                )
            }
            Self::NegativeLength { length } => write!(f, "frame of negative length {length}"),
        }
    }
}

impl std::error::Error for FrameError {}

/// A request as a frame.
pub fn request<'a, R: Request<'a>>(
    request: &R,
    version: i16,
    correlation_id: i32,
    client_id: Option<&str>,
) -> Result<Vec<Bytes>, EncodeError> {
    let mut encoder = Encoder::new();
    RequestHeader {
        api_key: R::KEY as i16,
        api_version: version,
        correlation_id,
        client_id,
    }
    .encode(&mut encoder)?;
    request.encode(&mut encoder, version)?;
    Ok(encoder.finish_frame())
}

/// A response as a frame.
pub fn response<'a, M: Message<'a>>(
    response: &M,
    version: i16,
    correlation_id: i32,
) -> Result<Vec<Bytes>, EncodeError> {
    let mut encoder = Encoder::new();
    ResponseHeader { correlation_id }.encode(&mut encoder, M::KEY, version);
    response.encode(&mut encoder, version)?;
    Ok(encoder.finish_frame())
}
