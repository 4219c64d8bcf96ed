use super::*;
use taffrail_record::Codec;

/// Everything that a record is, but for its place.
type Told = (
    i64,
    Option<Bytes>,
    Option<Bytes>,
    Vec<(Bytes, Option<Bytes>)>,
);

fn told(bytes: &Bytes) -> Vec<Told> {
    let copy = |bytes: &[u8]| Bytes::copy_from_slice(bytes);
    let limit = DecompressLimit {
        output_bytes_max: 1 << 20,
    };
    format::verify_crc(bytes).expect("sound");
    let mut all = Vec::new();
    format::for_each_record(bytes, limit, |header, record| {
        let headers = record.headers();
        let headers = headers.map(|header| (copy(header.key), header.value.map(copy)));
        all.push((
            header.record_timestamp(&record),
            record.key.map(copy),
            record.value.map(copy),
            headers.collect(),
        ));
        ControlFlow::Continue(())
    })
    .expect("sound");
    all
}

#[test]
fn halves_hold_what_the_whole_held_in_every_codec() {
    for codec in [
        Codec::None,
        Codec::Gzip,
        Codec::Snappy,
        Codec::Lz4,
        Codec::Zstd,
    ] {
        let mut builder = BatchBuilder::new(codec, 0);
        let mut waiters = Vec::new();
        for (place, timestamp) in [0, i64::MAX, i64::MIN + 1, 7, -7].into_iter().enumerate() {
            let header = format::Header {
                key: b"h",
                value: (place % 2 == 0).then_some(&b"v"[..]),
            };
            let value = vec![place as u8; 100 * place];
            let key = (place > 2).then_some(&b"key"[..]);
            builder
                .append(timestamp, key, Some(&value), &[header])
                .expect("a record");
            waiters.push((place, timestamp));
        }
        let mut batch = Batch::new(9, Instant(0), Duration::ZERO, builder);
        batch.waiters = waiters;
        batch.charged = 1001;
        let stamp = Some(Stamp {
            producer_id: 4,
            producer_epoch: 2,
            base_sequence: Sequence::MAX - 1,
        });
        let whole = batch.seal(stamp);
        let (mut first, mut second) = batch.split();
        assert_eq!((first.records(), second.records()), (2, 3));
        assert_eq!(first.charged + second.charged, 1001);
        assert!(first.id < second.id);
        let halves = [first.seal(first.stamp), second.seal(second.stamp)];
        assert_eq!(
            halves.each_ref().map(told).concat(),
            told(&whole),
            "{codec:?}"
        );
        let sequences = halves.each_ref().map(|half| {
            let header = format::BatchHeader::parse(half).expect("a batch");
            assert_eq!(header.codec(), Ok(codec));
            (
                header.producer_id,
                header.producer_epoch,
                header.base_sequence,
            )
        });
        assert_eq!(sequences, [(4, 2, Sequence::MAX - 1), (4, 2, 0)]);
    }
}
