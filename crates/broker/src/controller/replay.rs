//! Brings the metadata machine to the end of its log.

use taffrail_env::Env;
use taffrail_record::batch::{self, Batches};
use taffrail_replication::active_active::{Entry, Sequencer};
use taffrail_replication::{Machine, Term, encoding};
use taffrail_storage::ReadError;

use super::{Caller, METADATA_LOG, RestoreFailure};
use crate::metadata::{Command, Metadata};
use crate::router::Router;
use crate::shard::ReadPlan;

/// Bytes read at a time.
const REPLAY_READ_BYTES: usize = 1 << 20;

/// The machine from its snapshot and the log behind it, and how many commands that took.
pub(super) async fn replay<E: Env>(
    router: &Router<E>,
    term: Term,
) -> Result<(Sequencer<Metadata, Caller>, u64), RestoreFailure> {
    let content = |what: String| RestoreFailure::Content(format!("metadata: {what}"));
    let saved = router.load_state(METADATA_LOG).await;
    let (machine, position) = match saved.map_err(RestoreFailure::Storage)? {
        Some((offset, state)) => (
            Metadata::restore(&state).map_err(|error| content(error.to_string()))?,
            offset,
        ),
        None => (Metadata::default(), 0),
    };
    let mut sequencer = Sequencer::new(machine, position as u64, term);
    let mut next = position;
    loop {
        let ends = router.ends_of(METADATA_LOG).await;
        // A storage that has stopped has no logs. That is not an empty log.
        let ends = ends.ok_or(RestoreFailure::Read(ReadError::Deleted))?;
        if next >= ends.high_watermark {
            let replayed = sequencer.position() - position as u64;
            return Ok((sequencer, replayed));
        }
        let plan = ReadPlan {
            partition: METADATA_LOG,
            from: next,
            max_bytes: REPLAY_READ_BYTES,
            min_one: true,
        };
        let read = router.read(vec![plan]).await.pop();
        let read = read
            .unwrap_or(Err(ReadError::Deleted))
            .map_err(RestoreFailure::Read)?;
        if read.batches.is_empty() {
            return Err(content(format!("nothing readable at offset {next}")));
        }
        for chunk in &read.batches {
            for batch in Batches::new(chunk) {
                let (header, bytes) = batch.map_err(|error| content(error.to_string()))?;
                for record in batch::records(bytes).map_err(|error| content(error.to_string()))? {
                    let record = record.map_err(|error| content(error.to_string()))?;
                    let offset = header.record_offset(&record);
                    if offset < next {
                        continue;
                    }
                    if offset > next {
                        let what = format!("offset {offset} where {next} is next");
                        return Err(content(what));
                    }
                    let value = record.value.unwrap_or_default();
                    let entry: Entry<Command> = encoding::decode(value)
                        .map_err(|error| content(format!("offset {offset}: {error}")))?;
                    if entry.term > term {
                        let what = format!("offset {offset} is of term {}", entry.term);
                        return Err(content(what));
                    }
                    sequencer.on_committed(offset as u64, &entry, &mut Vec::new());
                    next = offset + 1;
                }
            }
        }
    }
}
