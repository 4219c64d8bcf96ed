//! What concerns a whole process - its end, its streams, its signals, its limits - in a process of its own.
//!
//! Each test starts this test binary again to run itself, with a variable set that makes it play the child.

use crate::stdio::StdioError;
use crate::{process, run};
use bytes::Bytes;
use std::io::Write;
use std::process::{Command, Output, Stdio};
use taffrail_env::Spawn;
use taffrail_env::net::{Listener, Net, NetErrorKind};

const CHILD: &str = "TAFFRAIL_OS_TEST_CHILD";

fn is_child() -> bool {
    process::variable(CHILD).is_some()
}

/// Runs the test of that name as a child, with this input.
fn child(test: &str, input: &[u8]) -> Output {
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", &format!("tests::children::{test}")])
        .args(["--test-threads", "1", "--nocapture"])
        .env(CHILD, "1")
        .env_remove("RUST_BACKTRACE")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a child");
    let mut stdin = child.stdin.take().expect("its input");
    stdin.write_all(input).expect("it reads");
    drop(stdin);
    child.wait_with_output().expect("its end")
}

/// The one line on stderr of a child that stopped itself.
fn last_words(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(101), "{output:?}");
    let words = String::from_utf8(output.stderr.clone()).expect("text");
    assert_eq!(words.lines().count(), 1, "{words}");
    words
}

#[test]
fn a_panic_in_a_task_ends_the_process() {
    if !is_child() {
        let words = last_words(&child("a_panic_in_a_task_ends_the_process", b""));
        assert!(words.starts_with("taffrail: panic in thread "), "{words}");
        assert!(words.contains("children.rs:"), "{words}");
        assert!(words.ends_with(": first line second\n"), "{words}");
        return;
    }
    run(|os| async move {
        os.spawn(async { panic!("first line\nsecond") });
        std::future::pending::<()>().await
    });
}

#[test]
fn a_panic_in_another_shard_ends_the_process() {
    if !is_child() {
        let words = last_words(&child("a_panic_in_another_shard_ends_the_process", b""));
        assert!(words.starts_with("taffrail: panic in thread shard-2 at "));
        return;
    }
    run(|os| async move {
        os.start_shard(2, |_| async { panic!("on shard 2") });
        std::future::pending::<()>().await
    });
}

#[test]
fn a_program_can_make_every_panic_end_the_process() {
    if !is_child() {
        let words = last_words(&child(
            "a_program_can_make_every_panic_end_the_process",
            b"",
        ));
        assert!(words.ends_with(": in main\n"), "{words}");
        return;
    }
    process::exit_on_any_panic();
    run(|_| async { panic!("in main") })
}

#[test]
fn lines_of_input_come_back_as_output() {
    let long = "x".repeat(300_000);
    if !is_child() {
        let input = format!("one\r\n\n{long}\nlast");
        let output = child("lines_of_input_come_back_as_output", input.as_bytes());
        let text = String::from_utf8(output.stdout).expect("text");
        assert!(
            text.contains(&format!("<one\r><><{long}><last>end")),
            "{text}"
        );
        return;
    }
    run(|os| async move {
        let mut lines = os.stdin().lines(1 << 20);
        let stdout = os.stdout();
        while let Some(line) = lines.next().await {
            let line = line.expect("a line");
            // Not awaited: the order is that of the calls.
            drop(stdout.write(vec![Bytes::from("<"), line, Bytes::from(">")]));
        }
        assert!(lines.next().await.is_none());
        stdout
            .write(vec![Bytes::from("end")])
            .await
            .expect("a reader");
    });
}

#[test]
fn a_line_that_is_too_long_is_an_error() {
    if !is_child() {
        let output = child("a_line_that_is_too_long_is_an_error", b"four\nfive!\n");
        assert!(output.status.success(), "{output:?}");
        return;
    }
    run(|os| async move {
        let mut lines = os.stdin().lines(4);
        assert_eq!(lines.next().await, Some(Ok(Bytes::from("four"))));
        assert_eq!(lines.next().await, Some(Err(StdioError::LineTooLong(4))));
    });
}

#[test]
fn termination_is_heard() {
    if !is_child() {
        let output = child("termination_is_heard", b"");
        assert!(output.status.success(), "{output:?}");
        return;
    }
    run(|os| async move {
        let mut terminations = os.terminations().expect("signals");
        for signal in [rustix::process::Signal::TERM, rustix::process::Signal::INT] {
            let itself = rustix::process::getpid();
            rustix::process::kill_process(itself, signal).expect("a signal");
            let heard = terminations.next().await;
            assert_eq!(
                heard.name() == "SIGTERM",
                signal == rustix::process::Signal::TERM
            );
        }
    });
}

#[test]
fn without_descriptors_an_accept_may_be_tried_again() {
    if !is_child() {
        let output = child("without_descriptors_an_accept_may_be_tried_again", b"");
        assert!(output.status.success(), "{output:?}");
        return;
    }
    run(|os| async move {
        let listener = os.listen("127.0.0.1:0").await.expect("a port");
        let address = listener.local_address().to_string();
        // Loads what a connection needs before the limit is in place.
        drop(os.connect(&address).await.expect("a connection"));
        drop(listener.accept().await.expect("a connection"));
        let connected = os.connect(&address).await.expect("a connection");
        let mut limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        let usual = limit.current.replace(0);
        rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).expect("a limit");
        let refused = listener.accept().await.err().expect("no descriptors");
        assert_eq!(refused.kind, NetErrorKind::Exhausted, "{refused}");
        limit.current = usual;
        rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).expect("a limit");
        listener.accept().await.expect("the waiting connection");
        drop(connected);
    });
}

#[test]
fn a_small_file_is_read_as_text() {
    let scratch = super::Scratch::new();
    let path = scratch.path().join("file");
    std::fs::write(&path, "x".repeat(40_000)).expect("a file");
    assert_eq!(
        process::read_text(&path, 40_000).expect("text").len(),
        40_000
    );
    let long = process::read_text(&path, 39_999).expect_err("too long");
    assert!(long.system.contains("File too large"), "{long}");
    std::fs::write(&path, b"\xff").expect("a file");
    process::read_text(&path, 10).expect_err("no text");
    let gone = process::read_text(&scratch.path().join("gone"), 10);
    assert_eq!(
        gone.expect_err("nothing").kind,
        taffrail_env::DiskErrorKind::NotFound
    );
}
