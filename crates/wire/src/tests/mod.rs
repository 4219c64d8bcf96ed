//! Tests of this crate from the inside: they make up messages from the tables themselves, so that
//! a new API is tested as soon as it is listed.

mod allocations;
mod blobs;
mod frames;
mod golden;
mod hostile;
mod oracle;
mod round_trip;
mod sampler;

pub use sampler::Sampler;

use crate::{Encoder, Message};
use bytes::Bytes;

/// What `message` looks like in `version`, in one piece and for as long as the test runs.
fn encoded<'a, M: Message<'a>>(message: &M, version: i16) -> &'static Bytes {
    let mut encoder = Encoder::new();
    message
        .encode(&mut encoder, version)
        .unwrap_or_else(|error| panic!("{} version {version}: {error}", M::NAME));
    kept(encoder.finish_contiguous())
}

/// A frame that messages may borrow from for as long as the test runs.
fn kept(bytes: Bytes) -> &'static Bytes {
    Box::leak(Box::new(bytes))
}
