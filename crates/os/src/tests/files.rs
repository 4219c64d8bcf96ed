//! Files on this machine's file systems.

use super::Scratch;
use crate::{Os, run};
use bytes::{Bytes, BytesMut};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use taffrail_env::disk::{Disk, DiskErrorKind, EntryKind, File, OpenMode};

async fn open(os: &Os, path: &Path, mode: OpenMode) -> crate::OsFile {
    os.open(path, mode).await.expect("a file")
}

#[test]
fn a_full_device_is_told_in_the_systems_words_and_kills_the_handle() {
    run(|os| async move {
        let full = open(&os, Path::new("/dev/full"), OpenMode::ReadWrite).await;
        let write = |len| full.write_at(0, vec![Bytes::from(vec![1; len])]);
        let (refused, queued) = (write(10), write(10));
        let refused = refused.await.expect_err("it is full");
        assert_eq!(refused.kind, DiskErrorKind::NoSpace);
        let line = "disk: write /dev/full: No space left on device (os error 28)";
        assert_eq!(refused.to_string(), line);
        let dead = queued.await.expect_err("it failed before");
        assert_eq!(dead.kind, DiskErrorKind::Dead);
        let (_, read) = full.read_at(0, 10, BytesMut::new()).await;
        read.expect("reads go on");
        let again = open(&os, Path::new("/dev/full"), OpenMode::ReadWrite).await;
        let zeros = again.write_zeros(0, 10).await.expect_err("still full");
        assert_eq!(zeros.kind, DiskErrorKind::NoSpace);
    });
}

#[test]
fn reserved_room_is_allocated_and_given_back_by_a_truncation() {
    const ROOM: u64 = 8 << 20;
    let scratch = Scratch::new();
    let path = scratch.path().join("file");
    let allocated = || std::fs::metadata(&path).expect("the file").blocks() * 512;
    run(|os| async move {
        let file = open(&os, &scratch.path().join("file"), OpenMode::CreateNew).await;
        let write = file.write_at(0, vec![Bytes::from("contents")]);
        write.await.expect("a write");
        file.reserve(0, ROOM).await.expect("some room");
        assert!(allocated() >= ROOM);
        let len = file.len().await.expect("a length");
        file.truncate(len).await.expect("a cut where it ends");
        assert!(allocated() < ROOM / 2);
        let absurd = file.reserve(0, 1 << 60).await;
        absurd.expect_err("no disk is so large");
        file.sync()
            .await
            .expect("a failed reservation kills nothing");
        drop(scratch);
    });
}

#[test]
fn a_list_follows_links_and_leaves_out_what_is_no_text() {
    let scratch = Scratch::new();
    let at = |name: &str| scratch.path().join(name);
    std::fs::create_dir(at("directory")).expect("a directory");
    std::fs::write(at("directory/inner"), "x").expect("a file");
    std::fs::write(at("file"), "four").expect("a file");
    std::fs::write(
        scratch.path().join(std::ffi::OsStr::from_bytes(b"\xff")),
        "",
    )
    .expect("a file");
    symlink("file", at("to-file")).expect("a link");
    symlink("directory", at("to-directory")).expect("a link");
    symlink("nowhere", at("to-nowhere")).expect("a link");
    symlink("to-itself", at("to-itself")).expect("a link");
    run(|os| {
        let path = scratch.path().to_owned();
        async move {
            let entries = os.list(&path).await.expect("a list");
            let seen: Vec<_> = entries
                .iter()
                .map(|entry| (&entry.name[..], entry.kind, entry.len))
                .collect();
            let expected = [
                ("directory", EntryKind::Directory, 0),
                ("file", EntryKind::File, 4),
                ("to-directory", EntryKind::Directory, 0),
                ("to-file", EntryKind::File, 4),
                ("to-itself", EntryKind::Other, 0),
                ("to-nowhere", EntryKind::Other, 0),
            ];
            assert_eq!(seen, expected);
            // A data directory may be a symbolic link.
            let inner = os.list(&path.join("to-directory")).await.expect("a list");
            assert_eq!(inner[0].name, "inner");
            os.open_directory(&path.join("to-directory"))
                .await
                .expect("a directory");
        }
    });
}

#[test]
fn the_descriptor_of_a_dropped_file_is_closed() {
    let scratch = Scratch::new();
    let path = scratch.path().join("file");
    let inode = run(|os| {
        let path = path.clone();
        async move {
            let file = open(&os, &path, OpenMode::CreateNew).await;
            drop(file.clone().write_zeros(0, 4096));
            std::fs::metadata(&path).expect("the file").ino()
        }
    });
    // The node has ended, so its I/O threads have done everything that was asked of them.
    let open_inodes = std::fs::read_dir("/proc/self/fd")
        .expect("descriptors")
        .filter_map(|entry| std::fs::metadata(entry.ok()?.path()).ok())
        .filter(|found| found.ino() == inode && found.len() == 4096);
    assert_eq!(open_inodes.count(), 0);
    assert_eq!(std::fs::metadata(&path).expect("the file").len(), 4096);
}

#[test]
fn what_was_begun_is_done_when_the_node_ends() {
    let scratch = Scratch::new();
    let path = scratch.path().join("file");
    run(|os| {
        let path = path.clone();
        async move {
            let file = open(&os, &path, OpenMode::CreateNew).await;
            for block in 0..500 {
                drop(file.write_zeros(block << 16, 1 << 16));
            }
        }
    });
    let len = std::fs::metadata(&path).expect("the file").len();
    assert_eq!(len, 500 << 16);
}
