//! What survives the end of a process, and of the power.
//!
//! Each case is a module of two halves. Where the contract allows several outcomes the second half accepts exactly
//! those.

use super::Ground;
use super::files::{contents, create, read, write};
use crate::Env;
use crate::disk::{Directory, DiskErrorKind, File, OpenMode};
use bytes::Bytes;
use std::path::Path;

/// Several sectors, and not a whole number of them.
fn pattern(salt: u8) -> Bytes {
    (0..5_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8 ^ salt)
        .collect::<Vec<u8>>()
        .into()
}

async fn create_synced<E: Env>(env: &E, path: &Path, contents: Bytes) -> E::File {
    let file = create(env, path).await;
    write(&file, 0, contents).await;
    file.sync().await.expect("a sync");
    file
}

async fn sync_directory<E: Env>(env: &E, path: &Path) {
    let directory = env.open_directory(path).await.expect("a directory");
    directory.sync().await.expect("a directory's sync");
}

/// What is found under a name, or `None` if there is no such name.
async fn found<E: Env>(env: &E, path: &Path) -> Option<Vec<u8>> {
    match env.open(path, OpenMode::Read).await {
        Ok(file) => Some(contents(&file).await),
        Err(error) => {
            assert_eq!(error.kind, DiskErrorKind::NotFound, "{error}");
            None
        }
    }
}

pub(super) mod synced_contents_and_length_survive {
    use super::*;

    pub async fn before<E: Env>(env: E, ground: Ground) {
        let path = ground.directory.join("file");
        let file = create_synced(&env, &path, pattern(1)).await;
        sync_directory(&env, &ground.directory).await;
        // Once more, over and beyond what is there, with the name already durable.
        write(&file, 2_000, pattern(2)).await;
        file.sync().await.expect("a sync");
    }

    pub async fn after<E: Env>(env: E, ground: Ground) {
        let found = found(&env, &ground.directory.join("file")).await;
        let mut expected = pattern(1)[..2_000].to_vec();
        expected.extend_from_slice(&pattern(2));
        assert!(found.expect("the file") == expected);
    }
}

pub(super) mod a_sync_covers_what_other_handles_wrote {
    use super::*;

    pub async fn before<E: Env>(env: E, ground: Ground) {
        let path = ground.directory.join("file");
        let writer = create(&env, &path).await;
        write(&writer, 0, pattern(1)).await;
        let other = env.open(&path, OpenMode::ReadWrite).await.expect("again");
        other.sync().await.expect("a sync");
        sync_directory(&env, &ground.directory).await;
    }

    pub async fn after<E: Env>(env: E, ground: Ground) {
        let found = found(&env, &ground.directory.join("file")).await;
        assert!(found.expect("the file") == pattern(1));
    }
}

pub(super) mod files_synced_together_survive {
    use super::*;

    const FILES: u8 = 5;

    pub async fn before<E: Env>(env: E, ground: Ground) {
        let mut files = Vec::new();
        for number in 0..FILES {
            let path = ground.directory.join(number.to_string());
            let file = create(&env, &path).await;
            // Not awaited: the sync comes after it all the same.
            drop(file.write_at(0, vec![pattern(number)]));
            files.push(file);
        }
        for answer in env.sync_many(files).await {
            answer.expect("a sync");
        }
        sync_directory(&env, &ground.directory).await;
    }

    pub async fn after<E: Env>(env: E, ground: Ground) {
        for number in 0..FILES {
            let found = found(&env, &ground.directory.join(number.to_string())).await;
            assert!(found.expect("the file") == pattern(number), "{number}");
        }
    }
}

pub(super) mod a_synced_prefix_survives_unsynced_appends {
    use super::*;

    pub async fn before<E: Env>(env: E, ground: Ground) {
        let path = ground.directory.join("file");
        let file = create_synced(&env, &path, pattern(1)).await;
        sync_directory(&env, &ground.directory).await;
        let end = pattern(1).len() as u64;
        // The first of these begins in the middle of the last synced sector.
        for number in 0..4 {
            write(&file, end + 5_000 * number, pattern(2)).await;
        }
    }

    pub async fn after<E: Env>(env: E, ground: Ground) {
        let found = found(&env, &ground.directory.join("file")).await;
        let found = found.expect("the file");
        assert!(found.len() >= pattern(1).len());
        assert!(found.len() <= pattern(1).len() + 4 * 5_000);
        assert!(found.starts_with(&pattern(1)));
    }
}

pub(super) mod a_synced_truncation_stays {
    use super::*;

    pub async fn before<E: Env>(env: E, ground: Ground) {
        let path = ground.directory.join("file");
        let file = create_synced(&env, &path, pattern(1)).await;
        sync_directory(&env, &ground.directory).await;
        file.truncate(1_234).await.expect("a cut");
        file.truncate(3_000).await.expect("an extension");
        file.sync().await.expect("a sync");
    }

    pub async fn after<E: Env>(env: E, ground: Ground) {
        let found = found(&env, &ground.directory.join("file")).await;
        let mut expected = pattern(1)[..1_234].to_vec();
        expected.resize(3_000, 0);
        assert!(found.expect("the file") == expected);
    }
}

pub(super) mod synced_zeros_stay {
    use super::*;

