//! What a peer may do to the broker, and what it may not.

use super::ground::*;
use bytes::{BufMut, Bytes, BytesMut};
use std::time::Duration;
use taffrail_env::{Clock, Spawn};
use taffrail_wire::api::ApiKey;
use taffrail_wire::describe_configs::DescribeConfigsResource;
use taffrail_wire::produce::PartitionProduceData;
use taffrail_wire::{
    ApiVersionsRequest, ApiVersionsResponse, CreateTopicsRequest, DescribeConfigsRequest,
    DescribeConfigsResponse, FetchResponse, MetadataRequest, ProduceResponse, Records, frame,
};

fn frame_of(length: i32, body: &[u8]) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_i32(length);
    bytes.put_slice(body);
    bytes.freeze()
}

fn api_versions() -> ApiVersionsRequest<'static> {
    ApiVersionsRequest {
        client_software_name: "taffrail-tests",
        client_software_version: "1.0",
    }
}

#[test]
fn a_version_of_api_versions_that_is_not_known_is_answered_in_version_0() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        let mut body = BytesMut::new();
        body.put_i16(ApiKey::ApiVersions as i16);
        body.put_i16(99);
        body.put_i32(7);
        body.put_slice(b"whatever this version has");
        peer.send_bytes(frame_of(body.len() as i32, &body)).await;
        let reply = peer.receive(ApiKey::ApiVersions, 0).await;
        assert_eq!(reply.correlation_id, 7);
        let response: ApiVersionsResponse<'_> = reply.read();
        assert_eq!(response.error_code, 35);
        let produce = response.api_keys.iter().find(|api| api.api_key == 0);
        assert_eq!(produce.expect("produce is served").min_version, 0);
        // The connection goes on.
        let reply = peer.call(4, &api_versions()).await;
        let response: ApiVersionsResponse<'_> = reply.read();
        assert_eq!(response.error_code, 0);
        assert!(response.finalized_features.is_empty());
    });
}

#[test]
fn a_client_that_names_itself_badly_is_told_so() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        let request = ApiVersionsRequest {
            client_software_name: "a\nb",
            client_software_version: "1",
        };
        let reply = peer.call(3, &request).await;
        let response: ApiVersionsResponse<'_> = reply.read();
        assert_eq!(response.error_code, 42);
    });
}

#[test]
fn what_is_no_kafka_request_closes_the_connection_and_harms_nobody_else() {
    story(config(1), |place| async move {
        let mut bystander = place.peer().await;
        let mut header = BytesMut::new();
        header.put_i16(3);
        header.put_i16(12);
        header.put_i32(1);
        let hostile: Vec<(&str, Bytes)> = vec![
            (
                "TLS",
                Bytes::from_static(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
            ),
            (
                "HTTP",
                Bytes::from_static(b"GET / HTTP/1.1\r\nHost: broker\r\n\r\n"),
            ),
            ("negative length", frame_of(-1, &[0; 16])),
            ("too short", frame_of(4, &[0; 16])),
            ("too long", frame_of(2_000_000_000, &[0; 16])),
            ("too long for metadata", frame_of(1_100_000, &header)),
            (
                "unknown API",
                frame_of(10, &[0x7f, 0, 0, 0, 0, 0, 0, 1, 0xff, 0xff]),
            ),
            (
                "Produce 2",
                frame_of(10, &[0, 0, 0, 2, 0, 0, 0, 1, 0xff, 0xff]),
            ),
            ("a count of 2^31-1", {
                let mut body = BytesMut::from(&header[..]);
                body.put_slice(&[0xff, 0xff, 0, 0xff, 0xff, 0xff, 0xff, 0x0f]);
                frame_of(body.len() as i32, &body)
            }),
            ("bytes behind the request", {
                let chunks = frame::request(&MetadataRequest::default(), 8, 1, None);
                let mut body = chunks.expect("a request").concat().split_off(4);
                body.extend_from_slice(b"more");
                frame_of(body.len() as i32, &body)
            }),
        ];
        for (what, bytes) in hostile {
            // Not more than the broker accepts from one address in a second.
            place.env.sleep(Duration::from_millis(100)).await;
            let mut peer = place.peer().await;
            peer.send_bytes(bytes).await;
            assert!(peer.is_closed().await, "{what}");
            let reply = bystander.call(0, &ApiVersionsRequest::default()).await;
            assert_eq!(reply.read::<ApiVersionsResponse<'_>>().error_code, 0);
        }
        let metrics = place.node.metrics().await;
        assert_eq!(metrics.value("taffrail_connections_failed_total"), 10.0);
    });
}

#[test]
fn a_frame_that_stops_coming_is_given_up_and_its_memory_comes_back() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        let mut body = BytesMut::new();
        body.put_slice(&[0, 0, 0, 9, 0, 0, 0, 1]);
        peer.send_bytes(frame_of(10_000_000, &body)).await;
        place.env.sleep(Duration::from_secs(5)).await;
        assert_eq!(place.inspect().await.budget_used, 10_000_000);
        let (closed, waited) = place.timed(peer.is_closed()).await;
        assert!(closed);
        assert!(waited < Duration::from_secs(10), "{waited:?}");
    });
}

