//! Whatever a peer sends: no panic, no memory out of proportion, and an error that says where.

use super::allocations::peak_of;
use super::encoded;
use super::sampler::{Fill, Sampler};
use crate::api::{self, ApiInfo};
use crate::header::RequestHeader;
use crate::{DecodeError, DecodeReason, Decoder, Message, Shape};
use bytes::Bytes;
use proptest::prelude::*;

/// A message of an API, without its type.
struct Subject {
    name: &'static str,
    api: &'static ApiInfo,
    decode: fn(&Bytes, i16) -> Result<(), DecodeError>,
    sample: fn(u64, i16) -> &'static Bytes,
}

macro_rules! subjects {
    ($( $key:ident $module:ident $request:ident $response:ident; )*) => {
        fn subjects() -> Vec<Subject> {
            vec![$( subjects!(@ $module $request), subjects!(@ $module $response), )*]
        }
    };
    (@ $module:ident $message:ident) => {
        Subject {
            name: stringify!($message),
            api: crate::$module::$message::KEY.info(),
            decode: |frame, version| {
                crate::$module::$message::decode(&mut Decoder::new(frame), version).map(drop)
            },
            sample: sample::<crate::$module::$message>,
        }
    };
}

crate::messages::for_each_api!(subjects);

fn sample<M: Message<'static>>(seed: u64, version: i16) -> &'static Bytes {
    let shape = Shape::new(version, M::KEY.info().flexible_from);
    encoded(
        &M::sample(&mut Sampler::new(seed, Fill::Full), shape),
        version,
    )
}

/// Slack for what is not an array: the frame's reference count.
const SLACK: usize = 1024;

/// Decodes and checks what it cost. Returns whether it was a message.
fn stays_within_bounds(subject: &Subject, frame: &Bytes, version: i16) -> bool {
    let (peak, result) = peak_of(|| (subject.decode)(frame, version));
    let bound = Decoder::heap_bytes_max(frame.len()) + SLACK;
    assert!(peak <= bound, "{} {version}: {peak} bytes", subject.name);
    // Below its flat allowance a frame is bounded by its own size alone: no element of a few
    // bytes is larger than this many times its smallest encoding.
    let bound = frame.len() * 40 + SLACK;
    assert!(peak <= bound, "{} {version}: {peak} bytes", subject.name);
    if let Err(error) = &result {
        assert!(error.position <= frame.len(), "{} {error}", subject.name);
    }
    result.is_ok()
}

