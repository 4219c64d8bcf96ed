//! What goes and what stays: retention, deletion, rolling, moving starts, snapshots, producers, waiting.

use super::{From, batch, batch_of, config, new_env, open_one, partition, small};
use crate::layout::{self, FileKind};
use crate::testing::TestEnv;
use crate::{
    AppendError, Durability, EpochVote, LogConfig, Options, ReadError, StorageError, ZeroWidth,
};
use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use std::rc::Rc;
use std::time::Duration;
use taffrail_env::disk::read_full;
use taffrail_env::{Clock, Disk, File, OpenMode};
use taffrail_record::Codec;
use taffrail_record::builder::{BatchBuilder, ProducerFields};

fn options() -> Options {
    Options {
        flush_bytes: 1,
        ..small()
    }
}

fn run<T: 'static>(work: impl AsyncFnOnce(TestEnv, crate::Logs<TestEnv>) -> T + 'static) -> T {
    run_with(options(), work)
}

fn run_with<T: 'static>(
    options: Options,
    work: impl AsyncFnOnce(TestEnv, crate::Logs<TestEnv>) -> T + 'static,
) -> T {
    let env = new_env(21);
    let inner = env.clone();
    env.run(async move {
        let logs = open_one(&inner, options).await;
        work(inner, logs).await
    })
    .expect("it ends")
}

fn segment_files(env: &TestEnv) -> usize {
    let files = env.0.disk.borrow().files();
    files
        .iter()
        .filter(|path| path.to_string_lossy().ends_with(".log"))
        .count()
}

#[test]
fn retention_by_size_removes_whole_old_segments() {
    run(async |env, logs| {
        let config = LogConfig {
            retention_bytes: 40 << 10,
            retention_ms: -1,
            ..config()
        };
        let log = logs.create(partition(0), config).await.expect("created");
        for number in 0..100 {
            let now = env.unix_ms();
            log.append(batch(&[number; 1000]), now)
                .await
                .expect("appended");
        }
        env.sleep(Duration::from_secs(1)).await;
        let before = segment_files(&env);
        logs.housekeep().await;
        let start = log.log_start_offset();
        assert!(start > 30 && start < 70, "{start}");
        assert!(log.size_bytes() >= 40 << 10);
        assert!(log.size_bytes() < (40 << 10) + (24 << 10));
        assert!(segment_files(&env) < before);
        assert!(matches!(
            log.read(0, 100, true).await,
            Err(ReadError::OffsetOutOfRange { .. })
        ));
        log.read(start, 100, true).await.expect("still there");
    });
}

#[test]
fn retention_by_size_takes_what_lies_in_the_journal_only() {
    let lazy = Options {
        flush_bytes: 1 << 20,
        ..options()
    };
    run_with(lazy, async |env, logs| {
        let config = LogConfig {
            retention_bytes: 8 << 10,
            retention_ms: -1,
            segment_bytes: 4 << 10,
            ..config()
        };
        let log = logs.create(partition(0), config).await.expect("created");
        for number in 0..30 {
            log.append(batch(&[number; 1000]), env.unix_ms())
                .await
                .expect("appended");
        }
        logs.housekeep().await;
        let start = log.log_start_offset();
        assert!(start > 15 && start < 25, "{start}");
        log.read(start, 100, true).await.expect("still there");
    });
}

#[test]
fn retention_by_time_takes_even_the_last_segment_but_not_on_one_jump_of_the_clock() {
    run(async |env, logs| {
        let config = LogConfig {
            retention_ms: 60_000,
            ..config()
        };
        let log = logs.create(partition(0), config).await.expect("created");
        for number in 0..30 {
            log.append(batch(&[number; 1000]), env.unix_ms())
                .await
                .expect("appended");
        }
        logs.housekeep().await;
        env.sleep(Duration::from_secs(1)).await;
        logs.housekeep().await;
        assert_eq!(log.log_start_offset(), 0);
        let wall = env.0.wall_ms.get();
        env.0.wall_ms.set(wall + 10 * 365 * 86_400_000);
        logs.housekeep().await;
        assert_eq!(log.log_start_offset(), 0, "one look is not enough");
        env.0.wall_ms.set(wall);
        logs.housekeep().await;
        assert_eq!(log.log_start_offset(), 0, "it came back");
        env.sleep(Duration::from_secs(120)).await;
        logs.housekeep().await;
        assert_eq!(log.log_start_offset(), 30);
        let appended = log
            .append(batch(b"after"), env.unix_ms())
            .await
            .expect("appended");
        assert_eq!(appended.base_offset, 30);
        assert_eq!(appended.log_start_offset, 30);
    });
}

