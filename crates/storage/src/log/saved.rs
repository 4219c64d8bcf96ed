//! A machine's snapshot beside its log, and moving the log's start.

use super::Log;
use crate::StorageError;
use crate::checksum::Crc64;
use crate::cursor::Cursor;
use crate::journal::entry::Entry;
use crate::layout::{self, FileKind};
use crate::reading::read_verified;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::path::Path;
use taffrail_env::disk::DiskResult;
use taffrail_env::{DiskErrorKind, Env, File, OpenMode};
use taffrail_record::{Offset, TopicPartition};

const MAGIC: &[u8; 8] = b"TAFFSTAT";
const VERSION: u32 = 1;
pub(crate) const STATE_HEADER: usize = 64;
const CHECKED: usize = 48;

/// The header of a state file.
fn encode_header(partition: TopicPartition, end_offset: Offset, state: &[Bytes]) -> Bytes {
    let mut header = BytesMut::with_capacity(STATE_HEADER);
    header.put_slice(MAGIC);
    header.put_u32_le(VERSION);
    header.put_i32_le(partition.partition);
    header.put_slice(&partition.topic.0);
    header.put_i64_le(end_offset);
    header.put_u64_le(state.iter().map(|piece| piece.len() as u64).sum());
    let mut crc = Crc64::new();
    crc.update(&header);
    state.iter().for_each(|piece| crc.update(piece));
    header.put_u64_le(crc.value());
    header.put_u64_le(0);
    header.freeze()
}

/// The offset and payload of a state file; `None` if it does not verify.
pub(crate) fn decode_state(partition: TopicPartition, mut file: Bytes) -> Option<(Offset, Bytes)> {
    let mut cursor = Cursor::new(&file);
    let sound = &cursor.array::<8>()? == MAGIC
        && cursor.u32()? == VERSION
        && cursor.i32()? == partition.partition
        && cursor.array::<16>()? == partition.topic.0;
    let end_offset = cursor.i64()?;
    let len = cursor.u64()?;
    let checksum = cursor.u64()?;
    cursor.u64()?;
    if !sound || len != cursor.remaining() as u64 {
        return None;
    }
    let mut crc = Crc64::new();
    crc.update(&file[..CHECKED]);
    crc.update(&file[STATE_HEADER..]);
    if crc.value() != checksum {
        return None;
    }
    file.advance(STATE_HEADER);
    Some((end_offset, file))
}

impl<E: Env> Log<E> {
    /// Moves the log's start up to `offset` (never back); durable when it returns. Answers the start there is now.
    pub async fn advance_log_start(&self, offset: Offset) -> Result<Offset, StorageError> {
        let start = self.log_start_offset();
        let end = self.high_watermark();
        if offset > end || offset < 0 {
            return Err(StorageError::OutOfRange { start, end });
        }
        if offset > start {
            let number = self.inner.number;
            self.record(
                Entry::start(self.inner.key(), offset),
                move |shard, state| {
                    let gone = state.advance_start(offset);
                    for base in gone {
                        shard.digests.borrow_mut().remove(number, base);
                    }
                },
            )
            .await?;
            // Whoever waits at an offset that is gone learns so by the high watermark, which is not below the start.
            let mut running = self.inner.running.borrow_mut();
            let high_watermark = running.high_watermark;
            running.waiters.wake_up_to(high_watermark);
        }
        Ok(self.log_start_offset())
    }

    /// Keeps a machine's snapshot beside the log: it holds everything below `end_offset`. Replaces the one before.
    pub async fn save_state(
        &self,
        end_offset: Offset,
        state: Vec<Bytes>,
    ) -> Result<(), StorageError> {
        let _turn = self.inner.work.lock().await;
        if let Some(error) = self.shard.failed.borrow().clone() {
            return Err(StorageError::Failed(error));
        }
        if self.inner.running.borrow().deleted {
            return Err(StorageError::Deleted);
        }
        match self.write_state(end_offset, state).await {
            Ok(verified) if verified => Ok(()),
            Ok(_) => Err(StorageError::Corrupt {
                file: self.state_path(end_offset),
                what: "it does not read back as it was written".into(),
            }),
            Err(error) => {
                let error = StorageError::from(error);
                match &error {
                    StorageError::NoSpace(full) => self.shard.note_full(full.clone()).await,
                    StorageError::Failed(error) => self.shard.fail(error.clone()).await,
                    _ => {}
                }
                Err(error)
            }
        }
    }

