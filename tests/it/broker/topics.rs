//! Topics come, grow and go.

use super::ground::*;
use std::time::Duration;
use taffrail_env::Clock;
use taffrail_wire::create_partitions::CreatePartitionsTopic;
use taffrail_wire::create_topics::CreatableReplicaAssignment;
use taffrail_wire::delete_records::{DeleteRecordsPartition, DeleteRecordsTopic};
use taffrail_wire::delete_topics::DeleteTopicState;
use taffrail_wire::describe_producers::TopicRequest as DescribedTopic;
use taffrail_wire::describe_topic_partitions::{Cursor, TopicRequest};
use taffrail_wire::metadata::MetadataRequestTopic;
use taffrail_wire::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse,
    DeleteRecordsRequest, DeleteRecordsResponse, DeleteTopicsRequest, DeleteTopicsResponse,
    DescribeClusterRequest, DescribeClusterResponse, DescribeProducersRequest,
    DescribeProducersResponse, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse,
    ErrorCode, MetadataRequest, MetadataResponse,
};

impl Peer {
    /// Deletes a topic.
    pub async fn delete(&mut self, name: &str) -> i16 {
        let request = DeleteTopicsRequest {
            topic_names: vec![name],
            ..DeleteTopicsRequest::default()
        };
        let reply = self.call(5, &request).await;
        reply.read::<DeleteTopicsResponse<'_>>().responses[0].error_code
    }
}

#[test]
fn a_topic_that_cannot_be_is_refused_with_a_reason_and_does_not_stop_the_others() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        peer.create("taken", 1, &[]).await;
        peer.create("dots.and", 1, &[]).await;
        let long = "x".repeat(250);
        let mut two_replicas = new_topic("two", 1, &[]);
        two_replicas.replication_factor = 2;
        let mut assigned = new_topic("assigned", -1, &[]);
        assigned.assignments = vec![CreatableReplicaAssignment {
            partition_index: 0,
            broker_ids: vec![9],
        }];
        let cases = vec![
            (new_topic("", 1, &[]), 17),
            (new_topic("..", 1, &[]), 17),
            (new_topic("a b", 1, &[]), 17),
            (new_topic(&long, 1, &[]), 17),
            (new_topic("dots_and", 1, &[]), 17),
            (new_topic("__consumer_offsets", 1, &[]), 17),
            (new_topic("taken", 1, &[]), 36),
            (new_topic("none", 0, &[]), 37),
            (new_topic("many", 1_000_000, &[]), 37),
            (two_replicas, 38),
            (assigned, 39),
            (new_topic("config", 1, &[("retention.md", "1")]), 40),
            (
                new_topic("compact", 1, &[("cleanup.policy", "compact")]),
                40,
            ),
            (new_topic("good", 2, &[("retention.ms", "1000")]), 0),
        ];
        let errors: Vec<i16> = cases.iter().map(|(_, error)| *error).collect();
        let request = CreateTopicsRequest {
            topics: cases.into_iter().map(|(topic, _)| topic).collect(),
            ..CreateTopicsRequest::default()
        };
        let reply = peer.call(7, &request).await;
        let response: CreateTopicsResponse<'_> = reply.read();
        for (topic, error) in response.topics.iter().zip(errors) {
            assert_eq!(topic.error_code, error, "{:?}", topic.name);
            assert_eq!(
                topic.error_message.is_some(),
                error != 0,
                "{:?}",
                topic.name
            );
        }
        let good = response.topics.last().expect("the good one");
        assert_eq!((good.num_partitions, good.replication_factor), (2, 1));
        assert_eq!(peer.fetch("good", 1, 0).await.0, 0);
    });
}

#[test]
fn validating_creates_nothing() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        let request = CreateTopicsRequest {
            topics: vec![new_topic("t", -1, &[])],
            validate_only: true,
            ..CreateTopicsRequest::default()
        };
        let reply = peer.call(7, &request).await;
        assert_eq!(
            reply.read::<CreateTopicsResponse<'_>>().topics[0].error_code,
            0
        );
        assert_eq!(peer.fetch("t", 0, 0).await.0, 3);
    });
}

