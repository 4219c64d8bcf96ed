//! Printing: one line for each thing in a file, in the words of README.md.

use super::line::{Context, Form, Line};
use super::{read_directory, read_file};
use crate::checkpoint;
use crate::digest::DIGEST_ENTRY;
use crate::digest::{DIGEST_HEADER, DigestEntry, DigestKey};
use crate::journal::entry::Entry;
use crate::journal::file::FileHeader;
use crate::journal::group::GroupHeader;
use crate::journal::{BLOCK, Joint};
use crate::layout::{self, FileKind};
use crate::log::decode_state;
use crate::meta::Meta;
use crate::segment::Segment;
use crate::state::LogState;
use crate::{OpenError, cursor::Cursor};
use bytes::Bytes;
use std::ops::ControlFlow;
use std::path::Path;
use taffrail_env::disk::{self, DiskResult, EntryKind, read_full};
use taffrail_env::{DiskErrorKind, Env, File, OpenMode};
use taffrail_record::batch::{BatchHeader, split_batch, verify_crc};
use taffrail_record::{Offset, TopicId, TopicPartition};

/// Lines are handed on when this many bytes of them have come together.
const LINES_BYTES: usize = 64 << 10;
const DOES_NOT_VERIFY: &str = "does not verify";
/// A segment is read in pieces of this size (or of one batch, if that is larger).
const WINDOW: usize = 1 << 20;

/// Where the lines go, and how many of them tell of what does not verify.
pub(super) struct Printer<S> {
    sink: S,
    form: Form,
    context: Context,
    lines: Vec<String>,
    bytes: usize,
    /// Nobody wants more of them.
    ended: bool,
    pub bad: u64,
}

impl<S: AsyncFnMut(Vec<String>) -> ControlFlow<()>> Printer<S> {
    pub fn new(sink: S, form: Form) -> Printer<S> {
        Printer {
            sink,
            form,
            context: Context::default(),
            lines: Vec::new(),
            bytes: 0,
            ended: false,
            bad: 0,
        }
    }

    async fn print(&mut self, line: Line) {
        let line = self.context.write(&line, self.form);
        self.bytes += line.len();
        self.lines.push(line);
        if self.bytes >= LINES_BYTES {
            self.hand_on().await;
        }
    }

    async fn bad(&mut self, line: Line) {
        self.bad += 1;
        self.print(line).await;
    }

    /// Hands on what has come together.
    pub async fn hand_on(&mut self) {
        self.bytes = 0;
        let lines = std::mem::take(&mut self.lines);
        if !lines.is_empty() && !self.ended {
            self.ended = (self.sink)(lines).await.is_break();
        }
    }

    pub async fn path<E: Env>(&mut self, env: &E, path: &Path) -> Result<(), OpenError> {
        let entries = match env.list(path).await {
            Err(error) if error.kind == DiskErrorKind::WrongKind => {
                return self.file(env, path).await;
            }
            entries => entries?,
        };
        if entries.iter().any(|entry| entry.name == layout::META) {
            return self.directory(env, path).await;
        }
        let known = |entry: &&disk::Entry| {
            entry.kind == EntryKind::File && is_known(&path.join(&entry.name))
        };
        if !entries.iter().any(|entry| known(&entry)) {
            return Err(OpenError::NotOurs { path: path.into() });
        }
        for entry in entries.iter().filter(known) {
            let path = path.join(&entry.name);
            let head = Line::new().text("file", path.display());
            self.print(head.number("bytes", entry.len)).await;
            self.file(env, &path).await?;
        }
        Ok(())
    }

    async fn directory<E: Env>(&mut self, env: &E, path: &Path) -> Result<(), OpenError> {
        let found = read_directory(env, path).await?;
        self.print(found.recovered.clone()).await;
        for log in &found.logs {
            self.log_state(&log.state).await;
            for entry in &log.tail {
                let line = Line::inner()
                    .number("tail from", entry.header.base_offset)
                    .number("to", entry.header.last_offset())
                    .number("journal file", entry.place.file)
                    .number("offset", entry.place.offset)
                    .number("for segment", entry.segment);
                self.print(line).await;
            }
        }
        Ok(())
    }

