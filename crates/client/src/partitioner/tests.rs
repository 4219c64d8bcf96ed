//! Keys go where other clients put them; unkeyed records stay together for a batch.

use super::*;
use std::cell::Cell;

#[test]
fn murmur2_agrees_with_the_java_client() {
    // Known answers from Kafka's own unit tests, as signed 32-bit numbers.
    let known: [(&[u8], i32); 7] = [
        (b"21", -973_932_308),
        (b"foobar", -790_332_482),
        (b"a-little-bit-long-string", -985_981_536),
        (b"a-little-bit-longer-string", -1_486_304_829),
        (
            b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8",
            -58_897_971,
        ),
        (b"abc", 479_470_107),
        (b"", 275_646_681),
    ];
    for (key, hash) in known {
        assert_eq!(murmur2(key) as i32, hash, "{key:?}");
    }
}

#[test]
fn equal_keys_share_a_partition_within_range() {
    for partitions in 1..20 {
        for key in 0..100_u32 {
            let partition = partition_for_key(&key.to_be_bytes(), partitions);
            assert!((0..partitions).contains(&partition));
            assert_eq!(partition, partition_for_key(&key.to_be_bytes(), partitions));
        }
    }
}

#[test]
fn unkeyed_records_stick_until_a_batch_is_full() {
    let mut sticky = StickyPartitioner::new(100);
    let mut next = |draw| sticky.partition("t", 60, 3, |_| true, || draw);
    assert_eq!(next(1), 1);
    assert_eq!(next(2), 1);
    assert_eq!(next(2), 2);
}

#[test]
fn unkeyed_records_leave_a_partition_that_lost_its_leader() {
    let mut sticky = StickyPartitioner::new(1_000_000);
    assert_eq!(sticky.partition("t", 1, 2, |_| true, || 0), 0);
    assert_eq!(sticky.partition("t", 1, 2, |at| at == 1, || 0), 1);
    // Nobody leads: the batch goes on growing where it is.
    assert_eq!(sticky.partition("t", 1, 2, |_| false, || 0), 1);
    // One of very many.
    assert_eq!(
        sticky.partition("t", 1, 10_000, |at| at == 7_777, || 3),
        7_777
    );
}

#[test]
fn a_record_asks_about_few_partitions_however_many_there_are() {
    let mut sticky = StickyPartitioner::new(100);
    let (asked, drawn) = (Cell::new(0), Cell::new(0));
    let records = 1_000;
    for _ in 0..records {
        let has_leader = |_| {
            asked.set(asked.get() + 1);
            true
        };
        let draw = || {
            drawn.set(drawn.get() + 1);
            drawn.get()
        };
        sticky.partition("t", 60, 10_000, has_leader, draw);
    }
    assert!(asked.get() <= 2 * records, "{} asked about", asked.get());
    assert_eq!(drawn.get(), 500);
}
