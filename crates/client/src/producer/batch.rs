//! One batch on its way: being filled, then a fixed sequence of bytes that never changes while anybody may still send it.
//!
//! The bytes are shared with the connection that writes them. To give a batch another producer identity is to make new bytes, so a
//! buffer that the network still reads is never written again (what CVE-2026-35554 was).

use bytes::{Bytes, BytesMut};
use std::time::Duration;
use taffrail_env::Instant;
use taffrail_record::builder::{BatchBuilder, ProducerFields};
use taffrail_record::{ProducerEpoch, ProducerId, Sequence, batch as format};

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
    /// Higher than that of every batch begun before.
    pub id: u64,
    pub created: Instant,
    pub deadline: Instant,
    pub stamp: Option<Stamp>,
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
        id: u64,
        now: Instant,
        delivery_timeout: Duration,
        builder: BatchBuilder,
    ) -> Batch<W> {
        Batch {
            id,
            created: now,
            deadline: now + delivery_timeout,
            stamp: None,
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
