//! One name is one run: twice in a process, in another process, alone and beside others, and as `fixtures/hashes.txt` has it, which
//! an optimised build wrote.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use taffrail_sim::Outcome;
use taffrail_sim::hashes::{COMPILER, Hashes, PATH};
use taffrail_sim::profile::Profile;

/// A few of the product's own runs.
const RUNS: [(&str, u64); 5] = [
    ("smoke", 0),
    ("smoke", 1),
    ("smoke", 2),
    ("storage", 0),
    ("storage", 1),
];

/// What a run is printed with, where another process reads it.
const MARK: &str = "this run is ";

fn run(profile: &str, seed: u64) -> Outcome<()> {
    let profile = Profile::named(profile).expect("the simulator has it");
    (profile.run)(profile.simulation(seed))
}

#[test]
fn a_run_is_the_same_in_another_process() {
    for (profile, seed) in RUNS {
        println!("{MARK}{}", run(profile, seed).name);
    }
    // This test again, in a process of its own, which starts no third one.
    const INSIDE: &str = "TAFFRAIL_TEST_INSIDE";
    if std::env::var_os(INSIDE).is_some() {
        return;
    }
    let own = std::env::current_exe().expect("a test has a file");
    let other = Command::new(own)
        .args(["--exact", "--nocapture"])
        .arg("determinism::a_run_is_the_same_in_another_process")
        .env(INSIDE, "1")
        .output()
        .expect("the test runs");
    let said = String::from_utf8_lossy(&other.stdout);
    let names = said.lines().filter_map(|line| line.split(MARK).nth(1));
    let names: Vec<String> = names.map(str::to_owned).collect();
    let here = RUNS.map(|(profile, seed)| run(profile, seed).name.to_string());
    assert_eq!(names, here, "{said}");
}

#[test]
fn a_run_is_the_same_alone_and_beside_others() {
    let alone = RUNS.map(|(profile, seed)| run(profile, seed));
    let beside: Vec<Outcome<()>> = std::thread::scope(|scope| {
        let threads = RUNS.map(|(profile, seed)| scope.spawn(move || run(profile, seed)));
        threads
            .map(|thread| thread.join().expect("no panic"))
            .into()
    });
    for (one, other) in alone.iter().zip(&beside) {
        assert_eq!(one.failure, None, "{}", one.name);
        assert_eq!(one.name, other.name);
        assert_eq!(one.events, other.events, "{}", one.name);
        assert_eq!(one.checkpoints, other.checkpoints, "{}", one.name);
        assert_eq!(one.tally, other.tally, "{}", one.name);
    }
}

#[test]
fn recorded_decisions_give_the_same_run_without_the_seed() {
    for (name, seed) in [("smoke", 3), ("storage", 3)] {
        let profile = Profile::named(name).expect("the simulator has it");
        let mut simulation = profile.simulation(seed);
        simulation.record_decisions = true;
        let recorded = (profile.run)(simulation);
        let mut again = profile.simulation(4_711);
        again.edits = recorded.decisions;
        let again = (profile.run)(again);
        assert_eq!(again.name.hash, recorded.name.hash, "{}", recorded.name);
    }
}

/// Runs what is kept of a profile, if this is the compiler that it was kept with.
fn check_kept(profile: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let path = root.expect("tests/ has a parent").join(PATH);
    let text = std::fs::read_to_string(&path).expect("the hashes are kept in the tree");
    let kept = Hashes::parse(&text).unwrap_or_else(|why| panic!("{PATH}: {why}"));
    if !kept.is_of_this_compiler() {
        // Not by `eprintln!`, which nobody hears of a test that passes.
        let said = writeln!(
            std::io::stderr(),
            "NOTHING COMPARED: {PATH} is of {}, this is {COMPILER}",
            kept.compiler
        );
        said.expect("there is somewhere to say it");
        return;
    }
    let found = kept.differences(profile);
    assert!(
        found.is_empty(),
        "{} runs are not what they were; if that is meant, `cargo sim hashes --write`; if not, `cargo sim diff` \
         with a file of `cargo sim replay NAME --checkpoints FILE` from before:\n  {}",
        found.len(),
        found.join("\n  ")
    );
}

#[test]
fn short_lives_have_the_hashes_that_are_kept() {
    check_kept("smoke");
}

#[test]
fn lives_under_all_faults_have_the_hashes_that_are_kept() {
    check_kept("storage");
}

#[test]
fn each_kept_run_is_kept_once() {
    let text = include_str!("../../fixtures/hashes.txt");
    let kept = Hashes::parse(text).expect("it can be read");
    let mut names = BTreeMap::new();
    for name in &kept.names {
        assert!(name.hash.is_some(), "{name} has no hash");
        let before = names.insert((&name.profile, name.seed), name.hash);
        assert_eq!(before, None, "{name} is kept twice");
    }
    assert_eq!(names.len(), 200);
    assert_eq!(kept.to_string(), text);
}
