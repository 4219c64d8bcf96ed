use super::*;
use crate::batch::{TimestampType, verify_crc};
use crate::samples::*;

#[test]
fn the_brokers_time_replaces_that_of_all_records() {
    for codec in Codec::ALL {
        let mut batch = build(codec, &story(), STORY_PRODUCER);
        let before = BatchHeader::parse(&batch).unwrap();
        set_log_append_time(&mut batch, 123).unwrap();
        let after = BatchHeader::parse(&batch).unwrap();
        assert_eq!(after.timestamp_type(), TimestampType::LogAppendTime);
        assert_eq!((after.max_timestamp, after.codec()), (123, Ok(codec)));
        assert_eq!(verify_crc(&batch), Ok(()));
        assert_ne!(after.crc, before.crc);
        assert!(
            read(&batch)
                .unwrap()
                .iter()
                .all(|record| record.timestamp == 123)
        );
    }
}

#[test]
fn a_corrected_max_timestamp_leaves_all_else() {
    let mut batch = story_batch();
    change(&mut batch, |header| {
        header.max_timestamp = 5;
        header.attributes |= TIMESTAMP_TYPE_BIT;
    });
    set_create_time(&mut batch, STORY_START + 70_000).unwrap();
    assert_eq!(&batch[..], JAVA_NONE);
}

#[test]
fn every_codec_changes_into_every_other() {
    for from in Codec::ALL {
        let batch = build(from, &story(), STORY_PRODUCER);
        let before = BatchHeader::parse(&batch).unwrap();
        for to in Codec::ALL {
            let changed = recompress(&batch, to, None, LIMIT).unwrap();
            assert_eq!(verify_crc(&changed), Ok(()));
            assert_eq!(read(&changed), Ok(story()));
            let after = BatchHeader::parse(&changed).unwrap();
            let expected = BatchHeader {
                batch_length: after.batch_length,
                crc: after.crc,
                attributes: i16::from(to.id()),
                ..before
            };
            assert_eq!(after, expected);
            assert_eq!(after.size(), changed.len());
        }
    }
}

#[test]
fn a_damaged_batch_never_gets_a_new_checksum() {
    let batch = story_batch();
    for at in 17..batch.len() {
        let mut damaged = batch.clone();
        damaged[at] ^= 0x10;
        let copy = damaged.clone();
        assert!(set_log_append_time(&mut damaged, 1).is_err(), "byte {at}");
        assert!(set_create_time(&mut damaged, 1).is_err(), "byte {at}");
        assert_eq!(damaged, copy);
        assert!(
            recompress(&damaged, Codec::Zstd, None, LIMIT).is_err(),
            "byte {at}"
        );
    }
}

#[test]
fn a_change_of_codec_keeps_to_the_cap() {
    let limit = DecompressLimit {
        output_bytes_max: 100,
    };
    let batch = build(Codec::Zstd, &story(), STORY_PRODUCER);
    assert!(matches!(
        recompress(&batch, Codec::Gzip, None, limit),
        Err(RewriteError::Batch(BatchError::Decompress(_)))
    ));
}

#[test]
fn a_batch_cut_short_is_not_rewritten() {
    let batch = story_batch();
    for cut in 0..batch.len() {
        let mut part = batch[..cut].to_vec();
        assert!(set_log_append_time(&mut part, 1).is_err());
        assert!(recompress(&part, Codec::Lz4, None, LIMIT).is_err());
    }
}
