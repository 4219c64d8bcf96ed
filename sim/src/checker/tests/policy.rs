//! What retention may take, and how large a segment is: POLICY-RESPECTED.

use super::*;
use std::time::Duration;

const KEPT: u64 = 3000;

fn retention() -> Event {
    Event::Retention {
        partition: partition(0),
        bytes: KEPT,
    }
}

fn asked(start: Offset) -> Event {
    Event::StartMoved {
        partition: partition(0),
        start,
    }
}

/// A look of a process at a log that ends at 9.
fn sized(incarnation: u32, start: Offset, size: u64) -> Event {
    Event::Exposed {
        node: 1,
        incarnation,
        partition: partition(0),
        bounds: Bounds {
            start,
            last_stable: 9,
            high_watermark: 9,
            end: 9,
        },
        size,
    }
}

#[test]
fn retention_leaves_what_is_to_be_kept() {
    good([retention(), sized(1, 0, 7000), sized(1, 4, KEPT)]);
    good([retention(), sized(1, 0, 100), sized(1, 0, 100)]);
    bad(
        "POLICY-RESPECTED",
        [retention(), sized(1, 0, 7000), sized(1, 4, KEPT - 1)],
    );
    // A deletion that was asked for explains no start beyond it.
    bad(
        "POLICY-RESPECTED",
        [retention(), asked(3), sized(1, 0, 7000), sized(1, 4, 0)],
    );
}

#[test]
fn what_somebody_deletes_is_not_taken_by_retention() {
    good([retention(), sized(1, 0, 7000), asked(4), sized(1, 4, 0)]);
    good([asked(5), retention(), sized(1, 0, 7000), sized(1, 4, 0)]);
}

#[test]
fn nothing_is_promised_of_other_logs_nor_by_a_process_that_died() {
    good([sized(1, 0, 7000), sized(1, 4, 0)]);
    good([retention(), sized(1, 0, 7000), sized(2, 4, 0)]);
    let deleted = Event::DeleteStarted {
        partition: partition(0),
    };
    good([retention(), sized(1, 0, 7000), deleted, sized(1, 4, 0)]);
}

#[test]
fn only_a_batch_that_is_alone_is_larger_than_a_segment() {
    let seen = |batches, bytes| Event::SegmentSeen {
        partition: partition(0),
        base: 5,
        batches,
        bytes,
        bytes_max: 4096,
    };
    good([seen(9, 4096), seen(1, 5000), seen(0, 0)]);
    bad("POLICY-RESPECTED", [seen(2, 4097)]);
}

#[test]
fn retention_takes_what_is_too_much() {
    let retained = |bytes| Event::Retained {
        partition: partition(0),
        bytes,
        bytes_max: KEPT,
        waited: Duration::from_secs(180),
    };
    good([retained(Some(0)), retained(Some(KEPT))]);
    bad("POLICY-RESPECTED", [retained(Some(KEPT + 1))]);
    bad("POLICY-RESPECTED", [retained(None)]);
}
