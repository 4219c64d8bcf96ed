//! Produce: what is appended, what is refused and how.

use super::ground::*;
use bytes::{Bytes, BytesMut};
use std::time::Duration;
use taffrail_env::Clock;
use taffrail_record::Codec;
use taffrail_record::batch::{BatchHeader, TimestampType};
use taffrail_record::builder::{BatchBuilder, ProducerFields};
use taffrail_wire::api::ApiKey;
use taffrail_wire::produce::{PartitionProduceData, PartitionProduceResponse, TopicProduceData};
use taffrail_wire::{
    ApiVersionsRequest, FindCoordinatorRequest, InitProducerIdRequest, InitProducerIdResponse,
    ProduceResponse,
};

fn only<'r>(response: &'r ProduceResponse<'r>) -> &'r PartitionProduceResponse<'r> {
    assert_eq!(response.responses.len(), 1);
    assert_eq!(response.responses[0].partition_responses.len(), 1);
    &response.responses[0].partition_responses[0]
}

#[test]
fn offsets_count_records_and_survive_in_the_log() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        peer.create("t", 1, &[]).await;
        for (batch, offset) in [(peer.batch(&[b"a", b"b"]), 0), (peer.batch(&[b"c"]), 2)] {
            assert_eq!(peer.produce("t", 0, batch).await, (0, offset));
        }
        let (error, high_watermark, bytes) = peer.fetch("t", 0, 0).await;
        assert_eq!((error, high_watermark), (0, 3));
        assert_eq!(values(&bytes), [b"a", b"b", b"c"]);
        let header = BatchHeader::parse(&bytes).expect("a batch");
        assert_eq!((header.base_offset, header.partition_leader_epoch), (0, 0));
    });
}

#[test]
fn every_version_appends() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        peer.create("t", 1, &[]).await;
        let id = peer.topic_id("t").await;
        for version in 3..=13 {
            let batch = peer.batch(&[b"x"]);
            let mut request = produce("t", 0, batch, 1);
            if version >= 13 {
                request.topic_data[0] = TopicProduceData {
                    name: "",
                    topic_id: id,
                    ..request.topic_data[0].clone()
                };
            }
            let reply = peer.call(version, &request).await;
            let response: ProduceResponse<'_> = reply.read();
            let answer = only(&response);
            assert_eq!(answer.error_code, 0, "version {version}");
            assert_eq!(answer.base_offset, i64::from(version) - 3);
        }
    });
}

#[test]
fn acks_0_is_not_answered_and_other_acks_are_refused() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        peer.create("t", 1, &[]).await;
        let batch = peer.batch(&[b"x"]);
        peer.send(9, &produce("t", 0, batch.clone(), 0)).await;
        let cut = batch.slice(..20);
        for (topic, batch, error) in [("t", batch.clone(), 21), ("t", cut, 87), ("u", batch, 3)] {
            let reply = peer.call(9, &produce(topic, 0, batch, 2)).await;
            let response: ProduceResponse<'_> = reply.read();
            assert_eq!(only(&response).error_code, error);
        }
        assert_eq!(peer.fetch("t", 0, 0).await.1, 1);
    });
}

#[test]
fn acks_0_to_nowhere_closes_the_connection() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        let batch = peer.batch(&[b"x"]);
        peer.send(9, &produce("nowhere", 0, batch, 0)).await;
        assert!(peer.is_closed().await);
    });
}

#[test]
fn pipelined_batches_are_appended_in_the_order_they_were_sent() {
    for seed in 0..20 {
        story_of_seed(seed, config(3), |place| async move {
            let mut peer = place.peer().await;
            peer.create("t", 4, &[]).await;
            for number in 0..100u32 {
                let batch = peer.batch(&[&number.to_be_bytes()]);
                // Runs of one partition, so that several of its batches are on their way together.
                let partition = (number / 5 % 4) as i32;
                peer.send(9, &produce("t", partition, batch, -1)).await;
            }
            for _ in 0..100 {
                let reply = peer.receive(ApiKey::Produce, 9).await;
                assert_eq!(only(&reply.read()).error_code, 0);
            }
            for partition in 0..4 {
                let (_, _, bytes) = peer.fetch("t", partition as i32, 0).await;
                let expected: Vec<Vec<u8>> = (0..100u32)
                    .filter(|number| number / 5 % 4 == partition)
                    .map(|number| number.to_be_bytes().to_vec())
                    .collect();
                assert_eq!(values(&bytes), expected);
            }
        });
    }
}