#[test]
fn a_log_that_is_not_configured_yet_loses_nothing() {
    let env = new_env(5);
    let inner = env.clone();
    env.run(async move {
        let logs = open_one(&inner, options()).await;
        let log = logs.create(partition(0), config()).await.expect("created");
        log.append(batch(b"old"), 5).await.expect("appended");
        logs.shutdown().await.expect("shut down");
    })
    .expect("it ends");
    let env = TestEnv::new(6, env.kill());
    env.0.wall_ms.set(env.0.wall_ms.get() + 100 * 86_400_000);
    let inner = env.clone();
    env.run(async move {
        let logs = open_one(&inner, options()).await;
        let log = logs.get(partition(0)).expect("there");
        for _ in 0..3 {
            logs.housekeep().await;
        }
        assert_eq!(log.log_start_offset(), 0);
        log.set_config(config());
        logs.housekeep().await;
        assert_eq!(log.log_start_offset(), 1);
    })
    .expect("it ends");
}

#[test]
fn a_deleted_log_is_gone_with_its_files_and_may_begin_again() {
    run(async |env, logs| {
        let log = logs.create(partition(0), config()).await.expect("created");
        for number in 0..60 {
            log.append(batch(&[number; 1000]), 5)
                .await
                .expect("appended");
        }
        let waiting = log.progress(1000);
        logs.delete(partition(0)).await.expect("deleted");
        waiting.await;
        assert!(logs.get(partition(0)).is_none());
        assert_eq!(log.append(batch(b"x"), 5).await, Err(AppendError::Deleted));
        assert_eq!(log.read(0, 100, true).await, Err(ReadError::Deleted));
        let again = logs.create(partition(0), config()).await.expect("created");
        assert_eq!(again.high_watermark(), 0);
        let appended = again.append(batch(b"new"), 5).await.expect("appended");
        assert_eq!(appended.base_offset, 0);
        env.sleep(Duration::from_secs(1)).await;
        logs.housekeep().await;
        assert_eq!(segment_files(&env), 1);
    });
}

#[test]
fn what_somebody_else_put_into_a_log_directory_stays_and_stops_nothing() {
    let env = new_env(22);
    let inner = env.clone();
    let append = async |inner: &TestEnv, options| {
        let logs = open_one(inner, options).await;
        let log = match logs.get(partition(0)) {
            Some(log) => log,
            None => logs.create(partition(0), config()).await.expect("created"),
        };
        log.set_config(config());
        for number in 0..20 {
            log.append(batch(&[number; 1000]), 5)
                .await
                .expect("appended");
        }
        inner.sleep(Duration::from_secs(1)).await;
        logs
    };
    env.run(async move { append(&inner, options()).await })
        .expect("it ends");
    let directory = {
        let files = env.0.disk.borrow().files();
        let segment = files
            .iter()
            .find(|path| path.to_string_lossy().ends_with(".log"))
            .expect("there is a segment");
        segment.parent().expect("in a directory").to_path_buf()
    };
    let env = TestEnv::new(23, env.kill());
    let notes = directory.join("notes.txt");
    let backup = directory.join("backup");
    env.0.disk.borrow_mut().add_file(&notes, b"do not touch");
    env.0
        .disk
        .borrow_mut()
        .create_directory(&backup)
        .expect("made");
    let inner = env.clone();
    env.run(async move {
        let logs = append(&inner, options()).await;
        logs.delete(partition(0)).await.expect("deleted");
        inner.sleep(Duration::from_secs(1)).await;
        logs.housekeep().await;
        let again = logs.create(partition(0), config()).await.expect("created");
        let appended = again.append(batch(b"new"), 5).await.expect("appended");
        assert_eq!(appended.base_offset, 0);
        inner.sleep(Duration::from_secs(1)).await;
    })
    .expect("it ends");
    assert_eq!(
        env.0.disk.borrow().contents(&notes),
        Some(&b"do not touch"[..])
    );
    let left = env.0.disk.borrow().list(&directory).expect("it is there");
    let left: Vec<&str> = left.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(left, ["backup", "notes.txt"]);
}

