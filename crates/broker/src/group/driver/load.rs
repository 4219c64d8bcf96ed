//! Reads what is durable of a partition's groups: the snapshot beside the log, and the log behind it.

use std::fmt;

use taffrail_env::Env;
use taffrail_record::batch::{self, Batches};
use taffrail_record::{Offset, TopicPartition};
use taffrail_replication::{Machine, Position};
use taffrail_storage::{ReadError, StorageError};

use crate::group::record::Record;
use crate::group::stored::Stored;
use crate::router::Router;
use crate::shard::ReadPlan;

/// Bytes read at a time.
const READ_BYTES: usize = 1 << 20;

/// Why a partition cannot be served.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum LoadError {
    NoLog,
    Storage(StorageError),
    Read(ReadError),
    /// Snapshot and log do not meet, or one of them holds what this program cannot read.
    Content(String),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::NoLog => write!(f, "there is no log yet"),
            LoadError::Storage(error) => error.fmt(f),
            LoadError::Read(error) => error.fmt(f),
            LoadError::Content(what) => f.write_str(what),
        }
    }
}

/// The state at the end of the log, or at `until` if that is given and not before the snapshot.
pub(super) async fn load<E: Env>(
    router: &Router<E>,
    log: TopicPartition,
    until: Option<Position>,
) -> Result<(Stored, Position), LoadError> {
    // A snapshot may be taken, and the log's start moved up to it, at any time here. A start asked for before, and an
    // end asked for after the snapshot was read have it between them.
    let before = router.ends_of(log).await.ok_or(LoadError::NoLog)?;
    let saved = router.load_state(log).await.map_err(LoadError::Storage)?;
    let (mut stored, mut next) = match saved {
        Some((end, state)) => {
            let restored =
                Stored::restore(&state).map_err(|error| LoadError::Content(error.to_string()))?;
            (restored, end)
        }
        None => (Stored::default(), 0),
    };
    let ends = router.ends_of(log).await.ok_or(LoadError::NoLog)?;
    if next < before.log_start_offset || next > ends.high_watermark {
        return Err(LoadError::Content(format!(
            "the snapshot ends at offset {next}, and the log holds {} to {}",
            before.log_start_offset, ends.high_watermark
        )));
    }
    let end = until.map_or(ends.high_watermark, |until| {
        ends.high_watermark.min(until as Offset)
    });
    while next < end {
        let plan = ReadPlan {
            partition: log,
            from: next,
            max_bytes: READ_BYTES,
            min_one: true,
        };
        let read = router
            .read(vec![plan])
            .await
            .pop()
            .unwrap_or(Err(ReadError::Deleted));
        let read = read.map_err(LoadError::Read)?;
        let before = next;
        for chunk in &read.batches {
            next = apply(chunk, next, end, &mut stored)?;
        }
        if next == before {
            return Err(LoadError::Content(format!(
                "nothing can be read at offset {next}"
            )));
        }
    }
    Ok((stored, next as Position))
}

/// Applies the records from `next` on that are before `end`; answers where the next one is.
fn apply(
    batches: &[u8],
    mut next: Offset,
    end: Offset,
    stored: &mut Stored,
) -> Result<Offset, LoadError> {
    for batch in Batches::new(batches) {
        let (header, bytes) = batch.map_err(|error| LoadError::Content(error.to_string()))?;
        let records =
            batch::records(bytes).map_err(|error| LoadError::Content(error.to_string()))?;
        for record in records {
            let record = record.map_err(|error| LoadError::Content(error.to_string()))?;
            let offset = header.record_offset(&record);
            if offset < next || offset >= end {
                continue;
            }
            let decoded = Record::decode(record.key.unwrap_or_default(), record.value);
            let change =
                decoded.map_err(|error| LoadError::Content(format!("offset {offset}: {error}")))?;
            stored.apply(&change);
        }
        next = next.max(header.next_offset().min(end));
    }
    Ok(next)
}
