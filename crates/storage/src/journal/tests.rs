//! Entries, groups and file headers, bit by bit.

use super::entry::{ENTRY_HEADER, Entry, LogKey};
use super::file::FileHeader;
use super::group::{GROUP_HEADER, GroupHeader, encode};
use super::messages::{Submission, ToWriter};
use super::writer::{Files, Journal, Writer};
use super::{BLOCK, Joint, Place};
use crate::signal::Signal;
use crate::testing::{DiskWorld, TestEnv, TestFile};
use bytes::{Bytes, BytesMut};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use taffrail_env::{DiskError, DiskErrorKind, DiskOperation, Spawn, mailbox};
use taffrail_record::{TopicId, TopicPartition};

const NONCE: u64 = 0x1234_5678_9abc_def0;

fn key(number: u64) -> LogKey {
    LogKey {
        partition: TopicPartition {
            topic: TopicId([3; 16]),
            partition: 4,
        },
        number,
    }
}

fn entries() -> Vec<Entry> {
    vec![
        Entry::create(key(1), 0, 10),
        Entry::append(key(1), 2, 10, 10, 99, Bytes::from(vec![1; 300])),
        Entry::append(key(1), 2, 11, 10, 99, Bytes::from(vec![2; 5000])),
        Entry::append(key(1), 2, 12, 10, 99, Bytes::from(vec![3; 20])).into_copy(),
        Entry::start(key(1), 11),
        Entry::mark(key(1), Bytes::from(vec![4; 80])),
        Entry::term(key(1), 3, 13, 7),
        Entry::membership(key(1), 3, 13, Bytes::from_static(b"who")),
        Entry::vote(key(1), 4, 8),
        Entry::forget_producers(key(1), 55),
        Entry::delete(key(1)),
    ]
}

fn joint() -> Joint {
    Joint {
        place: Place {
            file: 1,
            offset: BLOCK,
        },
        sequence: 41,
        checksum: 0xfeed,
    }
}

fn group() -> Bytes {
    let encoded = encode(NONCE, &joint(), entries().into_iter());
    let bytes = Bytes::from(encoded.pieces.concat());
    assert_eq!(bytes.len() as u64, encoded.padded_len);
    assert_eq!(encoded.padded_len % BLOCK, 0);
    bytes
}

#[test]
fn a_group_gives_back_its_entries() {
    let bytes = group();
    let header = GroupHeader::parse(&bytes, bytes.len() as u64).expect("a header");
    assert_eq!(header.sequence, 42);
    assert_eq!(header.previous, 0xfeed);
    assert!(header.verifies(NONCE, &bytes));
    assert_eq!(header.entries(&bytes), Some(entries()));
}

#[test]
fn a_group_of_another_life_does_not_verify() {
    let bytes = group();
    let header = GroupHeader::parse(&bytes, bytes.len() as u64).expect("a header");
    assert!(!header.verifies(NONCE + 1, &bytes));
}

#[test]
fn any_flipped_bit_up_to_the_last_entry_shows() {
    let bytes = group();
    let header = GroupHeader::parse(&bytes, bytes.len() as u64).expect("a header");
    let end = GROUP_HEADER + header.length as usize;
    for at in 0..end {
        let mut hurt = BytesMut::from(&bytes[..]);
        hurt[at] ^= 1 << (at % 8);
        let valid = GroupHeader::parse(&hurt, bytes.len() as u64)
            .is_some_and(|header| header.verifies(NONCE, &hurt));
        assert!(!valid, "byte {at}");
    }
}

#[test]
fn lengths_are_bounded_before_they_are_used() {
    let bytes = group();
    assert_eq!(GroupHeader::parse(&bytes, bytes.len() as u64 - 1), None);
    let mut huge = BytesMut::from(&bytes[..]);
    huge[24..28].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(GroupHeader::parse(&huge, bytes.len() as u64), None);
    let one = Entry::vote(key(1), 4, 8);
    let mut head = BytesMut::new();
    one.encode(&mut head, &mut Vec::new());
    let sound = head.clone().freeze();
    for len in 0..ENTRY_HEADER {
        assert_eq!(Entry::decode(&sound.slice(..len), 0), None);
    }
    head[4..8].copy_from_slice(&9u32.to_le_bytes());
    assert_eq!(Entry::decode(&head.freeze(), 0), None);
}

#[test]
fn large_payloads_are_not_copied() {
    let payload = Bytes::from(vec![9; 5000]);
    let place = payload.as_ptr();
    let entry = Entry::append(key(1), 0, 0, 0, 0, payload);
    let encoded = encode(NONCE, &joint(), [entry].into_iter());
    assert!(encoded.pieces.iter().any(|piece| piece.as_ptr() == place));
}

#[test]
fn either_copy_of_a_file_header_suffices() {
    let header = FileHeader {
        directory_id: [5; 16],
        sequence: 6,
        nonce: 7,
        len: 8,
    };
    let block = header.encode();
    assert_eq!(FileHeader::decode(&block), Some(header));
    let mut hurt = BytesMut::from(&block[..]);
    hurt[40] ^= 1;
    assert_eq!(FileHeader::decode(&hurt), Some(header));
    hurt[2048 + 40] ^= 1;
    assert_eq!(FileHeader::decode(&hurt), None);
    assert_eq!(FileHeader::decode(&[0; 4096]), None);
    assert_eq!(FileHeader::decode(&[]), None);
}

#[test]
fn the_later_life_of_two_copies_counts() {
    let header = |sequence| FileHeader {
        directory_id: [5; 16],
        sequence,
        nonce: sequence + 100,
        len: 8,
    };
    let (old, new) = (header(6).encode(), header(9).encode());
    for copy in [0, 2048] {
        let mut block = BytesMut::from(&new[..]);
        block[copy..copy + 2048].copy_from_slice(&old[copy..copy + 2048]);
        assert_eq!(FileHeader::decode(&block), Some(header(9)));
    }
}

#[test]
fn after_a_failure_the_writer_goes_on_taking_in_what_it_will_not_write() {
    let env = TestEnv::new(1, DiskWorld::new());
    let error = DiskError {
        operation: DiskOperation::Sync,
        path: "/data/journal/0000.journal".into(),
        kind: DiskErrorKind::Io,
        system: "it failed".into(),
    };
    let journal = Rc::new(Journal::<TestFile> {
        files: RefCell::new(Files {
            live: VecDeque::new(),
            next: None,
            free: Vec::new(),
            joint: joint(),
            told: joint(),
            failed: Some(error),
            closed: false,
        }),
        file_len: 1 << 20,
        writer_bell: Signal::default(),
        keeper_bell: Signal::default(),
    });
    let (sender, ordinary) = mailbox::bounded(2);
    let (_relief, relief) = mailbox::bounded(2);
    let writer = Writer::new(journal, [ordinary, relief], Vec::new(), 1000);
    env.spawn(writer.run());
    let all_taken = env.run(async move {
        for _ in 0..50 {
            let submission = Submission {
                shard: 0,
                entries: entries(),
            };
            assert!(sender.send(ToWriter::Submit(submission)).await.is_ok());
        }
    });
    assert_eq!(all_taken, Some(()), "somebody waits for ever");
}
