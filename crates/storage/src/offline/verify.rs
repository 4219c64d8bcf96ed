//! The checks: journal and checkpoint as recovery does them, then every byte of every segment.

use super::{Directory, Finding, Verified, invariant_of, read_digest, read_directory, read_file};
use crate::OpenError;
use crate::checksum::chain_next;
use crate::digest::{DigestEntry, DigestKey};
use crate::layout::{self, FileKind};
use crate::segment::Segment;
use crate::state::LogState;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use taffrail_env::disk::{DiskResult, EntryKind, read_full};
use taffrail_env::{DiskErrorKind, Env, OpenMode};
use taffrail_record::Offset;
use taffrail_record::batch::{HEADER_LEN, split_batch, verify_crc};

const WINDOW: usize = 4 << 20;

pub(super) async fn directory<E: Env>(
    env: &E,
    directory: &Path,
    report: &mut dyn FnMut(Finding),
) -> Result<Verified, OpenError> {
    let mut verified = Verified::default();
    let found = match read_directory(env, directory).await {
        Err(OpenError::Damaged { file, offset, what }) => {
            let invariant = invariant_of(&file);
            report(Finding {
                file,
                offset,
                invariant,
                what,
            });
            verified.findings = 1;
            return Ok(verified);
        }
        found => found?,
    };
    verified.unexplained = unexplained(env, directory, &found).await?;
    for log in &found.logs {
        verified.logs += 1;
        let state = &log.state;
        let path = layout::log_directory(directory, state.partition, state.number);
        for segment in &state.segments {
            let mut check = Check {
                path: &path,
                state,
                segment,
                verified: &mut verified,
                report,
                starts: BTreeMap::new(),
                digest: Vec::new(),
            };
            check.run(env).await?;
        }
    }
    Ok(verified)
}

/// Directories of logs that are neither there nor deleted a while ago.
async fn unexplained<E: Env>(
    env: &E,
    directory: &Path,
    found: &Directory<E>,
) -> DiskResult<Vec<PathBuf>> {
    let place = layout::partitions(directory);
    let logs = found.logs.iter().map(|log| &log.state);
    let logs = logs.map(|state| (state.partition, state.number));
    let known: BTreeSet<_> = logs.chain(found.deleted.iter().copied()).collect();
    let entries = match env.list(&place).await {
        Err(error) if error.kind == DiskErrorKind::NotFound => Vec::new(),
        entries => entries?,
    };
    let directories = entries
        .into_iter()
        .filter(|entry| entry.kind == EntryKind::Directory);
    let named = directories.filter_map(|entry| {
        let name = layout::parse_log_directory(&entry.name)?;
        (!known.contains(&name)).then(|| place.join(&entry.name))
    });
    Ok(named.collect())
}

/// One segment being checked.
struct Check<'a> {
    path: &'a Path,
    state: &'a LogState,
    segment: &'a Segment,
    verified: &'a mut Verified,
    report: &'a mut dyn FnMut(Finding),
    /// Each batch's position, by its last offset, with its largest timestamp.
    starts: BTreeMap<Offset, (u64, i64)>,
    /// What holds at each batch boundary that the digest names.
    digest: Vec<DigestEntry>,
}

