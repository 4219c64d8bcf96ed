use super::*;
use crate::batch::{
    CONTROL_BIT, DELETE_HORIZON_BIT, MAGIC_AT, TIMESTAMP_TYPE_BIT, TRANSACTIONAL_BIT,
};
use crate::builder::ProducerFields;
use crate::record::RecordFault;
use crate::samples::*;
use bytes::BytesMut;
use proptest::prelude::*;

/// The defaults of Apache Kafka, at a time shortly after the story.
const RULES: ProduceRules = ProduceRules {
    mode: ValidationMode::Full,
    batch_bytes_max: 1 << 20,
    decompress: LIMIT,
    now_ms: STORY_START + 80_000,
    timestamp_type: TimestampType::CreateTime,
    timestamp_before_max_ms: i64::MAX,
    timestamp_after_max_ms: 3_600_000,
    keys_required: false,
    zstd_allowed: true,
};
const HEADER_RULES: ProduceRules = ProduceRules {
    mode: ValidationMode::Header,
    ..RULES
};

fn refused(batch: &[u8], rules: &ProduceRules) -> (InvalidClass, Reason) {
    let invalid = validate_produced(batch, rules).unwrap_err();
    assert_eq!(invalid.records, [], "not the fault of a record");
    (invalid.class, invalid.reason)
}

fn changed(change_header: impl FnOnce(&mut BatchHeader)) -> BytesMut {
    let mut batch = story_batch();
    change(&mut batch, change_header);
    batch
}

#[test]
fn batches_of_real_clients_pass_and_are_summed_up() {
    for (codec, batch) in CLIENT_BATCHES {
        let summary = validate_produced(batch, &RULES).unwrap();
        assert_eq!(summary.codec, codec);
        assert_eq!(summary.header, BatchHeader::parse(batch).unwrap());
        assert_eq!(summary.max_timestamp, STORY_START + 70_000);
        assert_eq!(summary.max_timestamp_offset_delta, Some(3));
        assert_eq!(summary.records_bytes, Some(JAVA_NONE.len() - HEADER_LEN));
        assert!(!summary.max_timestamp_is_wrong());
        let summary = validate_produced(batch, &HEADER_RULES).unwrap();
        assert_eq!(summary.max_timestamp, STORY_START + 70_000);
        assert_eq!(
            (summary.max_timestamp_offset_delta, summary.records_bytes),
            (None, None)
        );
    }
}

#[test]
fn a_transactional_batch_passes_and_says_so() {
    let producer = ProducerFields {
        transactional: true,
        ..STORY_PRODUCER
    };
    let batch = build(Codec::Zstd, &story(), producer);
    assert!(
        validate_produced(&batch, &RULES)
            .unwrap()
            .header
            .is_transactional()
    );
}

#[test]
fn what_is_not_one_batch_of_format_2_is_refused_as_kafka_refuses_it() {
    use InvalidClass::*;
    let batch = story_batch();
    for cut in [0, 1, 16, 17, 60, 61, batch.len() - 1] {
        let (class, reason) = refused(&batch[..cut], &RULES);
        assert!(
            matches!(reason, Reason::Batch(BatchError::Truncated { .. })),
            "{reason:?}"
        );
        assert_eq!(class, InvalidRecord);
    }
    let two = [&batch[..], &batch[..]].concat();
    let more = Reason::MoreThanOneBatch {
        bytes_behind: batch.len(),
    };
    assert_eq!(refused(&two, &RULES), (InvalidRecord, more));
    for (magic, class) in [
        (0, InvalidRecord),
        (1, InvalidRecord),
        (3, CorruptRecord),
        (0xff, CorruptRecord),
    ] {
        let mut other = batch.clone();
        other[MAGIC_AT] = magic;
        assert_eq!(refused(&other, &RULES).0, class, "magic {magic}");
    }
    let short = changed(|header| header.batch_length = 48);
    let error = Reason::Batch(BatchError::LengthTooSmall { batch_length: 48 });
    assert_eq!(refused(&short, &RULES), (CorruptRecord, error));
}

