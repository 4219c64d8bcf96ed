//! What is written is read again; what is wrong is named by its line.

use super::*;

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
            "world ground@7\nset n1=1\nexpect ok",
            "not an edit: `n1=1`; an edit is `label#counter=value` or `quiet label`",
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
    assert!(scenario.is_met_by(&outcome));
    for count in &outcome.faults {
        // The profile itself cuts the power at the end, whatever was drawn.
        let name = count.kind.name();
        let drawn = ["node-kill", "net-reset", "net-cut", "clock-step"].contains(&name);
        assert!(!drawn || count.injected == 0, "{name}");
    }
    scenario.expected = Some("ACKED-DURABLE".to_owned());
    assert!(!scenario.is_met_by(&outcome));
}