#[test]
fn a_topic_is_created_on_first_use_where_that_is_allowed() {
    let ask = |allow| MetadataRequest {
        topics: Some(vec![MetadataRequestTopic {
            name: Some("first"),
            ..MetadataRequestTopic::default()
        }]),
        allow_auto_topic_creation: allow,
        ..MetadataRequest::default()
    };
    let mut settings = config(1);
    set(&mut settings, "num.partitions", "3");
    story(settings, move |place| async move {
        let mut peer = place.peer().await;
        let reply = peer.call(9, &ask(false)).await;
        assert_eq!(reply.read::<MetadataResponse<'_>>().topics[0].error_code, 3);
        let reply = peer.call(9, &ask(true)).await;
        let response: MetadataResponse<'_> = reply.read();
        assert_eq!(response.topics[0].error_code, 0);
        assert_eq!(response.topics[0].partitions.len(), 3);
        let batch = peer.batch(&[b"x"]);
        assert_eq!(peer.produce("first", 2, batch).await, (0, 0));
    });
    let mut settings = config(1);
    set(&mut settings, "auto.create.topics.enable", "false");
    story(settings, move |place| async move {
        let mut peer = place.peer().await;
        let reply = peer.call(9, &ask(true)).await;
        assert_eq!(reply.read::<MetadataResponse<'_>>().topics[0].error_code, 3);
    });
}

#[test]
fn metadata_names_the_broker_the_topics_and_their_ids() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        peer.create("b", 2, &[]).await;
        peer.create("a", 1, &[]).await;
        for version in 0..=13 {
            let request = MetadataRequest {
                // Version 0 has no null; there an empty list is all.
                topics: (version == 0).then(Vec::new),
                ..MetadataRequest::default()
            };
            let reply = peer.call(version, &request).await;
            let response: MetadataResponse<'_> = reply.read();
            assert_eq!(response.brokers.len(), 1);
            assert_eq!(
                (response.brokers[0].node_id, response.brokers[0].port),
                (1, 9092)
            );
            let names: Vec<_> = response.topics.iter().map(|topic| topic.name).collect();
            assert_eq!(names, [Some("a"), Some("b")]);
            assert_eq!(response.topics[1].partitions[1].leader_id, 1);
        }
        let request = MetadataRequest {
            topics: Some(vec![MetadataRequestTopic {
                topic_id: [5; 16],
                name: None,
            }]),
            ..MetadataRequest::default()
        };
        let reply = peer.call(12, &request).await;
        assert_eq!(
            reply.read::<MetadataResponse<'_>>().topics[0].error_code,
            100
        );
        let reply = peer.call(1, &DescribeClusterRequest::default()).await;
        let response: DescribeClusterResponse<'_> = reply.read();
        assert_eq!((response.error_code, response.brokers[0].broker_id), (0, 1));
        assert_eq!(response.cluster_id.len(), 22);
    });
}

#[test]
fn a_topic_that_was_deleted_and_made_again_is_another_topic() {
    story(config(2), |place| async move {
        let mut peer = place.peer().await;
        peer.create("t", 3, &[]).await;
        let old = peer.topic_id("t").await;
        for partition in 0..3 {
            let batch = peer.batch(&[b"old"]);
            peer.produce("t", partition, batch).await;
        }
        assert_eq!(peer.delete("t").await, 0);
        assert_eq!(peer.delete("t").await, 3);
        peer.create("t", 3, &[]).await;
        let new = peer.topic_id("t").await;
        assert_ne!(old, new);
        for partition in 0..3 {
            let (error, high_watermark, bytes) = peer.fetch("t", partition, 0).await;
            assert_eq!((error, high_watermark, bytes.len()), (0, 0, 0));
        }
        let request = DeleteTopicsRequest {
            topics: vec![
                DeleteTopicState {
                    name: None,
                    topic_id: new,
                },
                DeleteTopicState {
                    name: None,
                    topic_id: old,
                },
            ],
            ..DeleteTopicsRequest::default()
        };
        let reply = peer.call(6, &request).await;
        let response: DeleteTopicsResponse<'_> = reply.read();
        assert_eq!(response.responses[0].error_code, 0);
        assert_eq!(response.responses[0].name, Some("t"));
        assert_eq!(response.responses[1].error_code, 100);
    });
}

