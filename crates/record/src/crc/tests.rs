use super::*;
use proptest::prelude::*;

/// One bit at a time, straight from the polynomial.
fn by_definition(bytes: &[u8]) -> u32 {
    let mut crc = !0u32;
    for &byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = crc >> 1 ^ (0x82f6_3b78 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

#[test]
fn checksums_match_the_vectors_of_rfc_3720() {
    assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
    assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
    assert_eq!(crc32c(b""), 0);
}

proptest! {
    #[test]
    fn pieces_and_the_whole_have_the_checksum_of_the_definition(
        bytes in proptest::collection::vec(any::<u8>(), 0..2000), cut in 0usize..2000,
    ) {
        let cut = cut.min(bytes.len());
        let mut pieces = Crc32c::new();
        pieces.update(&bytes[..cut]);
        prop_assert_eq!(pieces.value(), by_definition(&bytes[..cut]));
        pieces.update(&bytes[cut..]);
        prop_assert_eq!(pieces.value(), by_definition(&bytes));
        prop_assert_eq!(crc32c(&bytes), by_definition(&bytes));
    }
}
