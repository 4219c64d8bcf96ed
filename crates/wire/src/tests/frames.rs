//! Frames: taken off a buffer one by one however they arrive, put together without copying.

use crate::encode::SPLICE_BYTES_MIN;
use crate::frame::{self, FrameError, Splitter};
use crate::header::{RequestHeader, ResponseHeader};
use crate::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use crate::{
    ApiVersionsResponse, Decoder, EncodeReason, Encoder, ErrorCode, Message, Records, api_versions,
};
use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

const SPLITTER: Splitter = Splitter {
    frame_bytes_max: 100,
};

proptest! {
    #[test]
    fn frames_come_out_as_they_went_in_whatever_the_pieces(
        frames in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..=100), 0..8),
        piece in 1usize..30,
    ) {
        let mut stream = Vec::new();
        for frame in &frames {
            stream.extend_from_slice(&(frame.len() as i32).to_be_bytes());
            stream.extend_from_slice(frame);
        }
        let mut buffer = BytesMut::new();
        let mut taken = Vec::new();
        for piece in stream.chunks(piece) {
            buffer.extend_from_slice(piece);
            while let Some(frame) = SPLITTER.take(&mut buffer).expect("well-formed") {
                taken.push(frame.to_vec());
            }
        }
        prop_assert_eq!(taken, frames);
        prop_assert!(buffer.is_empty());
    }

    #[test]
    fn parts_come_out_in_order_whether_copied_or_spliced(
        parts in proptest::collection::vec(
            (prop_oneof![0usize..3, SPLICE_BYTES_MIN - 1..SPLICE_BYTES_MIN + 2], any::<bool>(), any::<u8>()),
            0..12,
        ),
    ) {
        let mut encoder = Encoder::new();
        let mut expected = Vec::new();
        for (len, shared, byte) in parts {
            let part = vec![byte; len];
            expected.extend_from_slice(&part);
            if shared {
                encoder.put_shared(&part.into());
            } else {
                encoder.put(&part);
            }
            prop_assert_eq!(encoder.len(), expected.len());
        }
        let frame = encoder.finish_frame().concat();
        prop_assert_eq!(&frame[..4], (expected.len() as i32).to_be_bytes());
        prop_assert_eq!(&frame[4..], expected);
    }

    #[test]
    fn arbitrary_bytes_are_frames_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut buffer = BytesMut::from(&bytes[..]);
        while let Ok(Some(frame)) = SPLITTER.take(&mut buffer) {
            prop_assert!(frame.len() <= 100);
        }
    }
}

#[test]
fn length_is_judged_before_the_frame_is_there() {
    assert_eq!(SPLITTER.length(&[0, 0, 0]), Ok(None));
    assert_eq!(SPLITTER.length(&[0, 0, 0, 100]), Ok(Some(100)));
    let too_long = FrameError::TooLong {
        bytes: 101,
        bytes_max: 100,
    };
    assert_eq!(SPLITTER.length(&[0, 0, 0, 101, 1]), Err(too_long));
    let negative = FrameError::NegativeLength { length: -1 };
    assert_eq!(SPLITTER.length(&[0xff; 4]), Err(negative));
    assert_eq!(
        SPLITTER.take(&mut BytesMut::from(&[0xff; 4][..])),
        Err(negative)
    );
}

fn produce(records: Records) -> ProduceRequest<'static> {
    ProduceRequest {
        acks: -1,
        timeout_ms: 1000,
        topic_data: vec![TopicProduceData {
            name: "topic",
            partition_data: vec![PartitionProduceData {
                index: 3,
                records: Some(records),
            }],
            ..Default::default()
        }],
        ..Default::default()
    }
}

#[test]
fn large_chunks_are_written_and_read_without_a_copy() {
    let chunks: Vec<Bytes> = (0..3)
        .map(|byte| vec![byte; SPLICE_BYTES_MIN].into())
        .collect();
    let request = produce(Records::from(chunks.clone()));
    let frame = frame::request(&request, 9, 5, Some("client")).expect("valid");
    for chunk in &chunks {
        assert!(frame.iter().any(|part| part.as_ptr() == chunk.as_ptr()));
    }
    assert_eq!(frame.len(), 5);

    let mut buffer = BytesMut::from(&frame.concat()[..]);
    let splitter = Splitter {
        frame_bytes_max: buffer.len(),
    };
    let frame = splitter
        .take(&mut buffer)
        .expect("valid")
        .expect("all there");
    let mut decoder = Decoder::new(&frame);
    let header = RequestHeader::decode(&mut decoder).expect("ours");
    let expected = RequestHeader {
        api_key: 0,
        api_version: 9,
        correlation_id: 5,
        client_id: Some("client"),
    };
    assert_eq!(header, expected);
    let read = ProduceRequest::decode(&mut decoder, header.api_version).expect("ours");
    assert_eq!(read, request);
    let records = read.topic_data[0].partition_data[0]
        .records
        .as_ref()
        .expect("there");
    assert!(frame.as_ptr_range().contains(&records.chunks()[0].as_ptr()));
}