#[test]
fn segments_roll_by_size_and_by_age() {
    run(async |env, logs| {
        let config = LogConfig {
            segment_ms: 10_000,
            ..config()
        };
        let log = logs.create(partition(0), config).await.expect("created");
        let time = 1_700_000_000_000;
        for step in 0..5 {
            let batch = batch_of(super::NOBODY, 1, time + step * 6_000, b"x");
            log.append(batch, 5).await.expect("appended");
        }
        env.sleep(Duration::from_secs(1)).await;
        // 0 and 6 s in the first, 12 and 18 in the second, 24 in the third.
        assert_eq!(segment_files(&env), 3);
    });
}

#[test]
fn a_producers_retry_gets_the_original_offset_and_a_gap_is_refused() {
    run(async |_, logs| {
        let log = logs.create(partition(0), config()).await.expect("created");
        let send = |sequence, epoch| {
            let from = From {
                producer_id: 9,
                epoch,
                sequence,
            };
            log.append(batch_of(from, 2, 5, b"x"), 5)
        };
        let first = send(0, 0);
        let second = send(2, 0);
        let again = send(0, 0);
        assert_eq!(first.await.expect("appended").base_offset, 0);
        assert_eq!(second.await.expect("appended").base_offset, 2);
        let again = again.await.expect("answered");
        assert!(again.duplicate && again.base_offset == 0 && again.last_offset == 1);
        assert_eq!(
            send(6, 0).await,
            Err(AppendError::OutOfOrderSequence {
                expected: 4,
                found: 6
            })
        );
        assert_eq!(
            send(4, 1).await,
            Err(AppendError::OutOfOrderSequence {
                expected: 0,
                found: 4
            })
        );
        assert_eq!(send(0, 1).await.expect("appended").base_offset, 4);
        assert_eq!(
            send(4, 0).await,
            Err(AppendError::ProducerFenced {
                current: 1,
                found: 0
            })
        );
        let producers = log.producers();
        assert_eq!(producers.len(), 1);
        assert_eq!(producers[0].last_sequence, 1);
    });
}

#[test]
fn idle_producers_are_forgotten_and_too_many_refused() {
    let env = new_env(2);
    let inner = env.clone();
    env.run(async move {
        let options = Options {
            producers_max: 3,
            producer_expiry_ms: 60_000,
            ..options()
        };
        let logs = open_one(&inner, options).await;
        let log = logs.create(partition(0), config()).await.expect("created");
        let send = |producer_id, sequence| {
            let from = From {
                producer_id,
                epoch: 0,
                sequence,
            };
            log.append(batch_of(from, 1, 5, b"x"), inner.unix_ms())
        };
        for producer in 0..3 {
            send(producer, 0).await.expect("appended");
        }
        assert_eq!(send(3, 0).await, Err(AppendError::TooManyProducers));
        send(1, 1).await.expect("a known one goes on");
        logs.housekeep().await;
        inner.sleep(Duration::from_secs(90)).await;
        logs.housekeep().await;
        assert_eq!(
            log.producers().len(),
            3,
            "the clock may have been set just before the start"
        );
        inner.sleep(Duration::from_secs(3600)).await;
        send(1, 2).await.expect("appended");
        logs.housekeep().await;
        assert_eq!(log.producers().len(), 1);
        assert_eq!(logs.usage().producers, 1);
        send(3, 0).await.expect("there is room again");
    })
    .expect("it ends");
}

