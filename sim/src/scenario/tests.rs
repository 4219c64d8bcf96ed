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
