use super::Tail;
use crate::journal::Place;
use crate::tests::{NOBODY, batch_of};
use taffrail_record::batch::{BatchHeader, set_base_offset};

fn place(offset: u64) -> Place {
    Place { file: 1, offset }
}

fn push(tail: &mut Tail, offset: i64, durable: Option<u64>) -> usize {
    let mut batch = batch_of(NOBODY, 2, 5, b"x");
    set_base_offset(&mut batch, offset);
    let header = BatchHeader::parse(&batch).expect("a batch");
    let len = batch.len();
    tail.push(&header, batch.freeze(), 0, 0, durable.map(place));
    len
}

#[test]
fn batches_go_from_admitted_to_durable_to_flushed_to_gone() {
    let mut tail = Tail::default();
    let len = push(&mut tail, 0, None);
    push(&mut tail, 2, None);
    push(&mut tail, 4, None);
    assert_eq!(tail.dirty().count(), 0);
    tail.durable(0, place(10));
    tail.durable(2, place(20));
    assert_eq!(tail.dirty().count(), 2);
    assert_eq!(tail.dirty_bytes(), 2 * len);
    assert_eq!(tail.oldest_needed(), Some(place(10)));
    tail.moved(0, place(30));
    assert_eq!(tail.oldest_needed(), Some(place(20)));
    let mut kept = Vec::new();
    tail.flushed(2, |offset, _| kept.push(offset));
    assert_eq!(kept, [0]);
    assert_eq!(tail.clean_bytes(), len);
    assert_eq!(tail.oldest_needed(), Some(place(20)));
    // A copy that is no longer needed, and an eviction of what is still needed.
    tail.moved(0, place(40));
    assert_eq!(tail.evict(2), 0);
    assert_eq!(tail.evict(0), len);
    assert_eq!(tail.first_offset(), Some(2));
    assert_eq!(tail.clean_bytes(), 0);
}

#[test]
fn bytes_between_offsets_are_counted_without_looking_at_batches() {
    let mut tail = Tail::default();
    let len = push(&mut tail, 10, Some(1)) as u64;
    push(&mut tail, 12, Some(1));
    assert_eq!(tail.bytes_between(10, 14), Some(2 * len));
    assert_eq!(tail.bytes_between(11, 14), Some(2 * len));
    assert_eq!(tail.bytes_between(12, 14), Some(len));
    assert_eq!(tail.bytes_between(12, 12), Some(0));
    assert_eq!(tail.bytes_between(9, 14), None);
    assert_eq!(tail.from(11).count(), 2);
    assert_eq!(tail.from(12).count(), 1);
}
