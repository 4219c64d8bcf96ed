//! What directories do while the power is on.

use super::Ground;
use super::files::{contents, create, write};
use crate::Env;
use crate::disk::{
    Directory, DiskErrorKind, DiskOperation, DiskResult, Entry, EntryKind, OpenMode,
};

fn kind_of<T>(answer: DiskResult<T>) -> Option<DiskErrorKind> {
    answer.err().map(|error| error.kind)
}

pub(super) async fn a_list_is_sorted_and_says_what_each_entry_is<E: Env>(env: E, ground: Ground) {
    let directory = &ground.directory;
    assert_eq!(env.list(directory).await, Ok(Vec::new()));
    for name in ["b", "a", "10", "9", "\u{fc}"] {
        let file = create(&env, &directory.join(name)).await;
        write(&file, 0, name.repeat(5)).await;
    }
    let inner = directory.join("c");
    env.create_directory(&inner).await.expect("a directory");
    create(&env, &inner.join("elsewhere")).await;
    let entry = |name: &str, kind, len| Entry {
        name: name.to_owned(),
        kind,
        len,
    };
    let expected = vec![
        entry("10", EntryKind::File, 10),
        entry("9", EntryKind::File, 5),
        entry("a", EntryKind::File, 5),
        entry("b", EntryKind::File, 5),
        entry("c", EntryKind::Directory, 0),
        entry("\u{fc}", EntryKind::File, 10),
    ];
    assert_eq!(env.list(directory).await, Ok(expected));
    let missing = env.list(&directory.join("missing")).await;
    assert_eq!(kind_of(missing), Some(DiskErrorKind::NotFound));
    let file = env.list(&directory.join("a")).await;
    assert_eq!(kind_of(file), Some(DiskErrorKind::WrongKind));
}

pub(super) async fn a_rename_replaces_a_file<E: Env>(env: E, ground: Ground) {
    let (from, to) = (ground.directory.join("from"), ground.directory.join("to"));
    let old = create(&env, &to).await;
    write(&old, 0, "old").await;
    let new = create(&env, &from).await;
    write(&new, 0, "new").await;
    env.rename(&from, &to).await.expect("a rename");
    let found = env.open(&to, OpenMode::Read).await.expect("the new file");
    assert_eq!(contents(&found).await, b"new");
    write(&new, 3, "er").await;
    assert_eq!(contents(&found).await, b"newer");
    assert_eq!(contents(&old).await, b"old");
    let gone = env.rename(&from, &to).await;
    assert_eq!(kind_of(gone), Some(DiskErrorKind::NotFound));
    let names = env.list(&ground.directory).await.expect("a list");
    assert_eq!(names.len(), 1);
}

pub(super) async fn a_directory_moves_with_what_is_in_it<E: Env>(env: E, ground: Ground) {
    let (from, to) = (ground.directory.join("from"), ground.directory.join("to"));
    env.create_directory(&from).await.expect("a directory");
    let file = create(&env, &from.join("file")).await;
    env.rename(&from, &to).await.expect("a rename");
    write(&file, 0, "moved").await;
    let found = env.open(&to.join("file"), OpenMode::Read).await;
    assert_eq!(contents(&found.expect("the file")).await, b"moved");
    let gone = env.open_directory(&from).await;
    assert_eq!(kind_of(gone), Some(DiskErrorKind::NotFound));
}

pub(super) async fn directories_are_made_one_level_at_a_time_and_removed_when_empty<E: Env>(
    env: E,
    ground: Ground,
) {
    let outer = ground.directory.join("outer");
    let inner = outer.join("inner");
    let too_deep = env.create_directory(&inner).await;
    assert_eq!(kind_of(too_deep), Some(DiskErrorKind::NotFound));
    env.create_directory(&outer).await.expect("the outer");
    env.create_directory(&inner).await.expect("the inner");
    let again = env.create_directory(&outer).await.expect_err("it is there");
    assert_eq!(again.kind, DiskErrorKind::AlreadyExists);
    assert_eq!(again.operation, DiskOperation::CreateDirectory);
    assert_eq!(again.path, outer);
    let full = env.remove_directory(&outer).await;
    assert_eq!(kind_of(full), Some(DiskErrorKind::NotEmpty));
    env.remove_directory(&inner).await.expect("an empty one");
    env.remove_directory(&outer).await.expect("empty now");
    let gone = env.remove_directory(&outer).await;
    assert_eq!(kind_of(gone), Some(DiskErrorKind::NotFound));
    let gone = env.remove_file(&outer).await;
    assert_eq!(kind_of(gone), Some(DiskErrorKind::NotFound));
}

pub(super) async fn a_directory_is_not_a_file<E: Env>(env: E, ground: Ground) {
    let (directory, file) = (
        ground.directory.join("directory"),
        ground.directory.join("file"),
    );
    env.create_directory(&directory).await.expect("a directory");
    create(&env, &file).await;
    let wrong = Some(DiskErrorKind::WrongKind);
    for mode in [OpenMode::Read, OpenMode::ReadWrite, OpenMode::CreateOrOpen] {
        assert_eq!(kind_of(env.open(&directory, mode).await), wrong, "{mode:?}");
    }
    assert_eq!(kind_of(env.open_directory(&file).await), wrong);
    assert_eq!(kind_of(env.remove_file(&directory).await), wrong);
    assert_eq!(kind_of(env.remove_directory(&file).await), wrong);
    assert_eq!(kind_of(env.rename(&file, &directory).await), wrong);
    assert_eq!(kind_of(env.rename(&directory, &file).await), wrong);
    assert_eq!(env.list(&ground.directory).await.expect("both").len(), 2);
}

pub(super) async fn a_lock_is_exclusive_until_the_last_clone_is_dropped<E: Env>(
    env: E,
    ground: Ground,
) {
    let path = &ground.directory;
    let holder = env.open_directory(path).await.expect("a directory");
    holder.lock().await.expect("the lock");
    let other = env.open_directory(path).await.expect("the same");
    let refused = other.lock().await.expect_err("it is held");
    assert_eq!(refused.kind, DiskErrorKind::Locked);
    assert_eq!(refused.operation, DiskOperation::Lock);
    let clone = holder.clone();
    drop(holder);
    assert_eq!(kind_of(other.lock().await), Some(DiskErrorKind::Locked));
    clone.sync().await.expect("a sync does not end it");
    drop(clone);
    other.lock().await.expect("it is free");
}

pub(super) async fn space_is_that_of_the_file_system<E: Env>(env: E, ground: Ground) {
    let space = env.space(&ground.directory).await.expect("the room");
    assert!(
        space.available > 0 && space.available <= space.total,
        "{space:?}"
    );
    let missing = env.space(&ground.directory.join("missing")).await;
    assert_eq!(kind_of(missing), Some(DiskErrorKind::NotFound));
}
