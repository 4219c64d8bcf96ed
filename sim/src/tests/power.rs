//! What a power cut may take, and what it may not.

use super::rough;
use crate::{Death, FaultKind, NodeOptions, Rates, SimEnv, Simulation, Trap};
use bytes::Bytes;
use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;
use taffrail_env::Clock;
use taffrail_env::disk::{Directory, Disk, DiskErrorKind, DiskResult, File, OpenMode, read_full};

#[derive(Clone, Copy, PartialEq)]
enum Care {
    Full,
    NoDirectorySync,
    NoFileSync,
}

const BLOCKS: u64 = 40;

fn block(number: u64) -> Bytes {
    Bytes::from(vec![number as u8 + 1; 700])
}

/// Makes a file and appends blocks to it; says after each how many it may count on.
async fn append(env: &SimEnv, care: Care, acknowledged: &Cell<u64>) -> DiskResult<()> {
    let path = Path::new("/data/log");
    let file = env.open(path, OpenMode::CreateOrOpen).await?;
    if care != Care::NoDirectorySync {
        env.open_directory(Path::new("/data")).await?.sync().await?;
    }
    for number in 0..BLOCKS {
        let offset = number * 700;
        file.write_at(offset, vec![block(number)]).await?;
        if care != Care::NoFileSync {
            file.sync().await?;
        }
        acknowledged.set(number + 1);
    }
    Ok(())
}

/// Whether everything that was acknowledged before a power cut at some disk operation is there afterwards.
fn survives(seed: u64, care: Care, rates: Rates) -> bool {
    Simulation::new("power", seed)
        .with_rates(rates)
        .run(move |world| async move {
            let a = world.add_node(NodeOptions::named("a"));
            let acknowledged = Rc::new(Cell::new(0));
            let told = acknowledged.clone();
            world.start(a, move |env| async move {
                append(&env, care, &told)
                    .await
                    .expect("no error is injected");
            });
            let operations = 1 + seed % (2 * BLOCKS);
            world.set_trap(a, Trap::DiskOperations(operations), Death::PowerCut);
            world.exited(a).await;
            // If the program was done before the trap sprang, the power goes now.
            world.power_cut(&[a]);
            let whole = Rc::new(Cell::new(false));
            let (told, wanted) = (whole.clone(), acknowledged.get());
            world.start(a, move |env| async move {
                told.set(has_blocks(&env, wanted).await);
            });
            world.exited(a).await;
            whole.get()
        })
        .expect_ok()
}

async fn has_blocks(env: &SimEnv, wanted: u64) -> bool {
    if wanted == 0 {
        return true;
    }
    let path = Path::new("/data/log");
    let Ok(file) = env.open(path, OpenMode::Read).await else {
        return false;
    };
    let contents = read_full(&file, 0, (BLOCKS * 700) as usize)
        .await
        .expect("no error is injected");
    (0..wanted).all(|number| {
        let at = number as usize * 700;
        contents.get(at..at + 700) == Some(&block(number)[..])
    })
}

#[test]
fn a_program_that_syncs_files_and_names_loses_nothing() {
    for seed in 0..400 {
        assert!(survives(seed, Care::Full, rough()), "seed {seed}");
    }
}

#[test]
fn a_program_that_forgets_the_directory_or_the_file_loses_in_some_seeds() {
    for care in [Care::NoDirectorySync, Care::NoFileSync] {
        let lost = (0..100)
            .filter(|seed| !survives(*seed, care, rough()))
            .count();
        assert!((20..95).contains(&lost), "{lost} of 100");
    }
}

/// Replaces a file by writing beside it and renaming; `synced` tells whether the new contents are synced first.
async fn replace(env: &SimEnv, synced: bool) -> DiskResult<()> {
    let (name, beside) = (Path::new("/data/state"), Path::new("/data/state.new"));
    let directory = env.open_directory(Path::new("/data")).await?;
    for version in 1..=20u8 {
        let file = env.open(beside, OpenMode::CreateOrOpen).await?;
        file.truncate(0).await?;
        file.write_at(0, vec![Bytes::from(vec![version; 3000])])
            .await?;
        if synced {
            file.sync().await?;
        }
        env.rename(beside, name).await?;
        directory.sync().await?;
    }
    Ok(())
}

