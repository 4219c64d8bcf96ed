//! What a dead process still does: nothing.

use crate::{Death, NodeOptions, SimEnv, Simulation, Trap, World};
use bytes::{Bytes, BytesMut};
use std::cell::{Cell, RefCell};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;
use taffrail_env::disk::{Disk, File, OpenMode};
use taffrail_env::{Clock, Connection, Listener, Net, Spawn};

fn node(world: &World, name: &str) -> crate::NodeId {
    world.add_node(NodeOptions::named(name))
}

/// Writes to the disk when dropped, as a careless destructor would.
struct WritesOnDrop(SimEnv);

impl Drop for WritesOnDrop {
    fn drop(&mut self) {
        let env = self.0.clone();
        self.0.spawn(async move {
            let path = Path::new("/data/ghost");
            if let Ok(file) = env.open(path, OpenMode::CreateOrOpen).await {
                let _ = file.write_at(0, vec![Bytes::from_static(b"boo")]).await;
            }
        });
        // Begins at the call, awaited or not.
        drop(self.0.create_directory(Path::new("/data/ghosts")));
    }
}

#[test]
fn destructors_of_a_killed_process_have_no_effect() {
    Simulation::new("death", 1)
        .run(|world| async move {
            let a = node(&world, "a");
            world.start(a, |env| async move {
                let _ghost = WritesOnDrop(env.clone());
                env.sleep(Duration::from_secs(1000)).await;
            });
            world.sleep(Duration::from_millis(5)).await;
            world.kill(a);
            world.sleep(Duration::from_secs(1)).await;
            assert_eq!(world.disk(a).files(), Vec::<String>::new());
            world.start(a, |env| async move {
                let found = env.list(Path::new("/data")).await.expect("a list");
                assert_eq!(found, []);
            });
            world.exited(a).await;
        })
        .expect_ok();
}

#[test]
fn a_process_that_is_killed_by_its_own_poll_lives_until_the_poll_returns() {
    let seen = Simulation::new("death", 2)
        .run(|world| async move {
            let a = node(&world, "a");
            let seen = Rc::new(RefCell::new(Vec::new()));
            let (inner, told) = (world.clone(), seen.clone());
            world.start(a, move |env| async move {
                inner.kill(a);
                told.borrow_mut().push("still in the poll");
                env.sleep(Duration::from_nanos(1)).await;
                told.borrow_mut().push("after the poll");
            });
            assert_eq!(world.exited(a).await, Some(Death::Kill));
            world.sleep(Duration::from_secs(1)).await;
            seen.take()
        })
        .expect_ok();
    assert_eq!(seen, ["still in the poll"]);
}

#[test]
fn a_panic_in_a_task_is_a_verdict_with_its_text_and_its_node() {
    let outcome = Simulation::new("death", 3).run(|world| async move {
        let a = node(&world, "a");
        let b = node(&world, "b");
        world.start(
            a,
            |env| async move { env.sleep(Duration::from_secs(9)).await },
        );
        world.start(b, |env| async move {
            env.sleep(Duration::from_secs(1)).await;
            panic!("the moon is full");
        });
        world.sleep(Duration::from_secs(5)).await;
    });
    let failure = outcome.failure.expect("a verdict");
    assert_eq!(failure.invariant, "PANIC");
    assert!(failure.witness.contains("the moon is full"), "{failure}");
    assert_eq!(failure.node.map(|node| node.0), Some(1));
    assert_eq!(failure.time, Duration::from_secs(1));
}

#[test]
fn a_world_in_which_nothing_can_happen_any_more_is_stuck() {
    let outcome = Simulation::new("death", 4).run(|_| std::future::pending::<()>());
    assert_eq!(outcome.failure.expect("a verdict").invariant, "STUCK");
}

#[test]
fn tasks_that_poll_on_and_on_are_a_livelock() {
    let mut simulation = Simulation::new("death", 5);
    simulation.limits.polls_in_instant_max = 1000;
    let outcome = simulation.run(|_| {
        std::future::poll_fn(|context| {
            context.waker().wake_by_ref();
            std::task::Poll::<()>::Pending
        })
    });
    assert_eq!(outcome.failure.expect("a verdict").invariant, "LIVELOCK");
}

#[test]
fn a_trap_kills_in_the_middle_of_the_work() {
    let counts: Vec<u64> = (1..30)
        .map(|polls| {
            Simulation::new("death", polls)
                .run(move |world| async move {
                    let a = node(&world, "a");
                    let done = Rc::new(Cell::new(0));
                    let counter = done.clone();
                    world.start(a, move |env| async move {
                        for _ in 0..100 {
                            env.sleep(Duration::from_micros(1)).await;
                            counter.set(counter.get() + 1);
                        }
                    });
                    world.set_trap(a, Trap::Polls(polls), Death::Kill);
                    assert_eq!(world.exited(a).await, Some(Death::Kill));
                    done.get()
                })
                .expect_ok()
        })
        .collect();
    assert_eq!(counts, (0..29).collect::<Vec<u64>>());
}

#[test]
fn a_paused_process_finds_all_its_timers_late() {
    Simulation::new("death", 6)
        .run(|world| async move {
            let a = node(&world, "a");
            let woken = Rc::new(Cell::new(0));
            let told = woken.clone();
            world.start(a, move |env| async move {
                let before = env.now();
                env.sleep(Duration::from_secs(1)).await;
                told.set(env.now().saturating_since(before).as_secs());
                env.sleep(Duration::from_secs(1000)).await;
            });
            world.sleep(Duration::from_millis(500)).await;
            world.pause(a);
            world.sleep(Duration::from_secs(60)).await;
            assert_eq!(woken.get(), 0);
            world.resume(a);
            world.sleep(Duration::from_millis(1)).await;
            assert_eq!(woken.get(), 60);
        })
        .expect_ok();
}

