//! The contract of `Env` on real files, sockets, clocks and threads: each clause a test.
//!
//! Between the halves of a durability case everything that a process has is dropped; what the kernel holds stays.

// A test of the crate that meets the machine, on a directory of its own.
#![allow(clippy::disallowed_methods)]

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use taffrail_env::conformance::{self, Ground};
use taffrail_os::Os;

/// Linux lets a socket's buffers grow to 4 MiB for what is sent, and in its newest versions to 32 MiB for
/// what is received.
const MORE_THAN_FITS: usize = 64 << 20;

/// A directory that is removed in the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Scratch {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path =
            std::env::temp_dir().join(format!("taffrail-os-{}-{number}", std::process::id()));
        std::fs::create_dir(&path).expect("a new directory");
        Scratch(path)
    }

    fn ground(&self) -> Ground {
        Ground {
            directory: self.0.clone(),
            host: "127.0.0.1".to_owned(),
            more_than_fits: MORE_THAN_FITS,
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).expect("the directory is there");
    }
}

fn run_case(name: &str) {
    let scratch = Scratch::new();
    let cases = conformance::cases::<Os>();
    let case = cases.iter().find(|case| case.name == name);
    let case = case.expect("a case of that name");
    taffrail_os::run(|os| (case.run)(os, scratch.ground()));
}

fn run_durability(name: &str) {
    let scratch = Scratch::new();
    let cases = conformance::durability::<Os>();
    let case = cases.iter().find(|case| case.name == name);
    let case = case.expect("a case of that name");
    taffrail_os::run(|os| (case.before)(os, scratch.ground()));
    taffrail_os::run(|os| (case.after)(os, scratch.ground()));
}

macro_rules! tests {
    ($($module:ident { $($case:ident)* })*) => {
        $(mod $module {
            $(#[test]
            fn $case() {
                super::run_case(stringify!($case));
            })*
        })*
    };
}

macro_rules! durability_tests {
    ($($case:ident)*) => {
        mod durability {
            $(#[test]
            fn $case() {
                super::run_durability(stringify!($case));
            })*
        }
    };
}

taffrail_env::conformance_cases!(tests);
taffrail_env::durability_cases!(durability_tests);
