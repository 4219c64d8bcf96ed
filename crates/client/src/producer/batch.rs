//! One batch on its way: being filled, then a fixed sequence of bytes that never changes while anybody may still send it.
//!
//! The bytes are shared with the connection that writes them. To give a batch another producer identity is to make new bytes, so a
//! buffer that the network still reads is never written again (what CVE-2026-35554 was).

use bytes::{Bytes, BytesMut};
use std::ops::ControlFlow;
use std::time::Duration;
use taffrail_env::Instant;
use taffrail_record::builder::{BatchBuilder, ProducerFields};
use taffrail_record::compression::DecompressLimit;
use taffrail_record::{ProducerEpoch, ProducerId, Sequence, batch as format};

/// Names a batch; in the order in which batches are to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BatchId {
    /// Higher than that of every batch begun before.
    pub number: u64,
    /// Of a batch that was split, how many records of it come before this part.
    pub part: u32,
}

/// Who a batch says it is from, and its place among that producer's records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    pub producer_id: ProducerId,
    pub producer_epoch: ProducerEpoch,
    pub base_sequence: Sequence,
}

/// The contents.
enum Content {
    Open(BatchBuilder),
    Sealed(Bytes),
}

/// See the module's head. `W` is whatever the shell wakes for each record.
pub struct Batch<W> {
    pub id: BatchId,
    pub created: Instant,
    pub deadline: Instant,
    pub stamp: Option<Stamp>,
    /// How many batches of the partition were stamped before it.
    pub turn: u64,
    /// Tries that ended, well or not.
    pub tries: u32,
    /// Not to be sent before this.
    pub not_before: Instant,
    /// A try ended without an answer: the batch may be in the log.
    pub unanswered: bool,
    /// The last failure, for the message when time is up.
    pub last_failure: Option<String>,
    /// Bytes charged to the producer's memory.
    pub charged: usize,
    /// One for each record, in order, with the record's timestamp.
    pub waiters: Vec<(W, i64)>,
    content: Content,
}

impl<W> Batch<W> {
    pub fn new(
        number: u64,
        now: Instant,
        delivery_timeout: Duration,
        builder: BatchBuilder,
    ) -> Batch<W> {
        Batch {
            id: BatchId { number, part: 0 },
            created: now,
            deadline: now + delivery_timeout,
            stamp: None,
            turn: 0,
            tries: 0,
            not_before: now,
            unanswered: false,
            last_failure: None,
            charged: 0,
            waiters: Vec::new(),
            content: Content::Open(builder),
        }
    }

    /// The builder, while the batch has not been sent.
    pub fn open(&mut self) -> Option<&mut BatchBuilder> {
        match &mut self.content {
            Content::Open(builder) => Some(builder),
            Content::Sealed(_) => None,
        }
    }

    /// The bytes so far, before compression; the bytes to send once sealed.
    pub fn size(&self) -> usize {
        match &self.content {
            Content::Open(builder) => builder.size_estimate(),
            Content::Sealed(bytes) => bytes.len(),
        }
    }

    pub fn records(&self) -> i32 {
        i32::try_from(self.waiters.len()).expect("a batch has fewer than 2^31 records")
    }

    /// A batch that was sent, as two, each with its share of the records and of the sequence numbers.
    ///
    /// # Panics
    /// If it has one record, or was not sealed.
    pub fn split(mut self) -> (Batch<W>, Batch<W>) {
        let Content::Sealed(bytes) = &self.content else {
            panic!("a batch that was not sent can still be filled");
        };
        let first_records = self.waiters.len() / 2;
        assert!(first_records > 0, "one record cannot be split");
        let [first, second] = halves(bytes, first_records);
        let waiters = self.waiters.split_off(first_records);
        let charged = self.charged / (first_records + waiters.len()) * first_records;
        let behind = first_records as i32;
        let mut second = Batch {
            id: BatchId {
                part: self.id.part + first_records as u32,
                ..self.id
            },
            stamp: self.stamp.map(|stamp| Stamp {
                base_sequence: after(stamp.base_sequence, behind),
                ..stamp
            }),
            last_failure: self.last_failure.clone(),
            charged: self.charged - charged,
            waiters,
            content: Content::Open(second),
            ..self
        };
        self.charged = charged;
        self.content = Content::Open(first);
        self.seal(self.stamp);
        second.seal(second.stamp);
        (self, second)
    }