    async fn log_state(&mut self, state: &LogState) {
        let line = Line::new()
            .text("log", state.partition)
            .number("number", state.number)
            .number("start", state.start_offset)
            .number("end", state.end_offset)
            .number("flushed", state.flushed_end)
            .number("epoch", state.epoch)
            .number("producers", state.producers.len() as u64)
            .flag("deleted", state.deleted);
        self.print(line).await;
        for segment in &state.segments {
            self.print(describe(segment)).await;
        }
        for (epoch, start) in &state.epochs {
            let line = Line::inner().number("epoch", *epoch);
            self.print(line.number("from", *start)).await;
        }
    }

    async fn file<E: Env>(&mut self, env: &E, path: &Path) -> Result<(), OpenError> {
        if !is_known(path) {
            return Err(OpenError::NotOurs { path: path.into() });
        }
        self.context.file = Some(path.display().to_string());
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let log_file = layout::parse_log_file(&name);
        if let Some((_, FileKind::Segment)) = log_file {
            return Ok(self.segment(env, path).await?);
        }
        let Some(bytes) = read_file(env, path).await? else {
            return Ok(());
        };
        if name == layout::META {
            self.meta(&bytes).await;
        } else if layout::journal_index(&name).is_some() {
            self.journal(&bytes).await;
        } else if let Some((base, kind)) = log_file {
            self.log_file(path, base, kind, bytes).await;
        } else {
            self.checkpoint_file(&bytes).await;
        }
        Ok(())
    }

    /// One slot may be torn: the other one holds. Without any the directory is lost.
    async fn meta(&mut self, bytes: &Bytes) {
        let slots: Vec<Option<Meta>> = bytes.chunks(BLOCK as usize).map(Meta::decode).collect();
        let none_is_sound = slots.iter().all(Option::is_none);
        for (number, slot) in slots.iter().enumerate() {
            let line = Line::new().number("slot", number as u64);
            match slot {
                Some(meta) => self.print(describe_meta(line, meta)).await,
                None if none_is_sound => self.bad(line.flag(DOES_NOT_VERIFY, true)).await,
                None => self.print(line.flag(DOES_NOT_VERIFY, true)).await,
            }
        }
    }

    async fn checkpoint_file(&mut self, bytes: &Bytes) {
        // Whose it is stands in the file; nothing here depends on it.
        let id = bytes.get(16..32).and_then(|id| id.try_into().ok());
        let found = id.and_then(|id: [u8; 16]| Some((id, checkpoint::decode(&id, bytes)?)));
        let Some((id, found)) = found else {
            let line = Line::new().flag("no checkpoint that verifies", true);
            self.bad(line.key("no_checkpoint")).await;
            return;
        };
        let line = Line::new().number("checkpoint", found.generation);
        let line = joint(line.text("directory", TopicId(id)), &found.replay)
            .number("next log", found.next_log_number);
        self.print(line).await;
        for (as_of, logs) in &found.sections {
            let line = Line::new().number("as of journal file", as_of.file);
            self.print(line.number("offset", as_of.offset)).await;
            for log in logs {
                self.log_state(log).await;
            }
        }
    }

    async fn journal(&mut self, bytes: &Bytes) {
        let Some(header) = FileHeader::decode(bytes) else {
            let line = Line::new().flag("no header that verifies", true);
            self.print(line.key("no_header")).await;
            return;
        };
        let line = Line::new()
            .number("journal file", header.sequence)
            .text("directory", TopicId(header.directory_id))
            .hex("nonce", header.nonce)
            .number("bytes", header.len);
        self.print(line).await;
        let mut at = BLOCK as usize;
        while at < bytes.len() && !self.ended {
            let room = (bytes.len() - at) as u64;
            let rest = bytes.slice(at..);
            let group =
                GroupHeader::parse(&rest, room).filter(|group| group.verifies(header.nonce, &rest));
            let Some(group) = group else {
                at += BLOCK as usize;
                continue;
            };
            let line = Line::new()
                .number("group", group.sequence)
                .number("offset", at as u64)
                .number("entries", group.count)
                .number("bytes", group.length);
            self.print(line).await;
            for entry in group.entries(&rest).unwrap_or_default() {
                self.print(describe_entry(&entry)).await;
            }
            at += group.padded_len() as usize;
        }
    }

