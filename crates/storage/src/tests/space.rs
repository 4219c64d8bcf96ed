//! A full disk: refusals that can be tried again, reads, deletes, restarts, and an end of it.

use super::{batch, config, open_one, partition, small};
use crate::testing::{DiskWorld, TestEnv};
use crate::{AppendError, Health, Log, LogConfig, Logs, Options};
use std::time::Duration;
use taffrail_env::Clock;
use taffrail_env::disk::DiskOperation;

const CAPACITY: u64 = 3 << 20;

fn full_world() -> TestEnv {
    let mut disk = DiskWorld::new();
    disk.capacity = CAPACITY;
    TestEnv::new(11, disk)
}

fn options() -> Options {
    Options {
        flush_bytes: 4 << 10,
        ..small()
    }
}

/// Appends until it is refused. Answers how many went in.
async fn fill(log: &Log<TestEnv>) -> i64 {
    for number in 0..10_000 {
        match log.append(batch(&[7; 3000]), 5).await {
            Ok(appended) => assert_eq!(appended.base_offset, number),
            Err(AppendError::NoSpace(_)) => return number,
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the disk does not fill up")
}

async fn count(log: &Log<TestEnv>) -> i64 {
    let (mut found, mut at) = (0, log.log_start_offset());
    while at < log.high_watermark() {
        let read = log.read(at, 1 << 20, true).await.expect("reads go on");
        found += read.batches.len() as i64;
        at = read.next_offset;
    }
    found
}

#[test]
fn a_segment_that_finds_no_room_leaves_no_file() {
    // However much of a segment is left when the disk is full, in one of these cases it is too little for one more batch.
    for len in [2000, 3000, 5000] {
        let env = full_world();
        let inner = env.clone();
        env.run(async move {
            let logs = open_one(&inner, options()).await;
            let log = logs.create(partition(0), config()).await.expect("created");
            while log.append(batch(&vec![7; len]), 5).await.is_ok() {}
            inner.sleep(Duration::from_secs(1)).await;
            let planned = log
                .inner
                .running
                .borrow()
                .plan
                .as_ref()
                .map(|plan| plan.base_offset);
            let files = inner.0.disk.borrow().files();
            for path in files
                .iter()
                .filter(|path| path.extension().is_some_and(|suffix| suffix == "log"))
            {
                let base = path
                    .file_stem()
                    .and_then(|stem| stem.to_str()?.parse().ok());
                let base = base.expect("a base offset");
                let known = log.inner.state.borrow().begins_at(base) || planned == Some(base);
                assert!(known, "{}", path.display());
            }
        })
        .expect("it ends");
    }
}

#[test]
fn a_full_disk_refuses_serves_restarts_and_recovers_when_a_log_is_deleted() {
    let env = full_world();
    let inner = env.clone();
    let filled = env
        .run(async move {
            let logs = open_one(&inner, options()).await;
            let small = logs.create(partition(1), config()).await.expect("created");
            small.append(batch(b"before"), 5).await.expect("appended");
            let log = logs.create(partition(0), config()).await.expect("created");
            let filled = fill(&log).await;
            assert!(filled > 100);
            assert_eq!(logs.health(), Health::DiskFull);
            assert_eq!(count(&log).await, filled);
            filled
        })
        .expect("it ends");
    for cut in [false, true] {
        let disk = if cut {
            let copy = TestEnv::new(3, env.0.disk.borrow().clone());
            copy.cut_power()
        } else {
            TestEnv::new(3, env.0.disk.borrow().clone()).kill()
        };
        let env = TestEnv::new(12, disk);
        let inner = env.clone();
        env.run(async move {
            let logs = open_one(&inner, options()).await;
            let log = logs.get(partition(0)).expect("there");
            log.set_config(config());
            assert_eq!(count(&log).await, filled);
            // Metadata still goes: a log is made, and the large one is deleted.
            logs.create(partition(2), config()).await.expect("created");
            let _may_fit = log.append(batch(&[1; 3000]), 5).await;
            logs.delete(partition(0)).await.expect("deleted");
            inner.sleep(Duration::from_secs(2)).await;
            logs.housekeep().await;
            let small = logs.get(partition(1)).expect("there");
            small.set_config(config());
            for _ in 0..50 {
                small.append(batch(&[2; 3000]), 5).await.expect("appended");
            }
            assert_eq!(logs.health(), Health::Serving);
            logs.shutdown().await.expect("shut down");
        })
        .expect("it ends");
    }
}

#[test]
fn appends_go_on_by_themselves_once_there_is_room() {
    let env = full_world();
    let inner = env.clone();
    env.run(async move {
        let logs = open_one(&inner, options()).await;
        let log = logs.create(partition(0), config()).await.expect("created");
        let filled = fill(&log).await;
        inner.0.disk.borrow_mut().capacity = CAPACITY + (1 << 20);
        inner.sleep(Duration::from_secs(1)).await;
        let appended = log.append(batch(&[1; 3000]), 5).await.expect("appended");
        assert_eq!(appended.base_offset, filled);
        assert_eq!(logs.health(), Health::Serving);
    })
    .expect("it ends");
}

/// Where files are never changed in place, cutting one needs room, too.
#[test]
fn a_segment_that_is_not_cut_for_want_of_room_is_opened_anew_and_cut_later() {
    let env = TestEnv::new(12, DiskWorld::new());
    let inner = env.clone();
    env.run(async move {
        let logs = open_one(&inner, options()).await;
        let config = LogConfig {
            segment_bytes: 20_000,
            ..config()
        };
        let log = logs.create(partition(0), config).await.expect("created");
        inner.0.disk.borrow_mut().no_room = Some(DiskOperation::Truncate);
        let mut appended = 0;
        while appended < 30 {
            match log.append(batch(&[7; 3000]), 5).await {
                Ok(_) => appended += 1,
                Err(AppendError::NoSpace(_)) => {}
                Err(error) => panic!("{error}"),
            }
            inner.sleep(Duration::from_millis(20)).await;
        }
        inner.sleep(Duration::from_secs(2)).await;
        assert_eq!(inner.0.disk.borrow().no_room, None, "it was cut");
        assert_eq!(logs.health(), Health::Serving);
        assert_eq!(count(&log).await, 30);
        logs.shutdown().await.expect("everything finds its place");
    })
    .expect("it ends");
}

#[test]
fn a_log_with_a_reserve_is_written_while_the_disk_is_full() {
    let env = full_world();
    let inner = env.clone();
    env.run(async move {
        let logs = open_one(&inner, options()).await;
        let reserve = LogConfig {
            reserve_ahead_bytes: 64 << 10,
            segment_bytes: 1 << 30,
            ..config()
        };
        let metadata = logs.create(partition(9), reserve).await.expect("created");
        metadata.append(batch(b"first"), 5).await.expect("appended");
        let log = logs.create(partition(0), config()).await.expect("created");
        fill(&log).await;
        for number in 0..15 {
            metadata
                .append(batch(&[number; 3000]), 5)
                .await
                .expect("it has room of its own");
        }
    })
    .expect("it ends");
}

#[test]
fn a_reserve_is_there_after_a_clean_stop_in_whatever_segment_and_however_much_of_it_was_used() {
    const RESERVE: u64 = 64 << 10;
    let env = full_world();
    let inner = env.clone();
    let reserve = || LogConfig {
        reserve_ahead_bytes: RESERVE,
        segment_bytes: 150_000,
        ..config()
    };
    env.run(async move {
        let logs = open_one(&inner, options()).await;
        let metadata = logs.create(partition(9), reserve()).await.expect("created");
        // More than one reserve, and nearly all of the first segment that is allowed.
        for number in 0..47 {
            let appended = metadata.append(batch(&[number; 3000]), 5).await;
            appended.expect("appended");
        }
        logs.shutdown().await.expect("stopped");
        let logs = open_one(&inner, options()).await;
        let metadata = logs.get(partition(9)).expect("there");
        metadata.set_config(reserve());
        metadata
            .append(batch(b"started"), 5)
            .await
            .expect("appended");
        let log = logs.create(partition(0), config()).await.expect("created");
        fill(&log).await;
        for number in 0..10 {
            let appended = metadata.append(batch(&[number; 3000]), 5).await;
            appended.expect("it has room of its own, also where a segment would end");
        }
    })
    .expect("it ends");
}

#[test]
fn what_was_admitted_reaches_its_segment_however_full_the_disk_is() {
    let env = full_world();
    let inner = env.clone();
    let filled = env
        .run(async move {
            let lazy = Options {
                flush_bytes: 1 << 20,
                ..options()
            };
            let logs = open_one(&inner, lazy).await;
            let log = logs.create(partition(0), config()).await.expect("created");
            let filled = fill(&log).await;
            logs.shutdown().await.expect("everything finds its place");
            filled
        })
        .expect("it ends");
    let disk = env.kill();
    let segments = disk.files();
    let bytes: usize = segments
        .iter()
        .filter(|path| path.to_string_lossy().ends_with(".log"))
        .map(|path| disk.contents(path).expect("there").len())
        .sum();
    assert!(bytes as i64 > filled * 3000);
    let env = TestEnv::new(5, disk);
    let inner = env.clone();
    env.run(async move {
        let logs = open_one(&inner, options()).await;
        let log = logs.get(partition(0)).expect("there");
        assert_eq!(count(&log).await, filled);
    })
    .expect("it ends");
}

#[test]
fn a_directory_that_is_too_small_is_refused_in_one_line() {
    let mut disk = DiskWorld::new();
    disk.capacity = 100 << 10;
    let env = TestEnv::new(1, disk);
    let inner = env.clone();
    let error = env
        .run(async move {
            crate::open(&inner, std::path::Path::new("/data"), options(), 1)
                .await
                .err()
        })
        .expect("it ends")
        .expect("it is refused");
    assert!(matches!(error, crate::OpenError::NoSpace { .. }), "{error}");
}

#[test]
fn a_journal_for_which_there_was_room_for_two_files_alone_goes_on() {
    let mut with_two = 0;
    for kib in (300..1000).step_by(50) {
        let mut disk = DiskWorld::new();
        disk.capacity = 2 << 20;
        let ballast = disk.capacity - (kib << 10);
        disk.add_file(std::path::Path::new("/ballast"), &vec![1; ballast as usize]);
        let env = TestEnv::new(11, disk);
        let inner = env.clone();
        let files = env.run(async move {
            let lazy = Options {
                flush_bytes: 1 << 20,
                ..small()
            };
            let opened = crate::open(&inner, std::path::Path::new("/data"), lazy, 1).await;
            let Ok(mut opened) = opened else {
                return 0;
            };
            let logs = crate::Logs::new(&inner, opened.shards.remove(0));
            let log = logs.create(partition(0), config()).await.expect("created");
            for number in 0..100 {
                match log.append(batch(&[7; 100]), 5).await {
                    Ok(appended) => assert_eq!(appended.base_offset, number),
                    Err(AppendError::NoSpace(_)) => break,
                    Err(error) => panic!("{error}"),
                }
            }
            logs.shutdown().await.expect("shut down");
            let files = inner.0.disk.borrow().files();
            let journal = files
                .iter()
                .filter(|path| path.extension().is_some_and(|suffix| suffix == "journal"));
            journal.count()
        });
        let files = files.unwrap_or_else(|| panic!("with {kib} KiB it does not end"));
        with_two += usize::from(files == 2);
    }
    assert!(with_two > 0, "a case is tried in which there are two");
}

/// Leaves no room.
fn fill_up(env: &TestEnv) {
    let mut disk = env.0.disk.borrow_mut();
    let space = disk.space();
    disk.capacity = space.total - space.available;
}

/// Many logs, and then no room at all; `before` is what happens before that.
fn stop_without_room(before: impl AsyncFnOnce(&TestEnv, &Logs<TestEnv>) + 'static) {
    const LOGS: i32 = 6_000;
    let env = TestEnv::new(11, DiskWorld::new());
    let inner = env.clone();
    env.run(async move {
        let large = Options {
            journal_file_bytes: 4 << 20,
            ..options()
        };
        let logs = open_one(&inner, large.clone()).await;
        let created = (0..LOGS).map(|number| logs.create(partition(number), config()));
        for created in futures_util::future::join_all(created).await {
            created.expect("created");
        }
        before(&inner, &logs).await;
        fill_up(&inner);
        let stopped = logs.shutdown().await;
        assert!(
            matches!(stopped, Err(crate::StorageError::NoSpace(_))),
            "{stopped:?}"
        );
        inner.0.disk.borrow_mut().capacity = 1 << 40;
        let logs = open_one(&inner, large).await;
        for number in 0..LOGS {
            assert!(logs.get(partition(number)).is_some(), "{number}");
        }
        logs.shutdown().await.expect("now there is room");
    })
    .expect("it ends");
}

#[test]
fn a_stop_that_finds_no_room_for_its_checkpoint_ends_and_loses_nothing() {
    stop_without_room(async |_, _| {});
}

#[test]
fn a_stop_ends_while_the_checkpoint_of_a_round_waits_for_room() {
    stop_without_room(async |env, logs| {
        let large = LogConfig {
            segment_bytes: 64 << 20,
            preallocate: true,
            ..config()
        };
        let log = logs.create(partition(9_999), large).await;
        let log = log.expect("created");
        log.append(batch(b"first"), 5).await.expect("there is room");
        fill_up(env);
        for _ in 0..90 {
            let written = log.append(batch(&[7; 60_000]), 5).await;
            written.expect("its segment has room");
        }
        // The journal's second file is begun, and a round with it.
        env.sleep(Duration::from_secs(5)).await;
        // What the stop gives back of the segment somebody else takes.
        env.0.disk.borrow_mut().capacity = 0;
    });
}

#[test]
fn a_read_that_completes_side_files_on_a_full_disk_leaves_them_to_be_written_later() {
    let env = TestEnv::new(11, DiskWorld::new());
    let inner = env.clone();
    let eager = || Options {
        flush_bytes: 1,
        tail_cache_bytes: 0,
        ..small()
    };
    env.run(async move {
        let logs = open_one(&inner, eager()).await;
        let log = logs.create(partition(0), config()).await.expect("created");
        for _ in 0..10 {
            log.append(batch(&[7; 900]), 5).await.expect("appended");
        }
        inner.sleep(Duration::from_secs(1)).await;
    })
    .expect("it ends");
    let env = TestEnv::new(12, env.kill());
    let inner = env.clone();
    env.run(async move {
        let logs = open_one(&inner, eager()).await;
        let log = logs.get(partition(0)).expect("there");
        log.set_config(config());
        // The journal's next file is prepared meanwhile.
        inner.sleep(Duration::from_secs(1)).await;
        inner.0.disk.borrow_mut().no_room = Some(DiskOperation::Write);
        log.read(0, 1 << 20, true).await.expect("reads go on");
        assert_eq!(inner.0.disk.borrow().no_room, None, "it was met");
        for _ in 0..10 {
            log.append(batch(&[8; 900]), 5).await.expect("appended");
        }
        inner.sleep(Duration::from_secs(1)).await;
        assert_eq!(logs.health(), Health::Serving);
        assert_eq!(count(&log).await, 20);
        logs.shutdown().await.expect("shut down");
    })
    .expect("it ends");
}