#[test]
fn a_topic_whose_deletion_is_asked_for_twice_stays_and_is_told_once() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        peer.create("t", 1, &[]).await;
        let id = peer.topic_id("t").await;
        let request = DeleteTopicsRequest {
            topic_names: vec!["t", "nowhere", "t"],
            ..DeleteTopicsRequest::default()
        };
        let reply = peer.call(5, &request).await;
        let response: DeleteTopicsResponse<'_> = reply.read();
        let topics = response.responses.iter();
        let answers: Vec<_> = topics.map(|topic| (topic.name, topic.error_code)).collect();
        assert_eq!(answers, [(Some("t"), 42), (Some("nowhere"), 3)]);
        let by_id = || DeleteTopicState {
            name: None,
            topic_id: id,
        };
        let request = DeleteTopicsRequest {
            topics: vec![by_id(), by_id()],
            ..DeleteTopicsRequest::default()
        };
        let reply = peer.call(6, &request).await;
        let response: DeleteTopicsResponse<'_> = reply.read();
        assert_eq!(response.responses.len(), 1);
        assert_eq!(response.responses[0].error_code, 42);
        assert_eq!(peer.delete("t").await, 0);
    });
}

#[test]
fn a_topic_is_deleted_by_name_or_by_id_and_not_by_both() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        peer.create("t", 1, &[]).await;
        peer.create("u", 1, &[]).await;
        let id = peer.topic_id("t").await;
        let named = |name| DeleteTopicState {
            name: Some(name),
            topic_id: [0; 16],
        };
        let by_id = DeleteTopicState {
            name: None,
            topic_id: id,
        };
        let both = DeleteTopicState {
            name: Some("t"),
            topic_id: id,
        };
        let cases = [
            (vec![DeleteTopicState::default()], vec![(None, [0; 16], 42)]),
            (vec![both], vec![(Some("t"), id, 42)]),
            (vec![by_id.clone(), named("t")], vec![(Some("t"), id, 42)]),
            (
                vec![named("t"), by_id.clone(), by_id.clone()],
                vec![(Some("t"), id, 42), (None, id, 42)],
            ),
            (
                vec![named("t"), named("t"), by_id],
                vec![(Some("t"), [0; 16], 42), (Some("t"), id, 0)],
            ),
        ];
        for (topics, expected) in cases {
            assert_eq!(peer.fetch("t", 0, 0).await.0, 0, "it is there");
            let request = DeleteTopicsRequest {
                topics,
                ..DeleteTopicsRequest::default()
            };
            let reply = peer.call(6, &request).await;
            let response: DeleteTopicsResponse<'_> = reply.read();
            let answers = response.responses.iter();
            let answers: Vec<_> = answers
                .map(|topic| (topic.name, topic.topic_id, topic.error_code))
                .collect();
            assert_eq!(answers, expected);
        }
        assert_eq!(peer.fetch("t", 0, 0).await.0, 3);
    });
}

