//! Segment files that are gone, or shorter than what was synced: nobody makes them again, and the log goes on without them.

use super::{DIRECTORY, batch, config, new_env, open_one, partition, small};
use crate::offline::{self, Finding};
use crate::testing::{DiskWorld, TestEnv};
use crate::{Health, Log, Logs, Options, ReadError};
use std::path::{Path, PathBuf};
use std::time::Duration;
use taffrail_env::Clock;

const SEED: u64 = 21;

fn options(flush_bytes: usize) -> Options {
    Options {
        flush_bytes,
        tail_cache_bytes: 0,
        ..small()
    }
}

fn payload(number: usize) -> Vec<u8> {
    let mut payload = vec![number as u8; 900];
    payload[..8].copy_from_slice(&(number as u64).to_le_bytes());
    payload
}

async fn append(log: &Log<TestEnv>, numbers: std::ops::Range<usize>) {
    for number in numbers {
        let appended = log.append(batch(&payload(number)), 5).await;
        assert_eq!(appended.expect("appended").base_offset, number as i64);
    }
}

/// A log of 60 batches in three segments; with `clean` after a clean stop, else with a part that the journal alone holds.
fn filled(clean: bool) -> DiskWorld {
    let env = new_env(SEED);
    let inner = env.clone();
    env.run(async move {
        let logs = open_one(&inner, options(1)).await;
        let log = logs.create(partition(0), config()).await.expect("created");
        append(&log, 0..60).await;
        logs.shutdown().await.expect("shut down");
    })
    .expect("it ends");
    if clean {
        return env.kill();
    }
    let env = TestEnv::new(SEED, env.kill());
    let inner = env.clone();
    env.run(async move {
        let logs = open_one(&inner, options(1 << 20)).await;
        let log = logs.get(partition(0)).expect("there");
        log.set_config(config());
        append(&log, 60..64).await;
    })
    .expect("it ends");
    env.kill()
}

fn segments(disk: &DiskWorld) -> Vec<PathBuf> {
    let mut files = disk.files();
    files.retain(|path| path.extension().is_some_and(|suffix| suffix == "log"));
    files
}

fn base_of(path: &Path) -> i64 {
    let stem = path.file_stem().expect("a name").to_string_lossy();
    stem.parse().expect("a base offset")
}

/// What somebody does to the last segment.
#[derive(Clone, Copy, Debug)]
enum Harm {
    Removed,
    Emptied,
    CutShort,
    DirectoryRemoved,
}

const HARMS: [Harm; 4] = [
    Harm::Removed,
    Harm::Emptied,
    Harm::CutShort,
    Harm::DirectoryRemoved,
];

fn harm(disk: &mut DiskWorld, harm: Harm) -> (PathBuf, Option<Vec<u8>>) {
    let path = segments(disk).pop().expect("there are segments");
    let bytes = disk.contents(&path).expect("it is there").to_vec();
    let left = match harm {
        Harm::Removed => None,
        Harm::Emptied => Some(Vec::new()),
        Harm::CutShort => Some(bytes[..bytes.len() - 1].to_vec()),
        Harm::DirectoryRemoved => {
            let directory = path.parent().expect("a directory").to_path_buf();
            for file in disk.files() {
                if file.starts_with(&directory) {
                    disk.remove_file_now(&file);
                }
            }
            disk.remove_file_now(&directory);
            return (path, None);
        }
    };
    disk.remove_file_now(&path);
    if let Some(left) = &left {
        disk.add_file(&path, left);
    }
    (path, left)
}

/// Which offsets are served; each with what was appended there.
async fn served(logs: &Logs<TestEnv>) -> Vec<i64> {
    let log = logs.get(partition(0)).expect("there");
    let mut served = Vec::new();
    for offset in 0..log.high_watermark() {
        match log.read(offset, 1, true).await {
            Ok(read) => {
                assert!(read.batches[0].ends_with(&[&payload(offset as usize)[..], &[0]].concat()));
                served.push(offset);
            }
            Err(ReadError::Corrupt { .. }) => {}
            Err(error) => panic!("offset {offset}: {error}"),
        }
    }
    served
}

fn findings(disk: DiskWorld) -> Vec<Finding> {
    let env = TestEnv::new(8, disk);
    let inner = env.clone();
    env.run(async move {
        let mut found = Vec::new();
        let mut report = |finding| found.push(finding);
        offline::verify(&inner, Path::new(DIRECTORY), &mut report)
            .await
            .expect("it can be looked at");
        found
    })
    .expect("it ends")
}

/// Starts, appends `numbers`, and answers what is served then; with `stop` it ends by a clean stop.
fn live(
    disk: DiskWorld,
    flush_bytes: usize,
    numbers: std::ops::Range<usize>,
    stop: bool,
) -> (TestEnv, Vec<i64>) {
    let env = TestEnv::new(SEED, disk);
    let inner = env.clone();
    let served = env.run(async move {
        let logs = open_one(&inner, options(flush_bytes)).await;
        let log = logs.get(partition(0)).expect("there");
        log.set_config(config());
        append(&log, numbers).await;
        let served = served(&logs).await;
        if stop {
            logs.shutdown().await.expect("shut down");
        }
        served
    });
    (env, served.expect("it ends"))
}

