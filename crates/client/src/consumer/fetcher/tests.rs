//! What comes out of batches that come in, and what does not.

use super::*;
use taffrail_record::Codec;
use taffrail_record::builder::{BatchBuilder, ProducerFields};

fn name() -> TopicPartitionName {
    TopicPartitionName::new("t", 0)
}

/// A batch at `base` whose values are its offsets.
fn batch(base: Offset, count: i64, codec: Codec) -> Vec<u8> {
    let mut builder = BatchBuilder::new(codec, 1_000);
    for offset in base..base + count {
        let value = offset.to_string();
        builder
            .append(1_000 + offset, None, Some(value.as_bytes()), &[])
            .expect("it fits");
    }
    let mut bytes = builder.finish(ProducerFields::default()).expect("records");
    batch::set_base_offset(&mut bytes, base);
    bytes.to_vec()
}

fn started(start: StartAt) -> Fetcher {
    let mut fetcher = Fetcher::new(1 << 20);
    fetcher.start(&name(), start);
    fetcher
}

fn send(fetcher: &mut Fetcher) -> FetchFrom {
    let ready = fetcher.to_fetch(Instant(1), 1 << 20);
    assert_eq!(ready.len(), 1);
    fetcher.sent(&ready[0]);
    assert!(
        fetcher.to_fetch(Instant(1), 1 << 20).is_empty(),
        "one at a time"
    );
    ready[0].clone()
}

fn values(records: &[Fetched]) -> Vec<(Offset, i64, String)> {
    records
        .iter()
        .map(|record| {
            let value = record.value.clone().expect("a value").to_vec();
            let value = String::from_utf8(value).expect("digits");
            (record.offset, record.timestamp, value)
        })
        .collect()
}

#[test]
fn records_come_out_once_in_order_from_the_position_on_in_every_codec() {
    for codec in Codec::ALL {
        let mut fetcher = started(StartAt::Offset(3));
        let fetch = send(&mut fetcher);
        assert_eq!(fetch.offset, 3);
        // The first batch begins before the position, as brokers send it.
        let bytes = [batch(0, 5, codec), batch(5, 2, codec)].concat();
        fetcher.on_fetched(&fetch, &bytes.into(), 7).expect("sound");
        let first = fetcher.take(3).expect("sound");
        let wanted = |offset: i64| (offset, 1_000 + offset, offset.to_string());
        assert_eq!(
            values(&first),
            [wanted(3), wanted(4), wanted(5)],
            "{codec:?}"
        );
        assert_eq!(fetcher.position(&name()), Some(6));
        assert_eq!(values(&fetcher.take(10).expect("sound")), [wanted(6)]);
        assert_eq!(fetcher.position(&name()), Some(7));
        assert_eq!(send(&mut fetcher).offset, 7);
    }
}

#[test]
fn a_batch_wholly_before_the_position_is_left_out() {
    let mut fetcher = started(StartAt::Offset(3));
    let fetch = send(&mut fetcher);
    let bytes = [batch(0, 2, Codec::None), batch(2, 2, Codec::None)].concat();
    let last = batch(2, 2, Codec::None).len();
    fetcher.on_fetched(&fetch, &bytes.into(), 4).expect("sound");
    assert!(fetcher.to_fetch(Instant(1), last).is_empty());
    assert_eq!(
        fetcher.to_fetch(Instant(1), last + 1).len(),
        1,
        "one batch is kept"
    );
    assert_eq!(fetcher.take(10).expect("sound").len(), 1);
}

#[test]
fn a_batch_cut_short_at_the_end_is_asked_for_again() {
    let mut fetcher = started(StartAt::Offset(0));
    let fetch = send(&mut fetcher);
    let mut bytes = [batch(0, 2, Codec::None), batch(2, 2, Codec::None)].concat();
    bytes.truncate(bytes.len() - 1);
    fetcher
        .on_fetched(&fetch, &bytes.into(), 4)
        .expect("a cut tail is no fault");
    assert_eq!(fetcher.take(10).expect("sound").len(), 2);
    assert_eq!(send(&mut fetcher).offset, 2);
}

