use super::*;
use bytes::{BufMut, BytesMut};

fn names(list: &[(&str, i32)]) -> Vec<TopicPartitionName> {
    list.iter()
        .map(|(topic, partition)| TopicPartitionName::new(*topic, *partition))
        .collect()
}

/// A subscription to one topic without user data, up to the end of version 0.
fn begun(version: i16, topic: &str) -> BytesMut {
    let mut blob = BytesMut::new();
    blob.put_i16(version);
    blob.put_i32(1);
    blob.put_i16(topic.len() as i16);
    blob.put_slice(topic.as_bytes());
    blob
}

#[test]
fn a_subscription_comes_back_as_it_was() {
    let subscription = Subscription {
        topics: vec!["a".into(), "b".into()],
        owned: names(&[("a", 0), ("a", 3), ("b", 1)]),
        generation: 7,
    };
    assert_eq!(
        Subscription::decode(&subscription.encode()),
        Ok(subscription)
    );
}

#[test]
fn an_assignment_comes_back_in_order_and_nothing_means_none() {
    let given = names(&[("b", 2), ("a", 1), ("b", 0)]);
    let read = decode_assignment(&encode_assignment(&given)).expect("well formed");
    assert_eq!(read, names(&[("a", 1), ("b", 2), ("b", 0)]));
    assert_eq!(decode_assignment(&Bytes::new()), Ok(Vec::new()));
}

#[test]
fn an_old_member_has_no_owned_partitions_and_no_generation() {
    let mut blob = begun(0, "t");
    blob.put_i32(-1);
    let read = Subscription::decode(&blob.freeze()).expect("well formed");
    assert_eq!(read.topics, ["t"]);
    assert_eq!((read.owned.len(), read.generation), (0, -1));
}

#[test]
fn an_older_cooperative_member_says_its_generation_in_the_user_data() {
    let mut blob = begun(1, "t");
    blob.put_i32(4);
    blob.put_i32(9);
    blob.put_i32(0);
    let read = Subscription::decode(&blob.freeze()).expect("well formed");
    assert_eq!(read.generation, 9);
}

#[test]
fn a_newer_member_is_read_as_far_as_it_is_known() {
    let mut blob = BytesMut::from(&Subscription::default().encode()[..]);
    blob[1] = 9;
    blob.put_slice(b"news");
    assert_eq!(
        Subscription::decode(&blob.freeze()),
        Ok(Subscription::default())
    );
}

#[test]
fn every_cut_of_a_blob_is_refused_and_none_panics() {
    let subscription = Subscription {
        topics: vec!["topic".into()],
        owned: names(&[("topic", 0)]),
        generation: 1,
    };
    let whole = subscription.encode();
    for len in 0..whole.len() {
        let cut = Subscription::decode(&whole.slice(..len));
        assert!(cut.is_err(), "{len}");
    }
    let assignment = encode_assignment(&subscription.owned);
    for len in 1..assignment.len() {
        let cut = decode_assignment(&assignment.slice(..len));
        assert!(cut.is_err(), "{len}");
    }
}
