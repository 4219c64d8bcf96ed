//! Another implementation of the protocol, generated from Kafka's own definitions, must agree:
//! what we write it reads and writes again byte for byte, what it writes we read, and fields have
//! the same names and defaults on both sides.
//!
//! It gets well-formed bytes only; it does not survive others.

use super::encoded;
use super::sampler::{Fill, Sampler};
use crate::{Decoder, Message, Shape};
use bytes::{Bytes, BytesMut};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Message as Versions};
use std::fmt::Debug;

const SEEDS: u64 = 24;

/// Messages of every kind and seed in one version.
fn samples<M: Message<'static>>(version: i16) -> impl Iterator<Item = M> {
    let shape = Shape::new(version, M::KEY.info().flexible_from);
    let fills = [Fill::Full, Fill::Sparse].into_iter();
    fills
        .chain((0..SEEDS).map(|_| Fill::Mixed))
        .enumerate()
        .map(move |(seed, fill)| M::sample(&mut Sampler::new(seed as u64, fill), shape))
}

fn agree<Ours, Theirs>() -> usize
where
    Ours: Message<'static>,
    Theirs: Versions + Encodable + Decodable + HeaderVersion + Default + Debug,
{
    let api = Ours::KEY.info();
    let mut versions = 0;
    for version in api.min.max(Theirs::VERSIONS.min)..=api.max.min(Theirs::VERSIONS.max) {
        versions += 1;
        let context = format!("{} version {version}", Ours::NAME);
        for ours in samples::<Ours>(version) {
            agree_on::<Ours, Theirs>(&ours, version, &context);
        }
        let default = theirs_encoded(&Theirs::default(), version);
        let read = Ours::decode(&mut Decoder::new(super::kept(default.clone())), version)
            .unwrap_or_else(|error| panic!("{context}: {error}"));
        assert_eq!(read, Ours::default(), "{context}");
        assert_eq!(encoded(&read, version), &default, "{context}");
    }
    versions
}

fn agree_on<Ours, Theirs>(ours: &Ours, version: i16, context: &str)
where
    Ours: Message<'static>,
    Theirs: Versions + Encodable + Decodable + Debug,
{
    let written = encoded(ours, version);
    let mut rest = written.clone();
    let theirs = Theirs::decode(&mut rest, version)
        .unwrap_or_else(|error| panic!("{context}: {error}\n{ours:?}"));
    assert!(rest.is_empty(), "{context}: {} bytes left over", rest.len());
    let mut named = leaves(&format!("{ours:?}"));
    let mut named_by_them = leaves(&format!("{theirs:?}"));
    // Fields of versions that one side alone knows have no counterpart.
    named_by_them.retain(|(name, _)| named.iter().any(|(ours, _)| ours == name));
    if Ours::KEY.info().max > Theirs::VERSIONS.max {
        named.retain(|(name, _)| named_by_them.iter().any(|(theirs, _)| theirs == name));
    }
    assert_eq!(named, named_by_them, "{context}");
    let written_by_them = super::kept(theirs_encoded(&theirs, version));
    assert_eq!(written_by_them, written, "{context}");
    let read = Ours::decode(&mut Decoder::new(written_by_them), version)
        .unwrap_or_else(|error| panic!("{context}: {error}"));
    assert_eq!(&read, ours, "{context}");
}

fn theirs_encoded<T: Encodable>(message: &T, version: i16) -> Bytes {
    let mut bytes = BytesMut::new();
    message.encode(&mut bytes, version).expect("valid version");
    bytes.freeze()
}

