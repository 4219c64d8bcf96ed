use super::*;
use proptest::prelude::*;

fn bytes_of(value: i64) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_i64(&mut bytes, value);
    bytes
}

#[test]
fn numbers_have_the_bytes_that_kafka_gives_them() {
    assert_eq!(bytes_of(0), [0]);
    assert_eq!(bytes_of(-1), [1]);
    assert_eq!(bytes_of(1), [2]);
    assert_eq!(bytes_of(63), [0x7e]);
    assert_eq!(bytes_of(-64), [0x7f]);
    assert_eq!(bytes_of(64), [0x80, 0x01]);
    assert_eq!(bytes_of(8191), [0xfe, 0x7f]);
    assert_eq!(bytes_of(8192), [0x80, 0x80, 0x01]);
    assert_eq!(
        bytes_of(i64::from(i32::MAX)),
        [0xfe, 0xff, 0xff, 0xff, 0x0f]
    );
    assert_eq!(
        bytes_of(i64::from(i32::MIN)),
        [0xff, 0xff, 0xff, 0xff, 0x0f]
    );
    assert_eq!(
        bytes_of(i64::MIN),
        [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]
    );
}

#[test]
fn numbers_that_are_too_long_are_refused() {
    let six = [0x80, 0x80, 0x80, 0x80, 0x80, 0x01];
    assert_eq!(read_i32(&mut &six[..]), Err(VarintError::TooLong));
    let bit_33 = [0xff, 0xff, 0xff, 0xff, 0x1f];
    assert_eq!(read_i32(&mut &bit_33[..]), Err(VarintError::TooLong));
    assert!(read_i64(&mut &bit_33[..]).is_ok());
    let eleven = [
        0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01,
    ];
    assert_eq!(read_i64(&mut &eleven[..]), Err(VarintError::TooLong));
    let bit_65 = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02];
    assert_eq!(read_i64(&mut &bit_65[..]), Err(VarintError::TooLong));
}

#[test]
fn a_number_may_be_padded_with_empty_bytes_as_far_as_it_fits() {
    let mut rest = &[0x82, 0x80, 0x00, 0x55][..];
    assert_eq!(read_i32(&mut rest), Ok(1));
    assert_eq!(rest, [0x55]);
}

#[test]
fn a_number_cut_short_is_refused_and_nothing_is_consumed() {
    for value in [64, -8193, i64::from(i32::MAX)] {
        let bytes = bytes_of(value);
        for cut in 0..bytes.len() {
            let mut rest = &bytes[..cut];
            assert_eq!(read_i32(&mut rest), Err(VarintError::EndsEarly));
            assert_eq!(read_i64(&mut rest), Err(VarintError::EndsEarly));
            assert_eq!(rest.len(), cut);
        }
    }
}

proptest! {
    #[test]
    fn every_number_reads_back_and_has_the_length_foretold(
        value: i64, shift in 0u32..64, tail in proptest::collection::vec(any::<u8>(), 0..3),
    ) {
        let value = value >> shift;
        let mut bytes = bytes_of(value);
        prop_assert_eq!(bytes.len(), len_i64(value));
        let length = bytes.len();
        bytes.extend(&tail);
        let mut rest = &bytes[..];
        prop_assert_eq!(read_i64(&mut rest), Ok(value));
        prop_assert_eq!(rest, &tail[..]);
        let mut rest = &bytes[..];
        match i32::try_from(value) {
            Ok(small) => {
                prop_assert_eq!(len_i32(small), length);
                prop_assert_eq!(read_i32(&mut rest), Ok(small));
                prop_assert_eq!(rest, &tail[..]);
            }
            Err(_) => prop_assert_eq!(read_i32(&mut rest), Err(VarintError::TooLong)),
        }
    }

    #[test]
    fn no_bytes_make_a_reader_panic_or_read_too_far(
        bytes in proptest::collection::vec(any::<u8>(), 0..12),
    ) {
        let mut rest = &bytes[..];
        let _ = read_i32(&mut rest);
        prop_assert!(bytes.len() - rest.len() <= 5);
        let mut rest = &bytes[..];
        let _ = read_i64(&mut rest);
        prop_assert!(bytes.len() - rest.len() <= 10);
    }
}
