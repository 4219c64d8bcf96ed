//! Idempotent producers: what is remembered of each, how a batch is judged, and how it changes what is remembered.
//!
//! [`ProducerTable::apply`] is the one function that changes the table, for a batch that has just become durable
//! and for one that is replayed; so a table always equals a replay of the log.

use crate::cursor::Cursor;
use bytes::{BufMut, BytesMut};
use std::collections::BTreeMap;
use taffrail_record::batch::BatchHeader;
use taffrail_record::{NO_PRODUCER_EPOCH, Offset, ProducerEpoch, ProducerId, Sequence};

/// Batches remembered per producer, as many as a Kafka client keeps in flight.
const BATCHES: usize = 5;

/// A batch that a producer wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducedBatch {
    pub first_sequence: Sequence,
    pub last_sequence: Sequence,
    pub last_offset: Offset,
    pub offset_delta: i32,
    pub timestamp: i64,
}

/// What is remembered of one producer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Producer {
    pub epoch: ProducerEpoch,
    pub coordinator_epoch: i32,
    /// -1: no open transaction.
    pub transaction_start: Offset,
    pub last_timestamp: i64,
    /// Wall time of the last admission; expiry counts from it, since a record's own time may be anything.
    pub last_admission_ms: i64,
    /// Oldest first.
    batches: Vec<ProducedBatch>,
}

/// What an append may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Next,
    /// Appended before.
    Duplicate(ProducedBatch),
    OutOfOrder {
        expected: Sequence,
    },
    Fenced {
        current: ProducerEpoch,
    },
}

/// The sequence behind `sequence`: after 2^31-1 comes 0.
pub fn next_sequence(sequence: Sequence) -> Sequence {
    sequence.checked_add(1).unwrap_or(0)
}

impl Producer {
    fn new(epoch: ProducerEpoch) -> Producer {
        Producer {
            epoch,
            coordinator_epoch: -1,
            transaction_start: -1,
            last_timestamp: -1,
            last_admission_ms: -1,
            batches: Vec::new(),
        }
    }

    pub fn last_batch(&self) -> Option<&ProducedBatch> {
        self.batches.last()
    }

    pub fn last_sequence(&self) -> Sequence {
        self.last_batch().map_or(-1, |batch| batch.last_sequence)
    }

    /// Judges a batch of this producer (Kafka's ProducerAppendInfo).
    pub fn judge(&self, header: &BatchHeader) -> Verdict {
        let found = (header.base_sequence, header.last_sequence());
        if header.producer_epoch == self.epoch
            && let Some(batch) = self
                .batches
                .iter()
                .find(|batch| (batch.first_sequence, batch.last_sequence) == found)
        {
            return Verdict::Duplicate(*batch);
        }
        if header.producer_epoch < self.epoch {
            return Verdict::Fenced {
                current: self.epoch,
            };
        }
        let expected = if header.producer_epoch > self.epoch {
            // A producer that was bumped begins again; nothing is known of one without an epoch.
            (self.epoch != NO_PRODUCER_EPOCH).then_some(0)
        } else {
            self.last_batch()
                .map(|batch| next_sequence(batch.last_sequence))
        };
        match expected {
            Some(expected) if expected != header.base_sequence => Verdict::OutOfOrder { expected },
            _ => Verdict::Next,
        }
    }

    /// Remembers a batch.
    pub fn apply(&mut self, header: &BatchHeader, admission_ms: i64) {
        if header.producer_epoch != self.epoch {
            self.epoch = header.producer_epoch;
            self.batches.clear();
        }
        if self.batches.len() == BATCHES {
            self.batches.remove(0);
        }
        self.batches.push(ProducedBatch {
            first_sequence: header.base_sequence,
            last_sequence: header.last_sequence(),
            last_offset: header.last_offset(),
            offset_delta: header.last_offset_delta,
            timestamp: header.max_timestamp,
        });
        self.last_timestamp = header.max_timestamp;
        self.last_admission_ms = self.last_admission_ms.max(admission_ms);
    }
}

/// The producers of one log, as of what is durable.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ProducerTable {
    producers: BTreeMap<ProducerId, Producer>,
}

/// Bytes of one producer without its batches, and of one batch, in a checkpoint.
const PRODUCER_LEN: usize = 39;
const BATCH_LEN: usize = 28;

impl ProducerTable {
    pub fn get(&self, producer_id: ProducerId) -> Option<&Producer> {
        self.producers.get(&producer_id)
    }

    pub fn len(&self) -> usize {
        self.producers.len()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&ProducerId, &Producer)> {
        self.producers.iter()
    }

    /// A batch became durable.
    pub fn apply(&mut self, header: &BatchHeader, admission_ms: i64) {
        if header.has_producer_id() && !header.is_control() {
            self.producers
                .entry(header.producer_id)
                .or_insert_with(|| Producer::new(header.producer_epoch))
                .apply(header, admission_ms);
        }
    }

    /// Forgets producers without an admission since `since_ms` (and without open transaction).
    pub fn forget_idle(&mut self, since_ms: i64) {
        self.producers.retain(|_, producer| {
            producer.transaction_start >= 0 || producer.last_admission_ms >= since_ms
        });
    }

