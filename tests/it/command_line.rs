//! The command line as scripts rely on it: exit codes, one-line errors that say what would be right, and
//! lines in and out byte for byte.

use crate::node::{Node, Scratch, run, signal, taffrail};
use std::io::{BufRead, BufReader, Write};
use std::process::{Output, Stdio};

/// The command must end with `code`, and say one line on stderr that contains each of `words`.
fn assert_refused(output: &Output, code: i32, words: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    let lines: Vec<&str> = said
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    assert_eq!(lines.len(), 1, "one line, not: {said}");
    for word in words {
        assert!(lines[0].contains(word), "no '{word}' in: {said}");
    }
}

/// Feeds `input` to a command that reads lines.
fn feed(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = taffrail(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut stdin = child.stdin.take().expect("stdin is a pipe");
    stdin.write_all(input).expect("the command reads its input");
    drop(stdin);
    child.wait_with_output().expect("the command ends")
}

fn serve(data: &std::path::Path, more: &[&str]) -> Output {
    let data = data.to_str().expect("a UTF-8 path");
    let mut arguments = vec![
        "serve",
        "--data",
        data,
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
    ];
    arguments.extend(more);
    run(&arguments)
}

#[test]
fn a_wrong_option_names_the_right_one() {
    let output = run(&["serve", "--lissten", "127.0.0.1:0"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--listen"));
}

#[test]
fn an_unknown_configuration_key_names_the_nearest_known_one() {
    let scratch = Scratch::new("unknown-key");
    let output = serve(scratch.path(), &["--set", "num.partition=3"]);
    assert_refused(&output, 2, &["num.partition", "num.partitions"]);
}

#[test]
fn a_value_of_the_wrong_kind_says_what_would_be_right() {
    let scratch = Scratch::new("wrong-value");
    let output = serve(scratch.path(), &["--set", "num.partitions=many"]);
    assert_refused(&output, 2, &["num.partitions", "many"]);
}

#[test]
fn a_largest_batch_beyond_the_journal_says_what_it_takes() {
    let scratch = Scratch::new("largest-batch");
    let output = serve(scratch.path(), &["--set", "message.max.bytes=100000000"]);
    assert_refused(
        &output,
        2,
        &["message.max.bytes", "100000000", "at most 16"],
    );
}

#[test]
fn a_listener_beyond_loopback_needs_to_be_called_insecure() {
    let scratch = Scratch::new("beyond-loopback");
    let data = scratch.path().to_str().expect("a UTF-8 path");
    let output = run(&[
        "serve",
        "--data",
        data,
        "--listen",
        "0.0.0.0:0",
        "--admin",
        "127.0.0.1:0",
    ]);
    assert_refused(&output, 2, &["0.0.0.0", "--insecure"]);
    for (option, address) in [
        ("--listen", "999.1.1.1:29192"),
        ("--advertise", "0.0.0.0:9092"),
    ] {
        let data = scratch.path().to_str().expect("a UTF-8 path");
        let output = run(&["serve", "--data", data, option, address]);
        assert_eq!(output.status.code(), Some(2));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            said.contains(address) && !said.contains("--insecure"),
            "{said}"
        );
    }
}

#[test]
fn a_server_properties_that_asks_for_more_than_there_is_is_refused() {
    let scratch = Scratch::new("properties");
    let file = scratch.path().join("server.properties");
    let data = scratch.path().join("data");
    let refused = |bytes: &[u8], words: &[&str]| {
        std::fs::write(&file, bytes).expect("written");
        let file = file.to_str().expect("a UTF-8 path");
        let data = data.to_str().expect("a UTF-8 path");
        let ran = run(&["serve", "--config", file, "--data", data]);
        assert_refused(&ran, 2, &[words, &["server.properties"]].concat());
        assert!(!std::path::Path::new(data).exists());
    };
    let listener = "listeners=INTERNAL://127.0.0.1:0\n";
    let map = "listener.security.protocol.map=INTERNAL:SSL\n";
    refused(
        format!("{listener}{map}").as_bytes(),
        &["listeners", "INTERNAL", "SSL"],
    );
    refused(b"process.roles=broker\n", &["broker,controller"]);
    refused(b"\xff\xfe=1\n", &["UTF-8"]);
}

#[test]
fn what_names_no_directory_says_so() {
    let scratch = Scratch::new("no-directory");
    let absent = scratch.path().join("absent");
    let link = scratch.path().join("link");
    std::os::unix::fs::symlink(&absent, &link).expect("linked");
    assert_refused(&serve(&link, &[]), 2, &["link", "expected"]);
    let absent = absent.to_str().expect("a UTF-8 path");
    for command in [
        &["log", "dump", absent][..],
        &["log", "dump", absent, "--records"],
        &["log", "verify", absent],
    ] {
        assert_refused(&run(command), 2, &["absent", "expected"]);
    }
}

#[test]
fn a_port_in_use_is_named() {
    let (one, two) = (Scratch::new("port-one"), Scratch::new("port-two"));
    let node = Node::start(one.path());
    let data = two.path().to_str().expect("a UTF-8 path");
    let output = run(&[
        "serve",
        "--data",
        data,
        "--listen",
        &node.kafka,
        "--admin",
        "127.0.0.1:0",
    ]);
    assert_refused(&output, 2, &[&node.kafka, "listen"]);
}

#[test]
fn a_data_directory_in_use_is_not_touched() {
    let scratch = Scratch::new("in-use");
    let node = Node::start(scratch.path());
    let output = serve(scratch.path(), &[]);
    assert_refused(
        &output,
        2,
        &[scratch.path().to_str().expect("a UTF-8 path")],
    );
    assert!(node.stop().success());
}

#[test]
fn a_directory_of_another_program_is_not_touched() {
    let scratch = Scratch::new("foreign");
    std::fs::write(
        scratch.path().join("meta.properties"),
        "version=1\ncluster.id=x\n",
    )
    .expect("written");
    let output = serve(scratch.path(), &[]);
    assert_refused(
        &output,
        2,
        &[scratch.path().to_str().expect("a UTF-8 path")],
    );
    let names: Vec<_> = std::fs::read_dir(scratch.path())
        .expect("listed")
        .map(|e| e.expect("an entry").file_name())
        .collect();
    assert_eq!(names, ["meta.properties"]);
}

#[test]
fn a_data_directory_may_be_a_symbolic_link() {
    let scratch = Scratch::new("link");
    let (real, link) = (scratch.path().join("real"), scratch.path().join("link"));
    std::fs::create_dir(&real).expect("made");
    std::os::unix::fs::symlink(&real, &link).expect("linked");
    assert!(Node::start(&link).stop().success());
    assert!(real.join("taffrail.meta").exists());
}

#[test]
fn lines_come_out_as_they_went_in() {
    let scratch = Scratch::new("lines");
    let node = Node::start(scratch.path());
    let input = b"one\r\n\n\xff\xfe not text\nlast without newline";
    let output = feed(&["produce", "lines", "--brokers", &node.kafka], input);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let output = run(&[
        "consume",
        "lines",
        "--brokers",
        &node.kafka,
        "--exit-at-end",
    ]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(output.stdout, [&input[..], b"\n"].concat());
    let output = run(&[
        "consume",
        "lines",
        "--brokers",
        &node.kafka,
        "--from",
        "2",
        "--count",
        "1",
    ]);
    assert_eq!(output.stdout, b"\xff\xfe not text\n");
    let output = run(&[
        "consume",
        "lines",
        "--brokers",
        &node.kafka,
        "--from",
        "end",
        "--exit-at-end",
    ]);
    assert_eq!(output.stdout, b"");
}

#[test]
fn batches_that_a_topic_finds_too_large_are_split() {
    let scratch = Scratch::new("split");
    let node = Node::start(scratch.path());
    let lines: String = (0..3000).map(|line| format!("line {line}\n")).collect();
    for (topic, limit) in [
        ("by-message", "max.message.bytes=1000"),
        ("by-segment", "segment.bytes=4096"),
    ] {
        let at = ["--brokers", &node.kafka];
        let ran = |words: &[&str]| run(&[words, &at[..]].concat());
        let created = ran(&["topic", "create", topic, "--config", limit]);
        assert!(created.status.success());
        let produced = feed(&["produce", topic, at[0], at[1]], lines.as_bytes());
        let said = String::from_utf8_lossy(&produced.stderr);
        assert!(produced.status.success(), "{said}");
        let consumed = ran(&["consume", topic, "--exit-at-end"]);
        assert_eq!(consumed.stdout, lines.as_bytes());
    }
}

#[test]
fn unacknowledged_lines_are_counted() {
    let scratch = Scratch::new("unacknowledged");
    let node = Node::start(scratch.path());
    let brokers = node.kafka.clone();
    let output = feed(
        &["produce", "bad/name", "--brokers", &brokers],
        b"one\ntwo\nthree\n",
    );
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&output.stderr).contains('3'),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn a_topic_that_is_not_there_and_is_not_made_is_named_soon() {
    let scratch = Scratch::new("no-topic");
    let settings = ["--set", "auto.create.topics.enable=false"];
    let node = Node::start_with(scratch.path(), &settings);
    let begun = std::time::Instant::now();
    let produced = feed(&["produce", "absent", "--brokers", &node.kafka], b"1\n2\n");
    assert_refused(
        &produced,
        1,
        &["2 of 2 lines", "line 1", "topic absent does not exist"],
    );
    assert!(begun.elapsed() < std::time::Duration::from_secs(30));
}

#[test]
fn a_line_that_is_refused_without_an_answer_is_told_all_the_same() {
    let scratch = Scratch::new("no-answer");
    let node = Node::start(scratch.path());
    let at = ["--brokers", &node.kafka];
    let limit = "max.message.bytes=200";
    let created = run(&[&["topic", "create", "short", "--config", limit], &at[..]].concat());
    assert!(created.status.success());
    let produce = |line: &[u8]| {
        let words = ["produce", "short", "--acks", "0"];
        feed(&[&words, &at[..]].concat(), line)
    };
    assert_refused(&produce(&[b'x'; 1000]), 1, &["--acks 0", "closed"]);
    let taken = produce(b"a short one\n");
    assert!(taken.status.success(), "{taken:?}");
    let consumed = run(&[&["consume", "short", "--exit-at-end"], &at[..]].concat());
    assert_eq!(consumed.stdout, b"a short one\n");
}

#[test]
fn topics_are_made_listed_altered_described_and_deleted() {
    let scratch = Scratch::new("topics");
    let node = Node::start(scratch.path());
    let topic = |arguments: &[&str]| {
        let mut all = vec!["topic"];
        all.extend(arguments);
        all.extend(["--brokers", &node.kafka]);
        run(&all)
    };
    assert!(
        topic(&[
            "create",
            "orders",
            "--partitions",
            "3",
            "--config",
            "retention.ms=1000000"
        ])
        .status
        .success()
    );
    assert_refused(&topic(&["create", "orders"]), 1, &["orders"]);
    let listed = topic(&["list", "--json"]);
    assert!(String::from_utf8_lossy(&listed.stdout).contains("\"orders\""));
    let described = topic(&["describe", "orders", "--json"]);
    let described = String::from_utf8_lossy(&described.stdout).into_owned();
    assert!(
        described.contains("retention.ms") && described.contains("1000000"),
        "{described}"
    );
    assert!(topic(&["delete", "orders"]).status.success());
    assert_refused(&topic(&["delete", "orders"]), 1, &["orders"]);
    assert!(!String::from_utf8_lossy(&topic(&["list"]).stdout).contains("orders"));
}

#[test]
fn a_reader_that_retention_overtakes_says_so_and_goes_on() {
    let scratch = Scratch::new("overtaken");
    let settings = [
        "--set",
        "log.segment.bytes=4096",
        "--set",
        "log.retention.bytes=8192",
        "--set",
        "log.retention.check.interval.ms=20",
    ];
    let node = Node::start_with(scratch.path(), &settings);
    let produce = |lines: &[u8]| {
        let produced = feed(&["produce", "short", "--brokers", &node.kafka], lines);
        assert!(produced.status.success(), "{produced:?}");
    };
    produce(b"first\n");
    let mut reader = taffrail(&["consume", "short", "--brokers", &node.kafka])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut lines = BufReader::new(reader.stdout.take().expect("stdout is a pipe")).lines();
    let mut next = || lines.next().expect("a line").expect("text");
    assert_eq!(next(), "first");

    // While it stands still, what it would read next goes.
    signal(reader.id(), "-STOP");
    for _ in 0..30 {
        produce(&[&[b'x'; 1500][..], b"\n"].concat());
    }
    let start = || {
        let described = run(&[
            "topic",
            "describe",
            "short",
            "--json",
            "--brokers",
            &node.kafka,
        ]);
        let described: serde_json::Value =
            serde_json::from_slice(&described.stdout).expect("JSON on stdout");
        described["partitions"][0]["start"]
            .as_i64()
            .expect("a number")
    };
    while start() < 20 {
        std::thread::yield_now();
    }
    signal(reader.id(), "-CONT");
    produce(b"last\n");
    while next() != "last" {}
    signal(reader.id(), "-TERM");
    let output = reader.wait_with_output().expect("the command ends");
    assert_eq!(output.status.code(), Some(0));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("were removed before they were read"),
        "{said}"
    );

    // Where it was told to begin, it does not begin elsewhere.
    let absent = ["consume", "short", "--from", "1", "--exit-at-end"];
    let absent = [&absent[..], &["--brokers", &node.kafka]].concat();
    assert_refused(&run(&absent), 1, &["offset 1 is not in the log"]);
}

#[test]
fn a_stopped_data_directory_verifies_and_a_damaged_one_does_not() {
    let scratch = Scratch::new("verify");
    let node = Node::start(scratch.path());
    assert!(
        feed(
            &["produce", "lines", "--brokers", &node.kafka],
            &b"a line of some length\n".repeat(5000)
        )
        .status
        .success()
    );
    assert!(node.stop().success());
    let data = scratch.path().to_str().expect("a UTF-8 path");
    let verified = run(&["log", "verify", data]);
    assert_eq!(
        verified.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&verified.stderr)
    );
    let segment = largest_segment(scratch.path());
    let mut bytes = std::fs::read(&segment).expect("the segment is readable");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&segment, bytes).expect("the segment is writable");
    let damaged = run(&["log", "verify", data]);
    assert_eq!(
        damaged.status.code(),
        Some(3),
        "{}",
        String::from_utf8_lossy(&damaged.stderr)
    );
    let said = String::from_utf8_lossy(&damaged.stderr).into_owned()
        + &String::from_utf8_lossy(&damaged.stdout);
    assert!(
        said.contains(segment.file_name().expect("a name").to_str().expect("text")),
        "{said}"
    );
    let segment = segment.to_str().expect("a UTF-8 path");
    assert_refused(&run(&["log", "dump", segment]), 3, &["does not verify"]);
    let records = run(&["log", "dump", segment, "--records"]);
    assert_refused(&records, 3, &["does not verify", segment]);
    // What is sound is served; who reads on is told where the damage is, and does not wait for ever.
    let node = Node::start(scratch.path());
    let read = run(&[
        "consume",
        "lines",
        "--brokers",
        &node.kafka,
        "--exit-at-end",
    ]);
    assert_refused(&read, 1, &["lines-0", "offset", "damaged"]);
    assert!(node.stop().success());
    std::fs::remove_dir_all(scratch.path().join("journal")).expect("removed");
    for command in [["log", "verify", data], ["serve", "--data", data]] {
        assert_refused(&run(&command), 3, &["journal"]);
    }
}

