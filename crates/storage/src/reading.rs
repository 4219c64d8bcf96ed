//! Reads at a start. What fails or does not verify is read once more: it may have been the reading.

use bytes::BytesMut;
use taffrail_env::File;
use taffrail_env::disk::{DiskResult, read_full};

/// [`read_full`], and once more if it fails.
pub async fn read_twice<F: File>(file: &F, offset: u64, len: usize) -> DiskResult<BytesMut> {
    match read_full(file, offset, len).await {
        Ok(bytes) => Ok(bytes),
        Err(_) => read_full(file, offset, len).await,
    }
}

/// What `decode` makes of `len` bytes at `offset`; asked once more if it makes nothing of them.
pub async fn read_verified<F: File, T>(
    file: &F,
    offset: u64,
    len: usize,
    decode: impl Fn(BytesMut) -> Option<T>,
) -> DiskResult<Option<T>> {
    if let Ok(bytes) = read_full(file, offset, len).await
        && let Some(found) = decode(bytes)
    {
        return Ok(Some(found));
    }
    Ok(decode(read_full(file, offset, len).await?))
}
