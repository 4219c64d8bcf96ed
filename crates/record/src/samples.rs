//! Records and batches for this crate's tests: written with the builder, read back with the walk.

use crate::batch::{BatchError, BatchHeader, Header, for_each_record, seal, split_batch};
use crate::builder::{BatchBuilder, ProducerFields};
use crate::compression::{Codec, DecompressLimit};
use bytes::BytesMut;
use proptest::prelude::*;
use std::ops::ControlFlow;

pub(crate) const LIMIT: DecompressLimit = DecompressLimit {
    output_bytes_max: 8 << 20,
};

/// A record that owns its bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Sample {
    pub timestamp: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

pub(crate) fn sample(timestamp: i64, key: Option<&str>, value: Option<&str>) -> Sample {
    Sample {
        timestamp,
        key: key.map(|key| key.as_bytes().to_vec()),
        value: value.map(|value| value.as_bytes().to_vec()),
        headers: Vec::new(),
    }
}

pub(crate) const STORY_START: i64 = 1_700_000_000_000;
pub(crate) const STORY_PRODUCER: ProducerFields = ProducerFields {
    producer_id: 4711,
    producer_epoch: 3,
    base_sequence: 17,
    transactional: false,
};

/// What the batches in `fixtures/batches` hold, written there by Apache Kafka's Java client 3.9.0 and by
/// kafka-python 3.0.12.
pub(crate) fn story() -> Vec<Sample> {
    let mut story = vec![
        sample(STORY_START, Some("k0"), Some("v0")),
        sample(STORY_START + 5, None, Some(&"x".repeat(300))),
        sample(STORY_START + 3, Some("gone"), None),
        sample(STORY_START + 70_000, Some(""), Some("")),
    ];
    story[1].headers = vec![
        (b"trace".to_vec(), Some(b"abc".to_vec())),
        (b"none".to_vec(), None),
    ];
    story[3].headers = vec![(Vec::new(), Some(Vec::new()))];
    story
}

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!("../../../fixtures/batches/", $name, ".batch"))
    };
}

pub(crate) const JAVA_NONE: &[u8] = fixture!("java-none");
pub(crate) const JAVA_CLEANED: &[u8] = fixture!("java-cleaned");
pub(crate) const JAVA_COMMIT_MARKER: &[u8] = fixture!("java-commit-marker");
pub(crate) const CLIENT_BATCHES: [(Codec, &[u8]); 7] = [
    (Codec::None, JAVA_NONE),
    (Codec::Gzip, fixture!("java-gzip")),
    (Codec::Snappy, fixture!("java-snappy")),
    (Codec::Lz4, fixture!("java-lz4")),
    (Codec::Zstd, fixture!("java-zstd")),
    (Codec::Lz4, fixture!("python-lz4")),
    (Codec::Zstd, fixture!("python-zstd")),
];

pub(crate) fn build(codec: Codec, samples: &[Sample], producer: ProducerFields) -> BytesMut {
    let mut builder = BatchBuilder::new(codec, samples[0].timestamp);
    for sample in samples {
        let headers: Vec<_> = sample
            .headers
            .iter()
            .map(|(key, value)| Header {
                key,
                value: value.as_deref(),
            })
            .collect();
        let (key, value) = (sample.key.as_deref(), sample.value.as_deref());
        let foretold = builder.size_estimate_with(sample.timestamp, key, value, &headers);
        builder
            .append(sample.timestamp, key, value, &headers)
            .unwrap();
        assert_eq!(builder.size_estimate(), foretold);
    }
    builder.finish(producer).unwrap()
}

/// The story as our own batch without compression.
pub(crate) fn story_batch() -> BytesMut {
    build(Codec::None, &story(), STORY_PRODUCER)
}

pub(crate) fn read(batch: &[u8]) -> Result<Vec<Sample>, BatchError> {
    let mut samples = Vec::new();
    for_each_record(batch, LIMIT, |header, record| {
        samples.push(Sample {
            timestamp: header.record_timestamp(&record),
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
            headers: record
                .headers()
                .map(|header| (header.key.to_vec(), header.value.map(<[u8]>::to_vec)))
                .collect(),
        });
        ControlFlow::Continue(())
    })?;
    Ok(samples)
}

/// Changes header fields and gives the batch the checksum that belongs to them.
pub(crate) fn change(batch: &mut [u8], change: impl FnOnce(&mut BatchHeader)) {
    let (mut header, _) = split_batch(batch).unwrap();
    let size = header.size();
    change(&mut header);
    if header.size() == size {
        seal(&header, batch);
    } else {
        batch[..61].copy_from_slice(&header.to_bytes());
    }
}

/// A batch of `count` records whose bytes behind the header are `body`.
pub(crate) fn batch_of_body(codec: Codec, count: i32, body: &[u8]) -> BytesMut {
    let mut batch = story_batch();
    let (mut header, _) = split_batch(&batch).unwrap();
    batch.truncate(61);
    batch.extend_from_slice(body);
    header.batch_length = (batch.len() - 12) as i32;
    header.attributes = i16::from(codec.id());
    header.record_count = count;
    header.last_offset_delta = count - 1;
    seal(&header, &mut batch);
    batch
}

pub(crate) fn any_codec() -> impl Strategy<Value = Codec> {
    proptest::sample::select(Codec::ALL.to_vec())
}

fn any_bytes() -> impl Strategy<Value = Option<Vec<u8>>> {
    let bytes = prop_oneof![
        4 => proptest::collection::vec(any::<u8>(), 0..20),
        4 => proptest::collection::vec(0u8..3, 0..300),
        1 => proptest::collection::vec(any::<u8>(), 8_000..9_000),
    ];
    proptest::option::weighted(0.8, bytes)
}

fn any_timestamp() -> impl Strategy<Value = i64> {
    prop_oneof![
        3 => STORY_START..STORY_START + 10_000,
        1 => -1i64..1 << 60,
    ]
}

pub(crate) fn any_sample() -> impl Strategy<Value = Sample> {
    let header = (proptest::collection::vec(any::<u8>(), 0..10), any_bytes());
    let headers = prop_oneof![
        2 => Just(Vec::new()),
        1 => proptest::collection::vec(header, 0..4),
    ];
    (any_timestamp(), any_bytes(), any_bytes(), headers).prop_map(
        |(timestamp, key, value, headers)| Sample {
            timestamp,
            key,
            value,
            headers,
        },
    )
}

pub(crate) fn any_samples() -> impl Strategy<Value = Vec<Sample>> {
    proptest::collection::vec(any_sample(), 1..40)
}