fn is_atomic(seed: u64, synced: bool) -> bool {
    Simulation::new("power", seed)
        .run(move |world| async move {
            let a = world.add_node(NodeOptions::named("a"));
            world.start(a, move |env| async move {
                replace(&env, synced).await.expect("no error is injected");
            });
            world.set_trap(a, Trap::DiskOperations(1 + seed % 120), Death::PowerCut);
            world.exited(a).await;
            world.power_cut(&[a]);
            match world.disk(a).read("/data/state") {
                None => true,
                Some(state) => state.len() == 3000 && state.iter().all(|byte| *byte == state[0]),
            }
        })
        .expect_ok()
}

#[test]
fn a_rename_over_synced_contents_is_atomic_and_over_unsynced_ones_is_not() {
    assert!((0..300).all(|seed| is_atomic(seed, true)));
    let broken = (0..300).filter(|seed| !is_atomic(*seed, false)).count();
    assert!(broken > 30, "{broken} of 300");
}

#[test]
fn a_killed_process_loses_nothing_that_was_complete() {
    for seed in 0..100 {
        Simulation::new("power", seed)
            .with_rates(rough())
            .run(move |world| async move {
                let a = world.add_node(NodeOptions::named("a"));
                let acknowledged = Rc::new(Cell::new(0));
                let told = acknowledged.clone();
                world.start(a, move |env| async move {
                    let done = append(&env, Care::NoFileSync, &told).await;
                    done.expect("no error is injected");
                });
                world.set_trap(a, Trap::Polls(1 + seed), Death::Kill);
                world.exited(a).await;
                let wanted = acknowledged.get();
                world.start(a, move |env| async move {
                    assert!(has_blocks(&env, wanted).await);
                });
                world.exited(a).await;
            })
            .expect_ok();
    }
}

#[test]
fn a_failed_sync_is_told_once_and_kills_the_handle() {
    let rates = Rates::none().with(FaultKind::DiskSyncFailed, crate::decision::MILLION);
    Simulation::new("power", 1)
        .with_rates(rates)
        .run(|world| async move {
            let a = world.add_node(NodeOptions::named("a"));
            let healed = world.clone();
            world.start(a, move |env| async move {
                let path = Path::new("/data/file");
                let file = env.open(path, OpenMode::CreateNew).await.expect("new");
                let text = Bytes::from_static(b"text");
                file.write_at(0, vec![text.clone()]).await.expect("written");
                let error = file.sync().await.expect_err("it fails");
                assert_eq!(error.kind, DiskErrorKind::Io);
                healed.faults().set_rates(Rates::none());
                let again = file.sync().await.expect_err("nobody may retry");
                assert_eq!(again.kind, DiskErrorKind::Dead);
                let more = file.write_at(4, vec![text]).await.expect_err("dead");
                assert_eq!(more.kind, DiskErrorKind::Dead);
                let read = read_full(&file, 0, 10).await.expect("reads go on");
                assert_eq!(&read[..], b"text");
            });
            world.exited(a).await;
        })
        .expect_ok();
}

#[test]
fn a_failing_disk_fails_every_new_handle_until_it_is_healed() {
    Simulation::new("power", 1)
        .run(|world| async move {
            let a = world.add_node(NodeOptions::named("a"));
            let outside = world.clone();
            world.start(a, move |env| async move {
                let attempt = async |name: &str| {
                    let file = env.open(Path::new(name), OpenMode::CreateNew).await;
                    let file = file.expect("new");
                    let text = Bytes::from_static(b"text");
                    let written = file.write_at(0, vec![text]).await.is_ok();
                    (written, file.sync().await.is_ok())
                };
                let disk = outside.disk(a);
                disk.set_failing(Some(FaultKind::DiskSyncFailed));
                assert_eq!(attempt("/data/one").await, (true, false));
                assert_eq!(attempt("/data/two").await, (true, false));
                let directory = env.open_directory(Path::new("/data")).await.expect("there");
                let synced = directory.sync().await;
                assert_eq!(synced.expect_err("names too").kind, DiskErrorKind::Io);
                disk.set_failing(Some(FaultKind::DiskWriteError));
                assert_eq!(attempt("/data/three").await, (false, false));
                disk.heal();
                assert_eq!(attempt("/data/four").await, (true, true));
                directory.sync().await.expect("the disk is well");
            });
            world.exited(a).await;
        })
        .expect_ok();
}

