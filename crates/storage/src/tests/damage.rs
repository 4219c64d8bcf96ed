//! Disks that lie: what does not verify is refused, and everything else goes on.

use super::{DIRECTORY, batch, config, new_env, open_one, partition, small};
use crate::checksum::crc64;
use crate::offline::{self, Finding};
use crate::testing::{DiskWorld, TestEnv};
use crate::{AppendError, Log, OpenError, Options, ReadError, open};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use taffrail_env::Disk;

/// Much in segments, nothing in memory.
fn options() -> Options {
    Options {
        flush_bytes: 1,
        tail_cache_bytes: 0,
        ..small()
    }
}

/// A directory with two partitions, stopped cleanly.
fn filled(count: usize) -> DiskWorld {
    written(count, true)
}

/// A directory with two partitions, stopped or killed.
fn written(count: usize, stopped: bool) -> DiskWorld {
    let env = new_env(5);
    let inner = env.clone();
    env.run(async move {
        let logs = open_one(&inner, options()).await;
        for number in 0..2 {
            let log = logs
                .create(partition(number), config())
                .await
                .expect("created");
            for at in 0..count {
                let payload = vec![at as u8; 900];
                log.append(batch(&payload), 5).await.expect("appended");
            }
        }
        if stopped {
            logs.shutdown().await.expect("shut down");
        }
    })
    .expect("it ends");
    env.kill()
}

fn file_of(disk: &DiskWorld, number: u32, suffix: &str) -> PathBuf {
    let part = format!("-{number}.");
    let files = disk.files();
    let found = files.iter().find(|path| {
        let path = path.to_string_lossy();
        path.contains(&part) && path.ends_with(suffix)
    });
    found.expect("there is such a file").clone()
}

