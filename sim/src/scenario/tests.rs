//! What is written is read again; what is wrong is named by its line.

use super::*;
use crate::shrink::shrink;
use crate::world::World;
use std::time::Duration;

const TEXT: &str =
    "world ground@7\nquiet n1/net-split\nset n1/node-kill#12=1\nexpect ACKED-DURABLE\n";

#[test]
fn a_scenario_is_read_as_it_was_written() {
    let scenario = Scenario::parse(&format!("# a headline\n\n{TEXT}")).expect("well formed");
    assert_eq!(scenario.to_string(), TEXT);
    assert_eq!(scenario.expected.as_deref(), Some("ACKED-DURABLE"));
}

#[test]
fn a_wrong_line_is_named() {
    for (text, why) in [
        (
            "world ground@7\ndance",
            "line 2: no command `dance`; there are: world, quiet, set, expect",
        ),
        ("expect ok", "no line `world PROFILE@SEED`"),
        (
            "world ground@7",
            "no line `expect INVARIANT` or `expect ok`",
        ),
        (
            "world ground@7\nworld ground@8",
            "line 2: `world` once, with a word behind it",
        ),
        (
            "world ground@7\nexpect ACKED-DURABEL",
            "line 2: `ACKED-DURABEL` is neither ok nor an invariant that a run can be found to break, such as ACKED-DURABLE",
        ),
        (
            "world ground@7\nset n1=1\nexpect ok",
            "line 2: not an edit: `n1=1`; an edit is `label#counter=value` or `quiet label`",
        ),
    ] {
        assert_eq!(Scenario::parse(text), Err(why.to_owned()));
    }
}

#[test]
fn a_calm_world_keeps_its_promises_and_is_not_what_a_failure_expects() {
    let text = "world ground@7\nset swarm/calm#0=1\nexpect ok";
    let mut scenario = Scenario::parse(text).expect("well formed");
    let outcome = scenario.run().expect("there is such a profile");
    assert_eq!(scenario.judge(&outcome), Ok(()));
    for count in &outcome.faults {
        // The profile itself cuts the power at the end, whatever was drawn.
        let name = count.kind.name();
        let drawn = ["node-kill", "net-reset", "net-cut", "clock-step"].contains(&name);
        assert!(!drawn || count.injected == 0, "{name}");
    }
    scenario.expected = Some("ACKED-DURABLE".to_owned());
    assert_eq!(
        scenario.judge(&outcome),
        Err("expected ACKED-DURABLE".to_owned())
    );
}

#[test]
fn an_edit_of_what_is_not_drawn_and_another_hash_are_not_as_expected() {
    let judged = |text: &str| {
        let scenario = Scenario::parse(text).expect("well formed");
        scenario.judge(&scenario.run().expect("there is such a profile"))
    };
    let calm = "set swarm/calm#0=1\nexpect ok";
    let odd = judged(&format!("world ground@7\nquiet n1/node-kil\n{calm}"));
    assert!(odd.is_err_and(|why| why.contains("n1/node-kil")));
    // The label is drawn by, but not so often.
    let late = judged(&format!("world ground@7\nset schedule#999999999=5\n{calm}"));
    assert!(late.is_err_and(|why| why.contains("schedule#999999999=5")));
    let hash = "0".repeat(32);
    let other = judged(&format!("world ground@7#{hash}\n{calm}"));
    assert!(other.is_err_and(|why| why.contains(&hash)));
}

/// A profile of somebody's own, with a promise of its own: the coin that each seed throws is never heads.
const COIN: Profile = Profile {
    name: "coin",
    about: "tails, and a break for faults",
    run: |simulation| simulation.run(throw),
};

async fn throw(world: World) {
    let decisions = world.decisions();
    if decisions.below(decisions.stream("coin"), 2) == 1 {
        world.fail("NEVER-HEADS", "it was heads");
    }
    world.sleep(Duration::from_secs(1)).await;
}

#[test]
fn a_failure_of_ones_own_profile_is_kept_and_run_again() {
    let mut seeds = 0..20;
    let seed = seeds
        .find(|seed| (COIN.run)(COIN.simulation(*seed)).failure.is_some())
        .expect("one of twenty is heads");
    let shrunk = shrink(COIN, seed, Edits::default(), 20).expect("it fails");
    let kept = Scenario::from(&shrunk).to_string();
    assert!(kept.contains("expect NEVER-HEADS"), "{kept}");
    let scenario = Scenario::parse(&kept).expect("what is written can be read");
    let outcome = scenario.run_with(COIN, Recording::Full);
    let outcome = outcome.expect("it is this profile");
    assert_eq!(scenario.judge(&outcome), Ok(()));
    assert_eq!(outcome.name, shrunk.name);
    assert!(!outcome.trace.is_empty(), "it was to be recorded");
    let other = scenario.run_with(crate::profile::PROFILES[0], Recording::Off);
    assert_eq!(
        other.err().as_deref(),
        Some("a run of profile `coin`, which `smoke` does not give")
    );
    let built_in = scenario.run();
    assert!(built_in.is_err_and(|why| why.contains("no profile `coin`")));
}