#[test]
fn every_file_of_a_data_directory_is_listed_for_people_and_for_programs() {
    let scratch = Scratch::new("dump");
    let node = Node::start(scratch.path());
    let lines = feed(&["produce", "t", "--brokers", &node.kafka], b"one\ntwo\n");
    assert!(lines.status.success());
    assert!(node.stop().success());
    let mut dumped = 0;
    let mut paths = vec![scratch.path().to_path_buf()];
    while let Some(path) = paths.pop() {
        if path.is_dir() {
            let entries = std::fs::read_dir(&path).expect("listed");
            paths.extend(entries.map(|entry| entry.expect("an entry").path()));
            if path != scratch.path() {
                continue;
            }
        }
        let name = path.to_str().expect("a UTF-8 path");
        let text = run(&["log", "dump", name]);
        let json = run(&["log", "dump", name, "--json"]);
        for output in [&text, &json] {
            assert_eq!(output.status.code(), Some(0), "{name}: {output:?}");
        }
        let text = String::from_utf8(text.stdout).expect("text");
        assert!(!text.contains(['{', '[']), "{name}: {text}");
        let json = String::from_utf8(json.stdout).expect("text");
        for line in json.lines() {
            let object: serde_json::Value = serde_json::from_str(line).expect("JSON");
            assert!(object.is_object(), "{line}");
            dumped += 1;
        }
        assert_eq!(text.lines().count(), json.lines().count(), "{name}");
    }
    assert!(dumped > 10, "only {dumped} lines");
    let meta = scratch.path().join("taffrail.meta");
    let meta = run(&["log", "dump", meta.to_str().expect("a UTF-8 path")]);
    let meta = String::from_utf8(meta.stdout).expect("text");
    assert!(meta.starts_with("slot 0 counter "), "{meta}");
}

