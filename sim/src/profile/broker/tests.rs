//! The product's own profile, as far as every build can afford it.

use super::smoke;
use crate::run::Simulation;
use std::collections::BTreeMap;

#[test]
fn a_short_life_keeps_every_promise() {
    const SEEDS: u64 = 12;
    let mut at_work: BTreeMap<&str, u64> = BTreeMap::new();
    for seed in 0..SEEDS {
        let outcome = smoke(Simulation::new("smoke", seed));
        assert!(
            outcome.failure.is_none(),
            "{}: {:?}",
            outcome.name,
            outcome.failure
        );
        assert!(outcome.tally.contains_key("acked"), "{}", outcome.name);
        for client in ["polls", "commits-asked"] {
            *at_work.entry(client).or_default() += u64::from(outcome.tally.contains_key(client));
        }
        assert!(
            outcome.operations > 20,
            "{}: the clients ended {} operations",
            outcome.name,
            outcome.operations
        );
    }
    // A life may end before somebody comes to anything.
    for (client, lives) in at_work {
        assert!(lives + 2 >= SEEDS, "{client} in {lives} of {SEEDS} lives");
    }
}

#[test]
fn a_life_lived_twice_has_one_hash() {
    let run = || smoke(Simulation::new("smoke", 3)).name;
    assert_eq!(run(), run());
}
