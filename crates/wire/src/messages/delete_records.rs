//! DeleteRecords: partitions forget what lies before an offset; -1 is the high watermark.

api! {
    DeleteRecords = 21 {
        versions: 0..=2,
        flexible: 2,
        request: DeleteRecordsRequest<'a>,
        response: DeleteRecordsResponse<'a>,
    }
}

tables! {
    /// The request of DeleteRecords.
    struct DeleteRecordsRequest<'a> {
        topics: Vec<DeleteRecordsTopic<'a>>, 0..;
        timeout_ms: i32, 0..;
    }

    /// An element of `DeleteRecordsRequest::topics`.
    struct DeleteRecordsTopic<'a> {
        name: &'a str, 0..;
        partitions: Vec<DeleteRecordsPartition>, 0..;
    }

    /// An element of `DeleteRecordsTopic::partitions`.
    struct DeleteRecordsPartition {
        partition_index: i32, 0..;
        offset: i64, 0..;
    }

    /// The response of DeleteRecords.
    struct DeleteRecordsResponse<'a> {
        throttle_time_ms: i32, 0..;
        topics: Vec<DeleteRecordsTopicResult<'a>>, 0..;
    }

    /// An element of `DeleteRecordsResponse::topics`.
    struct DeleteRecordsTopicResult<'a> {
        name: &'a str, 0..;
        partitions: Vec<DeleteRecordsPartitionResult>, 0..;
    }

    /// An element of `DeleteRecordsTopicResult::partitions`.
    struct DeleteRecordsPartitionResult {
        partition_index: i32, 0..;
        low_watermark: i64, 0..;
        error_code: i16, 0..;
    }
}
