//! Streams keep their promises, and no others.

use super::rough;
use crate::{FaultKind, NodeId, NodeOptions, Rates, Simulation, World};
use bytes::{Bytes, BytesMut};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
use taffrail_env::net::NetErrorKind;
use taffrail_env::{Clock, Connection, Listener, Net, Spawn};

fn two(world: &World) -> (NodeId, NodeId) {
    (
        world.add_node(NodeOptions::named("server")),
        world.add_node(NodeOptions::named("client")),
    )
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 % 251) as u8).collect()
}

/// Reads one connection to its end and keeps what came, and how it ended.
type Received = Rc<RefCell<(Vec<u8>, Option<NetErrorKind>, bool)>>;

fn serve(world: &World, server: NodeId) -> Received {
    let received = Received::default();
    let told = received.clone();
    world.start(server, move |env| async move {
        let listener = env.listen("0.0.0.0:80").await.expect("free");
        let connection = listener.accept().await.expect("a connection");
        loop {
            let mut buffer = BytesMut::new();
            match connection.read(&mut buffer, 700).await {
                Ok(0) => break,
                Ok(count) => {
                    assert_eq!(count, buffer.len());
                    told.borrow_mut().0.extend_from_slice(&buffer);
                }
                Err(error) => {
                    told.borrow_mut().1 = Some(error.kind);
                    break;
                }
            }
        }
        told.borrow_mut().2 = true;
        env.sleep(Duration::from_secs(1000)).await;
    });
    received
}

fn send(world: &World, client: NodeId, bytes: Vec<u8>) {
    world.start(client, move |env| async move {
        env.sleep(Duration::from_millis(1)).await;
        let connection = env.connect("server:80").await.expect("it listens");
        let pieces = bytes
            .chunks(1 + bytes.len() / 7)
            .map(Bytes::copy_from_slice);
        let _may_break = connection.write(pieces.collect()).await;
        connection.close();
        env.sleep(Duration::from_secs(1000)).await;
    });
}

#[test]
fn bytes_arrive_whole_and_in_order_however_they_are_cut() {
    for seed in 0..40 {
        Simulation::new("net", seed)
            .with_rates(rough())
            .run(|world| async move {
                let (server, client) = two(&world);
                let received = serve(&world, server);
                send(&world, client, pattern(20_000));
                while !received.borrow().2 {
                    world.sleep(Duration::from_secs(1)).await;
                }
                assert_eq!(received.borrow().0, pattern(20_000));
                assert_eq!(received.borrow().1, None);
            })
            .expect_ok();
    }
}

#[test]
fn a_reset_leaves_a_prefix_and_both_ends_learn_it() {
    let mut lengths = std::collections::BTreeSet::new();
    for seed in 0..60 {
        let rates = rough().with(FaultKind::NetReset, 300_000);
        let len = Simulation::new("net", seed)
            .with_rates(rates)
            .run(|world| async move {
                let (server, client) = two(&world);
                let received = serve(&world, server);
                send(&world, client, pattern(20_000));
                while !received.borrow().2 {
                    world.sleep(Duration::from_secs(1)).await;
                }
                let got = received.borrow();
                assert_eq!(got.0, pattern(20_000)[..got.0.len()]);
                assert_eq!(got.1.is_none(), got.0.len() == 20_000);
                got.0.len()
            })
            .expect_ok();
        lengths.insert(len);
    }
    assert!(
        lengths.len() > 10,
        "resets strike at many bytes: {lengths:?}"
    );
}

#[test]
fn a_writer_waits_while_the_reader_does_not_read() {
    Simulation::new("net", 1)
        .run(|world| async move {
            let (server, client) = two(&world);
            let sent = Rc::new(RefCell::new(0));
            let told = sent.clone();
            world.start(server, |env| async move {
                let listener = env.listen("0.0.0.0:80").await.expect("free");
                let _connection = listener.accept().await.expect("a connection");
                env.sleep(Duration::from_secs(1000)).await;
            });
            world.start(client, move |env| async move {
                env.sleep(Duration::from_millis(1)).await;
                let connection = env.connect("server:80").await.expect("it listens");
                loop {
                    let piece = Bytes::from(vec![0; 1000]);
                    connection.write(vec![piece]).await.expect("no reset");
                    *told.borrow_mut() += 1000;
                }
            });
            world.sleep(Duration::from_secs(5)).await;
            let sent = *sent.borrow();
            assert!((15_000..=1 << 20).contains(&sent), "{sent}");
        })
        .expect_ok();
}

#[test]
fn a_cut_link_holds_bytes_back_until_it_is_healed() {
    Simulation::new("net", 2)
        .run(|world| async move {
            let (server, client) = two(&world);
            let received = serve(&world, server);
            world.sleep(Duration::from_millis(10)).await;
            let told = received.clone();
            world.start(client, move |env| async move {
                let connection = env.connect("server:80").await.expect("it listens");
                env.sleep(Duration::from_secs(2)).await;
                let piece = Bytes::from_static(b"late");
                connection
                    .write(vec![piece])
                    .await
                    .expect("it goes into the window");
                env.sleep(Duration::from_secs(10)).await;
                assert_eq!(told.borrow().0, b"");
                env.sleep(Duration::from_secs(100)).await;
            });
            world.sleep(Duration::from_secs(1)).await;
            world.set_link(client, server, true);
            world.sleep(Duration::from_secs(20)).await;
            assert_eq!(received.borrow().0, b"");
            world.heal_links();
            world.sleep(Duration::from_secs(1)).await;
            assert_eq!(received.borrow().0, b"late");
        })
        .expect_ok();
}