#[test]
fn a_last_segment_that_is_gone_or_short_is_not_made_again_and_appends_go_on() {
    for kind in HARMS {
        for (clean, flush_bytes) in [(true, 1), (true, 1 << 20), (false, 1), (false, 1 << 20)] {
            let mut disk = filled(clean);
            let (path, left) = harm(&mut disk, kind);
            let base = base_of(&path);
            let before = if clean { 60 } else { 64 };
            let lost = match kind {
                Harm::DirectoryRemoved => 0..60,
                Harm::Removed | Harm::Emptied => base..60,
                Harm::CutShort => 59..60,
            };
            let check = |found: &[i64], end: usize, when: &str| {
                let what = format!("{kind:?}, clean {clean}, flushed from {flush_bytes}, {when}");
                // What lies before the damage in the same segment may be served.
                let mut expected = (0..end as i64).filter(|at| !lost.contains(at));
                let doubtful = |at: &i64| (base..60).contains(at);
                assert!(
                    expected.all(|at| found.contains(&at) || doubtful(&at)),
                    "{what}: {found:?}"
                );
                assert!(!found.iter().any(|at| lost.contains(at)), "{what}");
            };
            let what = format!("{kind:?}, clean {clean}, flushed from {flush_bytes}");
            // A life that is killed, one that is stopped, and one after that.
            let (env, found) = live(disk, flush_bytes, before..before + 9, false);
            check(&found, before + 9, "at once");
            let (env, found) = live(env.cut_power(), flush_bytes, before + 9..before + 12, true);
            check(&found, before + 12, "after a power cut");
            let disk = env.kill();
            assert_eq!(disk.contents(&path), left.as_deref(), "{what}");
            let found = findings(disk.clone());
            assert!(found.iter().any(|finding| finding.file == path), "{what}");
            let (_, found) = live(disk, flush_bytes, 0..0, true);
            check(&found, before + 12, "after a stop");
        }
    }
}

#[test]
fn a_stop_leaves_a_segment_that_is_gone_as_it_is() {
    for kind in HARMS {
        let mut disk = filled(false);
        let (path, left) = harm(&mut disk, kind);
        let (env, _) = live(disk, 1, 0..0, true);
        assert_eq!(env.kill().contents(&path), left.as_deref(), "{kind:?}");
    }
}

fn beside(disk: &DiskWorld) -> Vec<PathBuf> {
    let is_beside = |path: &PathBuf| {
        let suffix = path.extension().and_then(|suffix| suffix.to_str());
        matches!(suffix, Some("index" | "timeindex" | "digest"))
    };
    let files = disk.files();
    files.into_iter().filter(is_beside).collect()
}

/// Opens the directory, has it look after its logs, and stops it; `index_interval` holds meanwhile. Answers how many segments are corrupt.
fn looked_after(
    disk: DiskWorld,
    index_interval: u32,
    housekeep: bool,
    stop: bool,
) -> (DiskWorld, usize) {
    let env = TestEnv::new(SEED, disk);
    let inner = env.clone();
    let corrupt = env.run(async move {
        let logs = open_one(&inner, options(1)).await;
        let log = logs.get(partition(0)).expect("there");
        log.set_config(crate::LogConfig {
            index_interval_bytes: index_interval,
            ..config()
        });
        if housekeep {
            logs.housekeep().await;
        }
        let corrupt = logs.usage().corrupt_segments;
        if stop {
            logs.shutdown().await.expect("shut down");
        }
        corrupt
    });
    (env.kill(), corrupt.expect("it ends"))
}

#[test]
fn what_is_missing_beside_a_segment_is_made_again_as_it_was() {
    let whole = filled(true);
    let files = beside(&whole);
    assert_eq!(files.len(), 9, "{files:?}");
    for (housekeep, stop) in [(true, false), (true, true), (false, true)] {
        for cut in [false, true] {
            let mut disk = whole.clone();
            for path in &files {
                let bytes = disk.contents(path).expect("it is there").to_vec();
                disk.remove_file_now(path);
                if cut {
                    disk.add_file(path, &bytes[..bytes.len() / 2]);
                }
            }
            assert!(!findings(disk.clone()).is_empty());
            let (disk, corrupt) = looked_after(disk, 512, housekeep, stop);
            assert_eq!(corrupt, 0);
            for path in &files {
                assert_eq!(disk.contents(path), whole.contents(path), "{path:?}");
            }
            assert_eq!(findings(disk), []);
        }
    }
}

#[test]
fn what_is_made_again_is_as_long_as_the_mark_says_whatever_the_interval_is_now() {
    for index_interval in [0, 100, 5000, 1 << 20] {
        let mut disk = filled(true);
        for path in beside(&disk) {
            disk.remove_file_now(&path);
        }
        let (disk, _) = looked_after(disk, index_interval, true, true);
        assert_eq!(findings(disk), [], "interval {index_interval}");
    }
}

