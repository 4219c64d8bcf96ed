//! `taffrail log`: reads a data directory that nobody has open, and changes nothing.
//!
//! The checks and the plain dump are storage's own, which know what the journal and the checkpoint say of each segment; so after a
//! clean stop every byte that does not verify is damage. Records come from the segments alone, batch by batch.

use crate::arguments::LogCommand;
use crate::failure::{Failure, one_line};
use crate::output::{self, counted};
use crate::time;
use bytes::{Bytes, BytesMut};
use serde_json::{Value, json};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use taffrail_env::disk::{Disk, EntryKind, read_full};
use taffrail_env::{DiskError, DiskErrorKind, OpenMode};
use taffrail_os::Os;
use taffrail_record::batch::{self, BatchHeader, HEADER_LEN, RecordView};
use taffrail_record::compression::DecompressLimit;
use taffrail_storage::OpenError;
use taffrail_storage::offline::{self, Finding, Verified};

/// The largest batch that is read into memory.
const BATCH_BYTES_MAX: usize = 128 << 20;
const LIMIT: DecompressLimit = DecompressLimit {
    output_bytes_max: 1 << 30,
};
/// Directories below PATH that are looked into: partitions, and a partition's.
const DEPTH_MAX: usize = 3;

pub fn run(command: LogCommand) -> Result<(), Failure> {
    taffrail_os::run(async |os: Os| match command {
        LogCommand::Dump {
            path,
            records,
            json,
        } => dump(&os, &path, records, json).await,
        LogCommand::Verify { path, json } => verify(&os, &path, json).await,
    })
}

/// The segments of one log, in order of their offsets.
struct LogFiles {
    segments: Vec<PathBuf>,
}

/// Finds every log at or below `path`.
async fn find_logs(os: &Os, path: &Path) -> Result<Vec<LogFiles>, Failure> {
    if is_segment(path) {
        let segments = vec![path.to_owned()];
        return Ok(vec![LogFiles { segments }]);
    }
    let mut logs = Vec::new();
    let mut directories = vec![(path.to_owned(), 0)];
    while let Some((directory, depth)) = directories.pop() {
        let entries = os.list(&directory).await.map_err(|error| {
            let text = format!("{error}; expected a segment (*.log) or a directory");
            match error.kind {
                DiskErrorKind::WrongKind | DiskErrorKind::NotFound => Failure::usage(text),
                _ => Failure::operation(error),
            }
        })?;
        let mut segments = Vec::new();
        for entry in entries {
            let inner = directory.join(&entry.name);
            match entry.kind {
                EntryKind::File if is_segment(&inner) => segments.push(inner),
                EntryKind::Directory if depth < DEPTH_MAX => directories.push((inner, depth + 1)),
                _ => {}
            }
        }
        if !segments.is_empty() {
            segments.sort();
            logs.push(LogFiles { segments });
        }
    }
    if logs.is_empty() && !is_data_directory(os, path).await {
        let path = path.to_owned();
        return Err(Failure::usage(OpenError::NotOurs { path }.to_string()));
    }
    logs.sort_by(|one, other| one.segments.cmp(&other.segments));
    Ok(logs)
}

/// Such a directory need not hold a segment.
async fn is_data_directory(os: &Os, path: &Path) -> bool {
    let meta = path.join(offline::META);
    os.open(&meta, OpenMode::Read).await.is_ok()
}

/// Only segments end in `.log`, named by their base offset in 20 digits.
fn is_segment(path: &Path) -> bool {
    base_offset(path).is_some()
}

fn base_offset(path: &Path) -> Option<i64> {
    let name = path.file_name()?.to_str()?.strip_suffix(".log")?;
    let digits = name.len() == 20 && name.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| name.parse().ok()).flatten()
}

/// What stands at a place in a segment.
enum Found {
    Batch(BatchHeader, Bytes),
    End,
    /// Nothing that verifies, and why.
    Bad(String),
}

struct SegmentReader<F> {
    file: F,
    len: u64,
    position: u64,
}

impl<F: taffrail_env::File> SegmentReader<F> {
    async fn next(&mut self) -> Result<Found, Failure> {
        if self.position >= self.len {
            return Ok(Found::End);
        }
        let head = read_full(&self.file, self.position, HEADER_LEN).await?;
        let header = match BatchHeader::parse(&head) {
            Ok(header) => header,
            Err(error) => return Ok(Found::Bad(error.to_string())),
        };
        let size = header.size();
        if size > BATCH_BYTES_MAX || size as u64 > self.len - self.position {
            let left = self.len - self.position;
            return Ok(Found::Bad(format!(
                "the batch claims {size} bytes and {left} are there"
            )));
        }
        let bytes: BytesMut = read_full(&self.file, self.position, size).await?;
        if let Err(error) = batch::verify_crc(&bytes) {
            return Ok(Found::Bad(error.to_string()));
        }
        self.position += size as u64;
        Ok(Found::Batch(header, bytes.freeze()))
    }
}

