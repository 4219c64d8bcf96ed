//! OffsetDelete: a group forgets how far it has come in some partitions.

api! {
    OffsetDelete = 47 {
        versions: 0..=0,
        flexible: crate::api::NEVER,
        request: OffsetDeleteRequest<'a>,
        response: OffsetDeleteResponse<'a>,
    }
}

tables! {
    /// The request of OffsetDelete.
    struct OffsetDeleteRequest<'a> {
        group_id: &'a str, 0..;
        topics: Vec<OffsetDeleteRequestTopic<'a>>, 0..;
    }

    /// An element of `OffsetDeleteRequest::topics`.
    struct OffsetDeleteRequestTopic<'a> {
        name: &'a str, 0..;
        partitions: Vec<OffsetDeleteRequestPartition>, 0..;
    }

    /// An element of `OffsetDeleteRequestTopic::partitions`.
    struct OffsetDeleteRequestPartition {
        partition_index: i32, 0..;
    }

    /// The response of OffsetDelete.
    struct OffsetDeleteResponse<'a> {
        error_code: i16, 0..;
        throttle_time_ms: i32, 0.., [ignorable];
        topics: Vec<OffsetDeleteResponseTopic<'a>>, 0..;
    }

    /// An element of `OffsetDeleteResponse::topics`.
    struct OffsetDeleteResponseTopic<'a> {
        name: &'a str, 0..;
        partitions: Vec<OffsetDeleteResponsePartition>, 0..;
    }

    /// An element of `OffsetDeleteResponseTopic::partitions`.
    struct OffsetDeleteResponsePartition {
        partition_index: i32, 0..;
        error_code: i16, 0..;
    }
}
