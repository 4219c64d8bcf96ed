//! What can be done with a whole message: reading it to its last byte, and writing it.
//!
//! A message's fields have Kafka's defaults; a field that its version does not carry is its default
//! after reading. Beware that such a default is null only where the table says so: a nullable field
//! without a declared default is empty.

use crate::api::{ApiInfo, ApiKey};
use crate::decode::{DecodeError, DecodeReason, Decoder};
use crate::encode::{EncodeError, EncodeReason, Encoder};
use crate::field::{Composite, Shape};
use bytes::Bytes;

/// A request or a response.
pub trait Message<'a>: Composite<'a> {
    /// The API it belongs to.
    const KEY: ApiKey;

    /// Reads one that reaches to the end of the frame; bytes after it are an error.
    fn decode(decoder: &mut Decoder<'a>, version: i16) -> Result<Self, DecodeError> {
        let api = Self::KEY.info();
        if !api.supports(version) {
            return Err(decoder.error(DecodeReason::UnsupportedVersion { version }));
        }
        let message = Self::read(decoder, shape(api, version))?;
        decoder.finish()?;
        Ok(message)
    }

    /// Writes it. After an error the frame is unusable.
    fn encode(&self, encoder: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let api = Self::KEY.info();
        if !api.supports(version) {
            return Err(EncodeError::new(EncodeReason::UnsupportedVersion {
                version,
            }));
        }
        self.write(encoder, shape(api, version))?;
        encoder.check_len()
    }
}

/// A request, which has a response.
pub trait Request<'a>: Message<'a> {
    /// The response to it.
    type Response<'b>: Message<'b>;
}

fn shape(api: &ApiInfo, version: i16) -> Shape {
    Shape::new(version, api.flexible_from)
}

/// A structure that travels as bytes inside something else, its version (two bytes) in front of it.
pub trait Blob<'a>: Composite<'a> {
    /// The lowest version.
    const MIN: i16;
    /// The highest version.
    const MAX: i16;
    /// The first flexible version.
    const FLEXIBLE_FROM: i16;
    /// Whether one of a higher version is read as one of the highest known, what follows being
    /// skipped. Those who write such blobs may be newer than those who read them.
    const READS_NEWER: bool;

    /// Reads the version and what follows.
    fn decode(bytes: &'a Bytes) -> Result<(i16, Self), DecodeError> {
        let mut decoder = Decoder::new(bytes);
        let version = decoder.i16()?;
        if version < Self::MIN || (version > Self::MAX && !Self::READS_NEWER) {
            return Err(decoder.error(DecodeReason::UnsupportedVersion { version }));
        }
        let shape = Shape::new(version.min(Self::MAX), Self::FLEXIBLE_FROM);
        let blob = Self::read(&mut decoder, shape)?;
        if version <= Self::MAX {
            decoder.finish()?;
        }
        Ok((version, blob))
    }

    /// Writes the version and what follows.
    fn encode(&self, version: i16) -> Result<Bytes, EncodeError> {
        if version < Self::MIN || version > Self::MAX {
            return Err(EncodeError::new(EncodeReason::UnsupportedVersion {
                version,
            }));
        }
        let mut encoder = Encoder::new();
        encoder.put(&version.to_be_bytes());
        self.write(&mut encoder, Shape::new(version, Self::FLEXIBLE_FROM))?;
        encoder.check_len()?;
        Ok(encoder.finish_contiguous())
    }
}