    async fn log_file(&mut self, path: &Path, base: Offset, kind: FileKind, bytes: Bytes) {
        let owner = path
            .parent()
            .and_then(|parent| parent.file_name())
            .and_then(|name| layout::parse_log_directory(&name.to_string_lossy()))
            .map(|(partition, _)| partition);
        match kind {
            FileKind::OffsetIndex => {
                for entry in bytes.chunks_exact(8) {
                    let (offset, position) = entry.split_at(4);
                    let offset = base + i64::from(be_i32(offset));
                    let position = be_i32(position);
                    let line = Line::new().number("offset", offset);
                    self.print(line.number("position", position)).await;
                }
            }
            FileKind::TimeIndex => {
                for entry in bytes.chunks_exact(12) {
                    let (timestamp, offset) = entry.split_at(8);
                    let timestamp = i64::from_be_bytes(timestamp.try_into().expect("eight bytes"));
                    let offset = base + i64::from(be_i32(offset));
                    let line = Line::new().number("timestamp", timestamp);
                    self.print(line.number("offset", offset)).await;
                }
            }
            FileKind::Digest => self.digest(owner, base, &bytes).await,
            FileKind::State => match owner.and_then(|owner| decode_state(owner, bytes)) {
                Some((end, state)) => {
                    let line = Line::new().number("state up to", end);
                    self.print(line.number("bytes", state.len() as u64)).await;
                }
                None => self.bad(Line::new().flag(DOES_NOT_VERIFY, true)).await,
            },
            FileKind::ProducerSnapshot => self.producers(&bytes).await,
            FileKind::Segment | FileKind::TransactionIndex => {
                self.print(Line::new().number("bytes", bytes.len() as u64))
                    .await;
            }
        }
    }

    async fn segment<E: Env>(&mut self, env: &E, path: &Path) -> DiskResult<()> {
        let file = env.open(path, OpenMode::Read).await?;
        let len = file.len().await?;
        let (mut at, mut window) = (0, WINDOW);
        while at < len && !self.ended {
            let wanted = window.min((len - at) as usize);
            let bytes = read_full(&file, at, wanted).await?;
            let mut rest = &bytes[..];
            while let Ok((header, batch)) = split_batch(rest) {
                let sound = verify_crc(batch).is_ok();
                self.bad += u64::from(!sound);
                self.print(describe_batch(at, &header, sound)).await;
                at += batch.len() as u64;
                rest = &rest[batch.len()..];
            }
            if rest.len() < bytes.len() {
                window = WINDOW;
            } else if bytes.len() < wanted || at + wanted as u64 >= len {
                let left = len - at;
                let line = Line::new().number("position", at).number("bytes", left);
                self.bad(line.flag("that are no batch", true).key("no_batch"))
                    .await;
                return Ok(());
            } else {
                window *= 2;
            }
        }
        Ok(())
    }

    async fn digest(&mut self, owner: Option<TopicPartition>, base: Offset, bytes: &Bytes) {
        let Some(partition) = owner else {
            let line = "whose digest it is does not show in its directory's name";
            self.print(Line::new().flag(line, true).key("no_owner"))
                .await;
            return;
        };
        let key = DigestKey {
            partition,
            base_offset: base,
        };
        let entries = bytes.get(DIGEST_HEADER..).unwrap_or_default();
        for (number, entry) in entries.chunks_exact(DIGEST_ENTRY).enumerate() {
            match DigestEntry::decode(&key, number as u32, entry) {
                Some(entry) => {
                    let line = Line::new()
                        .number("position", entry.position)
                        .number("offset", entry.offset)
                        .hex("chain", entry.chain)
                        .number("largest timestamp", entry.max_timestamp)
                        .number("at", entry.max_timestamp_offset);
                    self.print(line).await;
                }
                None => {
                    let line = Line::new().number("entry", number as u64);
                    self.bad(line.flag(DOES_NOT_VERIFY, true)).await;
                }
            }
        }
    }