/// Reads everything it can, and counts batches and refusals.
async fn read_what_goes(log: &Log<TestEnv>) -> (usize, usize) {
    let (mut good, mut refused, mut at) = (0, 0, 0);
    while at < log.high_watermark() {
        match log.read(at, 2000, true).await {
            Ok(read) => {
                good += read.batches.len();
                at = read.next_offset;
            }
            Err(ReadError::Corrupt { .. }) => {
                refused += 1;
                at += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    (good, refused)
}

#[test]
fn whoever_looks_at_a_directory_offline_need_not_be_allowed_to_write_to_it() {
    for clean in [true, false] {
        let mut disk = match clean {
            true => filled(20),
            false => written_after_a_clean_stop().0,
        };
        disk.read_only = true;
        assert_eq!(findings(disk), []);
    }
}

#[test]
fn a_file_system_that_became_read_only_is_read_on() {
    let stopped = (filled(100), 100);
    let with_a_tail = (written_after_a_clean_stop().0, 16);
    let killed = (written(100, false), 100);
    for (disk, count) in [stopped, with_a_tail, killed] {
        with_open(disk, async move |logs| {
            let log = logs.get(partition(0)).expect("there");
            let world = log.shard.env.0.clone();
            world.disk.borrow_mut().read_only = true;
            // First while nobody knows of it, then after a write has met it.
            assert_eq!(read_what_goes(&log).await, (count, 0));
            let appended = log.append(batch(&[1; 20_000]), 5).await;
            assert!(
                matches!(appended, Err(AppendError::Failed(_))),
                "{appended:?}"
            );
            assert_eq!(read_what_goes(&log).await, (count, 0));
            let found = log.offset_for_timestamp(0).await.expect("readable");
            assert_eq!(found.map(|(_, offset, _)| offset), Some(0));
        });
    }
}

#[test]
fn what_is_not_ours_is_named_and_not_printed() {
    let mut disk = filled(1);
    for path in ["/data/photo.jpg", "/mail/inbox", "/mail/0.journal"] {
        disk.add_file(Path::new(path), b"not ours");
    }
    disk.create_directory(Path::new("/mail")).expect("made");
    disk.create_directory(Path::new("/empty")).expect("made");
    let env = TestEnv::new(3, disk);
    let inner = env.clone();
    env.run(async move {
        for path in [
            "/data/photo.jpg",
            "/mail",
            "/mail/inbox",
            "/empty",
            "/data/partitions",
        ] {
            let silent = async |_: Vec<String>| -> ControlFlow<()> { panic!("{path} is printed") };
            let dumped = offline::dump(&inner, Path::new(path), silent).await;
            let expected = Err(OpenError::NotOurs { path: path.into() });
            assert_eq!(dumped, expected);
        }
        for path in ["/mail", "/empty", "/data/journal"] {
            let verified = offline::verify(&inner, Path::new(path), &mut |_| {}).await;
            let expected = Err(OpenError::NoDataDirectory { path: path.into() });
            assert_eq!(verified, expected);
        }
    })
    .expect("it ends");
}

#[test]
fn a_dump_is_handed_on_in_pieces_and_ends_when_nobody_wants_more() {
    let disk = filled(1500);
    let segment = file_of(&disk, 0, "00000000000000000000.log");
    let env = TestEnv::new(3, disk);
    let inner = env.clone();
    env.run(async move {
        let (mut pieces, mut largest) = (0, 0);
        let log = segment.parent().expect("a directory");
        let sink = async |lines: Vec<String>| {
            pieces += 1;
            largest = largest.max(lines.iter().map(String::len).sum::<usize>());
            ControlFlow::Continue(())
        };
        offline::dump(&inner, log, sink).await.expect("dumped");
        assert!(pieces > 2 && largest < 66 << 10, "{pieces} of {largest}");
        let mut asked = 0;
        let sink = async |_: Vec<String>| {
            asked += 1;
            ControlFlow::Break(())
        };
        offline::dump(&inner, log, sink).await.expect("dumped");
        assert_eq!(asked, 1);
    })
    .expect("it ends");
}

fn findings(disk: DiskWorld) -> Vec<Finding> {
    let env = TestEnv::new(8, disk);
    let inner = env.clone();
    env.run(async move {
        let mut found = Vec::new();
        let verified = offline::verify(&inner, Path::new(DIRECTORY), &mut |finding| {
            found.push(finding)
        })
        .await
        .expect("it can be looked at");
        assert_eq!(verified.findings as usize, found.len());
        found
    })
    .expect("it ends")
}

fn with_open<T: 'static>(
    disk: DiskWorld,
    work: impl AsyncFnOnce(crate::Logs<TestEnv>) -> T + 'static,
) -> T {
    let env = TestEnv::new(9, disk);
    let inner = env.clone();
    env.run(async move {
        let logs = open_one(&inner, options()).await;
        for id in logs.all() {
            logs.get(id).expect("there").set_config(config());
        }
        work(logs).await
    })
    .expect("it ends")
}

#[test]
fn a_sound_directory_verifies_and_dumps() {
    let disk = filled(60);
    assert_eq!(findings(disk.clone()), []);
    let env = TestEnv::new(3, disk);
    let inner = env.clone();
    let lines = env
        .run(async move {
            let mut lines = Vec::new();
            let root = Path::new(DIRECTORY);
            let mut sink = async |some: Vec<String>| {
                lines.extend(some);
                ControlFlow::Continue(())
            };
            offline::dump(&inner, root, &mut sink)
                .await
                .expect("dumped");
            let all = inner.0.disk.borrow().files();
            for path in all {
                offline::dump(&inner, &path, &mut sink)
                    .await
                    .expect("dumped");
            }
            lines
        })
        .expect("it ends");
    let valid = lines.iter().filter(|line| line.ends_with(" valid"));
    assert_eq!(valid.count(), 120);
    assert!(
        !lines
            .iter()
            .any(|line| line.contains("INVALID") || line.contains("not verify"))
    );
}

#[test]
fn a_flipped_bit_in_a_segment_is_never_served_and_harms_nobody_else() {
    let sound = filled(60);
    let path = file_of(&sound, 0, "00000000000000000000.log");
    let len = sound.contents(&path).expect("it is there").len();
    for at in (0..len).step_by(997) {
        let mut disk = sound.clone();
        disk.corrupt(&path, at);
        let found = findings(disk.clone());
        assert!(
            found.iter().any(|finding| finding.file == path),
            "byte {at}: {found:?}"
        );
        let (hurt, other, more) = with_open(disk, async |logs| {
            let hurt = logs.get(partition(0)).expect("there");
            let other = logs.get(partition(1)).expect("there");
            let more = hurt.append(batch(b"more"), 5).await;
            (
                read_what_goes(&hurt).await,
                read_what_goes(&other).await,
                more,
            )
        });
        assert_eq!(other, (60, 0));
        assert_eq!(more.expect("appends go on").base_offset, 60);
        assert!(hurt.1 > 0, "byte {at} was served");
        assert!(hurt.0 > 40, "byte {at}: only {} batches are left", hurt.0);
    }
}

#[test]
fn an_older_block_in_the_place_of_a_newer_one_is_not_served() {
    let disk = filled(60);
    let path = file_of(&disk, 0, "00000000000000000000.log");
    let donor = file_of(&disk, 1, "00000000000000000000.log");
    let foreign = disk.contents(&donor).expect("it is there").to_vec();
    // The sibling's batches: equal offsets, equal bytes but for nothing at all. They are equal, so the chain alone
    // cannot tell, and nothing is wrong with serving them; so shift them by one batch.
    let size = foreign.len() / (foreign.len() / 970);
    let mut stale = disk.clone();
    stale.overwrite(&path, size, &foreign[..3 * size]);
    let (good, refused) = with_open(stale, async |logs| {
        read_what_goes(&logs.get(partition(0)).expect("there")).await
    });
    assert!(refused > 0 && good < 60);
}

#[test]
fn what_does_not_verify_is_refused_even_if_no_digest_is_kept() {
    let mut disk = filled(60);
    let path = file_of(&disk, 0, "00000000000000000000.log");
    disk.corrupt(&path, 3_000);
    let forgetful = Options {
        digest_cache_bytes: 0,
        ..options()
    };
    let env = TestEnv::new(9, disk);
    let inner = env.clone();
    let (good, refused) = env
        .run(async move {
            let logs = open_one(&inner, forgetful).await;
            read_what_goes(&logs.get(partition(0)).expect("there")).await
        })
        .expect("it ends");
    assert!(good > 40 && refused > 0, "{good} and {refused}");
}

#[test]
fn a_damaged_digest_is_made_again() {
    let sound = filled(60);
    let path = file_of(&sound, 0, "00000000000000000000.digest");
    let len = sound.contents(&path).expect("it is there").len();
    for at in (0..len).step_by(13) {
        let mut disk = sound.clone();
        disk.corrupt(&path, at);
        let read = with_open(disk, async |logs| {
            read_what_goes(&logs.get(partition(0)).expect("there")).await
        });
        assert_eq!(read, (60, 0), "byte {at}");
    }
    let mut disk = sound;
    disk.remove_file_now(&path);
    let read = with_open(disk, async |logs| {
        read_what_goes(&logs.get(partition(0)).expect("there")).await
    });
    assert_eq!(read, (60, 0));
}

#[test]
fn kafkas_indexes_are_not_trusted() {
    let sound = filled(60);
    for suffix in [".index", ".timeindex"] {
        let path = file_of(&sound, 0, &format!("00000000000000000000{suffix}"));
        let len = sound.contents(&path).expect("it is there").len();
        for at in (0..len).step_by(5) {
            let mut disk = sound.clone();
            disk.corrupt(&path, at);
            assert!(!findings(disk.clone()).is_empty(), "byte {at}");
            let read = with_open(disk, async |logs| {
                let log = logs.get(partition(0)).expect("there");
                let first = log.offset_for_timestamp(1).await.expect("found");
                assert_eq!(first.map(|(_, offset, _)| offset), Some(0));
                read_what_goes(&log).await
            });
            assert_eq!(read, (60, 0));
        }
    }
}

fn open_error(disk: DiskWorld) -> Option<OpenError> {
    let env = TestEnv::new(4, disk);
    let inner = env.clone();
    env.run(async move { open(&inner, Path::new(DIRECTORY), options(), 1).await.err() })
        .expect("it ends")
}

#[test]
fn damage_in_the_journal_is_told_from_a_torn_tail() {
    let env = new_env(6);
    let inner = env.clone();
    env.run(async move {
        // Nothing goes to segments: all of it is in the journal.
        let options = Options {
            flush_bytes: 1 << 20,
            ..options()
        };
        let logs = open_one(&inner, options).await;
        let log = logs.create(partition(0), config()).await.expect("created");
        for at in 0..6 {
            log.append(batch(&[at; 900]), 5).await.expect("appended");
        }
    })
    .expect("it ends");
    let disk = env.kill();
    let path = PathBuf::from("/data/journal/0000.journal");
    let journal = disk.contents(&path).expect("it is there");
    let groups: Vec<usize> = (0..journal.len())
        .step_by(4096)
        .filter(|at| journal[*at..].starts_with(b"TAFGROUP"))
        .collect();
    assert!(groups.len() >= 7);
    for (number, at) in groups.iter().enumerate() {
        // The first group says only that the log exists, in 104 bytes; zeros that fill it up mean nothing.
        let places: &[usize] = if number == 0 {
            &[3, 20, 36, 90]
        } else {
            &[3, 20, 36, 700]
        };
        for within in places {
            let mut disk = disk.clone();
            disk.corrupt(&path, at + within);
            let error = open_error(disk);
            if number + 1 < groups.len() {
                assert!(
                    matches!(&error, Some(OpenError::Damaged { offset, .. }) if *offset == *at as u64),
                    "group {number}: {error:?}"
                );
            } else {
                // Nothing follows it: for all that can be known it was never acknowledged.
                assert_eq!(error, None);
            }
        }
    }
}

#[test]
fn after_a_clean_stop_any_shortfall_is_damage() {
    let sound = filled(10);
    for slot in [0, 1] {
        let path = PathBuf::from(format!("/data/checkpoint/{slot}"));
        let mut disk = sound.clone();
        disk.corrupt(&path, 60);
        let newest = open_error(disk).is_some();
        let other = PathBuf::from(format!("/data/checkpoint/{}", 1 - slot));
        let mut disk = sound.clone();
        disk.corrupt(&other, 60);
        assert_ne!(newest, open_error(disk).is_some());
    }
    let mut disk = sound.clone();
    for path in ["/data/checkpoint/0", "/data/checkpoint/1"] {
        disk.corrupt(Path::new(path), 60);
    }
    assert!(matches!(open_error(disk), Some(OpenError::Damaged { .. })));
}

#[test]
fn a_directory_of_somebody_else_or_of_another_version_is_left_alone() {
    let mut disk = DiskWorld::new();
    disk.create_directory(Path::new(DIRECTORY)).expect("made");
    disk.add_file(Path::new("/data/photo.jpg"), b"not ours");
    let before = disk.files();
    let error = open_error(disk.clone());
    assert!(
        matches!(error, Some(OpenError::OtherProgram { .. })),
        "{error:?}"
    );
    assert_eq!(disk.files(), before);

    let mut disk = filled(1);
    let meta = Path::new("/data/taffrail.meta");
    for slot in [0, 4096] {
        disk.overwrite(meta, slot + 8, &2u32.to_le_bytes());
    }
    // A version that no checksum stands for is damage.
    let error = open_error(disk.clone());
    assert!(
        matches!(&error, Some(OpenError::Damaged { file, .. }) if file == meta),
        "{error:?}"
    );
    for slot in [0, 4096] {
        let written = disk.contents(meta).expect("it is there");
        let checksum = crc64(&written[slot..][..120]).to_le_bytes();
        disk.overwrite(meta, slot + 120, &checksum);
    }
    let before = disk.contents(meta).expect("it is there").to_vec();
    let error = open_error(disk.clone());
    assert_eq!(
        error,
        Some(OpenError::OtherVersion {
            path: DIRECTORY.into(),
            found: 2,
            supported: 1
        })
    );
    assert_eq!(disk.contents(meta), Some(&before[..]));

    let mut disk = DiskWorld::new();
    disk.create_directory(Path::new(DIRECTORY)).expect("made");
    disk.create_directory(Path::new("/data/lost+found"))
        .expect("made");
    assert_eq!(open_error(disk), None);
}

#[test]
fn one_of_two_meta_slots_suffices() {
    let sound = filled(1);
    for at in [0, 30, 4096, 4126] {
        let mut disk = sound.clone();
        disk.corrupt(Path::new("/data/taffrail.meta"), at);
        let error = open_error(disk);
        // The newer slot says that the stop was clean. Without it the start is an unclean one, which is no harm.
        assert_eq!(error, None, "byte {at}");
    }
}

#[test]
fn after_a_clean_stop_segments_hold_everything_and_nothing_else() {
    let disk = filled(60);
    for number in 0..2 {
        let part = format!("-{number}.");
        let mut next = 0;
        for path in disk.files() {
            let name = path.to_string_lossy();
            if !name.contains(&part) || !name.ends_with(".log") {
                continue;
            }
            let bytes = disk.contents(&path).expect("it is there");
            for found in taffrail_record::batch::Batches::new(bytes) {
                let (header, batch) = found.expect("whole batches and nothing else");
                assert_eq!(header.base_offset, next);
                taffrail_record::batch::verify_crc(batch).expect("valid");
                next = header.next_offset();
            }
        }
        assert_eq!(next, 60);
    }
}

#[test]
fn a_time_index_has_an_offset_index_beside_it_be_it_empty() {
    for seed in 0..20 {
        let env = new_env(seed);
        let inner = env.clone();
        env.run(async move {
            let logs = open_one(&inner, options()).await;
            let log = logs.create(partition(0), config()).await.expect("created");
            log.append(batch(b"short"), 5).await.expect("appended");
            logs.shutdown().await.expect("shut down");
        })
        .expect("it ends");
        let mut disk = env.cut_power();
        assert_eq!(findings(disk.clone()), []);
        assert_ne!(
            disk.contents(&file_of(&disk, 0, ".timeindex")),
            Some(&[][..])
        );
        let index = file_of(&disk, 0, ".index");
        assert_eq!(disk.contents(&index), Some(&[][..]));
        disk.remove_file_now(&index);
        let found = findings(disk);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].file, index);
    }
}

