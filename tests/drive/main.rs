//! A disk drive that can be told to lose power and to fail: one file in a file system of its own, to be attached as a loop
//! device and formatted.
//!
//! Speaks the kernel's FUSE protocol on its standard input, which must be `/dev/fuse`, opened for reading and writing and
//! mounted by whoever starts it. The file `disk` is the drive; a line written to the file `control` is a command, which
//! is done when the write returns; reading `control` tells what the last one did. `platter` says what the drive does.

// Stands in for hardware, so it is no part of the product and not written against the ground.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod control;
mod fuse;
mod platter;

use fuse::{Answer, CONTROL, DISK, Reader, Request};
use platter::Platter;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::ExitCode;

/// Numbers of the system's errors that are answered.
const ENOENT: i32 = 2;
const EIO: i32 = 5;
const EINVAL: i32 = 22;
const ENOSYS: i32 = 38;
const EOPNOTSUPP: i32 = 95;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, directory, size] = &arguments[..] else {
        eprintln!("usage: failing-drive DIRECTORY BYTES <>/dev/fuse");
        return ExitCode::from(2);
    };
    let Ok(size) = size.parse::<u64>() else {
        eprintln!("failing-drive: {size} is no number of bytes");
        return ExitCode::from(2);
    };
    match serve(Path::new(directory), size) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("failing-drive: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Answers requests until the file system is unmounted.
fn serve(directory: &Path, size: u64) -> std::io::Result<()> {
    let mut drive = Drive {
        platter: Platter::create(directory, size)?,
        said: String::new(),
    };
    let mut kernel = File::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    let mut buffer = vec![0; fuse::REQUEST_MAX];
    loop {
        let len = match kernel.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(len) => len,
            // Unmounted.
            Err(error) if error.raw_os_error() == Some(19) => return Ok(()),
            // A request was taken back before it was read.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let (id, request) = fuse::parse(Reader::new(&buffer[..len]))
            .ok_or_else(|| std::io::Error::other("a request that is too short"))?;
        let last = matches!(request, Request::Destroy);
        if let Some(answer) = drive.answer(request) {
            match kernel.write_all(&fuse::encode(id, answer)) {
                Ok(()) => {}
                // Nobody waits for it any more.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        if last {
            return Ok(());
        }
    }
}

struct Drive {
    platter: Platter,
    said: String,
}

impl Drive {
    fn answer(&mut self, request: Request<'_>) -> Option<Answer> {
        Some(match request {
            Request::Forgotten => return None,
            Request::Init { minor, flags } => Answer::Init { minor, flags },
            Request::Lookup { name: b"disk" } => Answer::Entry(DISK, self.platter.size()),
            Request::Lookup { name: b"control" } => Answer::Entry(CONTROL, 0),
            Request::Lookup { .. } => Answer::Error(ENOENT),
            Request::Attributes { node: DISK } => Answer::Attributes(DISK, self.platter.size()),
            Request::Attributes { node } => Answer::Attributes(node, 0),
            Request::Open => Answer::Opened,
            Request::Read { node, offset, len } => self.read(node, offset, len),
            Request::Write { node, offset, data } => self.write(node, offset, data),
            Request::Sync { node: DISK } => match self.platter.flush() {
                Ok(()) => Answer::Done,
                Err(_) => Answer::Error(EIO),
            },
            Request::Sync { .. } | Request::Closed | Request::Destroy => Answer::Done,
            Request::Statistics => Answer::Statistics,
            Request::Allocate => Answer::Error(EOPNOTSUPP),
            Request::Other => Answer::Error(ENOSYS),
        })
    }

    fn read(&mut self, node: u64, offset: u64, len: usize) -> Answer {
        if node == DISK {
            return match self.platter.read(offset, len) {
                Ok(data) => Answer::Data(data),
                Err(_) => Answer::Error(EIO),
            };
        }
        let said = self.said.as_bytes();
        let at = usize::try_from(offset).map_or(said.len(), |at| at.min(said.len()));
        let end = said.len().min(at + len);
        Answer::Data(said[at..end].to_vec())
    }

    fn write(&mut self, node: u64, offset: u64, data: &[u8]) -> Answer {
        if node == DISK {
            return match self.platter.write(offset, data) {
                Ok(()) => Answer::Written(data.len()),
                Err(_) => Answer::Error(EIO),
            };
        }
        let text = String::from_utf8_lossy(data);
        match text.parse().map(|command| self.platter.obey(command)) {
            Ok(Ok(said)) => {
                self.said = said + "\n";
                Answer::Written(data.len())
            }
            Ok(Err(_)) => Answer::Error(EIO),
            Err(control::NoCommand) => Answer::Error(EINVAL),
        }
    }
}
