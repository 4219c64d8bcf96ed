//! DescribeCluster: the brokers of the cluster and its controller.

api! {
    DescribeCluster = 60 {
        versions: 0..=2,
        flexible: 0,
        request: DescribeClusterRequest,
        response: DescribeClusterResponse<'a>,
    }
}

tables! {
    /// The request of DescribeCluster.
    struct DescribeClusterRequest {
        include_cluster_authorized_operations: bool, 0..;
        endpoint_type: i8, 1.., [default 1];
        include_fenced_brokers: bool, 2..;
    }

    /// The response of DescribeCluster.
    struct DescribeClusterResponse<'a> {
        throttle_time_ms: i32, 0..;
        error_code: i16, 0..;
        error_message: Option<&'a str>, 0.., [default None];
        endpoint_type: i8, 1.., [default 1];
        cluster_id: &'a str, 0..;
        controller_id: i32, 0.., [default -1];
        brokers: Vec<DescribeClusterBroker<'a>>, 0..;
        cluster_authorized_operations: i32, 0.., [default i32::MIN];
    }

    /// An element of `DescribeClusterResponse::brokers`.
    struct DescribeClusterBroker<'a> {
        broker_id: i32, 0..;
        host: &'a str, 0..;
        port: i32, 0..;
        rack: Option<&'a str>, 0.., [default None];
        is_fenced: bool, 2..;
    }
}