/// A directory that was stopped cleanly, started again and written to, and then killed; with what `taffrail.meta` said
/// when it was stopped.
fn written_after_a_clean_stop() -> (DiskWorld, Vec<u8>) {
    let disk = filled(10);
    let meta = disk
        .contents(Path::new(META))
        .expect("it is there")
        .to_vec();
    let env = TestEnv::new(9, disk);
    let inner = env.clone();
    env.run(async move {
        // Nothing goes to segments, so there is no newer checkpoint.
        let options = Options {
            flush_bytes: 1 << 20,
            ..options()
        };
        let logs = open_one(&inner, options).await;
        let log = logs.get(partition(0)).expect("there");
        for at in 0..6 {
            log.append(batch(&[at; 900]), 5).await.expect("appended");
        }
    })
    .expect("it ends");
    (env.kill(), meta)
}

const META: &str = "/data/taffrail.meta";

/// How many batches partition 0 serves, if the directory can be opened; and whether the stop before counts as clean.
fn opened(disk: DiskWorld) -> Result<(usize, bool), OpenError> {
    let env = TestEnv::new(9, disk);
    let inner = env.clone();
    env.run(async move {
        let mut opened = open(&inner, Path::new(DIRECTORY), options(), 1).await?;
        let logs = crate::Logs::new(&inner, opened.shards.remove(0));
        let read = read_what_goes(&logs.get(partition(0)).expect("there")).await;
        assert_eq!(read.1, 0, "something was refused");
        Ok((read.0, opened.identity.clean))
    })
    .expect("it ends")
}

