//! Which partition a record goes to when its sender does not say.
//!
//! Keyed records go where Kafka's Java client would put them (murmur2 of the key, positive, modulo the number of
//! partitions), because producers in other languages write to the same topics and order per key must survive the
//! mixture. Records without a key stick to one partition until about a batch's worth of bytes went there (KIP-794),
//! which makes fewer and fuller batches than taking turns.

use std::collections::BTreeMap;

/// So often a partition is drawn before all of them are looked at for those that have a leader.
const DRAWS_MAX: usize = 4;

/// The 32-bit murmur2 of Kafka's Java client, seed included.
pub fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    const R: u32 = 24;
    const SEED: u32 = 0x9747_b28c;
    let mut hash = SEED ^ (data.len() as u32);
    let mut words = data.chunks_exact(4);
    for word in &mut words {
        let mut k = u32::from_le_bytes([word[0], word[1], word[2], word[3]]);
        k = k.wrapping_mul(M);
        k ^= k >> R;
        k = k.wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ k;
    }
    let rest = words.remainder();
    for (place, byte) in rest.iter().enumerate() {
        hash ^= u32::from(*byte) << (8 * place);
    }
    if !rest.is_empty() {
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

/// The partition of a keyed record. `partitions` is at least 1.
pub fn partition_for_key(key: &[u8], partitions: i32) -> i32 {
    assert!(partitions > 0, "a topic has at least one partition");
    let positive = (murmur2(key) & 0x7fff_ffff) as i32;
    positive % partitions
}

/// Remembers, for each topic, where its unkeyed records go just now.
#[derive(Debug)]
pub struct StickyPartitioner {
    switch_after_bytes: usize,
    topics: BTreeMap<String, Sticky>,
}

#[derive(Debug)]
struct Sticky {
    partition: i32,
    bytes: usize,
}

impl StickyPartitioner {
    /// Moves on to another partition once `switch_after_bytes` went to one.
    pub fn new(switch_after_bytes: usize) -> StickyPartitioner {
        StickyPartitioner {
            switch_after_bytes: switch_after_bytes.max(1),
            topics: BTreeMap::new(),
        }
    }

    /// The partition for an unkeyed record of `bytes` bytes in a topic of `partitions`. One with a leader (`has_leader`), if any has; `draw` gives random
    /// numbers when a new choice is due. However many partitions there are, few of them are asked about, unless most have no leader.
    pub fn partition(
        &mut self,
        topic: &str,
        bytes: usize,
        partitions: i32,
        has_leader: impl Fn(i32) -> bool,
        draw: impl Fn() -> u64,
    ) -> i32 {
        assert!(partitions > 0, "a topic has at least one partition");
        if let Some(sticky) = self.topics.get_mut(topic)
            && sticky.bytes < self.switch_after_bytes
            && sticky.partition < partitions
            && (has_leader(sticky.partition) || !(0..partitions).any(&has_leader))
        {
            sticky.bytes = sticky.bytes.saturating_add(bytes);
            return sticky.partition;
        }
        let sticky = Sticky {
            partition: choose(partitions, has_leader, draw),
            bytes,
        };
        let chosen = sticky.partition;
        match self.topics.get_mut(topic) {
            Some(present) => *present = sticky,
            None => {
                self.topics.insert(topic.to_owned(), sticky);
            }
        }
        chosen
    }
}

/// Any partition with a leader, each as likely as the others; any at all if there is none with one.
fn choose(partitions: i32, has_leader: impl Fn(i32) -> bool, draw: impl Fn() -> u64) -> i32 {
    let any = || (draw() % partitions as u64) as i32;
    for _ in 0..DRAWS_MAX {
        let partition = any();
        if has_leader(partition) {
            return partition;
        }
    }
    let led: Vec<i32> = (0..partitions)
        .filter(|partition| has_leader(*partition))
        .collect();
    match led.len() {
        0 => any(),
        count => led[(draw() % count as u64) as usize],
    }
}

#[cfg(test)]
mod tests;