#[test]
fn a_batch_that_does_not_verify_is_an_error_behind_the_good_ones_and_never_skipped() {
    let mut fetcher = started(StartAt::Offset(0));
    let fetch = send(&mut fetcher);
    let mut bytes = [batch(0, 1, Codec::None), batch(1, 1, Codec::None)].concat();
    *bytes.last_mut().expect("bytes") ^= 1;
    fetcher
        .on_fetched(&fetch, &bytes.into(), 2)
        .expect("headers are sound");
    assert_eq!(fetcher.take(10).expect("the first is sound").len(), 1);
    for _ in 0..2 {
        let error = fetcher.take(10).expect_err("the second is not");
        assert!(
            matches!(error, ConsumeError::Corrupt { offset: 1, .. }),
            "{error}"
        );
    }
    assert_eq!(fetcher.position(&name()), Some(1));
}

#[test]
fn an_answer_from_before_a_seek_is_thrown_away() {
    let mut fetcher = started(StartAt::Offset(0));
    let fetch = send(&mut fetcher);
    fetcher.start(&name(), StartAt::Offset(4));
    fetcher
        .on_fetched(&fetch, &batch(0, 2, Codec::None).into(), 9)
        .expect("sound");
    assert!(fetcher.take(10).expect("sound").is_empty());
    assert_eq!(fetcher.position(&name()), Some(4));
    assert_eq!(send(&mut fetcher).offset, 4);
}

#[test]
fn out_of_range_obeys_the_policy() {
    let mut fetcher = started(StartAt::Offset(99));
    let fetch = send(&mut fetcher);
    let error = fetcher.on_out_of_range(&fetch, OffsetReset::Error);
    assert!(matches!(
        error,
        Err(ConsumeError::OutOfRange {
            offset: Some(99),
            ..
        })
    ));
    assert_eq!(fetcher.position(&name()), Some(99), "never moved silently");
    let fetch = send(&mut fetcher);
    fetcher
        .on_out_of_range(&fetch, OffsetReset::Earliest)
        .expect("the policy says where");
    let unplaced = fetcher.unplaced(Instant(1));
    assert_eq!(unplaced[0].1, StartAt::Earliest);
    fetcher.place(&name(), unplaced[0].2, 50);
    assert_eq!(send(&mut fetcher).offset, 50);
}

#[test]
fn a_topic_made_again_under_its_name_is_not_read_from_the_old_position() {
    let mut fetcher = started(StartAt::Offset(7));
    let check =
        |fetcher: &mut Fetcher, id: u8, reset| fetcher.check_topic_id(&name(), [id; 16], reset);
    check(&mut fetcher, 1, OffsetReset::Error).expect("the first id");
    check(&mut fetcher, 1, OffsetReset::Error).expect("the same id");
    check(&mut fetcher, 2, OffsetReset::Error).expect_err("another topic");
    check(&mut fetcher, 2, OffsetReset::Earliest).expect("the policy says where");
    assert_eq!(fetcher.unplaced(Instant(1))[0].1, StartAt::Earliest);
}

#[test]
fn without_a_committed_offset_the_policy_decides() {
    let mut fetcher = started(StartAt::Committed);
    let (_, start, asked) = fetcher.unplaced(Instant(1)).remove(0);
    assert_eq!(start, StartAt::Committed);
    fetcher
        .no_commit(&name(), asked, OffsetReset::Latest)
        .expect("the policy says where");
    assert_eq!(fetcher.unplaced(Instant(1))[0].1, StartAt::Latest);
    let error = fetcher.no_commit(&name(), asked, OffsetReset::Error);
    assert!(matches!(
        error,
        Err(ConsumeError::OutOfRange { offset: None, .. })
    ));
}

#[test]
fn what_waits_undelivered_bounds_what_is_fetched() {
    let mut fetcher = started(StartAt::Offset(0));
    let fetch = send(&mut fetcher);
    let bytes = batch(0, 3, Codec::None);
    let size = bytes.len();
    fetcher.on_fetched(&fetch, &bytes.into(), 3).expect("sound");
    assert!(fetcher.to_fetch(Instant(1), size).is_empty());
    assert_eq!(fetcher.to_fetch(Instant(1), size + 1).len(), 1, "prefetch");
    fetcher.take(1).expect("sound");
    assert_eq!(fetcher.to_fetch(Instant(1), size).len(), 1);
}
