//! A client of Kafka's protocol: producer, consumer, admin.
//!
//! It is what the command line tools use, and what drives a cluster in the simulator, so it lives by the same rule as the broker: everything
//! that decides is pure and takes the time as an argument ([`producer::accumulator`], [`producer::partition_queue`],
//! [`group::membership`], [`group::assignor`], [`metadata`]); a thin shell, generic over the environment, carries bytes and obeys. There is no
//! clock but the environment's, no unordered map, and no randomness but from the environment's labelled streams.
//!
//! It speaks to any broker of Kafka's protocol, ours or not, and knows nothing of what is inside one.

#![forbid(unsafe_code)]

pub mod admin;
mod backoff;
mod client;
mod connection;
mod consumer;
mod deadline;
mod errors;
pub mod group;
pub mod metadata;
mod offsets;
mod options;
pub mod partitioner;
pub mod producer;
mod records;
mod signal;
mod versions;

pub use admin::Admin;
pub use client::Client;
pub use consumer::{Consumer, Rebalance, StartAt};
pub use errors::{ClientError, ConsumeError, SendError};
pub use offsets::{FoundOffset, OffsetSpec};
pub use options::{
    Acks, AssignorKind, ClientOptions, Codec, ConsumerOptions, OffsetReset, ProducerOptions,
};
pub use producer::{Delivery, Producer};
pub use records::{Acked, Fetched, Header, Record, TopicPartitionName};
pub use taffrail_wire::ErrorCode;
