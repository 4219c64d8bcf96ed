//! Fetch, its sessions and its waiting; offsets by time.

use super::ground::*;
use std::time::Duration;
use taffrail_env::{Clock, Spawn};
use taffrail_wire::api::ApiKey;
use taffrail_wire::fetch::{FetchTopic, ForgottenTopic};
use taffrail_wire::list_offsets::{ListOffsetsPartition, ListOffsetsTopic};
use taffrail_wire::offset_for_leader_epoch::{OffsetForLeaderPartition, OffsetForLeaderTopic};
use taffrail_wire::{
    FetchRequest, FetchResponse, ListOffsetsRequest, ListOffsetsResponse,
    OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse,
};

/// Partitions of an answer: index, error, high watermark, bytes of records.
fn told(response: &FetchResponse<'_>) -> Vec<(i32, i16, i64, usize)> {
    let partitions = response
        .responses
        .iter()
        .flat_map(|topic| &topic.partitions);
    partitions
        .map(|partition| {
            let records = partition.records.clone().unwrap_or_default();
            (
                partition.partition_index,
                partition.error_code,
                partition.high_watermark,
                records.len(),
            )
        })
        .collect()
}

#[test]
fn every_version_fetches() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        peer.create("t", 1, &[]).await;
        let id = peer.topic_id("t").await;
        let batch = peer.batch(&[b"x"]);
        let size = batch.len();
        peer.produce("t", 0, batch).await;
        for version in 4..=18 {
            let mut request = fetch("t", &[(0, 0)], 0);
            if version >= 13 {
                request.topics[0].topic = "";
                request.topics[0].topic_id = id;
            }
            let reply = peer.call(version, &request).await;
            let response: FetchResponse<'_> = reply.read();
            assert_eq!(told(&response), [(0, 0, 1, size)], "version {version}");
        }
    });
}

#[test]
fn a_waiting_fetch_is_answered_as_soon_as_there_is_something() {
    for shards in [1, 3] {
        story(config(shards), |place| async move {
            let mut reader = place.peer().await;
            reader.create("t", 8, &[]).await;
            let partitions: Vec<_> = (0..8).map(|partition| (partition, 0)).collect();
            for partition in 0..8 {
                let writing = place.clone();
                place.env.spawn(async move {
                    let mut writer = writing.peer().await;
                    writing.env.sleep(Duration::from_secs(3)).await;
                    let batch = writer.batch(&[b"x"]);
                    assert_eq!(writer.produce("t", partition, batch).await.0, 0);
                });
                let mut wanted = partitions.clone();
                wanted
                    .iter_mut()
                    .for_each(|(index, from)| *from = i64::from(*index < partition));
                let request = fetch("t", &wanted, 3_600_000);
                let (reply, waited) = place.timed(reader.call(12, &request)).await;
                let response: FetchResponse<'_> = reply.read();
                let given: Vec<_> = told(&response)
                    .into_iter()
                    .filter(|told| told.3 > 0)
                    .collect();
                assert_eq!(given.len(), 1);
                assert_eq!(given[0].0, partition);
                assert!(waited > Duration::from_secs(2), "{waited:?}");
                assert!(waited < Duration::from_secs(6), "{waited:?}");
            }
        });
    }
}

#[test]
fn a_fetch_waits_until_there_is_enough_or_its_time_is_over() {
    story(config(1), |place| async move {
        let mut reader = place.peer().await;
        reader.create("t", 1, &[]).await;
        let size = reader.batch(&[&[0; 1000]]).len() as i32;
        let writing = place.clone();
        place.env.spawn(async move {
            let mut writer = writing.peer().await;
            for _ in 0..4 {
                writing.env.sleep(Duration::from_secs(10)).await;
                let batch = writer.batch(&[&[0; 1000]]);
                writer.produce("t", 0, batch).await;
            }
        });
        let mut request = fetch("t", &[(0, 0)], 60_000);
        request.min_bytes = 3 * size;
        let (reply, waited) = place.timed(reader.call(12, &request)).await;
        let got = told(&reply.read());
        assert_eq!(got[0].3, 3 * size as usize);
        assert!(waited > Duration::from_secs(29), "{waited:?}");
        assert!(waited < Duration::from_secs(33), "{waited:?}");
        request.min_bytes = 100 * size;
        let (reply, waited) = place.timed(reader.call(12, &request)).await;
        assert_eq!(told(&reply.read())[0].3, 4 * size as usize);
        assert!(waited >= Duration::from_secs(59), "{waited:?}");
    });
}