async fn open(os: &Os, path: &Path) -> Result<SegmentReader<<Os as Disk>::File>, Failure> {
    let file = os.open(path, OpenMode::Read).await?;
    let len = taffrail_env::File::len(&file).await?;
    Ok(SegmentReader {
        file,
        len,
        position: 0,
    })
}

async fn dump(os: &Os, path: &Path, records: bool, json: bool) -> Result<(), Failure> {
    if !records {
        return dump_lines(os, path, json).await;
    }
    let mut damaged = Vec::new();
    for log in find_logs(os, path).await? {
        for segment in log.segments {
            if !dump_segment(os, &segment, json).await? {
                damaged.push(segment);
            }
        }
    }
    match damaged.first() {
        None => Ok(()),
        Some(first) => Err(Failure::damaged(format!(
            "{} not verify, the first is {}",
            match damaged.len() {
                1 => "1 of the segments does".to_owned(),
                count => format!("{count} of the segments do"),
            },
            first.display()
        ))),
    }
}

async fn dump_lines(os: &Os, path: &Path, json: bool) -> Result<(), Failure> {
    let mut failed = None;
    let sink = async |lines: Vec<String>| {
        let lines = lines.iter().map(|line| one_line(line) + "\n");
        match output::text(os, lines.collect()).await {
            Ok(()) => ControlFlow::Continue(()),
            Err(failure) => {
                failed = Some(failure);
                ControlFlow::Break(())
            }
        }
    };
    let dumped = match json {
        true => offline::dump_json(os, path, sink).await,
        false => offline::dump(os, path, sink).await,
    };
    if let Some(failure) = failed {
        return Err(failure);
    }
    match dumped.map_err(|error| explain(path, error))? {
        0 => Ok(()),
        bad => Err(Failure::damaged(format!(
            "{}: {} of what does not verify",
            path.display(),
            match bad {
                1 => "1 line tells".to_owned(),
                bad => format!("{bad} lines tell"),
            }
        ))),
    }
}

/// Prints a segment's batches and records up to the first that does not verify. Answers whether all did.
async fn dump_segment(os: &Os, path: &Path, json: bool) -> Result<bool, Failure> {
    let mut reader = open(os, path).await?;
    if !json {
        output::text(os, format!("{}\n", path.display())).await?;
    }
    loop {
        let position = reader.position;
        let text = match reader.next().await? {
            Found::End => return Ok(true),
            Found::Bad(why) => {
                let left = reader.len - position;
                let line = match json {
                    true => json!({ "file": path.display().to_string(), "position": position, "bytes": left, "bad": why }).to_string(),
                    false => format!("  {position}: {left} bytes that are no batch: {why}"),
                };
                output::text(os, line + "\n").await?;
                return Ok(false);
            }
            Found::Batch(header, bytes) => match json {
                true => format!("{}\n", batch_json(path, position, &header, &bytes)),
                false => batch_text(position, &header, &bytes),
            },
        };
        output::text(os, text).await?;
    }
}

fn codec(header: &BatchHeader) -> String {
    let codec = header.codec();
    codec.map_or_else(|error| error.to_string(), |codec| codec.name().to_owned())
}

fn batch_text(position: u64, header: &BatchHeader, bytes: &Bytes) -> String {
    let mut text = format!(
        "  {position}: offsets {}-{} epoch {} records {} bytes {} {} time {}",
        header.base_offset,
        header.last_offset(),
        header.partition_leader_epoch,
        header.record_count,
        header.size(),
        codec(header),
        time::format_rfc3339(header.max_timestamp),
    );
    if header.has_producer_id() {
        text.push_str(&format!(
            " producer {} epoch {} sequence {}",
            header.producer_id, header.producer_epoch, header.base_sequence
        ));
    }
    if header.is_control() {
        text.push_str(" control");
    }
    text.push('\n');
    let walked = each_record(bytes, |header, record| {
        let shown = |bytes: Option<&[u8]>| {
            bytes.map_or_else(
                || "null".to_owned(),
                |bytes| format!("\"{}\"", bytes.escape_ascii()),
            )
        };
        text.push_str(&format!(
            "    {} {} key {} value {}\n",
            header.record_offset(record),
            time::format_rfc3339(header.record_timestamp(record)),
            shown(record.key),
            shown(record.value),
        ));
    });
    if let Err(why) = walked {
        text.push_str(&format!("    {why}\n"));
    }
    text
}