async fn new_producer(peer: &mut Peer) -> ProducerFields {
    let request = InitProducerIdRequest {
        transactional_id: None,
        ..InitProducerIdRequest::default()
    };
    let reply = peer.call(4, &request).await;
    let response: InitProducerIdResponse = reply.read();
    assert_eq!((response.error_code, response.producer_epoch), (0, 0));
    ProducerFields {
        producer_id: response.producer_id,
        producer_epoch: 0,
        base_sequence: 0,
        transactional: false,
    }
}

#[test]
fn a_retry_of_an_idempotent_producer_gets_the_original_offset() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        peer.create("t", 1, &[]).await;
        let producer = new_producer(&mut peer).await;
        let now = place.env.unix_ms();
        let at = |base_sequence, epoch| {
            let fields = ProducerFields {
                base_sequence,
                producer_epoch: epoch,
                ..producer
            };
            batch_at(now, &[b"x", b"y"], fields)
        };
        assert_eq!(peer.produce("t", 0, at(0, 0)).await, (0, 0));
        assert_eq!(peer.produce("t", 0, at(2, 0)).await, (0, 2));
        assert_eq!(peer.produce("t", 0, at(0, 0)).await, (0, 0), "a retry");
        assert_eq!(peer.produce("t", 0, at(9, 0)).await.0, 45, "a gap");
        assert_eq!(peer.produce("t", 0, at(0, 1)).await, (0, 4), "a new epoch");
        assert_eq!(peer.produce("t", 0, at(4, 0)).await.0, 47, "an old epoch");
        assert_eq!(peer.fetch("t", 0, 0).await.1, 6);
    });
}

#[test]
fn producer_ids_are_never_given_twice() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        let mut ids = Vec::new();
        for _ in 0..1100 {
            ids.push(new_producer(&mut peer).await.producer_id);
        }
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 1100);
    });
}

#[test]
fn transactions_are_refused_with_the_error_on_which_clients_give_up() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        peer.create("t", 1, &[]).await;
        let request = InitProducerIdRequest {
            transactional_id: Some("mine"),
            ..InitProducerIdRequest::default()
        };
        let reply = peer.call(4, &request).await;
        assert_eq!(reply.read::<InitProducerIdResponse>().error_code, 53);
        let batch = peer.batch(&[b"x"]);
        let mut request = produce("t", 0, batch, -1);
        request.transactional_id = Some("mine");
        let reply = peer.call(9, &request).await;
        assert_eq!(only(&reply.read()).error_code, 53);
        let fields = ProducerFields {
            producer_id: 1,
            producer_epoch: 0,
            base_sequence: 0,
            transactional: true,
        };
        let batch = batch_at(place.env.unix_ms(), &[b"x"], fields);
        assert_eq!(peer.produce("t", 0, batch).await.0, 53);
        assert_eq!(peer.fetch("t", 0, 0).await.1, 0);
    });
}

#[test]
fn batches_that_a_consumer_would_choke_on_are_refused() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        peer.create("t", 1, &[("max.message.bytes", "1000")]).await;
        let good = peer.batch(&[b"x"]);
        let mut flipped = BytesMut::from(&good[..]);
        let last = flipped.len() - 1;
        flipped[last] ^= 1;
        let twice = Bytes::from([&good[..], &good[..]].concat());
        let large = peer.batch(&[&[0; 2000]]);
        let future = batch_at(
            place.env.unix_ms() + 7_200_000,
            &[b"x"],
            ProducerFields::default(),
        );
        for (what, batch, error) in [
            ("a flipped bit", flipped.freeze(), 2),
            ("two batches", twice, 87),
            ("too large", large, 10),
            ("cut", good.slice(..20), 87),
            ("nothing", Bytes::new(), 87),
            ("from the future", future, 32),
        ] {
            assert_eq!(peer.produce("t", 0, batch).await.0, error, "{what}");
        }
        assert_eq!(peer.fetch("t", 0, 0).await.1, 0);
    });
}