#[test]
fn a_start_does_not_look_for_what_is_beside_segments() {
    let mut disk = filled(true);
    let files = beside(&disk);
    for path in &files {
        disk.remove_file_now(path);
    }
    let (disk, _) = looked_after(disk, 512, false, false);
    assert_eq!(beside(&disk), [] as [PathBuf; 0]);
}

#[test]
fn a_segment_that_is_gone_or_short_is_found_by_a_look() {
    for kind in HARMS {
        let mut disk = filled(true);
        harm(&mut disk, kind);
        let lost = if matches!(kind, Harm::DirectoryRemoved) {
            3
        } else {
            1
        };
        let (disk, corrupt) = looked_after(disk, 512, true, false);
        assert_eq!(corrupt, lost, "{kind:?}");
        assert!(!findings(disk).is_empty(), "it is not made again");
    }
    let mut disk = filled(true);
    let sealed = segments(&disk).remove(0);
    disk.remove_file_now(&sealed);
    assert_eq!(looked_after(disk.clone(), 512, false, false).1, 0);
    let (disk, corrupt) = looked_after(disk, 512, true, true);
    assert_eq!(corrupt, 1);
    let beside_it = beside(&disk);
    assert!(
        beside_it
            .iter()
            .any(|path| base_of(path) == base_of(&sealed))
    );
}

#[test]
fn a_corrupt_segment_that_has_left_the_log_does_not_count() {
    let mut disk = filled(true);
    let paths = segments(&disk);
    disk.remove_file_now(&paths[0]);
    let behind = base_of(&paths[1]);
    let env = TestEnv::new(SEED, disk);
    let inner = env.clone();
    env.run(async move {
        let logs = open_one(&inner, options(1)).await;
        let log = logs.get(partition(0)).expect("there");
        log.set_config(config());
        logs.housekeep().await;
        assert_eq!(logs.usage().corrupt_segments, 1);
        log.advance_log_start(behind).await.expect("moved");
        assert_eq!(logs.usage().corrupt_segments, 0);
        logs.housekeep().await;
        assert_eq!(logs.usage().corrupt_segments, 0);
    })
    .expect("it ends");
}

#[test]
fn a_sealed_segment_that_is_gone_is_corrupt_and_the_others_are_served() {
    let mut disk = filled(true);
    let paths = segments(&disk);
    let (gone, next) = (base_of(&paths[1]), base_of(&paths[2]));
    disk.remove_file_now(&paths[1]);
    let (_, found) = live(disk, 1, 60..61, true);
    let expected: Vec<i64> = (0..61).filter(|at| !(gone..next).contains(at)).collect();
    assert_eq!(found, expected);
}

/// What is done to the files of a log that is being written, between two lots of appends, and what the next look finds.
fn amid_appends(harm: impl FnOnce(&mut DiskWorld) + 'static) -> (DiskWorld, Vec<i64>) {
    let env = new_env(SEED);
    let inner = env.clone();
    let served = env.run(async move {
        let logs = open_one(&inner, options(1)).await;
        let log = logs.create(partition(0), config()).await.expect("created");
        append(&log, 0..60).await;
        inner.sleep(Duration::from_secs(1)).await;
        harm(&mut inner.0.disk.borrow_mut());
        logs.housekeep().await;
        append(&log, 60..70).await;
        assert_eq!(logs.health(), Health::Serving);
        logs.shutdown().await.expect("shut down");
        let logs = open_one(&inner, options(1)).await;
        served(&logs).await
    });
    (env.kill(), served.expect("it ends"))
}

#[test]
fn what_is_appended_after_a_look_that_found_no_segment_is_kept() {
    let (_, served) = amid_appends(|disk| {
        let last = segments(disk).pop().expect("there are segments");
        disk.remove_file_now(&last);
    });
    assert!(
        (60..70).all(|offset| served.contains(&offset)),
        "{served:?}"
    );
}

#[test]
fn files_beside_a_segment_that_is_written_on_are_made_again_whole() {
    for suffix in ["index", "timeindex", "digest"] {
        let (disk, served) = amid_appends(move |disk| {
            let last = segments(disk).pop().expect("there are segments");
            disk.remove_file_now(&last.with_extension(suffix));
        });
        assert_eq!(served, (0..70).collect::<Vec<_>>(), "{suffix}");
        assert_eq!(findings(disk), [], "{suffix}");
    }
}

#[test]
fn a_directory_that_cannot_be_listed_stops_nobody() {
    let env = new_env(SEED);
    let inner = env.clone();
    env.run(async move {
        let logs = open_one(&inner, options(1)).await;
        let log = logs.create(partition(0), config()).await.expect("created");
        append(&log, 0..10).await;
        inner.sleep(Duration::from_secs(1)).await;
        let directory = {
            let mut disk = inner.0.disk.borrow_mut();
            let segment = segments(&disk).pop().expect("there is a segment");
            let directory = segment.parent().expect("a directory").to_path_buf();
            disk.unlistable.insert(directory.clone());
            directory
        };
        logs.housekeep().await;
        append(&log, 10..20).await;
        assert_eq!(logs.health(), Health::Serving, "{}", directory.display());
    })
    .expect("it ends");
}
