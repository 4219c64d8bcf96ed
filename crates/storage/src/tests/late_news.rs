//! A shard that has failed, while those who write the journal have not heard of it yet.

use super::{DIRECTORY, batch, config, new_env, partition, small};
use crate::journal::messages::ToWriter;
use crate::testing::TestEnv;
use crate::{Logs, StorageError, checkpoint, meta, open};
use std::cell::Cell;
use std::future::poll_fn;
use std::path::Path;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;
use taffrail_env::{Clock, DiskError, DiskErrorKind, DiskOperation, Spawn};

fn failure() -> DiskError {
    DiskError {
        kind: DiskErrorKind::Io,
        operation: DiskOperation::Write,
        path: "/data/elsewhere".into(),
        system: "it failed".into(),
    }
}

/// Two shards of one directory.
async fn two(env: &TestEnv) -> [Logs<TestEnv>; 2] {
    let opened = open(env, Path::new(DIRECTORY), small(), 2).await;
    let mut opened = opened.unwrap_or_else(|error| panic!("{error}"));
    let second = Logs::new(env, opened.shards.remove(1));
    [Logs::new(env, opened.shards.remove(0)), second]
}

/// Of the newest checkpoint.
async fn generation(env: &TestEnv) -> u64 {
    let directory = Path::new(DIRECTORY);
    let meta = meta::read(env, directory).await.expect("read");
    let id = meta.expect("there").directory_id;
    let read = checkpoint::read(env, directory, &id).await;
    let (checkpoint, _) = read.expect("read").expect("one verifies");
    checkpoint.generation
}

/// Until this holds, without letting time pass.
async fn until(holds: impl Fn() -> bool) {
    poll_fn(|context| {
        if holds() {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[test]
fn no_checkpoint_counts_on_a_shard_that_takes_no_note_any_more() {
    let env = new_env(5);
    let inner = env.clone();
    env.run(async move {
        let [busy, failing] = two(&inner).await;
        let log = busy.create(partition(0), config()).await.expect("created");
        let before = generation(&inner).await;
        let ended = Rc::new(Cell::new(false));
        let told = ended.clone();
        inner.spawn(async move {
            while log.append(batch(&[7; 3000]), 5).await.is_ok() {}
            told.set(true);
        });
        // It has cleared the journal, and is asked for its part of the checkpoint next.
        let shard = failing.shard.clone();
        until(|| shard.clear_before.get().is_some()).await;
        until(|| shard.clear_before.get().is_none()).await;
        *shard.failed.borrow_mut() = Some(failure());
        inner.sleep(Duration::from_secs(10)).await;
        assert_eq!(generation(&inner).await, before);
        assert!(
            !ended.get(),
            "without a checkpoint the journal is full, and whoever appends waits"
        );
        let writer = shard.writer.relief.clone();
        assert!(writer.send(ToWriter::Fail(failure())).await.is_ok());
        inner.sleep(Duration::from_secs(1)).await;
        assert!(ended.get(), "all have heard of it");
        assert_eq!(generation(&inner).await, before);
    })
    .expect("it ends");
}

#[test]
fn the_last_words_of_a_shard_that_has_failed_make_no_checkpoint() {
    let env = new_env(6);
    let inner = env.clone();
    env.run(async move {
        let [sound, failing] = two(&inner).await;
        let before = generation(&inner).await;
        *failing.shard.failed.borrow_mut() = Some(failure());
        let stops = futures_util::future::join(sound.shutdown(), failing.shutdown());
        let (one, other) = stops.await;
        assert_eq!(one, Err(StorageError::Failed(failure())));
        assert_eq!(other, Err(StorageError::Failed(failure())));
        assert_eq!(generation(&inner).await, before);
    })
    .expect("it ends");
}
