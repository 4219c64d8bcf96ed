//! The bytes that group members put into JoinGroup and SyncGroup, which the broker does not read: from
//! `wire`'s consumer protocol to the client's own types and back.
//!
//! They come from other members, so anything may stand in them; those of a newer version are read as far as they are known.

#[cfg(test)]
mod tests;

use crate::records::TopicPartitionName;
use bytes::{Buf, Bytes};
use std::collections::BTreeMap;
use taffrail_wire::consumer_protocol::{
    ConsumerProtocolAssignment, ConsumerProtocolSubscription, TopicPartition,
};
use taffrail_wire::{Blob, DecodeError};

/// A blob that does not follow the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed(DecodeError);

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "a group member sent a subscription or assignment that does not follow the consumer protocol: {}",
            self.0
        )
    }
}

/// What one member wants, and what it has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subscription {
    pub topics: Vec<String>,
    pub owned: Vec<TopicPartitionName>,
    /// The generation in which it owned them; -1 if it says nothing.
    pub generation: i32,
}

impl Subscription {
    /// Version 3, with the generation in the user data too, where the older cooperative members look for it.
    pub fn encode(&self) -> Bytes {
        let blob = ConsumerProtocolSubscription {
            topics: self.topics.iter().map(String::as_str).collect(),
            user_data: Some(Bytes::copy_from_slice(&self.generation.to_be_bytes())),
            owned_partitions: by_topic(&self.owned),
            generation_id: self.generation,
            rack_id: None,
        };
        // Topic names are at most 249 bytes; the broker has refused longer ones.
        blob.encode(3).expect("names are short")
    }

    pub fn decode(blob: &Bytes) -> Result<Subscription, Malformed> {
        let (version, blob) = ConsumerProtocolSubscription::decode(blob).map_err(Malformed)?;
        let generation = match (version, blob.user_data) {
            (2.., _) => blob.generation_id,
            (_, Some(mut data)) if data.len() == 4 => data.get_i32(),
            _ => -1,
        };
        Ok(Subscription {
            topics: blob.topics.into_iter().map(String::from).collect(),
            owned: partitions(blob.owned_partitions),
            generation,
        })
    }
}

/// The partitions that the group's leader gives to one member.
pub fn encode_assignment(partitions: &[TopicPartitionName]) -> Bytes {
    let blob = ConsumerProtocolAssignment {
        assigned_partitions: by_topic(partitions),
        user_data: None,
    };
    blob.encode(1).expect("names are short")
}

/// Reads what [`encode_assignment`] or another client wrote. Nothing at all means no partition.
pub fn decode_assignment(blob: &Bytes) -> Result<Vec<TopicPartitionName>, Malformed> {
    if blob.is_empty() {
        return Ok(Vec::new());
    }
    let (_, blob) = ConsumerProtocolAssignment::decode(blob).map_err(Malformed)?;
    Ok(partitions(blob.assigned_partitions))
}

fn by_topic(partitions: &[TopicPartitionName]) -> Vec<TopicPartition<'_>> {
    let mut by_topic: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for partition in partitions {
        let topic = by_topic.entry(&partition.topic).or_default();
        topic.push(partition.partition);
    }
    by_topic
        .into_iter()
        .map(|(topic, partitions)| TopicPartition { topic, partitions })
        .collect()
}

fn partitions(topics: Vec<TopicPartition<'_>>) -> Vec<TopicPartitionName> {
    topics
        .into_iter()
        .flat_map(|topic| {
            let name = topic.topic;
            let named = move |partition| TopicPartitionName::new(name, partition);
            topic.partitions.into_iter().map(named)
        })
        .collect()
}