#[test]
fn the_mark_of_a_clean_stop_that_comes_back_hides_nothing() {
    let (mut disk, clean) = written_after_a_clean_stop();
    assert_eq!(opened(disk.clone()), Ok((16, false)));
    disk.overwrite(Path::new(META), 0, &clean);
    assert_eq!(opened(disk), Ok((16, false)));
}

#[test]
fn one_slot_suffices_after_a_kill_too() {
    let (sound, _) = written_after_a_clean_stop();
    for at in [30, 4096 + 30] {
        let mut disk = sound.clone();
        disk.corrupt(Path::new(META), at);
        assert_eq!(opened(disk), Ok((16, false)), "byte {at}");
        let mut disk = sound.clone();
        disk.unreadable.insert((META.into(), at / 512));
        assert_eq!(opened(disk), Ok((16, false)), "byte {at}");
    }
    let mut disk = sound;
    disk.unreadable.extend([(META.into(), 0), (META.into(), 8)]);
    assert!(matches!(opened(disk), Err(OpenError::Disk(_))));
}

#[test]
fn a_file_that_says_that_nothing_was_written_is_not_believed_beside_groups() {
    let env = new_env(5);
    let (inner, (began, seen)) = (env.clone(), futures_channel::oneshot::channel());
    env.run(async move {
        let lock = crate::open::take(&inner, Path::new(DIRECTORY))
            .await
            .expect("taken");
        let first = crate::meta::Meta {
            counter: 0,
            directory_id: [3; 16],
            cluster_id: [4; 16],
            start_number: 0,
            clean: None,
            complete: false,
            journal_file_bytes: 64 << 10,
            journal_files: 4,
        };
        let directory = Path::new(DIRECTORY);
        crate::meta::create(&inner, directory, &lock, &first)
            .await
            .expect("made");
        let meta = inner
            .0
            .disk
            .borrow()
            .contents(Path::new(META))
            .expect("there")
            .to_vec();
        began.send(meta).expect("somebody waits");
        drop(lock);
        let logs = open_one(&inner, options()).await;
        let log = logs.create(partition(0), config()).await.expect("created");
        log.append(batch(b"one"), 5).await.expect("appended");
    })
    .expect("it ends");
    let mut disk = env.kill();
    let first = futures_util::FutureExt::now_or_never(seen)
        .expect("sent")
        .expect("sent");
    disk.overwrite(Path::new(META), 0, &first);
    let error = open_error(disk);
    assert!(
        matches!(error, Some(OpenError::Damaged { .. })),
        "{error:?}"
    );
}

