//! Printing: one line for each thing in a file, in the words of README.md.

use super::{read_directory, read_file};
use crate::checkpoint;
use crate::digest::DIGEST_ENTRY;
use crate::digest::{DIGEST_HEADER, DigestEntry, DigestKey};
use crate::journal::BLOCK;
use crate::journal::file::FileHeader;
use crate::journal::group::GroupHeader;
use crate::layout::{self, FileKind};
use crate::log::decode_state;
use crate::meta::Meta;
use crate::segment::Segment;
use crate::state::LogState;
use crate::{OpenError, cursor::Cursor};
use bytes::Bytes;
use std::ops::ControlFlow;
use std::path::Path;
use taffrail_env::disk::{DiskResult, Entry, EntryKind, read_full};
use taffrail_env::{DiskErrorKind, Env, File, OpenMode};
use taffrail_record::batch::{BatchHeader, split_batch, verify_crc};
use taffrail_record::{Offset, TopicPartition};

/// Lines are handed on when this many bytes of them have come together.
const LINES_BYTES: usize = 64 << 10;
/// A segment is read in pieces of this size (or of one batch, if that is larger).
const WINDOW: usize = 1 << 20;

/// Where the lines go, and how many of them tell of what does not verify.
pub(super) struct Printer<S> {
    sink: S,
    lines: Vec<String>,
    bytes: usize,
    /// Nobody wants more of them.
    ended: bool,
    pub bad: u64,
}

impl<S: AsyncFnMut(Vec<String>) -> ControlFlow<()>> Printer<S> {
    pub fn new(sink: S) -> Printer<S> {
        Printer {
            sink,
            lines: Vec::new(),
            bytes: 0,
            ended: false,
            bad: 0,
        }
    }

    async fn print(&mut self, line: String) {
        self.bytes += line.len();
        self.lines.push(line);
        if self.bytes >= LINES_BYTES {
            self.hand_on().await;
        }
    }