    async fn write_state(&self, end_offset: Offset, state: Vec<Bytes>) -> DiskResult<bool> {
        let (shard, log) = (&self.shard, &self.inner);
        log.prepare_directory(shard).await?;
        let directory = shard.log_directory(log);
        let new = directory.join(layout::STATE_NEW);
        let mut pieces = vec![encode_header(log.id, end_offset, &state)];
        pieces.extend(state);
        shard.check_alive()?;
        let file = shard.env.open(&new, OpenMode::CreateOrOpen).await?;
        shard.check_alive()?;
        file.truncate(0).await?;
        shard.check_alive()?;
        if let Err(error) = file.write_at(0, pieces).await {
            if error.kind == DiskErrorKind::NoSpace {
                shard.env.remove_file(&new).await?;
            }
            return Err(error);
        }
        shard.check_alive()?;
        file.sync().await?;
        shard.check_alive()?;
        shard.env.rename(&new, &self.state_path(end_offset)).await?;
        shard.sync_directory(&directory).await?;
        shard
            .sync_directory(&layout::partitions(&shard.directory))
            .await?;
        let written = self.read_state(end_offset).await?;
        if written.is_none() {
            return Ok(false);
        }
        for older in self.saved_offsets(&directory).await? {
            if older < end_offset {
                shard.check_alive()?;
                shard.env.remove_file(&self.state_path(older)).await?;
            }
        }
        Ok(true)
    }

    /// The newest snapshot that verifies.
    pub async fn load_state(&self) -> Result<Option<(Offset, Bytes)>, StorageError> {
        // Whoever saves one meanwhile removes those before it.
        let _turn = self.inner.work.lock().await;
        // First: it moves up to a snapshot only when that is kept.
        let start = self.log_start_offset();
        let directory = self.shard.log_directory(&self.inner);
        let mut offsets = match self.saved_offsets(&directory).await {
            Err(error) if error.kind == DiskErrorKind::NotFound => return Ok(None),
            offsets => offsets?,
        };
        offsets.sort_unstable();
        let mut damaged = None;
        while let Some(offset) = offsets.pop() {
            match self.read_state(offset).await? {
                // One that was replaced holds too little.
                Some(_) if damaged.is_some() && offset < start => break,
                Some(found) => {
                    if let Err(error) = self.secure_state(&directory, offset).await {
                        self.shard.fail(error.clone()).await;
                        return Err(StorageError::Failed(error));
                    }
                    return Ok(Some(found));
                }
                None => damaged = damaged.or(Some(offset)),
            }
        }
        match damaged {
            // Without it the log still holds everything.
            Some(_) if start == 0 => Ok(None),
            Some(offset) => Err(StorageError::Corrupt {
                file: self.state_path(offset),
                what: "the snapshot does not verify, and the log no longer holds what it held"
                    .into(),
            }),
            None => Ok(None),
        }
    }

    /// A snapshot may be there in the page cache only, by content or by name, since a start that was killed (and not even
    /// the last one: a clean stop in between changes nothing).
    async fn secure_state(&self, directory: &Path, offset: Offset) -> DiskResult<()> {
        if self.shard.failed.borrow().is_some() {
            return Ok(());
        }
        let path = self.state_path(offset);
        let file = self.shard.env.open(&path, OpenMode::ReadWrite).await?;
        file.sync().await?;
        self.shard.sync_directory(directory).await
    }

    async fn saved_offsets(&self, directory: &Path) -> DiskResult<Vec<Offset>> {
        let entries = self.shard.env.list(directory).await?;
        Ok(entries
            .iter()
            .filter_map(|entry| layout::parse_log_file(&entry.name))
            .filter(|(_, kind)| *kind == FileKind::State)
            .map(|(offset, _)| offset)
            .collect())
    }

    async fn read_state(&self, offset: Offset) -> DiskResult<Option<(Offset, Bytes)>> {
        let path = self.state_path(offset);
        let file = self.shard.env.open(&path, OpenMode::Read).await?;
        let len = file.len().await?;
        read_verified(&file, 0, len as usize, |bytes| {
            decode_state(self.inner.id, bytes.freeze()).filter(|(found, _)| *found == offset)
        })
        .await
    }

    fn state_path(&self, offset: Offset) -> std::path::PathBuf {
        layout::log_file(
            &self.shard.log_directory(&self.inner),
            offset,
            FileKind::State,
        )
    }
}
