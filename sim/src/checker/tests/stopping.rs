//! How nodes stop and start again, and what they leave: CHECKPOINT-ATOMIC, SNAPSHOT-COVERS-PREFIX, and what RECOVERY-RAN, BUDGET-ZERO and
//! ACKED-DURABLE say of it.

use super::*;
use crate::history::{Grievance, Hurt, Stop};
use std::time::Duration;

const OVER: [(Grievance, &str); 2] = [
    (Grievance::Checkpoint, "CHECKPOINT-ATOMIC"),
    (Grievance::Other, "RECOVERY-RAN"),
];

fn refused(over: Grievance, hurt: Option<Hurt>) -> Event {
    Event::StartRefused {
        node: 1,
        after: "after the healing".to_owned(),
        over,
        why: "something does not verify".to_owned(),
        hurt,
    }
}

#[test]
fn a_refusal_of_what_a_process_left_is_seen() {
    for (over, invariant) in OVER {
        bad(invariant, [refused(over, None)]);
        let speaks = judge(all(), [refused(over, None)]);
        assert_eq!(speaks, Some(invariant));
    }
}

#[test]
fn a_directory_that_was_hurt_is_refused_only_where_it_must_be_and_with_a_reason() {
    let fair = Hurt {
        place: "a checkpoint".to_owned(),
        has_copy: false,
        is_named: true,
        is_changed: false,
    };
    for (over, invariant) in OVER {
        good([refused(over, Some(fair.clone()))]);
        let unfair = [
            Hurt {
                has_copy: true,
                ..fair.clone()
            },
            Hurt {
                is_named: false,
                ..fair.clone()
            },
            Hurt {
                is_changed: true,
                ..fair.clone()
            },
        ];
        for hurt in unfair {
            bad(invariant, [refused(over, Some(hurt))]);
        }
    }
}

#[test]
fn a_clean_stop_ends_and_leaves_nothing_unsound() {
    let stopped = |stop| Event::Stopped { node: 1, stop };
    let unsound = |over| Stop::Unsound {
        over,
        what: "a file does not verify".to_owned(),
    };
    good([stopped(Stop::Sound)]);
    let broken = [
        (Stop::Endless(Duration::from_secs(9)), "CHECKPOINT-ATOMIC"),
        (Stop::Unclean("no space".to_owned()), "CHECKPOINT-ATOMIC"),
        (
            Stop::Unverifiable("no mark".to_owned()),
            "CHECKPOINT-ATOMIC",
        ),
        (unsound(Grievance::Checkpoint), "CHECKPOINT-ATOMIC"),
        (unsound(Grievance::Other), "ACKED-DURABLE"),
        (Stop::Stray("a directory".to_owned()), "BUDGET-ZERO"),
    ];
    for (stop, invariant) in broken {
        bad(invariant, [stopped(stop.clone())]);
        assert_eq!(judge(all(), [stopped(stop)]), Some(invariant));
    }
}

#[test]
fn a_log_without_a_beginning_or_a_snapshot_of_it_is_seen() {
    let left = |start, snapshot_end| Event::PrefixLeft {
        node: 1,
        log: partition(0),
        start,
        snapshot_end,
    };
    good([left(0, 0), left(0, 9), left(9, 9), left(9, 12)]);
    bad("SNAPSHOT-COVERS-PREFIX", [left(9, 8)]);
    bad("SNAPSHOT-COVERS-PREFIX", [left(1, 0)]);
}