fn everywhere(check: impl Fn(&Subject, i16)) {
    for subject in subjects() {
        for version in subject.api.min..=subject.api.max {
            check(&subject, version);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn arbitrary_bytes_are_harmless_in_every_message(
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
    ) {
        let frame = Bytes::from(bytes);
        everywhere(|subject, version| {
            stays_within_bounds(subject, &frame, version);
        });
    }

    #[test]
    fn bytes_of_counts_and_lengths_are_harmless_in_every_message(
        bytes in proptest::collection::vec(
            prop_oneof![Just(0u8), Just(1), Just(2), Just(0x7f), Just(0x80), Just(0xff)],
            0..400,
        ),
    ) {
        let frame = Bytes::from(bytes);
        everywhere(|subject, version| {
            stays_within_bounds(subject, &frame, version);
        });
    }

    #[test]
    fn arbitrary_bytes_are_harmless_as_a_header(
        bytes in proptest::collection::vec(any::<u8>(), 0..80),
    ) {
        let frame = Bytes::from(bytes);
        let mut decoder = Decoder::new(&frame);
        let _ = RequestHeader::decode(&mut decoder);
        prop_assert!(decoder.position() <= frame.len());
    }
}

#[test]
fn damaged_messages_are_harmless() {
    everywhere(|subject, version| {
        let mut sampler = Sampler::new(version as u64, Fill::Full);
        for seed in 0..2 {
            let valid = (subject.sample)(seed, version);
            assert!(stays_within_bounds(subject, valid, version));
            for _ in 0..300 {
                let mut bytes = valid.to_vec();
                let at = sampler.number() as usize % bytes.len().max(1);
                match sampler.number() % 4 {
                    0 => bytes[at..]
                        .iter_mut()
                        .take(1)
                        .for_each(|byte| *byte ^= 1 << (at % 8)),
                    1 => bytes[at..].iter_mut().take(4).for_each(|byte| *byte = 0xff),
                    2 => bytes[at..].iter_mut().take(4).for_each(|byte| *byte = 0x7f),
                    _ => drop(bytes.drain(..at)),
                }
                stays_within_bounds(subject, &Bytes::from(bytes), version);
            }
        }
    });
}

#[test]
fn huge_count_reserves_nothing() {
    // Metadata version 1: an array of names that claims 2^31-1 of them in eight bytes.
    let frame = Bytes::from_static(&[0x7f, 0xff, 0xff, 0xff, 0, 1, b'a', 0]);
    let (peak, result) =
        peak_of(|| crate::MetadataRequest::decode(&mut Decoder::new(&frame), 1).map(drop));
    assert!(peak <= SLACK, "{peak}");
    let error = result.expect_err("hostile");
    assert_eq!(
        (error.structure, error.field),
        ("MetadataRequest", "topics")
    );
    let reason = DecodeReason::CountBeyondFrame {
        count: i32::MAX as usize,
        remaining: 4,
    };
    assert_eq!(error.reason, reason);
}

#[test]
fn small_elements_that_are_large_in_memory_are_refused_in_great_number() {
    // Produce version 9: no transactional id, acks, timeout (seven bytes); then a count of topics
    // that could just be there, three bytes each: an empty name, no partitions, no tags.
    let mut bytes = vec![0; 8 << 20];
    let mut count = ((bytes.len() - 16) / 3) as u32;
    for byte in &mut bytes[7..] {
        *byte = (count & 0x7f) as u8;
        count >>= 7;
        if count == 0 {
            break;
        }
        *byte |= 0x80;
    }
    let frame = Bytes::from(bytes);
    let (peak, result) =
        peak_of(|| crate::ProduceRequest::decode(&mut Decoder::new(&frame), 9).map(drop));
    assert_eq!(result.expect_err("hostile").reason, DecodeReason::HeapLimit);
    assert!(peak <= Decoder::heap_bytes_max(frame.len()), "{peak}");
}

#[test]
fn densest_honest_messages_are_read() {
    let topic = crate::metadata::MetadataResponseTopic {
        name: Some("short"),
        partitions: vec![crate::metadata::MetadataResponsePartition {
            replica_nodes: vec![1],
            isr_nodes: vec![1],
            ..Default::default()
        }],
        ..Default::default()
    };
    let response = crate::MetadataResponse {
        topics: vec![topic; 100_000],
        ..Default::default()
    };
    for version in [1, 13] {
        let frame = encoded(&response, version);
        let read = crate::MetadataResponse::decode(&mut Decoder::new(frame), version);
        assert_eq!(read.expect("honest").topics.len(), 100_000);
    }
}

#[test]
fn unknown_tagged_fields_are_skipped_and_known_ones_must_fill_their_size() {
    let request = crate::ApiVersionsRequest {
        client_software_name: "a",
        client_software_version: "1",
    };
    let plain = encoded(&request, 3);
    let (tags, rest) = plain.split_last().expect("not empty");
    assert_eq!(*tags, 0);
    let with_tags = |tags: &[u8]| Bytes::from([rest, tags].concat());
    let decode = |frame: &Bytes| {
        crate::ApiVersionsRequest::decode(&mut Decoder::new(frame), 3).map(|read| read == request)
    };
    assert_eq!(
        decode(&with_tags(&[2, 5, 3, 1, 2, 3, 0x80, 1, 0])),
        Ok(true)
    );
    let reason = |tags: &[u8]| decode(&with_tags(tags)).expect_err("malformed").reason;
    let truncated = DecodeReason::Truncated {
        needed: 3,
        remaining: 2,
    };
    assert_eq!(reason(&[1, 5, 3, 1, 2]), truncated);
    assert_eq!(
        reason(&[0x80, 0x80, 0x80, 0x80, 0x10]),
        DecodeReason::VarintTooLong
    );
    assert_eq!(
        reason(&[0x80, 0x80, 0x80, 0x80, 0x80, 0]),
        DecodeReason::VarintTooLong
    );

    // Fetch version 12 has tag 0, a string: "a" in two bytes. Its size here says three.
    let fetch = |size: u8, tail: &[u8]| {
        let mut bytes = encoded(&crate::FetchRequest::default(), 12).to_vec();
        bytes.pop();
        bytes.extend_from_slice(&[1, 0, size, 2, b'a']);
        bytes.extend_from_slice(tail);
        let frame = Bytes::from(bytes);
        crate::FetchRequest::decode(&mut Decoder::new(&frame), 12).map(|read| {
            assert_eq!(read.cluster_id, Some("a"));
        })
    };
    assert_eq!(fetch(2, &[]), Ok(()));
    let error = fetch(3, &[0]).expect_err("a byte too many");
    assert_eq!(error.reason, DecodeReason::TrailingBytes { bytes: 1 });
    let error = fetch(1, &[]).expect_err("a byte too few");
    assert_eq!(
        error.reason,
        DecodeReason::Truncated {
            needed: 1,
            remaining: 0
        }
    );
}

#[test]
fn malformed_values_are_named() {
    let reason = |bytes: &'static [u8], version| {
        let frame = Bytes::from_static(bytes);
        let error = crate::MetadataRequest::decode(&mut Decoder::new(&frame), version);
        error.expect_err("malformed").reason
    };
    let null = DecodeReason::Null;
    assert_eq!(reason(&[0xff, 0xff, 0xff, 0xff], 0), null);
    assert_eq!(reason(&[0, 0, 0, 1, 0xff, 0xff], 1), null);
    assert_eq!(reason(&[0, 0, 0, 1, 0, 1, 0xff], 1), DecodeReason::NotUtf8);
    let negative = DecodeReason::NegativeLength { length: -2 };
    assert_eq!(reason(&[0xff, 0xff, 0xff, 0xfe], 1), negative);
    let too_long = DecodeReason::StringTooLong { length: 0x8000 };
    assert_eq!(reason(&[2, 0x81, 0x80, 2, 0, 0], 9), too_long);
}

#[test]
fn every_number_that_is_no_api_has_a_readable_header() {
    for api_key in [-1, 4, 93, i16::MAX] {
        assert_eq!(api::lookup(api_key), None);
        let bytes = [&api_key.to_be_bytes()[..], &[0, 9, 0, 0, 0, 1, 0xff, 0xff]].concat();
        let frame = Bytes::from(bytes);
        let header = RequestHeader::decode(&mut Decoder::new(&frame)).expect("old form");
        assert_eq!((header.api_key, header.api_version), (api_key, 9));
    }
}