#[test]
fn a_claim_that_the_broker_set_the_time_is_taken_away_where_producers_do() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        peer.create("t", 1, &[]).await;
        let time = [("message.timestamp.type", "LogAppendTime")];
        peer.create("l", 1, &time).await;
        let good = peer.batch(&[b"x"]);
        let mut claims = BytesMut::from(&good[..]);
        claims[22] |= 8;
        let sum = taffrail_record::crc32c(&claims[21..]);
        claims[17..21].copy_from_slice(&sum.to_be_bytes());
        let claims = claims.freeze();
        assert_eq!(peer.produce("t", 0, claims.clone()).await.0, 0);
        assert_eq!(peer.produce("l", 0, claims).await.0, 32);
        let (_, _, read) = peer.fetch("t", 0, 0).await;
        assert_eq!(read[17..], good[17..]);
    });
}

#[test]
fn a_bad_record_is_named() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        peer.create("t", 1, &[("message.timestamp.before.max.ms", "1000")])
            .await;
        let now = place.env.unix_ms();
        let mut builder = BatchBuilder::new(Codec::None, now);
        for time in [now, now - 5000, now] {
            builder.append(time, None, Some(b"x"), &[]).expect("fits");
        }
        let batch = builder.finish(ProducerFields::default()).expect("fits");
        let reply = peer.call(9, &produce("t", 0, batch.freeze(), -1)).await;
        let response: ProduceResponse<'_> = reply.read();
        let answer = only(&response);
        assert_eq!((answer.error_code, answer.base_offset), (32, -1));
        assert_eq!(answer.record_errors.len(), 1);
        assert_eq!(answer.record_errors[0].batch_index, 1);
        assert!(answer.error_message.is_some());
    });
}

#[test]
fn unknown_and_internal_topics_are_refused() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        peer.create("t", 1, &[]).await;
        let batch = peer.batch(&[b"x"]);
        assert_eq!(peer.produce("nowhere", 0, batch.clone()).await.0, 3);
        assert_eq!(peer.produce("t", 1, batch.clone()).await.0, 3);
        assert_eq!(peer.produce("t", -1, batch.clone()).await.0, 3);
        let mut request = produce("", 0, batch.clone(), -1);
        request.topic_data[0].topic_id = [9; 16];
        let reply = peer.call(13, &request).await;
        assert_eq!(only(&reply.read()).error_code, 100);
        // Whoever looks for a coordinator brings the topic of the groups into being.
        let request = FindCoordinatorRequest {
            key: "group",
            ..FindCoordinatorRequest::default()
        };
        peer.call(2, &request).await;
        assert_eq!(peer.produce("__consumer_offsets", 0, batch).await.0, 17);
    });
}

#[test]
fn a_topic_with_log_append_time_stamps_every_record() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        peer.create("t", 1, &[("message.timestamp.type", "LogAppendTime")])
            .await;
        let batch = batch_at(5, &[b"x"], ProducerFields::default());
        let now = place.env.unix_ms();
        let reply = peer.call(9, &produce("t", 0, batch, -1)).await;
        let response: ProduceResponse<'_> = reply.read();
        let time = only(&response).log_append_time_ms;
        assert!((now..now + 1000).contains(&time), "{time}");
        let (_, _, bytes) = peer.fetch("t", 0, 0).await;
        let header = BatchHeader::parse(&bytes).expect("a batch");
        assert_eq!(header.timestamp_type(), TimestampType::LogAppendTime);
        assert_eq!(header.max_timestamp, time);
        taffrail_record::batch::verify_crc(&bytes).expect("a new checksum");
    });
}

#[test]
fn a_topic_with_a_codec_of_its_own_stores_in_it() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        for (codec, name) in [
            (Codec::Gzip, "gzip"),
            (Codec::Snappy, "snappy"),
            (Codec::Lz4, "lz4"),
            (Codec::Zstd, "zstd"),
            (Codec::None, "uncompressed"),
        ] {
            peer.create(name, 1, &[("compression.type", name)]).await;
            let batch = peer.batch(&[b"one", b"two"]);
            assert_eq!(peer.produce(name, 0, batch).await, (0, 0));
            let (_, _, bytes) = peer.fetch(name, 0, 0).await;
            let header = BatchHeader::parse(&bytes).expect("a batch");
            assert_eq!(header.codec(), Ok(codec));
            assert_eq!(values(&bytes), [b"one", b"two"]);
        }
    });
}

