//! What a file does while the power is on.

use super::Ground;
use super::wait::eventually;
use crate::Env;
use crate::disk::{DiskErrorKind, DiskOperation, File, OpenMode, read_full};
use bytes::{Bytes, BytesMut};
use std::path::Path;

/// More than a disk's sector, a page, or what one system call takes in pieces.
const MANY: usize = 3000;

pub(super) async fn create<E: Env>(env: &E, path: &Path) -> E::File {
    env.open(path, OpenMode::CreateNew)
        .await
        .expect("a new file")
}

pub(super) async fn write<F: File>(file: &F, offset: u64, contents: impl Into<Bytes>) {
    file.write_at(offset, vec![contents.into()])
        .await
        .expect("a write");
}

/// The whole file.
pub(super) async fn contents<F: File>(file: &F) -> Vec<u8> {
    let len = file.len().await.expect("a length");
    read(file, 0, usize::try_from(len).expect("a small file")).await
}

pub(super) async fn read<F: File>(file: &F, offset: u64, len: usize) -> Vec<u8> {
    let read = read_full(file, offset, len).await;
    read.expect("a read").to_vec()
}

pub(super) async fn a_completed_write_is_seen_through_every_handle<E: Env>(env: E, ground: Ground) {
    let path = ground.directory.join("file");
    let writer = create(&env, &path).await;
    let reader = env
        .open(&path, OpenMode::Read)
        .await
        .expect("the same file");
    write(&writer, 0, "hello").await;
    assert_eq!(contents(&reader).await, b"hello");
    let other = env.open(&path, OpenMode::ReadWrite).await.expect("again");
    write(&other, 1, "ipp").await;
    assert_eq!(contents(&writer).await, b"hippo");
    assert_eq!(contents(&reader.clone()).await, b"hippo");
    assert_eq!(reader.path(), path);
}

pub(super) async fn operations_of_one_handle_take_effect_in_the_order_of_their_calls<E: Env>(
    env: E,
    ground: Ground,
) {
    let file = create(&env, &ground.directory.join("file")).await;
    let clone = file.clone();
    let bytes = |text: &'static str| vec![Bytes::from(text)];
    // None of these futures is polled before the last operation was called.
    let first = file.write_at(0, bytes("aaaaaaaa"));
    let second = clone.write_at(2, bytes("bb"));
    let early = file.read_at(0, 8, BytesMut::new());
    let cut = clone.truncate(5);
    let length = file.len();
    let zeros = file.write_zeros(1, 2);
    let sync = clone.sync();
    let late = file.read_at(0, 8, BytesMut::new());
    let last = clone.write_at(0, bytes("c"));
    last.await.expect("the last write");
    let (late, answer) = late.await;
    answer.expect("the late read");
    sync.await.expect("the sync");
    zeros.await.expect("the zeros");
    assert_eq!(length.await.expect("the length"), 5);
    cut.await.expect("the cut");
    let (early, answer) = early.await;
    answer.expect("the early read");
    second.await.expect("the second write");
    first.await.expect("the first write");
    assert!(b"aabbaaaa".starts_with(&early), "{early:?}");
    assert!(b"a\0\0ba".starts_with(&late), "{late:?}");
    assert_eq!(contents(&file).await, b"c\0\0ba");
}

pub(super) async fn an_operation_finishes_though_its_future_is_dropped<E: Env>(
    env: E,
    ground: Ground,
) {
    let file = create(&env, &ground.directory.join("file")).await;
    for number in 0..100_u8 {
        let piece = Bytes::from(vec![number]);
        drop(file.write_at(u64::from(number), vec![piece]));
    }
    drop(file.truncate(50));
    let expected: Vec<u8> = (0..50).collect();
    assert_eq!(contents(&file).await, expected);
    let made = ground.directory.join("made");
    drop(env.create_directory(&made));
    eventually(&env, "the directory is made", || async {
        env.open_directory(&made).await.ok()
    })
    .await;
}

pub(super) async fn what_was_called_before_a_handle_was_dropped_still_happens<E: Env>(
    env: E,
    ground: Ground,
) {
    let path = ground.directory.join("file");
    let file = create(&env, &path).await;
    drop(file.write_at(0, vec![Bytes::from("late")]));
    drop(file.write_at(4, vec![Bytes::from("r")]));
    drop(file);
    let again = env.open(&path, OpenMode::Read).await.expect("the file");
    eventually(&env, "the writes are done", || async {
        (contents(&again).await == b"later").then_some(())
    })
    .await;
}