    pub async fn before<E: Env>(env: E, ground: Ground) {
        let path = ground.directory.join("file");
        let file = create_synced(&env, &path, pattern(1)).await;
        sync_directory(&env, &ground.directory).await;
        file.reserve(0, 100_000).await.expect("room");
        file.write_zeros(1_000, 9_000).await.expect("zeros");
        file.sync().await.expect("a sync");
        // What lies in written room is safe without another change of length.
        write(&file, 6_000, pattern(2).slice(..1_000)).await;
        file.sync().await.expect("a sync");
    }

    pub async fn after<E: Env>(env: E, ground: Ground) {
        let found = found(&env, &ground.directory.join("file")).await;
        let mut expected = pattern(1)[..1_000].to_vec();
        expected.resize(10_000, 0);
        expected[6_000..7_000].copy_from_slice(&pattern(2)[..1_000]);
        assert!(found.expect("the file") == expected);
    }
}

pub(super) mod a_name_without_directory_sync_leads_to_synced_contents_or_nowhere {
    use super::*;

    pub async fn before<E: Env>(env: E, ground: Ground) {
        create_synced(&env, &ground.directory.join("known"), pattern(1)).await;
        sync_directory(&env, &ground.directory).await;
        create_synced(&env, &ground.directory.join("unknown"), pattern(2)).await;
    }

    pub async fn after<E: Env>(env: E, ground: Ground) {
        let known = found(&env, &ground.directory.join("known")).await;
        assert!(known.expect("the synced name") == pattern(1));
        if let Some(unknown) = found(&env, &ground.directory.join("unknown")).await {
            assert!(unknown == pattern(2));
        }
    }
}

pub(super) mod a_synced_rename_stays {
    use super::*;

    pub async fn before<E: Env>(env: E, ground: Ground) {
        let (from, to) = (ground.directory.join("from"), ground.directory.join("to"));
        create_synced(&env, &to, pattern(1)).await;
        sync_directory(&env, &ground.directory).await;
        create_synced(&env, &from, pattern(2)).await;
        env.rename(&from, &to).await.expect("a rename");
        sync_directory(&env, &ground.directory).await;
    }

    pub async fn after<E: Env>(env: E, ground: Ground) {
        let to = found(&env, &ground.directory.join("to")).await;
        assert!(to.expect("the new file") == pattern(2));
        assert_eq!(found(&env, &ground.directory.join("from")).await, None);
        assert_eq!(env.list(&ground.directory).await.expect("a list").len(), 1);
    }
}

pub(super) mod an_unsynced_rename_shows_the_old_file_or_the_new {
    use super::*;

    pub async fn before<E: Env>(env: E, ground: Ground) {
        let (from, to) = (ground.directory.join("from"), ground.directory.join("to"));
        create_synced(&env, &to, pattern(1)).await;
        create_synced(&env, &from, pattern(2)).await;
        sync_directory(&env, &ground.directory).await;
        env.rename(&from, &to).await.expect("a rename");
    }

    pub async fn after<E: Env>(env: E, ground: Ground) {
        let to = found(&env, &ground.directory.join("to")).await;
        let to = to.expect("one of the two");
        assert!(to == pattern(1) || to == pattern(2));
        let from = found(&env, &ground.directory.join("from")).await;
        match from {
            Some(from) => assert!(from == pattern(2)),
            None => assert!(to == pattern(2)),
        }
    }
}

pub(super) mod a_synced_removal_stays {
    use super::*;

    pub async fn before<E: Env>(env: E, ground: Ground) {
        for name in ["gone", "stays"] {
            create_synced(&env, &ground.directory.join(name), pattern(1)).await;
        }
        let inner = ground.directory.join("inner");
        env.create_directory(&inner).await.expect("a directory");
        sync_directory(&env, &ground.directory).await;
        let gone = ground.directory.join("gone");
        env.remove_file(&gone).await.expect("a removal");
        env.remove_directory(&inner).await.expect("a removal");
        sync_directory(&env, &ground.directory).await;
    }

    pub async fn after<E: Env>(env: E, ground: Ground) {
        let entries = env.list(&ground.directory).await.expect("a list");
        let names: Vec<_> = entries.iter().map(|entry| &entry.name[..]).collect();
        assert_eq!(names, ["stays"]);
    }
}

pub(super) mod a_synced_directory_and_its_files_survive {
    use super::*;

    pub async fn before<E: Env>(env: E, ground: Ground) {
        let inner = ground.directory.join("inner");
        env.create_directory(&inner).await.expect("a directory");
        create_synced(&env, &inner.join("file"), pattern(1)).await;
        sync_directory(&env, &inner).await;
        sync_directory(&env, &ground.directory).await;
    }

    pub async fn after<E: Env>(env: E, ground: Ground) {
        let path = ground.directory.join("inner").join("file");
        let file = env.open(&path, OpenMode::ReadWrite).await.expect("a file");
        assert!(contents(&file).await == pattern(1));
        write(&file, 0, "writable").await;
        assert_eq!(read(&file, 0, 8).await, b"writable");
    }
}

pub(super) mod a_lock_dies_with_its_process {
    use super::*;

    pub async fn before<E: Env>(env: E, ground: Ground) {
        let directory = env.open_directory(&ground.directory).await;
        let directory = directory.expect("a directory");
        directory.lock().await.expect("the lock");
        // Held for as long as the process lives.
        env.spawn(async move {
            std::future::pending::<()>().await;
            drop(directory);
        });
        super::super::wait::yield_now().await;
    }

    pub async fn after<E: Env>(env: E, ground: Ground) {
        let directory = env.open_directory(&ground.directory).await;
        let directory = directory.expect("a directory");
        directory.lock().await.expect("the lock is free");
    }
}
