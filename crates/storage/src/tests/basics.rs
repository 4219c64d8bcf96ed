//! Append, read, close, open again.

use super::{DIRECTORY, batch, config, new_env, open_one, partition, small};
use crate::testing::TestEnv;
use crate::{Log, OpenError, open};
use bytes::Bytes;
use std::path::Path;

async fn append_all(log: &Log<TestEnv>, count: usize, size: usize) -> Vec<Bytes> {
    let mut sent = Vec::new();
    for number in 0..count {
        let payload = vec![number as u8; size];
        let appended = log
            .append(batch(&payload), 5)
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(appended.base_offset, number as i64);
        sent.push(batch(&payload).freeze());
    }
    sent
}

async fn read_all(log: &Log<TestEnv>, from: i64) -> Vec<Bytes> {
    let mut batches = Vec::new();
    let mut at = from;
    while at < log.high_watermark() {
        let read = log
            .read(at, 4096, true)
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        assert!(read.next_offset > at);
        at = read.next_offset;
        batches.extend(read.batches);
    }
    batches
}

/// Equal but for what the log writes into the header.
fn assert_same(found: &[Bytes], sent: &[Bytes]) {
    assert_eq!(found.len(), sent.len());
    for (at, (found, sent)) in found.iter().zip(sent).enumerate() {
        assert_eq!(found[16..], sent[16..]);
        assert_eq!(found[..8], (at as i64).to_be_bytes());
    }
}

#[test]
fn what_is_appended_is_read_and_is_there_after_a_clean_restart() {
    let env = new_env(1);
    let inner = env.clone();
    let sent = env
        .run(async move {
            let logs = open_one(&inner, small()).await;
            let log = logs.create(partition(0), config()).await.expect("created");
            let sent = append_all(&log, 200, 700).await;
            assert_same(&read_all(&log, 0).await, &sent);
            logs.shutdown().await.expect("shut down");
            sent
        })
        .expect("it ends");
    let env = TestEnv::new(2, env.kill());
    let inner = env.clone();
    env.run(async move {
        let opened = open(&inner, Path::new(DIRECTORY), small(), 1)
            .await
            .expect("opens");
        assert!(opened.identity.clean);
        assert_eq!(opened.identity.start_number, 2);
        assert_eq!(opened.recovery.tail_bytes, 0);
        let part = opened.shards.into_iter().next().expect("one shard");
        let logs = crate::Logs::new(&inner, part);
        let log = logs.get(partition(0)).expect("it is there");
        assert_same(&read_all(&log, 0).await, &sent);
        assert!(matches!(
            open(&inner, Path::new(DIRECTORY), small(), 1).await,
            Err(OpenError::Locked { .. })
        ));
    })
    .expect("it ends");
}

#[test]
fn a_directory_that_somebody_else_made_just_now_survives_a_power_cut() {
    for seed in 1..20 {
        let env = new_env(seed);
        let made = env
            .0
            .disk
            .borrow_mut()
            .create_directory(Path::new(DIRECTORY));
        made.expect("it was not there");
        let inner = env.clone();
        let sent = env
            .run(async move {
                let logs = open_one(&inner, small()).await;
                let log = logs.create(partition(0), config()).await.expect("created");
                append_all(&log, 3, 100).await
            })
            .expect("it ends");
        let env = TestEnv::new(seed, env.cut_power());
        let inner = env.clone();
        env.run(async move {
            let logs = open_one(&inner, small()).await;
            let log = logs.get(partition(0)).expect("it is there");
            assert_same(&read_all(&log, 0).await, &sent);
        })
        .expect("it ends");
    }
}

#[test]
fn what_was_acknowledged_is_there_after_a_kill_and_after_a_power_cut() {
    for seed in 1..20 {
        let env = new_env(seed);
        let inner = env.clone();
        let sent = env
            .run(async move {
                let logs = open_one(&inner, small()).await;
                let log = logs.create(partition(0), config()).await.expect("created");
                append_all(&log, 150, 900).await
            })
            .expect("it ends");
        let disk = if seed % 2 == 0 {
            env.kill()
        } else {
            env.cut_power()
        };
        let env = TestEnv::new(seed + 100, disk);
        let inner = env.clone();
        env.run(async move {
            let logs = open_one(&inner, small()).await;
            let log = logs.get(partition(0)).expect("it is there");
            assert_same(&read_all(&log, 0).await, &sent);
            let appended = log.append(batch(b"more"), 5).await.expect("appended");
            assert_eq!(appended.base_offset, 150);
        })
        .expect("it ends");
    }
}