#[test]
fn moved_starts_votes_terms_memberships_and_snapshots_outlive_everything() {
    let env = new_env(31);
    let inner = env.clone();
    env.run(async move {
        let logs = open_one(&inner, options()).await;
        let log = logs.create(partition(0), config()).await.expect("created");
        for number in 0..20 {
            log.append(batch(&[number; 500]), 5)
                .await
                .expect("appended");
        }
        log.append_zero_width(ZeroWidth::Term { term: 4, leader: 1 })
            .await
            .expect("durable");
        log.append_zero_width(ZeroWidth::Membership {
            term: 4,
            members: Bytes::from_static(b"1,2,3"),
        })
        .await
        .expect("durable");
        log.record_vote(EpochVote {
            term: 5,
            candidate: 2,
        })
        .await
        .expect("durable");
        log.append(batch(b"in term 4"), 5).await.expect("appended");
        log.save_state(
            15,
            vec![Bytes::from_static(b"fif"), Bytes::from_static(b"teen")],
        )
        .await
        .expect("saved");
        assert_eq!(log.advance_log_start(15).await, Ok(15));
        assert_eq!(log.advance_log_start(3).await, Ok(15));
        assert!(log.advance_log_start(99).await.is_err());
        // Enough for the journal to be recycled several times.
        let other = logs.create(partition(1), config()).await.expect("created");
        for _ in 0..200 {
            other.append(batch(&[1; 2500]), 5).await.expect("appended");
        }
    })
    .expect("it ends");
    let env = TestEnv::new(32, env.cut_power());
    let inner = env.clone();
    env.run(async move {
        let logs = open_one(&inner, options()).await;
        let log = logs.get(partition(0)).expect("there");
        assert_eq!(log.log_start_offset(), 15);
        assert_eq!(log.high_watermark(), 21);
        assert_eq!(log.leader_epoch(), 4);
        assert_eq!(
            log.vote(),
            Some(EpochVote {
                term: 5,
                candidate: 2
            })
        );
        let members = Bytes::from_static(b"1,2,3");
        assert_eq!(log.membership(), Some((4, 20, members)));
        assert_eq!(log.end_offset_for_epoch(0), (0, 20));
        assert_eq!(log.end_offset_for_epoch(3), (0, 20));
        assert_eq!(log.end_offset_for_epoch(4), (4, 21));
        assert_eq!(log.end_offset_for_epoch(5), (-1, -1));
        let state = log.load_state().await.expect("it verifies");
        assert_eq!(state, Some((15, Bytes::from_static(b"fifteen"))));
    })
    .expect("it ends");
}

#[test]
fn a_snapshot_that_was_replaced_is_no_substitute_for_the_one_that_is_damaged() {
    /// Before the state itself.
    const HEADER: usize = 64;
    run(async |env, logs| {
        let log = logs.create(partition(0), config()).await.expect("created");
        for _ in 0..3 {
            log.append(batch(b"x"), 5).await.expect("appended");
        }
        let directory = log.shard.log_directory(&log.inner);
        let path = |end| layout::log_file(&directory, end, FileKind::State);
        let save = async |end| {
            let state = vec![Bytes::from_static(b"state")];
            log.save_state(end, state).await.expect("saved");
            let file = env.open(&path(end), OpenMode::ReadWrite).await;
            file.expect("there")
        };
        let older = save(1).await;
        let bytes = read_full(&older, 0, HEADER + 5).await.expect("read");
        let newest = save(2).await;
        log.advance_log_start(2).await.expect("moved");
        // A crash may leave the older one where it was.
        let left = env.open(&path(1), OpenMode::CreateOrOpen).await;
        let left = left.expect("made");
        left.write_at(0, vec![bytes.freeze()])
            .await
            .expect("written");
        let state = Bytes::from_static(b"state");
        assert_eq!(log.load_state().await, Ok(Some((2, state))));
        newest
            .write_at(HEADER as u64, vec![Bytes::from_static(b"S")])
            .await
            .expect("written");
        let refused = log.load_state().await;
        let Err(StorageError::Corrupt { file, .. }) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(file, path(2));
    });
}