#[test]
fn metadata_is_asked_for_by_id_or_by_name_and_told_once() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        peer.create("t", 1, &[]).await;
        peer.create("u", 1, &[]).await;
        let id = peer.topic_id("t").await;
        let (none, other) = ([0; 16], [7; 16]);
        let cases = [
            (
                10,
                vec![(none, Some("t")), (none, Some("t"))],
                vec![(Some("t"), id, 0)],
            ),
            (
                10,
                vec![(none, Some("u")), (none, None)],
                vec![(Some("u"), none, 42), (Some(""), none, 42)],
            ),
            (11, vec![(id, None)], vec![(Some(""), id, 42)]),
            (11, vec![(id, Some("t"))], vec![(Some("t"), id, 42)]),
            (12, vec![(id, None), (id, None)], vec![(Some("t"), id, 0)]),
            // Where there is an id, names do not count.
            (12, vec![(id, Some("u"))], vec![(Some("t"), id, 0)]),
            (
                12,
                vec![(none, Some("u")), (id, None)],
                vec![(Some("t"), id, 0)],
            ),
            (12, vec![(other, Some("u"))], vec![(None, other, 100)]),
            (12, vec![(none, None)], vec![(Some(""), none, -1)]),
            (
                13,
                vec![(none, None), (none, Some("t"))],
                vec![(Some(""), none, -1), (Some("t"), none, -1)],
            ),
        ];
        for (version, asked, expected) in cases {
            let topics = asked.iter().map(|(topic_id, name)| MetadataRequestTopic {
                topic_id: *topic_id,
                name: *name,
            });
            let request = MetadataRequest {
                topics: Some(topics.collect()),
                allow_auto_topic_creation: false,
                ..MetadataRequest::default()
            };
            let reply = peer.call(version, &request).await;
            let response: MetadataResponse<'_> = reply.read();
            let told = response.topics.iter();
            let told: Vec<_> = told
                .map(|topic| (topic.name, topic.topic_id, topic.error_code))
                .collect();
            assert_eq!(told, expected, "version {version}: {asked:?}");
            if version >= 13 {
                assert_eq!(response.error_code, -1);
            }
        }
    });
}

#[test]
fn an_endpoint_of_an_unknown_kind_is_not_supported() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        for (endpoint_type, error) in [(1, 0), (2, 114), (9, 115), (0, 115)] {
            let request = DescribeClusterRequest {
                endpoint_type,
                ..DescribeClusterRequest::default()
            };
            let reply = peer.call(1, &request).await;
            let response: DescribeClusterResponse<'_> = reply.read();
            assert_eq!(response.error_code, error);
        }
    });
}

#[test]
fn deleting_can_be_forbidden() {
    let mut config = config(1);
    set(&mut config, "delete.topic.enable", "false");
    story(config, |place| async move {
        let mut peer = place.peer().await;
        peer.create("t", 1, &[]).await;
        assert_eq!(peer.delete("t").await, 73);
        assert_eq!(peer.fetch("t", 0, 0).await.0, 0);
    });
}

#[test]
fn a_topic_gets_more_partitions_and_never_fewer() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        peer.create("t", 2, &[]).await;
        for (name, count, validate_only, error) in [
            ("t", 1, false, 37),
            ("t", 2, false, 37),
            ("nowhere", 5, false, 3),
            ("t", 4, true, 0),
            ("t", 4, false, 0),
        ] {
            let request = CreatePartitionsRequest {
                topics: vec![CreatePartitionsTopic {
                    name,
                    count,
                    assignments: None,
                }],
                validate_only,
                ..CreatePartitionsRequest::default()
            };
            let existing = peer.fetch("t", 3, 0).await.0;
            assert_eq!(existing, 3);
            let reply = peer.call(3, &request).await;
            let response: CreatePartitionsResponse<'_> = reply.read();
            assert_eq!(response.results[0].error_code, error, "{name} {count}");
        }
        let batch = peer.batch(&[b"x"]);
        assert_eq!(peer.produce("t", 3, batch).await, (0, 0));
    });
}

pub async fn forget(peer: &mut Peer, offset: i64) -> (i16, i64) {
    let request = DeleteRecordsRequest {
        topics: vec![DeleteRecordsTopic {
            name: "t",
            partitions: vec![DeleteRecordsPartition {
                partition_index: 0,
                offset,
            }],
        }],
        ..DeleteRecordsRequest::default()
    };
    let reply = peer.call(2, &request).await;
    let response: DeleteRecordsResponse<'_> = reply.read();
    let partition = &response.topics[0].partitions[0];
    (partition.error_code, partition.low_watermark)
}

