//! DescribeLogDirs: how large the partitions are, and where they lie.

api! {
    DescribeLogDirs = 35 {
        versions: 1..=5,
        flexible: 2,
        request: DescribeLogDirsRequest<'a>,
        response: DescribeLogDirsResponse<'a>,
    }
}

tables! {
    /// The request of DescribeLogDirs.
    struct DescribeLogDirsRequest<'a> {
        topics: Option<Vec<DescribableLogDirTopic<'a>>>, 0..;
    }

    /// An element of `DescribeLogDirsRequest::topics`.
    struct DescribableLogDirTopic<'a> {
        topic: &'a str, 0..;
        partitions: Vec<i32>, 0..;
    }

    /// The response of DescribeLogDirs.
    struct DescribeLogDirsResponse<'a> {
        throttle_time_ms: i32, 0..;
        error_code: i16, 3.., [ignorable];
        results: Vec<DescribeLogDirsResult<'a>>, 0..;
    }

    /// An element of `DescribeLogDirsResponse::results`.
    struct DescribeLogDirsResult<'a> {
        error_code: i16, 0..;
        log_dir: &'a str, 0..;
        topics: Vec<DescribeLogDirsTopic<'a>>, 0..;
        total_bytes: i64, 4.., [ignorable, default -1];
        usable_bytes: i64, 4.., [ignorable, default -1];
        is_cordoned: bool, 5.., [ignorable];
    }

    /// An element of `DescribeLogDirsResult::topics`.
    struct DescribeLogDirsTopic<'a> {
        name: &'a str, 0..;
        partitions: Vec<DescribeLogDirsPartition>, 0..;
    }

    /// An element of `DescribeLogDirsTopic::partitions`.
    struct DescribeLogDirsPartition {
        partition_index: i32, 0..;
        partition_size: i64, 0..;
        offset_lag: i64, 0..;
        is_future_key: bool, 0..;
    }
}
