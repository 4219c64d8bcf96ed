//! Groups in raw frames: members that come and go, offsets that stay, and coordinators that read their log.

use super::ground::*;
use super::restart::{in_a_world, life};
use bytes::Bytes;
use std::time::Duration;
use taffrail_env::Clock;
use taffrail_sim::{DiskOptions, FaultKind, NodeOptions, Rates, Simulation};
use taffrail_wire::join_group::JoinGroupRequestProtocol;
use taffrail_wire::offset_commit::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use taffrail_wire::offset_delete::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
use taffrail_wire::offset_fetch::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use taffrail_wire::sync_group::SyncGroupRequestAssignment;
use taffrail_wire::{
    DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest, DescribeGroupsResponse,
    ErrorCode, FindCoordinatorRequest, FindCoordinatorResponse, HeartbeatRequest,
    HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, LeaveGroupResponse,
    ListGroupsRequest, ListGroupsResponse, OffsetCommitRequest, OffsetCommitResponse,
    OffsetDeleteRequest, OffsetDeleteResponse, OffsetFetchRequest, OffsetFetchResponse,
    SyncGroupRequest, SyncGroupResponse,
};

const NOT_AVAILABLE: i16 = ErrorCode::CoordinatorNotAvailable as i16;
const LOADING: i16 = ErrorCode::CoordinatorLoadInProgress as i16;

fn join<'a>(member_id: &'a str, instance_id: Option<&'a str>) -> JoinGroupRequest<'a> {
    JoinGroupRequest {
        group_id: "g",
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 60_000,
        member_id,
        group_instance_id: instance_id,
        protocol_type: "consumer",
        protocols: vec![JoinGroupRequestProtocol {
            name: "range",
            // Version 1, the topic `t`, no user data.
            metadata: Bytes::from_static(b"\0\x01\0\0\0\x01\0\x01t\xff\xff\xff\xff"),
        }],
        reason: None,
    }
}

/// What a member knows once it has joined.
#[derive(Debug)]
struct Joined {
    member_id: String,
    generation: i32,
    members: Vec<String>,
}

impl Peer {
    /// Finds the coordinator of groups; the first time that makes their topic.
    async fn find_coordinator(&mut self) {
        loop {
            let request = FindCoordinatorRequest {
                coordinator_keys: vec!["g"],
                ..Default::default()
            };
            let reply = self.call(6, &request).await;
            let response: FindCoordinatorResponse<'_> = reply.read();
            let found = &response.coordinators[0];
            assert_eq!((found.error_code, found.node_id, found.key), (0, 1, "g"));
            if self.fetch_offset("g").await.is_ok() {
                return;
            }
        }
    }

    async fn commit(&mut self, group_id: &str, offset: i64) -> i16 {
        let request = OffsetCommitRequest {
            group_id,
            topics: vec![OffsetCommitRequestTopic {
                name: "t",
                partitions: vec![OffsetCommitRequestPartition {
                    committed_offset: offset,
                    committed_metadata: Some("note"),
                    ..Default::default()
                }],
                ..Default::default()
            }],
            ..Default::default()
        };
        let reply = self.call(9, &request).await;
        let response: OffsetCommitResponse<'_> = reply.read();
        response.topics[0].partitions[0].error_code
    }

    /// What a group has committed of `t`, partition 0; -1 if nothing.
    async fn fetch_offset(&mut self, group_id: &str) -> Result<i64, i16> {
        let request = OffsetFetchRequest {
            groups: vec![OffsetFetchRequestGroup {
                group_id,
                topics: Some(vec![OffsetFetchRequestTopics {
                    name: "t",
                    partition_indexes: vec![0],
                    ..Default::default()
                }]),
                ..Default::default()
            }],
            require_stable: true,
            ..Default::default()
        };
        let reply = self.call(9, &request).await;
        let response: OffsetFetchResponse<'_> = reply.read();
        let group = &response.groups[0];
        if group.error_code != 0 {
            return Err(group.error_code);
        }
        assert_eq!(group.topics[0].partitions[0].error_code, 0);
        Ok(group.topics[0].partitions[0].committed_offset)
    }

    /// [`Peer::fetch_offset`], asked again while the coordinator loads, as clients do.
    async fn committed(&mut self, place: &Place, group_id: &str) -> i64 {
        loop {
            match self.fetch_offset(group_id).await {
                Ok(offset) => return offset,
                Err(error) => assert!([LOADING, NOT_AVAILABLE].contains(&error), "error {error}"),
            }
            place.env.sleep(Duration::from_millis(50)).await;
        }
    }