#[test]
fn records_before_an_offset_can_be_forgotten() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        peer.create("t", 1, &[]).await;
        for _ in 0..5 {
            let batch = peer.batch(&[b"x"]);
            peer.produce("t", 0, batch).await;
        }
        assert_eq!(forget(&mut peer, 3).await, (0, 3));
        assert_eq!(peer.fetch("t", 0, 2).await.0, 1);
        assert_eq!(peer.fetch("t", 0, 3).await.0, 0);
        assert_eq!(forget(&mut peer, 1).await, (0, 3), "it never goes back");
        assert_eq!(forget(&mut peer, 6).await.0, 1);
        assert_eq!(forget(&mut peer, -2).await.0, 1);
        assert_eq!(forget(&mut peer, -1).await, (0, 5));
    });
}

#[test]
fn partitions_are_described_a_page_at_a_time() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        peer.create("a", 3, &[]).await;
        peer.create("b", 2, &[]).await;
        let mut cursor: Option<(String, i32)> = None;
        let mut seen = Vec::new();
        loop {
            let request = DescribeTopicPartitionsRequest {
                topics: ["b", "a"].map(|name| TopicRequest { name }).to_vec(),
                response_partition_limit: 2,
                cursor: cursor.as_ref().map(|(name, index)| Cursor {
                    topic_name: name,
                    partition_index: *index,
                }),
            };
            let reply = peer.call(0, &request).await;
            let response: DescribeTopicPartitionsResponse<'_> = reply.read();
            for topic in &response.topics {
                let name = topic.name.expect("a name");
                seen.extend(
                    topic
                        .partitions
                        .iter()
                        .map(|p| (name.to_string(), p.partition_index)),
                );
            }
            match response.next_cursor {
                Some(next) => cursor = Some((next.topic_name.to_string(), next.partition_index)),
                None => break,
            }
        }
        let expected = [("a", 0), ("a", 1), ("a", 2), ("b", 0), ("b", 1)];
        let seen: Vec<_> = seen
            .iter()
            .map(|(name, index)| (name.as_str(), *index))
            .collect();
        assert_eq!(seen, expected);
    });
}

#[test]
fn of_two_offsets_to_forget_one_partition_to_the_last_counts() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        peer.create("t", 2, &[]).await;
        for _ in 0..3 {
            let batch = peer.batch(&[b"x"]);
            peer.produce("t", 0, batch).await;
        }
        let topic = |name, offsets: &[(i32, i64)]| DeleteRecordsTopic {
            name,
            partitions: offsets
                .iter()
                .map(|(partition_index, offset)| DeleteRecordsPartition {
                    partition_index: *partition_index,
                    offset: *offset,
                })
                .collect(),
        };
        let request = DeleteRecordsRequest {
            topics: vec![
                topic("t", &[(0, 3), (1, 0), (0, 99)]),
                topic("nowhere", &[(0, 0)]),
                topic("t", &[(0, 2)]),
            ],
            ..DeleteRecordsRequest::default()
        };
        let reply = peer.call(2, &request).await;
        let response: DeleteRecordsResponse<'_> = reply.read();
        let mut told = Vec::new();
        for topic in &response.topics {
            let partitions = topic.partitions.iter();
            told.extend(partitions.map(|partition| {
                let index = partition.partition_index;
                (
                    topic.name,
                    index,
                    partition.low_watermark,
                    partition.error_code,
                )
            }));
        }
        assert_eq!(
            told,
            [("t", 0, 2, 0), ("t", 1, 0, 0), ("nowhere", 0, -1, 3)]
        );
    });
}

