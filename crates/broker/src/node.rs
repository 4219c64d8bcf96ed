//! A whole node: what it is started with, and the handle by which it is stopped and watched.

mod audit;
mod error;
mod starting;
mod view;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;

use taffrail_env::Env;
use taffrail_record::Offset;
use taffrail_storage::{Health, Identity, Options, StorageError};

use crate::broker::Broker;
use crate::config::StaticSettings;
use crate::controller::SNAPSHOT_INTERVAL;
use crate::group::SNAPSHOT_BYTES_MIN;
use crate::producer_ids::IDS_PER_BLOCK;
use crate::signal::UnderWay;

pub use audit::{Audit, Difference, Prefix, Replayed};
pub use error::StartError;
pub use starting::{MEMORY_BYTES_MIN, start};
pub use view::{Inspection, PartitionView};

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
    /// So many metadata commands lie between two snapshots.
    pub metadata_snapshot_interval: u64,
    /// So much is logged of groups between two snapshots, in bytes, or as much as the snapshot is large.
    pub group_snapshot_bytes_min: usize,
    /// So many producer ids are logged at once, before any of them is handed out; at least 1.
    pub producer_ids_per_block: u32,
    /// The offset of the first record in each partition of a topic made from now on. 0, but where mistakes with large numbers are
    /// looked for.
    pub first_offset: Offset,
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
            metadata_snapshot_interval: SNAPSHOT_INTERVAL,
            group_snapshot_bytes_min: SNAPSHOT_BYTES_MIN,
            producer_ids_per_block: IDS_PER_BLOCK,
            first_offset: 0,
        }
    }
}

/// A node that serves. A handle, for shard 0.
pub struct Node<E: Env> {
    broker: Rc<Broker<E>>,
    address: SocketAddr,
    connections: UnderWay,
}

impl<E: Env> Clone for Node<E> {
    fn clone(&self) -> Self {
        Node {
            broker: self.broker.clone(),
            address: self.address,
            connections: self.connections.clone(),
        }
    }
}

impl<E: Env> Node<E> {
    /// Where Kafka clients connect.
    pub fn kafka_address(&self) -> SocketAddr {
        self.address
    }

    pub fn node_id(&self) -> i32 {
        self.broker.node_id
    }

    pub fn identity(&self) -> Identity {
        self.broker.identity
    }

    /// How the storage fares.
    pub fn health(&self) -> Health {
        self.broker.router.health()
    }

    /// Stops: no more connections and requests, everything durable and in its place, the directory marked clean.
    pub async fn shutdown(&self) -> Result<(), StorageError> {
        self.broker.stopping.set();
        self.broker.groups.stop();
        self.connections.none().await;
        self.broker.router.shutdown().await
    }
}
