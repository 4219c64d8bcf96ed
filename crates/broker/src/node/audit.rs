//! A look at a live node from inside: whether what it serves from memory is what its logs say.
//!
//! Nothing here is asked of a node by clients; it is for whoever watches one that is under test, or in doubt.

use std::collections::BTreeMap;

use taffrail_env::Env;
use taffrail_record::batch::{BatchHeader, Batches};
use taffrail_record::{Offset, ProducerEpoch, ProducerId, Sequence, TopicPartition};
use taffrail_replication::digest;

use super::Node;
use crate::router::Router;
use crate::shard::ReadPlan;

/// Bytes read at a time.
const READ_BYTES: usize = 256 << 10;

/// State that the log does not bear out, or that should not be in any log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Which invariant that breaks.
    pub invariant: &'static str,
    pub what: String,
}

impl Difference {
    pub(crate) fn new(invariant: &'static str, what: String) -> Difference {
        Difference { invariant, what }
    }
}

/// A piece of live state and the same as its log says it is, up to the same place, by their digests. They are equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// Which invariant says so.
    pub invariant: &'static str,
    /// Of what it is the state, and up to where.
    pub of: String,
    pub live: u64,
    pub replayed: u64,
}

/// Where one of the node's own logs begins, and where the snapshot ends that stands for what came before; 0 if there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    pub log: TopicPartition,
    pub start: Offset,
    pub snapshot_end: Offset,
}

impl Prefix {
    /// Whether the snapshot holds all that is gone: SNAPSHOT-COVERS-PREFIX.
    pub fn is_covered(&self) -> bool {
        self.snapshot_end >= self.start
    }
}

/// What a look from inside found.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Audit {
    pub prefixes: Vec<Prefix>,
    pub replayed: Vec<Replayed>,
}

impl Audit {
    /// Whether the log can be read again: not if something of it is gone for good.
    pub(crate) fn note_prefix(&mut self, prefix: Option<Prefix>) -> bool {
        self.prefixes.extend(prefix);
        prefix.is_none_or(|prefix| prefix.is_covered())
    }
}

impl<E: Env> Node<E> {
    /// Counts again what bounds rely on, and reads again what the logs say of the metadata, of groups and of their offsets. What
    /// cannot be told now is left out, and so is what a log says whose beginning is gone for good.
    pub async fn audit(&self) -> Result<Audit, Difference> {
        let counts = self.broker.router.recount().await;
        counts.map_err(|what| Difference::new("BUDGET-ZERO", what))?;
        let mut audit = Audit::default();
        self.broker.groups.audit(&mut audit).await?;
        self.broker.controller.audit(&mut audit).await?;
        Ok(audit)
    }

    /// Reads again what the partition's log says of its producers, as far as the log is still there. `None` if it cannot be told now.
    /// Without `complete` it passes over producers that nobody remembers any more: their time may be over.
    pub async fn audit_producers(
        &self,
        partition: TopicPartition,
        complete: bool,
    ) -> Option<Replayed> {
        let router = &self.broker.router;
        let ends = router.ends_of(partition).await?;
        let live = router.producers(partition).await?;
        let end = ends.high_watermark;
        if router.ends_of(partition).await?.high_watermark != end {
            return None;
        }
        let live: BTreeMap<ProducerId, Written> = live
            .into_iter()
            .map(|producer| {
                let written = Written {
                    epoch: producer.producer_epoch,
                    last_sequence: producer.last_sequence,
                    last_timestamp: producer.last_timestamp,
                };
                (producer.producer_id, written)
            })
            .collect();
        let found = written(router, partition, ends.log_start_offset, end).await?;
        let in_both = |id: &ProducerId| found.contains_key(id) && live.contains_key(id);
        let counts = |id: &ProducerId| complete && found.contains_key(id) || in_both(id);
        Some(Replayed {
            invariant: "PRODUCER-REPLAY-EQ",
            of: format!("producers of {partition} up to offset {end}"),
            live: digest_of(live.iter().filter(|(id, _)| counts(id))),
            replayed: digest_of(found.iter().filter(|(id, _)| counts(id))),
        })
    }
}

/// What a producer wrote last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Written {
    epoch: ProducerEpoch,
    last_sequence: Sequence,
    last_timestamp: i64,
}

impl Written {
    fn of(header: &BatchHeader) -> Written {
        Written {
            epoch: header.producer_epoch,
            last_sequence: header.last_sequence(),
            last_timestamp: header.max_timestamp,
        }
    }
}

/// What each producer wrote last, as it stands in the log.
async fn written<E: Env>(
    router: &Router<E>,
    partition: TopicPartition,
    start: Offset,
    end: Offset,
) -> Option<BTreeMap<ProducerId, Written>> {
    let mut found = BTreeMap::new();
    let mut next = start;
    while next < end {
        let plan = ReadPlan {
            partition,
            from: next,
            max_bytes: READ_BYTES,
            min_one: true,
        };
        let before = next;
        let read = router.read(vec![plan]).await.pop()?.ok()?;
        for batch in read.batches.iter().flat_map(|chunk| Batches::new(chunk)) {
            let (header, _) = batch.ok()?;
            if header.next_offset() > end {
                return Some(found);
            }
            if header.has_producer_id() && !header.is_control() {
                found.insert(header.producer_id, Written::of(&header));
            }
            next = header.next_offset();
        }
        if next == before {
            return None;
        }
    }
    Some(found)
}

fn digest_of<'a>(producers: impl Iterator<Item = (&'a ProducerId, &'a Written)>) -> u64 {
    let mut bytes = Vec::new();
    for (id, written) in producers {
        bytes.extend(id.to_be_bytes());
        bytes.extend(written.epoch.to_be_bytes());
        bytes.extend(written.last_sequence.to_be_bytes());
        bytes.extend(written.last_timestamp.to_be_bytes());
    }
    digest::of(&bytes)
}
