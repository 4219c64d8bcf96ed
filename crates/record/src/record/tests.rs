use super::*;
use crate::compression::DecompressError;
use crate::identity::NO_TIMESTAMP;
use crate::samples::*;
use bytes::BytesMut;
use proptest::prelude::*;

/// A record without key, value and headers.
const BARE: [u8; 7] = [12, 0, 0, 0, 1, 1, 0];

fn fault_of(count: i32, body: &[u8]) -> (i32, RecordFault) {
    let plain = batch_of_body(Codec::None, count, body);
    let fault = match read(&plain) {
        Err(BatchError::Record { index, fault }) => (index, fault),
        other => panic!("not refused: {other:?}"),
    };
    // Through a decompressor's window the same is found.
    for codec in [Codec::Gzip, Codec::Lz4, Codec::Zstd, Codec::Snappy] {
        let compressed = crate::compression::compress(codec, None, body).unwrap();
        let expected = BatchError::Record {
            index: fault.0,
            fault: fault.1,
        };
        assert_eq!(
            read(&batch_of_body(codec, count, &compressed)),
            Err(expected),
            "{codec}"
        );
    }
    fault
}

#[test]
fn a_record_written_by_hand_reads_part_by_part() {
    #[rustfmt::skip]
    let body = [
        0x24, 0x00, 0x03, 0x00, // length, attributes, timestamp delta, offset delta
        0x04, b'k', b'1', 0x02, b'v', // key and value
        0x04, 0x02, b'h', 0x01, // two headers, the first with a null value
        0x80, 0x00, 0x06, b'a', b'b', b'c', // an empty key, its length written in two bytes
    ];
    let batch = batch_of_body(Codec::None, 1, &body);
    let record = records(&batch).unwrap().next().unwrap().unwrap();
    assert_eq!(
        (
            record.attributes,
            record.timestamp_delta,
            record.offset_delta
        ),
        (0, -2, 0)
    );
    assert_eq!(
        (record.key, record.value),
        (Some(&b"k1"[..]), Some(&b"v"[..]))
    );
    assert_eq!(record.header_count(), 2);
    let headers: Vec<_> = record.headers().collect();
    assert_eq!(
        headers[0],
        Header {
            key: b"h",
            value: None
        }
    );
    assert_eq!(headers[1].key, b"");
    assert_eq!(headers[1].value, Some(&b"abc"[..]));
}

#[test]
fn batches_of_real_clients_read_as_their_story() {
    for (codec, batch) in CLIENT_BATCHES {
        assert_eq!(read(batch).as_deref(), Ok(&story()[..]), "{codec}");
    }
}