#[test]
fn one_batch_is_given_however_small_the_limits_are_and_no_more_than_they_allow() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        peer.create("t", 2, &[]).await;
        let mut size = 0;
        for partition in [0, 0, 0, 1] {
            let batch = peer.batch(&[&[0; 5000]]);
            size = batch.len();
            peer.produce("t", partition, batch).await;
        }
        for (max_bytes, partition_max_bytes, expected) in [
            (1, 1 << 20, [size, 0]),
            (1 << 20, 1, [size, 0]),
            (0, 0, [size, 0]),
            (2 * size, 1 << 20, [2 * size, 0]),
            (1 << 20, 2 * size, [2 * size, size]),
            (1 << 20, 1 << 20, [3 * size, size]),
        ] {
            let mut request = fetch("t", &[(0, 0), (1, 0)], 0);
            request.max_bytes = max_bytes as i32;
            for partition in &mut request.topics[0].partitions {
                partition.partition_max_bytes = partition_max_bytes as i32;
            }
            let reply = peer.call(12, &request).await;
            let got: Vec<_> = told(&reply.read()).iter().map(|told| told.3).collect();
            assert_eq!(got, expected, "{max_bytes} {partition_max_bytes}");
        }
    });
}

#[test]
fn offsets_outside_of_the_log_are_out_of_range_and_its_end_is_not() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        peer.create("t", 1, &[]).await;
        let batch = peer.batch(&[b"x"]);
        peer.produce("t", 0, batch).await;
        for (offset, error) in [(-1, 1), (0, 0), (1, 0), (2, 1), (i64::MAX, 1)] {
            assert_eq!(peer.fetch("t", 0, offset).await.0, error, "{offset}");
        }
        assert_eq!(peer.fetch("t", 7, 0).await.0, 3);
        assert_eq!(peer.fetch("nowhere", 0, 0).await.0, 3);
    });
}

#[test]
fn leader_epochs_that_are_not_the_leaders_are_refused() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        peer.create("t", 1, &[]).await;
        for (epoch, error) in [(-1, 0), (0, 0), (1, 75)] {
            let mut request = fetch("t", &[(0, 0)], 0);
            request.topics[0].partitions[0].current_leader_epoch = epoch;
            let reply = peer.call(12, &request).await;
            assert_eq!(told(&reply.read())[0].1, error, "{epoch}");
        }
        let request = OffsetForLeaderEpochRequest {
            topics: vec![OffsetForLeaderTopic {
                topic: "t",
                partitions: vec![OffsetForLeaderPartition {
                    partition: 0,
                    current_leader_epoch: 1,
                    leader_epoch: 0,
                }],
            }],
            ..OffsetForLeaderEpochRequest::default()
        };
        let reply = peer.call(4, &request).await;
        let response: OffsetForLeaderEpochResponse<'_> = reply.read();
        assert_eq!(response.topics[0].partitions[0].error_code, 75);
    });
}

#[test]
fn the_end_of_the_leaders_epoch_is_the_end_of_the_log() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        peer.create("t", 1, &[]).await;
        let batch = peer.batch(&[b"x", b"y"]);
        peer.produce("t", 0, batch).await;
        let request = OffsetForLeaderEpochRequest {
            topics: vec![OffsetForLeaderTopic {
                topic: "t",
                partitions: vec![OffsetForLeaderPartition {
                    partition: 0,
                    current_leader_epoch: 0,
                    leader_epoch: 0,
                }],
            }],
            ..OffsetForLeaderEpochRequest::default()
        };
        let reply = peer.call(4, &request).await;
        let response: OffsetForLeaderEpochResponse<'_> = reply.read();
        let end = &response.topics[0].partitions[0];
        assert_eq!(
            (end.error_code, end.leader_epoch, end.end_offset),
            (0, 0, 2)
        );
    });
}

