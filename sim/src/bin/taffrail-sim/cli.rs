//! The commands of `taffrail-sim`, and the threads that run many seeds.

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
use taffrail_sim::{Edits, FaultKind, Outcome, Recording, RunName};

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
struct Ran {
    outcome: Outcome<()>,
    wall: Duration,
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

#[derive(Default)]
struct Totals {
    seeds: u64,
    simulated: Duration,
    wall: Duration,
    events: u64,
    operations: u64,
    faults: BTreeMap<FaultKind, (u64, u64)>,
}

impl Totals {
    fn add(&mut self, ran: &Ran) {
        self.seeds += 1;
        self.simulated += ran.outcome.simulated;
        self.wall += ran.wall;
        self.events += ran.outcome.events;
        self.operations += ran.outcome.operations;
        for count in &ran.outcome.faults {
            let (injected, met) = self.faults.entry(count.kind).or_default();
            *injected += count.injected;
            *met += count.met;
        }
    }

    fn line(&self) -> String {
        let faults: u64 = self.faults.values().map(|(injected, _)| injected).sum();
        let unmet: Vec<&str> = self
            .faults
            .iter()
            .filter(|(_, (injected, met))| *injected > 0 && *met == 0)
            .map(|(kind, _)| kind.name())
            .collect();
        format!(
            "{} seeds, {} simulated s in {} core-ms, {} events ({}/core-s), {} operations, {faults} faults; \
             injected but never met: {}",
            self.seeds,
            self.simulated.as_secs(),
            self.wall.as_millis(),
            self.events,
            self.events * 1_000 / (self.wall.as_millis() as u64).max(1),
            self.operations,
            if unmet.is_empty() {
                "none".to_owned()
            } else {
                unmet.join(", ")
            },
        )
    }

    fn json(&self) -> serde_json::Value {
        json!({
            "seeds": self.seeds,
            "simulated_seconds": self.simulated.as_secs_f64(),
            "wall_seconds": self.wall.as_secs_f64(),
            "events": self.events,
            "operations": self.operations,
            "faults": faults_json(self.faults.iter().map(|(kind, (injected, met))| (*kind, *injected, *met))),
        })
    }
}

fn faults_json(counts: impl Iterator<Item = (FaultKind, u64, u64)>) -> serde_json::Value {
    counts
        .filter(|(_, injected, met)| injected + met > 0)
        .map(|(kind, injected, met)| {
            let counts = json!({ "injected": injected, "met": met });
            (kind.name().to_owned(), counts)
        })
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn verdict(outcome: &Outcome<()>) -> String {
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
    jobs: Option<usize>,
    json: bool,
) -> Result<bool, String> {
    let profile = Profile::named(profile)?;
    let jobs = jobs.unwrap_or_else(cores).max(1);
    let mut totals = Totals::default();
    let mut clean = true;
    run_seeds(profile, seeds, jobs, |_, ran| {
        totals.add(&ran);
        clean = ran.outcome.failure.is_none();
        if json {
            println!("{}", ran_json(&ran));
        } else if !clean {
            println!("{}", ran.outcome.name);
            eprintln!("{}", verdict(&ran.outcome));
        }
        clean
    });
    if json {
        println!("{}", totals.json());
    } else {
        println!("{}", totals.line());
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

/// `replay`: true if the run kept its promises and has the name's hash.
pub fn replay(name: &str, events: bool) -> Result<bool, String> {
    let wanted = RunName::parse(name)?;
    let profile = Profile::named(&wanted.profile)?;
    let mut simulation = profile.simulation(wanted.seed);
    if events {
        simulation = simulation.with_recording(Recording::Full);
    }
    let outcome = (profile.run)(simulation);
    for event in &outcome.trace {
        println!(
            "{} {:>16} n{} {:?} {:x} {:x} {:016x} {}",
            event.number,
            event.time,
            event.node,
            event.kind,
            event.a,
            event.b,
            event.digest,
            event.text.as_deref().unwrap_or("")
        );
    }
    for (what, times) in &outcome.tally {
        println!("{times:>9} {what}");
    }
    println!("{}", outcome.name);
    println!("{}", verdict(&outcome));
    if wanted.hash.is_some() && wanted.hash != outcome.name.hash {
        eprintln!(
            "taffrail-sim: the hash is not that of {name}: another commit, lock file or compiler"
        );
        return Ok(false);
    }
    Ok(outcome.failure.is_none())
}

/// `shrink`: true if the run failed and its smallest likeness was written.
#[allow(
    clippy::disallowed_methods,
    reason = "a file of the user's, outside of every simulation"
)]
pub fn shrink(name: &str, out: Option<&Path>, runs: usize) -> Result<bool, String> {
    let wanted = RunName::parse(name)?;
    let profile = Profile::named(&wanted.profile)?;
    let shrunk = match shrink::shrink(profile, wanted.seed, Edits::default(), runs) {
        Ok(shrunk) => shrunk,
        Err(why) => {
            eprintln!("taffrail-sim: {name}: {why}");
            return Ok(false);
        }
    };
    let (failure, count) = (&shrunk.failure, shrunk.faults);
    let headline = format!(
        "# {name}: {} with {count} of the {} faults that struck it, found in {} runs\n# {}\n",
        failure.invariant,
        shrunk.faults_before,
        shrunk.runs,
        failure.witness.replace('\n', " ")
    );
    let scenario = Scenario {
        world: wanted,
        expected: Some(failure.invariant.clone()),
        edits: shrunk.edits,
    };
    match out {
        None => print!("{headline}{scenario}"),
        Some(path) => {
            let text = format!("{headline}{scenario}");
            std::fs::write(path, text).map_err(|why| format!("{}: {why}", path.display()))?;
            println!("{}: {failure}; {count} faults", path.display());
        }
    }
    Ok(true)
}

/// `view`: writes a run's page. A name, or a scenario file.
#[allow(
    clippy::disallowed_methods,
    reason = "files of the user's, outside of every simulation"
)]
pub fn view(name: &str, out: &Path) -> Result<bool, String> {
    let outcome = match name.ends_with(".txt") {
        true => {
            let text = std::fs::read_to_string(name).map_err(|why| format!("{name}: {why}"))?;
            let wrong = |why| format!("{name}: {why}");
            match Scenario::is_replay(&text) {
                true => {
                    let scenario = Scenario::parse(&text).map_err(wrong)?;
                    scenario.run_recorded(Recording::Full).map_err(wrong)?
                }
                false => Story::parse(&text).map_err(wrong)?.record(),
            }
        }
        false => {
            let wanted = RunName::parse(name)?;
            let profile = Profile::named(&wanted.profile)?;
            let simulation = profile.simulation(wanted.seed);
            (profile.run)(simulation.with_recording(Recording::Full))
        }
    };
    let page = view::page(&outcome);
    std::fs::write(out, page).map_err(|why| format!("{}: {why}", out.display()))?;
    println!("{}: {}: {}", out.display(), outcome.name, verdict(&outcome));
    Ok(true)
}