    async fn send_join(&mut self, member_id: &str, instance_id: Option<&str>) {
        self.send(9, &join(member_id, instance_id)).await;
    }

    async fn receive_join(&mut self) -> Result<Joined, (i16, String)> {
        let reply = self.receive(taffrail_wire::api::ApiKey::JoinGroup, 9).await;
        let response: JoinGroupResponse<'_> = reply.read();
        if response.error_code != 0 {
            return Err((response.error_code, response.member_id.to_string()));
        }
        Ok(Joined {
            member_id: response.member_id.to_string(),
            generation: response.generation_id,
            members: response
                .members
                .iter()
                .map(|member| member.member_id.to_string())
                .collect(),
        })
    }

    /// Asks for a member id.
    async fn member_id(&mut self) -> String {
        self.send_join("", None).await;
        let (error, member_id) = self.receive_join().await.expect_err("two steps");
        assert_eq!(error, ErrorCode::MemberIdRequired as i16);
        member_id
    }

    async fn sync(&mut self, joined: &Joined) -> (i16, Bytes) {
        let assignments = joined
            .members
            .iter()
            .map(|member_id| SyncGroupRequestAssignment {
                member_id,
                assignment: Bytes::from(member_id.clone()),
            });
        let request = SyncGroupRequest {
            group_id: "g",
            generation_id: joined.generation,
            member_id: &joined.member_id,
            assignments: assignments.collect(),
            ..Default::default()
        };
        let reply = self.call(5, &request).await;
        let response: SyncGroupResponse<'_> = reply.read();
        (response.error_code, response.assignment.clone())
    }

    async fn heartbeat(&mut self, joined: &Joined) -> i16 {
        let request = HeartbeatRequest {
            group_id: "g",
            generation_id: joined.generation,
            member_id: &joined.member_id,
            group_instance_id: None,
        };
        let reply = self.call(4, &request).await;
        reply.read::<HeartbeatResponse>().error_code
    }
}

#[test]
fn three_members_share_a_group_and_one_leaves() {
    let mut config = config(2);
    set(&mut config, "group.initial.rebalance.delay.ms", "3000");
    story(config, |place| async move {
        let mut peers = [place.peer().await, place.peer().await, place.peer().await];
        peers[0].find_coordinator().await;
        let mut ids = Vec::new();
        for peer in &mut peers {
            ids.push(peer.member_id().await);
        }
        for (peer, id) in peers.iter_mut().zip(&ids) {
            peer.send_join(id, None).await;
        }
        let mut joined = Vec::new();
        for peer in &mut peers {
            joined.push(peer.receive_join().await.expect("joined"));
        }
        let generation = joined[0].generation;
        assert!(joined.iter().all(|joined| joined.generation == generation));
        let leader = joined
            .iter()
            .position(|joined| !joined.members.is_empty())
            .expect("one leads");
        assert_eq!(joined[leader].members.len(), 3);
        let others: Vec<usize> = (0..3).filter(|index| *index != leader).collect();
        let (error, assignment) = peers[leader].sync(&joined[leader]).await;
        assert_eq!(
            (error, assignment),
            (0, Bytes::from(joined[leader].member_id.clone()))
        );
        for index in &others {
            let (error, assignment) = peers[*index].sync(&joined[*index]).await;
            assert_eq!(
                (error, assignment),
                (0, Bytes::from(joined[*index].member_id.clone()))
            );
            assert_eq!(peers[*index].heartbeat(&joined[*index]).await, 0);
        }
        let leave = LeaveGroupRequest {
            group_id: "g",
            members: vec![taffrail_wire::leave_group::MemberIdentity {
                member_id: &joined[others[0]].member_id,
                ..Default::default()
            }],
            ..Default::default()
        };
        let reply = peers[others[0]].call(5, &leave).await;
        let left: LeaveGroupResponse<'_> = reply.read();
        assert_eq!((left.error_code, left.members[0].error_code), (0, 0));
        let rebalancing = ErrorCode::RebalanceInProgress as i16;
        assert_eq!(peers[leader].heartbeat(&joined[leader]).await, rebalancing);
        for index in [leader, others[1]] {
            let id = joined[index].member_id.clone();
            peers[index].send_join(&id, None).await;
        }
        let again = peers[leader].receive_join().await.expect("joined");
        assert_eq!(
            (again.generation, again.members.len()),
            (joined[leader].generation + 1, 2)
        );
        peers[others[1]].receive_join().await.expect("joined");
        place.audit().await;
    });
}