#[test]
fn a_machine_without_power_says_nothing_and_a_reset_when_it_is_back() {
    Simulation::new("net", 3)
        .run(|world| async move {
            let (server, client) = two(&world);
            let received = serve(&world, server);
            let errors = Rc::new(RefCell::new(Vec::new()));
            let told = errors.clone();
            world.start(client, move |env| async move {
                env.sleep(Duration::from_millis(1)).await;
                let connection = env.connect("server:80").await.expect("it listens");
                let piece = Bytes::from_static(b"x");
                connection.write(vec![piece.clone()]).await.expect("open");
                env.sleep(Duration::from_secs(10)).await;
                connection.write(vec![piece]).await.expect("half-open");
                let mut buffer = BytesMut::new();
                let error = connection.read(&mut buffer, 10).await.expect_err("a reset");
                told.borrow_mut().push((error.kind, env.now()));
            });
            world.sleep(Duration::from_secs(5)).await;
            assert_eq!(received.borrow().0, b"x");
            world.power_cut(&[server]);
            world.sleep(Duration::from_secs(60)).await;
            assert_eq!(errors.borrow().len(), 0);
            world.start(server, |env| async move {
                env.sleep(Duration::from_secs(99)).await
            });
            world.sleep(Duration::from_secs(1)).await;
            assert_eq!(errors.borrow()[0].0, NetErrorKind::Reset);
        })
        .expect_ok();
}

#[test]
fn nobody_listening_is_refused_and_a_dark_machine_is_silence() {
    Simulation::new("net", 4)
        .run(|world| async move {
            let (server, client) = two(&world);
            let seen = Rc::new(RefCell::new(Vec::new()));
            let told = seen.clone();
            world.start(client, move |env| async move {
                loop {
                    let result = env.connect("server:80").await;
                    told.borrow_mut()
                        .push(result.map(|_| ()).map_err(|e| e.kind));
                    env.sleep(Duration::from_secs(1)).await;
                }
            });
            world.sleep(Duration::from_millis(500)).await;
            assert_eq!(seen.take(), [Err(NetErrorKind::Refused)]);
            world.power_cut(&[server]);
            world.sleep(Duration::from_secs(30)).await;
            assert_eq!(seen.take(), []);
            let _received = serve(&world, server);
            world.sleep(Duration::from_secs(3)).await;
            assert_eq!(seen.borrow()[0], Ok(()));
        })
        .expect_ok();
}

#[test]
fn listening_twice_or_elsewhere_is_refused_and_a_dead_process_frees_its_port() {
    Simulation::new("net", 5)
        .run(|world| async move {
            let (server, _) = two(&world);
            for _ in 0..3 {
                world.start(server, |env| async move {
                    let first = env.listen("0.0.0.0:80").await.expect("free");
                    let again = env.listen("127.0.0.1:80").await.map(|_| ());
                    assert_eq!(again.expect_err("taken").kind, NetErrorKind::AddressInUse);
                    let elsewhere = env.listen("client:80").await.map(|_| ());
                    let kind = elsewhere.expect_err("not ours").kind;
                    assert_eq!(kind, NetErrorKind::AddressInvalid);
                    drop(first);
                    let _held = env.listen("server:80").await.expect("free again");
                    env.sleep(Duration::from_secs(100)).await;
                });
                world.sleep(Duration::from_secs(1)).await;
                world.kill(server);
            }
        })
        .expect_ok();
}

#[test]
fn bytes_of_an_old_connection_can_arrive_after_those_of_a_new_one() {
    let mut overtaken = 0;
    for seed in 0..60 {
        let rates = Rates::none().with(FaultKind::NetTail, 300_000);
        let order = Simulation::new("net", seed)
            .with_rates(rates)
            .run(|world| async move {
                let (server, client) = two(&world);
                let order = Rc::new(RefCell::new(Vec::new()));
                let told = order.clone();
                world.start(server, move |env| async move {
                    let listener = env.listen("0.0.0.0:80").await.expect("free");
                    loop {
                        let connection = listener.accept().await.expect("a connection");
                        let told = told.clone();
                        env.spawn(async move {
                            let mut buffer = BytesMut::new();
                            while connection.read(&mut buffer, 9).await.unwrap_or(0) > 0 {}
                            told.borrow_mut().extend_from_slice(&buffer);
                        });
                    }
                });
                world.start(client, |env| async move {
                    env.sleep(Duration::from_millis(1)).await;
                    for number in 0..4 {
                        let Ok(connection) = env.connect("server:80").await else {
                            continue;
                        };
                        let _ = connection.write(vec![Bytes::from(vec![number])]).await;
                    }
                    env.sleep(Duration::from_secs(1000)).await;
                });
                world.sleep(Duration::from_secs(60)).await;
                order.take()
            })
            .expect_ok();
        assert_eq!(order.len(), 4, "closing loses nothing that was written");
        overtaken += usize::from(!order.is_sorted());
    }
    assert!(overtaken > 5, "{overtaken} of 60");
}