    async fn bad(&mut self, line: String) {
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
        let known =
            |entry: &&Entry| entry.kind == EntryKind::File && is_known(&path.join(&entry.name));
        if !entries.iter().any(|entry| known(&entry)) {
            return Err(OpenError::NotOurs { path: path.into() });
        }
        for entry in entries.iter().filter(known) {
            let path = path.join(&entry.name);
            self.print(format!("== {} {} bytes", path.display(), entry.len))
                .await;
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
                self.print(format!(
                    "  tail offset {} to {} journal file {} offset {} for segment {}",
                    entry.header.base_offset,
                    entry.header.last_offset(),
                    entry.place.file,
                    entry.place.offset,
                    entry.segment
                ))
                .await;
            }
        }
        Ok(())
    }

    async fn log_state(&mut self, state: &LogState) {
        self.print(format!(
            "log {} number {} start {} end {} flushed {} epoch {} producers {}{}",
            state.partition,
            state.number,
            state.start_offset,
            state.end_offset,
            state.flushed_end,
            state.epoch,
            state.producers.len(),
            if state.deleted { " deleted" } else { "" }
        ))
        .await;
        for segment in &state.segments {
            self.print(format!("  {}", describe(segment))).await;
        }
        for (epoch, start) in &state.epochs {
            self.print(format!("  epoch {epoch} from {start}")).await;
        }
    }

    async fn file<E: Env>(&mut self, env: &E, path: &Path) -> Result<(), OpenError> {
        if !is_known(path) {
            return Err(OpenError::NotOurs { path: path.into() });
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let log_file = layout::parse_log_file(&name);
        if let Some((_, FileKind::Segment)) = log_file {
            return Ok(self.segment(env, path).await?);
        }
        let Some(bytes) = read_file(env, path).await? else {
            return Ok(());
        };
        if name == layout::META {
            for slot in bytes.chunks(BLOCK as usize) {
                self.print(format!("{:?}", Meta::decode(slot))).await;
            }
        } else if layout::journal_index(&name).is_some() {
            self.journal(&bytes).await;
        } else if let Some((base, kind)) = log_file {
            self.log_file(path, base, kind, bytes).await;
        } else {
            self.checkpoint_file(&bytes).await;
        }
        Ok(())
    }

    async fn checkpoint_file(&mut self, bytes: &Bytes) {
        // Whose it is stands in the file; nothing here depends on it.
        let id = bytes.get(16..32).and_then(|id| id.try_into().ok());
        let Some(found) = id.and_then(|id: [u8; 16]| checkpoint::decode(&id, bytes)) else {
            self.bad("no checkpoint that verifies".into()).await;
            return;
        };
        self.print(format!(
            "checkpoint {} replay from file {} offset {}",
            found.generation, found.replay.place.file, found.replay.place.offset
        ))
        .await;
        for (as_of, logs) in &found.sections {
            self.print(format!("as of file {} offset {}", as_of.file, as_of.offset))
                .await;
            for log in logs {
                self.log_state(log).await;
            }
        }
    }

    async fn journal(&mut self, bytes: &Bytes) {
        let Some(header) = FileHeader::decode(bytes) else {
            self.print("no header".into()).await;
            return;
        };
        self.print(format!("{header:?}")).await;
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
            self.print(format!(
                "at {at} group {} entries {} bytes {}",
                group.sequence, group.count, group.length
            ))
            .await;
            for entry in group.entries(&rest).unwrap_or_default() {
                self.print(format!(
                    "  {:?} log {} number {} epoch {} a {} b {} c {} payload {}",
                    entry.kind,
                    entry.log.partition,
                    entry.log.number,
                    entry.epoch,
                    entry.a,
                    entry.b,
                    entry.c,
                    entry.payload.len()
                ))
                .await;
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
                    self.print(format!("offset {offset} position {position}"))
                        .await;
                }
            }
            FileKind::TimeIndex => {
                for entry in bytes.chunks_exact(12) {
                    let (timestamp, offset) = entry.split_at(8);
                    let timestamp = i64::from_be_bytes(timestamp.try_into().expect("eight bytes"));
                    let offset = base + i64::from(be_i32(offset));
                    self.print(format!("timestamp {timestamp} offset {offset}"))
                        .await;
                }
            }
            FileKind::Digest => self.digest(owner, base, &bytes).await,
            FileKind::State => match owner.and_then(|owner| decode_state(owner, bytes)) {
                Some((end, state)) => {
                    self.print(format!("state up to {end}, {} bytes", state.len()))
                        .await;
                }
                None => self.bad("does not verify".into()).await,
            },
            FileKind::ProducerSnapshot => self.producers(&bytes).await,
            FileKind::Segment | FileKind::TransactionIndex => {
                self.print(format!("{} bytes", bytes.len())).await;
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
                self.bad(format!("position {at}: {left} bytes that are no batch"))
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
            self.print(line.into()).await;
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
                    self.print(format!(
                        "position {} offset {} chain {:016x} largest timestamp {} at {}",
                        entry.position,
                        entry.offset,
                        entry.chain,
                        entry.max_timestamp,
                        entry.max_timestamp_offset
                    ))
                    .await;
                }
                None => self.bad(format!("entry {number} does not verify")).await,
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
            self.print("cut short".into()).await;
            return;
        };
        self.print(format!(
            "version {} producers {}",
            i16::from_be_bytes(version),
            u32::from_be_bytes(count)
        ))
        .await;
        while let (Some(id), Some(epoch), Some(sequence), Some(offset), Some(_)) = (
            cursor.array::<8>(),
            cursor.array::<2>(),
            cursor.array::<4>(),
            cursor.array::<8>(),
            cursor.take(24),
        ) {
            self.print(format!(
                "producer {} epoch {} last sequence {} last offset {}",
                i64::from_be_bytes(id),
                i16::from_be_bytes(epoch),
                i32::from_be_bytes(sequence),
                i64::from_be_bytes(offset)
            ))
            .await;
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

fn describe(segment: &Segment) -> String {
    format!(
        "segment {} end {} length {} chain {:016x} largest timestamp {} at {}{}",
        segment.base_offset,
        segment.end_offset,
        segment.length,
        segment.chain,
        segment.max_timestamp,
        segment.max_timestamp_offset,
        if segment.sealed { " sealed" } else { "" }
    )
}

fn describe_batch(at: u64, header: &BatchHeader, sound: bool) -> String {
    format!(
        "position {at} offset {} to {} records {} epoch {} size {} timestamp {} producer {} epoch {} sequence {} {}",
        header.base_offset,
        header.last_offset(),
        header.record_count,
        header.partition_leader_epoch,
        header.size(),
        header.max_timestamp,
        header.producer_id,
        header.producer_epoch,
        header.base_sequence,
        if sound { "valid" } else { "INVALID" }
    )
}

fn be_i32(bytes: &[u8]) -> i32 {
    i32::from_be_bytes(bytes.try_into().expect("four bytes"))
}
