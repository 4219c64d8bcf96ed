//! The node: connections, one handler file per API, partitions, waiting requests, coordinators and the cluster's metadata.
//!
//! `start` opens a data directory, restores the metadata and serves the Kafka protocol until it is told to
//! stop. It is generic over one parameter, the ground it stands on (`taffrail_env::Env`), and so runs unchanged on
//! real disks and sockets and in the simulator.
//!
//! It knows nothing of the operating system, the simulator, or the text that configuration comes in. Wire structures
//! and error codes stop at `api`. What must hold: nothing a client sends makes it panic, grow without
//! bound, or acknowledge what is not durable.

mod admission;
mod api;
mod broker;
mod budget;
pub mod config;
mod connection;
mod controller;
mod deadline;
pub mod group;
pub mod metadata;
mod metrics;
mod node;
mod producer_ids;
mod router;
mod session;
mod settings;
mod shard;
mod signal;

pub use connection::IN_FLIGHT_MAX;
pub use controller::{RestoreFailure, Unavailable};
pub use metrics::{Metric, MetricKind, MetricsSnapshot};
pub use node::{
    Audit, Difference, Inspection, MEMORY_BYTES_MIN, Node, NodeConfig, PartitionView, Prefix,
    Replayed, StartError, start,
};

/// The fault points of this crate, each with its awkward way.
pub const FAULT_POINTS: &[(&str, &str)] = &[
    ("answer/lost", "the connection closes in place of an answer"),
    (
        "commit/late",
        "a commit that is durable is not answered at once",
    ),
    (
        "coordinator/loading",
        "a group's partition is still being read",
    ),
    (
        "fetch/early",
        "a fetch is answered before there is enough, or any",
    ),
    ("metadata/snapshot", "a snapshot of the metadata is due"),
    (
        "produce/late",
        "a batch that was admitted is not waited for at once",
    ),
    (
        "produce/time-out",
        "whether the batch was written is not known in time",
    ),
    (
        "topic/late",
        "a topic that is committed gets its logs a little later",
    ),
];
