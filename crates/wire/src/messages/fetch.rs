//! Fetch: record batches from partitions, for a consumer.
//!
//! From version 7 on within a fetch session, which remembers the partitions asked for so that only
//! changes are sent; from 12 flexible; from 13 on topics are named by id instead of by name.

use crate::Records;

api! {
    Fetch = 1 {
        versions: 4..=18,
        flexible: 12,
        request: FetchRequest<'a>,
        response: FetchResponse<'a>,
    }
}

tables! {
    /// The request of Fetch.
    struct FetchRequest<'a> {
        cluster_id: Option<&'a str>, 12.., [tag 0, ignorable, default None];
        replica_id: i32, 0..=14, [default -1];
        replica_state: ReplicaState, 15.., [tag 1];
        max_wait_ms: i32, 0..;
        min_bytes: i32, 0..;
        max_bytes: i32, 3.., [ignorable, default i32::MAX];
        isolation_level: i8, 4.., [ignorable];
        session_id: i32, 7.., [ignorable];
        session_epoch: i32, 7.., [ignorable, default -1];
        topics: Vec<FetchTopic<'a>>, 0..;
        forgotten_topics_data: Vec<ForgottenTopic<'a>>, 7..;
        rack_id: &'a str, 11.., [ignorable];
    }

    /// The value of `FetchRequest::replica_state`.
    struct ReplicaState {
        replica_id: i32, 15.., [default -1];
        replica_epoch: i64, 15.., [default -1];
    }

    /// An element of `FetchRequest::topics`.
    struct FetchTopic<'a> {
        topic: &'a str, 0..=12, [ignorable];
        topic_id: [u8; 16], 13.., [ignorable];
        partitions: Vec<FetchPartition>, 0..;
    }

    /// An element of `FetchTopic::partitions`.
    struct FetchPartition {
        partition: i32, 0..;
        current_leader_epoch: i32, 9.., [ignorable, default -1];
        fetch_offset: i64, 0..;
        last_fetched_epoch: i32, 12.., [default -1];
        log_start_offset: i64, 5.., [ignorable, default -1];
        partition_max_bytes: i32, 0..;
        replica_directory_id: [u8; 16], 17.., [tag 0, ignorable];
        high_watermark: i64, 18.., [tag 1, ignorable, default i64::MAX];
    }

    /// An element of `FetchRequest::forgotten_topics_data`.
    struct ForgottenTopic<'a> {
        topic: &'a str, 7..=12, [ignorable];
        topic_id: [u8; 16], 13.., [ignorable];
        partitions: Vec<i32>, 7..;
    }

    /// The response of Fetch.
    struct FetchResponse<'a> {
        throttle_time_ms: i32, 1.., [ignorable];
        error_code: i16, 7.., [ignorable];
        session_id: i32, 7..;
        responses: Vec<FetchableTopicResponse<'a>>, 0..;
        node_endpoints: Vec<NodeEndpoint<'a>>, 16.., [tag 0];
    }

    /// An element of `FetchResponse::responses`.
    struct FetchableTopicResponse<'a> {
        topic: &'a str, 0..=12, [ignorable];
        topic_id: [u8; 16], 13.., [ignorable];
        partitions: Vec<PartitionData>, 0..;
    }

    /// An element of `FetchableTopicResponse::partitions`.
    struct PartitionData {
        partition_index: i32, 0..;
        error_code: i16, 0..;
        high_watermark: i64, 0..;
        last_stable_offset: i64, 4.., [ignorable, default -1];
        log_start_offset: i64, 5.., [ignorable, default -1];
        diverging_epoch: EpochEndOffset, 12.., [tag 0];
        current_leader: LeaderIdAndEpoch, 12.., [tag 1];
        snapshot_id: SnapshotId, 12.., [tag 2];
        aborted_transactions: Option<Vec<AbortedTransaction>>, 4.., [ignorable];
        preferred_read_replica: i32, 11.., [default -1];
        records: Option<Records>, 0..;
    }

    /// The value of `PartitionData::diverging_epoch`.
    struct EpochEndOffset {
        epoch: i32, 12.., [default -1];
        end_offset: i64, 12.., [default -1];
    }

    /// The value of `PartitionData::current_leader`.
    struct LeaderIdAndEpoch {
        leader_id: i32, 12.., [default -1];
        leader_epoch: i32, 12.., [default -1];
    }

    /// The value of `PartitionData::snapshot_id`.
    struct SnapshotId {
        end_offset: i64, 0.., [default -1];
        epoch: i32, 0.., [default -1];
    }

    /// An element of `PartitionData::aborted_transactions`.
    struct AbortedTransaction {
        producer_id: i64, 4..;
        first_offset: i64, 4..;
    }

    /// An element of `FetchResponse::node_endpoints`.
    struct NodeEndpoint<'a> {
        node_id: i32, 16..;
        host: &'a str, 16..;
        port: i32, 16..;
        rack: Option<&'a str>, 16.., [default None];
    }
}