#[test]
fn a_page_begins_at_a_partition_that_was_asked_for() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        peer.create("a", 3, &[]).await;
        peer.create("b", 2, &[]).await;
        let cases = [
            (vec!["b", "a"], ("a", 1), vec![("a", 0), ("b", 0)]),
            (vec!["b", "a"], ("a", -1), vec![("b", 42), ("a", 42)]),
            (vec!["b", "a"], ("aa", 0), vec![("b", 42), ("a", 42)]),
            (vec!["b", "zz"], ("zz", 0), vec![("zz", 3)]),
            (vec![], ("aa", 0), vec![("b", 0)]),
            (vec![], ("a", -1), vec![]),
        ];
        for (topics, (topic_name, partition_index), expected) in cases {
            let request = DescribeTopicPartitionsRequest {
                topics: topics.iter().map(|name| TopicRequest { name }).collect(),
                response_partition_limit: 100,
                cursor: Some(Cursor {
                    topic_name,
                    partition_index,
                }),
            };
            let reply = peer.call(0, &request).await;
            let response: DescribeTopicPartitionsResponse<'_> = reply.read();
            let told = response.topics.iter();
            let told: Vec<_> = told
                .map(|topic| (topic.name.unwrap_or_default(), topic.error_code))
                .collect();
            assert_eq!(told, expected, "{topic_name} {partition_index}");
        }
    });
}

#[test]
fn a_value_as_long_as_strings_can_be_is_refused_in_a_few_words() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        for (name, value) in [("a", "x".repeat(32_760)), ("b", "\u{1}".repeat(10_000))] {
            let request = CreateTopicsRequest {
                topics: vec![
                    new_topic(name, 1, &[]),
                    new_topic("bad", 1, &[("retention.ms", &value)]),
                ],
                ..CreateTopicsRequest::default()
            };
            let reply = peer.call(7, &request).await;
            let response: CreateTopicsResponse<'_> = reply.read();
            let errors = response.topics.iter().map(|topic| topic.error_code);
            assert_eq!(errors.collect::<Vec<_>>(), [0, 40]);
            let text = response.topics[1].error_message.expect("a reason");
            assert!(text.starts_with("Invalid value"), "{text}");
            assert!(text.ends_with("..."), "{text}");
            assert!(text.len() <= 1024, "{text}");
        }
    });
}

#[test]
fn producers_of_a_topic_that_cannot_be_are_not_described() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        peer.create("t", 1, &[]).await;
        let topic = |name| DescribedTopic {
            name,
            partition_indexes: vec![0],
        };
        let request = DescribeProducersRequest {
            topics: ["", "t", "a/b", "nowhere"].map(topic).to_vec(),
        };
        let reply = peer.call(0, &request).await;
        let response: DescribeProducersResponse<'_> = reply.read();
        let errors = response.topics.iter();
        let errors: Vec<_> = errors.map(|topic| topic.partitions[0].error_code).collect();
        assert_eq!(errors, [17, 0, 17, 3]);
    });
}

#[test]
fn producers_that_are_asked_for_again_and_again_are_described_once() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        peer.create("t", 2, &[]).await;
        let topic = |(name, partition_indexes)| DescribedTopic {
            name,
            partition_indexes,
        };
        let again = [1, 0, 7].repeat(10_000);
        let topics = [("t", again), ("u", vec![0]), ("t", vec![0, 8])];
        let request = DescribeProducersRequest {
            topics: topics.map(topic).to_vec(),
        };
        let reply = peer.call(0, &request).await;
        let response: DescribeProducersResponse<'_> = reply.read();
        let told = response.topics.iter().flat_map(|topic| {
            let partitions = topic.partitions.iter();
            partitions.map(|told| (topic.name, told.partition_index, told.error_code))
        });
        let expected = [
            ("t", 1, 0),
            ("t", 0, 0),
            ("t", 7, 3),
            ("t", 8, 3),
            ("u", 0, 3),
        ];
        assert_eq!(told.collect::<Vec<_>>(), expected);
    });
}