#[test]
fn what_grows_under_the_topics_codec_must_keep_the_limit_too() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        let configs = [
            ("compression.type", "uncompressed"),
            ("max.message.bytes", "1000"),
        ];
        peer.create("t", 1, &configs).await;
        let now = place.env.unix_ms();
        for (zeros, error) in [(800, 0), (5000, 10)] {
            let mut builder = BatchBuilder::new(Codec::Gzip, now);
            let value = vec![0; zeros];
            builder.append(now, None, Some(&value), &[]).expect("fits");
            let batch = builder.finish(ProducerFields::default()).expect("fits");
            assert!(batch.len() < 200, "it comes small");
            assert_eq!(peer.produce("t", 0, batch.freeze()).await.0, error);
        }
        assert_eq!(peer.fetch("t", 0, 0).await.1, 1);
    });
}

#[test]
fn more_replicas_than_there_are_cannot_acknowledge() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        peer.create("t", 1, &[("min.insync.replicas", "2")]).await;
        let batch = peer.batch(&[b"x"]);
        assert_eq!(peer.produce("t", 0, batch.clone()).await.0, 19);
        let reply = peer.call(9, &produce("t", 0, batch, 1)).await;
        assert_eq!(only(&reply.read()).error_code, 0);
    });
}

#[test]
fn many_partitions_in_one_request_are_each_answered() {
    story(config(2), |place| async move {
        let mut peer = place.peer().await;
        peer.create("t", 50, &[]).await;
        let mut request = produce("t", 0, peer.batch(&[b"0"]), -1);
        for index in 1..51 {
            let mut data = request.topic_data[0].partition_data[0].clone();
            data.index = index;
            data.records = Some(peer.batch(&[index.to_string().as_bytes()]).into());
            request.topic_data[0].partition_data.push(data);
        }
        let reply = peer.call(9, &request).await;
        let response: ProduceResponse<'_> = reply.read();
        for (index, answer) in response.responses[0].partition_responses.iter().enumerate() {
            assert_eq!(answer.index, index as i32);
            assert_eq!(answer.error_code, if index < 50 { 0 } else { 3 });
        }
        for index in 0..50 {
            let (_, _, bytes) = peer.fetch("t", index, 0).await;
            assert_eq!(values(&bytes), [index.to_string().as_bytes()]);
        }
    });
}

#[test]
fn of_what_one_request_has_for_a_partition_the_last_is_appended_and_answered_once() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        peer.create("t", 2, &[]).await;
        let large = vec![1; 100_000];
        for (acks, sent) in [(-1, 2), (0, 3)] {
            let mut request = produce("t", 0, peer.batch(&[b"one"]), acks);
            let part = |index, batch: Bytes| PartitionProduceData {
                index,
                records: Some(batch.into()),
            };
            let first = &mut request.topic_data[0].partition_data;
            first.push(part(1, peer.batch(&[b"other"])));
            first.push(part(0, peer.batch(&[&large])));
            let mut again = request.topic_data[0].clone();
            again.partition_data = vec![part(0, peer.batch(&[b"two", b"three"]))];
            request.topic_data.push(again);
            if acks == 0 {
                peer.send(9, &request).await;
            } else {
                let reply = peer.call(9, &request).await;
                let response: ProduceResponse<'_> = reply.read();
                assert_eq!(response.responses.len(), 1);
                let answers = response.responses[0].partition_responses.iter();
                let answers: Vec<_> = answers.map(|part| (part.index, part.error_code)).collect();
                assert_eq!(answers, [(0, 0), (1, 0)]);
            }
            let (_, end, bytes) = peer.fetch("t", 0, 2 * (sent - 2)).await;
            assert_eq!(end, 2 * (sent - 1));
            assert_eq!(values(&bytes), [&b"two"[..], b"three"]);
            assert_eq!(peer.fetch("t", 1, 0).await.1, sent - 1);
        }
    });
}