#[test]
fn committed_offsets_and_members_are_there_after_any_stop() {
    for (seed, clean, power) in [(11, true, false), (12, false, false), (13, false, true)] {
        in_a_world(seed, move |world, machine| async move {
            let (tell, told) = std::sync::mpsc::channel();
            life(&world, machine, config(2), clean, move |place| async move {
                let mut peer = place.peer().await;
                peer.create("t", 1, &[]).await;
                peer.find_coordinator().await;
                assert_eq!(peer.committed(&place, "simple").await, -1);
                for offset in 0..20 {
                    assert_eq!(peer.commit("simple", offset).await, 0);
                }
                peer.send_join("", Some("static")).await;
                let joined = peer.receive_join().await.expect("joined");
                assert_eq!(peer.sync(&joined).await.0, 0);
                tell.send(joined).expect("somebody listens");
            })
            .await;
            if power {
                world.power_cut(&[machine]);
            }
            let joined = told.recv().expect("the member that joined");
            life(&world, machine, config(3), true, |place| async move {
                let mut peer = place.peer().await;
                assert_eq!(peer.committed(&place, "simple").await, 19);
                assert_eq!(peer.committed(&place, "nobody").await, -1);
                let loading = "taffrail_group_partitions_loading";
                while place.node.metrics().await.value(loading) > 0.0 {
                    place.env.sleep(Duration::from_millis(10)).await;
                }
                assert_eq!(peer.heartbeat(&joined).await, 0, "it is a member still");
                let (error, assignment) = peer.sync(&joined).await;
                assert_eq!(
                    (error, assignment),
                    (0, Bytes::from(joined.member_id.clone()))
                );
                place.audit().await;
            })
            .await;
        });
    }
}

#[test]
fn a_coordinator_that_reads_its_log_never_says_that_there_is_no_offset() {
    for seed in 20..30 {
        in_a_world(seed, |world, machine| async move {
            life(&world, machine, config(1), false, |place| async move {
                let mut peer = place.peer().await;
                peer.create("t", 1, &[]).await;
                peer.find_coordinator().await;
                assert_eq!(peer.commit("g", 7).await, 0);
            })
            .await;
            // A slow disk makes the loading long.
            world.disk(machine).set_slow(1000);
            life(&world, machine, config(1), false, |place| async move {
                let mut peer = place.peer().await;
                let mut answers = Vec::new();
                while answers.last() != Some(&Ok(7)) {
                    answers.push(peer.fetch_offset("g").await);
                    place.env.sleep(Duration::from_millis(1)).await;
                }
                answers.pop();
                assert!(
                    answers.iter().all(|answer| *answer == Err(LOADING)),
                    "{answers:?}"
                );
            })
            .await;
        });
    }
}

#[test]
fn a_commit_that_is_not_durable_is_not_acknowledged_and_offsets_can_still_be_read() {
    in_a_world(40, |world, machine| async move {
        let faults = world.clone();
        life(&world, machine, config(1), false, |place| async move {
            let mut peer = place.peer().await;
            peer.create("t", 1, &[]).await;
            peer.find_coordinator().await;
            assert_eq!(peer.commit("g", 1).await, 0);
            let rates = Rates::none().with(FaultKind::DiskSyncFailed, 1_000_000);
            faults.faults().set_rates(rates);
            assert_eq!(peer.commit("g", 2).await, NOT_AVAILABLE);
            assert_eq!(
                peer.committed(&place, "g").await,
                1,
                "what is durable can be read"
            );
            let refused = peer.commit("g", 3).await;
            assert!(
                [NOT_AVAILABLE, LOADING].contains(&refused),
                "error {refused}"
            );
            faults.faults().set_rates(Rates::none());
        })
        .await;
        life(&world, machine, config(1), true, |place| async move {
            let mut peer = place.peer().await;
            let offset = peer.committed(&place, "g").await;
            assert!(
                (1..=2).contains(&offset),
                "acknowledged, or of unknown outcome: {offset}"
            );
            assert_eq!(peer.commit("g", 4).await, 0);
            assert_eq!(peer.committed(&place, "g").await, 4);
        })
        .await;
    });
}

