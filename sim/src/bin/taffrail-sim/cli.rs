//! The commands of `taffrail-sim`, and the threads that run many seeds.

use crate::failure::{Failure, Reserved, say};
use crate::source::Source;
use crate::totals::{Totals, faults_json};
use serde_json::json;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use taffrail_sim::profile::Profile;
use taffrail_sim::scenario::Scenario;
use taffrail_sim::shrink;
use taffrail_sim::story::Story;
use taffrail_sim::view;
use taffrail_sim::{Outcome, Recording, RunName};

/// Seeds as `A..B`.
pub fn seeds(text: &str) -> Result<Range<u64>, String> {
    let wrong = || format!("`{text}` is not A..B with A below B, such as 0..100");
    let (from, to) = text.split_once("..").ok_or_else(wrong)?;
    let from = from.parse().map_err(|_| wrong())?;
    let to = to.parse().map_err(|_| wrong())?;
    if from >= to {
        return Err(wrong());
    }
    Ok(from..to)
}

/// One seed's run and how long it took.
pub struct Ran {
    pub outcome: Outcome<()>,
    pub wall: Duration,
}

#[allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "how long a simulation really takes; read outside of it"
)]
fn run_seed(profile: Profile, seed: u64) -> Ran {
    let begun = Instant::now();
    let outcome = (profile.run)(profile.simulation(seed));
    Ran {
        outcome,
        wall: begun.elapsed(),
    }
}

/// Runs the seeds on `jobs` threads and hands the results over in the order of the seeds. `each` answers
/// whether to go on.
#[allow(
    clippy::disallowed_methods,
    reason = "many simulations run on many threads; each is alone on its own"
)]
fn run_seeds(
    profile: Profile,
    seeds: Range<u64>,
    jobs: usize,
    mut each: impl FnMut(u64, Ran) -> bool,
) {
    let next = AtomicU64::new(seeds.start);
    let stop = AtomicBool::new(false);
    let (sender, receiver) = mpsc::sync_channel(jobs * 2);
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            let (next, stop, sender, end) = (&next, &stop, sender.clone(), seeds.end);
            scope.spawn(move || {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end || stop.load(Ordering::Relaxed) {
                        return;
                    }
                    if sender.send((seed, run_seed(profile, seed))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut waiting = BTreeMap::new();
        let mut due = seeds.start;
        'seeds: for (seed, ran) in receiver {
            waiting.insert(seed, ran);
            while let Some(ran) = waiting.remove(&due) {
                if !each(due, ran) {
                    break 'seeds;
                }
                due += 1;
            }
        }
        // The receiver is gone: whoever still sends stops.
        stop.store(true, Ordering::Relaxed);
    });
}

/// A run's verdict in one line.
pub fn verdict(outcome: &Outcome<()>) -> String {
    match &outcome.failure {
        None => "ok".to_owned(),
        Some(failure) => failure.to_string(),
    }
}

fn ran_json(ran: &Ran) -> serde_json::Value {
    let outcome = &ran.outcome;
    let counts = outcome.faults.iter().map(|c| (c.kind, c.injected, c.met));
    json!({
        "name": outcome.name.to_string(),
        "simulated_seconds": outcome.simulated.as_secs_f64(),
        "wall_seconds": ran.wall.as_secs_f64(),
        "events": outcome.events,
        "operations": outcome.operations,
        "faults": faults_json(counts),
        "tally": outcome.tally,
        "verdict": verdict(outcome),
        "invariant": outcome.failure.as_ref().map(|failure| &failure.invariant),
    })
}

/// `run`: true if all seeds kept their promises.
pub fn run(
    profile: &str,
    seeds: Range<u64>,
    jobs: Option<u16>,
    json: bool,
) -> Result<bool, Failure> {
    let profile = Profile::named(profile)?;
    let jobs = jobs.map_or_else(cores, usize::from);
    let mut totals = Totals::default();
    let mut clean = true;
    run_seeds(profile, seeds, jobs, |_, ran| {
        totals.add(&ran);
        clean = ran.outcome.failure.is_none();
        if json {
            say!("{}", ran_json(&ran));
        } else if !clean {
            say!("{}", ran.outcome.name);
            eprintln!("{}", verdict(&ran.outcome));
        }
        clean
    });
    if json {
        say!("{}", totals.json());
    } else {
        say!("{}", totals.text());
    }
    Ok(clean)
}

