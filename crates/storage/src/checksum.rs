//! CRC-64 over groups, files and chains.
//!
//! 64 bits, since a group that is taken for valid by accident is never noticed again.

use crc_fast::{CrcAlgorithm, Digest};
use taffrail_record::{Offset, TopicPartition, batch::HEADER_LEN};

/// A CRC-64/NVME in the making.
pub struct Crc64(Digest);

impl Crc64 {
    pub fn new() -> Crc64 {
        Crc64(Digest::new(CrcAlgorithm::Crc64Nvme))
    }

    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub fn value(&self) -> u64 {
        self.0.finalize()
    }
}

pub fn crc64(bytes: &[u8]) -> u64 {
    crc_fast::checksum(CrcAlgorithm::Crc64Nvme, bytes)
}

/// The chain at a segment's start: no segment starts like another one.
pub fn chain_start(partition: TopicPartition, base_offset: Offset) -> u64 {
    let mut bytes = [0; 28];
    bytes[..16].copy_from_slice(&partition.topic.0);
    bytes[16..20].copy_from_slice(&partition.partition.to_le_bytes());
    bytes[20..].copy_from_slice(&base_offset.to_le_bytes());
    crc64(&bytes)
}

/// The chain past a batch.
pub fn chain_next(chain: u64, header: &[u8; HEADER_LEN]) -> u64 {
    let mut bytes = [0; 8 + HEADER_LEN];
    bytes[..8].copy_from_slice(&chain.to_le_bytes());
    bytes[8..].copy_from_slice(header);
    crc64(&bytes)
}
