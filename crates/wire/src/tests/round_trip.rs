//! Every message that the table lists can be written and read in every version, and in no other;
//! what a version cannot say is an error that names the field; a message cut short is an error.

use super::sampler::{Fill, Sampler};
use super::{encoded, kept};
use crate::api::{self, ApiKey};
use crate::{DecodeReason, Decoder, EncodeReason, Encoder, Message, Shape};

const SEEDS: u64 = 8;

/// Does for one message what the head of this file says.
fn holds<M: Message<'static>>() {
    let api = M::KEY.info();
    for version in api.min..=api.max {
        let shape = Shape::new(version, api.flexible_from);
        for seed in 0..SEEDS {
            let fill = match seed {
                0 => Fill::Full,
                1 => Fill::Sparse,
                _ => Fill::Mixed,
            };
            let message = M::sample(&mut Sampler::new(seed, fill), shape);
            let bytes = encoded(&message, version);
            let read = M::decode(&mut Decoder::new(bytes), version);
            assert_eq!(read.as_ref(), Ok(&message), "{} {version}", M::NAME);
            cut_short_is_an_error::<M>(bytes, version);
            let longer = kept([&bytes[..], &[0]].concat().into());
            let error = M::decode(&mut Decoder::new(longer), version).expect_err("a byte too many");
            assert_eq!(error.reason, DecodeReason::TrailingBytes { bytes: 1 });
        }
        every_field_survives_or_is_refused::<M>(version);
    }
    for version in [api.min - 1, api.max + 1, i16::MIN, i16::MAX] {
        let unsupported = EncodeReason::UnsupportedVersion { version };
        let error = M::default().encode(&mut Encoder::new(), version);
        assert_eq!(error.expect_err("no such version").reason, unsupported);
        let error = M::decode(&mut Decoder::new(kept(vec![0; 64].into())), version);
        let unsupported = DecodeReason::UnsupportedVersion { version };
        assert_eq!(error.expect_err("no such version").reason, unsupported);
    }
}

fn cut_short_is_an_error<M: Message<'static>>(bytes: &'static bytes::Bytes, version: i16) {
    for len in 0..bytes.len() {
        let cut = kept(bytes.slice(..len));
        let read = M::decode(&mut Decoder::new(cut), version);
        assert!(read.is_err(), "{} {version} cut at {len}", M::NAME);
    }
}

/// A message filled for another version is either written in this one, and then reads back as one that
/// writes the same, or refused with the name of a field.
fn every_field_survives_or_is_refused<M: Message<'static>>(version: i16) {
    let api = M::KEY.info();
    for other in api.min..=api.max {
        let shape = Shape::new(other, api.flexible_from);
        for seed in 0..SEEDS {
            let message = M::sample(&mut Sampler::new(seed, Fill::Mixed), shape);
            let mut encoder = Encoder::new();
            match message.encode(&mut encoder, version) {
                Ok(()) => {
                    let bytes = kept(encoder.finish_contiguous());
                    let read = M::decode(&mut Decoder::new(bytes), version).expect("ours");
                    assert_eq!(encoded(&read, version), bytes, "{} {version}", M::NAME);
                }
                Err(error) => {
                    assert!(!error.field.is_empty(), "{error}");
                    assert_ne!(other, version, "{error}");
                }
            }
        }
    }
}

macro_rules! round_trips {
    ($( $key:ident $module:ident $request:ident $response:ident; )*) => {
        $(
            mod $module {
                #[test]
                fn request_holds() {
                    super::holds::<crate::$module::$request>();
                }

                #[test]
                fn response_holds() {
                    super::holds::<crate::$module::$response>();
                }
            }
        )*

        /// In the order of their numbers, as clients expect them.
        const LISTED: &[ApiKey] = &[$( ApiKey::$key, )*];
    };
}

crate::messages::for_each_api!(round_trips);

#[test]
fn table_is_in_order_and_finds_every_number() {
    assert!(LISTED.is_sorted());
    assert_eq!(api::table().len(), LISTED.len());
    for (row, &key) in api::table().iter().zip(LISTED) {
        assert_eq!(row.key, key);
        assert_eq!(key.info(), row);
        assert_eq!(api::lookup(key as i16), Some(row));
        assert!(row.min <= row.max);
    }
    assert_eq!(api::lookup(-1), None);
    assert_eq!(api::lookup(4), None);
    assert_eq!(api::lookup(i16::MAX), None);
}

#[test]
fn only_produce_is_advertised_from_below_what_can_be_read() {
    for row in api::table() {
        let advertised = if row.key == ApiKey::Produce {
            0
        } else {
            row.min
        };
        assert_eq!(row.advertised_min, advertised, "{}", row.name);
    }
}

/// Null is allowed from `version` on and refused, by reader and writer alike, in the version before.
fn null_from<M: Message<'static>>(message: M, version: i16, field: &str) {
    let bytes = encoded(&message, version);
    assert_eq!(
        M::decode(&mut Decoder::new(bytes), version),
        Ok(message.clone())
    );
    let before = version - 1;
    let error = message
        .encode(&mut Encoder::new(), before)
        .expect_err("null");
    assert_eq!(error.field, field);
    assert_eq!(error.reason, EncodeReason::Null { version: before });
}

#[test]
fn null_is_refused_in_versions_before_it_was_allowed() {
    use crate::{delete_topics, join_group, metadata, offset_fetch};
    null_from(
        metadata::MetadataRequest {
            topics: None,
            ..Default::default()
        },
        1,
        "topics",
    );
    let topic = metadata::MetadataRequestTopic {
        name: None,
        ..Default::default()
    };
    let request = metadata::MetadataRequest {
        topics: Some(vec![topic]),
        ..Default::default()
    };
    null_from(request, 10, "name");
    let topic = metadata::MetadataResponseTopic {
        name: None,
        ..Default::default()
    };
    let response = metadata::MetadataResponse {
        topics: vec![topic],
        ..Default::default()
    };
    null_from(response, 12, "name");
    let request = offset_fetch::OffsetFetchRequest {
        topics: None,
        ..Default::default()
    };
    null_from(request, 2, "topics");
    let response = join_group::JoinGroupResponse {
        protocol_name: None,
        ..Default::default()
    };
    null_from(response, 7, "protocol_name");
    let topic = delete_topics::DeletableTopicResult {
        name: None,
        ..Default::default()
    };
    let response = delete_topics::DeleteTopicsResponse {
        responses: vec![topic],
        ..Default::default()
    };
    null_from(response, 6, "name");
}

#[test]
fn null_is_refused_by_the_reader_before_it_was_allowed() {
    let topic = crate::metadata::MetadataResponseTopic {
        name: None,
        ..Default::default()
    };
    let response = crate::MetadataResponse {
        topics: vec![topic],
        ..Default::default()
    };
    // Versions 11 and 12 differ in nothing else.
    let bytes = encoded(&response, 12);
    let error = crate::MetadataResponse::decode(&mut Decoder::new(bytes), 11).expect_err("null");
    assert_eq!(
        (error.structure, error.field),
        ("MetadataResponseTopic", "name")
    );
    assert_eq!(error.reason, DecodeReason::Null);
}
