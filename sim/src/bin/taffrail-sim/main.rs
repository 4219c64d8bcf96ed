//! `taffrail-sim`: runs seeds, replays names, finds where two runs part, lists faults, plants historic bugs.
//!
//! Standard output carries results, standard error messages. 0: all well; 1: a seed failed, a replay did not
//! come out as its name says, two runs differ, a planted bug was not found, or a file could not be read or written; 2: a wrong
//! option, or a file that says nothing of sense.

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};
use failure::Failure;
use std::ops::Range;
use std::process::ExitCode;
use taffrail_sim::memory::CountingAllocator;

mod cli;
mod diff;
mod failure;
mod hashes;
mod replay;
mod source;
mod totals;
mod zoo;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Taffrail's deterministic simulator.
#[derive(Parser)]
#[command(name = "taffrail-sim", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run seeds of a profile; stops at the first that fails, and prints its name.
    Run {
        /// Which profile.
        #[arg(long, default_value = taffrail_sim::profile::PROFILES[0].name)]
        profile: String,
        /// Seeds A..B, B left out.
        #[arg(long, default_value = "0..100", value_parser = cli::seeds)]
        seeds: Range<u64>,
        /// Simulations at once, at least 1; default: one per core.
        #[arg(long, allow_negative_numbers = true, value_parser = clap::value_parser!(u16).range(1..))]
        jobs: Option<u16>,
        /// One JSON object per seed, then the totals.
        #[arg(long)]
        json: bool,
    },
    /// Run one name again.
    Replay(replay::Replay),
    /// Find the first event in which two runs differ.
    Diff {
        /// profile@seed, a scenario file, or a file of `replay --checkpoints`, perhaps of another build.
        a: String,
        /// The same.
        b: String,
    },
    /// Compare the runs of fixtures/hashes.txt with what they were.
    Hashes {
        /// Write them anew.
        #[arg(long)]
        write: bool,
    },
    /// Find the fewest faults with which a failing run still breaks the same invariant; the result is a scenario.
    Shrink {
        /// profile@seed, or a scenario file.
        name: String,
        /// Where the scenario goes; standard output if left out.
        #[arg(long)]
        out: Option<std::path::PathBuf>,
        /// Runs to spend at the most.
        #[arg(long, default_value_t = 500)]
        runs: usize,
    },
    /// Run scenario files; each must come out as it expects.
    Scenario {
        #[arg(required = true)]
        files: Vec<std::path::PathBuf>,
    },
    /// Draw a run as one HTML page that needs no network.
    View {
        /// profile@seed, or a scenario file.
        name: String,
        /// Where the page goes.
        #[arg(long)]
        out: std::path::PathBuf,
    },
    /// Plant historic bugs in a copy of the tree, one at a time; each must be found, by the invariant that it breaks.
    Zoo {
        /// Which; all, if none is named.
        ids: Vec<String>,
        /// One JSON object per bug, then the totals.
        #[arg(long)]
        json: bool,
    },
    /// The catalogue of faults, with how often a run of seeds injected and met each.
    Faults {
        #[arg(long, default_value = taffrail_sim::profile::PROFILES[0].name)]
        profile: String,
        #[arg(long, default_value = "0..100", value_parser = cli::seeds)]
        seeds: Range<u64>,
        #[arg(long)]
        json: bool,
    },
}

fn main() -> ExitCode {
    let done = match Arguments::try_parse() {
        Ok(arguments) => dispatch(arguments.command),
        Err(error) => explain(&error),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(wrong) => {
            eprintln!("taffrail-sim: {wrong}");
            ExitCode::from(wrong.code)
        }
    }
}

/// Help is no error.
fn explain(error: &clap::Error) -> Result<bool, Failure> {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // Whoever closed standard output does not want to read it.
            drop(error.print());
            Ok(true)
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand => {
            Err("a command is missing; --help lists them".to_owned().into())
        }
        _ => Err(failure::usage_line(error).into()),
    }
}

fn dispatch(command: Command) -> Result<bool, Failure> {
    match command {
        Command::Run {
            profile,
            seeds,
            jobs,
            json,
        } => cli::run(&profile, seeds, jobs, json),
        Command::Replay(asked) => replay::run(&asked),
        Command::Diff { a, b } => diff::run(&a, &b),
        Command::Hashes { write } => hashes::run(write),
        Command::Shrink { name, out, runs } => cli::shrink(&name, out.as_deref(), runs),
        Command::Scenario { files } => cli::scenario(&files),
        Command::View { name, out } => cli::view(&name, &out),
        Command::Zoo { ids, json } => zoo::run(&ids, json),
        Command::Faults {
            profile,
            seeds,
            json,
        } => cli::faults(&profile, seeds, json),
    }
}