#[test]
fn small_chunks_are_gathered() {
    let chunks: Vec<Bytes> = (0..3).map(|byte| vec![byte; 100].into()).collect();
    let frame = frame::request(&produce(Records::from(chunks)), 9, 5, None).expect("valid");
    assert_eq!(frame.len(), 1);
}

#[test]
fn what_a_version_lacks_is_refused_by_name() {
    let mut request = produce(Records::default());
    request.topic_data[0].partition_data[0].records = None;
    assert!(frame::request(&request, 9, 5, None).is_ok());

    let response = crate::OffsetFetchRequest {
        require_stable: true,
        ..Default::default()
    };
    let error = frame::request(&response, 6, 1, None).expect_err("not in version 6");
    let place = (error.structure, error.field);
    assert_eq!(place, ("OffsetFetchRequest", "require_stable"));
    assert_eq!(error.reason, EncodeReason::NotInVersion { version: 6 });

    let request = crate::CreateTopicsRequest {
        topics: vec![crate::create_topics::CreatableTopic {
            name: Box::leak("x".repeat(40_000).into_boxed_str()),
            ..Default::default()
        }],
        ..Default::default()
    };
    for version in [2, 7] {
        let error = frame::request(&request, version, 1, None).expect_err("name too long");
        let place = (error.structure, error.field);
        assert_eq!(place, ("CreatableTopic", "name"));
        assert_eq!(error.reason, EncodeReason::TooLong { length: 40_000 });
    }
}

#[test]
fn refusal_of_a_version_is_read_by_who_asked_for_it() {
    let refusal = ApiVersionsResponse {
        error_code: ErrorCode::UnsupportedVersion.into(),
        api_keys: vec![api_versions::ApiVersion {
            api_key: 18,
            min_version: 0,
            max_version: 4,
        }],
        ..Default::default()
    };
    let frame = Bytes::from(frame::response(&refusal, 0, 9).expect("valid").concat()).slice(4..);
    let mut decoder = Decoder::new(&frame);
    let key = ApiVersionsResponse::KEY;
    let header = ResponseHeader::decode(&mut decoder, key, 4).expect("same form always");
    assert_eq!(header.correlation_id, 9);
    let read = ApiVersionsResponse::decode_any(&frame, decoder.position(), 4);
    assert_eq!(read, Ok(refusal));
    assert!(ApiVersionsResponse::decode_any(&Bytes::from_static(&[0; 5]), 4, 4).is_err());
}

#[test]
fn records_are_equal_if_their_bytes_are() {
    let one = Records::from(Bytes::from_static(b"abc"));
    let many = Records::from(vec![Bytes::from_static(b"a"), Bytes::from_static(b"bc")]);
    assert_eq!(one, many);
    assert_ne!(one, Records::from(Bytes::from_static(b"abd")));
    assert_eq!(many.into_bytes(), Bytes::from_static(b"abc"));
}

#[test]
fn every_error_code_is_found_by_its_number() {
    for (code, number) in ErrorCode::ALL.iter().zip(-1..) {
        assert_eq!(*code as i16, number);
        assert_eq!(ErrorCode::from(number), *code);
    }
    assert_eq!(ErrorCode::ALL.len(), 135);
    assert_eq!(ErrorCode::from(134), ErrorCode::UnknownServerError);
    assert_eq!(ErrorCode::from_number(134), None);
    assert_eq!(
        ErrorCode::NotLeaderOrFollower.name(),
        "NOT_LEADER_OR_FOLLOWER"
    );
    assert!(ErrorCode::NotLeaderOrFollower.is_retriable());
    assert!(!ErrorCode::UnknownServerError.is_retriable());
    assert!(!ErrorCode::None.is_error());
}

#[test]
fn empty_frame_is_a_length_of_zero() {
    assert_eq!(Encoder::new().finish_frame().concat(), [0; 4]);
    assert!(Encoder::new().finish().is_empty());
}
