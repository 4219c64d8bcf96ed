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
        assert!(
            outcome.operations > 50,
            "{}: the clients did nothing",
            outcome.name
        );
    }
}

#[test]
fn a_life_lived_twice_has_one_hash() {
    let run = || smoke(Simulation::new("smoke", 3)).name;
    assert_eq!(run(), run());
}
