//! Record batch v2: the one format from producer to disk to consumer.
//!
//! A batch is a 61-byte header and its records, compressed or not. This crate reads batches in place
//! ([`batch`]), makes them ([`builder`]), judges those that clients send ([`validate`]) and rewrites the
//! few that a topic's settings change ([`rewrite`]). It also holds the names of things in a log: offsets,
//! epochs, producers, topics ([`identity`]).
//!
//! It knows nothing of disks, sockets, requests and wire error codes, and never asks for the time.
//!
//! What must hold: no input, however hostile, makes anything here panic, and no length that was read is
//! believed before it is bounded by the bytes that remain or by a cap that the caller named.

#![forbid(unsafe_code)]

pub mod batch;
pub mod builder;
pub mod compression;
pub mod crc;
pub mod identity;
mod record;
pub mod rewrite;
pub mod validate;
pub mod varint;

pub use compression::Codec;
pub use crc::{Crc32c, crc32c};
pub use identity::{
    LeaderEpoch, NO_LEADER_EPOCH, NO_OFFSET, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE,
    NO_TIMESTAMP, Offset, PartitionIndex, ProducerEpoch, ProducerId, Sequence, TopicId,
    TopicIdParseError, TopicPartition,
};

#[cfg(test)]
mod samples;
