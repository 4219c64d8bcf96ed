//! DescribeTopicPartitions: topics and their partitions, a page at a time.

api! {
    DescribeTopicPartitions = 75 {
        versions: 0..=0,
        flexible: 0,
        request: DescribeTopicPartitionsRequest<'a>,
        response: DescribeTopicPartitionsResponse<'a>,
    }
}

tables! {
    /// The request of DescribeTopicPartitions.
    struct DescribeTopicPartitionsRequest<'a> {
        topics: Vec<TopicRequest<'a>>, 0..;
        response_partition_limit: i32, 0.., [default 2000];
        cursor: Option<Cursor<'a>>, 0.., [default None];
    }

    /// An element of `DescribeTopicPartitionsRequest::topics`.
    struct TopicRequest<'a> {
        name: &'a str, 0..;
    }

    /// The value of `DescribeTopicPartitionsRequest::cursor`.
    struct Cursor<'a> {
        topic_name: &'a str, 0..;
        partition_index: i32, 0..;
    }

    /// The response of DescribeTopicPartitions.
    struct DescribeTopicPartitionsResponse<'a> {
        throttle_time_ms: i32, 0.., [ignorable];
        topics: Vec<DescribeTopicPartitionsResponseTopic<'a>>, 0..;
        next_cursor: Option<Cursor<'a>>, 0.., [default None];
    }

    /// An element of `DescribeTopicPartitionsResponse::topics`.
    struct DescribeTopicPartitionsResponseTopic<'a> {
        error_code: i16, 0..;
        name: Option<&'a str>, 0..;
        topic_id: [u8; 16], 0.., [ignorable];
        is_internal: bool, 0.., [ignorable];
        partitions: Vec<DescribeTopicPartitionsResponsePartition>, 0..;
        topic_authorized_operations: i32, 0.., [default i32::MIN];
    }

    /// An element of `DescribeTopicPartitionsResponseTopic::partitions`.
    struct DescribeTopicPartitionsResponsePartition {
        error_code: i16, 0..;
        partition_index: i32, 0..;
        leader_id: i32, 0..;
        leader_epoch: i32, 0.., [ignorable, default -1];
        replica_nodes: Vec<i32>, 0..;
        isr_nodes: Vec<i32>, 0..;
        eligible_leader_replicas: Option<Vec<i32>>, 0.., [default None];
        last_known_elr: Option<Vec<i32>>, 0.., [default None];
        offline_replicas: Vec<i32>, 0.., [ignorable];
    }
}