    /// Whether [`ProducerTable::forget_idle`] would find any.
    pub fn has_idle(&self, since_ms: i64) -> bool {
        self.producers
            .values()
            .any(|producer| producer.transaction_start < 0 && producer.last_admission_ms < since_ms)
    }

    /// Forgets batches at or above `end`.
    pub fn truncate(&mut self, end: Offset) {
        self.producers.retain(|_, producer| {
            producer.batches.retain(|batch| batch.last_offset < end);
            !producer.batches.is_empty()
        });
    }

    pub fn encode(&self, out: &mut BytesMut) {
        out.put_u32_le(self.producers.len() as u32);
        for (id, producer) in &self.producers {
            out.put_i64_le(*id);
            out.put_i16_le(producer.epoch);
            out.put_i32_le(producer.coordinator_epoch);
            out.put_i64_le(producer.transaction_start);
            out.put_i64_le(producer.last_timestamp);
            out.put_i64_le(producer.last_admission_ms);
            out.put_u8(producer.batches.len() as u8);
            for batch in &producer.batches {
                out.put_i32_le(batch.first_sequence);
                out.put_i32_le(batch.last_sequence);
                out.put_i64_le(batch.last_offset);
                out.put_i32_le(batch.offset_delta);
                out.put_i64_le(batch.timestamp);
            }
        }
    }

    pub fn decode(cursor: &mut Cursor<'_>) -> Option<ProducerTable> {
        let mut table = ProducerTable::default();
        for _ in 0..cursor.count(PRODUCER_LEN)? {
            let id = cursor.i64()?;
            let mut producer = Producer {
                epoch: cursor.i16()?,
                coordinator_epoch: cursor.i32()?,
                transaction_start: cursor.i64()?,
                last_timestamp: cursor.i64()?,
                last_admission_ms: cursor.i64()?,
                batches: Vec::with_capacity(BATCHES),
            };
            let batches = cursor.u8()? as usize;
            if batches > BATCHES || batches * BATCH_LEN > cursor.remaining() {
                return None;
            }
            for _ in 0..batches {
                producer.batches.push(ProducedBatch {
                    first_sequence: cursor.i32()?,
                    last_sequence: cursor.i32()?,
                    last_offset: cursor.i64()?,
                    offset_delta: cursor.i32()?,
                    timestamp: cursor.i64()?,
                });
            }
            table.producers.insert(id, producer);
        }
        Some(table)
    }

    /// Kafka's producer snapshot file (version 1).
    pub fn kafka_snapshot(&self) -> BytesMut {
        let mut entries = BytesMut::with_capacity(4 + 46 * self.producers.len());
        entries.put_u32(self.producers.len() as u32);
        for (id, producer) in &self.producers {
            let last = producer.last_batch();
            entries.put_i64(*id);
            entries.put_i16(producer.epoch);
            entries.put_i32(producer.last_sequence());
            entries.put_i64(last.map_or(-1, |batch| batch.last_offset));
            entries.put_i32(last.map_or(0, |batch| batch.offset_delta));
            entries.put_i64(producer.last_timestamp);
            entries.put_i32(producer.coordinator_epoch);
            entries.put_i64(producer.transaction_start);
        }
        let mut file = BytesMut::with_capacity(6 + entries.len());
        file.put_i16(1);
        file.put_u32(taffrail_record::crc32c(&entries));
        file.put_slice(&entries);
        file
    }
}

/// The batches of producers that are admitted and not yet durable, laid over the table.
#[derive(Default)]
pub struct ProducerOverlay {
    speculative: BTreeMap<ProducerId, (Producer, usize)>,
}

impl ProducerOverlay {
    /// Judges a batch against the table and what is on its way.
    pub fn judge(&self, table: &ProducerTable, header: &BatchHeader) -> Verdict {
        let known = match self.speculative.get(&header.producer_id) {
            Some((producer, _)) => Some(producer),
            None => table.get(header.producer_id),
        };
        known.map_or(Verdict::Next, |producer| producer.judge(header))
    }

    pub fn knows(&self, table: &ProducerTable, producer_id: ProducerId) -> bool {
        self.speculative.contains_key(&producer_id) || table.get(producer_id).is_some()
    }

    /// Producers that are not in the table yet.
    pub fn len(&self) -> usize {
        self.speculative.len()
    }

    /// A batch was admitted.
    pub fn admit(&mut self, table: &ProducerTable, header: &BatchHeader, admission_ms: i64) {
        let (producer, in_flight) =
            self.speculative
                .entry(header.producer_id)
                .or_insert_with(|| {
                    let known = table.get(header.producer_id).cloned();
                    (
                        known.unwrap_or_else(|| Producer::new(header.producer_epoch)),
                        0,
                    )
                });
        producer.apply(header, admission_ms);
        *in_flight += 1;
    }

    /// A batch became durable, and is in the table now.
    pub fn settle(&mut self, header: &BatchHeader) {
        if let Some((_, in_flight)) = self.speculative.get_mut(&header.producer_id) {
            *in_flight -= 1;
            if *in_flight == 0 {
                self.speculative.remove(&header.producer_id);
            }
        }
    }
}

#[cfg(test)]
mod tests;
