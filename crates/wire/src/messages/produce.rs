//! Produce: record batches from a client for partitions of this broker.
//!
//! From version 9 flexible, from 13 on topics are named by id instead of by name. Versions 0 to 2 are
//! advertised but do not exist: a client that believes the advertisement and sends one is hung up on.
//! A request with `acks` 0 is not answered.

use crate::Records;

api! {
    Produce = 0 {
        versions: 3..=13,
        flexible: 9,
        advertised_from: 0,
        request: ProduceRequest<'a>,
        response: ProduceResponse<'a>,
    }
}

tables! {
    /// The request of Produce.
    struct ProduceRequest<'a> {
        transactional_id: Option<&'a str>, 3.., [default None];
        acks: i16, 0..;
        timeout_ms: i32, 0..;
        topic_data: Vec<TopicProduceData<'a>>, 0..;
    }

    /// An element of `ProduceRequest::topic_data`.
    struct TopicProduceData<'a> {
        name: &'a str, 0..=12, [ignorable];
        topic_id: [u8; 16], 13.., [ignorable];
        partition_data: Vec<PartitionProduceData>, 0..;
    }

    /// An element of `TopicProduceData::partition_data`.
    struct PartitionProduceData {
        index: i32, 0..;
        records: Option<Records>, 0..;
    }

    /// The response of Produce.
    struct ProduceResponse<'a> {
        responses: Vec<TopicProduceResponse<'a>>, 0..;
        throttle_time_ms: i32, 1.., [ignorable];
        node_endpoints: Vec<NodeEndpoint<'a>>, 10.., [tag 0];
    }

    /// An element of `ProduceResponse::responses`.
    struct TopicProduceResponse<'a> {
        name: &'a str, 0..=12, [ignorable];
        topic_id: [u8; 16], 13.., [ignorable];
        partition_responses: Vec<PartitionProduceResponse<'a>>, 0..;
    }

    /// An element of `TopicProduceResponse::partition_responses`.
    struct PartitionProduceResponse<'a> {
        index: i32, 0..;
        error_code: i16, 0..;
        base_offset: i64, 0..;
        log_append_time_ms: i64, 2.., [ignorable, default -1];
        log_start_offset: i64, 5.., [ignorable, default -1];
        record_errors: Vec<BatchIndexAndErrorMessage<'a>>, 8.., [ignorable];
        error_message: Option<&'a str>, 8.., [ignorable, default None];
        current_leader: LeaderIdAndEpoch, 10.., [tag 0];
    }

    /// An element of `PartitionProduceResponse::record_errors`.
    struct BatchIndexAndErrorMessage<'a> {
        batch_index: i32, 8..;
        batch_index_error_message: Option<&'a str>, 8.., [default None];
    }

    /// The value of `PartitionProduceResponse::current_leader`.
    struct LeaderIdAndEpoch {
        leader_id: i32, 10.., [default -1];
        leader_epoch: i32, 10.., [default -1];
    }

    /// An element of `ProduceResponse::node_endpoints`.
    struct NodeEndpoint<'a> {
        node_id: i32, 10..;
        host: &'a str, 10..;
        port: i32, 10..;
        rack: Option<&'a str>, 10.., [default None];
    }
}
