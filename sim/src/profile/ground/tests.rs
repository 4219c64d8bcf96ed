//! The careful server keeps its promises in every seed; the careless one is found out.

use super::*;
use crate::decision::Edits;
use crate::profile::Profile;
use crate::shrink::{NotShrunk, shrink};

fn simulation(seed: u64) -> Simulation {
    Simulation::new("ground", seed)
}

#[test]
fn a_careful_server_keeps_its_promises() {
    let mut operations = 0;
    for seed in 0..15 {
        let outcome = run(simulation(seed));
        assert_eq!(outcome.failure, None, "{}", outcome.name);
        operations += outcome.operations;
    }
    assert!(operations > 5_000, "{operations}");
}

#[test]
fn a_server_that_trusts_the_cache_after_a_failed_sync_is_found_out() {
    let found = (0..2000).find_map(|seed| {
        let outcome = run_with(simulation(seed), Recovery::TrustsTheCache);
        outcome.failure.map(|failure| (seed, failure))
    });
    let (_, failure) = found.expect("one of the seeds finds it");
    assert_eq!(failure.invariant, "ACKED-DURABLE");
}

#[test]
fn a_failing_run_shrinks_to_a_few_faults_that_break_the_same_promise() {
    let careless = Profile {
        name: "careless",
        about: "trusts the cache after a failed sync",
        run: |simulation| run_with(simulation, Recovery::TrustsTheCache),
    };
    let seed = (0..2000)
        .find(|seed| (careless.run)(careless.simulation(*seed)).failure.is_some())
        .expect("one of the seeds finds it");
    let shrunk = shrink(careless, seed, Edits::default(), 300).expect("it fails");
    assert_eq!(shrunk.failure.invariant, "ACKED-DURABLE");
    assert!(shrunk.faults < shrunk.faults_before, "{shrunk:?}");
    assert!((1..=4).contains(&shrunk.faults), "{shrunk:?}");
    let mut again = careless.simulation(seed);
    again.edits = Edits::parse(&shrunk.edits.to_string()).expect("what is printed can be read");
    let again = (careless.run)(again);
    assert_eq!(again.name, shrunk.name);
    // What names a draw that the run never comes to would not be as a scenario expects.
    assert_eq!(again.idle_edits, Edits::default());
    let clean = shrink(super::super::PROFILES[2], 0, Edits::default(), 10);
    assert!(matches!(clean, Err(NotShrunk::Clean)), "{clean:?}");
}
