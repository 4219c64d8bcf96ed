//! A 64-bit digest of bytes that is the same on every machine, in every build and for ever.
//!
//! It compares replicas that do not lie to each other; it is no defence against somebody who wants two
//! states to look alike. FNV-1a with a final avalanche, so that the last bytes reach every bit.

const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

/// The digest of `bytes`.
pub fn of(bytes: &[u8]) -> u64 {
    let folded = bytes.iter().fold(OFFSET_BASIS, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(PRIME)
    });
    avalanche(folded ^ bytes.len() as u64)
}

fn avalanche(mut hash: u64) -> u64 {
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn a_digest_does_not_change_between_versions_of_this_code() {
        assert_eq!(of(b""), 0xefd0_1f60_ba99_2926);
        assert_eq!(of(b"abc"), 0xec56_ac5d_df8b_1126);
        assert_ne!(of(b"a"), of(b"b"));
        assert_ne!(of(b"a"), of(b"a\0"));
        assert_ne!(of(b"\0"), of(b"\0\0"));
    }
}
