//! The bytes that group members put into JoinGroup and SyncGroup, which the broker does not read.
//!
//! `ConsumerProtocolSubscription` versions 0 to 3 and `ConsumerProtocolAssignment` versions 0 to 3, as every Kafka client
//! writes them. They come from other members, so every length is bounded by what is there; a higher version only adds fields at the
//! end, so what is known is read and the rest left.

use crate::records::TopicPartitionName;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::collections::BTreeMap;

/// A blob that does not follow the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a group member sent a subscription or assignment that does not follow the consumer protocol")
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
        let mut out = BytesMut::new();
        out.put_i16(3);
        out.put_i32(self.topics.len() as i32);
        for topic in &self.topics {
            put_string(&mut out, topic);
        }
        out.put_i32(4);
        out.put_i32(self.generation);
        put_partitions(&mut out, &self.owned);
        out.put_i32(self.generation);
        out.put_i16(-1);
        out.freeze()
    }

    pub fn decode(mut blob: Bytes) -> Result<Subscription, Malformed> {
        let version = take_i16(&mut blob)?;
        if version < 0 {
            return Err(Malformed);
        }
        let mut topics = Vec::new();
        for _ in 0..take_count(&mut blob, 2)? {
            topics.push(take_string(&mut blob)?);
        }
        let user_data = take_nullable_bytes(&mut blob)?;
        let owned = match version {
            0 => Vec::new(),
            _ => take_partitions(&mut blob)?,
        };
        let generation = match (version, user_data) {
            (2.., _) => take_i32(&mut blob)?,
            (_, Some(mut data)) if data.len() == 4 => data.get_i32(),
            _ => -1,
        };
        Ok(Subscription {
            topics,
            owned,
            generation,
        })
    }
}

/// The partitions that the group's leader gives to one member.
pub fn encode_assignment(partitions: &[TopicPartitionName]) -> Bytes {
    let mut out = BytesMut::new();
    out.put_i16(1);
    put_partitions(&mut out, partitions);
    out.put_i32(-1);
    out.freeze()
}

/// Reads what [`encode_assignment`] or another client wrote. Nothing at all means no partition.
pub fn decode_assignment(mut blob: Bytes) -> Result<Vec<TopicPartitionName>, Malformed> {
    if blob.is_empty() {
        return Ok(Vec::new());
    }
    if take_i16(&mut blob)? < 0 {
        return Err(Malformed);
    }
    take_partitions(&mut blob)
}

fn put_string(out: &mut BytesMut, text: &str) {
    // Topic names are at most 249 bytes; the broker has refused longer ones.
    out.put_i16(i16::try_from(text.len()).expect("a topic's name is short"));
    out.put_slice(text.as_bytes());
}

fn put_partitions(out: &mut BytesMut, partitions: &[TopicPartitionName]) {
    let mut by_topic: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for partition in partitions {
        by_topic
            .entry(&partition.topic)
            .or_default()
            .push(partition.partition);
    }
    out.put_i32(by_topic.len() as i32);
    for (topic, partitions) in by_topic {
        put_string(out, topic);
        out.put_i32(partitions.len() as i32);
        for partition in partitions {
            out.put_i32(partition);
        }
    }
}

fn take_i16(blob: &mut Bytes) -> Result<i16, Malformed> {
    blob.try_get_i16().map_err(|_| Malformed)
}

fn take_i32(blob: &mut Bytes) -> Result<i32, Malformed> {
    blob.try_get_i32().map_err(|_| Malformed)
}

/// A number of elements, each of at least `least` bytes.
fn take_count(blob: &mut Bytes, least: usize) -> Result<usize, Malformed> {
    let count = usize::try_from(take_i32(blob)?).map_err(|_| Malformed)?;
    if count > blob.len() / least {
        return Err(Malformed);
    }
    Ok(count)
}

fn take_string(blob: &mut Bytes) -> Result<String, Malformed> {
    let len = usize::try_from(take_i16(blob)?).map_err(|_| Malformed)?;
    if len > blob.len() {
        return Err(Malformed);
    }
    String::from_utf8(blob.split_to(len).to_vec()).map_err(|_| Malformed)
}

fn take_nullable_bytes(blob: &mut Bytes) -> Result<Option<Bytes>, Malformed> {
    match take_i32(blob)? {
        -1 => Ok(None),
        len => match usize::try_from(len) {
            Ok(len) if len <= blob.len() => Ok(Some(blob.split_to(len))),
            _ => Err(Malformed),
        },
    }
}

fn take_partitions(blob: &mut Bytes) -> Result<Vec<TopicPartitionName>, Malformed> {
    let mut partitions = Vec::new();
    for _ in 0..take_count(blob, 6)? {
        let topic = take_string(blob)?;
        for _ in 0..take_count(blob, 4)? {
            partitions.push(TopicPartitionName::new(topic.clone(), take_i32(blob)?));
        }
    }
    Ok(partitions)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[(&str, i32)]) -> Vec<TopicPartitionName> {
        list.iter()
            .map(|(topic, partition)| TopicPartitionName::new(*topic, *partition))
            .collect()
    }

    #[test]
    fn a_subscription_comes_back_as_it_was() {
        let subscription = Subscription {
            topics: vec!["a".into(), "b".into()],
            owned: names(&[("a", 0), ("a", 3), ("b", 1)]),
            generation: 7,
        };
        assert_eq!(
            Subscription::decode(subscription.encode()),
            Ok(subscription)
        );
    }

    #[test]
    fn an_old_member_has_no_owned_partitions_and_no_generation() {
        let mut blob = BytesMut::new();
        blob.put_i16(0);
        blob.put_i32(1);
        put_string(&mut blob, "t");
        blob.put_i32(-1);
        let read = Subscription::decode(blob.freeze()).expect("well formed");
        assert_eq!(read.topics, ["t"]);
        assert_eq!((read.owned.len(), read.generation), (0, -1));
    }

    #[test]
    fn every_cut_of_a_blob_is_refused_and_none_panics() {
        let subscription = Subscription {
            topics: vec!["topic".into()],
            owned: names(&[("topic", 0)]),
            generation: 1,
        };
        let whole = subscription.encode();
        // The last two bytes are the rack, which nobody reads.
        for len in 0..whole.len() - 2 {
            assert_eq!(
                Subscription::decode(whole.slice(..len)),
                Err(Malformed),
                "{len}"
            );
        }
        let assignment = encode_assignment(&subscription.owned);
        for len in 1..assignment.len() - 4 {
            assert_eq!(
                decode_assignment(assignment.slice(..len)),
                Err(Malformed),
                "{len}"
            );
        }
        assert_eq!(decode_assignment(assignment), Ok(subscription.owned));
        assert_eq!(decode_assignment(Bytes::new()), Ok(Vec::new()));
    }

    #[test]
    fn a_hostile_count_reserves_nothing() {
        let mut blob = BytesMut::new();
        blob.put_i16(1);
        blob.put_i32(i32::MAX);
        assert_eq!(Subscription::decode(blob.freeze()), Err(Malformed));
    }
}
