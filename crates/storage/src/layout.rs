//! Where things lie in a data directory. The only place that makes or takes apart a name.

use std::path::{Path, PathBuf};
use taffrail_record::{Offset, TopicId, TopicPartition};

pub const META: &str = "taffrail.meta";
pub const META_NEW: &str = "taffrail.meta.new";
pub const JOURNAL: &str = "journal";
pub const CHECKPOINT: &str = "checkpoint";
pub const PARTITIONS: &str = "partitions";
/// A machine's snapshot that is being written.
pub const STATE_NEW: &str = "state.new";
/// Made by mkfs, and no sign of another program.
pub const LOST_AND_FOUND: &str = "lost+found";

/// The version of the whole directory's format.
pub const FORMAT_VERSION: u32 = 1;

/// What a file in a partition's directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileKind {
    Segment,
    OffsetIndex,
    TimeIndex,
    TransactionIndex,
    ProducerSnapshot,
    Digest,
    State,
}

impl FileKind {
    pub const ALL: [FileKind; 7] = [
        FileKind::Segment,
        FileKind::OffsetIndex,
        FileKind::TimeIndex,
        FileKind::TransactionIndex,
        FileKind::ProducerSnapshot,
        FileKind::Digest,
        FileKind::State,
    ];

    pub fn extension(self) -> &'static str {
        match self {
            FileKind::Segment => "log",
            FileKind::OffsetIndex => "index",
            FileKind::TimeIndex => "timeindex",
            FileKind::TransactionIndex => "txnindex",
            FileKind::ProducerSnapshot => "snapshot",
            FileKind::Digest => "digest",
            FileKind::State => "state",
        }
    }
}

pub fn meta(directory: &Path) -> PathBuf {
    directory.join(META)
}

pub fn journal_file(directory: &Path, index: u32) -> PathBuf {
    directory.join(JOURNAL).join(format!("{index:04}.journal"))
}

pub fn journal_index(name: &str) -> Option<u32> {
    let digits = name.strip_suffix(".journal")?;
    (digits.len() == 4).then(|| digits.parse().ok())?
}

pub fn checkpoint_file(directory: &Path, generation: u64) -> PathBuf {
    directory
        .join(CHECKPOINT)
        .join((generation % 2).to_string())
}

pub fn partitions(directory: &Path) -> PathBuf {
    directory.join(PARTITIONS)
}

/// The directory of one life of a partition's log.
pub fn log_directory(directory: &Path, partition: TopicPartition, number: u64) -> PathBuf {
    let topic = u128::from_be_bytes(partition.topic.0);
    partitions(directory).join(format!("{topic:032x}-{}.{number}", partition.partition))
}

/// What [`log_directory`] made a name of.
pub fn parse_log_directory(name: &str) -> Option<(TopicPartition, u64)> {
    let (topic, rest) = name.split_at_checked(32)?;
    let (partition, number) = rest.strip_prefix('-')?.split_once('.')?;
    let mut id = [0; 16];
    for (place, byte) in id.iter_mut().enumerate() {
        *byte = u8::from_str_radix(topic.get(2 * place..2 * place + 2)?, 16).ok()?;
    }
    let partition = TopicPartition {
        topic: TopicId(id),
        partition: partition.parse().ok()?,
    };
    Some((partition, number.parse().ok()?))
}

pub fn log_file(log_directory: &Path, base_offset: Offset, kind: FileKind) -> PathBuf {
    log_directory.join(format!("{base_offset:020}.{}", kind.extension()))
}

/// The offset and kind that a name in a partition's directory stands for.
pub fn parse_log_file(name: &str) -> Option<(Offset, FileKind)> {
    let (digits, extension) = name.split_once('.')?;
    if digits.len() != 20 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let kind = FileKind::ALL
        .into_iter()
        .find(|kind| kind.extension() == extension)?;
    Some((digits.parse().ok()?, kind))
}

/// Whether this program gives such a name to a file in a partition's directory. What bears another name is somebody
/// else's: it is never removed.
pub fn is_log_file(name: &str) -> bool {
    let name = name.strip_suffix(".deleted").unwrap_or(name);
    name == STATE_NEW || parse_log_file(name).is_some()
}

/// `path` with `suffix` behind its name: `.new`, `.deleted`.
pub fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
