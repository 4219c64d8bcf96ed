//! Every judge on hand-made histories: silent on a good one, and speaking alone on each bad one.

mod acked;
mod bounds;
mod contents;
mod disk;
mod epochs;
mod groups;
mod idempotent;
mod live;
mod log;
mod node;
mod policy;
mod reading;
mod stopping;
mod topic_id;

use super::docket::Docket;
use super::{Checker, Court, all};
use crate::history::{Bounds, Event, Written};
use taffrail_record::{Offset, TopicId, TopicPartition};

fn partition(number: i32) -> TopicPartition {
    TopicPartition {
        topic: TopicId([7; 16]),
        partition: number,
    }
}

fn record(id: u64) -> Written {
    Written {
        id,
        digest: id * 1000 + 1,
    }
}

fn send(operation: u64, id: u64) -> Event {
    Event::SendStarted {
        operation,
        client: 1,
        partition: partition(0),
        record: record(id),
        idempotent: true,
    }
}

fn acked(operation: u64, offset: Offset) -> Event {
    Event::SendAcked { operation, offset }
}

/// A poll from `position` that returned these records.
fn poll(
    operation: u64,
    position: Offset,
    records: &[(Offset, Written)],
    high_watermark: Offset,
) -> [Event; 2] {
    [
        Event::PollStarted {
            operation,
            client: 2,
            partition: partition(0),
            position,
            fresh: true,
        },
        Event::PollAcked {
            operation,
            records: records.to_vec(),
            high_watermark,
        },
    ]
}

fn read_back(round: u32, start: Offset, end: Offset, records: &[(Offset, Written)]) -> Event {
    Event::ReadBack {
        round,
        partition: partition(0),
        start,
        end,
        records: records.to_vec(),
    }
}

fn exposed(start: Offset, high_watermark: Offset, end: Offset) -> Event {
    let bounds = Bounds {
        start,
        last_stable: high_watermark,
        high_watermark,
        end,
    };
    Event::Exposed {
        node: 1,
        incarnation: 1,
        partition: partition(0),
        bounds,
        size: 0,
    }
}

fn life(number: u8) -> TopicPartition {
    TopicPartition {
        topic: TopicId([number; 16]),
        partition: 0,
    }
}

fn send_to(operation: u64, id: u64, partition: TopicPartition) -> Event {
    Event::SendStarted {
        operation,
        client: 1,
        partition,
        record: record(id),
        idempotent: false,
    }
}

fn fetch_of(operation: u64, partition: TopicPartition, fresh: bool) -> Event {
    Event::PollStarted {
        operation,
        client: 2,
        partition,
        position: 0,
        fresh,
    }
}

fn fetched(operation: u64, records: &[(Offset, Written)]) -> Event {
    Event::PollAcked {
        operation,
        records: records.to_vec(),
        high_watermark: records.len() as Offset,
    }
}

fn commit(operation: u64, offset: Offset) -> Event {
    Event::CommitStarted {
        operation,
        group: 1,
        partition: partition(0),
        offset,
        by: None,
    }
}

fn committed(operation: u64, offset: Option<Offset>) -> [Event; 2] {
    [
        Event::CommittedStarted {
            operation,
            group: 1,
            partition: partition(0),
        },
        Event::CommittedAcked { operation, offset },
    ]
}

/// Runs the history past these judges: the invariant that objects, if any does.
fn judge(checkers: Vec<Box<dyn Checker>>, events: impl IntoIterator<Item = Event>) -> Verdict {
    let mut court = Court {
        docket: Docket::default(),
        checkers,
    };
    for event in events {
        if let Err(violation) = court.on_event(&event) {
            return Some(violation.invariant);
        }
    }
    court.finish().err().map(|violation| violation.invariant)
}

type Verdict = Option<&'static str>;

/// Nobody objects.
fn good(events: impl IntoIterator<Item = Event>) {
    assert_eq!(judge(all(), events), None);
}

/// Whoever judges by this invariant objects, without anybody's help.
fn bad(invariant: &'static str, events: impl IntoIterator<Item = Event>) {
    let mut judges = all();
    judges.retain(|judge| judge.invariants().contains(&invariant));
    assert_eq!(judge(judges, events), Some(invariant));
}

fn written_twice() -> Vec<Event> {
    vec![send(1, 10), acked(1, 0), send(2, 11), acked(2, 1)]
}

#[test]
fn a_good_history_passes_every_judge() {
    let mut events = written_twice();
    events.extend([
        send(3, 12),
        Event::SendUnknown { operation: 3 },
        exposed(0, 2, 3),
    ]);
    events.extend(poll(4, 0, &[(0, record(10)), (1, record(11))], 2));
    events.push(Event::EndStarted {
        operation: 5,
        client: 2,
        partition: partition(0),
    });
    events.push(Event::EndAcked {
        operation: 5,
        end: 3,
    });
    events.push(read_back(
        0,
        0,
        3,
        &[(0, record(10)), (1, record(11)), (2, record(12))],
    ));
    events.push(Event::StartMoved {
        partition: partition(0),
        start: 1,
    });
    events.push(read_back(1, 1, 3, &[(1, record(11)), (2, record(12))]));
    good(events);
}
