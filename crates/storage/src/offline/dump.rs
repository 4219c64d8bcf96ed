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
use std::path::Path;
use taffrail_env::disk::EntryKind;
use taffrail_env::{DiskErrorKind, Env};
use taffrail_record::batch::{split_batch, verify_crc};
use taffrail_record::{Offset, TopicPartition};

/// Where the lines go, and how many of them tell of what does not verify.
pub(super) struct Printer<'a> {
    pub line: &'a mut dyn FnMut(String),
    pub bad: u64,
}

impl Printer<'_> {
    fn print(&mut self, line: String) {
        (self.line)(line);
    }

    fn bad(&mut self, line: String) {
        self.bad += 1;
        self.print(line);
    }
}

pub(super) async fn path<E: Env>(
    env: &E,
    path: &Path,
    line: &mut Printer<'_>,
) -> Result<(), OpenError> {
    match env.list(path).await {
        Ok(entries) if entries.iter().any(|entry| entry.name == layout::META) => {
            return directory(env, path, line).await;
        }
        Ok(entries) => {
            for entry in entries {
                if entry.kind == EntryKind::File {
                    let path = path.join(&entry.name);
                    line.print(format!("== {} {} bytes", path.display(), entry.len));
                    file(env, &path, line).await?;
                }
            }
            return Ok(());
        }
        Err(error) if error.kind == DiskErrorKind::WrongKind => {}
        Err(error) => return Err(error.into()),
    }
    file(env, path, line).await
}

async fn directory<E: Env>(env: &E, path: &Path, line: &mut Printer<'_>) -> Result<(), OpenError> {
    let found = read_directory(env, path).await?;
    line.print(found.recovered.clone());
    for log in &found.logs {
        log_state(&log.state, line);
        for entry in &log.tail {
            line.print(format!(
                "  tail offset {} to {} journal file {} offset {} for segment {}",
                entry.header.base_offset,
                entry.header.last_offset(),
                entry.place.file,
                entry.place.offset,
                entry.segment
            ));
        }
    }
    Ok(())
}

