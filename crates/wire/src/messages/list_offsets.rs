//! ListOffsets: the offset that belongs to a timestamp, or to the start or the end of a partition.
//!
//! Negative timestamps are places: -1 the end, -2 the start, -3 the record with the largest timestamp,
//! -4 the first one on local disks, -5 the last one in tiered storage, -6 the first one not yet there.

api! {
    ListOffsets = 2 {
        versions: 1..=11,
        flexible: 6,
        request: ListOffsetsRequest<'a>,
        response: ListOffsetsResponse<'a>,
    }
}

tables! {
    /// The request of ListOffsets.
    struct ListOffsetsRequest<'a> {
        replica_id: i32, 0..;
        isolation_level: i8, 2..;
        topics: Vec<ListOffsetsTopic<'a>>, 0..;
        timeout_ms: i32, 10.., [ignorable];
    }

    /// An element of `ListOffsetsRequest::topics`.
    struct ListOffsetsTopic<'a> {
        name: &'a str, 0..;
        partitions: Vec<ListOffsetsPartition>, 0..;
    }

    /// An element of `ListOffsetsTopic::partitions`.
    struct ListOffsetsPartition {
        partition_index: i32, 0..;
        current_leader_epoch: i32, 4.., [ignorable, default -1];
        timestamp: i64, 0..;
    }

    /// The response of ListOffsets.
    struct ListOffsetsResponse<'a> {
        throttle_time_ms: i32, 2.., [ignorable];
        topics: Vec<ListOffsetsTopicResponse<'a>>, 0..;
    }

    /// An element of `ListOffsetsResponse::topics`.
    struct ListOffsetsTopicResponse<'a> {
        name: &'a str, 0..;
        partitions: Vec<ListOffsetsPartitionResponse>, 0..;
    }

    /// An element of `ListOffsetsTopicResponse::partitions`.
    struct ListOffsetsPartitionResponse {
        partition_index: i32, 0..;
        error_code: i16, 0..;
        timestamp: i64, 1.., [default -1];
        offset: i64, 1.., [default -1];
        leader_epoch: i32, 4.., [default -1];
    }
}