    /// Kafka's producer snapshot; big-endian, so fields are turned round.
    async fn producers(&mut self, bytes: &Bytes) {
        let mut cursor = Cursor::new(bytes);
        let head = (
            cursor.array::<2>(),
            cursor.array::<4>(),
            cursor.array::<4>(),
        );
        let (Some(version), Some(_), Some(count)) = head else {
            self.print(Line::new().flag("cut short", true)).await;
            return;
        };
        let line = Line::new()
            .number("version", i16::from_be_bytes(version))
            .number("producers", u32::from_be_bytes(count));
        self.print(line).await;
        while let (Some(id), Some(epoch), Some(sequence), Some(offset), Some(_)) = (
            cursor.array::<8>(),
            cursor.array::<2>(),
            cursor.array::<4>(),
            cursor.array::<8>(),
            cursor.take(24),
        ) {
            let line = Line::new()
                .number("producer", i64::from_be_bytes(id))
                .number("epoch", i16::from_be_bytes(epoch))
                .number("last sequence", i32::from_be_bytes(sequence))
                .number("last offset", i64::from_be_bytes(offset));
            self.print(line).await;
        }
    }
}

/// Whether the name is one that a data directory gives. Of a checkpoint's, its directory tells.
fn is_known(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let of_checkpoints = || {
        let parent = path.parent().and_then(Path::file_name);
        parent.is_some_and(|parent| parent == layout::CHECKPOINT) && (name == "0" || name == "1")
    };
    name == layout::META
        || layout::journal_index(&name).is_some()
        || layout::parse_log_file(&name).is_some()
        || of_checkpoints()
}

fn describe(segment: &Segment) -> Line {
    Line::inner()
        .number("segment", segment.base_offset)
        .number("end", segment.end_offset)
        .number("length", segment.length)
        .hex("chain", segment.chain)
        .number("largest timestamp", segment.max_timestamp)
        .number("at", segment.max_timestamp_offset)
        .flag("sealed", segment.sealed)
}

/// Where the journal goes on.
pub(super) fn joint(line: Line, joint: &Joint) -> Line {
    line.number("journal file", joint.place.file)
        .number("offset", joint.place.offset)
        .number("group", joint.sequence)
}

fn describe_meta(line: Line, meta: &Meta) -> Line {
    let line = line
        .number("counter", meta.counter)
        .text("directory", TopicId(meta.directory_id))
        .text("cluster", TopicId(meta.cluster_id))
        .number("start", meta.start_number)
        .number("journal files", meta.journal_files)
        .number("of bytes", meta.journal_file_bytes)
        .key("journal_file_bytes")
        .either("complete", "incomplete", meta.complete)
        .either("clean", "unclean", meta.clean.is_some());
    match &meta.clean {
        Some((end, generation)) => joint(line.number("checkpoint", *generation), end),
        None => line,
    }
}

fn describe_entry(entry: &Entry) -> Line {
    Line::inner()
        .text("entry", format_args!("{:?}", entry.kind))
        .text("log", entry.log.partition)
        .number("number", entry.log.number)
        .number("epoch", entry.epoch)
        .number("a", entry.a)
        .number("b", entry.b)
        .number("c", entry.c)
        .number("payload", entry.payload.len() as u64)
}

fn describe_batch(at: u64, header: &BatchHeader, sound: bool) -> Line {
    let line = Line::new()
        .number("position", at)
        .number("offset", header.base_offset)
        .key("base_offset")
        .number("to", header.last_offset())
        .key("last_offset")
        .number("records", header.record_count)
        .number("epoch", header.partition_leader_epoch)
        .key("leader_epoch")
        .number("size", header.size() as u64)
        .key("bytes");
    let line = match header.codec() {
        Ok(codec) => line.text("codec", codec.name()),
        Err(error) => line.text("codec", error),
    };
    line.number("timestamp", header.max_timestamp)
        .key("max_timestamp")
        .number("producer", header.producer_id)
        .key("producer_id")
        .number("epoch", header.producer_epoch)
        .key("producer_epoch")
        .number("sequence", header.base_sequence)
        .key("base_sequence")
        .flag("control", header.is_control())
        .either("valid", "INVALID", sound)
}

fn be_i32(bytes: &[u8]) -> i32 {
    i32::from_be_bytes(bytes.try_into().expect("four bytes"))
}