#[test]
fn a_frame_that_drips_in_is_given_up_too() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        let mut body = BytesMut::new();
        body.put_slice(&[0, 0, 0, 9, 0, 0, 0, 1]);
        peer.send_bytes(frame_of(1_000_000, &body)).await;
        for _ in 0..30 {
            place.env.sleep(Duration::from_secs(1)).await;
            peer.send_bytes(vec![0; 100]).await;
        }
        assert!(peer.is_closed().await);
        assert_eq!(place.inspect().await.connections, 0);
    });
}

#[test]
fn an_idle_connection_is_closed_after_its_time_and_not_before() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        peer.call(0, &ApiVersionsRequest::default()).await;
        let (closed, waited) = place.timed(peer.is_closed()).await;
        assert!(closed);
        assert!(waited >= Duration::from_secs(599), "{waited:?}");
        assert!(waited < Duration::from_secs(700), "{waited:?}");
    });
}

#[test]
fn a_long_wait_for_records_is_not_idleness() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        peer.create("t", 1, &[]).await;
        let (reply, waited) = place
            .timed(peer.call(12, &fetch("t", &[(0, 0)], i32::MAX)))
            .await;
        assert_eq!(reply.read::<FetchResponse<'_>>().error_code, 0);
        // As long as it could have been idle, and no longer.
        assert!(waited >= Duration::from_secs(599), "{waited:?}");
        assert!(waited < Duration::from_secs(700), "{waited:?}");
    });
}

#[test]
fn a_peer_that_does_not_take_its_answers_is_closed() {
    story(config(1), |place| async move {
        let mut writer = place.peer().await;
        writer.create("t", 1, &[]).await;
        let value = vec![7; 500_000];
        for _ in 0..4 {
            let batch = writer.batch(&[&value]);
            assert_eq!(writer.produce("t", 0, batch).await.0, 0);
        }
        let mut reader = place.peer().await;
        for _ in 0..20 {
            let mut request = fetch("t", &[(0, 0)], 0);
            request.max_bytes = 50 << 20;
            request.topics[0].partitions[0].partition_max_bytes = 50 << 20;
            reader.send(12, &request).await;
        }
        place.env.sleep(Duration::from_secs(120)).await;
        assert_eq!(place.inspect().await.budget_used, 0);
        assert_eq!(place.inspect().await.connections, 1);
        drop(reader);
    });
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    story(config(3), |place| async move {
        let mut peer = place.peer().await;
        peer.create("t", 8, &[]).await;
        let mut sent = Vec::new();
        for number in 0..40 {
            let batch = peer.batch(&[b"x"]);
            sent.push(peer.send(9, &produce("t", number % 8, batch, -1)).await);
            if number % 10 == 9 {
                sent.push(peer.send(0, &ApiVersionsRequest::default()).await);
            }
        }
        for (place, correlation_id) in sent.into_iter().enumerate() {
            if place % 11 == 10 {
                let reply = peer.receive(ApiKey::ApiVersions, 0).await;
                assert_eq!(reply.correlation_id, correlation_id);
            } else {
                let reply = peer.receive(ApiKey::Produce, 9).await;
                assert_eq!(reply.correlation_id, correlation_id);
                let response: ProduceResponse<'_> = reply.read();
                assert_eq!(response.responses[0].partition_responses[0].error_code, 0);
            }
        }
    });
}