#[test]
fn every_damaged_byte_is_refused_in_both_modes() {
    for codec in Codec::ALL {
        let batch = build(codec, &story(), STORY_PRODUCER);
        // All but the leader epoch, which the broker overwrites.
        for at in (0..12).chain(16..batch.len()) {
            for flip in [0x01, 0x80, 0xff] {
                let mut damaged = batch.clone();
                damaged[at] ^= flip;
                for rules in [&RULES, &HEADER_RULES] {
                    assert!(
                        validate_produced(&damaged, rules).is_err(),
                        "{codec} byte {at}"
                    );
                }
            }
        }
        let mut damaged = batch.clone();
        damaged[70] ^= 1;
        assert_eq!(refused(&damaged, &RULES).0, InvalidClass::CorruptRecord);
    }
}

#[test]
fn a_batch_larger_than_allowed_is_refused_before_its_checksum_is_made() {
    let mut batch = story_batch();
    let size = batch.len();
    let rules = ProduceRules {
        batch_bytes_max: size,
        ..RULES
    };
    assert!(validate_produced(&batch, &rules).is_ok());
    let rules = ProduceRules {
        batch_bytes_max: size - 1,
        ..RULES
    };
    batch[100] ^= 1;
    let too_large = Reason::TooLarge {
        size,
        batch_bytes_max: size - 1,
    };
    assert_eq!(
        refused(&batch, &rules),
        (InvalidClass::MessageTooLarge, too_large)
    );
}

#[test]
fn records_that_decompress_beyond_the_cap_are_too_large_and_no_earlier() {
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let batch = build(codec, &story(), STORY_PRODUCER);
        let bytes = JAVA_NONE.len() - HEADER_LEN;
        let decompress = DecompressLimit {
            output_bytes_max: bytes,
        };
        assert!(
            validate_produced(
                &batch,
                &ProduceRules {
                    decompress,
                    ..RULES
                }
            )
            .is_ok()
        );
        let decompress = DecompressLimit {
            output_bytes_max: bytes - 1,
        };
        let (class, reason) = refused(
            &batch,
            &ProduceRules {
                decompress,
                ..RULES
            },
        );
        assert_eq!(class, InvalidClass::MessageTooLarge, "{codec}: {reason:?}");
    }
}

#[test]
fn codecs_are_allowed_by_the_version_of_the_request() {
    let rules = ProduceRules {
        zstd_allowed: false,
        ..RULES
    };
    let batch = build(Codec::Zstd, &story(), STORY_PRODUCER);
    let not_allowed = Reason::CodecNotAllowed { codec: Codec::Zstd };
    let unsupported = InvalidClass::UnsupportedCompressionType;
    assert_eq!(refused(&batch, &rules), (unsupported, not_allowed));
    assert!(validate_produced(&build(Codec::Lz4, &story(), STORY_PRODUCER), &rules).is_ok());
    let unknown = Reason::Batch(BatchError::UnknownCodec { id: 7 });
    assert_eq!(
        refused(&changed(|header| header.attributes = 7), &RULES),
        (unsupported, unknown)
    );
}

#[test]
fn header_fields_that_a_producer_may_not_send_are_refused() {
    let reason_of = |change_header: fn(&mut BatchHeader)| {
        let batch = changed(change_header);
        let full = refused(&batch, &RULES);
        assert_eq!(full, refused(&batch, &HEADER_RULES));
        assert_eq!(full.0, full.1.class());
        full.1
    };
    let offset = Reason::BaseOffsetNotZero { base_offset: 1 };
    assert_eq!(reason_of(|header| header.base_offset = 1), offset);
    let count = |record_count, last_offset_delta| Reason::Count {
        record_count,
        last_offset_delta,
    };
    assert_eq!(reason_of(|header| header.record_count = 0), count(0, 3));
    assert_eq!(reason_of(|header| header.record_count = 3), count(3, 3));
    assert_eq!(
        reason_of(|header| header.last_offset_delta = 4),
        count(4, 4)
    );
    assert_eq!(
        reason_of(|header| header.attributes |= CONTROL_BIT),
        Reason::ControlBatch
    );
    assert_eq!(
        reason_of(|header| header.attributes |= DELETE_HORIZON_BIT),
        Reason::DeleteHorizon
    );
    assert_eq!(
        reason_of(|header| header.base_sequence = -1),
        Reason::Producer
    );
    assert_eq!(
        reason_of(|header| header.producer_epoch = -1),
        Reason::Producer
    );
    assert_eq!(
        reason_of(|header| header.producer_id = -2),
        Reason::Producer
    );
    let transaction_of_nobody = |header: &mut BatchHeader| {
        header.producer_id = -1;
        header.attributes |= TRANSACTIONAL_BIT;
    };
    assert_eq!(reason_of(transaction_of_nobody), Reason::Producer);
    // Numbers that are no batch at all, under a checksum that says that they are meant.
    for wrong in [
        (|header: &mut BatchHeader| header.record_count = -1) as fn(&mut BatchHeader),
        |header| header.record_count = 5,
        |header| header.last_offset_delta = -1,
    ] {
        assert_eq!(reason_of(wrong).class(), InvalidClass::InvalidRecord);
    }
}