fn log_state(state: &LogState, line: &mut Printer<'_>) {
    line.print(format!(
        "log {} number {} start {} end {} flushed {} epoch {} producers {}{}",
        state.partition,
        state.number,
        state.start_offset,
        state.end_offset,
        state.flushed_end,
        state.epoch,
        state.producers.len(),
        if state.deleted { " deleted" } else { "" }
    ));
    for segment in &state.segments {
        line.print(format!("  {}", describe(segment)));
    }
    for (epoch, start) in &state.epochs {
        line.print(format!("  epoch {epoch} from {start}"));
    }
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

async fn file<E: Env>(env: &E, path: &Path, line: &mut Printer<'_>) -> Result<(), OpenError> {
    let Some(bytes) = read_file(env, path).await? else {
        return Ok(());
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if name == layout::META {
        for slot in bytes.chunks(BLOCK as usize) {
            line.print(format!("{:?}", Meta::decode(slot)));
        }
        return Ok(());
    }
    if name.ends_with(".journal") {
        journal(&bytes, line);
        return Ok(());
    }
    match layout::parse_log_file(&name) {
        Some((base, kind)) => log_file(path, base, kind, bytes, line),
        None => checkpoint_file(&bytes, line),
    }
    Ok(())
}

fn checkpoint_file(bytes: &Bytes, line: &mut Printer<'_>) {
    // Whose it is stands in the file; nothing here depends on it.
    let id = bytes.get(16..32).and_then(|id| id.try_into().ok());
    let Some(found) = id.and_then(|id: [u8; 16]| checkpoint::decode(&id, bytes)) else {
        line.print("no checkpoint, and no other file that is known".into());
        return;
    };
    line.print(format!(
        "checkpoint {} replay from file {} offset {}",
        found.generation, found.replay.place.file, found.replay.place.offset
    ));
    for (as_of, logs) in &found.sections {
        line.print(format!("as of file {} offset {}", as_of.file, as_of.offset));
        logs.iter().for_each(|log| log_state(log, line));
    }
}

fn journal(bytes: &Bytes, line: &mut Printer<'_>) {
    let Some(header) = FileHeader::decode(bytes) else {
        line.print("no header".into());
        return;
    };
    line.print(format!("{header:?}"));
    let mut at = BLOCK as usize;
    while at < bytes.len() {
        let room = (bytes.len() - at) as u64;
        let rest = bytes.slice(at..);
        let group =
            GroupHeader::parse(&rest, room).filter(|group| group.verifies(header.nonce, &rest));
        let Some(group) = group else {
            at += BLOCK as usize;
            continue;
        };
        line.print(format!(
            "at {at} group {} entries {} bytes {}",
            group.sequence, group.count, group.length
        ));
        for entry in group.entries(&rest).unwrap_or_default() {
            line.print(format!(
                "  {:?} log {} number {} epoch {} a {} b {} c {} payload {}",
                entry.kind,
                entry.log.partition,
                entry.log.number,
                entry.epoch,
                entry.a,
                entry.b,
                entry.c,
                entry.payload.len()
            ));
        }
        at += group.padded_len() as usize;
    }
}

fn log_file(path: &Path, base: Offset, kind: FileKind, bytes: Bytes, line: &mut Printer<'_>) {
    let owner = path
        .parent()
        .and_then(|parent| parent.file_name())
        .and_then(|name| layout::parse_log_directory(&name.to_string_lossy()))
        .map(|(partition, _)| partition);
    match kind {
        FileKind::Segment => segment(&bytes, line),
        FileKind::OffsetIndex => {
            for entry in bytes.chunks_exact(8) {
                let (offset, position) = entry.split_at(4);
                line.print(format!(
                    "offset {} position {}",
                    base + i64::from(be_i32(offset)),
                    be_i32(position)
                ));
            }
        }
        FileKind::TimeIndex => {
            for entry in bytes.chunks_exact(12) {
                let (timestamp, offset) = entry.split_at(8);
                let timestamp = i64::from_be_bytes(timestamp.try_into().expect("eight bytes"));
                let offset = base + i64::from(be_i32(offset));
                line.print(format!("timestamp {timestamp} offset {offset}"));
            }
        }
        FileKind::Digest => digest(owner, base, &bytes, line),
        FileKind::State => match owner.and_then(|owner| decode_state(owner, bytes)) {
            Some((end, state)) => line.print(format!("state up to {end}, {} bytes", state.len())),
            None => line.bad("does not verify".into()),
        },
        FileKind::ProducerSnapshot => producers(&bytes, line),
        FileKind::TransactionIndex => line.print(format!("{} bytes", bytes.len())),
    }
}

fn be_i32(bytes: &[u8]) -> i32 {
    i32::from_be_bytes(bytes.try_into().expect("four bytes"))
}

fn segment(bytes: &Bytes, line: &mut Printer<'_>) {
    let mut at = 0;
    while let Ok((header, batch)) = split_batch(&bytes[at..]) {
        let sound = verify_crc(batch).is_ok();
        line.bad += u64::from(!sound);
        line.print(format!(
            "position {at} offset {} to {} records {} epoch {} size {} timestamp {} producer {} epoch {} sequence {} {}",
            header.base_offset,
            header.last_offset(),
            header.record_count,
            header.partition_leader_epoch,
            batch.len(),
            header.max_timestamp,
            header.producer_id,
            header.producer_epoch,
            header.base_sequence,
            if sound { "valid" } else { "INVALID" }
        ));
        at += batch.len();
    }
    if at < bytes.len() {
        line.bad(format!(
            "position {at}: {} bytes that are no batch",
            bytes.len() - at
        ));
    }
}

fn digest(owner: Option<TopicPartition>, base: Offset, bytes: &Bytes, line: &mut Printer<'_>) {
    let Some(partition) = owner else {
        line.print("whose digest it is does not show in its directory's name".into());
        return;
    };
    let key = DigestKey {
        partition,
        base_offset: base,
    };
    let entries = bytes.get(DIGEST_HEADER..).unwrap_or_default();
    for (number, entry) in entries.chunks_exact(DIGEST_ENTRY).enumerate() {
        match DigestEntry::decode(&key, number as u32, entry) {
            Some(entry) => line.print(format!(
                "position {} offset {} chain {:016x} largest timestamp {} at {}",
                entry.position,
                entry.offset,
                entry.chain,
                entry.max_timestamp,
                entry.max_timestamp_offset
            )),
            None => line.bad(format!("entry {number} does not verify")),
        }
    }
}

/// Kafka's producer snapshot; big-endian, so fields are turned round.
fn producers(bytes: &Bytes, line: &mut Printer<'_>) {
    let mut cursor = Cursor::new(bytes);
    let head = (
        cursor.array::<2>(),
        cursor.array::<4>(),
        cursor.array::<4>(),
    );
    let (Some(version), Some(_), Some(count)) = head else {
        line.print("cut short".into());
        return;
    };
    line.print(format!(
        "version {} producers {}",
        i16::from_be_bytes(version),
        u32::from_be_bytes(count)
    ));
    while let (Some(id), Some(epoch), Some(sequence), Some(offset), Some(_)) = (
        cursor.array::<8>(),
        cursor.array::<2>(),
        cursor.array::<4>(),
        cursor.array::<8>(),
        cursor.take(24),
    ) {
        line.print(format!(
            "producer {} epoch {} last sequence {} last offset {}",
            i64::from_be_bytes(id),
            i16::from_be_bytes(epoch),
            i32::from_be_bytes(sequence),
            i64::from_be_bytes(offset)
        ));
    }
}