#[test]
fn a_request_sees_what_the_connection_did_before_it() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        peer.create("t", 1, &[]).await;
        let batch = peer.batch(&[b"one", b"two"]);
        peer.send(9, &produce("t", 0, batch, -1)).await;
        peer.send(12, &fetch("t", &[(0, 0)], 0)).await;
        peer.receive(ApiKey::Produce, 9).await;
        let reply = peer.receive(ApiKey::Fetch, 12).await;
        let response: FetchResponse<'_> = reply.read();
        assert_eq!(response.responses[0].partitions[0].high_watermark, 2);
    });
}

#[test]
fn a_produce_does_not_overtake_what_was_asked_before_it() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        let create = CreateTopicsRequest {
            topics: vec![new_topic("t", 1, &[])],
            ..CreateTopicsRequest::default()
        };
        let batch = peer.batch(&[b"x"]);
        peer.send(7, &create).await;
        peer.send(9, &produce("t", 0, batch, -1)).await;
        peer.receive(ApiKey::CreateTopics, 7).await;
        let reply = peer.receive(ApiKey::Produce, 9).await;
        let response: ProduceResponse<'_> = reply.read();
        assert_eq!(response.responses[0].partition_responses[0].error_code, 0);
    });
}

#[test]
fn a_peer_that_goes_away_is_not_waited_for_even_if_it_has_asked_for_more() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        peer.create("t", 1, &[]).await;
        let batch = peer.batch(&[b"x"]);
        let mut leaving = place.peer().await;
        leaving.send(12, &fetch("t", &[(0, 0)], 600_000)).await;
        leaving.send(9, &produce("t", 0, batch, 0)).await;
        place.env.sleep(Duration::from_secs(1)).await;
        drop(leaving);
        place.env.sleep(Duration::from_secs(1)).await;
        assert_eq!(place.inspect().await.connections, 1);
        assert_eq!(
            peer.fetch("t", 0, 0).await.1,
            1,
            "what it produced is there"
        );
    });
}

#[test]
fn one_address_gets_only_so_many_connections_at_a_time() {
    let mut config = config(1);
    set(&mut config, "max.connections.per.ip", "3");
    set(&mut config, "max.connection.creation.rate.per.ip", "100");
    story(config, |place| async move {
        let mut peers = Vec::new();
        for _ in 0..3 {
            peers.push(place.peer().await);
        }
        for peer in &mut peers {
            peer.call(0, &ApiVersionsRequest::default()).await;
        }
        assert!(place.peer().await.is_closed().await);
        drop(peers.pop());
        place.env.sleep(Duration::from_secs(1)).await;
        place
            .peer()
            .await
            .call(0, &ApiVersionsRequest::default())
            .await;
        let metrics = place.node.metrics().await;
        assert_eq!(metrics.value("taffrail_connections_refused_total"), 1.0);
    });
}

#[test]
fn a_large_request_cannot_become_a_far_larger_one_in_memory() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        // A topic of two million partitions with null records, eight bytes each.
        let partitions = 2_000_000;
        let mut body = BytesMut::new();
        body.put_slice(&[0, 0, 0, 8, 0, 0, 0, 1, 0xff, 0xff]);
        body.put_slice(&[0xff, 0xff, 0xff, 0xff, 0, 0, 0x75, 0x30]);
        body.put_slice(&[0, 0, 0, 1, 0, 1, b't']);
        body.put_i32(partitions);
        for _ in 0..partitions {
            body.put_slice(&[0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
        }
        let writing = peer.send_bytes(frame_of(body.len() as i32, &body));
        writing.await;
        assert!(peer.is_closed().await);
    });
}