#[test]
fn a_batch_that_kafka_cleaned_keeps_the_offsets_of_its_records() {
    let mut offsets = Vec::new();
    for_each_record(JAVA_CLEANED, LIMIT, |header, record| {
        offsets.push((
            header.record_offset(&record),
            header.record_timestamp(&record),
        ));
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(offsets, [(0, STORY_START), (2, STORY_START + 3)]);
}

#[test]
fn a_marker_of_kafka_reads_as_a_record() {
    let record = records(JAVA_COMMIT_MARKER)
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    assert_eq!(record.key, Some(&[0, 0, 0, 1][..]));
    assert_eq!(record.value, Some(&[0, 0, 0, 0, 0, 9][..]));
}

#[test]
fn the_brokers_timestamp_is_that_of_every_record() {
    let mut batch = story_batch();
    change(&mut batch, |header| {
        header.attributes |= crate::batch::TIMESTAMP_TYPE_BIT;
        header.max_timestamp = 99;
    });
    assert!(
        read(&batch)
            .unwrap()
            .iter()
            .all(|record| record.timestamp == 99)
    );
}

#[test]
fn a_cleaned_batch_may_be_empty_under_any_codec() {
    for codec in Codec::ALL {
        let mut batch = batch_of_body(codec, 1, &[]);
        change(&mut batch, |header| header.record_count = 0);
        assert_eq!(read(&batch), Ok(Vec::new()));
    }
}

#[test]
fn what_is_wrong_with_a_record_is_named() {
    use RecordFault::*;
    assert_eq!(fault_of(1, &[]), (0, EndsEarly));
    assert_eq!(fault_of(2, &BARE), (1, EndsEarly));
    assert_eq!(fault_of(1, &[0]), (0, EndsEarly));
    assert_eq!(fault_of(1, &[2, 0]), (0, EndsEarly));
    assert_eq!(
        fault_of(1, &[0x80, 0x80, 0x80, 0x80, 0x80, 0x01, 0, 0]),
        (0, NumberTooLong)
    );
    assert_eq!(fault_of(1, &[1, 0, 0, 0, 1, 1, 0]), (0, LengthNegative));
    assert_eq!(fault_of(1, &[14, 0, 0, 0, 1, 1, 0]), (0, LengthTooLarge));
    // Within the record: key, value, header count, header key.
    assert_eq!(fault_of(1, &[12, 0, 0, 0, 3, 1, 0]), (0, LengthNegative));
    assert_eq!(fault_of(1, &[12, 0, 0, 0, 6, 1, 0]), (0, LengthTooLarge));
    assert_eq!(fault_of(1, &[12, 0, 0, 0, 1, 5, 0]), (0, LengthNegative));
    assert_eq!(fault_of(1, &[12, 0, 0, 0, 1, 4, 0]), (0, LengthTooLarge));
    assert_eq!(fault_of(1, &[12, 0, 0, 0, 1, 1, 1]), (0, LengthNegative));
    assert_eq!(fault_of(1, &[12, 0, 0, 0, 1, 1, 2]), (0, LengthTooLarge));
    assert_eq!(
        fault_of(1, &[16, 0, 0, 0, 1, 1, 2, 1, 1]),
        (0, LengthNegative)
    );
    assert_eq!(
        fault_of(1, &[16, 0, 0, 0, 1, 1, 2, 4, 1]),
        (0, LengthTooLarge)
    );
    assert_eq!(
        fault_of(1, &[18, 0, 0, 0, 1, 1, 2, 0, 1, 0]),
        (0, BytesLeftOver)
    );
    assert_eq!(fault_of(1, &[14, 0, 0, 0, 1, 1, 0, 0]), (0, BytesLeftOver));
    assert_eq!(fault_of(1, &[10, 0, 0, 0, 1, 1, 0]), (0, EndsEarly));
    // Behind the last record.
    assert_eq!(
        fault_of(1, &[&BARE[..], &[0]].concat()),
        (1, BytesBehindLast)
    );
}

#[test]
fn a_record_may_not_reach_into_the_next() {
    // The first record's own length is one less, and one more, than its parts take.
    for (length, fault) in [
        (10, RecordFault::EndsEarly),
        (14, RecordFault::BytesLeftOver),
    ] {
        let mut first = BARE;
        first[0] = length;
        let second = [12, 0, 0, 2, 1, 1, 0];
        assert_eq!(fault_of(2, &[first, second].concat()), (0, fault));
    }
    // A key that takes the second record for its end.
    let body = [12, 0, 0, 0, 8, 1, 0, 12, 0, 0, 2, 1, 1, 0];
    assert_eq!(fault_of(2, &body), (0, RecordFault::LengthTooLarge));
}

#[test]
fn a_number_of_headers_beyond_belief_is_refused_before_it_is_counted() {
    let body = [20, 0, 0, 0, 1, 1, 0xfe, 0xff, 0xff, 0xff, 0x0f];
    assert_eq!(fault_of(1, &body), (0, RecordFault::LengthTooLarge));
}

#[test]
fn offset_deltas_must_rise_and_stay_within_the_batch() {
    let with_delta = |delta: u8| {
        let mut record = BARE;
        record[3] = delta * 2;
        record
    };
    let body = |deltas: [u8; 2]| deltas.map(with_delta).concat();
    assert_eq!(fault_of(2, &body([0, 0])), (1, RecordFault::OffsetDelta));
    assert_eq!(fault_of(2, &body([1, 0])), (1, RecordFault::OffsetDelta));
    assert_eq!(fault_of(2, &body([0, 2])), (1, RecordFault::OffsetDelta));
    let mut negative = BARE;
    negative[3] = 1;
    assert_eq!(fault_of(1, &negative), (0, RecordFault::OffsetDelta));
    assert!(read(&batch_of_body(Codec::None, 2, &body([0, 1]))).is_ok());
}

#[test]
fn a_walk_ends_after_its_first_error() {
    let batch = batch_of_body(Codec::None, 3, &[&BARE[..], &[0; 7], &BARE].concat());
    let mut records = records(&batch).unwrap();
    assert!(records.next().unwrap().is_ok());
    assert!(records.next().unwrap().is_err());
    assert!(records.next().is_none());
}

#[test]
fn a_visitor_may_break_off() {
    for codec in Codec::ALL {
        let batch = build(codec, &story(), STORY_PRODUCER);
        let mut seen = 0;
        for_each_record(&batch, LIMIT, |_, _| {
            seen += 1;
            if seen == 2 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })
        .unwrap();
        assert_eq!(seen, 2, "{codec}");
    }
}

#[test]
fn a_record_longer_than_the_window_and_records_across_its_end_are_read() {
    let mut samples = Vec::new();
    for length in [30_000, 40_000, 1, 200_000, 65_536, 65_535, 0] {
        samples.push(sample(
            NO_TIMESTAMP,
            None,
            Some(&"abcdefg".repeat(length / 7 + 1)),
        ));
    }
    for codec in Codec::ALL {
        let batch = build(codec, &samples, STORY_PRODUCER);
        assert!(read(&batch).unwrap() == samples, "{codec}");
    }
}

#[test]
fn a_stream_that_gives_one_byte_at_a_time_is_read_to_its_end() {
    let plain = story_batch();
    let mut stream = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01".to_vec();
    for byte in &plain[HEADER_LEN..] {
        // A block of one byte: its length, a literal's tag, the byte.
        stream.extend([0, 0, 0, 3, 1, 0, *byte]);
    }
    assert_eq!(read(&batch_of_body(Codec::Snappy, 4, &stream)), Ok(story()));
}

#[test]
fn records_that_decompress_beyond_the_cap_stop_the_walk_there() {
    let batch_of = |codec| {
        let zeros = sample(0, None, Some(&"0".repeat(100_000)));
        build(codec, &vec![zeros; 50], STORY_PRODUCER)
    };
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let limit = DecompressLimit {
            output_bytes_max: 1 << 20,
        };
        let mut seen = 0;
        let walked = for_each_record(&batch_of(codec), limit, |_, _| {
            seen += 1;
            ControlFlow::Continue(())
        });
        let too_large = DecompressError::TooLarge {
            output_bytes_max: 1 << 20,
        };
        assert_eq!(walked, Err(BatchError::Decompress(too_large)), "{codec}");
        assert!(seen <= 10, "{seen} records of 100 kB within 1 MiB");
    }
}

proptest! {
    #[test]
    fn what_is_built_reads_back_under_every_codec(samples in any_samples(), codec in any_codec()) {
        let batch = build(codec, &samples, STORY_PRODUCER);
        prop_assert_eq!(crate::batch::verify_crc(&batch), Ok(()));
        prop_assert_eq!(read(&batch), Ok(samples));
    }

    #[test]
    fn a_cut_body_is_an_error_at_every_length(samples in any_samples(), cut in any::<prop::sample::Index>()) {
        let batch = build(Codec::None, &samples, STORY_PRODUCER);
        let body = &batch[HEADER_LEN..HEADER_LEN + cut.index(batch.len() - HEADER_LEN)];
        prop_assert!(read(&batch_of_body(Codec::None, samples.len() as i32, body)).is_err());
    }

    #[test]
    fn no_bytes_make_the_walk_panic(
        body in proptest::collection::vec(prop_oneof![any::<u8>(), 0u8..16], 0..400),
        count in 1i32..20, codec in any_codec(), in_frame: bool,
    ) {
        let body = if in_frame { crate::compression::compress(codec, None, &body).unwrap() } else { BytesMut::from(&body[..]) };
        let _ = read(&batch_of_body(codec, count, &body));
    }

    #[test]
    fn a_damaged_body_under_a_new_checksum_never_panics(
        samples in any_samples(), codec in any_codec(), at in any::<prop::sample::Index>(), byte: u8,
    ) {
        let mut batch = build(codec, &samples, STORY_PRODUCER);
        let at = HEADER_LEN + at.index(batch.len() - HEADER_LEN);
        batch[at] = byte;
        change(&mut batch, |_| ());
        let _ = read(&batch);
    }
}
