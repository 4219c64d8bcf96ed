//! OffsetFetch: how far a consumer group has come.
//!
//! From version 8 on for several groups at once, in fields of their own; from 10 on topics are named by
//! id instead of by name. No list of topics means all of them.

api! {
    OffsetFetch = 9 {
        versions: 1..=10,
        flexible: 6,
        request: OffsetFetchRequest<'a>,
        response: OffsetFetchResponse<'a>,
    }
}

tables! {
    /// The request of OffsetFetch.
    struct OffsetFetchRequest<'a> {
        group_id: &'a str, 0..=7;
        topics: Option<Vec<OffsetFetchRequestTopic<'a>>>, 0..=7, [nullable 2..=7];
        groups: Vec<OffsetFetchRequestGroup<'a>>, 8..;
        require_stable: bool, 7..;
    }

    /// An element of `OffsetFetchRequest::topics`.
    struct OffsetFetchRequestTopic<'a> {
        name: &'a str, 0..=7;
        partition_indexes: Vec<i32>, 0..=7;
    }

    /// An element of `OffsetFetchRequest::groups`.
    struct OffsetFetchRequestGroup<'a> {
        group_id: &'a str, 8..;
        member_id: Option<&'a str>, 9.., [ignorable, default None];
        member_epoch: i32, 9.., [ignorable, default -1];
        topics: Option<Vec<OffsetFetchRequestTopics<'a>>>, 8..;
    }

    /// An element of `OffsetFetchRequestGroup::topics`.
    struct OffsetFetchRequestTopics<'a> {
        name: &'a str, 8..=9, [ignorable];
        topic_id: [u8; 16], 10.., [ignorable];
        partition_indexes: Vec<i32>, 8..;
    }

    /// The response of OffsetFetch.
    struct OffsetFetchResponse<'a> {
        throttle_time_ms: i32, 3.., [ignorable];
        topics: Vec<OffsetFetchResponseTopic<'a>>, 0..=7;
        error_code: i16, 2..=7, [ignorable];
        groups: Vec<OffsetFetchResponseGroup<'a>>, 8..;
    }

    /// An element of `OffsetFetchResponse::topics`.
    struct OffsetFetchResponseTopic<'a> {
        name: &'a str, 0..=7;
        partitions: Vec<OffsetFetchResponsePartition<'a>>, 0..=7;
    }

    /// An element of `OffsetFetchResponseTopic::partitions`.
    struct OffsetFetchResponsePartition<'a> {
        partition_index: i32, 0..=7;
        committed_offset: i64, 0..=7;
        committed_leader_epoch: i32, 5..=7, [ignorable, default -1];
        metadata: Option<&'a str>, 0..=7;
        error_code: i16, 0..=7;
    }

    /// An element of `OffsetFetchResponse::groups`.
    struct OffsetFetchResponseGroup<'a> {
        group_id: &'a str, 8..;
        topics: Vec<OffsetFetchResponseTopics<'a>>, 8..;
        error_code: i16, 8..;
    }

    /// An element of `OffsetFetchResponseGroup::topics`.
    struct OffsetFetchResponseTopics<'a> {
        name: &'a str, 8..=9, [ignorable];
        topic_id: [u8; 16], 10.., [ignorable];
        partitions: Vec<OffsetFetchResponsePartitions<'a>>, 8..;
    }

    /// An element of `OffsetFetchResponseTopics::partitions`.
    struct OffsetFetchResponsePartitions<'a> {
        partition_index: i32, 8..;
        committed_offset: i64, 8..;
        committed_leader_epoch: i32, 8.., [ignorable, default -1];
        metadata: Option<&'a str>, 8..;
        error_code: i16, 8..;
    }
}