#[test]
fn snapshots_bound_the_log_of_groups() {
    in_a_world(50, |world, machine| async move {
        let mut small = config(1);
        set(&mut small, "offsets.topic.num.partitions", "1");
        let restarted = small.clone();
        life(&world, machine, small, false, |place| async move {
            let mut peer = place.peer().await;
            peer.create("t", 1, &[]).await;
            peer.find_coordinator().await;
            let mut start = 0;
            let mut offset = 0;
            while start == 0 {
                for _ in 0..500 {
                    offset += 1;
                    assert_eq!(peer.commit("g", offset).await, 0);
                }
                assert!(offset < 200_000, "no snapshot was kept");
                let seen = place.inspect().await;
                let offsets = seen
                    .partitions
                    .iter()
                    .find(|view| view.topic == "__consumer_offsets");
                start = offsets.expect("there").log_start_offset;
            }
            assert_eq!(peer.commit("last", offset).await, 0);
            place.audit().await;
        })
        .await;
        life(&world, machine, restarted, true, |place| async move {
            let mut peer = place.peer().await;
            let last = peer.committed(&place, "last").await;
            assert_eq!(peer.committed(&place, "g").await, last);
            place.audit().await;
        })
        .await;
    });
}

#[test]
fn a_topic_of_the_same_name_does_not_inherit_offsets() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        peer.create("t", 1, &[]).await;
        peer.find_coordinator().await;
        assert_eq!(peer.commit("g", 5).await, 0);
        assert_eq!(peer.delete("t").await, 0);
        assert_eq!(peer.fetch_offset("g").await, Ok(-1));
        assert_eq!(
            peer.commit("g", 6).await,
            ErrorCode::UnknownTopicOrPartition as i16
        );
        peer.create("t", 1, &[]).await;
        assert_eq!(peer.fetch_offset("g").await, Ok(-1));
        assert_eq!(peer.commit("g", 1).await, 0);
        assert_eq!(peer.fetch_offset("g").await, Ok(1));
        place.audit().await;
    });
}

#[test]
fn an_offset_that_is_kept_for_a_while_is_of_its_topic_alone() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        peer.create("t", 1, &[]).await;
        peer.find_coordinator().await;
        let request = OffsetCommitRequest {
            group_id: "g",
            retention_time_ms: 86_400_000,
            topics: vec![OffsetCommitRequestTopic {
                name: "t",
                partitions: vec![OffsetCommitRequestPartition {
                    committed_offset: 5,
                    ..Default::default()
                }],
                ..Default::default()
            }],
            ..Default::default()
        };
        let reply = peer.call(4, &request).await;
        let response: OffsetCommitResponse<'_> = reply.read();
        assert_eq!(response.topics[0].partitions[0].error_code, 0);
        assert_eq!(peer.fetch_offset("g").await, Ok(5));
        // The log says the same as the memory.
        place.audit().await;
        assert_eq!(peer.delete("t").await, 0);
        peer.create("t", 1, &[]).await;
        assert_eq!(peer.fetch_offset("g").await, Ok(-1));
        place.audit().await;
    });
}

#[test]
fn a_full_disk_refuses_commits_without_reading_the_groups_again_for_each() {
    let outcome = Simulation::new("broker", 9).run(move |world| async move {
        let machine = world.add_node(NodeOptions {
            name: "broker".to_string(),
            disk: DiskOptions { capacity: 32 << 20 },
        });
        let mut config = config(2);
        set(&mut config, "offsets.topic.segment.bytes", "4096");
        set(&mut config, "offsets.topic.num.partitions", "1");
        life(&world, machine, config, true, |place| async move {
            let mut peer = place.peer().await;
            peer.create("fills", 1, &[]).await;
            peer.create("t", 1, &[]).await;
            peer.find_coordinator().await;
            assert_eq!(peer.commit("g", 0).await, 0);
            for size in [500_000, 50_000, 5_000] {
                let value = vec![7; size];
                let mut error = 0;
                while error == 0 {
                    let batch = peer.batch(&[&value]);
                    error = peer.produce("fills", 0, batch).await.0;
                }
                assert_eq!(error, ErrorCode::KafkaStorageError as i16);
            }
            let (mut committed, mut refused) = (0, 0);
            for offset in 1..1000 {
                match peer.commit("g", offset).await {
                    0 => committed = offset,
                    error => {
                        assert!([LOADING, NOT_AVAILABLE].contains(&error), "error {error}");
                        refused += 1;
                    }
                }
                place.env.sleep(Duration::from_millis(20)).await;
            }
            assert!(refused > 500, "{refused} commits were refused");
            let reloads = place.node.metrics().await;
            let reloads = reloads.value("taffrail_group_partition_reloads_total");
            assert!((1.0..20.0).contains(&reloads), "{reloads} times");
            assert_eq!(peer.committed(&place, "g").await, committed);
            assert_eq!(peer.delete("fills").await, 0);
            let resumed = async {
                while peer.commit("g", 2000).await != 0 {
                    place.env.sleep(Duration::from_millis(100)).await;
                }
            };
            let ((), waited) = place.timed(resumed).await;
            assert!(waited < Duration::from_secs(15), "{waited:?}");
            assert_eq!(peer.committed(&place, "g").await, 2000);
        })
        .await;
    });
    assert!(outcome.failure.is_none(), "{:?}", outcome.failure);
}