#[test]
fn a_partition_that_was_never_written_knows_its_leaders_epoch() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        peer.create("t", 1, &[]).await;
        let mut asked = OffsetForLeaderPartition {
            partition: 0,
            current_leader_epoch: 0,
            leader_epoch: 0,
        };
        for (epoch, told) in [(0, (0, 0)), (1, (-1, -1))] {
            asked.leader_epoch = epoch;
            let request = OffsetForLeaderEpochRequest {
                topics: vec![OffsetForLeaderTopic {
                    topic: "t",
                    partitions: vec![asked.clone()],
                }],
                ..OffsetForLeaderEpochRequest::default()
            };
            let reply = peer.call(4, &request).await;
            let response: OffsetForLeaderEpochResponse<'_> = reply.read();
            let end = &response.topics[0].partitions[0];
            assert_eq!(end.error_code, 0);
            assert_eq!((end.leader_epoch, end.end_offset), told, "epoch {epoch}");
        }
        let mut request = fetch("t", &[(0, 0)], 0);
        request.topics[0].partitions[0].last_fetched_epoch = 0;
        let reply = peer.call(12, &request).await;
        let response: FetchResponse<'_> = reply.read();
        assert_eq!(told(&response), [(0, 0, 0, 0)]);
        let diverging = &response.responses[0].partitions[0].diverging_epoch;
        assert_eq!((diverging.epoch, diverging.end_offset), (-1, -1));
    });
}

#[test]
fn a_session_is_told_only_what_is_new() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        peer.create("t", 3, &[]).await;
        let mut request = fetch("t", &[(0, 0), (1, 0), (2, 0)], 0);
        request.session_epoch = 0;
        let reply = peer.call(12, &request).await;
        let response: FetchResponse<'_> = reply.read();
        let session_id = response.session_id;
        assert!(session_id > 0);
        assert_eq!(told(&response).len(), 3);

        let incremental = |epoch: i32, topics: Vec<FetchTopic<'static>>| FetchRequest {
            session_id,
            session_epoch: epoch,
            min_bytes: 1,
            topics,
            ..FetchRequest::default()
        };
        let reply = peer.call(12, &incremental(1, Vec::new())).await;
        assert_eq!(told(&reply.read()), []);
        let batch = peer.batch(&[b"x"]);
        let size = batch.len();
        peer.produce("t", 1, batch).await;
        let reply = peer.call(12, &incremental(2, Vec::new())).await;
        assert_eq!(told(&reply.read()), [(1, 0, 1, size)]);
        let moved = vec![fetch_topic("t", &[(1, 1)])];
        let reply = peer.call(12, &incremental(3, moved)).await;
        assert_eq!(told(&reply.read()), []);
        let mut forgetting = incremental(4, Vec::new());
        forgetting.forgotten_topics_data = vec![ForgottenTopic {
            topic: "t",
            partitions: vec![0, 2],
            ..ForgottenTopic::default()
        }];
        peer.call(12, &forgetting).await;
        assert_eq!(place.inspect().await.fetch_session_partitions, 1);

        for (id, epoch, error) in [(session_id, 4, 71), (session_id + 1, 5, 70)] {
            let mut wrong = incremental(epoch, Vec::new());
            wrong.session_id = id;
            let reply = peer.call(12, &wrong).await;
            assert_eq!(reply.read::<FetchResponse<'_>>().error_code, error);
        }
        peer.call(12, &incremental(-1, Vec::new())).await;
        assert_eq!(place.inspect().await.fetch_sessions, 0);
    });
}