    /// The bytes to send, with `stamp` in them; `None` is a producer without idempotence. Bytes made before are used
    /// again if they have the same stamp, and replaced by new ones if not.
    pub fn seal(&mut self, stamp: Option<Stamp>) -> Bytes {
        if let Content::Sealed(bytes) = &self.content
            && self.stamp == stamp
        {
            return bytes.clone();
        }
        let bytes = match std::mem::replace(&mut self.content, Content::Sealed(Bytes::new())) {
            Content::Open(builder) => builder
                .finish(fields(stamp))
                .expect("a batch with records compresses into memory")
                .freeze(),
            Content::Sealed(bytes) => restamped(&bytes, stamp),
        };
        self.stamp = stamp;
        self.content = Content::Sealed(bytes.clone());
        bytes
    }
}

/// The sequence number `records` further on; behind 2^31-1 comes 0.
pub fn after(sequence: Sequence, records: i32) -> Sequence {
    sequence.wrapping_add(records) & Sequence::MAX
}

/// The records of a batch in two, the first half having `first_records`.
fn halves(bytes: &Bytes, first_records: usize) -> [BatchBuilder; 2] {
    let header = format::BatchHeader::parse(bytes).expect("this producer built the batch");
    let codec = header.codec().expect("this producer chose the codec");
    // The same base, so that every timestamp is as near to it as it was.
    let builder = || BatchBuilder::new(codec, header.base_timestamp);
    let mut halves = [builder(), builder()];
    let mut seen = 0;
    // It was in this producer's memory before it was compressed.
    let limit = DecompressLimit {
        output_bytes_max: usize::MAX,
    };
    format::for_each_record(bytes, limit, |header, record| {
        let headers: Vec<format::Header<'_>> = record.headers().collect();
        halves[usize::from(seen >= first_records)]
            .append(
                header.record_timestamp(&record),
                record.key,
                record.value,
                &headers,
            )
            .expect("it was in a batch before");
        seen += 1;
        ControlFlow::Continue(())
    })
    .expect("this producer built the batch");
    halves
}

fn fields(stamp: Option<Stamp>) -> ProducerFields {
    match stamp {
        None => ProducerFields::default(),
        Some(stamp) => ProducerFields {
            producer_id: stamp.producer_id,
            producer_epoch: stamp.producer_epoch,
            base_sequence: stamp.base_sequence,
            ..ProducerFields::default()
        },
    }
}

/// A copy with another stamp and the checksum that goes with it.
fn restamped(bytes: &Bytes, stamp: Option<Stamp>) -> Bytes {
    let mut header = format::BatchHeader::parse(bytes).expect("this producer built the batch");
    let fields = fields(stamp);
    header.producer_id = fields.producer_id;
    header.producer_epoch = fields.producer_epoch;
    header.base_sequence = fields.base_sequence;
    let mut copy = BytesMut::with_capacity(bytes.len());
    copy.extend_from_slice(&header.to_bytes());
    copy.extend_from_slice(&bytes[format::HEADER_LEN..]);
    header.crc = taffrail_record::crc32c(&copy[CRC_COVERS_FROM..]);
    copy[..format::HEADER_LEN].copy_from_slice(&header.to_bytes());
    copy.freeze()
}

/// The checksum covers the attributes and all that follows.
const CRC_COVERS_FROM: usize = 21;

#[cfg(test)]
mod tests;
