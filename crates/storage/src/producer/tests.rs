use super::{ProducerOverlay, ProducerTable, Verdict};
use crate::cursor::Cursor;
use bytes::BytesMut;
use taffrail_record::batch::BatchHeader;

fn header(epoch: i16, base_sequence: i32, count: i32, base_offset: i64) -> BatchHeader {
    BatchHeader {
        base_offset,
        batch_length: 60,
        partition_leader_epoch: 0,
        magic: 2,
        crc: 0,
        attributes: 0,
        last_offset_delta: count - 1,
        base_timestamp: 5,
        max_timestamp: 6,
        producer_id: 1,
        producer_epoch: epoch,
        base_sequence,
        record_count: count,
    }
}

/// A table in which one producer has written batches of one record with these sequences.
fn table(sequences: impl IntoIterator<Item = i32>) -> ProducerTable {
    let mut table = ProducerTable::default();
    for (offset, sequence) in sequences.into_iter().enumerate() {
        table.apply(&header(0, sequence, 1, offset as i64), 100);
    }
    table
}

fn judge(table: &ProducerTable, header: &BatchHeader) -> Verdict {
    ProducerOverlay::default().judge(table, header)
}

#[test]
fn the_next_sequence_goes_in_and_no_other() {
    let table = table(0..3);
    assert_eq!(judge(&table, &header(0, 3, 1, 0)), Verdict::Next);
    assert_eq!(
        judge(&table, &header(0, 4, 1, 0)),
        Verdict::OutOfOrder { expected: 3 }
    );
    assert!(matches!(
        judge(&table, &header(0, 1, 1, 0)),
        Verdict::Duplicate(batch) if batch.last_offset == 1
    ));
    // Same start, other end: not the batch that was written.
    assert_eq!(
        judge(&table, &header(0, 1, 2, 0)),
        Verdict::OutOfOrder { expected: 3 }
    );
}

#[test]
fn the_sequence_behind_the_largest_is_zero() {
    let table = table([i32::MAX - 1, i32::MAX]);
    assert_eq!(judge(&table, &header(0, 0, 1, 0)), Verdict::Next);
    let mut table = self::table([i32::MAX - 1]);
    let wrapping = header(0, i32::MAX, 3, 7);
    assert_eq!(judge(&table, &wrapping), Verdict::Next);
    table.apply(&wrapping, 0);
    assert_eq!(judge(&table, &header(0, 2, 1, 10)), Verdict::Next);
    assert!(matches!(judge(&table, &wrapping), Verdict::Duplicate(_)));
}

#[test]
fn five_batches_are_remembered() {
    let table = table(0..6);
    assert_eq!(
        judge(&table, &header(0, 0, 1, 0)),
        Verdict::OutOfOrder { expected: 6 }
    );
    for sequence in 1..6 {
        assert!(matches!(
            judge(&table, &header(0, sequence, 1, 0)),
            Verdict::Duplicate(_)
        ));
    }
}

#[test]
fn an_older_epoch_is_fenced_and_a_newer_one_begins_at_zero() {
    let mut table = table(0..3);
    assert_eq!(
        judge(&table, &header(1, 3, 1, 0)),
        Verdict::OutOfOrder { expected: 0 }
    );
    let newer = header(1, 0, 1, 3);
    assert_eq!(judge(&table, &newer), Verdict::Next);
    table.apply(&newer, 0);
    assert_eq!(
        judge(&table, &header(0, 3, 1, 0)),
        Verdict::Fenced { current: 1 }
    );
    // What the older epoch wrote is no duplicate of what the newer one writes.
    assert_eq!(judge(&table, &header(1, 1, 1, 0)), Verdict::Next);
}

#[test]
fn a_producer_that_nobody_knows_begins_anywhere() {
    assert_eq!(judge(&table([]), &header(3, 17, 1, 0)), Verdict::Next);
}

#[test]
fn what_is_on_its_way_counts_until_it_has_arrived() {
    let mut table = table(0..1);
    let mut overlay = ProducerOverlay::default();
    let (first, second) = (header(0, 1, 1, 1), header(0, 2, 1, 2));
    overlay.admit(&table, &first, 0);
    overlay.admit(&table, &second, 0);
    assert!(matches!(
        overlay.judge(&table, &first),
        Verdict::Duplicate(_)
    ));
    assert_eq!(overlay.judge(&table, &header(0, 3, 1, 3)), Verdict::Next);
    for header in [&first, &second] {
        table.apply(header, 0);
        overlay.settle(header);
    }
    assert_eq!(overlay.len(), 0);
    assert_eq!(overlay.judge(&table, &header(0, 3, 1, 3)), Verdict::Next);
    assert!(matches!(
        overlay.judge(&table, &second),
        Verdict::Duplicate(_)
    ));
}

#[test]
fn a_table_survives_its_encoding_and_never_a_shorter_one() {
    let mut table = table(0..7);
    let mut other = header(2, 9, 4, 50);
    other.producer_id = i64::MAX;
    table.apply(&other, 5);
    let mut bytes = BytesMut::new();
    table.encode(&mut bytes);
    assert_eq!(ProducerTable::decode(&mut Cursor::new(&bytes)), Some(table));
    for len in 0..bytes.len() {
        assert_eq!(ProducerTable::decode(&mut Cursor::new(&bytes[..len])), None);
    }
}

#[test]
fn truncation_and_idleness_forget() {
    let mut table = table(0..3);
    table.truncate(1);
    assert_eq!(judge(&table, &header(0, 1, 1, 1)), Verdict::Next);
    assert!(!table.has_idle(100) && table.has_idle(101));
    table.forget_idle(100);
    assert_eq!(table.len(), 1);
    table.forget_idle(101);
    assert_eq!(table.len(), 0);
}
