use super::*;
use bytes::BytesMut;
use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
use proptest::prelude::*;
use std::io::Write;

const COMPRESSING: [Codec; 4] = [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

fn cap(output_bytes_max: usize) -> DecompressLimit {
    DecompressLimit { output_bytes_max }
}

fn is_malformed(codec: Codec, input: &[u8]) -> bool {
    matches!(
        decompress(codec, input, cap(1 << 20)),
        Err(DecompressError::Malformed { .. })
    )
}

fn text(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * at / 7 % 31) as u8).collect()
}

#[test]
fn codecs_have_the_numbers_and_names_of_kafka() {
    let listed = Codec::ALL.map(|codec| (codec.id(), codec.name()));
    assert_eq!(
        listed,
        [
            (0, "none"),
            (1, "gzip"),
            (2, "snappy"),
            (3, "lz4"),
            (4, "zstd")
        ]
    );
    for codec in Codec::ALL {
        assert_eq!(Codec::from_id(codec.id()), Some(codec));
        assert_eq!(Codec::from_name(codec.name()), Some(codec));
    }
    assert_eq!(Codec::from_id(5), None);
    assert_eq!(Codec::from_name("producer"), None);
}

#[test]
fn output_may_reach_the_cap_and_not_exceed_it() {
    for codec in Codec::ALL {
        for length in [1, 1000, 65_536, 100_000, 300_000] {
            let plain = text(length);
            let compressed = compress(codec, None, &plain).unwrap();
            assert_eq!(
                decompress(codec, &compressed, cap(length)),
                Ok(plain),
                "{codec} {length}"
            );
            let too_large = DecompressError::TooLarge {
                output_bytes_max: length - 1,
            };
            assert_eq!(
                decompress(codec, &compressed, cap(length - 1)),
                Err(too_large),
                "{codec}"
            );
        }
    }
}

#[test]
fn nothing_compresses_to_a_stream_of_nothing() {
    for codec in Codec::ALL {
        let compressed = compress(codec, None, &[]).unwrap();
        assert_eq!(
            decompress(codec, &compressed, cap(0)),
            Ok(Vec::new()),
            "{codec}"
        );
    }
}

#[test]
fn a_bomb_stops_at_the_cap() {
    let zeros = vec![0; 64 << 20];
    for codec in COMPRESSING {
        let bomb = compress(codec, None, &zeros).unwrap();
        let mut decompressor = Decompressor::new(codec, &bomb, cap(1 << 20)).unwrap();
        let mut out = [0; 4096];
        let mut given = 0;
        let error = loop {
            match decompressor.read(&mut out) {
                Ok(0) => panic!("{codec}: the end of a bomb within the cap"),
                Ok(read) => given += read,
                Err(error) => break error,
            }
        };
        assert_eq!(
            error,
            DecompressError::TooLarge {
                output_bytes_max: 1 << 20
            },
            "{codec}"
        );
        assert!(given <= 1 << 20);
    }
}

#[test]
fn a_stream_cut_anywhere_is_an_error() {
    for codec in COMPRESSING {
        let compressed = compress(codec, None, &text(3000)).unwrap();
        for cut in 0..compressed.len() {
            // Xerial's stream has no end mark: cut between two blocks it is a shorter one, and the records'
            // count tells.
            if codec == Codec::Snappy && cut == 16 {
                continue;
            }
            assert!(
                is_malformed(codec, &compressed[..cut]),
                "{codec} cut at {cut}"
            );
        }
    }
}

#[test]
fn bytes_behind_the_end_are_refused() {
    for codec in [Codec::Gzip, Codec::Lz4, Codec::Zstd] {
        let mut compressed = compress(codec, None, b"abc").unwrap();
        let second = compressed.clone();
        compressed.extend_from_slice(&second);
        let behind = DecompressError::BytesBehindEnd {
            codec,
            count: second.len(),
        };
        assert_eq!(decompress(codec, &compressed, cap(100)), Err(behind));
    }
}