/// `scenario`: true if each came out as it expects.
#[allow(
    clippy::disallowed_methods,
    reason = "a file of the user's, outside of every simulation"
)]
pub fn scenario(files: &[PathBuf]) -> Result<bool, String> {
    let mut met = true;
    for path in files {
        let place = path.display();
        let text = std::fs::read_to_string(path).map_err(|why| format!("{place}: {why}"))?;
        if !Scenario::is_replay(&text) {
            let story = Story::parse(&text).map_err(|why| format!("{place}: {why}"))?;
            let told = story.tell();
            print!("{}", told.text);
            println!("{place}: {}", told.name);
            met &= told.failure.is_none();
            continue;
        }
        let scenario = Scenario::parse(&text).map_err(|why| format!("{place}: {why}"))?;
        let outcome = scenario.run().map_err(|why| format!("{place}: {why}"))?;
        let verdict = verdict(&outcome);
        println!("{place}: {}", outcome.name);
        match scenario.judge(&outcome) {
            Ok(()) => println!("{place}: as expected: {verdict}"),
            Err(why) => {
                met = false;
                println!("{place}: {why}, but: {verdict}");
            }
        }
    }
    Ok(met)
}

/// `faults`: the catalogue, with counts over the seeds.
pub fn faults(profile: &str, seeds: Range<u64>, json: bool) -> Result<bool, String> {
    let profile = Profile::named(profile)?;
    let mut totals = Totals::default();
    let mut clean = true;
    run_seeds(profile, seeds, cores(), |_, ran| {
        totals.add(&ran);
        clean = ran.outcome.failure.is_none();
        if !clean {
            println!("{}", ran.outcome.name);
            eprintln!("{}", verdict(&ran.outcome));
        }
        clean
    });
    for kind in FaultKind::ALL {
        let (injected, met) = totals.faults.get(kind).copied().unwrap_or_default();
        let (name, about) = (kind.name(), kind.describe());
        if json {
            println!(
                "{}",
                json!({ "kind": name, "about": about, "injected": injected, "met": met })
            );
        } else {
            println!("{name:<24} {injected:>9} injected {met:>9} met  {about}");
        }
    }
    Ok(clean)
}
