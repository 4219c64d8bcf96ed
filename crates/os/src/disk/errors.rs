//! From the system's error numbers to kinds that a caller can act on.

use rustix::io::Errno;
use std::path::Path;
use taffrail_env::disk::{DiskError, DiskErrorKind, DiskOperation};

/// The error for a system call that answered `errno`.
pub(crate) fn error(operation: DiskOperation, path: &Path, errno: Errno) -> DiskError {
    DiskError {
        kind: kind(operation, errno),
        operation,
        path: path.to_owned(),
        system: std::io::Error::from(errno).to_string(),
    }
}

/// The error for an operation on a handle that failed before.
pub(super) fn dead(operation: DiskOperation, path: &Path) -> DiskError {
    DiskError {
        kind: DiskErrorKind::Dead,
        operation,
        path: path.to_owned(),
        system: "an earlier operation on this file failed".to_owned(),
    }
}

fn kind(operation: DiskOperation, errno: Errno) -> DiskErrorKind {
    match errno {
        Errno::NOENT => DiskErrorKind::NotFound,
        // Some file systems say so of a directory that is not empty.
        Errno::EXIST if operation == DiskOperation::RemoveDirectory => DiskErrorKind::NotEmpty,
        Errno::EXIST => DiskErrorKind::AlreadyExists,
        Errno::NOTEMPTY => DiskErrorKind::NotEmpty,
        Errno::ACCESS | Errno::PERM | Errno::ROFS => DiskErrorKind::PermissionDenied,
        // A write through a handle that was opened for reading.
        Errno::BADF => DiskErrorKind::PermissionDenied,
        Errno::ISDIR | Errno::NOTDIR => DiskErrorKind::WrongKind,
        Errno::NOSPC | Errno::DQUOT => DiskErrorKind::NoSpace,
        Errno::WOULDBLOCK if operation == DiskOperation::Lock => DiskErrorKind::Locked,
        _ => DiskErrorKind::Io,
    }
}