#[test]
fn a_start_on_damage_names_file_offset_and_invariant() {
    let scratch = Scratch::new("invariant");
    let node = Node::start(scratch.path());
    assert!(node.stop().success());
    let data = scratch.path().to_str().expect("a UTF-8 path");
    let file = |name: &str| scratch.path().join(name);
    let spoil = |name: &str| {
        let sound = std::fs::read(file(name)).expect("there");
        std::fs::write(file(name), vec![0x55; sound.len()]).expect("written");
        sound
    };
    let refused = |words: &[&str]| {
        assert_refused(&serve(scratch.path(), &[]), 3, words);
        assert_refused(&run(&["log", "verify", data]), 3, words);
    };
    let sound = spoil("taffrail.meta");
    refused(&["taffrail.meta: offset ", ": CHECKPOINT-ATOMIC: "]);
    std::fs::write(file("taffrail.meta"), sound).expect("written");
    let sound = ["checkpoint/0", "checkpoint/1"].map(|name| match file(name).exists() {
        true => Some((name, spoil(name))),
        false => None,
    });
    refused(&["checkpoint: offset 0: CHECKPOINT-ATOMIC: "]);
    for (name, sound) in sound.into_iter().flatten() {
        std::fs::write(file(name), sound).expect("written");
    }
    for entry in std::fs::read_dir(file("journal")).expect("listed") {
        std::fs::remove_file(entry.expect("an entry").path()).expect("removed");
    }
    refused(&["journal", ": offset 0: ACKED-DURABLE: "]);
}

fn largest_segment(data: &std::path::Path) -> std::path::PathBuf {
    let mut found = Vec::new();
    let mut directories = vec![data.to_path_buf()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).expect("listed") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "log") {
                found.push((std::fs::metadata(&path).expect("metadata").len(), path));
            }
        }
    }
    found.into_iter().max().expect("a segment").1
}