/// The names of all fields in the `Debug` form of a message, in order, each with the numbers, booleans and
/// strings in it, whatever types these are wrapped in.
fn leaves(debug: &str) -> Vec<(String, Vec<String>)> {
    let mut leaves: Vec<(String, Vec<String>)> = Vec::new();
    let mut rest = debug;
    while let Some(first) = rest.chars().next() {
        let len = if first == '"' {
            let end = string_end(rest);
            let text = rest[1..end - 1].replace("\\xc3\\xa4", "").replace('ä', "");
            if let Some((_, values)) = leaves.last_mut() {
                values.push(text);
            }
            end
        } else if first.is_ascii_alphanumeric() || first == '-' {
            let end = rest
                .find(|c: char| !(c.is_ascii_alphanumeric() || "_-".contains(c)))
                .unwrap_or(rest.len());
            let word = &rest[..end];
            let is_field = rest[end..].starts_with(": ");
            if is_field {
                leaves.push((word.to_owned(), Vec::new()));
            } else if word.parse::<i128>().is_ok() || word == "true" || word == "false" {
                leaves.last_mut().expect("a field").1.push(word.to_owned());
            }
            end
        } else {
            first.len_utf8()
        };
        rest = &rest[len..];
    }
    leaves.retain(|(name, _)| name != "unknown_tagged_fields");
    // Raw bytes and UUIDs look different on the two sides; the equality of the encodings covers them.
    for (name, values) in &mut leaves {
        let opaque = [
            "records",
            "topic_id",
            "directory_id",
            "user_data",
            "metadata",
            "assignment",
        ];
        if opaque.iter().any(|part| name.contains(part))
            || name.ends_with("_id") && values.len() > 8
        {
            values.clear();
        }
    }
    leaves
}

/// Where the string literal at the front of `text` ends.
fn string_end(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    panic!("string without an end");
}

macro_rules! oracle {
    ($( $key:ident $module:ident $request:ident $response:ident; )*) => {
        $(
            mod $module {
                #[test]
                fn both_sides_agree_on_the_request() {
                    let versions = super::agree::<
                        crate::$module::$request,
                        kafka_protocol::messages::$request,
                    >();
                    assert!(versions > 0);
                }

                #[test]
                fn both_sides_agree_on_the_response() {
                    let versions = super::agree::<
                        crate::$module::$response,
                        kafka_protocol::messages::$response,
                    >();
                    assert!(versions > 0);
                }
            }
        )*

        #[test]
        fn both_sides_agree_on_the_form_of_headers() {
            $(
                let api = crate::$module::API;
                for version in api.min..=api.max {
                    let context = format!("{} version {version}", api.name);
                    request_header_agrees(
                        api.key as i16,
                        version,
                        kafka_protocol::messages::$request::header_version(version),
                        &context,
                    );
                    response_header_agrees(
                        api.key,
                        version,
                        kafka_protocol::messages::$response::header_version(version),
                        &context,
                    );
                }
            )*
        }
    };
}

crate::messages::for_each_api!(oracle);

fn request_header_agrees(api_key: i16, version: i16, form: i16, context: &str) {
    for client_id in [None, Some(""), Some("someone")] {
        let ours = crate::header::RequestHeader {
            api_key,
            api_version: version,
            correlation_id: 77,
            client_id,
        };
        let mut encoder = crate::Encoder::new();
        ours.encode(&mut encoder).expect("short name");
        let mut theirs = kafka_protocol::messages::RequestHeader::default();
        theirs.request_api_key = api_key;
        theirs.request_api_version = version;
        theirs.correlation_id = 77;
        theirs.client_id = client_id.map(kafka_protocol::protocol::StrBytes::from_static_str);
        let bytes = encoder.finish_contiguous();
        assert_eq!(bytes, theirs_encoded(&theirs, form), "{context}");
        let mut decoder = Decoder::new(&bytes);
        let read = crate::header::RequestHeader::decode(&mut decoder).expect("well-formed");
        assert_eq!(read, ours, "{context}");
        assert_eq!(decoder.finish(), Ok(()), "{context}");
    }
}

fn response_header_agrees(key: crate::api::ApiKey, version: i16, form: i16, context: &str) {
    let ours = crate::header::ResponseHeader { correlation_id: 78 };
    let mut encoder = crate::Encoder::new();
    ours.encode(&mut encoder, key, version);
    let mut theirs = kafka_protocol::messages::ResponseHeader::default();
    theirs.correlation_id = 78;
    let bytes = encoder.finish_contiguous();
    assert_eq!(bytes, theirs_encoded(&theirs, form), "{context}");
    let mut decoder = Decoder::new(&bytes);
    let read = crate::header::ResponseHeader::decode(&mut decoder, key, version);
    assert_eq!(read, Ok(ours), "{context}");
    assert_eq!(decoder.finish(), Ok(()), "{context}");
}
