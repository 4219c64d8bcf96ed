use super::*;
use crate::batch::verify_crc;
use crate::samples::*;
use bytes::Bytes;
use kafka_protocol::indexmap::IndexMap;
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records::{
    Compression, Record, RecordBatchDecoder, RecordBatchEncoder, RecordEncodeOptions, TimestampType,
};
use proptest::prelude::*;

#[test]
fn the_story_gets_the_very_bytes_that_kafka_gives_it() {
    assert_eq!(&story_batch()[..], JAVA_NONE);
}

#[test]
fn a_batch_without_records_is_not_made() {
    let builder = BatchBuilder::new(Codec::None, 0);
    assert!(builder.is_empty());
    assert_eq!(
        builder.finish(ProducerFields::default()),
        Err(BuildError::Empty)
    );
}

#[test]
fn a_level_that_the_codec_does_not_have_is_refused() {
    for (codec, level) in [
        (Codec::Gzip, 10),
        (Codec::Gzip, -1),
        (Codec::Zstd, 23),
        (Codec::Lz4, 1),
    ] {
        let mut builder = BatchBuilder::new(codec, 0).with_level(Some(level));
        builder.append(0, None, None, &[]).unwrap();
        let refused = BuildError::Compress(CompressError::Level { codec, level });
        assert_eq!(builder.finish(ProducerFields::default()), Err(refused));
    }
}

#[test]
fn a_timestamp_too_far_from_the_base_is_refused_and_leaves_the_batch_as_it_was() {
    let mut builder = BatchBuilder::new(Codec::None, -2);
    assert_eq!(
        builder.append(i64::MAX, None, None, &[]),
        Err(BuildError::TimestampOutOfRange)
    );
    assert_eq!(builder.append(5, None, None, &[]), Ok(0));
    assert_eq!(builder.append(4, None, None, &[]), Ok(1));
    assert_eq!(builder.record_count(), 2);
    let batch = builder.finish(ProducerFields::default()).unwrap();
    assert_eq!(verify_crc(&batch), Ok(()));
    assert_eq!(
        read(&batch),
        Ok(vec![sample(5, None, None), sample(4, None, None)])
    );
}

#[test]
fn producer_and_transaction_stand_in_the_header() {
    let producer = ProducerFields {
        transactional: true,
        ..STORY_PRODUCER
    };
    let header = BatchHeader::parse(&build(Codec::Lz4, &story(), producer)).unwrap();
    assert!(header.is_transactional());
    assert_eq!(
        (
            header.producer_id,
            header.producer_epoch,
            header.base_sequence
        ),
        (4711, 3, 17)
    );
    let header =
        BatchHeader::parse(&build(Codec::Lz4, &story(), ProducerFields::default())).unwrap();
    assert!(!header.is_transactional() && !header.has_producer_id());
    assert_eq!(
        (
            header.producer_id,
            header.producer_epoch,
            header.base_sequence
        ),
        (-1, -1, -1)
    );
}

fn foreign_compression(codec: Codec) -> Compression {
    match codec {
        Codec::None => Compression::None,
        Codec::Gzip => Compression::Gzip,
        Codec::Snappy => Compression::Snappy,
        Codec::Lz4 => Compression::Lz4,
        Codec::Zstd => Compression::Zstd,
    }
}

/// The other library has text keys, each once.
fn foreign_headers(sample: &Sample) -> IndexMap<StrBytes, Option<Bytes>> {
    sample
        .headers
        .iter()
        .map(|(key, value)| {
            let key = String::from_utf8_lossy(key).into_owned();
            (StrBytes::from_string(key), value.clone().map(Bytes::from))
        })
        .collect()
}

fn to_foreign(offset: i64, sample: &Sample) -> Record {
    Record {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: -1,
        producer_id: 4711,
        producer_epoch: 3,
        timestamp_type: TimestampType::Creation,
        offset,
        sequence: 17 + offset as i32,
        timestamp: sample.timestamp,
        key: sample.key.clone().map(Bytes::from),
        value: sample.value.clone().map(Bytes::from),
        headers: foreign_headers(sample),
    }
}

fn plain_headers(mut samples: Vec<Sample>) -> Vec<Sample> {
    for sample in &mut samples {
        sample.headers = foreign_headers(sample)
            .into_iter()
            .map(|(key, value)| (key.as_bytes().to_vec(), value.map(|value| value.to_vec())))
            .collect();
    }
    samples
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn another_library_reads_what_we_write(samples in any_samples(), codec in any_codec()) {
        let samples = plain_headers(samples);
        let batch = build(codec, &samples, STORY_PRODUCER);
        let decoded = RecordBatchDecoder::decode(&mut batch.freeze()).unwrap();
        let expected: Vec<_> = (0..).zip(&samples).map(|(offset, sample)| to_foreign(offset, sample)).collect();
        prop_assert_eq!(decoded.compression, foreign_compression(codec));
        prop_assert_eq!(decoded.records, expected);
    }

    #[test]
    fn we_read_what_another_library_writes(samples in any_samples(), codec in any_codec()) {
        let samples = plain_headers(samples);
        let records: Vec<_> = (0..).zip(&samples).map(|(offset, sample)| to_foreign(offset, sample)).collect();
        let mut batch = BytesMut::new();
        let options = RecordEncodeOptions { version: 2, compression: foreign_compression(codec) };
        RecordBatchEncoder::encode(&mut batch, &records, &options).unwrap();
        prop_assert_eq!(verify_crc(&batch), Ok(()));
        prop_assert_eq!(read(&batch), Ok(samples));
    }
}