#[test]
fn snappy_is_read_bare_and_framed_and_written_framed() {
    let plain = text(100_000);
    let bare = snap::raw::Encoder::new().compress_vec(&plain).unwrap();
    assert_eq!(
        decompress(Codec::Snappy, &bare, cap(100_000)),
        Ok(plain.clone())
    );
    let too_large = DecompressError::TooLarge {
        output_bytes_max: 99_999,
    };
    assert_eq!(
        decompress(Codec::Snappy, &bare, cap(99_999)),
        Err(too_large)
    );
    let framed = compress(Codec::Snappy, None, &plain).unwrap();
    assert!(framed.starts_with(b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01"));
    assert_eq!(decompress(Codec::Snappy, &framed, cap(100_000)), Ok(plain));
    // A bare block may be followed by nothing.
    let mut two = bare.clone();
    two.extend_from_slice(&bare);
    assert!(is_malformed(Codec::Snappy, &two));
}

#[test]
fn snappy_claims_are_checked_before_memory_is_taken() {
    // A bare block of 4 GiB, and of as much as its bytes could hold at the very most.
    assert!(is_malformed(
        Codec::Snappy,
        &[0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0]
    ));
    let header = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01";
    for chunk in [
        &[0, 0, 0][..],
        &[0, 0, 0, 9, 1, 0],
        &[0xff, 0xff, 0xff, 0xff, 0, 0],
        &[0x7f, 0xff, 0xff, 0xff, 0, 0],
        &[0, 0, 0, 6, 0xff, 0xff, 0xff, 0xff, 0x0f, 0],
        &[0, 0, 0, 0],
    ] {
        assert!(
            is_malformed(Codec::Snappy, &[header, chunk].concat()),
            "{chunk:?}"
        );
    }
    assert!(is_malformed(
        Codec::Snappy,
        b"\x82SNAPPY\0\0\0\0\x02\0\0\0\x02\0\0\0\x01\0"
    ));
    assert!(is_malformed(Codec::Snappy, b"\x82SNAPPY\0\0\0\0\x01\0\0\0"));
}

#[test]
fn lz4_frames_that_a_java_consumer_refuses_are_refused() {
    let frame_of = |info: FrameInfo| {
        let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
        encoder.write_all(&text(200_000)).unwrap();
        encoder.finish().unwrap()
    };
    let linked = frame_of(FrameInfo::new().block_mode(BlockMode::Linked));
    assert!(is_malformed(Codec::Lz4, &linked));
    // The old format: another magic, then blocks of a length and literals.
    let legacy = [0x02, 0x21, 0x4c, 0x18, 4, 0, 0, 0, 0x30, b'a', b'b', b'c'];
    assert!(is_malformed(Codec::Lz4, &legacy));
    let mut output = Vec::new();
    FrameDecoder::new(&legacy[..])
        .read_to_end(&mut output)
        .unwrap();
    assert_eq!(output, b"abc", "the library would read it");
    // Checksums, lengths and other block sizes are for the producer to choose.
    let checked = FrameInfo::new()
        .block_checksums(true)
        .content_checksum(true)
        .content_size(Some(200_000))
        .block_size(BlockSize::Max4MB);
    assert!(decompress(Codec::Lz4, &frame_of(checked), cap(200_000)).is_ok());
}

#[test]
fn zstd_windows_beyond_8_mib_and_dictionaries_are_refused() {
    let plain = text(9 << 20);
    let frame_of = |window_log| {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(window_log).unwrap();
        encoder.write_all(&plain).unwrap();
        encoder.finish().unwrap()
    };
    assert!(decompress(Codec::Zstd, &frame_of(23), cap(9 << 20)).is_ok());
    let too_wide = decompress(Codec::Zstd, &frame_of(24), cap(9 << 20));
    assert!(matches!(too_wide, Err(DecompressError::Malformed { .. })));

    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    encoder.write_all(b"abcabcabc").unwrap();
    let frame = encoder.finish().unwrap();
    // Magic, then a descriptor whose lowest two bits say how long the dictionary's id is.
    let with_dictionary = [
        &frame[..4],
        &[frame[4] | 1],
        &frame[5..6],
        &[7],
        &frame[6..],
    ]
    .concat();
    assert!(is_malformed(Codec::Zstd, &with_dictionary));
}

#[test]
fn what_was_read_before_does_not_show() {
    let plain = text(70_000);
    let sound = compress(Codec::Zstd, None, &plain).unwrap();
    let large = zstd::bulk::compress(&text(2 << 20), 19).unwrap();
    let before: [&[u8]; 5] = [&sound, &sound[..sound.len() / 2], b"no frame", b"", &large];
    for before in before {
        for piece in [1, 1000, 1 << 22] {
            let mut out = vec![0; piece];
            // Broken off, failed, or read to its end; and open still while the next ones are read.
            let mut one = Decompressor::new(Codec::Zstd, before, cap(1 << 22)).unwrap();
            let _ = one.read(&mut out);
            for _ in 0..2 {
                let again = decompress(Codec::Zstd, &sound, cap(plain.len()));
                assert_eq!(again, Ok(plain.clone()));
            }
            drop(one);
            let again = decompress(Codec::Zstd, &sound, cap(plain.len()));
            assert_eq!(again, Ok(plain.clone()));
        }
    }
}

#[test]
fn every_level_of_every_codec_is_read_back() {
    let plain = text(20_000);
    for codec in Codec::ALL {
        for level in codec.levels().filter(|level| *level > -8) {
            if level == 0 {
                continue;
            }
            let compressed = compress(codec, Some(level), &plain).unwrap();
            assert_eq!(
                decompress(codec, &compressed, cap(20_000)).as_ref(),
                Ok(&plain)
            );
        }
    }
    let error = compress(Codec::Gzip, Some(10), &plain);
    assert_eq!(
        error,
        Err(CompressError::Level {
            codec: Codec::Gzip,
            level: 10
        })
    );
}

#[test]
fn even_the_highest_zstd_level_keeps_to_the_window_that_is_read() {
    let plain = text(9 << 20);
    let compressed = compress(Codec::Zstd, Some(22), &plain[..]).unwrap();
    assert!(decompress(Codec::Zstd, &compressed, cap(9 << 20)).is_ok());
}

#[test]
fn on_an_error_nothing_was_added() {
    let mut out = BytesMut::from(&b"before"[..]);
    assert!(compress_into(Codec::Zstd, Some(1000), b"abc", &mut out).is_err());
    assert_eq!(&out[..], b"before");
}

proptest! {
    #[test]
    fn what_is_compressed_decompresses_to_itself(
        plain in proptest::collection::vec(prop_oneof![any::<u8>(), 0u8..2], 0..5000),
        codec in proptest::sample::select(Codec::ALL.to_vec()),
    ) {
        let compressed = compress(codec, None, &plain).unwrap();
        prop_assert_eq!(decompress(codec, &compressed, cap(5000)), Ok(plain));
    }

    #[test]
    fn no_bytes_make_a_decompressor_panic_or_exceed_its_cap(
        noise in proptest::collection::vec(any::<u8>(), 0..300),
        plain in proptest::collection::vec(0u8..4, 0..300),
        at in any::<prop::sample::Index>(),
        codec in proptest::sample::select(COMPRESSING.to_vec()),
    ) {
        let _ = decompress(codec, &noise, cap(1000));
        // A sound stream with a piece of noise in it gets further into the decoders.
        let mut compressed = compress(codec, None, &plain).unwrap().to_vec();
        let at = at.index(compressed.len());
        let end = compressed.len().min(at + noise.len() % 4 + 1);
        for (byte, noise) in compressed[at..end].iter_mut().zip(&noise) {
            *byte = *noise;
        }
        if let Ok(output) = decompress(codec, &compressed, cap(1000)) {
            prop_assert!(output.len() <= 1000);
        }
    }
}
