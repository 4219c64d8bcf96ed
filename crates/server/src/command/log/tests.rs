use super::*;
use crate::failure::Kind;
use bytes::{BufMut, BytesMut};
use taffrail_env::{Entropy, File};
use taffrail_record::{TopicId, TopicPartition};
use taffrail_storage::{LogConfig, Logs, Options};

#[test]
fn only_names_of_twenty_digits_are_segments() {
    assert_eq!(
        base_offset(Path::new("/d/00000000000000000120.log")),
        Some(120)
    );
    for name in [
        "120.log",
        "00000000000000000120.index",
        "0000000000000000012x.log",
        "kafka.log",
    ] {
        assert_eq!(base_offset(Path::new(name)), None, "{name}");
    }
}

/// A batch of one record of 100 bytes.
fn batch() -> BytesMut {
    let mut bytes = BytesMut::from(
        &BatchHeader {
            base_offset: 0,
            batch_length: (HEADER_LEN - batch::LOG_OVERHEAD) as i32 + 110,
            partition_leader_epoch: -1,
            magic: 2,
            crc: 0,
            attributes: 0,
            last_offset_delta: 0,
            base_timestamp: 5,
            max_timestamp: 5,
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            record_count: 1,
        }
        .to_bytes()[..],
    );
    // Lengths are zigzag varints: 108, no key, a value of 100, no headers.
    bytes.put_slice(&[0xd8, 0x01, 0, 0, 0, 1, 0xc8, 0x01]);
    bytes.put_bytes(b'v', 101);
    bytes.put_u8(0);
    let crc = taffrail_record::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes
}

/// Fills a new data directory, and stops cleanly. Answers the segment's path and length.
async fn fill(os: &Os, root: &Path) -> (PathBuf, u64) {
    os.create_directory(root).await.expect("a new directory");
    let options = Options {
        journal_file_bytes: 1 << 20,
        journal_files: 3,
        ..Options::default()
    };
    let mut opened = taffrail_storage::open(os, root, options, 1)
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    let logs = Logs::new(os, opened.shards.remove(0));
    let partition = TopicPartition {
        topic: TopicId([7; 16]),
        partition: 0,
    };
    let log = logs
        .create(partition, LogConfig::default())
        .await
        .expect("created");
    for _ in 0..20 {
        log.append(batch(), 5).await.expect("appended");
    }
    logs.shutdown().await.expect("a clean stop");
    let found = find_logs(os, root).await.expect("it can be listed");
    let segment = found[0].segments[0].clone();
    let file = os.open(&segment, OpenMode::Read).await.expect("opened");
    (segment, File::len(&file).await.expect("its length"))
}

async fn flip(os: &Os, path: &Path, position: u64) {
    let file = os.open(path, OpenMode::ReadWrite).await.expect("opened");
    let mut byte = read_full(&file, position, 1).await.expect("read");
    byte[0] ^= 1;
    file.write_at(position, vec![byte.freeze()])
        .await
        .expect("written");
}

async fn remove(os: &Os, directory: &Path) {
    for entry in os.list(directory).await.expect("listed") {
        let path = directory.join(&entry.name);
        match entry.kind {
            EntryKind::Directory => Box::pin(remove(os, &path)).await,
            _ => os.remove_file(&path).await.expect("removed"),
        }
    }
    os.remove_directory(directory).await.expect("removed");
}

#[test]
fn after_a_clean_stop_one_flipped_bit_anywhere_in_a_segment_is_damage() {
    taffrail_os::run(async |os: Os| {
        let name = format!("taffrail-verify-{:x}", os.random_u64("a directory's name"));
        let root = Path::new("/tmp").join(name);
        let (segment, len) = fill(&os, &root).await;
        assert_eq!(verify(&os, &root, false).await, Ok(()));
        let batch_len = batch().len() as u64;
        assert_eq!(len, 20 * batch_len);
        // A payload in the middle, the last byte, and the last batch's length.
        for position in [len / 2 + 80, len - 1, len - batch_len + 11] {
            flip(&os, &segment, position).await;
            for json in [false, true] {
                let failure = verify(&os, &root, json).await.expect_err("damage");
                assert_eq!(failure.kind, Kind::Damaged, "{position}");
                let message = failure.message.expect("it says what is wrong");
                let offset = position / batch_len * batch_len;
                let place = format!(
                    "{}: offset {offset}: NO-SILENT-CORRUPTION",
                    segment.display()
                );
                assert!(message.contains(&place), "{message} lacks {place}");
            }
            flip(&os, &segment, position).await;
            assert_eq!(verify(&os, &root, true).await, Ok(()));
        }
        for path in [&root, &segment] {
            assert_eq!(dump(&os, path, false, false).await, Ok(()));
        }
        let inside = verify(&os, segment.parent().expect("a parent"), false).await;
        assert_eq!(inside.expect_err("no data directory").kind, Kind::Usage);
        remove(&os, &root).await;
    });
}