#[test]
fn a_session_by_name_cannot_go_on_by_id() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        peer.create("t", 1, &[]).await;
        let mut request = fetch("t", &[(0, 0)], 0);
        request.session_epoch = 0;
        let reply = peer.call(12, &request).await;
        let session_id = reply.read::<FetchResponse<'_>>().session_id;
        let request = FetchRequest {
            session_id,
            session_epoch: 1,
            ..FetchRequest::default()
        };
        let reply = peer.call(13, &request).await;
        assert_eq!(reply.read::<FetchResponse<'_>>().error_code, 106);
    });
}

#[test]
fn a_topic_that_is_deleted_ends_the_wait_for_it() {
    story(config(2), |place| async move {
        let mut reader = place.peer().await;
        reader.create("t", 1, &[]).await;
        reader.send(12, &fetch("t", &[(0, 0)], 3_600_000)).await;
        place.env.sleep(Duration::from_secs(1)).await;
        let mut other = place.peer().await;
        other.delete("t").await;
        let (reply, waited) = place.timed(reader.receive(ApiKey::Fetch, 12)).await;
        assert_eq!(told(&reply.read())[0].1, 3);
        assert!(waited < Duration::from_secs(5), "{waited:?}");
    });
}

#[test]
fn a_reader_of_everything_gets_everything_once_in_small_bites() {
    story(config(2), |place| async move {
        let mut peer = place.peer().await;
        peer.create("t", 3, &[("segment.bytes", "4096")]).await;
        let mut expected: Vec<Vec<Vec<u8>>> = vec![Vec::new(); 3];
        for number in 0..300u32 {
            let value = format!("record {number} {}", "x".repeat((number % 90) as usize));
            let partition = (number % 3) as usize;
            let batch = peer.batch(&[value.as_bytes()]);
            assert_eq!(peer.produce("t", partition as i32, batch).await.0, 0);
            expected[partition].push(value.into_bytes());
        }
        let mut got: Vec<Vec<Vec<u8>>> = vec![Vec::new(); 3];
        while got != expected {
            let wanted: Vec<_> = (0..3).map(|p| (p, got[p as usize].len() as i64)).collect();
            let mut request = fetch("t", &wanted, 1000);
            request.max_bytes = 2000;
            let reply = peer.call(12, &request).await;
            let response: FetchResponse<'_> = reply.read();
            let mut news = 0;
            for partition in &response.responses[0].partitions {
                assert_eq!(partition.error_code, 0);
                let bytes = partition.records.clone().unwrap_or_default().into_bytes();
                let values = values(&bytes);
                news += values.len();
                got[partition.partition_index as usize].extend(values);
            }
            assert!(news > 0, "something is given whenever something is there");
        }
    });
}

async fn list(peer: &mut Peer, version: i16, timestamp: i64) -> (i16, i64, i64) {
    let request = ListOffsetsRequest {
        replica_id: -1,
        topics: vec![ListOffsetsTopic {
            name: "t",
            partitions: vec![ListOffsetsPartition {
                partition_index: 0,
                current_leader_epoch: -1,
                timestamp,
            }],
        }],
        ..ListOffsetsRequest::default()
    };
    let reply = peer.call(version, &request).await;
    let response: ListOffsetsResponse<'_> = reply.read();
    let partition = &response.topics[0].partitions[0];
    (partition.error_code, partition.offset, partition.timestamp)
}

