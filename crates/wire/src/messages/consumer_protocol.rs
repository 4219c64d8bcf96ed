//! What consumers tell each other inside JoinGroup and SyncGroup: what each subscribes to, and what
//! each is assigned. Brokers pass it on unread.
//!
//! Members of a group may run different versions, so one of a newer version is read as far as it
//! is known.

use crate::api::NEVER;
use bytes::Bytes;

blob! {
    ConsumerProtocolSubscription<'a> {
        versions: 0..=3,
        flexible: NEVER,
        reads_newer: true,
    }
}

blob! {
    ConsumerProtocolAssignment<'a> {
        versions: 0..=3,
        flexible: NEVER,
        reads_newer: true,
    }
}

tables! {
    /// What a member subscribes to.
    struct ConsumerProtocolSubscription<'a> {
        topics: Vec<&'a str>, 0..;
        user_data: Option<Bytes>, 0.., [default None];
        owned_partitions: Vec<TopicPartition<'a>>, 1.., [ignorable];
        generation_id: i32, 2.., [ignorable, default -1];
        rack_id: Option<&'a str>, 3.., [ignorable, default None];
    }

    /// What a member is assigned.
    struct ConsumerProtocolAssignment<'a> {
        assigned_partitions: Vec<TopicPartition<'a>>, 0..;
        user_data: Option<Bytes>, 0.., [default None];
    }

    /// Partitions of one topic.
    struct TopicPartition<'a> {
        topic: &'a str, 0..;
        partitions: Vec<i32>, 0..;
    }
}
