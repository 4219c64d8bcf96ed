//! `taffrail-sim` as people and scripts use it: exit codes, errors of one line, files that are what they are called.

// The program is looked at from outside of every simulation.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_taffrail-sim"));
    command.args(arguments).stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> Output {
    command(arguments).output().expect("the binary runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A file of this test's own.
fn file(name: &str, contents: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, contents).expect("the directory takes files");
    path
}

fn as_text(path: &Path) -> &str {
    path.to_str().expect("a UTF-8 path")
}

/// It ends with `code`, and says one line with each of `words`.
fn assert_refused(output: &Output, code: i32, words: &[&str]) {
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    for word in words {
        assert!(said.contains(word), "no `{word}` in: {said}");
    }
}

#[test]
fn what_cannot_be_meant_is_one_line() {
    assert_refused(&run(&[]), 2, &["a command is missing"]);
    assert_refused(&run(&["run", "--seeds", "7..5"]), 2, &["7..5", "0..100"]);
    assert_refused(&run(&["run", "--jobs", "0"]), 2, &["0", "1.."]);
    assert_refused(&run(&["run", "--profile", "nope"]), 2, &["nope", "storage"]);
    assert_refused(&run(&["replay"]), 2, &["profile@seed", "--decisions"]);
    assert_refused(&run(&["view", "smoke@1"]), 2, &["--out"]);
    let nowhere = ["view", "ground@1", "--out", "/nonexistent/page.html"];
    assert_refused(&run(&nowhere), 1, &["/nonexistent/page.html"]);
    let story = file("shards.txt", "broker b shards=0\n");
    let told = run(&["scenario", as_text(&story)]);
    assert_refused(&told, 2, &["shards=0", "256"]);
}

#[test]
fn a_command_that_has_nothing_to_write_leaves_no_file_behind() {
    let new = Path::new(env!("CARGO_TARGET_TMPDIR")).join("nothing.txt");
    let clean = run(&["shrink", "ground@1", "--out", as_text(&new)]);
    assert_refused(&clean, 1, &["ground@1"]);
    assert!(!new.exists());
    let name = format!("ground@1#{}", "0".repeat(32));
    assert_refused(&run(&["view", &name, "--out", as_text(&new)]), 1, &[&name]);
    assert!(!new.exists());
    let old = file("something.txt", "something");
    run(&["shrink", "ground@1", "--out", as_text(&old)]);
    let kept = std::fs::read_to_string(&old).expect("it is there");
    assert_eq!(kept, "something");
    let path = as_text(&new);
    let both = run(&[
        "replay",
        "ground@1",
        "--record",
        path,
        "--checkpoints",
        path,
    ]);
    assert_refused(&both, 2, &["--record", "--checkpoints"]);
    assert_refused(&run(&["replay", as_text(&old)]), 2, &["scenario FILE"]);
}

#[test]
fn a_hash_is_compared_wherever_a_name_is_given() {
    let name = format!("ground@1#{}", "0".repeat(32));
    let page = file("other-hash.html", "");
    let drawn = run(&["view", &name, "--out", as_text(&page)]);
    assert_refused(&drawn, 1, &[&name, "another commit"]);
    assert_refused(&run(&["diff", &name, "ground@1"]), 1, &[&name]);
}

#[test]
fn a_run_is_driven_by_its_decisions_if_they_are_all_there() {
    let decisions = file("decisions.txt", "");
    let recorded = run(&["replay", "ground@3", "--record", as_text(&decisions)]);
    assert!(recorded.status.success(), "{recorded:?}");
    let again = run(&["replay", "--decisions", as_text(&decisions)]);
    assert_eq!(text(&again.stdout), text(&recorded.stdout));
    let all = std::fs::read_to_string(&decisions).expect("it was written");
    let less: Vec<&str> = all
        .lines()
        .filter(|line| !line.contains("set n1/"))
        .collect();
    assert!(less.len() < all.lines().count());
    let less = file("some-decisions.txt", &less.join("\n"));
    let incomplete = run(&["replay", "--decisions", as_text(&less)]);
    assert_refused(&incomplete, 1, &["draws of the run are not in it"]);
}

#[test]
fn a_reader_that_goes_away_is_no_panic() {
    let mut replay = command(&["replay", "ground@1", "--events"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    drop(replay.stdout.take());
    let output = replay.wait_with_output().expect("it ends");
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn a_story_that_expects_another_offset_is_broken_off() {
    let story = "broker b\ntopic orders partitions=1\nproduce p orders/0 one\nexpect acknowledged at offset 0\n";
    let kept = file("kept.txt", story);
    assert!(run(&["scenario", as_text(&kept)]).status.success());
    let broken = file("broken.txt", &story.replace("offset 0", "offset"));
    assert!(run(&["scenario", as_text(&broken)]).status.success());
    let broken = file("broken.txt", &story.replace("at offset 0", "at offse"));
    assert_eq!(run(&["scenario", as_text(&broken)]).status.code(), Some(1));
}