#[test]
fn offsets_are_found_by_time_and_by_place() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        peer.create("t", 1, &[]).await;
        for version in 1..=11 {
            assert_eq!(list(&mut peer, version, -1).await, (0, 0, -1));
            assert_eq!(list(&mut peer, version, -2).await, (0, 0, -1));
            assert_eq!(list(&mut peer, version, 5).await, (0, -1, -1));
        }
        let fields = Default::default();
        for time in [1000, 3000, 2000] {
            let batch = batch_at(time, &[b"x", b"y"], fields);
            assert_eq!(peer.produce("t", 0, batch).await.0, 0);
        }
        for (timestamp, expected) in [
            (-1, (0, 6, -1)),
            (-2, (0, 0, -1)),
            (-3, (0, 2, 3000)),
            (-4, (0, 0, -1)),
            (-5, (0, -1, -1)),
            (-6, (0, -1, -1)),
            (0, (0, 0, 1000)),
            (1000, (0, 0, 1000)),
            (1001, (0, 2, 3000)),
            (3000, (0, 2, 3000)),
            (3001, (0, -1, -1)),
        ] {
            assert_eq!(
                list(&mut peer, 11, timestamp).await,
                expected,
                "{timestamp}"
            );
        }
        assert_eq!(
            list(&mut peer, 6, -3).await.0,
            35,
            "not yet known in this version"
        );
        for unknown in [-7, i64::MIN] {
            assert_eq!(list(&mut peer, 11, unknown).await.0, 35, "{unknown}");
        }
    });
}

#[test]
fn a_broker_that_would_follow_is_told_that_this_is_not_its_leader() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        peer.create("t", 1, &[]).await;
        let mut request = fetch("t", &[(0, 0), (1, 0)], 0);
        request.replica_id = 2;
        let reply = peer.call(12, &request).await;
        let told = told(&reply.read());
        let errors: Vec<_> = told.iter().map(|told| (told.0, told.1)).collect();
        assert_eq!(errors, [(0, 6), (1, 3)]);
    });
}

#[test]
fn a_partition_that_is_named_twice_is_answered_once() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        peer.create("t", 2, &[]).await;
        let batch = peer.batch(&[b"x"]);
        assert_eq!(peer.produce("t", 0, batch).await.0, 0);
        let request = fetch("t", &[(0, 0), (1, 0), (0, 0)], 0);
        let reply = peer.call(12, &request).await;
        let told = told(&reply.read());
        let partitions: Vec<_> = told.iter().map(|told| told.0).collect();
        assert_eq!(partitions, [0, 1]);
    });
}

#[test]
fn a_partition_whose_offset_is_asked_for_twice_is_refused_once() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        peer.create("t", 2, &[]).await;
        let topic = |indexes: &[i32]| ListOffsetsTopic {
            name: "t",
            partitions: indexes
                .iter()
                .map(|index| ListOffsetsPartition {
                    partition_index: *index,
                    current_leader_epoch: -1,
                    timestamp: -1,
                })
                .collect(),
        };
        let request = ListOffsetsRequest {
            replica_id: -1,
            topics: vec![topic(&[0, 1, 0]), topic(&[0])],
            ..ListOffsetsRequest::default()
        };
        let reply = peer.call(5, &request).await;
        let response: ListOffsetsResponse<'_> = reply.read();
        let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
        let answers: Vec<_> = partitions
            .map(|partition| (partition.partition_index, partition.error_code))
            .collect();
        assert_eq!(answers, [(0, 42), (1, 0)]);
        assert_eq!(response.topics.len(), 1);
    });
}

#[test]
fn a_fetch_that_waits_looks_again_only_at_what_moves() {
    story(config(1), |place| async move {
        let mut reader = place.peer().await;
        reader.create("t", 50, &[]).await;
        let wanted: Vec<_> = (0..50).map(|partition| (partition, 0)).collect();
        let mut request = fetch("t", &wanted, 30_000);
        request.min_bytes = 100_000;
        reader.send(12, &request).await;
        place.env.sleep(Duration::from_secs(1)).await;
        let mut writer = place.peer().await;
        for number in 0..20 {
            let batch = writer.batch(&[b"x"]);
            assert_eq!(writer.produce("t", number % 2, batch).await.0, 0);
        }
        let reply = reader.receive(ApiKey::Fetch, 12).await;
        let told = told(&reply.read());
        assert!((told[0].1, told[0].2, told[1].2) == (0, 10, 10), "{told:?}");
        let metrics = place.node.metrics().await;
        let looks = metrics.value("taffrail_fetch_partition_looks_total");
        // Everything at the start and at the end; between them each partition that moved.
        assert!(looks <= 100.0 + 20.0, "{looks}");
        let names = || metrics.metrics.iter().map(|metric| metric.name);
        assert!(names().any(|name| name == "taffrail_corrupt_segments"));
    });
}

