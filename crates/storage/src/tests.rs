//! The whole storage in a small world.

mod basics;
mod damage;
mod keeping;
mod late_news;
mod missing;
mod model;
mod space;
mod sweep;

use crate::testing::{DiskWorld, TestEnv};
use crate::{LogConfig, Logs, Options, open};
use bytes::{BufMut, BytesMut};
use std::path::Path;
use std::time::Duration;
use taffrail_record::batch::{self, BatchHeader};
use taffrail_record::{TopicId, TopicPartition};

pub const DIRECTORY: &str = "/data";

/// Everything small, so that a few batches roll segments, fill groups and recycle journal files.
pub fn small() -> Options {
    Options {
        journal_file_bytes: 64 << 10,
        journal_files: 4,
        group_bytes_max: 16 << 10,
        flush_bytes: 8 << 10,
        copy_forward_bytes_max: 1 << 10,
        tail_cache_bytes: 4 << 10,
        digest_cache_bytes: 4 << 10,
        open_files_max: 6,
        flush_files_max: 3,
        digest_interval_bytes: 2 << 10,
        reserve_step_max: 32 << 10,
        space_probe: Duration::from_millis(100),
        ..Options::default()
    }
}

pub fn partition(number: i32) -> TopicPartition {
    TopicPartition {
        topic: TopicId([7; 16]),
        partition: number,
    }
}

/// Which producer a batch is of.
#[derive(Clone, Copy)]
pub struct From {
    pub producer_id: i64,
    pub epoch: i16,
    pub sequence: i32,
}

pub const NOBODY: From = From {
    producer_id: -1,
    epoch: -1,
    sequence: -1,
};

/// A batch of `count` records, as a producer makes it.
pub fn batch_of(from: From, count: i32, timestamp: i64, payload: &[u8]) -> BytesMut {
    let mut records = BytesMut::new();
    for delta in 0..count {
        let mut body = BytesMut::new();
        body.put_u8(0);
        varint(&mut body, 0);
        varint(&mut body, delta);
        varint(&mut body, -1);
        varint(&mut body, payload.len() as i32);
        body.put_slice(payload);
        varint(&mut body, 0);
        varint(&mut records, body.len() as i32);
        records.put_slice(&body);
    }
    let header = BatchHeader {
        base_offset: 0,
        batch_length: (batch::HEADER_LEN - batch::LOG_OVERHEAD + records.len()) as i32,
        partition_leader_epoch: -1,
        magic: 2,
        crc: 0,
        attributes: 0,
        last_offset_delta: count - 1,
        base_timestamp: timestamp,
        max_timestamp: timestamp,
        producer_id: from.producer_id,
        producer_epoch: from.epoch,
        base_sequence: from.sequence,
        record_count: count,
    };
    let mut bytes = BytesMut::from(&header.to_bytes()[..]);
    bytes.put_slice(&records);
    let crc = taffrail_record::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    batch::verify_crc(&bytes).expect("a batch made here is sound");
    bytes
}

fn varint(out: &mut BytesMut, value: i32) {
    let mut rest = ((value << 1) ^ (value >> 31)) as u32;
    while rest >= 0x80 {
        out.put_u8(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.put_u8(rest as u8);
}

/// A batch of one record.
pub fn batch(payload: &[u8]) -> BytesMut {
    batch_of(NOBODY, 1, 1_700_000_000_000, payload)
}

/// Opens the storage with one shard.
pub async fn open_one(env: &TestEnv, options: Options) -> Logs<TestEnv> {
    let opened = open(env, Path::new(DIRECTORY), options, 1).await;
    let mut opened = opened.unwrap_or_else(|error| panic!("{error}"));
    let part = opened.shards.remove(0);
    Logs::new(env, part)
}

pub fn config() -> LogConfig {
    LogConfig {
        segment_bytes: 24 << 10,
        index_interval_bytes: 512,
        file_delete_delay_ms: 0,
        ..LogConfig::default()
    }
}

/// A world with an empty disk.
pub fn new_env(seed: u64) -> TestEnv {
    TestEnv::new(seed, DiskWorld::new())
}