pub(super) async fn pieces_are_written_one_after_the_other<E: Env>(env: E, ground: Ground) {
    let file = create(&env, &ground.directory.join("file")).await;
    let pieces: Vec<Bytes> = (0..MANY)
        .map(|number| Bytes::from(format!("{number},").repeat(number % 3)))
        .collect();
    let expected = pieces.concat();
    file.write_at(7, pieces).await.expect("many pieces");
    assert_eq!(read(&file, 7, expected.len() + 1).await, expected);
    file.write_at(3, Vec::new()).await.expect("no pieces");
    let empty = vec![Bytes::new(), Bytes::new()];
    file.write_at(1 << 20, empty).await.expect("empty pieces");
    let len = file.len().await.expect("a length");
    assert_eq!(len, 7 + expected.len() as u64);
}

pub(super) async fn a_large_write_reads_back<E: Env>(env: E, ground: Ground) {
    let file = create(&env, &ground.directory.join("file")).await;
    let large: Vec<u8> = (0..1_500_007_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let large = Bytes::from(large);
    let (head, tail) = (large.slice(..1_000_001), large.slice(1_000_001..));
    file.write_at(513, vec![head, tail])
        .await
        .expect("a large write");
    assert!(read(&file, 513, large.len() + 10).await == large);
    assert!(read(&file, 513 + 700_000, 9).await == large[700_000..700_009]);
}

pub(super) async fn a_read_is_short_only_at_the_end_of_the_file<E: Env>(env: E, ground: Ground) {
    let file = create(&env, &ground.directory.join("file")).await;
    write(&file, 0, "0123456789").await;
    let (buffer, answer) = file.read_at(8, 100, BytesMut::from("kept")).await;
    answer.expect("a read over the end");
    assert!(matches!(&buffer[..], b"kept8" | b"kept89"), "{buffer:?}");
    for (offset, len) in [(10, 5), (1 << 40, 5), (3, 0)] {
        let (buffer, answer) = file.read_at(offset, len, BytesMut::from("kept")).await;
        answer.expect("a read of nothing");
        assert_eq!(&buffer[..], b"kept", "{len} bytes at {offset}");
    }
    assert_eq!(read(&file, 4, 3).await, b"456");
    assert_eq!(read(&file, 4, 30).await, b"456789");
}

pub(super) async fn holes_read_as_zeros<E: Env>(env: E, ground: Ground) {
    let file = create(&env, &ground.directory.join("file")).await;
    write(&file, 10_000, "x").await;
    let mut expected = vec![0; 10_000];
    expected.push(b'x');
    assert!(contents(&file).await == expected);
}

pub(super) async fn truncation_cuts_and_extends_with_zeros<E: Env>(env: E, ground: Ground) {
    let file = create(&env, &ground.directory.join("file")).await;
    write(&file, 0, "secret").await;
    file.truncate(2).await.expect("a cut");
    assert_eq!(contents(&file).await, b"se");
    file.truncate(6).await.expect("an extension");
    assert_eq!(contents(&file).await, b"se\0\0\0\0");
    file.truncate(0).await.expect("a cut to nothing");
    write(&file, 3, "t").await;
    assert_eq!(contents(&file).await, b"\0\0\0t");
}

pub(super) async fn a_reservation_keeps_length_and_contents<E: Env>(env: E, ground: Ground) {
    let file = create(&env, &ground.directory.join("file")).await;
    write(&file, 0, "short").await;
    file.reserve(0, 100_000).await.expect("some room");
    file.reserve(3, 0).await.expect("no room at all");
    assert_eq!(contents(&file).await, b"short");
    write(&file, 99_999, "!").await;
    assert_eq!(read(&file, 0, 6).await, b"short\0");
    assert_eq!(file.len().await.expect("a length"), 100_000);
}

pub(super) async fn written_zeros_overwrite_and_extend<E: Env>(env: E, ground: Ground) {
    const LONG: usize = 2_100_000;
    let file = create(&env, &ground.directory.join("file")).await;
    write(&file, 0, vec![b'x'; 2_000_000]).await;
    file.write_zeros(1, 3).await.expect("a few zeros");
    file.write_zeros(7, LONG as u64).await.expect("many zeros");
    file.write_zeros(1 << 30, 0).await.expect("no zeros");
    let mut expected = vec![0; 7 + LONG];
    expected[0] = b'x';
    expected[4..7].fill(b'x');
    assert!(contents(&file).await == expected);
}

pub(super) async fn open_modes_say_what_must_be_there<E: Env>(env: E, ground: Ground) {
    let path = ground.directory.join("file");
    for mode in [OpenMode::Read, OpenMode::ReadWrite] {
        let missing = env.open(&path, mode).await.err().expect("nothing is there");
        assert_eq!(missing.kind, DiskErrorKind::NotFound, "{mode:?}: {missing}");
        assert_eq!(missing.operation, DiskOperation::Open);
        assert_eq!(missing.path, path);
        assert!(!missing.system.is_empty());
    }
    write(&create(&env, &path).await, 0, "kept").await;
    let present = env.open(&path, OpenMode::CreateNew).await.err();
    let present = present.expect("it is there already").kind;
    assert_eq!(present, DiskErrorKind::AlreadyExists);
    for mode in [OpenMode::CreateOrOpen, OpenMode::ReadWrite, OpenMode::Read] {
        let file = env.open(&path, mode).await.expect("it is there");
        assert_eq!(contents(&file).await, b"kept", "{mode:?}");
    }
    let made = ground.directory.join("made");
    let made = env.open(&made, OpenMode::CreateOrOpen).await;
    assert_eq!(contents(&made.expect("a new file")).await, b"");
    let nowhere = ground.directory.join("no-directory").join("file");
    let nowhere = env.open(&nowhere, OpenMode::CreateNew).await.err();
    assert_eq!(nowhere.expect("no parent").kind, DiskErrorKind::NotFound);
    let below = env
        .open(&path.join("below"), OpenMode::CreateNew)
        .await
        .err();
    assert_eq!(
        below.expect("a file as parent").kind,
        DiskErrorKind::WrongKind
    );
}

pub(super) async fn a_handle_dies_with_its_first_failed_write<E: Env>(env: E, ground: Ground) {
    let path = ground.directory.join("file");
    let writer = create(&env, &path).await;
    write(&writer, 0, "read").await;
    let reader = env.open(&path, OpenMode::Read).await.expect("to read");
    let clone = reader.clone();
    let bytes = || vec![Bytes::from("write")];
    let refused = reader.write_at(0, bytes());
    let queued = clone.sync();
    let refused = refused.await.expect_err("a write through a reader");
    assert_eq!(refused.kind, DiskErrorKind::PermissionDenied, "{refused}");
    assert_eq!(refused.operation, DiskOperation::Write);
    let later = [
        queued.await,
        reader.write_at(0, bytes()).await,
        clone.write_zeros(0, 1).await,
        reader.truncate(0).await,
        reader.reserve(0, 1).await,
        reader.len().await.map(|_| ()),
    ];
    for answer in later {
        assert_eq!(answer.expect_err("it is dead").kind, DiskErrorKind::Dead);
    }
    assert_eq!(read(&clone, 0, 4).await, b"read");
    write(&writer, 0, "alive").await;
    assert_eq!(read(&reader, 0, 5).await, b"alive");
}

pub(super) async fn a_removed_file_goes_on_working_while_open<E: Env>(env: E, ground: Ground) {
    let path = ground.directory.join("file");
    let file = create(&env, &path).await;
    write(&file, 0, "still").await;
    env.remove_file(&path).await.expect("a removal");
    write(&file, 5, " here").await;
    file.sync().await.expect("a sync");
    assert_eq!(contents(&file).await, b"still here");
    let gone = env.open(&path, OpenMode::Read).await.err();
    assert_eq!(gone.expect("no name").kind, DiskErrorKind::NotFound);
    let other = create(&env, &path).await;
    assert_eq!(contents(&other).await, b"");
    assert_eq!(contents(&file).await, b"still here");
}

pub(super) async fn sync_many_answers_for_each_file_in_order<E: Env>(env: E, ground: Ground) {
    let path = ground.directory.join("0");
    let mut files = vec![create(&env, &path).await];
    let dead = env.open(&path, OpenMode::Read).await.expect("to read");
    let refused = dead.truncate(0).await;
    refused.expect_err("a truncation through a reader");
    files.push(dead);
    for name in ["2", "3"] {
        let file = create(&env, &ground.directory.join(name)).await;
        drop(file.write_at(0, vec![Bytes::from("called before")]));
        files.push(file);
    }
    let answers = env.sync_many(files.clone()).await;
    let kinds: Vec<_> = answers
        .iter()
        .map(|answer| answer.as_ref().err().map(|error| error.kind))
        .collect();
    assert_eq!(kinds, [None, Some(DiskErrorKind::Dead), None, None]);
    assert_eq!(contents(&files[3]).await, b"called before");
    assert!(env.sync_many(Vec::new()).await.is_empty());
}
