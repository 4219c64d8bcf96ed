//! `hashes`: the names of runs that are kept with their hashes, written or compared.

#![allow(
    clippy::disallowed_methods,
    reason = "a file of the tree, outside of every simulation"
)]

use crate::failure::{Failure, say};
use std::path::Path;
use taffrail_sim::hashes::{COMPILER, Hashes, KEPT, PATH};

/// True if they were written, or if every run is as it was.
pub fn run(write: bool) -> Result<bool, Failure> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let path = root.expect("sim/ has a parent").join(PATH);
    let of_file = |why: std::io::Error| Failure::of_file(Path::new(PATH), why);
    if write {
        if cfg!(debug_assertions) {
            let what = "hashes are written by an optimised build: `cargo sim hashes --write`";
            return Err(what.to_owned().into());
        }
        let hashes = Hashes::run()?;
        std::fs::write(&path, hashes.to_string()).map_err(of_file)?;
        say!("{PATH}: {} runs, {COMPILER}", hashes.names.len());
        return Ok(true);
    }
    let text = std::fs::read_to_string(&path).map_err(of_file)?;
    let kept = Hashes::parse(&text).map_err(|why| format!("{PATH}: {why}"))?;
    if !kept.is_of_this_compiler() {
        say!(
            "nothing compared: {PATH} is of {}, this is {COMPILER}",
            kept.compiler
        );
        return Ok(true);
    }
    let profiles = KEPT.iter().map(|(profile, _)| profile);
    let found: Vec<String> = profiles
        .flat_map(|profile| kept.differences(profile))
        .collect();
    for difference in &found {
        say!("{difference}");
    }
    say!("{} of {} runs differ", found.len(), kept.names.len());
    Ok(found.is_empty())
}
