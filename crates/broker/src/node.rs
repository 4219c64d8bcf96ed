//! A whole node: what it is started with, how it starts and stops, and what can be seen of it from outside.

use std::fmt;
use std::path::PathBuf;

use taffrail_env::NetError;
use taffrail_record::Offset;
use taffrail_storage::{Health, Identity, OpenError, Options};

use crate::config::{Refusal, StaticSettings};
use crate::controller::{RestoreFailure, Unavailable};
use crate::metadata;

/// What a node is started with.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// 0 and up.
    pub node_id: i32,
    /// The data directory; made if absent.
    pub data: PathBuf,
    /// Where Kafka clients connect, `HOST:PORT`; port 0 picks a free one.
    pub listen: String,
    /// What clients are told to connect to, `HOST:PORT`. If absent: the address listened on, or, if that is all of the host's,
    /// the one by which the client came.
    pub advertise: Option<String>,
    /// For everything that clients can make grow.
    pub memory_bytes: u64,
    /// Threads of execution, at least 1.
    pub shards: usize,
    /// Kafka's broker settings, from the command line and the file.
    pub settings: StaticSettings,
    /// Bounds of the storage. The producers' expiry is taken from `settings`.
    pub storage: Options,
}

impl NodeConfig {
    /// The defaults: node 1 on `127.0.0.1:9092` with one shard and 256 MiB.
    pub fn new(data: PathBuf) -> NodeConfig {
        NodeConfig {
            node_id: 1,
            data,
            listen: "127.0.0.1:9092".to_string(),
            advertise: None,
            memory_bytes: 256 << 20,
            shards: 1,
            settings: StaticSettings::default(),
            storage: Options::default(),
        }
    }
}

/// Why a node did not start. Its text is one line.
#[derive(Debug)]
pub enum StartError {
    /// A setting that cannot be honoured.
    Config(Refusal),
    /// An option that makes no sense: which, and what would be right.
    Option(String),
    Open(OpenError),
    Listen(NetError),
    /// The metadata could not be restored.
    Restore(RestoreFailure),
    /// The data directory belongs to another node.
    OtherNode {
        known: i32,
        given: i32,
    },
    /// The cluster's metadata refuses this node.
    Refused(metadata::Refusal),
    /// The node could not register.
    Register(Unavailable),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Config(refusal) => refusal.fmt(f),
            StartError::Option(text) => f.write_str(text),
            StartError::Open(error) => error.fmt(f),
            StartError::Listen(error) => error.fmt(f),
            StartError::Restore(error) => error.fmt(f),
            StartError::OtherNode { known, given } => write!(
                f,
                "node id {given}: the data directory belongs to node {known}; use --node-id {known}, or another directory"
            ),
            StartError::Refused(refusal) => refusal.fmt(f),
            StartError::Register(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StartError {}

/// What an observer sees of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionView {
    pub topic: String,
    pub partition: taffrail_record::TopicPartition,
    pub log_start_offset: Offset,
    pub high_watermark: Offset,
    pub log_end_offset: Offset,
}

/// What an observer sees of a node. Nothing in it can be changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Inspection {
    pub partitions: Vec<PartitionView>,
    /// Bytes of the memory budget that are reserved; 0 when the node is idle.
    pub budget_used: usize,
    pub budget_total: usize,
    /// Requests that wait for memory.
    pub budget_waiting: usize,
    pub connections: usize,
    pub fetch_sessions: usize,
    /// Requests in each other shard's mailbox.
    pub shard_queues: Vec<usize>,
    pub health: Health,
    pub identity: Identity,
}
