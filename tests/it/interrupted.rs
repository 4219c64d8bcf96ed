//! Commands that do not come to their end by themselves, or not alone: groups of readers, outputs that take nothing, signals.

use crate::node::{Node, Scratch, run, signal, taffrail};
use std::io::Write;
use std::process::{Child, Output, Stdio};

const LINES: usize = 5_000;

/// A broker with a topic of [`LINES`] lines, `0` and so on.
fn node_with_lines(scratch: &Scratch) -> Node {
    let settings = ["--set", "group.initial.rebalance.delay.ms=200"];
    let node = Node::start_with(scratch.path(), &settings);
    let text: String = (0..LINES).map(|line| format!("{line}\n")).collect();
    let mut producer = spawn(&node, &["produce", "lines"]);
    let mut stdin = producer.stdin.take().expect("stdin is a pipe");
    stdin
        .write_all(text.as_bytes())
        .expect("the command reads its input");
    drop(stdin);
    let produced = producer.wait_with_output().expect("the command ends");
    assert!(produced.status.success(), "{produced:?}");
    node
}

fn spawn(node: &Node, arguments: &[&str]) -> Child {
    taffrail(&[arguments, &["--brokers", &node.kafka]].concat())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts")
}

fn lines_of(output: &Output) -> usize {
    output.stdout.iter().filter(|byte| **byte == b'\n').count()
}

/// What the group has committed of the topic's one partition.
fn committed(node: &Node, group: &str) -> i64 {
    let described = ["group", "describe", group, "--json"];
    let described = run(&[&described[..], &["--brokers", &node.kafka]].concat());
    let described: serde_json::Value =
        serde_json::from_slice(&described.stdout).expect("JSON on stdout");
    let found = described.to_string();
    let offset = found
        .split("\"offset\":")
        .nth(1)
        .and_then(|rest| rest.split([',', '}']).next())
        .and_then(|number| number.parse().ok());
    offset.unwrap_or_else(|| panic!("no offset in {found}"))
}

#[test]
fn a_member_alone_reads_to_the_end_before_it_exits_there() {
    let scratch = Scratch::new("alone");
    let node = node_with_lines(&scratch);
    let groups: Vec<String> = (0..4).map(|number| format!("group-{number}")).collect();
    let readers: Vec<Child> = groups
        .iter()
        .map(|group| {
            spawn(
                &node,
                &["consume", "lines", "--group", group, "--exit-at-end"],
            )
        })
        .collect();
    for (reader, group) in readers.into_iter().zip(&groups) {
        let output = reader.wait_with_output().expect("the command ends");
        assert!(output.status.success(), "{output:?}");
        assert_eq!(lines_of(&output), LINES, "{group}");
        assert_eq!(committed(&node, group), LINES as i64);
    }
}

#[test]
fn a_member_commits_nothing_that_it_could_not_print() {
    let scratch = Scratch::new("full-output");
    let node = node_with_lines(&scratch);
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
    let arguments = ["consume", "lines", "--group", "unheard", "--exit-at-end"];
    let output = taffrail(&[&arguments[..], &["--brokers", &node.kafka]].concat())
        .stdout(full.expect("a device that is always full"))
        .stderr(Stdio::piped())
        .output()
        .expect("the binary runs");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("stdout"), "{said}");
    assert_eq!(committed(&node, "unheard"), 0);
}

#[test]
fn a_reader_whose_output_nobody_takes_can_be_stopped() {
    let scratch = Scratch::new("blocked-output");
    let node = node_with_lines(&scratch);
    let text = "x".repeat(100_000);
    for _ in 0..4 {
        let mut producer = spawn(&node, &["produce", "wide"]);
        let mut stdin = producer.stdin.take().expect("stdin is a pipe");
        writeln!(stdin, "{text}").expect("the command reads its input");
        drop(stdin);
        assert!(producer.wait().expect("it ends").success());
    }
    // More than a pipe takes, and nobody reads it.
    let mut reader = spawn(&node, &["consume", "wide", "--group", "held"]);
    let stdout = reader.stdout.take().expect("stdout is a pipe");
    std::thread::sleep(std::time::Duration::from_secs(2));
    signal(reader.id(), "-TERM");
    assert_eq!(reader.wait().expect("it ends").code(), Some(0));
    drop(stdout);
    assert_eq!(committed(&node, "held"), 0);
}

#[test]
fn a_producer_that_is_stopped_says_what_it_has_sent() {
    let scratch = Scratch::new("stopped-producer");
    let node = node_with_lines(&scratch);
    let mut producer = spawn(&node, &["produce", "some"]);
    let mut stdin = producer.stdin.take().expect("stdin is a pipe");
    stdin.write_all(b"one\ntwo\n").expect("the command reads");
    let count = || {
        let read = ["consume", "some", "--exit-at-end"];
        lines_of(&run(&[&read[..], &["--brokers", &node.kafka]].concat()))
    };
    while count() < 2 {
        std::thread::yield_now();
    }
    signal(producer.id(), "-INT");
    let output = producer.wait_with_output().expect("the command ends");
    drop(stdin);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("SIGINT") && said.contains("line 2"), "{said}");
}

#[test]
fn a_producer_without_a_topic_can_be_stopped_while_its_input_goes_on() {
    let scratch = Scratch::new("no-such-topic");
    let settings = ["--set", "auto.create.topics.enable=false"];
    let node = Node::start_with(scratch.path(), &settings);
    let mut producer = spawn(&node, &["produce", "nowhere"]);
    let mut stdin = producer.stdin.take().expect("stdin is a pipe");
    stdin.write_all(b"one\n").expect("the command reads");
    // It has given up by then, and counts what comes after.
    std::thread::sleep(std::time::Duration::from_secs(2));
    signal(producer.id(), "-TERM");
    let output = producer.wait_with_output().expect("the command ends");
    drop(stdin);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("SIGTERM"), "{said}");
}

#[test]
fn a_topic_is_altered_as_a_whole_or_not_at_all() {
    let scratch = Scratch::new("altered");
    let node = node_with_lines(&scratch);
    let topic = |arguments: &[&str]| {
        run(&[&["topic"][..], arguments, &["--brokers", &node.kafka]].concat())
    };
    let half = topic(&[
        "alter",
        "lines",
        "--partitions",
        "1",
        "--config",
        "retention.ms=7",
    ]);
    assert_eq!(half.status.code(), Some(1));
    let described = topic(&["describe", "lines"]);
    let described = String::from_utf8_lossy(&described.stdout).into_owned();
    assert!(!described.contains("retention.ms"), "{described}");
    let unknown = topic(&["alter", "lines", "--delete-config", "retention.m"]);
    assert_eq!(unknown.status.code(), Some(1));
    let said = String::from_utf8_lossy(&unknown.stderr);
    assert!(said.contains("retention.ms"), "{said}");
    let twice = topic(&[
        "create",
        "t",
        "--config",
        "retention.ms=1",
        "--config",
        "retention.ms=2",
    ]);
    assert_eq!(twice.status.code(), Some(2));
}