#[test]
fn a_producer_without_id_needs_no_sequence() {
    let batch = build(Codec::None, &story(), ProducerFields::default());
    assert!(validate_produced(&batch, &RULES).is_ok());
}

#[test]
fn every_timestamp_out_of_range_is_named_by_its_record() {
    let now = RULES.now_ms;
    let rules = ProduceRules {
        timestamp_before_max_ms: 1000,
        timestamp_after_max_ms: 50,
        ..RULES
    };
    let samples: Vec<_> = [
        now,
        now - 1000,
        now - 1001,
        now + 50,
        now + 51,
        NO_TIMESTAMP,
        i64::MAX - 1,
        -2,
    ]
    .map(|timestamp| sample(timestamp, None, None))
    .into();
    for codec in Codec::ALL {
        let batch = build(codec, &samples, STORY_PRODUCER);
        let invalid = validate_produced(&batch, &rules).unwrap_err();
        assert_eq!(invalid.class, InvalidClass::InvalidTimestamp);
        let indexes: Vec<_> = invalid.records.iter().map(|record| record.index).collect();
        assert_eq!(indexes, [2, 4, 6, 7]);
        let out_of_range = Reason::TimestampOutOfRange {
            timestamp: now - 1001,
            min: now - 1000,
            max: now + 50,
        };
        assert_eq!(invalid.reason, out_of_range);
        assert_eq!(invalid.record_index(), Some(2));
        // Nobody minds what the broker's time replaces.
        let rules = ProduceRules {
            timestamp_type: TimestampType::LogAppendTime,
            ..rules
        };
        assert!(validate_produced(&batch, &rules).is_ok());
    }
}

#[test]
fn a_claim_that_the_broker_set_the_time_counts_only_where_the_broker_sets_it() {
    let batch = changed(|header| header.attributes |= TIMESTAMP_TYPE_BIT);
    for rules in [RULES, HEADER_RULES] {
        assert!(validate_produced(&batch, &rules).is_ok());
        let rules = ProduceRules {
            timestamp_type: TimestampType::LogAppendTime,
            ..rules
        };
        let (class, reason) = refused(&batch, &rules);
        assert_eq!(
            (class, reason.class()),
            (reason.class(), InvalidClass::InvalidTimestamp)
        );
        assert_eq!(reason, Reason::LogAppendTime);
    }
}

