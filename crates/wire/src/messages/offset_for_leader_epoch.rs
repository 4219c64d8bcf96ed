//! OffsetForLeaderEpoch: where a leader's term ended, for those who may hold records of another past.

api! {
    OffsetForLeaderEpoch = 23 {
        versions: 2..=4,
        flexible: 4,
        request: OffsetForLeaderEpochRequest<'a>,
        response: OffsetForLeaderEpochResponse<'a>,
    }
}

tables! {
    /// The request of OffsetForLeaderEpoch.
    struct OffsetForLeaderEpochRequest<'a> {
        replica_id: i32, 3.., [ignorable, default -2];
        topics: Vec<OffsetForLeaderTopic<'a>>, 0..;
    }

    /// An element of `OffsetForLeaderEpochRequest::topics`.
    struct OffsetForLeaderTopic<'a> {
        topic: &'a str, 0..;
        partitions: Vec<OffsetForLeaderPartition>, 0..;
    }

    /// An element of `OffsetForLeaderTopic::partitions`.
    struct OffsetForLeaderPartition {
        partition: i32, 0..;
        current_leader_epoch: i32, 2.., [ignorable, default -1];
        leader_epoch: i32, 0..;
    }

    /// The response of OffsetForLeaderEpoch.
    struct OffsetForLeaderEpochResponse<'a> {
        throttle_time_ms: i32, 2.., [ignorable];
        topics: Vec<OffsetForLeaderTopicResult<'a>>, 0..;
    }

    /// An element of `OffsetForLeaderEpochResponse::topics`.
    struct OffsetForLeaderTopicResult<'a> {
        topic: &'a str, 0..;
        partitions: Vec<EpochEndOffset>, 0..;
    }

    /// An element of `OffsetForLeaderTopicResult::partitions`.
    struct EpochEndOffset {
        error_code: i16, 0..;
        partition: i32, 0..;
        leader_epoch: i32, 1.., [ignorable, default -1];
        end_offset: i64, 0.., [default -1];
    }
}
