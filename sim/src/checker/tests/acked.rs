//! What was acknowledged: ACKED-OFFSET, ACKED-DURABLE, and what is left of them without law.

use super::*;
use crate::history::DiskChange;

#[test]
fn two_records_acknowledged_at_one_offset_contradict() {
    bad(
        "ACKED-OFFSET",
        [send(1, 10), acked(1, 0), send(2, 11), acked(2, 0)],
    );
}

#[test]
fn an_acknowledgement_with_another_records_offset_is_a_lie() {
    let mut events = vec![
        send(1, 10),
        acked(1, 1),
        send(2, 11),
        Event::SendUnknown { operation: 2 },
    ];
    events.extend(poll(4, 0, &[(0, record(10)), (1, record(11))], 2));
    bad("ACKED-OFFSET", events);
}

#[test]
fn an_acknowledged_record_that_is_gone_is_lost() {
    let mut events = written_twice();
    events.push(read_back(0, 0, 1, &[(0, record(10))]));
    bad("ACKED-DURABLE", events);
}

#[test]
fn a_start_that_nobody_moved_loses_records() {
    let mut events = written_twice();
    events.push(read_back(0, 1, 2, &[(1, record(11))]));
    bad("ACKED-DURABLE", events);
}

#[test]
fn a_partition_that_cannot_be_read_needs_a_damaged_disk() {
    let refused = Event::ReadBackRefused {
        round: 0,
        partition: partition(0),
        from: 0,
        to: 2,
    };
    let damaged = |from, to| Event::DamageAllowed {
        node: 1,
        partition: partition(0),
        from,
        to,
    };
    bad("ACKED-DURABLE", [refused.clone()]);
    let elsewhere = [damaged(1, 9), damaged(0, 1), refused.clone()];
    good(elsewhere);
    bad("ACKED-DURABLE", [damaged(0, 1), refused.clone()]);
    // What was not refused must be there all the same.
    let mut events = written_twice();
    events.extend([send(3, 12), acked(3, 2), damaged(0, 2), refused]);
    let mut lost = events.clone();
    events.push(read_back(0, 0, 3, &[(2, record(12))]));
    good(events.clone());
    events.push(read_back(1, 0, 3, &[(2, record(12))]));
    bad("ACKED-DURABLE", events);
    lost.push(read_back(0, 0, 3, &[]));
    bad("ACKED-DURABLE", lost);
}

#[test]
fn a_disk_without_law_may_lose_and_may_not_lie() {
    let lawless = Event::LossAllowed { node: 1 };
    let mut events = written_twice();
    events.push(lawless.clone());
    events.push(read_back(0, 0, 0, &[]));
    events.extend([exposed(0, 2, 2), exposed(0, 0, 0)]);
    good(events.clone());
    let foreign = Written { id: 10, digest: 99 };
    events.push(read_back(1, 0, 1, &[(0, foreign)]));
    bad("NO-SILENT-CORRUPTION", events);
}

#[test]
fn an_acknowledged_record_is_where_it_was_said_to_be() {
    let mut events = written_twice();
    events.extend(poll(4, 0, &[(0, record(10)), (1, record(11))], 2));
    good(events.clone());
    // Acknowledged only after it was read.
    events.extend([send(3, 12)]);
    events.extend(poll(5, 2, &[(2, record(12))], 3));
    let mut elsewhere = events.clone();
    events.push(acked(3, 2));
    good(events);
    elsewhere.push(acked(3, 1));
    bad("ACKED-OFFSET", elsewhere);
}

#[test]
fn what_is_no_matter_of_keeping_is_judged_without_law() {
    let after = |event: Event| [Event::LossAllowed { node: 1 }, event];
    bad("HW-BOUNDS", after(exposed(3, 2, 4)));
    let queue = Event::Queue {
        node: 1,
        what: "requests of one connection",
        longest: 6,
        bound: 5,
    };
    bad("BOUNDED-QUEUE", after(queue));
    let up = Event::NodeUp {
        node: 1,
        incarnation: 2,
        clean: false,
        believes_clean: true,
    };
    bad("RECOVERY-RAN", after(up));
    let failed = [
        disk::asked(DiskChange::Sync, &[]),
        disk::ended(DiskChange::Sync, true),
        disk::asked(DiskChange::Write, &[]),
    ];
    let lawless = [Event::LossAllowed { node: 1 }];
    bad("NO-WRITE-AFTER-ERROR", lawless.into_iter().chain(failed));
}