#[allow(
    clippy::disallowed_methods,
    reason = "how many simulations to run at once"
)]
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// `shrink`: true if the run failed and its smallest likeness was written.
pub fn shrink(name: &str, out: Option<&Path>, runs: usize) -> Result<bool, Failure> {
    let (wanted, edits) = Source::find(name)?.to_shrink()?;
    let profile = Profile::named(&wanted.profile)?;
    let reserved = out.map(Reserved::open).transpose()?;
    let shrunk = match shrink::shrink(profile, wanted.seed, edits, runs) {
        Ok(shrunk) => shrunk,
        Err(why) => {
            eprintln!("taffrail-sim: {name}: {why}");
            return Ok(false);
        }
    };
    let (failure, count) = (&shrunk.failure, shrunk.faults);
    let scenario = Scenario {
        // What breaks is the same on other commits; the hash need not be.
        world: RunName {
            hash: None,
            ..wanted
        },
        expected: Some(failure.invariant.clone()),
        edits: shrunk.edits,
    };
    let mut headline = format!(
        "# {name}: {} with {count} of the {} faults that struck it, found in {} runs\n# {}\n",
        failure.invariant,
        shrunk.faults_before,
        shrunk.runs,
        failure.witness.replace('\n', " ")
    );
    for strike in scenario.run_recorded(Recording::Full)?.strikes() {
        headline += &format!("# struck after {strike}\n");
    }
    match (out, reserved) {
        (Some(path), Some(reserved)) => {
            reserved.write(&format!("{headline}{scenario}"))?;
            say!("{}: {failure}; {count} faults", path.display());
        }
        _ => say!("{headline}{}", scenario.to_string().trim_end()),
    }
    Ok(true)
}

/// `view`: writes a run's page. A name, or a scenario file.
pub fn view(name: &str, out: &Path) -> Result<bool, Failure> {
    let source = Source::find(name)?;
    let reserved = Reserved::open(out)?;
    let outcome = source.run(Recording::Full)?;
    reserved.write(&view::page(&outcome))?;
    say!("{}: {}: {}", out.display(), outcome.name, verdict(&outcome));
    Ok(true)
}

/// `scenario`: true if each came out as it expects.
#[allow(
    clippy::disallowed_methods,
    reason = "a file of the user's, outside of every simulation"
)]
pub fn scenario(files: &[PathBuf]) -> Result<bool, Failure> {
    let mut met = true;
    for path in files {
        let place = path.display();
        let text = std::fs::read_to_string(path).map_err(|why| Failure::of_file(path, why))?;
        if !Scenario::is_replay(&text) {
            let story = Story::parse(&text).map_err(|why| format!("{place}: {why}"))?;
            let told = story.tell();
            say!("{}", told.text.trim_end_matches('\n'));
            say!("{place}: {}", told.name);
            met &= told.failure.is_none();
            continue;
        }
        let scenario = Scenario::parse(&text).map_err(|why| format!("{place}: {why}"))?;
        let outcome = scenario.run().map_err(|why| format!("{place}: {why}"))?;
        let verdict = verdict(&outcome);
        say!("{place}: {}", outcome.name);
        match scenario.judge(&outcome) {
            Ok(()) => say!("{place}: as expected: {verdict}"),
            Err(why) => {
                met = false;
                say!("{place}: {why}; the run: {verdict}");
            }
        }
    }
    Ok(met)
}

/// `faults`: the catalogue, with counts over the seeds.
pub fn faults(profile: &str, seeds: Range<u64>, json: bool) -> Result<bool, Failure> {
    let profile = Profile::named(profile)?;
    let mut totals = Totals::default();
    let mut clean = true;
    run_seeds(profile, seeds, cores(), |_, ran| {
        totals.add(&ran);
        clean = ran.outcome.failure.is_none();
        if !clean {
            say!("{}", ran.outcome.name);
            eprintln!("{}", verdict(&ran.outcome));
        }
        clean
    });
    totals.print_catalogue(json);
    Ok(clean)
}
