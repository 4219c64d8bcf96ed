use super::*;

#[test]
fn no_memory_is_taken_for_a_block_beyond_the_cap() {
    let plain = vec![7; 30_000];
    let bare = snap::raw::Encoder::new().compress_vec(&plain).unwrap();
    let mut framed = BytesMut::new();
    compress(&plain, &mut framed).unwrap();
    for stream in [&bare[..], &framed[..]] {
        let mut decoder = Decoder::new(stream).unwrap();
        let refused = decoder.read(&mut [0; 10], 29_999);
        assert!(matches!(refused, Err(ReadError::TooLarge)));
        assert_eq!(decoder.block.capacity(), 0);
        let mut decoder = Decoder::new(stream).unwrap();
        assert!(matches!(decoder.read(&mut [0; 10], 30_000), Ok(10)));
    }
}
