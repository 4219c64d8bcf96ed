//! Equal seeds give equal runs: in one process, on several threads at once, and from recorded decisions.

use super::rough;
use crate::{NodeOptions, Outcome, Recording, Simulation, Trap, World};
use bytes::{Bytes, BytesMut};
use std::path::Path;
use std::time::Duration;
use taffrail_env::disk::{File, OpenMode};
use taffrail_env::{Connection, Env, Listener};

/// A server that writes what it is told into a file and answers; two clients that send, time out and try again.
async fn echo_server<E: Env>(env: E) {
    let listener = env.listen("0.0.0.0:9092").await.expect("the port is free");
    let path = Path::new("/data/log");
    let Ok(file) = env.open(path, OpenMode::CreateOrOpen).await else {
        return;
    };
    let mut end = file.len().await.unwrap_or(0);
    while let Ok(connection) = listener.accept().await {
        let at = end;
        end += 4096;
        let file = file.clone();
        env.spawn(async move {
            let mut buffer = BytesMut::new();
            while connection.read(&mut buffer, 512).await.unwrap_or(0) > 0 {
                let piece = Bytes::copy_from_slice(&buffer);
                if file.write_at(at, vec![piece]).await.is_err() || file.sync().await.is_err() {
                    return;
                }
                let answer = buffer.split().freeze();
                if connection.write(vec![answer]).await.is_err() {
                    return;
                }
            }
        });
    }
}

async fn client<E: Env>(env: E) {
    for _ in 0..20 {
        let wait = env.random_u64("wait") % 20_000_000;
        env.sleep(Duration::from_nanos(wait)).await;
        let Ok(connection) = env.connect("server:9092").await else {
            continue;
        };
        let mut message = vec![0; 1 + (env.random_u64("len") % 3000) as usize];
        env.fill("message", &mut message);
        let len = message.len();
        if connection.write(vec![Bytes::from(message)]).await.is_err() {
            continue;
        }
        let mut buffer = BytesMut::new();
        while buffer.len() < len {
            match connection.read(&mut buffer, 4096).await {
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
        }
    }
}

async fn story(world: World) {
    let server = world.add_node(NodeOptions::named("server"));
    let clients: Vec<_> = (0..2)
        .map(|i| world.add_node(NodeOptions::named(format!("client{i}"))))
        .collect();
    world.start(server, echo_server);
    for node in &clients {
        world.start(*node, client);
    }
    for round in 0..4u64 {
        let trap = Trap::Polls(40 + round);
        let death = match round % 2 {
            0 => crate::Death::Kill,
            _ => crate::Death::PowerCut,
        };
        world.set_trap(server, trap, death);
        // Whichever comes first: the trap, or the end of the clients' work.
        world.sleep(Duration::from_millis(60)).await;
        world.kill(server);
        world.sleep(Duration::from_millis(10)).await;
        world.start(server, echo_server);
    }
    world.partition(&[server], &clients);
    world.sleep(Duration::from_secs(2)).await;
    world.heal_links();
    for node in clients {
        world.sleep(Duration::from_secs(200)).await;
        world.kill(node);
    }
}

fn run(seed: u64) -> Outcome<()> {
    Simulation::new("story", seed)
        .with_rates(rough())
        .run(story)
}

#[test]
fn one_seed_gives_one_hash_alone_or_beside_others() {
    let first: Vec<_> = (0..6).map(run).collect();
    for outcome in &first {
        assert_eq!(outcome.failure, None, "{}", outcome.name);
        assert!(outcome.events > 500, "{} events", outcome.events);
    }
    #[allow(
        clippy::disallowed_methods,
        reason = "simulations on several threads at once are the point"
    )]
    let beside: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..6).map(|seed| scope.spawn(move || run(seed))).collect();
        let joined = threads.into_iter().map(|thread| thread.join());
        joined.map(|outcome| outcome.expect("no panic")).collect()
    });
    for (one, other) in first.iter().zip(&beside) {
        assert_eq!(one.name, other.name);
        assert_eq!(one.events, other.events);
        assert_eq!(one.checkpoints, other.checkpoints);
    }
    let hashes: std::collections::BTreeSet<_> = first.iter().map(|o| o.name.hash).collect();
    assert_eq!(hashes.len(), 6, "seeds differ");
}

#[test]
fn recorded_decisions_give_the_same_run_without_the_seed() {
    let mut simulation = Simulation::new("story", 3).with_rates(rough());
    simulation.record_decisions = true;
    let recorded = simulation.run(story);
    let mut replay = Simulation::new("story", 4711).with_rates(rough());
    replay.edits = recorded.decisions.clone();
    let replayed = replay.run(story);
    assert_eq!(recorded.name.hash, replayed.name.hash);
}

#[test]
fn recording_the_trace_does_not_change_it() {
    let silent = run(5);
    let simulation = Simulation::new("story", 5)
        .with_rates(rough())
        .with_recording(Recording::Full);
    let recorded = simulation.run(story);
    assert_eq!(silent.name, recorded.name);
    assert_eq!(recorded.trace.len() as u64, recorded.events);
}
