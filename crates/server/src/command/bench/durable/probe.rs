//! The disk's side: a mebibyte, which is what a full journal group has, written and synced (fdatasync), again and again. Once
//! behind the end of a file that grows, once over a file that was written before, as a recycled journal is.

use crate::failure::Failure;
use bytes::Bytes;
use std::path::{Path, PathBuf};
use std::time::Duration;
use taffrail_env::{Clock, Disk, Entropy, File, OpenMode};
use taffrail_os::{Os, OsFile};

/// Bytes of one write and its sync.
const WRITE_BYTES: u64 = 1 << 20;
/// Bytes of the file that is overwritten round and round; as long as a whole journal.
const OVERWRITTEN_BYTES: u64 = 128 << 20;
/// What was truncated is given back to the disk in the meantime.
const SETTLE: Duration = Duration::from_millis(500);

/// Megabytes a second of both kinds.
#[derive(Clone, Copy)]
pub struct Probed {
    pub append: f64,
    pub overwrite: f64,
}

impl Probed {
    pub fn mean(&self, other: &Probed) -> Probed {
        Probed {
            append: f64::midpoint(self.append, other.append),
            overwrite: f64::midpoint(self.overwrite, other.overwrite),
        }
    }
}

/// The probe's files.
pub struct Probe {
    appended: (PathBuf, OsFile),
    overwritten: (PathBuf, OsFile),
    contents: Bytes,
}

impl Probe {
    pub async fn prepare(os: &Os, directory: &Path) -> Result<Probe, Failure> {
        let mut contents = vec![0; WRITE_BYTES as usize];
        os.fill("bench probe", &mut contents);
        let open = async |name: &str| {
            let path = directory.join(name);
            let file = os.open(&path, OpenMode::CreateNew).await?;
            Ok::<_, Failure>((path, file))
        };
        let probe = Probe {
            appended: open("taffrail-probe-append").await?,
            overwritten: open("taffrail-probe-overwrite").await?,
            contents: Bytes::from(contents),
        };
        let file = &probe.overwritten.1;
        file.write_zeros(0, OVERWRITTEN_BYTES).await?;
        file.sync().await?;
        Ok(probe)
    }

    /// One kind for `duration`, then the other.
    pub async fn run(&self, os: &Os, duration: Duration) -> Result<Probed, Failure> {
        let file = &self.appended.1;
        let append = self.write(os, duration, file, u64::MAX).await?;
        file.truncate(0).await?;
        file.sync().await?;
        os.sleep(SETTLE).await;
        let file = &self.overwritten.1;
        let overwrite = self.write(os, duration, file, OVERWRITTEN_BYTES).await?;
        Ok(Probed { append, overwrite })
    }

    async fn write(
        &self,
        os: &Os,
        duration: Duration,
        file: &OsFile,
        wrap: u64,
    ) -> Result<f64, Failure> {
        let begun = os.now();
        let mut written = 0;
        while os.now().saturating_since(begun) < duration {
            let write = file.write_at(written % wrap, vec![self.contents.clone()]);
            let sync = file.sync();
            write.await?;
            sync.await?;
            written += WRITE_BYTES;
        }
        let took = os.now().saturating_since(begun).as_secs_f64();
        Ok(written as f64 / took / 1e6)
    }

    pub async fn remove(self, os: &Os) -> Result<(), Failure> {
        for (path, _) in [self.appended, self.overwritten] {
            os.remove_file(&path).await?;
        }
        Ok(())
    }
}