fn batch_json(path: &Path, position: u64, header: &BatchHeader, bytes: &Bytes) -> Value {
    let mut object = json!({
        "file": path.display().to_string(),
        "position": position,
        "bytes": header.size(),
        "base_offset": header.base_offset,
        "last_offset": header.last_offset(),
        "leader_epoch": header.partition_leader_epoch,
        "records": header.record_count,
        "codec": codec(header),
        "max_timestamp": header.max_timestamp,
        "producer_id": header.producer_id,
        "producer_epoch": header.producer_epoch,
        "base_sequence": header.base_sequence,
        "control": header.is_control(),
    });
    let mut list = Vec::new();
    let walked = each_record(bytes, |header, record| {
        let shown = |bytes: Option<&[u8]>| bytes.map(|bytes| bytes.escape_ascii().to_string());
        list.push(json!({
            "offset": header.record_offset(record),
            "timestamp": header.record_timestamp(record),
            "key": shown(record.key),
            "value": shown(record.value),
        }));
    });
    object["content"] = Value::Array(list);
    if let Err(why) = walked {
        object["bad"] = Value::from(why);
    }
    object
}

fn each_record(
    bytes: &Bytes,
    mut visit: impl FnMut(&BatchHeader, &RecordView<'_>),
) -> Result<(), String> {
    batch::for_each_record(bytes, LIMIT, |header, record| {
        visit(header, &record);
        ControlFlow::Continue(())
    })
    .map_err(|error| error.to_string())
}

/// Findings that are told one by one. The others are counted.
const FINDINGS_MAX: usize = 1000;

/// Checks a data directory that nobody has open: journal, checkpoint, marks, and every segment with what stands beside it.
async fn verify(os: &Os, path: &Path, json: bool) -> Result<(), Failure> {
    let mut findings: Vec<Finding> = Vec::new();
    let mut keep = |finding| {
        if findings.len() < FINDINGS_MAX {
            findings.push(finding);
        }
    };
    let verified = offline::verify(os, path, &mut keep).await;
    let verified = verified.map_err(|error| explain(path, error))?;
    let text = match json {
        true => format!("{}\n", verified_json(&verified, &findings)),
        false => verified_text(&verified, &findings),
    };
    output::text(os, text).await?;
    match findings.first() {
        None => Ok(()),
        Some(first) => Err(Failure::damaged(format!(
            "{}: {}; the first: {first}",
            path.display(),
            counted(verified.findings, "finding")
        ))),
    }
}

fn verified_text(verified: &Verified, findings: &[Finding]) -> String {
    let mut text: String = findings
        .iter()
        .map(|finding| one_line(&finding.to_string()) + "\n")
        .collect();
    for directory in &verified.unexplained {
        let place = one_line(&directory.display().to_string());
        text += &format!(
            "{place}: no journal or checkpoint knows this log: nothing reads it, and nothing will remove it\n"
        );
    }
    let batches = match verified.batches {
        1 => "1 batch".to_owned(),
        batches => format!("{batches} batches"),
    };
    text.push_str(&format!(
        "{}, {}, {batches}, {}, {}: {}\n",
        counted(verified.logs as u64, "log"),
        counted(verified.segments, "segment"),
        counted(verified.records, "record"),
        counted(verified.bytes, "byte"),
        match verified.findings {
            0 => "all verified".to_owned(),
            count => counted(count, "finding"),
        }
    ));
    text
}

fn verified_json(verified: &Verified, findings: &[Finding]) -> Value {
    let findings: Vec<Value> = findings
        .iter()
        .map(|finding| {
            json!({
                "file": finding.file.display().to_string(),
                "offset": finding.offset,
                "invariant": finding.invariant,
                "what": finding.what,
            })
        })
        .collect();
    json!({
        "logs": verified.logs,
        "segments": verified.segments,
        "batches": verified.batches,
        "records": verified.records,
        "bytes": verified.bytes,
        "unexplained": verified.unexplained.iter().map(|path| path.display().to_string()).collect::<Vec<_>>(),
        "count": verified.findings,
        "findings": findings,
    })
}

/// What is damaged, as [`Finding`] says it.
pub fn damage(file: &Path, offset: u64, what: &str) -> Finding {
    Finding {
        file: file.to_owned(),
        offset,
        invariant: offline::invariant_of(file),
        what: what.to_owned(),
    }
}

/// Why a path could not be looked at. The error names the path itself.
fn explain(path: &Path, error: OpenError) -> Failure {
    let text = error.to_string();
    match error {
        OpenError::OtherProgram { .. }
        | OpenError::OtherVersion { .. }
        | OpenError::NoDataDirectory { .. }
        | OpenError::NotOurs { .. }
        | OpenError::Locked { .. } => Failure::usage(text),
        OpenError::Damaged { file, offset, what } => Failure::damaged(damage(&file, offset, &what)),
        OpenError::Disk(DiskError {
            kind: DiskErrorKind::NotFound,
            path: ref gone,
            ..
        }) if gone != path && gone.starts_with(path) => Failure::damaged(text),
        OpenError::Disk(DiskError {
            kind: DiskErrorKind::NotFound | DiskErrorKind::WrongKind,
            ..
        }) => Failure::usage(format!(
            "{text}; expected the directory that `serve` has as --data; `log dump` takes a single segment file, too"
        )),
        OpenError::NoSpace { .. } | OpenError::Disk(_) => Failure::operation(text),
    }
}

#[cfg(test)]
mod tests;