/// A directory whose journal files have all had several lives, and the first blocks of those files at some time before.
fn recycled() -> (DiskWorld, Vec<(PathBuf, Vec<u8>)>) {
    let env = new_env(6);
    let inner = env.clone();
    let before = env
        .run(async move {
            let logs = open_one(&inner, options()).await;
            let log = logs.create(partition(0), config()).await.expect("created");
            let mut before = Vec::new();
            for at in 0..400 {
                log.append(batch(&[at as u8; 900]), 5)
                    .await
                    .expect("appended");
                if at == 200 {
                    let disk = inner.0.disk.borrow();
                    let journal =
                        |path: &&PathBuf| path.extension().is_some_and(|e| e == "journal");
                    let files = disk.files();
                    before = files
                        .iter()
                        .filter(journal)
                        .map(|path| {
                            (
                                path.clone(),
                                disk.contents(path).expect("there")[..4096].to_vec(),
                            )
                        })
                        .collect();
                }
            }
            before
        })
        .expect("it ends");
    (env.kill(), before)
}

#[test]
fn an_old_header_over_new_groups_hides_nothing() {
    let (sound, before) = recycled();
    assert_eq!(opened(sound.clone()), Ok((400, false)));
    let mut refused = 0;
    for (path, old) in &before {
        if sound.contents(path).expect("there")[..4096] == old[..] {
            continue;
        }
        for copy in [0, 2048] {
            let mut disk = sound.clone();
            disk.overwrite(path, copy, &old[copy..copy + 2048]);
            assert_eq!(opened(disk), Ok((400, false)), "{}", path.display());
        }
        let mut disk = sound.clone();
        disk.overwrite(path, 0, old);
        match opened(disk) {
            Ok(found) => assert_eq!(found, (400, false), "{}", path.display()),
            Err(OpenError::Damaged { .. }) => refused += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(refused > 0, "no file was in use");
}

#[test]
fn a_read_that_lies_once_is_asked_again() {
    let (sound, _) = recycled();
    let mut told = 0;
    for path in sound.files() {
        let len = sound.contents(&path).expect("it is there").len();
        for at in (0..len).step_by(if len > 8192 { 5003 } else { 211 }) {
            let mut disk = sound.clone();
            disk.lie(&path, at);
            assert_eq!(
                opened(disk),
                Ok((400, false)),
                "{} byte {at}",
                path.display()
            );
            told += 1;
        }
    }
    assert!(told > 100);
}

#[test]
fn a_segment_without_a_digest_is_read_once_more_before_it_is_called_corrupt() {
    let sound = filled(60);
    let path = file_of(&sound, 0, "00000000000000000000.log");
    let digest = file_of(&sound, 0, "00000000000000000000.digest");
    let len = sound.contents(&path).expect("it is there").len();
    for at in (0..len).step_by(97) {
        let mut disk = sound.clone();
        disk.corrupt(&digest, 20);
        disk.lie(&path, at);
        assert_eq!(opened(disk), opened(sound.clone()), "byte {at}");
    }
}

#[test]
fn what_lies_before_damage_is_served_however_much_is_asked_for() {
    let sound = filled(60);
    let path = file_of(&sound, 0, "00000000000000000000.log");
    let mut disk = sound.clone();
    disk.corrupt(&path, 10_000);
    let unreadable = {
        let mut disk = sound.clone();
        disk.unreadable.insert((path, 10_000 / 512));
        disk
    };
    for disk in [disk, unreadable] {
        let (served, refused) = with_open(disk, async |logs| {
            let log = logs.get(partition(0)).expect("there");
            let (mut served, mut refused) = (Vec::new(), 0);
            for offset in 0..60 {
                match log.read(offset, 1 << 20, true).await {
                    Ok(read) => served.push((offset, read.next_offset)),
                    Err(ReadError::Corrupt { .. } | ReadError::Disk(_)) => refused += 1,
                    Err(error) => panic!("{error}"),
                }
            }
            (served, refused)
        });
        // One interval of the digest, two or three batches, is all that cannot be had.
        assert!((1..=3).contains(&refused), "{refused} offsets refused");
        assert!(served.iter().all(|(offset, next)| next > offset));
    }
}

#[test]
fn an_unreadable_digest_is_made_again() {
    let mut disk = filled(60);
    let path = file_of(&disk, 0, "00000000000000000000.digest");
    disk.unreadable.insert((path, 0));
    let read = with_open(disk, async |logs| {
        read_what_goes(&logs.get(partition(0)).expect("there")).await
    });
    assert_eq!(read, (60, 0));
}

#[test]
fn what_cannot_be_read_is_found_and_the_rest_is_looked_at() {
    let sound = filled(60);
    for suffix in ["00000000000000000000.log", ".digest", ".index"] {
        let path = file_of(&sound, 0, suffix);
        let mut disk = sound.clone();
        disk.unreadable.insert((path.clone(), 0));
        let other = file_of(&sound, 1, "00000000000000000000.log");
        disk.corrupt(&other, 10_000);
        let found = findings(disk);
        assert!(found.iter().any(|finding| finding.file == path), "{suffix}");
        assert!(
            found.iter().any(|finding| finding.file == other),
            "{suffix}"
        );
    }
}

#[test]
fn the_directory_of_a_log_that_nothing_knows_is_named_and_damages_nothing() {
    let env = TestEnv::new(3, filled(60));
    let inner = env.clone();
    let stray = Path::new(DIRECTORY).join("partitions/09090909090909090909090909090909-0.77");
    let made = stray.clone();
    let verified = env.run(async move {
        inner.create_directory(&made).await.expect("made");
        let mut report = |finding| panic!("{finding}");
        let verified = offline::verify(&inner, Path::new(DIRECTORY), &mut report).await;
        verified.expect("it can be read")
    });
    let verified = verified.expect("it ends");
    assert_eq!(verified.unexplained, [stray]);
    assert!(verified.logs > 0);
}
