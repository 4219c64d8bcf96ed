//! Reading a data directory that nobody has open: what is in it, and whether it holds together. Changes nothing.

mod dump;
mod line;
mod verify;

use crate::digest::{DigestEntry, DigestKey};
use crate::layout::{self, FileKind};
use crate::replay::ReplayedLog;
use crate::{OpenError, meta, open};
use line::{Form, Line};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use taffrail_env::disk::{DiskResult, read_full};
use taffrail_env::{Disk, DiskErrorKind, Env, File, OpenMode};
use taffrail_record::TopicPartition;

/// The file that makes a directory a data directory.
pub use crate::layout::META;

/// Something that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub file: PathBuf,
    /// Byte position in the file.
    pub offset: u64,
    /// The name of what should hold.
    pub invariant: &'static str,
    pub what: String,
}

/// What a damaged file of a data directory breaks, by what it is for: a start takes its bearings from the mark and the
/// checkpoint, and finds what was acknowledged in the journal and the segments.
pub fn invariant_of(file: &Path) -> &'static str {
    let of_checkpoints = || {
        let parent = file.parent().and_then(Path::file_name);
        parent.is_some_and(|parent| parent == layout::CHECKPOINT)
    };
    let name = file.file_name().unwrap_or_default();
    match name == META || name == layout::CHECKPOINT || of_checkpoints() {
        true => "CHECKPOINT-ATOMIC",
        false => "ACKED-DURABLE",
    }
}

/// What was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Verified {
    pub logs: usize,
    pub segments: u64,
    pub batches: u64,
    pub records: u64,
    pub bytes: u64,
    pub findings: u64,
    /// Directories of logs that are neither there nor about to be removed: nothing will ever remove them.
    pub unexplained: Vec<PathBuf>,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}: offset {}: {}: {}",
            self.file.display(),
            self.offset,
            self.invariant,
            self.what
        )
    }
}

/// Prints, line by line, what a data directory, a log's directory or any one file of them holds: `sink` gets some lines at a time, until it breaks
/// off. Answers how many of the lines tell of what does not verify.
pub async fn dump<E: Env>(
    env: &E,
    path: &Path,
    sink: impl AsyncFnMut(Vec<String>) -> ControlFlow<()>,
) -> Result<u64, OpenError> {
    dump_as(env, path, sink, Form::Text).await
}

/// The same with each line as one JSON object.
pub async fn dump_json<E: Env>(
    env: &E,
    path: &Path,
    sink: impl AsyncFnMut(Vec<String>) -> ControlFlow<()>,
) -> Result<u64, OpenError> {
    dump_as(env, path, sink, Form::Json).await
}

async fn dump_as<E: Env>(
    env: &E,
    path: &Path,
    sink: impl AsyncFnMut(Vec<String>) -> ControlFlow<()>,
    form: Form,
) -> Result<u64, OpenError> {
    let mut printer = dump::Printer::new(sink, form);
    let dumped = printer.path(env, path).await;
    printer.hand_on().await;
    dumped.map(|()| printer.bad)
}

/// Checks a data directory from its first file to its last byte; each thing that does not hold goes to `report`. The error
/// is for what could not be looked at.
pub async fn verify<E: Env>(
    env: &E,
    directory: &Path,
    report: &mut dyn FnMut(Finding),
) -> Result<Verified, OpenError> {
    verify::directory(env, directory, report).await
}

/// A data directory as recovery would find it, locked while the value lives.
struct Directory<E: Env> {
    _lock: <E as Disk>::Directory,
    logs: Vec<ReplayedLog>,
    /// Logs whose directories may still be there.
    deleted: Vec<(TopicPartition, u64)>,
    recovered: Line,
}

async fn read_directory<E: Env>(env: &E, directory: &Path) -> Result<Directory<E>, OpenError> {
    // Never made here: an offline tool has nothing to say about a directory that is not there.
    env.open_directory(directory).await?;
    let lock = open::take(env, directory).await?;
    let Some(meta) = meta::read(env, directory).await? else {
        return Err(OpenError::NoDataDirectory {
            path: directory.into(),
        });
    };
    let recovered = open::examine(env, directory, &meta, OpenMode::Read).await?;
    let summary = Line::new()
        .number("start", meta.start_number)
        .either("clean", "unclean", recovered.clean)
        .number("checkpoint", recovered.generation);
    let summary = dump::joint(summary, &recovered.end.joint);
    Ok(Directory {
        _lock: lock,
        logs: recovered.replayed.logs,
        deleted: recovered.replayed.deleted,
        recovered: summary,
    })
}

/// A whole file; `None` if there is none.
async fn read_file<E: Env>(env: &E, path: &Path) -> DiskResult<Option<bytes::Bytes>> {
    let file = match env.open(path, OpenMode::Read).await {
        Err(error) if error.kind == DiskErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let len = file.len().await?;
    Ok(Some(read_full(&file, 0, len as usize).await?.freeze()))
}

/// A segment's digest as it stands in its file.
async fn read_digest<E: Env>(
    env: &E,
    log_directory: &Path,
    key: &DigestKey,
    len: usize,
) -> DiskResult<Option<Vec<DigestEntry>>> {
    let path = layout::log_file(log_directory, key.base_offset, FileKind::Digest);
    let file = read_file(env, &path).await?;
    Ok(file.and_then(|file| key.decode(file.get(..len)?)))
}
