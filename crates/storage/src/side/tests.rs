use super::SideWriter;
use crate::layout::FileKind;
use crate::tests::{NOBODY, batch_of};
use bytes::Bytes;
use taffrail_record::batch::{BatchHeader, header_bytes, set_base_offset};
use taffrail_record::{TopicId, TopicPartition};

/// Feeds batches of two records, all of one size, with these largest timestamps, from offset 100 on.
fn writer(timestamps: &[i64]) -> (SideWriter, usize) {
    let partition = TopicPartition {
        topic: TopicId([1; 16]),
        partition: 0,
    };
    let mut side = SideWriter::new(partition, 100);
    let mut size = 0;
    for (at, timestamp) in timestamps.iter().enumerate() {
        let mut batch = batch_of(NOBODY, 2, *timestamp, &[1; 20]);
        set_base_offset(&mut batch, 100 + 2 * at as i64);
        let header = BatchHeader::parse(&batch).expect("a batch");
        size = batch.len();
        side.batch(&header, header_bytes(&batch), size as u32, 2 * size as u32);
    }
    (side, size)
}

fn written(side: &mut SideWriter, kind: FileKind) -> Bytes {
    let writes = side.take_writes();
    let found = writes.into_iter().find(|write| write.kind == kind);
    found.map(|write| write.bytes).unwrap_or_default()
}

#[test]
fn the_offset_index_names_last_offsets_and_positions_as_kafka_does() {
    let (mut side, size) = writer(&[1; 6]);
    let index = written(&mut side, FileKind::OffsetIndex);
    let entries: Vec<(i32, i32)> = index
        .chunks(8)
        .map(|entry| {
            let number = |at: usize| i32::from_be_bytes(entry[at..at + 4].try_into().expect("4"));
            (number(0), number(4))
        })
        .collect();
    // More than an interval must lie behind: the third batch, then every second one.
    let size = size as i32;
    assert_eq!(entries, [(5, 2 * size), (9, 4 * size)]);
}

#[test]
fn the_time_index_rises_and_names_the_batch_that_had_the_timestamp() {
    let (mut side, _) = writer(&[50, 90, 10, 10, 10, 20, 95]);
    side.seal();
    let index = written(&mut side, FileKind::TimeIndex);
    let entries: Vec<(i64, i32)> = index
        .chunks(12)
        .map(|entry| {
            let timestamp = i64::from_be_bytes(entry[..8].try_into().expect("8"));
            (
                timestamp,
                i32::from_be_bytes(entry[8..].try_into().expect("4")),
            )
        })
        .collect();
    assert_eq!(entries, [(90, 3), (95, 13)]);
}

#[test]
fn the_digest_reads_back_and_shows_damage() {
    let (mut side, size) = writer(&[5; 7]);
    side.seal();
    let key = side.key;
    let file = written(&mut side, FileKind::Digest);
    let entries = key.decode(&file).expect("it verifies");
    let positions: Vec<usize> = entries.iter().map(|e| e.position as usize).collect();
    assert_eq!(positions, [0, 2 * size, 4 * size, 6 * size, 7 * size]);
    assert_eq!(entries[1].offset, 104);
    assert_eq!(entries[1].max_timestamp_offset, 101);
    assert_eq!(side.mark().digest_len as usize, file.len());
    for at in 0..file.len() {
        let mut hurt = file.to_vec();
        hurt[at] ^= 2;
        assert_eq!(key.decode(&hurt), None, "byte {at}");
    }
    assert_eq!(key.decode(&file[..file.len() - 1]), None);
}
