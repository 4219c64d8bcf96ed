//! What a broker knows again after it was stopped, killed or lost its power.

use super::ground::*;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;
use taffrail_broker::{NodeConfig, StartError, start};
use taffrail_env::Clock;
use taffrail_sim::{DiskOptions, NodeId, NodeOptions, Simulation, World};

/// Starts a broker and tells a story; the process ends when the story does, with or without a clean stop.
pub async fn life<F, S>(world: &World, machine: NodeId, config: NodeConfig, clean: bool, story: S)
where
    S: FnOnce(Place) -> F + 'static,
    F: Future<Output = ()> + 'static,
{
    let told = Rc::new(Cell::new(false));
    let tell = told.clone();
    world.start(machine, move |env| async move {
        let node = start(env.clone(), config).await.expect("the node starts");
        let place = Place {
            env,
            node: node.clone(),
        };
        story(place).await;
        if clean {
            node.shutdown().await.expect("a clean stop");
        }
        tell.set(true);
    });
    world.exited(machine).await;
    assert!(told.get(), "the story was told to its end");
}

pub fn in_a_world<F: Future<Output = ()> + 'static>(
    seed: u64,
    tell: impl FnOnce(World, NodeId) -> F + Send,
) {
    let outcome = Simulation::new("broker", seed).run(move |world| {
        let machine = world.add_node(NodeOptions::named("broker"));
        tell(world, machine)
    });
    assert!(outcome.failure.is_none(), "{:?}", outcome.failure);
}

#[test]
fn topics_settings_and_records_are_there_after_any_stop() {
    for (seed, clean, power) in [(1, true, false), (2, false, false), (3, false, true)] {
        in_a_world(seed, move |world, machine| async move {
            life(&world, machine, config(2), clean, |place| async move {
                let mut peer = place.peer().await;
                peer.create("t", 3, &[("retention.ms", "77777777")]).await;
                peer.create("gone", 3, &[]).await;
                for number in 0..30u8 {
                    let batch = peer.batch(&[&[number]]);
                    assert_eq!(peer.produce("t", i32::from(number % 3), batch).await.0, 0);
                }
                assert_eq!(peer.delete("gone").await, 0);
            })
            .await;
            if power {
                world.power_cut(&[machine]);
            }
            // Another number of shards: where a partition is served is written nowhere.
            life(&world, machine, config(3), true, |place| async move {
                let mut peer = place.peer().await;
                for partition in 0..3u8 {
                    let (error, end, bytes) = peer.fetch("t", i32::from(partition), 0).await;
                    assert_eq!((error, end), (0, 10));
                    let expected: Vec<_> = (0..10).map(|n| vec![n * 3 + partition]).collect();
                    assert_eq!(values(&bytes), expected);
                }
                assert_eq!(peer.fetch("gone", 0, 0).await.0, 3);
                let topics: Vec<_> = place.inspect().await.partitions;
                assert!(topics.iter().all(|partition| partition.topic == "t"));
            })
            .await;
        });
    }
}

#[test]
fn many_metadata_commands_are_kept_as_a_snapshot() {
    in_a_world(4, |world, machine| async move {
        life(&world, machine, config(1), false, |place| async move {
            let mut peer = place.peer().await;
            for round in 0..700 {
                peer.create("t", 1, &[]).await;
                if round < 699 {
                    assert_eq!(peer.delete("t").await, 0);
                }
            }
        })
        .await;
        life(&world, machine, config(1), true, |place| async move {
            let seen = place.inspect().await;
            assert_eq!(seen.partitions.len(), 1);
            assert!(seen.metadata_commands < 1100, "{}", seen.metadata_commands);
            let mut peer = place.peer().await;
            let batch = peer.batch(&[b"x"]);
            assert_eq!(peer.produce("t", 0, batch).await, (0, 0));
        })
        .await;
    });
}

#[test]
fn a_directory_does_not_serve_another_node() {
    in_a_world(5, |world, machine| async move {
        life(&world, machine, config(1), true, |_| async {}).await;
        world.start(machine, |env| async move {
            let mut config = config(1);
            config.node_id = 2;
            let error = start(env, config).await.err().expect("it is refused");
            assert!(matches!(
                error,
                StartError::OtherNode { known: 1, given: 2 }
            ));
            assert!(error.to_string().contains("belongs to node 1"), "{error}");
        });
        world.exited(machine).await;
    });
}

#[test]
fn a_port_in_use_is_said_before_anything_is_touched() {
    in_a_world(6, |world, machine| async move {
        life(&world, machine, config(1), true, |place| async move {
            let mut other = config(1);
            other.data = "/data/other".into();
            let error = start(place.env.clone(), other).await.err();
            assert!(matches!(error, Some(StartError::Listen(_))));
            place.env.sleep(Duration::from_secs(1)).await;
        })
        .await;
        let files = world.disk(machine).files();
        assert!(
            files.iter().all(|file| !file.contains("other")),
            "{files:?}"
        );
    });
}

#[test]
fn a_full_disk_refuses_writes_goes_on_reading_and_recovers_by_itself_when_a_topic_goes() {
    let outcome = Simulation::new("broker", 7).run(move |world| async move {
        let machine = world.add_node(NodeOptions {
            name: "broker".to_string(),
            disk: DiskOptions { capacity: 48 << 20 },
        });
        life(&world, machine, config(2), false, |place| async move {
            let mut peer = place.peer().await;
            peer.create("fills", 1, &[("segment.bytes", "1048576")])
                .await;
            peer.create("waits", 1, &[]).await;
            let value = vec![7; 500_000];
            let mut acknowledged = 0;
            loop {
                let batch = peer.batch(&[&value]);
                match peer.produce("fills", 0, batch).await {
                    (0, offset) => acknowledged = offset + 1,
                    (error, _) => {
                        assert_eq!(error, 56, "an error on which producers try again");
                        break;
                    }
                }
                assert!(acknowledged < 200, "the disk is not that large");
            }
            assert!(acknowledged > 20, "{acknowledged}");
            assert_eq!(peer.fetch("fills", 0, 0).await.1, acknowledged);
        })
        .await;
        life(&world, machine, config(1), true, |place| async move {
            let mut peer = place.peer().await;
            let mut read = 0;
            loop {
                let (error, end, bytes) = peer.fetch("fills", 0, read).await;
                assert_eq!(error, 0);
                read += values(&bytes).len() as i64;
                if read == end {
                    break;
                }
            }
            assert!(read > 20, "{read}");
            assert_eq!(peer.delete("fills").await, 0);
            let mut error = -1;
            for _ in 0..60 {
                let batch = peer.batch(&[&[7; 500_000]]);
                error = peer.produce("waits", 0, batch).await.0;
                if error == 0 {
                    break;
                }
                assert_eq!(error, 56);
                place.env.sleep(Duration::from_secs(1)).await;
            }
            assert_eq!(error, 0, "writing has resumed");
        })
        .await;
    });
    assert!(outcome.failure.is_none(), "{:?}", outcome.failure);
}
