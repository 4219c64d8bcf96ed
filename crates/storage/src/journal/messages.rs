//! What shards, the journal's writer and its keeper tell each other. Everything here crosses threads.

use super::Place;
use super::entry::Entry;
use crate::checkpoint::Section;
use taffrail_env::DiskError;
use taffrail_env::mailbox::Sender;

/// To the writer.
pub enum ToWriter {
    Submit(Submission),
    /// Something outside the journal could not be written: write nothing more.
    Fail(DiskError),
}

/// Entries of one shard, to become durable in this order.
pub struct Submission {
    pub shard: usize,
    pub entries: Vec<Entry>,
}

/// Two orders that do not wait for each other; each has a mailbox of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Waits while the journal is full.
    Ordinary = 0,
    /// What makes room in the journal: copies, marks. Has the last file for itself.
    Relief = 1,
}

/// A shard's way to the writer.
#[derive(Clone)]
pub struct WriterSenders {
    pub ordinary: Sender<ToWriter>,
    pub relief: Sender<ToWriter>,
}

/// To a shard.
pub enum ToShard {
    /// The first `counts` entries of each lane that were not done yet are durable, at `place`; the group ends at `end`.
    Done {
        place: Place,
        end: Place,
        counts: [usize; 2],
    },
    /// The journal failed; nothing more becomes durable.
    Failed(DiskError),
    /// Bring everything that lies before `before` into segments, or copy it forward; then answer.
    Clear { before: Place },
    /// Encode all logs; everything before `as_of` has been told to this shard.
    Sections { as_of: Place },
    /// What makes room in the journal finds none in it itself (or finds some again): no clearing may wait for copies then.
    Crowded(bool),
    /// There is room again, or there is none.
    Space { full: Option<DiskError> },
    /// The directory is closed; not as after a clean stop, if it was too full for that.
    Finished { full: Option<DiskError> },
}

/// To the keeper.
pub enum ToKeeper {
    Cleared {
        shard: usize,
    },
    Sections(Sections),
    /// The shard has shut down: these are its last words, and count for every question still open.
    Closing(Sections),
    /// A shard met a full disk, or found room again.
    Space {
        full: Option<DiskError>,
    },
}

/// One shard's part of a checkpoint.
#[derive(Clone)]
pub struct Sections {
    pub shard: usize,
    /// The shard has failed, and no longer takes note of what becomes durable.
    pub failed: Option<DiskError>,
    /// Everything is in segments, and the segments are cut to what they hold.
    pub tidy: bool,
    pub sections: Vec<Section>,
    /// The oldest place that holds something which is in no segment; `None`: nothing before the sections' places.
    pub oldest_needed: Option<Place>,
    pub next_log_number: u64,
}
