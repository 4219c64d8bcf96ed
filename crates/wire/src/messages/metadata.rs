//! Metadata: the brokers, the topics and who leads their partitions.
//!
//! An empty list of topics means none from version 1 on and all in version 0; null means all.

api! {
    Metadata = 3 {
        versions: 0..=13,
        flexible: 9,
        request: MetadataRequest<'a>,
        response: MetadataResponse<'a>,
    }
}

tables! {
    /// The request of Metadata.
    struct MetadataRequest<'a> {
        topics: Option<Vec<MetadataRequestTopic<'a>>>, 0.., [nullable 1..];
        allow_auto_topic_creation: bool, 4.., [default true];
        include_cluster_authorized_operations: bool, 8..=10;
        include_topic_authorized_operations: bool, 8..;
    }

    /// An element of `MetadataRequest::topics`.
    struct MetadataRequestTopic<'a> {
        topic_id: [u8; 16], 10.., [ignorable];
        name: Option<&'a str>, 0.., [nullable 10..];
    }

    /// The response of Metadata.
    struct MetadataResponse<'a> {
        throttle_time_ms: i32, 3.., [ignorable];
        brokers: Vec<MetadataResponseBroker<'a>>, 0..;
        cluster_id: Option<&'a str>, 2.., [ignorable, default None];
        controller_id: i32, 1.., [ignorable, default -1];
        topics: Vec<MetadataResponseTopic<'a>>, 0..;
        cluster_authorized_operations: i32, 8..=10, [default i32::MIN];
        error_code: i16, 13.., [ignorable];
    }

    /// An element of `MetadataResponse::brokers`.
    struct MetadataResponseBroker<'a> {
        node_id: i32, 0..;
        host: &'a str, 0..;
        port: i32, 0..;
        rack: Option<&'a str>, 1.., [ignorable, default None];
    }

    /// An element of `MetadataResponse::topics`.
    struct MetadataResponseTopic<'a> {
        error_code: i16, 0..;
        name: Option<&'a str>, 0.., [nullable 12..];
        topic_id: [u8; 16], 10.., [ignorable];
        is_internal: bool, 1.., [ignorable];
        partitions: Vec<MetadataResponsePartition>, 0..;
        topic_authorized_operations: i32, 8.., [default i32::MIN];
    }

    /// An element of `MetadataResponseTopic::partitions`.
    struct MetadataResponsePartition {
        error_code: i16, 0..;
        partition_index: i32, 0..;
        leader_id: i32, 0..;
        leader_epoch: i32, 7.., [ignorable, default -1];
        replica_nodes: Vec<i32>, 0..;
        isr_nodes: Vec<i32>, 0..;
        offline_replicas: Vec<i32>, 5.., [ignorable];
    }
}
