use std::collections::BTreeMap;

use super::{DecodeError, decode, encode};

fn encoded<T: serde::Serialize>(value: &T) -> Vec<u8> {
    let mut out = Vec::new();
    encode(value, &mut out).expect("encodes");
    out
}

#[test]
fn what_was_encoded_decodes_to_itself() {
    let value: BTreeMap<String, Vec<Option<i64>>> = [
        ("a".to_string(), vec![Some(-1), None]),
        ("b".to_string(), vec![]),
    ]
    .into();
    assert_eq!(decode(&encoded(&value)), Ok(value));
}

#[test]
fn encoding_appends_to_what_is_there() {
    let mut out = vec![7];
    encode(&1u8, &mut out).expect("encodes");
    assert_eq!(out, [7, 1]);
}

#[test]
fn bytes_after_the_value_are_refused() {
    assert_eq!(
        decode::<u8>(&[1, 2]),
        Err(DecodeError::Trailing { bytes: 1 })
    );
}

#[test]
fn a_cut_value_is_refused_at_every_length() {
    let bytes = encoded(&("name".to_string(), vec![1u32, 2, 3]));
    for cut in 0..bytes.len() {
        assert!(
            decode::<(String, Vec<u32>)>(&bytes[..cut]).is_err(),
            "cut at {cut}"
        );
    }
}

#[test]
fn a_length_beyond_the_limit_is_refused_before_memory_is_taken() {
    let mut bytes = u64::MAX.to_le_bytes().to_vec();
    bytes.extend_from_slice(b"x");
    assert!(decode::<Vec<u8>>(&bytes).is_err());
    assert!(decode::<String>(&bytes).is_err());
}
