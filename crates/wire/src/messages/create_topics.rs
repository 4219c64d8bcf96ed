//! CreateTopics: new topics with their partitions and configs.

api! {
    CreateTopics = 19 {
        versions: 2..=7,
        flexible: 5,
        request: CreateTopicsRequest<'a>,
        response: CreateTopicsResponse<'a>,
    }
}

tables! {
    /// The request of CreateTopics.
    struct CreateTopicsRequest<'a> {
        topics: Vec<CreatableTopic<'a>>, 0..;
        timeout_ms: i32, 0.., [default 60000];
        validate_only: bool, 1..;
    }

    /// An element of `CreateTopicsRequest::topics`.
    struct CreatableTopic<'a> {
        name: &'a str, 0..;
        num_partitions: i32, 0..;
        replication_factor: i16, 0..;
        assignments: Vec<CreatableReplicaAssignment>, 0..;
        configs: Vec<CreatableTopicConfig<'a>>, 0..;
    }

    /// An element of `CreatableTopic::assignments`.
    struct CreatableReplicaAssignment {
        partition_index: i32, 0..;
        broker_ids: Vec<i32>, 0..;
    }

    /// An element of `CreatableTopic::configs`.
    struct CreatableTopicConfig<'a> {
        name: &'a str, 0..;
        value: Option<&'a str>, 0..;
    }

    /// The response of CreateTopics.
    struct CreateTopicsResponse<'a> {
        throttle_time_ms: i32, 2.., [ignorable];
        topics: Vec<CreatableTopicResult<'a>>, 0..;
    }

    /// An element of `CreateTopicsResponse::topics`.
    struct CreatableTopicResult<'a> {
        name: &'a str, 0..;
        topic_id: [u8; 16], 7.., [ignorable];
        error_code: i16, 0..;
        error_message: Option<&'a str>, 1.., [ignorable];
        topic_config_error_code: i16, 5.., [tag 0, ignorable];
        num_partitions: i32, 5.., [ignorable, default -1];
        replication_factor: i16, 5.., [ignorable, default -1];
        configs: Option<Vec<CreatableTopicConfigs<'a>>>, 5.., [ignorable];
    }

    /// An element of `CreatableTopicResult::configs`.
    struct CreatableTopicConfigs<'a> {
        name: &'a str, 5..;
        value: Option<&'a str>, 5..;
        read_only: bool, 5..;
        config_source: i8, 5.., [ignorable, default -1];
        is_sensitive: bool, 5..;
    }
}