#[test]
fn progress_wakes_who_waits_and_nobody_else() {
    run(async |_, logs| {
        let log = logs.create(partition(0), config()).await.expect("created");
        let mut first = Box::pin(log.progress(0));
        let mut second = Box::pin(log.progress(1));
        assert!((&mut first).now_or_never().is_none());
        assert!((&mut second).now_or_never().is_none());
        assert_eq!(log.waiting_reads(), 2);
        let mut third = Box::pin(log.progress(0));
        assert!((&mut third).now_or_never().is_none());
        assert_eq!(log.waiting_reads(), 3);
        drop(third);
        assert_eq!(log.waiting_reads(), 2);
        log.append(batch(b"x"), 5).await.expect("appended");
        assert!((&mut first).now_or_never().is_some());
        assert!((&mut second).now_or_never().is_none());
        assert_eq!(log.waiting_reads(), 1);
        assert_eq!(log.readable_bytes(1), 0);
        let size = log.readable_bytes(0);
        assert!(size > 61);
        log.append(batch(b"x"), 5).await.expect("appended");
        assert!((&mut second).now_or_never().is_some());
        assert_eq!(log.waiting_reads(), 0);
        assert_eq!(log.readable_bytes(0), 2 * size);
        logs.shutdown().await.expect("shut down");
        log.progress(5).await;
        assert_eq!(log.append(batch(b"x"), 5).await, Err(AppendError::Closed));
    });
}

#[test]
fn a_replicated_log_is_acknowledged_from_memory() {
    run(async |_, logs| {
        let config = LogConfig {
            durability: Durability::Replicated,
            ..config()
        };
        let log = logs.create(partition(0), config).await.expect("created");
        log.append(batch(b"first"), 5).await.expect("appended");
        let append = log.append(batch(b"x"), 5);
        assert!(append.now_or_never().expect("at once").is_ok());
        let read = log.read(0, 1000, true).await.expect("readable");
        assert_eq!(read.next_offset, 2);
    });
}

#[test]
fn what_is_too_large_for_the_journal_or_no_batch_is_refused() {
    run(async |_, logs| {
        let log = logs.create(partition(0), config()).await.expect("created");
        let max = logs.batch_bytes_max();
        let large = batch(&vec![1; max]);
        assert_eq!(
            log.append(large, 5).await,
            Err(AppendError::TooLarge { max })
        );
        let mut two = batch(b"a");
        two.unsplit(batch(b"b"));
        assert_eq!(log.append(two, 5).await, Err(AppendError::NotOneBatch));
        let fits = batch(&vec![1; max - 90]);
        log.append(fits, 5).await.expect("appended");
    });
}

#[test]
fn an_idle_log_takes_little_memory() {
    // Kept honest by the sizes of what each log owns when nothing is going on; a segment more is 96 bytes more.
    let log = size_of::<crate::log::LogInner>();
    assert!(log <= 1400, "{log} bytes");
}

#[test]
fn marks_that_fill_the_journal_do_not_stop_its_clearing() {
    let env = new_env(22);
    let inner = env.clone();
    env.run(async move {
        // Clearing takes a mark per small segment, each in a group of its own, and there are far more of them than the last
        // file has room for; what is left of the log is small enough to be copied.
        let options = Options {
            flush_bytes: 1 << 20,
            copy_forward_bytes_max: 16 << 10,
            ..small()
        };
        let logs = open_one(&inner, options).await;
        let config = LogConfig {
            segment_bytes: 1024,
            ..config()
        };
        let log = logs.create(partition(0), config).await.expect("created");
        for round in 0..20 {
            let appends = (0..50).map(|_| log.append(batch(&[round; 800]), inner.unix_ms()));
            for appended in futures_util::future::join_all(appends).await {
                appended.expect("appended");
            }
        }
        assert_eq!(log.high_watermark(), 1000);
        logs.shutdown().await.expect("shut down");
        drop(logs);
        let logs = open_one(&inner, small()).await;
        let log = logs.get(partition(0)).expect("there");
        assert_eq!(log.high_watermark(), 1000);
    })
    .expect("it ends");
}

/// A batch of one record for each of the times.
fn batch_at(times: &[i64], size: usize) -> BytesMut {
    let mut builder = BatchBuilder::new(Codec::None, times[0]);
    let value = vec![3; size];
    for time in times {
        let record = builder.append(*time, None, Some(&value), &[]);
        record.expect("it fits");
    }
    builder.finish(ProducerFields::default()).expect("it fits")
}

