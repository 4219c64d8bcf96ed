//! What the command line takes, and how it says what it does not take.

use super::*;
use clap::CommandFactory;

fn parse(line: &str) -> Result<Arguments, String> {
    let words = line.split(' ').filter(|word| !word.is_empty());
    Arguments::try_parse_from(std::iter::once("taffrail").chain(words))
        .map_err(|error| usage_line(&error))
}

#[test]
fn the_definitions_agree_with_one_another() {
    Arguments::command().debug_assert();
}

#[test]
fn a_wrong_option_is_told_in_one_line_with_the_nearest_right_one() {
    let line = parse("serve --datta x").expect_err("a slip");
    assert_eq!(
        line,
        "unexpected argument '--datta' found; a similar argument exists: '--data'"
    );
    let line = parse("topicc list").expect_err("a slip");
    assert!(line.contains("'topic'"), "{line}");
    let line = parse("produce t --compression zst").expect_err("a slip");
    assert!(line.contains("'zstd'") && !line.contains('\n'), "{line}");
}

#[test]
fn a_wrong_value_names_what_would_be_right() {
    for (command, expected) in [
        ("serve --listen 9092", "HOST:PORT"),
        ("serve --listen ::1:9092", "[::1]:9092"),
        ("serve --memory lots", "256MiB"),
        ("serve --nodes 127.0.0.1:9093", "1@127.0.0.1:9093"),
        ("serve --set num.partitions", "KEY=VALUE"),
        ("consume t --from yesterday", "2026-01-31T12:00:00Z"),
        ("consume t --from -1", "2026-01-31T12:00:00Z"),
        ("group reset g --topic t --to -1", "2026-01-31T12:00:00Z"),
        ("serve --node-id -1", "-1 is not in 0.."),
        ("topic create t --partitions -1", "-1 is not in 1.."),
        ("produce t --acks -1", "all"),
        ("consume t --count -1", "a whole number, 0 or more"),
        ("consume t --count many", "a whole number, 0 or more"),
        ("bench produce --rate 0", "a whole number, 1 or more"),
    ] {
        let line = parse(command).expect_err("a wrong value");
        assert!(line.contains(expected) && !line.contains('\n'), "{line}");
    }
}

#[test]
fn sizes_have_units() {
    for (text, bytes) in [
        ("5", 5),
        ("1k", 1024),
        ("256MiB", 256 << 20),
        ("2 GB", 2 << 30),
    ] {
        assert_eq!(size(text), Ok(Size(bytes)));
    }
    assert!(size("99999999999GiB").is_err());
    assert!(size("-1").is_err());
}

#[test]
fn places_are_names_offsets_or_times() {
    assert_eq!(place("start"), Ok(Place::Start));
    assert_eq!(place("end"), Ok(Place::End));
    assert_eq!(place("17"), Ok(Place::Offset(17)));
    assert_eq!(place("@1700000000000"), Ok(Place::Time(1_700_000_000_000)));
    assert_eq!(place("1970-01-01T00:00:01Z"), Ok(Place::Time(1000)));
    assert!(place("-1").is_err());
}

#[test]
fn brokers_default_to_this_machine() {
    let Ok(Arguments {
        command: Command::Consume(options),
        ..
    }) = parse("consume t")
    else {
        panic!("it is a command");
    };
    assert_eq!(options.brokers.brokers, [DEFAULT_LISTEN]);
    assert_eq!(options.from, Place::Start);
}
