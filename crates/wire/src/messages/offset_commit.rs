//! OffsetCommit: a consumer group keeps how far it has come.
//!
//! From version 10 on topics are named by id instead of by name.

api! {
    OffsetCommit = 8 {
        versions: 2..=10,
        flexible: 8,
        request: OffsetCommitRequest<'a>,
        response: OffsetCommitResponse<'a>,
    }
}

tables! {
    /// The request of OffsetCommit.
    struct OffsetCommitRequest<'a> {
        group_id: &'a str, 0..;
        generation_id_or_member_epoch: i32, 1.., [ignorable, default -1];
        member_id: &'a str, 1.., [ignorable];
        group_instance_id: Option<&'a str>, 7.., [default None];
        retention_time_ms: i64, 2..=4, [ignorable, default -1];
        topics: Vec<OffsetCommitRequestTopic<'a>>, 0..;
    }

    /// An element of `OffsetCommitRequest::topics`.
    struct OffsetCommitRequestTopic<'a> {
        name: &'a str, 0..=9, [ignorable];
        topic_id: [u8; 16], 10.., [ignorable];
        partitions: Vec<OffsetCommitRequestPartition<'a>>, 0..;
    }

    /// An element of `OffsetCommitRequestTopic::partitions`.
    struct OffsetCommitRequestPartition<'a> {
        partition_index: i32, 0..;
        committed_offset: i64, 0..;
        committed_leader_epoch: i32, 6.., [ignorable, default -1];
        committed_metadata: Option<&'a str>, 0..;
    }

    /// The response of OffsetCommit.
    struct OffsetCommitResponse<'a> {
        throttle_time_ms: i32, 3.., [ignorable];
        topics: Vec<OffsetCommitResponseTopic<'a>>, 0..;
    }

    /// An element of `OffsetCommitResponse::topics`.
    struct OffsetCommitResponseTopic<'a> {
        name: &'a str, 0..=9, [ignorable];
        topic_id: [u8; 16], 10.., [ignorable];
        partitions: Vec<OffsetCommitResponsePartition>, 0..;
    }

    /// An element of `OffsetCommitResponseTopic::partitions`.
    struct OffsetCommitResponsePartition {
        partition_index: i32, 0..;
        error_code: i16, 0..;
    }
}