#[test]
fn the_end_of_a_shards_main_ends_its_tasks_and_no_others() {
    Simulation::new("death", 7)
        .run(|world| async move {
            let a = node(&world, "a");
            let seen = Rc::new(RefCell::new(Vec::new()));
            let told = seen.clone();
            world.start(a, move |env| async move {
                env.start_shard(1, |shard| async move {
                    assert_eq!(shard.shard(), 1);
                    let inner = shard.clone();
                    shard.spawn(async move {
                        inner.sleep(Duration::from_secs(2)).await;
                        panic!("a task outlived its shard");
                    });
                    shard.sleep(Duration::from_secs(1)).await;
                });
                env.sleep(Duration::from_secs(3)).await;
                told.borrow_mut().push(env.shard());
            });
            assert_eq!(world.exited(a).await, Some(Death::Exit));
            assert_eq!(seen.take(), [0]);
        })
        .expect_ok();
}

#[test]
fn memory_is_charged_to_the_node_that_allocates_it() {
    Simulation::new("death", 8)
        .run(|world| async move {
            let a = node(&world, "a");
            let b = node(&world, "b");
            for (node, bytes) in [(a, 5_000_000_usize), (b, 1_000_000)] {
                world.start(node, move |env| async move {
                    let held = vec![7_u8; bytes];
                    env.sleep(Duration::from_secs(1)).await;
                    drop(held);
                    env.sleep(Duration::from_secs(1)).await;
                });
            }
            world.sleep(Duration::from_millis(500)).await;
            assert!((5_000_000..5_100_000).contains(&world.memory(a)));
            assert!((1_000_000..1_100_000).contains(&world.memory(b)));
            world.sleep(Duration::from_secs(1)).await;
            assert!(world.memory(a) < 100_000, "{}", world.memory(a));
        })
        .expect_ok();
}

#[test]
fn what_a_killed_process_held_in_the_air_is_given_back() {
    Simulation::new("death", 9)
        .run(|world| async move {
            let a = node(&world, "a");
            let b = node(&world, "b");
            world.start(a, |env| async move {
                let listener = env.listen("0.0.0.0:1").await.expect("free");
                let connection = listener.accept().await.expect("a connection");
                let mut buffer = BytesMut::new();
                let _ = connection.read(&mut buffer, 10).await;
                env.sleep(Duration::from_secs(100)).await;
            });
            world.start(b, |env| async move {
                env.sleep(Duration::from_millis(1)).await;
                let connection = env.connect("a:1").await.expect("it listens");
                let _ = connection
                    .write(vec![Bytes::from(vec![1; 3_000_000])])
                    .await;
            });
            world.sleep(Duration::from_secs(1)).await;
            assert!(world.memory(b) > 2_900_000);
            world.kill(a);
            world.kill(b);
            world.sleep(Duration::from_secs(10)).await;
            assert!(world.memory(b) < 100_000, "{}", world.memory(b));
        })
        .expect_ok();
}

#[test]
fn a_waker_kept_after_its_task_neither_wakes_nor_blocks_another() {
    Simulation::new("death", 10)
        .run(|world| async move {
            let wakers = Rc::new(RefCell::new(Vec::new()));
            let polls = Rc::new(Cell::new(0));
            let keeps_its_waker = |ends: bool| {
                let (wakers, polls) = (wakers.clone(), polls.clone());
                std::future::poll_fn(move |context| {
                    wakers.borrow_mut().push(context.waker().clone());
                    polls.set(polls.get() + 1);
                    match ends {
                        true => std::task::Poll::Ready(()),
                        false => std::task::Poll::Pending,
                    }
                })
            };
            world.spawn_harness(keeps_its_waker(true));
            world.sleep(Duration::from_secs(1)).await;
            // Takes the place of the first one.
            world.spawn_harness(keeps_its_waker(false));
            world.sleep(Duration::from_secs(1)).await;
            let (stale, good) = (wakers.borrow()[0].clone(), wakers.borrow()[1].clone());
            stale.wake();
            world.sleep(Duration::from_secs(1)).await;
            assert_eq!(polls.get(), 2);
            good.wake();
            world.sleep(Duration::from_secs(1)).await;
            assert_eq!(polls.get(), 3);
        })
        .expect_ok();
}

#[test]
fn a_dropped_sleep_wakes_nobody() {
    Simulation::new("death", 11)
        .run(|world| async move {
            let a = node(&world, "a");
            let polls = Rc::new(Cell::new(0));
            let counter = polls.clone();
            world.start(a, move |env| async move {
                let mut sleep = Some(Box::pin(env.sleep(Duration::from_secs(1))));
                std::future::poll_fn(|context| {
                    counter.set(counter.get() + 1);
                    if let Some(sleep) = &mut sleep {
                        assert!(sleep.as_mut().poll(context).is_pending());
                    }
                    sleep = None;
                    std::task::Poll::<()>::Pending
                })
                .await;
            });
            world.sleep(Duration::from_secs(5)).await;
            assert_eq!(polls.get(), 1);
        })
        .expect_ok();
}
