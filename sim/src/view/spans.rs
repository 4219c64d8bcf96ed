//! When which node was busy with a partition: how messages, which say nothing of partitions, are told apart by them.
//!
//! A client is busy with a partition from the beginning of an operation to its end, and for as long as it owns the partition in a
//! group. What never ends counts until the client's next operation begins.

use crate::history::OperationId;
use std::collections::BTreeMap;
use taffrail_record::TopicPartition;

/// An operation that has begun.
#[derive(Clone, Copy)]
pub(super) struct Begun {
    pub node: u32,
    pub partition: TopicPartition,
    pub time: u64,
}

#[derive(Default)]
pub(super) struct Spans {
    open: BTreeMap<OperationId, Begun>,
    owned: BTreeMap<(u32, TopicPartition), u64>,
    /// When operations began, by node.
    begins: BTreeMap<u32, Vec<u64>>,
    spans: BTreeMap<(TopicPartition, u32), Vec<(u64, u64)>>,
}

impl Spans {
    pub fn begin(&mut self, operation: OperationId, begun: Begun) {
        self.open.insert(operation, begun);
        self.begins.entry(begun.node).or_default().push(begun.time);
    }

    pub fn end(&mut self, operation: OperationId, time: u64) -> Option<Begun> {
        let begun = self.open.remove(&operation)?;
        self.add(begun, time);
        Some(begun)
    }

    /// What an operation that has not ended is about.
    pub fn begun(&self, operation: OperationId) -> Option<Begun> {
        self.open.get(&operation).copied()
    }

    pub fn own(&mut self, node: u32, partitions: &[TopicPartition], time: u64) {
        for partition in partitions {
            self.owned.entry((node, *partition)).or_insert(time);
        }
    }

    /// The node owns nothing any more.
    pub fn disown(&mut self, node: u32, to: u64) {
        let owned = std::mem::take(&mut self.owned);
        for ((owner, partition), time) in owned {
            if owner == node {
                let begun = Begun {
                    node,
                    partition,
                    time,
                };
                self.add(begun, to);
            } else {
                self.owned.insert((owner, partition), time);
            }
        }
    }

    /// By partition: node, beginning and end, which do not overlap within a node.
    pub fn finish(mut self, end: u64) -> BTreeMap<TopicPartition, Vec<[u64; 3]>> {
        let nodes: Vec<u32> = self.owned.keys().map(|(node, _)| *node).collect();
        for node in nodes {
            self.disown(node, end);
        }
        for begun in std::mem::take(&mut self.open).into_values() {
            let begins = &self.begins[&begun.node];
            let next = begins.partition_point(|time| *time <= begun.time);
            let to = begins.get(next).copied().unwrap_or(end);
            self.add(begun, to);
        }
        let mut all: BTreeMap<TopicPartition, Vec<[u64; 3]>> = BTreeMap::new();
        for ((partition, node), mut spans) in self.spans {
            spans.sort_unstable();
            let of_partition = all.entry(partition).or_default();
            let first = of_partition.len();
            for (from, to) in spans {
                match of_partition[first..].last_mut() {
                    Some(last) if last[2] >= from => last[2] = last[2].max(to),
                    _ => of_partition.push([node.into(), from, to]),
                }
            }
        }
        all
    }

    fn add(&mut self, begun: Begun, to: u64) {
        let spans = self.spans.entry((begun.partition, begun.node)).or_default();
        spans.push((begun.time, to));
    }
}