#[test]
fn an_isolation_that_does_not_exist_is_nobodys() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        peer.create("t", 2, &[]).await;
        let batch = peer.batch(&[b"x"]);
        peer.produce("t", 0, batch).await;
        for isolation_level in [2, -1] {
            for version in [12, 13] {
                let mut request = fetch("t", &[(0, 0), (1, 0)], 0);
                request.isolation_level = isolation_level;
                let reply = peer.call(version, &request).await;
                let response: FetchResponse<'_> = reply.read();
                assert_eq!(response.error_code, -1);
                let each = [(0, -1, -1, 0), (1, -1, -1, 0)];
                let expected = if version < 13 { &each[..] } else { &[] };
                assert_eq!(told(&response), expected);
            }
            let request = ListOffsetsRequest {
                replica_id: -1,
                isolation_level,
                topics: vec![ListOffsetsTopic {
                    name: "t",
                    partitions: vec![ListOffsetsPartition {
                        partition_index: 0,
                        current_leader_epoch: -1,
                        timestamp: -1,
                    }],
                }],
                ..ListOffsetsRequest::default()
            };
            let reply = peer.call(7, &request).await;
            let response: ListOffsetsResponse<'_> = reply.read();
            let partition = &response.topics[0].partitions[0];
            assert_eq!((partition.error_code, partition.offset), (-1, -1));
        }
    });
}

#[test]
fn less_than_nothing_cannot_be_fetched() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        peer.create("t", 3, &[]).await;
        let batch = peer.batch(&[b"x"]);
        let size = batch.len();
        for partition in [0, 1] {
            peer.produce("t", partition, batch.clone()).await;
        }
        let all = [(0, 0), (1, 0), (2, 0)];
        let mut request = fetch("t", &all, 60_000);
        request.max_bytes = -1;
        let (reply, waited) = place.timed(peer.call(12, &request)).await;
        let expected = [(0, -1, -1, 0), (1, 0, 1, size), (2, 0, 0, 0)];
        assert_eq!(told(&reply.read()), expected, "as Kafka tells the first");
        assert!(waited < Duration::from_secs(1));
        let mut request = fetch("t", &all, 60_000);
        for partition in &mut request.topics[0].partitions {
            partition.partition_max_bytes = -1;
        }
        let (reply, waited) = place.timed(peer.call(12, &request)).await;
        let expected = [(0, -1, -1, 0), (1, -1, -1, 0), (2, 0, 0, 0)];
        assert_eq!(told(&reply.read()), expected);
        assert!(waited < Duration::from_secs(1));
    });
}

#[test]
fn aborted_transactions_are_told_as_kafka_tells_them() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        peer.create("t", 1, &[]).await;
        let batch = peer.batch(&[b"x"]);
        peer.produce("t", 0, batch).await;
        let none = Some(0);
        for (isolation_level, partition, offset, error, aborted) in [
            (0, 0, 0, 0, None),
            (0, 0, 1, 0, None),
            (1, 0, 0, 0, none),
            (1, 0, 1, 0, none),
            (0, 9, 0, 3, none),
            (1, 9, 0, 3, none),
            (0, 0, 99, 1, None),
            (1, 0, 99, 1, None),
        ] {
            let mut request = fetch("t", &[(partition, offset)], 0);
            request.isolation_level = isolation_level;
            let reply = peer.call(11, &request).await;
            let response: FetchResponse<'_> = reply.read();
            let answer = &response.responses[0].partitions[0];
            let told = answer.aborted_transactions.as_ref().map(Vec::len);
            assert_eq!((answer.error_code, told), (error, aborted));
        }
    });
}
