//! Every partition's log on a `Disk`: one journal for the node, segments in Kafka's format, recovery from the
//! journal's tail. `README.md` beside this crate gives every file byte by byte.
//!
//! This crate knows nothing of replication, requests and wire codes. What must hold:
//! - Nothing is acknowledged before the journal group that holds it is synced.
//! - Segments hold only committed bytes; what lies at or below a mark is never cut.
//! - What is read from disk is verified before it is handed out.
//! - After a failed write or sync nothing is written any more; reads of what verifies go on.

mod checkpoint;
mod checksum;
mod cursor;
mod digest;
mod error;
mod files;
mod flush;
mod housekeeping;
mod journal;
mod layout;
mod log;
mod logs;
mod meta;
pub mod offline;
mod open;
mod options;
mod producer;
mod reading;
mod recount;
mod replay;
mod retention;
mod sections;
mod segment;
mod shard;
mod side;
mod signal;
mod state;
mod tail;
mod waiters;

pub use error::{AppendError, Health, OpenError, ReadError, StorageError};
pub use log::{Appended, EpochVote, Log, ProducerInfo, Read, ZeroWidth};
pub use logs::{EpochEnd, Identity, Logs, Opened, RecoverySummary, ShardPart, Usage, shard_of};
pub use open::open;
pub use options::{Durability, LogConfig, Options};
pub use retention::WallClock;

/// The fault points of this crate, each with its awkward way.
pub const FAULT_POINTS: &[(&str, &str)] = &[
    (
        "clear/write-out",
        "a small tail goes into its segment, and not forward in the journal",
    ),
    ("digest/forgotten", "a segment's digest is not in memory"),
    ("files/close-all", "no file is open"),
    (
        "flush/late",
        "the flusher waits although there is something to do",
    ),
    ("flush/one-log", "a round of the flusher takes one log"),
    ("read/one-batch", "a read has room for one batch"),
    ("segment/roll", "the next batch begins a segment"),
];

#[cfg(test)]
mod testing;
#[cfg(test)]
pub(crate) mod tests;
