use super::*;
use crate::samples::*;
use proptest::prelude::*;

#[test]
fn the_header_of_a_real_batch_reads_field_by_field() {
    let header = BatchHeader::parse(JAVA_NONE).unwrap();
    let expected = BatchHeader {
        base_offset: 0,
        batch_length: 407,
        partition_leader_epoch: -1,
        magic: 2,
        crc: 0xb84c_f3b7,
        attributes: 0,
        last_offset_delta: 3,
        base_timestamp: STORY_START,
        max_timestamp: STORY_START + 70_000,
        producer_id: 4711,
        producer_epoch: 3,
        base_sequence: 17,
        record_count: 4,
    };
    assert_eq!(header, expected);
    assert_eq!(header.size(), JAVA_NONE.len());
    assert_eq!(header.to_bytes(), JAVA_NONE[..61]);
    assert_eq!(header_bytes(JAVA_NONE), &JAVA_NONE[..61]);
    assert_eq!((header.last_offset(), header.next_offset()), (3, 4));
    assert_eq!(header.last_sequence(), 20);
    assert!(header.has_producer_id());
    assert!(!header.is_transactional() && !header.is_control() && !header.has_delete_horizon());
    assert_eq!(header.timestamp_type(), TimestampType::CreateTime);
    assert_eq!(header.codec(), Ok(Codec::None));
}

#[test]
fn attributes_of_real_batches_are_told_apart() {
    let marker = BatchHeader::parse(JAVA_COMMIT_MARKER).unwrap();
    assert!(marker.is_control() && marker.is_transactional());
    assert_eq!((marker.base_offset, marker.partition_leader_epoch), (42, 5));
    assert_eq!(marker.last_sequence(), crate::NO_SEQUENCE);
    let cleaned = BatchHeader::parse(JAVA_CLEANED).unwrap();
    assert!(cleaned.has_delete_horizon() && !cleaned.is_control());
    assert_eq!((cleaned.record_count, cleaned.last_offset()), (2, 3));
    for (codec, batch) in CLIENT_BATCHES {
        assert_eq!(BatchHeader::parse(batch).unwrap().codec(), Ok(codec));
        assert_eq!(verify_crc(batch), Ok(()));
    }
}

#[test]
fn sequences_begin_again_at_0_behind_the_largest() {
    let mut header = BatchHeader::parse(JAVA_NONE).unwrap();
    header.base_sequence = i32::MAX - 3;
    assert_eq!(header.last_sequence(), i32::MAX);
    header.base_sequence = i32::MAX;
    assert_eq!(header.last_sequence(), 2);
}

#[test]
fn a_codec_number_that_names_none_is_refused() {
    let mut header = BatchHeader::parse(JAVA_NONE).unwrap();
    for id in 5..8u8 {
        header.attributes = i16::from(id);
        assert_eq!(header.codec(), Err(BatchError::UnknownCodec { id }));
    }
}

#[test]
fn every_cut_of_a_batch_is_truncated() {
    for cut in 0..JAVA_NONE.len() {
        let needed = if cut < HEADER_LEN {
            HEADER_LEN
        } else {
            JAVA_NONE.len()
        };
        let truncated = BatchError::Truncated {
            needed,
            available: cut,
        };
        assert_eq!(split_batch(&JAVA_NONE[..cut]), Err(truncated.clone()));
        assert_eq!(verify_crc(&JAVA_NONE[..cut]), Err(truncated));
    }
}

#[test]
fn other_formats_are_told_apart_before_anything_else_is_believed() {
    let mut bytes = [0xff; 17];
    for (magic, error) in [
        (0, BatchError::LegacyMagic { magic: 0 }),
        (1, BatchError::LegacyMagic { magic: 1 }),
        (3, BatchError::UnknownMagic { magic: 3 }),
        (255, BatchError::UnknownMagic { magic: 255 }),
    ] {
        bytes[MAGIC_AT] = magic;
        assert_eq!(BatchHeader::parse(&bytes), Err(error));
    }
}

