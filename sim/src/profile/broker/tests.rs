//! The product's own profile, as far as every build can afford it.

use super::smoke;
use crate::run::Simulation;

#[test]
fn a_short_life_keeps_every_promise() {
    for seed in 0..12 {
        let outcome = smoke(Simulation::new("smoke", seed));
        assert!(
            outcome.failure.is_none(),
            "{}: {:?}",
            outcome.name,
            outcome.failure
        );
        for client in ["acked", "polls", "commits-asked"] {
            let times = outcome.tally.get(client).copied().unwrap_or(0);
            assert!(times > 0, "{}: no {client}", outcome.name);
        }
        assert!(
            outcome.operations > 40,
            "{}: the clients ended {} operations",
            outcome.name,
            outcome.operations
        );
    }
}

#[test]
fn a_life_lived_twice_has_one_hash() {
    let run = || smoke(Simulation::new("smoke", 3)).name;
    assert_eq!(run(), run());
}