#[test]
fn a_refusal_that_took_a_look_at_the_log_tells_where_it_starts() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        let configs = [("max.message.bytes", "1000")];
        peer.create("t", 1, &configs).await;
        let producer = new_producer(&mut peer).await;
        let now = place.env.unix_ms();
        let at = |base_sequence, producer_epoch| {
            let fields = ProducerFields {
                base_sequence,
                producer_epoch,
                ..producer
            };
            batch_at(now, &[b"x"], fields)
        };
        for sequence in 0..3 {
            assert_eq!(peer.produce("t", 0, at(sequence, 1)).await.0, 0);
        }
        assert_eq!(super::topics::forget(&mut peer, 2).await, (0, 2));
        let good = peer.batch(&[b"x"]);
        let mut flipped = good.to_vec();
        flipped[65] ^= 1;
        let future = batch_at(now + 7_200_000, &[b"x"], ProducerFields::default());
        let control = {
            let mut batch = good.to_vec();
            batch[22] |= 32;
            let sum = taffrail_record::crc32c(&batch[21..]);
            batch[17..21].copy_from_slice(&sum.to_be_bytes());
            Bytes::from(batch)
        };
        for (what, batch, error, start) in [
            ("a gap", at(9, 1), 45, 2),
            ("an old epoch", at(3, 0), 47, 2),
            ("from the future", future, 32, 2),
            ("a control batch", control, 87, 2),
            ("cut", good.slice(..20), 87, -1),
            ("flipped", flipped.into(), 2, -1),
            ("too large", peer.batch(&[&[0; 2000]]), 10, -1),
        ] {
            let reply = peer.call(9, &produce("t", 0, batch, -1)).await;
            let response: ProduceResponse<'_> = reply.read();
            let answer = only(&response);
            let told = (answer.error_code, answer.log_start_offset);
            assert_eq!(told, (error, start), "{what}");
        }
    });
}

#[test]
fn what_is_appended_is_counted_when_nobody_is_left_to_be_told() {
    for shards in [1, 3] {
        story(config(shards), |place| async move {
            let mut peer = place.peer().await;
            peer.create("t", 8, &[]).await;
            let mut leaving = place.peer().await;
            leaving.call(0, &ApiVersionsRequest::default()).await;
            for partition in 0..8 {
                let batch = leaving.batch(&[b"x", b"y"]);
                leaving.send(9, &produce("t", partition, batch, 0)).await;
            }
            let batch = leaving.batch(&[b"x", b"y"]);
            leaving.send(9, &produce("t", 0, batch, -1)).await;
            drop(leaving);
            place.env.sleep(Duration::from_secs(1)).await;
            let mut there = 0;
            for partition in 0..8 {
                there += peer.fetch("t", partition, 0).await.1;
            }
            assert_eq!(there, 18);
            let metrics = place.node.metrics().await;
            assert_eq!(metrics.value("taffrail_appended_records_total"), 18.0);
            assert_eq!(metrics.value("taffrail_appended_batches_total"), 9.0);
        });
    }
}

#[test]
fn half_of_a_producers_identity_is_none() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        for (producer_id, producer_epoch, error) in [(5, -1, 42), (-1, 5, 42), (5, 5, 0)] {
            let request = InitProducerIdRequest {
                transactional_id: None,
                producer_id,
                producer_epoch,
                ..InitProducerIdRequest::default()
            };
            let reply = peer.call(4, &request).await;
            assert_eq!(reply.read::<InitProducerIdResponse>().error_code, error);
        }
    });
}

#[test]
fn a_connection_that_goes_away_takes_nothing_back() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        peer.create("t", 1, &[]).await;
        let mut leaving = place.peer().await;
        leaving.call(0, &ApiVersionsRequest::default()).await;
        let batch = leaving.batch(&[b"x"]);
        leaving.send(9, &produce("t", 0, batch, -1)).await;
        drop(leaving);
        place.env.sleep(Duration::from_secs(1)).await;
        assert_eq!(peer.fetch("t", 0, 0).await.1, 1);
    });
}

#[test]
fn the_time_a_producer_gives_is_for_replicas_and_not_for_the_leaders_own_disk() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        peer.create("t", 1, &[]).await;
        for (number, (acks, timeout_ms)) in [(1, 0), (1, 1), (-1, 0)].into_iter().enumerate() {
            let batch = peer.batch(&[b"x"]);
            let mut request = produce("t", 0, batch, acks);
            request.timeout_ms = timeout_ms;
            let reply = peer.call(9, &request).await;
            let response: ProduceResponse<'_> = reply.read();
            let answer = only(&response);
            assert_eq!((answer.error_code, answer.base_offset), (0, number as i64));
        }
    });
}