#[test]
fn what_a_failed_sync_lost_is_not_saved_by_a_later_one() {
    let rates = Rates::none().with(FaultKind::DiskSyncFailed, crate::decision::MILLION);
    let mut lost = 0;
    for seed in 0..60 {
        let rates = rates.clone();
        let whole = Simulation::new("power", seed)
            .with_rates(rates)
            .run(|world| async move {
                let a = world.add_node(NodeOptions::named("a"));
                let healed = world.clone();
                world.start(a, move |env| async move {
                    let path = Path::new("/data/file");
                    let file = env.open(path, OpenMode::CreateNew).await.expect("new");
                    let text = Bytes::from(vec![7; 2048]);
                    file.write_at(0, vec![text]).await.expect("written");
                    file.sync().await.expect_err("it fails");
                    healed.faults().set_rates(Rates::none());
                    let again = env.open(path, OpenMode::ReadWrite).await.expect("there");
                    again.sync().await.expect("a sync of what looks clean");
                    let directory = env.open_directory(Path::new("/data")).await;
                    directory.expect("there").sync().await.expect("synced");
                    env.sleep(Duration::from_millis(1)).await;
                });
                world.exited(a).await;
                assert_eq!(world.disk(a).read("/data/file"), Some(vec![7; 2048]));
                world.power_cut(&[a]);
                world.disk(a).read("/data/file") == Some(vec![7; 2048])
            })
            .expect_ok();
        lost += usize::from(!whole);
    }
    assert!(lost > 20, "{lost} of 60");
}

#[test]
fn a_full_disk_refuses_writes_but_not_into_reserved_space() {
    Simulation::new("power", 2)
        .run(|world| async move {
            let a = world.add_node(NodeOptions::named("a"));
            world.disk(a).set_capacity(64 << 10);
            let disk = world.clone();
            world.start(a, move |env| async move {
                let reserved = Path::new("/data/reserved");
                let reserved = env.open(reserved, OpenMode::CreateNew).await.expect("new");
                reserved.reserve(0, 32 << 10).await.expect("room");
                let greedy = Path::new("/data/greedy");
                let file = env.open(greedy, OpenMode::CreateNew).await.expect("new");
                let error = file.reserve(0, 40 << 10).await.expect_err("no room");
                assert_eq!(error.kind, DiskErrorKind::NoSpace);
                let large = Bytes::from(vec![1; 40 << 10]);
                let error = file.write_at(0, vec![large]).await.expect_err("no room");
                assert_eq!(error.kind, DiskErrorKind::NoSpace);
                let dead = file.sync().await.expect_err("the handle is dead");
                assert_eq!(dead.kind, DiskErrorKind::Dead);
                let full = Bytes::from(vec![2; 32 << 10]);
                reserved.write_at(0, vec![full]).await.expect("reserved");
                assert_eq!(disk.disk(env.node_id()).available(), 0);
                drop(file);
                env.remove_file(greedy).await.expect("removed");
                assert_eq!(disk.disk(env.node_id()).available(), 32 << 10);
            });
            world.exited(a).await;
        })
        .expect_ok();
}

#[test]
fn the_atlas_decides_whether_stored_data_may_rot() {
    for allowed in [false, true] {
        Simulation::new("power", 3)
            .run(move |world| async move {
                let a = world.add_node(NodeOptions::named("a"));
                world.start(a, |env| async move {
                    let path = Path::new("/data/file");
                    let file = env.open(path, OpenMode::CreateNew).await.expect("new");
                    let text = Bytes::from(vec![0; 100]);
                    file.write_at(0, vec![text]).await.expect("written");
                    file.sync().await.expect("synced");
                });
                world.exited(a).await;
                world
                    .faults()
                    .set_atlas(move |target| allowed && target.offset == 50);
                assert_eq!(world.disk(a).rot("/data/file", 50, 1, false), allowed);
                assert!(!world.disk(a).rot("/data/file", 51, 1, false));
                let contents = world.disk(a).read("/data/file").expect("there");
                assert_eq!(contents[50], if allowed { 2 } else { 0 });
            })
            .expect_ok();
    }
}