#[test]
fn offsets_are_committed_of_partitions_that_are_there() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        peer.create("t", 2, &[]).await;
        peer.find_coordinator().await;
        let topic_id = peer.topic_id("t").await;
        for version in [9, 10] {
            let partitions = [-1, 1, 2, 0].map(|partition_index| OffsetCommitRequestPartition {
                partition_index,
                committed_offset: 5,
                ..Default::default()
            });
            let request = OffsetCommitRequest {
                group_id: "g",
                topics: vec![OffsetCommitRequestTopic {
                    name: if version < 10 { "t" } else { "" },
                    topic_id: if version < 10 { [0; 16] } else { topic_id },
                    partitions: partitions.to_vec(),
                }],
                ..Default::default()
            };
            let reply = peer.call(version, &request).await;
            let response: OffsetCommitResponse<'_> = reply.read();
            let partitions = response.topics[0].partitions.iter();
            let errors: Vec<_> = partitions.map(|partition| partition.error_code).collect();
            assert_eq!(errors, [3, 0, 3, 0], "version {version}");
        }
    });
}

#[test]
fn a_coordinator_that_is_found_has_kafkas_words_for_it() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        peer.find_coordinator().await;
        for version in 1..=6 {
            let request = FindCoordinatorRequest {
                key: if version < 4 { "g" } else { "" },
                coordinator_keys: if version < 4 { vec![] } else { vec!["g"] },
                ..Default::default()
            };
            let reply = peer.call(version, &request).await;
            let response: FindCoordinatorResponse<'_> = reply.read();
            let told = match response.coordinators.first() {
                None => (response.error_code, response.error_message),
                Some(found) => (found.error_code, found.error_message),
            };
            let expected = if version < 4 { "NONE" } else { "" };
            assert_eq!(told, (0, Some(expected)), "version {version}");
        }
    });
}

async fn forget_offsets(
    peer: &mut Peer,
    group_id: &str,
    topics: &[(&str, &[i32])],
) -> (i16, Vec<Vec<i16>>) {
    let topics = topics.iter().map(|(name, partitions)| {
        let partitions = partitions.iter();
        OffsetDeleteRequestTopic {
            name,
            partitions: partitions
                .map(|partition_index| OffsetDeleteRequestPartition {
                    partition_index: *partition_index,
                })
                .collect(),
        }
    });
    let request = OffsetDeleteRequest {
        group_id,
        topics: topics.collect(),
    };
    let reply = peer.call(0, &request).await;
    let response: OffsetDeleteResponse<'_> = reply.read();
    let told = response.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter();
        partitions.map(|partition| partition.error_code).collect()
    });
    (response.error_code, told.collect())
}

#[test]
fn members_that_wait_for_each_other_hold_up_nobody() {
    const MEMBERS: usize = 30;
    let mut small = config(1);
    small.memory_bytes = 8 << 20;
    set(&mut small, "group.initial.rebalance.delay.ms", "5000");
    set(&mut small, "max.connection.creation.rate.per.ip", "1000");
    story(small, |place| async move {
        let mut asking = place.peer().await;
        asking.create("t", 1, &[]).await;
        asking.find_coordinator().await;
        // Long requests, of which the group keeps little.
        let reason = "because ".repeat(2500);
        let mut members = Vec::new();
        for _ in 0..MEMBERS {
            let mut member = place.peer().await;
            member.send_join("", None).await;
            let (_, id) = member.receive_join().await.expect_err("an id comes first");
            let mut request = join(&id, None);
            request.reason = Some(&reason);
            member.send(9, &request).await;
            members.push(member);
        }
        place.env.sleep(Duration::from_secs(1)).await;
        let (_, took) = place.timed(asking.topic_id("t")).await;
        assert!(took < Duration::from_secs(1), "{took:?}");
        for member in &mut members {
            let joined = member.receive_join().await.expect("joined");
            assert_eq!(joined.generation, 1);
        }
    });
}

