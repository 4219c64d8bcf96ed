//! Every partition's log on a `Disk`: one journal for the node, segments in Kafka's format, recovery from the
//! journal's tail. `README.md` beside this crate gives every file byte by byte.
//!
//! This crate knows nothing of replication, requests and wire codes. What must hold:
//! - Nothing is acknowledged before the journal group that holds it is synced.
//! - Segments hold only committed bytes; what lies at or below a mark is never cut.
//! - What is read from disk is verified before it is handed out.
//! - After a failed write or sync nothing is written any more; reads of what verifies go on.

mod error;
mod log;
mod logs;
mod options;

pub use error::{AppendError, Health, OpenError, ReadError, StorageError};
pub use log::{Appended, EpochVote, Log, ProducerInfo, Read, ZeroWidth};
pub use logs::{Identity, Logs, Opened, RecoverySummary, ShardPart, Usage, open, shard_of};
pub use options::{Durability, LogConfig, Options};
