//! Every story of `fixtures/scenarios` comes out as it did when somebody last read it.

#![allow(
    clippy::disallowed_methods,
    reason = "reads the stories from the tree, outside of every simulation"
)]

use super::*;
use crate::history::{Event as History, Stop};
use std::collections::BTreeSet;
use std::path::Path;

const STORIES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/scenarios");

/// Name and text of every story, in the order of their names.
fn stories() -> Vec<(String, String)> {
    let files = std::fs::read_dir(STORIES).expect("the stories are in the tree");
    let mut stories: Vec<(String, String)> = files
        .map(|file| file.expect("a readable directory").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .map(|path| {
            let name = path.file_stem().expect("files have names");
            let text = std::fs::read_to_string(&path).expect("stories are text");
            (name.to_string_lossy().into_owned(), text)
        })
        .filter(|(_, text)| !crate::scenario::Scenario::is_replay(text))
        .collect();
    stories.sort();
    stories
}

#[test]
fn every_story_is_told_as_it_was() {
    let golden = Path::new(STORIES).join("told");
    insta::with_settings!({
        snapshot_path => golden, prepend_module_to_snapshot => false, omit_expression => true,
    }, {
        for (name, text) in stories() {
            let story = Story::parse(&text).unwrap_or_else(|why| panic!("{name}: {why}"));
            insta::assert_snapshot!(name, story.tell().text);
        }
    });
}

#[test]
fn every_story_says_what_it_is_about() {
    for (name, text) in stories() {
        assert!(text.starts_with("# "), "{name} begins with what it shows");
    }
}

#[test]
fn every_story_expects_something() {
    for (name, text) in stories() {
        let expects = text.lines().any(|line| line.starts_with("expect "));
        assert!(expects, "{name} passes whatever is said");
    }
}

#[test]
fn every_command_is_used_by_some_story() {
    let used: BTreeSet<String> = stories()
        .iter()
        .flat_map(|(_, text)| text.lines())
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect();
    for command in command::COMMANDS {
        assert!(
            used.contains(command.name),
            "no story uses `{}`",
            command.name
        );
    }
}

#[test]
fn a_wrong_line_is_named_with_what_would_be_right() {
    for (line, why) in [
        ("dance b", "line 2: no command `dance`; there are: "),
        (
            "kill",
            "line 2: NODE is missing; it is `kill NODE [operations=N]`",
        ),
        ("kill b now", "line 2: `now` is one word too many; it is "),
        ("wait soon", "line 2: `soon` is no time, such as "),
        (
            "read orders",
            "line 2: `orders` is not TOPIC/PARTITION, such as orders/0; it is ",
        ),
        (
            "read orders/0 form=1",
            "line 2: there is no option `form`; it is ",
        ),
        (
            "fault rain always",
            "line 2: there is no fault `rain`; it is ",
        ),
        (
            "fault node-kil always",
            "line 2: there is no fault `node-kil`, but node-kill, ",
        ),
        (
            "fault node-starve always",
            "line 2: node-starve is drawn once, before a story's first line, ",
        ),
        ("seed x", "line 2: `x` is no seed; "),
    ] {
        let text = format!("# a headline\n{line}\n");
        let Err(said) = Story::parse(&text) else {
            panic!("`{line}` is taken");
        };
        assert!(said.starts_with(why), "{line}: {said}");
    }
}

#[test]
fn a_second_broker_is_refused_before_anything_is_run() {
    let said = Story::parse("broker b\nwait 1s\nbroker c\n").err();
    assert_eq!(said.as_deref(), Some("line 3: a story has one broker"));
}

#[test]
fn a_story_that_expects_something_else_is_broken_off_there() {
    let text = "broker b\ntopic orders partitions=1\nexpect unmade\nwait 1s\n";
    let told = Story::parse(text).expect("well formed").tell();
    assert_eq!(
        told.text,
        "broker b\n    serves\ntopic orders partitions=1\n    made\nexpect unmade\n\
         ! STORY: expect unmade: the answer was: made\n"
    );
    assert!(told.failure.is_some());
}

#[test]
fn an_expectation_is_about_the_line_before_it() {
    let begin = "broker b\ntopic orders partitions=1\nproduce p orders/0 one\n";
    let tell = |end: &str| Story::parse(&format!("{begin}{end}")).map(Story::tell);
    let again = "expect one\nexpect acknowledged at offset 0\nexpect offset 0\n";
    assert_eq!(tell(again).expect("well formed").failure, None);
    for silent in ["produce p orders/0 two when=later", "wait 1s"] {
        let end = format!("{silent}\nexpect acknowledged at offset 0\n");
        let failure = tell(&end).expect("well formed").failure;
        let failure =
            failure.unwrap_or_else(|| panic!("`{silent}` is answered by the line before"));
        assert!(
            failure.witness.ends_with("the line before has no answer"),
            "{}",
            failure.witness
        );
    }
}

/// What the judge of a head's invariant goes by, as it is told in that story.
fn is_heard(story: &str, event: &History) -> bool {
    match (story, event) {
        ("beyond-the-end", History::PollOutOfRange { .. })
        | ("records-forgotten", History::EarliestAcked { .. })
        | ("topic-made-anew", History::Deleted { .. })
        | ("twins", History::CommitAcked { .. }) => true,
        ("half-a-frame", History::IdleReservations { what, .. }) => *what == "bytes of memory",
        ("many-segments", History::Stopped { stop, .. }) => *stop == Stop::Sound,
        ("cooperative-rebalance", History::Held { partitions, .. }) => !partitions.is_empty(),
        ("one-of-two-members-dies", History::GroupSettled { reach, .. }) => reach.len() == 2,
        _ => false,
    }
}

#[test]
fn judges_hear_what_the_invariant_of_a_head_is_about() {
    for name in [
        "beyond-the-end",
        "records-forgotten",
        "topic-made-anew",
        "twins",
        "half-a-frame",
        "many-segments",
        "cooperative-rebalance",
        "one-of-two-members-dies",
    ] {
        let (_, text) = stories()
            .into_iter()
            .find(|(known, _)| known == name)
            .expect("it is in the tree");
        let outcome = Story::parse(&text).expect("well formed").record();
        let mut history = outcome.history.iter();
        assert!(history.any(|told| is_heard(name, &told.event)), "{name}");
    }
}

#[test]
fn what_a_node_is_born_with_is_settled_before_there_is_one() {
    let tell = |text: String| Story::parse(&text).expect("well formed").tell();
    let before = tell("fault clock-offset always\nbroker b\nexpect serves\n".to_owned());
    assert_eq!(before.failure, None);
    for kind in ["clock-offset", "disk-stale-read"] {
        let after = tell(format!("broker b\nfault {kind} always\n"));
        let failure = after.failure.expect("it would never strike");
        assert!(
            failure.witness.ends_with("put this line before `broker`"),
            "{}",
            failure.witness
        );
    }
}

#[test]
fn code_point_always_is_always_until_it_heals() {
    let text = "broker b\ntopic orders partitions=1\nproduce p orders/0 one\nfault code-point always\n\
                produce p orders/0 two within=5s\nexpect no acknowledgement\nheal\n\
                produce p orders/0 three\nexpect acknowledged\n";
    let outcome = Story::parse(text).expect("well formed").record();
    assert_eq!(outcome.failure, None);
    let lost = outcome.tally.get("answer/lost");
    assert!(lost.is_some_and(|times| *times > 0), "{:?}", outcome.tally);
}

#[test]
fn the_judges_listen_to_stories_too() {
    // The story does not say that records of this topic may go.
    let text = "broker b log.retention.ms=1000 log.roll.ms=1000 log.retention.check.interval.ms=500\n\
                topic orders partitions=1\nproduce p orders/0 one\nwait 1m\nproduce p orders/0 two\nwait 1m\n";
    let told = Story::parse(text).expect("well formed").tell();
    let failure = told.failure.expect("an acknowledged record is gone");
    assert_eq!(failure.invariant, "ACKED-DURABLE", "{}", told.text);
}

#[test]
fn equal_files_give_equal_stories() {
    let text = "broker b\ntopic orders partitions=1\nproduce p orders/0 one\ncut-power b\n";
    let tell = |text: &str| Story::parse(text).expect("well formed").tell();
    let (first, second) = (tell(text), tell(text));
    assert_eq!((&first.name, &first.text), (&second.name, &second.text));
    let other = tell(&format!("seed 2\n{text}"));
    assert_ne!(first.name.hash, other.name.hash);
}