#[test]
fn bounds_at_the_ends_of_time_do_not_overflow() {
    let ends = [
        i64::MIN,
        i64::MIN + 1,
        -1,
        0,
        STORY_START,
        i64::MAX - 1,
        i64::MAX,
    ];
    let judged = |base, delta: i64, now_ms, before, after| {
        let mut body = vec![0];
        crate::varint::write_i64(&mut body, delta);
        body.extend([0, 1, 1, 0]);
        body.insert(0, body.len() as u8 * 2);
        let mut batch = batch_of_body(Codec::None, 1, &body);
        change(&mut batch, |header| header.base_timestamp = base);
        let rules = ProduceRules {
            now_ms,
            timestamp_before_max_ms: before,
            timestamp_after_max_ms: after,
            ..RULES
        };
        validate_produced(&batch, &rules)
    };
    for base in ends {
        for delta in ends {
            for wall in ends {
                for (before, after) in [(0, 0), (i64::MAX, 0), (0, i64::MAX), (i64::MAX, i64::MAX)]
                {
                    let timestamp = base.checked_add(delta);
                    let in_range = |timestamp: i64| {
                        timestamp == NO_TIMESTAMP
                            || wall.saturating_sub(before) <= timestamp
                                && timestamp <= wall.saturating_add(after)
                    };
                    let verdict = judged(base, delta, wall, before, after);
                    let case = format!("{base} + {delta} at {wall} within {before} and {after}");
                    assert_eq!(verdict.is_ok(), timestamp.is_some_and(in_range), "{case}");
                    if let Ok(summary) = verdict {
                        assert_eq!(
                            Some(summary.max_timestamp),
                            timestamp.map(|it| it.max(-1)),
                            "{case}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn a_timestamp_beyond_64_bits_is_refused() {
    let mut batch = story_batch();
    change(&mut batch, |header| header.base_timestamp = i64::MAX - 1);
    let rules = ProduceRules {
        timestamp_after_max_ms: i64::MAX,
        ..RULES
    };
    let invalid = validate_produced(&batch, &rules).unwrap_err();
    assert_eq!(
        (invalid.class, invalid.reason),
        (InvalidClass::InvalidTimestamp, Reason::TimestampOverflow)
    );
    assert_eq!(invalid.records.len(), 3);
}

#[test]
fn the_header_alone_is_judged_by_its_max_timestamp() {
    let rules = ProduceRules {
        now_ms: STORY_START,
        timestamp_after_max_ms: 69_999,
        ..HEADER_RULES
    };
    let (class, reason) = refused(JAVA_NONE, &rules);
    assert_eq!(class, InvalidClass::InvalidTimestamp);
    let (min, max) = (STORY_START.saturating_sub(i64::MAX), STORY_START + 69_999);
    assert_eq!(
        reason,
        Reason::TimestampOutOfRange {
            timestamp: STORY_START + 70_000,
            min,
            max
        }
    );
}

#[test]
fn a_wrong_max_timestamp_passes_and_is_corrected_in_the_summary() {
    for wrong in [0, NO_TIMESTAMP, STORY_START + 70_001] {
        let summary =
            validate_produced(&changed(|header| header.max_timestamp = wrong), &RULES).unwrap();
        assert!(summary.max_timestamp_is_wrong());
        assert_eq!(summary.max_timestamp, STORY_START + 70_000);
        assert_eq!(summary.max_timestamp_offset_delta, Some(3));
    }
}

#[test]
fn the_first_of_the_latest_records_is_the_one_found_by_time() {
    let samples = [3, 9, 9, 1].map(|timestamp| sample(timestamp, None, None));
    let summary = validate_produced(&build(Codec::Lz4, &samples, STORY_PRODUCER), &RULES).unwrap();
    assert_eq!(
        (summary.max_timestamp, summary.max_timestamp_offset_delta),
        (9, Some(1))
    );
    let samples = [sample(NO_TIMESTAMP, None, None)];
    let summary = validate_produced(&build(Codec::Lz4, &samples, STORY_PRODUCER), &RULES).unwrap();
    assert_eq!(
        (summary.max_timestamp, summary.max_timestamp_offset_delta),
        (NO_TIMESTAMP, None)
    );
}

#[test]
fn a_compacted_topic_wants_a_key_in_each_record_whatever_the_mode() {
    for mode in [ValidationMode::Full, ValidationMode::Header] {
        let rules = ProduceRules {
            keys_required: true,
            mode,
            ..RULES
        };
        let invalid = validate_produced(JAVA_NONE, &rules).unwrap_err();
        let keyless = RefusedRecord {
            index: 1,
            reason: Reason::KeyMissing,
        };
        assert_eq!(
            (invalid.class, invalid.records),
            (InvalidClass::InvalidRecord, vec![keyless])
        );
        assert_eq!(invalid.reason, Reason::KeyMissing);
    }
}

#[test]
fn a_record_without_key_is_found_among_many_with_one() {
    let mut samples = vec![sample(0, Some("k"), Some("v")); 200];
    samples[150].key = None;
    let rules = ProduceRules {
        keys_required: true,
        ..RULES
    };
    for codec in Codec::ALL {
        let invalid =
            validate_produced(&build(codec, &samples, STORY_PRODUCER), &rules).unwrap_err();
        assert_eq!(invalid.record_index(), Some(150), "{codec}");
        assert_eq!(
            invalid.to_string(),
            "record 150: a compacted topic needs a key in each record"
        );
    }
}

#[test]
fn the_records_named_are_limited() {
    let rules = ProduceRules {
        keys_required: true,
        ..RULES
    };
    let batch = build(
        Codec::Gzip,
        &vec![sample(0, None, None); 1000],
        STORY_PRODUCER,
    );
    let invalid = validate_produced(&batch, &rules).unwrap_err();
    assert_eq!(invalid.records.len(), REFUSED_RECORDS_MAX);
}

#[test]
fn records_out_of_form_are_refused_by_index_under_a_right_checksum() {
    let bare = [12, 0, 0, 0, 1, 1, 0];
    let attributes = [12, 1, 0, 0, 1, 1, 0];
    let invalid =
        validate_produced(&batch_of_body(Codec::None, 1, &attributes), &RULES).unwrap_err();
    assert_eq!(invalid.reason, Reason::RecordAttributes { attributes: 1 });
    assert_eq!(invalid.class, InvalidClass::InvalidRecord);
    let offsets_repeat = [bare, bare].concat();
    let invalid =
        validate_produced(&batch_of_body(Codec::None, 2, &offsets_repeat), &RULES).unwrap_err();
    let fault = BatchError::Record {
        index: 1,
        fault: RecordFault::OffsetDelta,
    };
    assert_eq!(invalid.reason, Reason::Batch(fault));
    assert_eq!(
        (invalid.class, invalid.record_index()),
        (InvalidClass::InvalidRecord, Some(1))
    );
    assert_eq!(
        invalid.to_string(),
        "record 1: its offset delta is out of order"
    );
    // With the header alone, the producer is trusted.
    assert!(
        validate_produced(
            &batch_of_body(Codec::None, 2, &offsets_repeat),
            &HEADER_RULES
        )
        .is_ok()
    );
}

#[test]
fn compressed_bytes_that_are_none_are_refused_for_good() {
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let (class, reason) = refused(&batch_of_body(codec, 1, b"not a stream"), &RULES);
        assert_eq!(class, InvalidClass::InvalidRecord, "{codec}: {reason:?}");
    }
}

proptest! {
    #[test]
    fn what_is_built_passes_and_what_passes_can_be_read(samples in any_samples(), codec in any_codec()) {
        let rules = ProduceRules { timestamp_after_max_ms: i64::MAX, ..RULES };
        let batch = build(codec, &samples, STORY_PRODUCER);
        let summary = validate_produced(&batch, &rules).unwrap();
        let latest = samples.iter().map(|sample| sample.timestamp).max();
        prop_assert_eq!(Some(summary.max_timestamp), latest);
        prop_assert!(!summary.max_timestamp_is_wrong());
    }

    #[test]
    fn whatever_passes_in_full_is_read_without_error(
        samples in any_samples(), codec in any_codec(),
        at in any::<prop::sample::Index>(), byte: u8, resealed: bool,
    ) {
        let mut batch = build(codec, &samples, STORY_PRODUCER);
        let at = at.index(batch.len() - HEADER_LEN) + HEADER_LEN;
        batch[at] = byte;
        if resealed {
            change(&mut batch, |_| ());
        }
        if validate_produced(&batch, &RULES).is_ok() {
            prop_assert_eq!(read(&batch).map(|records| records.len()), Ok(samples.len()));
        }
    }

    #[test]
    fn no_bytes_make_the_judge_panic(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..200), sound_frame: bool,
    ) {
        if sound_frame && bytes.len() >= HEADER_LEN {
            bytes[MAGIC_AT] = 2;
            let length = (bytes.len() - 12) as i32;
            bytes[8..12].copy_from_slice(&length.to_be_bytes());
        }
        prop_assert!(validate_produced(&bytes, &RULES).is_err());
    }
}