#[test]
fn describing_what_is_large_takes_its_turn_at_the_memory() {
    let mut config = config(1);
    config.memory_bytes = 8 << 20;
    story(config, |place| async move {
        let mut peer = place.peer().await;
        peer.create("t", 1, &[]).await;
        let resource = DescribeConfigsResource {
            resource_type: 2,
            resource_name: "t",
            configuration_keys: None,
        };
        let request = DescribeConfigsRequest {
            resources: vec![resource; 1000],
            include_synonyms: true,
            include_documentation: true,
        };
        let reply = peer.call(4, &request).await;
        let response: DescribeConfigsResponse<'_> = reply.read();
        let errors: Vec<i16> = response
            .results
            .iter()
            .map(|result| result.error_code)
            .collect();
        assert_eq!(errors[0], 0);
        assert_eq!(errors[999], 42);
        let described = errors.iter().filter(|error| **error == 0).count();
        assert!((10..200).contains(&described), "{described}");
    });
}

/// The beginning of a produce request that will have `length` bytes.
fn begun_produce(length: i32) -> Bytes {
    frame_of(length, &[0, 0, 0, 9, 0, 0, 0, 1])
}

#[test]
fn memory_that_is_gone_stops_the_reading_of_sockets_until_it_is_back() {
    let mut config = config(1);
    // Two pools of 1.75 MiB for requests, after the groups' share.
    config.memory_bytes = 8 << 20;
    story(config, |place| async move {
        let mut hoarders = Vec::new();
        for _ in 0..4 {
            let hoarder = place.peer().await;
            hoarder.send_bytes(begun_produce(7 << 17)).await;
            hoarders.push(hoarder);
            place.env.sleep(Duration::from_millis(100)).await;
        }
        let mut other = place.peer().await;
        let request = ApiVersionsRequest::default();
        let (_, waited) = place.timed(other.call(0, &request)).await;
        // Until hoarders are given up, which is soon, because somebody waits.
        assert!(waited > Duration::from_secs(1), "{waited:?}");
        assert!(waited < Duration::from_secs(4), "{waited:?}");
        assert!(hoarders[0].is_closed().await);
    });
}

#[test]
fn large_frames_that_drip_in_hold_up_neither_small_ones_nor_for_long_large_ones() {
    story(config(1), |place| async move {
        let mut honest = place.peer().await;
        honest.create("t", 4, &[]).await;
        for _ in 0..2 {
            let dripping = place.clone();
            place.env.spawn(async move {
                let peer = dripping.peer().await;
                // Nearly all of the 25 MiB that large requests have.
                peer.send_bytes(begun_produce(26_000_000)).await;
                for _ in 0..30 {
                    peer.send_bytes(vec![0; 12_000]).await;
                    dripping.env.sleep(Duration::from_secs(1)).await;
                }
            });
        }
        place.env.sleep(Duration::from_secs(1)).await;
        assert_eq!(place.inspect().await.budget_waiting, 1);
        let batch = honest.batch(&[b"small"]);
        let (answer, waited) = place.timed(honest.produce("t", 0, batch)).await;
        assert_eq!(answer, (0, 0));
        assert!(waited < Duration::from_secs(1), "{waited:?}");

        let batch = honest.batch(&[&[7; 400_000]]);
        let mut large = produce("t", 0, batch.clone(), -1);
        large.topic_data[0].partition_data = (0..4)
            .map(|index| PartitionProduceData {
                index,
                records: Some(Records::from(batch.clone())),
            })
            .collect();
        let (reply, waited) = place.timed(honest.call(9, &large)).await;
        for partition in &reply.read::<ProduceResponse<'_>>().responses[0].partition_responses {
            assert_eq!(partition.error_code, 0);
        }
        assert!(waited < Duration::from_secs(10), "{waited:?}");
        place.env.sleep(Duration::from_secs(30)).await;
        let metrics = place.node.metrics().await;
        assert_eq!(metrics.value("taffrail_connections_failed_total"), 2.0);
    });
}

#[test]
fn a_frame_has_to_be_there_after_five_minutes() {
    story(config(1), |place| async move {
        let peer = place.peer().await;
        peer.send_bytes(begun_produce(20_000_000)).await;
        let began = place.env.now();
        while place.inspect().await.budget_used > 0 || place.env.now() == began {
            peer.send_bytes(vec![0; 12_000]).await;
            place.env.sleep(Duration::from_secs(1)).await;
        }
        let lasted = place.env.now().saturating_since(began);
        assert!(lasted > Duration::from_secs(290), "{lasted:?}");
        assert!(lasted < Duration::from_secs(310), "{lasted:?}");
    });
}
