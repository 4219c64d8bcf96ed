//! Segment files that are gone, or shorter than what was synced: nobody makes them again, and the log goes on without them.

use super::{DIRECTORY, batch, config, new_env, open_one, partition, small};
use crate::offline::{self, Finding};
use crate::testing::{DiskWorld, TestEnv};
use crate::{Log, Logs, Options, ReadError};
use std::path::{Path, PathBuf};

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