impl Check<'_> {
    async fn run<E: Env>(&mut self, env: &E) -> DiskResult<()> {
        self.verified.segments += 1;
        let key = DigestKey {
            partition: self.state.partition,
            base_offset: self.segment.base_offset,
        };
        let len = self.segment.side.digest_len as usize;
        if len > 0 {
            match read_digest(env, self.path, &key, len).await {
                Ok(Some(digest)) => self.digest = digest,
                Ok(None) => self.wrong(FileKind::Digest, 0, "the digest does not verify"),
                Err(error) => self.wrong(FileKind::Digest, 0, error.to_string()),
            }
        }
        if self.batches(env).await? {
            self.index(env).await?;
            self.time_index(env).await?;
        }
        Ok(())
    }

    fn wrong(&mut self, kind: FileKind, offset: u64, what: impl Into<String>) {
        self.verified.findings += 1;
        (self.report)(Finding {
            file: layout::log_file(self.path, self.segment.base_offset, kind),
            offset,
            invariant: "NO-SILENT-CORRUPTION",
            what: what.into(),
        });
    }

    /// Walks over the batches. `false` if the walk had to end early.
    async fn batches<E: Env>(&mut self, env: &E) -> DiskResult<bool> {
        let path = layout::log_file(self.path, self.segment.base_offset, FileKind::Segment);
        let file = match env.open(&path, OpenMode::Read).await {
            Ok(file) => file,
            Err(error) => {
                self.wrong(FileKind::Segment, 0, error.to_string());
                return Ok(false);
            }
        };
        let mut at = DigestEntry::first(self.state.partition, self.segment.base_offset);
        let mut window = WINDOW;
        while u64::from(at.position) < self.segment.length {
            let position = u64::from(at.position);
            let len = window.min((self.segment.length - position) as usize);
            let bytes = match read_full(&file, position, len).await {
                Ok(bytes) => bytes,
                Err(error) => {
                    self.wrong(FileKind::Segment, position, error.to_string());
                    return Ok(false);
                }
            };
            let mut rest = &bytes[..];
            while let Ok((_, batch)) = split_batch(rest) {
                self.batch(&mut at, batch);
                rest = &rest[batch.len()..];
            }
            if u64::from(at.position) == position {
                if position + len as u64 >= self.segment.length || bytes.len() < len {
                    let what = "no batch where the mark says that one is";
                    self.wrong(FileKind::Segment, position, what);
                    return Ok(false);
                }
                window = (2 * window).min(self.segment.length as usize);
            }
        }
        let end = u64::from(at.position);
        if (end, at.chain, at.offset)
            != (
                self.segment.length,
                self.segment.chain,
                self.segment.end_offset,
            )
        {
            let what = "the batches are not those that were synced";
            self.wrong(FileKind::Segment, end, what);
        }
        Ok(true)
    }

    fn batch(&mut self, at: &mut DigestEntry, batch: &[u8]) {
        let (header, _) = split_batch(batch).expect("it was split before");
        let position = u64::from(at.position);
        self.verified.batches += 1;
        self.verified.records += header.record_count.max(0) as u64;
        self.verified.bytes += batch.len() as u64;
        if let Err(error) = verify_crc(batch) {
            self.wrong(FileKind::Segment, position, error.to_string());
        }
        if header.base_offset < at.offset {
            let what = format!("offset {} where {} is next", header.base_offset, at.offset);
            self.wrong(FileKind::Segment, position, what);
        }
        let named = self
            .digest
            .iter()
            .find(|entry| entry.position == at.position);
        if named.is_some_and(|entry| entry.chain != at.chain || entry.offset > header.base_offset) {
            let what = "the batches before are not those that the digest names";
            self.wrong(FileKind::Segment, position, what);
        }
        let header_bytes = batch
            .first_chunk::<HEADER_LEN>()
            .expect("a batch has a header");
        at.chain = chain_next(at.chain, header_bytes);
        at.position += batch.len() as u32;
        at.offset = header.next_offset();
        self.starts
            .insert(header.last_offset(), (position, header.max_timestamp));
    }

    async fn index<E: Env>(&mut self, env: &E) -> DiskResult<()> {
        let bytes = self
            .side_file(
                env,
                FileKind::OffsetIndex,
                self.segment.side.index_len as usize,
            )
            .await?;
        let mut before = None;
        for (number, entry) in bytes.chunks_exact(8).enumerate() {
            let relative = i32::from_be_bytes(entry[..4].try_into().expect("four bytes"));
            let position = i32::from_be_bytes(entry[4..].try_into().expect("four bytes"));
            let offset = self.segment.base_offset + i64::from(relative);
            let there = self.starts.get(&offset).map(|(position, _)| *position);
            let rises = before < Some((relative, position));
            if there != Some(position as u64) || !rises {
                let what = format!("names offset {offset} at {position}, where it is not");
                self.wrong(FileKind::OffsetIndex, 8 * number as u64, what);
            }
            before = Some((relative, position));
        }
        Ok(())
    }

    async fn time_index<E: Env>(&mut self, env: &E) -> DiskResult<()> {
        let bytes = self
            .side_file(
                env,
                FileKind::TimeIndex,
                self.segment.side.time_index_len as usize,
            )
            .await?;
        if !bytes.is_empty() && self.segment.side.index_len == 0 {
            self.has_offset_index(env).await?;
        }
        let mut before = None;
        for (number, entry) in bytes.chunks_exact(12).enumerate() {
            let timestamp = i64::from_be_bytes(entry[..8].try_into().expect("eight bytes"));
            let relative = i32::from_be_bytes(entry[8..].try_into().expect("four bytes"));
            let offset = self.segment.base_offset + i64::from(relative);
            let there = self.starts.get(&offset).map(|(_, timestamp)| *timestamp);
            let rises = before < Some((timestamp, relative));
            if there != Some(timestamp) || !rises {
                let what = format!("names timestamp {timestamp} at offset {offset}");
                self.wrong(FileKind::TimeIndex, 12 * number as u64, what);
            }
            before = Some((timestamp, relative));
        }
        Ok(())
    }

    /// An offset index without an entry is there all the same, for Kafka's tools.
    async fn has_offset_index<E: Env>(&mut self, env: &E) -> DiskResult<()> {
        let path = layout::log_file(self.path, self.segment.base_offset, FileKind::OffsetIndex);
        match env.open(&path, OpenMode::Read).await {
            Err(error) if error.kind == DiskErrorKind::NotFound => {
                let what = "there is a time index, and no offset index beside it";
                self.wrong(FileKind::OffsetIndex, 0, what);
                Ok(())
            }
            opened => opened.map(drop),
        }
    }

    /// The synced part of a side file.
    async fn side_file<E: Env>(
        &mut self,
        env: &E,
        kind: FileKind,
        len: usize,
    ) -> DiskResult<bytes::Bytes> {
        if len == 0 {
            return Ok(bytes::Bytes::new());
        }
        let path = layout::log_file(self.path, self.segment.base_offset, kind);
        let file = match read_file(env, &path).await {
            Ok(file) => file.unwrap_or_default(),
            Err(error) => {
                self.wrong(kind, 0, error.to_string());
                return Ok(bytes::Bytes::new());
            }
        };
        if file.len() < len {
            let what = format!("{len} bytes were synced, {} are there", file.len());
            self.wrong(kind, file.len() as u64, what);
        }
        Ok(file.slice(..len.min(file.len())))
    }
}
