//! DescribeProducers: the producers that a partition remembers.

api! {
    DescribeProducers = 61 {
        versions: 0..=0,
        flexible: 0,
        request: DescribeProducersRequest<'a>,
        response: DescribeProducersResponse<'a>,
    }
}

tables! {
    /// The request of DescribeProducers.
    struct DescribeProducersRequest<'a> {
        topics: Vec<TopicRequest<'a>>, 0..;
    }

    /// An element of `DescribeProducersRequest::topics`.
    struct TopicRequest<'a> {
        name: &'a str, 0..;
        partition_indexes: Vec<i32>, 0..;
    }

    /// The response of DescribeProducers.
    struct DescribeProducersResponse<'a> {
        throttle_time_ms: i32, 0..;
        topics: Vec<TopicResponse<'a>>, 0..;
    }

    /// An element of `DescribeProducersResponse::topics`.
    struct TopicResponse<'a> {
        name: &'a str, 0..;
        partitions: Vec<PartitionResponse<'a>>, 0..;
    }

    /// An element of `TopicResponse::partitions`.
    struct PartitionResponse<'a> {
        partition_index: i32, 0..;
        error_code: i16, 0..;
        error_message: Option<&'a str>, 0.., [default None];
        active_producers: Vec<ProducerState>, 0..;
    }

    /// An element of `PartitionResponse::active_producers`.
    struct ProducerState {
        producer_id: i64, 0..;
        producer_epoch: i32, 0..;
        last_sequence: i32, 0.., [default -1];
        last_timestamp: i64, 0.., [default -1];
        coordinator_epoch: i32, 0..;
        current_txn_start_offset: i64, 0.., [default -1];
    }
}
