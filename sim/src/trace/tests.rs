//! The hash sees every field and the order; names are read as they are written.

use super::*;

fn hash_of(events: &[(EventKind, u32, u64, u64, u64, u64)]) -> TraceHash {
    let mut trace = Trace::new(Recording::Off);
    for (kind, node, time, a, b, digest) in events {
        trace.event(*kind, *node, *time, (*a, *b, *digest), || None);
    }
    trace.hash()
}

#[test]
fn each_field_and_the_order_change_the_hash() {
    let base = (EventKind::Send, 1, 2, 3, 4, 5);
    let variants = [
        (EventKind::Arrive, 1, 2, 3, 4, 5),
        (EventKind::Send, 2, 2, 3, 4, 5),
        (EventKind::Send, 1, 3, 3, 4, 5),
        (EventKind::Send, 1, 2, 4, 4, 5),
        (EventKind::Send, 1, 2, 3, 5, 5),
        (EventKind::Send, 1, 2, 3, 4, 6),
    ];
    for variant in variants {
        assert_ne!(hash_of(&[base]), hash_of(&[variant]));
        assert_ne!(hash_of(&[base, variant]), hash_of(&[variant, base]));
    }
}

#[test]
fn the_hash_of_a_known_trace_never_changes() {
    let hash = hash_of(&[
        (EventKind::Send, 1, 2, 3, 4, 5),
        (EventKind::Poll, 0, 9, 8, 7, 6),
    ]);
    assert_eq!(hash.to_string(), "f60967446290e115637c11474891abf8");
    assert_eq!(format!("{:016x}", digest(b"taffrail")), "1897528505e41f35");
}

#[test]
fn checkpoints_stay_few_and_agree_between_runs() {
    let run = |events: u64| {
        let mut trace = Trace::new(Recording::Off);
        for number in 0..events {
            trace.event(EventKind::Poll, 0, number, (1, 2, 3), || None);
        }
        trace
    };
    let long = run(5_000_000);
    assert!(long.checkpoints().len() <= CHECKPOINTS_MAX);
    let some = long.checkpoints()[3];
    assert_eq!(run(some.events).hash(), some.hash);
}

#[test]
fn the_last_events_are_kept_when_asked_for() {
    let mut trace = Trace::new(Recording::Last(3));
    for number in 0..10 {
        trace.event(EventKind::Note, 0, number, (0, 0, 0), || {
            Some(number.to_string())
        });
    }
    let numbers: Vec<u64> = trace
        .into_events()
        .iter()
        .map(|event| event.number)
        .collect();
    assert_eq!(numbers, [7, 8, 9]);
}

#[test]
fn a_name_is_read_as_it_is_written() {
    let name = RunName {
        profile: "storage".to_owned(),
        seed: 17,
        hash: Some(TraceHash(0xabc)),
    };
    assert_eq!(RunName::parse(&name.to_string()), Ok(name));
    for wrong in [
        "storage",
        "@3",
        "a@b",
        "a@1#12",
        "a@1#g0000000000000000000000000000000",
    ] {
        assert!(RunName::parse(wrong).is_err(), "{wrong}");
    }
}
