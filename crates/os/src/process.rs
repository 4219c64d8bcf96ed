//! What a program asks of the system before its shards run, and how it ends.

use crate::disk::error;
use crate::panics;
use rustix::fs::{self, Mode, OFlags};
use rustix::io::{Errno, read, retry_on_intr};
use rustix::process::{Resource, getrlimit, setrlimit};
use std::path::Path;
use taffrail_env::disk::{DiskOperation, DiskResult};

/// How much of a small file is read at a time.
const READ_BYTES: usize = 1 << 14;

/// From now on a panic on any thread ends the process with exit code 101 after one line on stderr, the future given to
/// [`crate::run`] included. For programs, not for tests.
pub fn exit_on_any_panic() {
    panics::fatal_anywhere();
}

/// Ends the process. Nothing more is run, written or synced.
pub fn exit(code: u8) -> ! {
    std::process::exit(code.into())
}

/// The command line without the program's name. Arguments that are not UTF-8 keep what can be read of them.
pub fn arguments() -> Vec<String> {
    std::env::args_os()
        .skip(1)
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect()
}

/// An environment variable, if it is set and UTF-8.
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// How many threads can run at the same time.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Allows as many open files and connections as the system lets this process have, and says how many.
pub fn raise_descriptor_limit() -> u64 {
    let mut limit = getrlimit(Resource::Nofile);
    let current = limit.current;
    limit.current = limit.maximum;
    match setrlimit(Resource::Nofile, limit) {
        Ok(()) => limit.current.unwrap_or(u64::MAX),
        Err(_) => current.unwrap_or(u64::MAX),
    }
}

/// A small file such as a configuration, as a whole, by a blocking read. One of more than `bytes_max` bytes, or
/// that is not UTF-8, is an error.
pub fn read_text(path: &Path, bytes_max: usize) -> DiskResult<String> {
    let failed = |errno| error(DiskOperation::Read, path, errno);
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let file = retry_on_intr(|| fs::open(path, flags, Mode::empty()))
        .map_err(|errno| error(DiskOperation::Open, path, errno))?;
    let mut text = Vec::new();
    let mut buffer = [0; READ_BYTES];
    loop {
        match retry_on_intr(|| read(&file, &mut buffer)).map_err(failed)? {
            0 => break,
            some => text.extend_from_slice(&buffer[..some]),
        }
        if text.len() > bytes_max {
            return Err(failed(Errno::FBIG));
        }
    }
    String::from_utf8(text).map_err(|_| failed(Errno::ILSEQ))
}
