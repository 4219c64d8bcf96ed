//! CreatePartitions: topics get more partitions.

api! {
    CreatePartitions = 37 {
        versions: 0..=3,
        flexible: 2,
        request: CreatePartitionsRequest<'a>,
        response: CreatePartitionsResponse<'a>,
    }
}

tables! {
    /// The request of CreatePartitions.
    struct CreatePartitionsRequest<'a> {
        topics: Vec<CreatePartitionsTopic<'a>>, 0..;
        timeout_ms: i32, 0..;
        validate_only: bool, 0..;
    }

    /// An element of `CreatePartitionsRequest::topics`.
    struct CreatePartitionsTopic<'a> {
        name: &'a str, 0..;
        count: i32, 0..;
        assignments: Option<Vec<CreatePartitionsAssignment>>, 0..;
    }

    /// An element of `CreatePartitionsTopic::assignments`.
    struct CreatePartitionsAssignment {
        broker_ids: Vec<i32>, 0..;
    }

    /// The response of CreatePartitions.
    struct CreatePartitionsResponse<'a> {
        throttle_time_ms: i32, 0..;
        results: Vec<CreatePartitionsTopicResult<'a>>, 0..;
    }

    /// An element of `CreatePartitionsResponse::results`.
    struct CreatePartitionsTopicResult<'a> {
        name: &'a str, 0..;
        error_code: i16, 0..;
        error_message: Option<&'a str>, 0.., [default None];
    }
}
