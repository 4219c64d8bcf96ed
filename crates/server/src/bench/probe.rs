//! The disk's side: one file, written once with zeros, then overwritten and synced a mebibyte at a time.

use super::LoadError;
use bytes::Bytes;
use std::path::{Path, PathBuf};
use std::time::Duration;
use taffrail_env::{Disk, Env, File, OpenMode};

/// Bytes of one write and its sync: what a full journal group has.
const WRITE_BYTES: usize = 1 << 20;
/// Bytes of the file; overwritten round and round, as a journal is.
const FILE_BYTES: u64 = 128 << 20;

/// A probe file, ready.
pub struct Probe<E: Env> {
    path: PathBuf,
    file: <E as Disk>::File,
}

impl<E: Env> Probe<E> {
    pub async fn prepare(env: &E, directory: &Path) -> Result<Probe<E>, LoadError> {
        let path = directory.join("taffrail-bench-probe");
        let file = env.open(&path, OpenMode::CreateOrOpen).await?;
        file.write_zeros(0, FILE_BYTES).await?;
        file.sync().await?;
        Ok(Probe { path, file })
    }

    /// Megabytes a second.
    pub async fn run(&self, env: &E, duration: Duration) -> Result<f64, LoadError> {
        let mut contents = vec![0; WRITE_BYTES];
        env.fill("bench probe", &mut contents);
        let contents = Bytes::from(contents);
        let start = env.now();
        let (mut written, mut offset) = (0_u64, 0);
        while env.now() - start < duration {
            self.file.write_at(offset, vec![contents.clone()]).await?;
            self.file.sync().await?;
            written += WRITE_BYTES as u64;
            offset = (offset + WRITE_BYTES as u64) % FILE_BYTES;
        }
        Ok(written as f64 / (env.now() - start).as_secs_f64() / 1e6)
    }

    pub async fn remove(self, env: &E) -> Result<(), LoadError> {
        Ok(env.remove_file(&self.path).await?)
    }
}
