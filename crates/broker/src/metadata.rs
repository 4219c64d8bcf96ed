//! The cluster's metadata: which topics, partitions, brokers and settings exist.
//!
//! An active-active [`Machine`](taffrail_replication::Machine): the log of the reserved topic id
//! [`METADATA_TOPIC_ID`] holds [`Command`]s, and whoever processes them in order arrives at the same
//! [`Metadata`]. Topic ids, placement and times are chosen by the node that sequences a command and are in
//! it; the machine validates. Data on a disk is deleted only because a committed command deleted its topic:
//! that deletion stays in the state as a duty until every replica has reported its data gone.

mod change;
mod command;
mod consistency;
mod machine;
mod names;

pub use change::Change;
pub use command::{
    BrokerRegistration, Command, ConfigEdit, ConfigOperation, Done, Refusal, Reply, TopicKey,
};
pub use consistency::check;
pub use machine::{Broker, DeletedTopic, Duty, Metadata, PartitionState, Topic};
pub use names::{INTERNAL_TOPICS, NameError, is_internal, validate_topic_name};

use taffrail_record::TopicId;

/// The topic id of the metadata log, partition 0 of it, which no topic may have.
pub const METADATA_TOPIC_ID: TopicId = TopicId([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
/// The name under which the metadata log is known.
pub const METADATA_TOPIC_NAME: &str = "__cluster_metadata";

/// The most partitions one topic may have.
pub const PARTITIONS_PER_TOPIC_MAX: usize = 10_000;
/// The most partitions all topics may have together.
pub const PARTITIONS_MAX: usize = 200_000;
/// The most settings of one topic or broker.
pub const CONFIGS_MAX: usize = 200;
/// The longest name of a setting, in bytes.
pub const CONFIG_NAME_BYTES_MAX: usize = 249;
/// The longest value of a setting, in bytes.
pub const CONFIG_VALUE_BYTES_MAX: usize = 32 << 10;
/// The most producer ids one command may take.
pub const PRODUCER_IDS_PER_BLOCK_MAX: u32 = 100_000;
/// The rules by which this binary can judge. A log's commands are judged by the level committed in it.
pub const SEMANTICS_LEVEL_MAX: u32 = 1;

/// A topic id as the encoded commands and snapshots hold it.
pub(crate) type RawTopicId = [u8; 16];