#[test]
fn numbers_that_do_not_go_together_are_refused() {
    let sound = BatchHeader::parse(JAVA_NONE).unwrap();
    let parse = |change: fn(&mut BatchHeader)| {
        let mut header = sound;
        change(&mut header);
        BatchHeader::parse(&header.to_bytes())
    };
    for length in [48, 0, -1, i32::MIN] {
        let mut header = sound;
        header.batch_length = length;
        let error = BatchError::LengthTooSmall {
            batch_length: length,
        };
        assert_eq!(BatchHeader::parse(&header.to_bytes()), Err(error));
    }
    let offsets = |parsed| matches!(parsed, Err(BatchError::OffsetsOutOfRange { .. }));
    assert!(offsets(parse(|header| header.base_offset = -1)));
    assert!(offsets(parse(|header| header.last_offset_delta = -1)));
    assert!(offsets(parse(|header| header.base_offset = i64::MAX - 2)));
    assert!(parse(|header| header.base_offset = i64::MAX - 3).is_ok());
    let count = |parsed| matches!(parsed, Err(BatchError::CountOutOfRange { .. }));
    assert!(count(parse(|header| header.record_count = -1)));
    assert!(count(parse(|header| header.record_count = 5)));
    assert!(parse(|header| header.record_count = 0).is_ok());
}

#[test]
fn offset_and_epoch_are_written_in_place_without_touching_the_checksum() {
    let mut batch = story_batch();
    let before = BatchHeader::parse(&batch).unwrap();
    set_base_offset(&mut batch, 1 << 40);
    set_leader_epoch(&mut batch, 77);
    let expected = BatchHeader {
        base_offset: 1 << 40,
        partition_leader_epoch: 77,
        ..before
    };
    assert_eq!(BatchHeader::parse(&batch), Ok(expected));
    assert_eq!(verify_crc(&batch), Ok(()));
}

#[test]
fn every_flipped_bit_below_the_checksum_is_found() {
    let batch = story_batch();
    for at in CRC_AT..batch.len() {
        for bit in 0..8 {
            let mut damaged = batch.clone();
            damaged[at] ^= 1 << bit;
            assert!(verify_crc(&damaged).is_err(), "bit {bit} of byte {at}");
        }
    }
}

#[test]
fn batches_behind_each_other_are_found_and_a_cut_one_ends_them() {
    let mut bytes = JAVA_NONE.to_vec();
    bytes.extend_from_slice(JAVA_COMMIT_MARKER);
    bytes.extend_from_slice(&JAVA_CLEANED[..70]);
    let mut batches = Batches::new(&bytes);
    assert_eq!(batches.next().unwrap().unwrap().1, JAVA_NONE);
    assert_eq!(batches.position(), JAVA_NONE.len());
    assert_eq!(batches.next().unwrap().unwrap().1, JAVA_COMMIT_MARKER);
    let truncated = BatchError::Truncated {
        needed: JAVA_CLEANED.len(),
        available: 70,
    };
    assert_eq!(batches.next(), Some(Err(truncated)));
    assert_eq!(batches.next(), None);
    assert_eq!(batches.position(), bytes.len() - 70);
    assert_eq!(Batches::new(&[]).next(), None);
}

proptest! {
    #[test]
    fn no_bytes_make_a_parser_panic(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..200), sound_magic: bool,
    ) {
        if sound_magic && bytes.len() > MAGIC_AT {
            bytes[MAGIC_AT] = MAGIC;
            bytes[LENGTH_AT..LENGTH_AT + 3].fill(0);
        }
        let _ = BatchHeader::parse(&bytes);
        let _ = verify_crc(&bytes);
        prop_assert!(Batches::new(&bytes).count() <= bytes.len());
    }

    #[test]
    fn a_header_that_parses_has_the_bytes_it_was_parsed_from(bytes: [[u8; 16]; 4]) {
        let mut bytes = bytes.concat();
        bytes.truncate(HEADER_LEN);
        bytes[MAGIC_AT] = MAGIC;
        bytes[LENGTH_AT] &= 0x7f;
        bytes[0] &= 0x7f;
        bytes[LAST_OFFSET_DELTA_AT] &= 0x7f;
        bytes[RECORD_COUNT_AT..].fill(0);
        let header = BatchHeader::parse(&bytes);
        prop_assume!(header.is_ok());
        prop_assert_eq!(&header.unwrap().to_bytes()[..], &bytes[..]);
    }
}
