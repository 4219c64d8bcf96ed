//! The one thing the coordinator reads in what members say about themselves: which topics a consumer is
//! subscribed to, so that their offsets are neither deleted nor expired while it is.

use std::collections::BTreeSet;

use super::record::{Reader, RecordError};

/// The topics in a consumer's subscription, of whatever version: they stand at its beginning in all.
pub(super) fn topics(metadata: &[u8]) -> Result<BTreeSet<String>, RecordError> {
    let mut reader = Reader(metadata);
    if reader.i16()? < 0 {
        return Err(RecordError::Malformed);
    }
    let count = reader.i32()?;
    if count < 0 {
        return Err(RecordError::Malformed);
    }
    (0..count).map(|_| reader.string()).collect()
}

#[cfg(test)]
mod tests {
    use super::topics;

    #[test]
    fn topics_are_read_from_the_head_of_a_subscription() {
        let bytes =
            b"\0\x03\0\0\0\x02\0\x01b\0\x02aa\xff\xff\xff\xff and whatever a later version adds";
        let topics: Vec<String> = topics(bytes).expect("reads").into_iter().collect();
        assert_eq!(topics, ["aa", "b"]);
    }

    #[test]
    fn what_is_no_subscription_is_an_error_and_takes_no_memory() {
        for bytes in [
            &b""[..],
            b"\0\x01\x7f\xff\xff\xff",
            b"\xff\xff\0\0\0\0",
            b"\0\x01\xff\xff\xff\xff",
            b"\0\0\0\0\0\x01\0\x05a",
        ] {
            assert!(topics(bytes).is_err(), "{bytes:?}");
        }
    }
}
