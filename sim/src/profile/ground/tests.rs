//! The careful server keeps its promises in every seed; the careless one is found out.

use super::*;

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