#[test]
fn a_deletion_whose_asker_has_hung_up_takes_the_committed_offsets_too() {
    const UNKNOWN_TOPIC: i16 = ErrorCode::UnknownTopicOrPartition as i16;
    let mut tidy = config(1);
    // A group of which nothing is left goes then.
    set(&mut tidy, "offsets.retention.check.interval.ms", "100");
    story(tidy, |place| async move {
        let mut peer = place.peer().await;
        peer.find_coordinator().await;
        let mut deleted = 0;
        for delay in (0..4000).step_by(100) {
            peer.create("t", 1, &[]).await;
            assert_eq!(peer.commit("g", 1).await, 0);
            let mut hasty = place.peer().await;
            let request = taffrail_wire::DeleteTopicsRequest {
                topic_names: vec!["t"],
                ..Default::default()
            };
            hasty.send(5, &request).await;
            place.env.sleep(Duration::from_micros(delay)).await;
            drop(hasty);
            place.env.sleep(Duration::from_secs(1)).await;
            if peer.fetch("t", 0, 0).await.0 != UNKNOWN_TOPIC {
                assert_eq!(peer.delete("t").await, 0);
                place.env.sleep(Duration::from_secs(1)).await;
            } else {
                deleted += 1;
            }
            let reply = peer.call(4, &ListGroupsRequest::default()).await;
            let left = reply.read::<ListGroupsResponse<'_>>().groups.len();
            assert_eq!(left, 0, "hung up after {delay} microseconds");
        }
        assert!(deleted > 1);
    });
}

#[test]
fn offsets_of_partitions_that_are_not_there_are_not_deleted_and_the_group_stays() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        peer.create("t", 1, &[]).await;
        peer.find_coordinator().await;
        assert_eq!(peer.commit("g", 5).await, 0);
        let nowhere: &[(&str, &[i32])] = &[("nowhere", &[0])];
        assert_eq!(forget_offsets(&mut peer, "", nowhere).await.0, 24);
        assert_eq!(forget_offsets(&mut peer, "other", nowhere).await.0, 69);
        let all: &[(&str, &[i32])] = &[("nowhere", &[0]), ("t", &[-1, 0, 1])];
        let told = forget_offsets(&mut peer, "g", all).await;
        assert_eq!(told, (0, vec![vec![3], vec![3, 0, 3]]));
        let reply = peer.call(4, &ListGroupsRequest::default()).await;
        let response: ListGroupsResponse<'_> = reply.read();
        let groups = response.groups.iter();
        let groups: Vec<_> = groups
            .map(|group| (group.group_id, group.group_state))
            .collect();
        assert_eq!(groups, [("g", "Empty")]);
        let request = DeleteGroupsRequest {
            groups_names: vec!["g", "none", "g", "none"],
        };
        let reply = peer.call(2, &request).await;
        let response: DeleteGroupsResponse<'_> = reply.read();
        let results = response.results.iter();
        let results: Vec<_> = results
            .map(|group| (group.group_id, group.error_code))
            .collect();
        assert_eq!(results, [("g", 0), ("none", 69)]);
        let reply = peer.call(4, &ListGroupsRequest::default()).await;
        assert_eq!(reply.read::<ListGroupsResponse<'_>>().groups.len(), 0);
        place.audit().await;
    });
}

/// Offsets of an answer, by topic: partition and offset.
type Offsets<'r> = Vec<(&'r str, Vec<(i32, i64)>)>;

/// Partitions that are wanted, by topic.
type Wanted<'r> = [(&'r str, &'r [i32])];

/// A request for partitions of topics of groups, in version 9.
fn offsets_of<'r>(groups: &[(&'r str, Option<&Wanted<'r>>)]) -> OffsetFetchRequest<'r> {
    let topic = |(name, indexes): &(&'r str, &'r [i32])| OffsetFetchRequestTopics {
        name,
        partition_indexes: indexes.to_vec(),
        ..Default::default()
    };
    let groups = groups
        .iter()
        .map(|(group_id, topics)| OffsetFetchRequestGroup {
            group_id,
            topics: topics.map(|topics| topics.iter().map(topic).collect()),
            ..Default::default()
        });
    OffsetFetchRequest {
        groups: groups.collect(),
        ..Default::default()
    }
}