#[test]
fn old_records_go_when_their_time_is_over() {
    let mut config = config(1);
    set(&mut config, "log.retention.check.interval.ms", "1000");
    story(config, |place| async move {
        let mut peer = place.peer().await;
        let configs = [("retention.ms", "60000"), ("segment.ms", "10000")];
        peer.create("t", 1, &configs).await;
        let batch = peer.batch(&[b"x"]);
        peer.produce("t", 0, batch).await;
        place.env.sleep(Duration::from_secs(30)).await;
        assert_eq!(peer.fetch("t", 0, 0).await.0, 0);
        place.env.sleep(Duration::from_secs(45)).await;
        assert_eq!(peer.fetch("t", 0, 0).await.0, 1);
        let batch = peer.batch(&[b"y"]);
        assert_eq!(peer.produce("t", 0, batch).await, (0, 1));
        assert_eq!(peer.fetch("t", 0, 1).await.0, 0);
    });
}

#[test]
fn a_thousand_topics_come_and_go_in_one_request_each() {
    story(config(2), |place| async move {
        let mut peer = place.peer().await;
        let names: Vec<String> = (0..1000).map(|number| format!("topic-{number}")).collect();
        let request = CreateTopicsRequest {
            topics: names.iter().map(|name| new_topic(name, 1, &[])).collect(),
            ..CreateTopicsRequest::default()
        };
        let reply = peer.call(7, &request).await;
        let response: CreateTopicsResponse<'_> = reply.read();
        assert!(response.topics.iter().all(|topic| topic.error_code == 0));
        let batch = peer.batch(&[b"x"]);
        assert_eq!(peer.produce("topic-999", 0, batch).await, (0, 0));
        let request = DeleteTopicsRequest {
            topic_names: names.iter().map(String::as_str).collect(),
            ..DeleteTopicsRequest::default()
        };
        let reply = peer.call(5, &request).await;
        let response: DeleteTopicsResponse<'_> = reply.read();
        assert!(response.responses.iter().all(|topic| topic.error_code == 0));
        assert_eq!(place.inspect().await.partitions, []);
    });
}

#[test]
fn a_request_may_not_ask_for_more_partitions_than_are_planned_at_once() {
    const POLICY_VIOLATION: i16 = ErrorCode::PolicyViolation as i16;
    const INVALID_PARTITIONS: i16 = ErrorCode::InvalidPartitions as i16;
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        let cases = [
            ([("a", 9_999), ("b", 2)], [POLICY_VIOLATION; 2]),
            // Without a number it is the broker's: 1.
            ([("a", 10_000), ("b", -1)], [POLICY_VIOLATION; 2]),
            ([("a", 10_001), ("b", 3)], [INVALID_PARTITIONS, 0]),
        ];
        for (topics, errors) in cases {
            let topics = topics.iter();
            let request = CreateTopicsRequest {
                topics: topics.map(|(name, n)| new_topic(name, *n, &[])).collect(),
                ..CreateTopicsRequest::default()
            };
            let reply = peer.call(7, &request).await;
            let response: CreateTopicsResponse<'_> = reply.read();
            let answered = response.topics.iter().map(|topic| topic.error_code);
            assert_eq!(answered.collect::<Vec<_>>(), errors);
        }
        assert_eq!(place.inspect().await.partitions.len(), 3);
    });
}

#[test]
fn a_topic_that_is_named_twice_is_refused_once_and_of_a_setting_the_last_value_counts() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        let request = CreateTopicsRequest {
            topics: vec![
                new_topic("twice", 1, &[]),
                new_topic("good", 1, &[("retention.ms", "1"), ("retention.ms", "2")]),
                new_topic("twice", 2, &[]),
            ],
            ..CreateTopicsRequest::default()
        };
        let reply = peer.call(7, &request).await;
        let response: CreateTopicsResponse<'_> = reply.read();
        let topics = response.topics.iter();
        let answers: Vec<_> = topics.map(|topic| (topic.name, topic.error_code)).collect();
        assert_eq!(answers, [("twice", 42), ("good", 0)]);
        let configs = response.topics[1].configs.as_deref().unwrap_or_default();
        let retention = configs.iter().find(|config| config.name == "retention.ms");
        assert_eq!(retention.and_then(|config| config.value), Some("2"));
    });
}
