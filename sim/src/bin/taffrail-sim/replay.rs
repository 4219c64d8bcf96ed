//! `replay`: one run again, by its name, or by decisions that were recorded; and what of it is written to files.

#![allow(
    clippy::disallowed_methods,
    reason = "files of the user's, outside of every simulation"
)]

use crate::cli::verdict;
use crate::failure::{Failure, Reserved, say};
use clap::Args;
use std::ops::Range;
use std::path::{Path, PathBuf};
use taffrail_sim::difference::Log;
use taffrail_sim::profile::Profile;
use taffrail_sim::scenario::Scenario;
use taffrail_sim::{Edits, Outcome, Recording, RunName};

#[derive(Args)]
pub struct Replay {
    /// profile@seed, or profile@seed#hash to have the hash compared.
    name: Option<String>,
    /// Print every event.
    #[arg(long)]
    events: bool,
    /// Write every decision of the run into this file, a scenario that needs no seed.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Run by the decisions of this file, and not by a seed.
    #[arg(long, value_name = "FILE", conflicts_with = "name")]
    decisions: Option<PathBuf>,
    /// Write the run's checkpoints into this file, for `diff`.
    #[arg(long, value_name = "FILE")]
    checkpoints: Option<PathBuf>,
    /// And these events A..B in full.
    #[arg(long, value_parser = crate::cli::seeds, requires = "checkpoints", conflicts_with = "events")]
    window: Option<Range<u64>>,
}

/// True if the run kept its promises and has the name's hash.
pub fn run(asked: &Replay) -> Result<bool, Failure> {
    let (wanted, recorded) = match (&asked.name, &asked.decisions) {
        (Some(name), _) => (run_name(name)?, None),
        (None, Some(path)) => {
            let text = std::fs::read_to_string(path);
            let text = text.map_err(|why| Failure::of_file(path, why))?;
            let recorded = Scenario::parse(&text).map_err(|why| at(path, why))?;
            (recorded.world.clone(), Some((path, recorded)))
        }
        (None, None) => {
            let what = "a name, profile@seed, is missing, or a file of decisions (--decisions)";
            return Err(what.to_owned().into());
        }
    };
    if asked.record.is_some() && asked.record == asked.checkpoints {
        let what = "--record and --checkpoints name the same file; each needs its own";
        return Err(what.to_owned().into());
    }
    let record = asked.record.as_deref().map(Reserved::open).transpose()?;
    let checkpoints = asked.checkpoints.as_deref();
    let checkpoints = checkpoints.map(Reserved::open).transpose()?;
    let edits = recorded
        .as_ref()
        .map(|(_, recorded)| recorded.edits.clone());
    let outcome = again(asked, &wanted, edits)?;
    if let Some((path, recorded)) = recorded {
        is_whole(path, &recorded, &outcome)?;
    }
    for event in outcome.trace.iter().filter(|_| asked.events) {
        say!("{event}");
    }
    if let Some(record) = record {
        record.write(&decisions(&outcome))?;
    }
    if let Some(checkpoints) = checkpoints {
        checkpoints.write(&Log::of(&outcome).to_string())?;
    }
    for (what, times) in &outcome.tally {
        say!("{times:>9} {what}");
    }
    say!("{}", outcome.name);
    say!("{}", verdict(&outcome));
    if wanted.hash.is_some() && wanted.hash != outcome.name.hash {
        eprintln!(
            "taffrail-sim: the hash is not that of {wanted}: another commit, lock file or compiler"
        );
        return Ok(false);
    }
    Ok(outcome.failure.is_none())
}

/// A name; a file is for other commands.
fn run_name(given: &str) -> Result<RunName, String> {
    RunName::parse(given).map_err(|why| match Path::new(given).is_file() {
        true => format!("{why}, but a file; `scenario FILE` runs it, and `replay --decisions FILE` one of `--record`"),
        false => why.to_string(),
    })
}

/// Every decision of the run came from the file, and it came out as the file says.
fn is_whole(path: &Path, recorded: &Scenario, outcome: &Outcome<()>) -> Result<(), Failure> {
    if outcome.free_draws > 0 {
        return Err(Failure::failed(at(
            path,
            format_args!(
                "{} draws of the run are not in it; `replay NAME --record FILE` writes all of them, and `scenario FILE` leaves the rest to the seed",
                outcome.free_draws
            ),
        )));
    }
    let verdict = recorded.judge(outcome);
    verdict.map_err(|why| Failure::failed(at(path, why)))
}

fn again(
    asked: &Replay,
    wanted: &RunName,
    decisions: Option<Edits>,
) -> Result<Outcome<()>, Failure> {
    let profile = Profile::named(&wanted.profile)?;
    let mut simulation = profile.simulation(wanted.seed);
    simulation.recording = match &asked.window {
        Some(window) => Recording::Window(window.start, window.end),
        None if asked.events => Recording::Full,
        None => Recording::Off,
    };
    simulation.record_decisions = asked.record.is_some();
    if let Some(edits) = decisions {
        // Any other seed would do: what the decisions do not say would show.
        simulation.seed = !wanted.seed;
        simulation.edits = edits;
    }
    let mut outcome = (profile.run)(simulation);
    outcome.name.seed = wanted.seed;
    Ok(outcome)
}

/// A scenario of all that was decided.
fn decisions(outcome: &Outcome<()>) -> String {
    let failure = outcome.failure.as_ref();
    let scenario = Scenario {
        world: outcome.name.clone(),
        edits: outcome.decisions.clone(),
        expected: failure.map(|failure| failure.invariant.clone()),
    };
    let text = scenario.to_string();
    let (_, rest) = text.split_once('\n').expect("its first line is the world");
    format!(
        "# every decision of the run\nworld {}\n{rest}",
        outcome.name
    )
}

fn at(path: &Path, why: impl std::fmt::Display) -> String {
    format!("{}: {why}", path.display())
}