#[test]
fn offsets_that_are_asked_for_again_and_again_are_answered_once() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        peer.create("t", 1, &[]).await;
        peer.find_coordinator().await;
        assert_eq!(peer.commit("g", 5).await, 0);
        for group_id in ["other", "all"] {
            assert_eq!(peer.committed(&place, group_id).await, -1);
        }
        let again = [0, 7, 0].repeat(10_000);
        let request = OffsetFetchRequest {
            group_id: "g",
            topics: Some(
                [("u", vec![]), ("t", again.clone()), ("t", vec![8])]
                    .map(|(name, partition_indexes)| OffsetFetchRequestTopic {
                        name,
                        partition_indexes,
                    })
                    .to_vec(),
            ),
            ..Default::default()
        };
        let reply = peer.call(5, &request).await;
        let response: OffsetFetchResponse<'_> = reply.read();
        let told = response.topics.iter().map(|topic| {
            let partitions = topic.partitions.iter();
            let partitions = partitions.map(|told| (told.partition_index, told.committed_offset));
            (topic.name, partitions.collect())
        });
        let expected: Offsets<'_> = vec![("u", vec![]), ("t", vec![(0, 5), (7, -1), (8, -1)])];
        assert_eq!(told.collect::<Offsets<'_>>(), expected);
        let request = offsets_of(&[
            ("g", Some(&[("t", &again)])),
            ("other", Some(&[("t", &[0])])),
            ("g", Some(&[("t", &[8]), ("u", &[0])])),
            ("all", Some(&[("t", &[0])])),
            ("all", None),
        ]);
        let reply = peer.call(9, &request).await;
        let response: OffsetFetchResponse<'_> = reply.read();
        let told = response.groups.iter().map(|group| {
            let topics = group.topics.iter().map(|topic| {
                let partitions = topic.partitions.iter();
                let partitions =
                    partitions.map(|told| (told.partition_index, told.committed_offset));
                (topic.name, partitions.collect())
            });
            (group.group_id, topics.collect())
        });
        let expected: Vec<(&str, Offsets<'_>)> = vec![
            (
                "g",
                vec![("t", vec![(0, 5), (7, -1), (8, -1)]), ("u", vec![(0, -1)])],
            ),
            ("other", vec![("t", vec![(0, -1)])]),
            ("all", vec![]),
        ];
        assert_eq!(told.collect::<Vec<(&str, Offsets<'_>)>>(), expected);
    });
}

#[test]
fn groups_that_are_asked_for_again_and_again_are_described_once() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        peer.create("t", 1, &[]).await;
        peer.find_coordinator().await;
        assert_eq!(peer.commit("g", 5).await, 0);
        assert_eq!(peer.committed(&place, "none").await, -1);
        let request = DescribeGroupsRequest {
            groups: ["g", "none", "g"].repeat(10_000),
            ..Default::default()
        };
        let reply = peer.call(5, &request).await;
        let response: DescribeGroupsResponse<'_> = reply.read();
        let told = response.groups.iter();
        let told: Vec<_> = told
            .map(|group| (group.group_id, group.group_state))
            .collect();
        assert_eq!(told, [("g", "Empty"), ("none", "Dead")]);
        let long = "x".repeat(32_760);
        assert_eq!(peer.committed(&place, &long).await, -1);
        let request = DescribeGroupsRequest {
            groups: vec![long.as_str()],
            ..Default::default()
        };
        let reply = peer.call(6, &request).await;
        let response: DescribeGroupsResponse<'_> = reply.read();
        let told = &response.groups[0];
        assert_eq!((told.error_code, told.group_id), (69, long.as_str()));
        assert!(told.error_message.is_some_and(|text| text.len() <= 1024));
        let request = FindCoordinatorRequest {
            coordinator_keys: ["g", "none", "g"].repeat(10_000),
            ..Default::default()
        };
        let reply = peer.call(6, &request).await;
        let response: FindCoordinatorResponse<'_> = reply.read();
        let told = response.coordinators.iter();
        let told: Vec<_> = told.map(|found| (found.key, found.node_id)).collect();
        assert_eq!(told, [("g", 1), ("none", 1)]);
    });
}