#[test]
fn the_largest_timestamp_is_that_of_a_record_which_is_still_there() {
    // In memory, in segments, and in segments behind which there are others.
    for (flush_bytes, more) in [(1 << 20, 0), (1, 0), (1, 40)] {
        let env = new_env(77);
        let inner = env.clone();
        env.run(async move {
            let options = Options {
                flush_bytes,
                tail_cache_bytes: 0,
                ..small()
            };
            let logs = open_one(&inner, options).await;
            let log = logs.create(partition(0), config()).await.expect("created");
            for times in [&[10, 90, 20, 50, 50][..], &[30, 40, 40, 5], &[7, 50, 8]] {
                let appended = log.append(batch_at(times, 100), 5).await;
                appended.expect("appended");
            }
            for _ in 0..more {
                let appended = log.append(batch_at(&[1], 900), 5).await;
                appended.expect("appended");
            }
            if flush_bytes == 1 {
                while log.inner.state.borrow().flushed_end < log.high_watermark() {
                    inner.sleep(Duration::from_millis(10)).await;
                }
            }
            let is_sealed = log
                .inner
                .state
                .borrow()
                .segments
                .first()
                .is_some_and(|s| s.sealed);
            assert_eq!(is_sealed, more > 0);
            for (start, expected) in [
                (0, (90, 1)),
                (1, (90, 1)),
                (2, (50, 3)),
                (4, (50, 4)),
                (5, (50, 10)),
                (11, (8, 11)),
            ] {
                log.advance_log_start(start).await.expect("moved");
                let found = log.max_timestamp().await;
                assert_eq!(
                    found,
                    Ok(Some(expected)),
                    "from {start}, flushed from {flush_bytes}"
                );
            }
        })
        .expect("it ends");
    }
}

#[test]
fn nothing_keeps_a_deleted_log_in_memory() {
    let options = Options {
        tail_cache_bytes: 1 << 20,
        ..options()
    };
    run_with(options, async |env, logs| {
        let log = logs.create(partition(0), config()).await.expect("created");
        for _ in 0..20 {
            log.append(batch(&[1; 500]), 5).await.expect("appended");
        }
        while logs.usage().unflushed_bytes > 0 {
            env.sleep(Duration::from_millis(10)).await;
        }
        assert!(logs.usage().cached_bytes > 0);
        let inner = std::rc::Rc::downgrade(&log.inner);
        drop(log);
        logs.delete(partition(0)).await.expect("deleted");
        env.sleep(Duration::from_millis(10)).await;
        assert_eq!(logs.usage().cached_bytes, 0);
        assert_eq!(inner.strong_count(), 0);
    });
}

#[test]
fn a_process_that_ends_with_something_still_to_be_recorded_leaves_nothing_in_memory() {
    let env = new_env(1);
    let inner = env.clone();
    let shard = env.run(async move {
        let logs = open_one(&inner, small()).await;
        let log = logs.create(partition(0), config()).await.expect("created");
        log.append(batch(b"one"), 5).await.expect("appended");
        let mut moves = Box::pin(log.advance_log_start(1));
        assert!((&mut moves).now_or_never().is_none());
        Rc::downgrade(&logs.shard)
    });
    let shard = shard.expect("it ends");
    assert!(shard.upgrade().is_some(), "its tasks run");
    env.kill();
    assert!(shard.upgrade().is_none());
}

#[test]
fn a_count_that_is_not_what_there_is_is_told() {
    let env = new_env(1);
    let inner = env.clone();
    env.run(async move {
        let logs = open_one(&inner, small()).await;
        let log = logs.create(partition(0), config()).await.expect("created");
        log.append(batch(b"one"), 5).await.expect("appended");
        assert_eq!(logs.recount(), Ok(()));
        logs.shard.producers.set(1);
        let told = logs.recount().expect_err("there is no producer");
        assert_eq!(told, "1 producers are counted, and there are 0");
        logs.shard.producers.set(0);
        log.inner.running.borrow_mut().uncommitted += 7;
        let told = logs.recount().expect_err("nothing is on its way");
        assert!(told.starts_with("7 bytes on their way into log "), "{told}");
    })
    .expect("it ends");
}
