//! Files: PERSIST-BEFORE-ACK, NO-WRITE-AFTER-ERROR.

use super::*;
use crate::history::DiskChange;

/// A change of file 3 by handle 8.
pub(super) fn asked(change: DiskChange, records: &[u64]) -> Event {
    Event::DiskAsked {
        node: 1,
        incarnation: 1,
        file: 3,
        handle: 8,
        change,
        records: records.to_vec(),
    }
}

pub(super) fn ended(change: DiskChange, failed: bool) -> Event {
    Event::DiskEnded {
        node: 1,
        incarnation: 1,
        file: 3,
        handle: 8,
        change,
        failed,
    }
}

/// A record is written, and synced as far as `done` says: not at all, with an error, or well.
fn journaled(records: &[u64], done: Option<bool>) -> Vec<Event> {
    let mut events = vec![
        asked(DiskChange::Write, records),
        asked(DiskChange::Sync, &[]),
        ended(DiskChange::Write, false),
    ];
    events.extend(done.map(|well| ended(DiskChange::Sync, !well)));
    events
}

#[test]
fn an_acknowledgement_comes_after_the_sync_that_covers_it() {
    let acked_after = |records: &[u64], done| {
        let mut events = vec![send(1, 10)];
        events.extend(journaled(records, done));
        events.push(acked(1, 0));
        events
    };
    good(acked_after(&[10], Some(true)));
    bad("PERSIST-BEFORE-ACK", acked_after(&[10], None));
    bad("PERSIST-BEFORE-ACK", acked_after(&[10], Some(false)));
    // Compressed: nobody can say what was written, but something has to be.
    good(acked_after(&[], Some(true)));
    bad("PERSIST-BEFORE-ACK", acked_after(&[], None));
}

/// The same by the process after it, which writes what nobody can recognise.
fn journaled_by_the_next(records: &[u64]) -> Vec<Event> {
    let mut events = journaled(records, None);
    let again = journaled(&[], Some(true)).into_iter();
    events.extend(again.map(|mut event| {
        if let Event::DiskAsked { incarnation, .. } | Event::DiskEnded { incarnation, .. } =
            &mut event
        {
            *incarnation = 2;
        }
        event
    }));
    events
}

#[test]
fn what_one_process_wrote_may_be_written_in_another_codec_by_the_next() {
    let acked_after = |mut events: Vec<Event>| {
        events.insert(0, send(1, 10));
        events.push(acked(1, 0));
        events
    };
    let recompressed = |mut events: Vec<Event>| {
        events.insert(0, Event::Recompresses);
        events
    };
    let written = journaled_by_the_next(&[10]);
    bad("PERSIST-BEFORE-ACK", acked_after(written.clone()));
    good(recompressed(acked_after(written)));
    // By the same process it has to be what was seen.
    let written = journaled(&[10], None);
    bad("PERSIST-BEFORE-ACK", recompressed(acked_after(written)));
}

#[test]
fn a_sync_covers_what_was_written_before_it_and_by_the_same_process() {
    let mut events = vec![send(1, 10)];
    events.extend([
        asked(DiskChange::Sync, &[]),
        asked(DiskChange::Write, &[10]),
        ended(DiskChange::Sync, false),
        ended(DiskChange::Write, false),
    ]);
    events.push(acked(1, 0));
    bad("PERSIST-BEFORE-ACK", events);
    let mut events = vec![send(1, 10)];
    events.extend(journaled(&[10], None));
    events.extend([
        Event::DiskAsked {
            node: 1,
            incarnation: 2,
            file: 3,
            handle: 9,
            change: DiskChange::Sync,
            records: Vec::new(),
        },
        Event::DiskEnded {
            node: 1,
            incarnation: 2,
            file: 3,
            handle: 9,
            change: DiskChange::Sync,
            failed: false,
        },
        acked(1, 0),
    ]);
    bad("PERSIST-BEFORE-ACK", events);
}

#[test]
fn a_commit_is_written_and_synced_before_it_is_acknowledged() {
    let taken = Event::CommitAcked { operation: 1 };
    let mut events = journaled(&[], Some(true));
    events.extend([commit(1, 5), taken.clone()]);
    bad("PERSIST-BEFORE-ACK", events);
    let mut events = vec![commit(1, 5)];
    events.extend(journaled(&[], Some(true)));
    events.push(taken);
    good(events);
}

#[test]
fn what_a_consumer_sees_is_durable() {
    let seen_after = |records: &[u64], done| {
        let mut events = vec![send(1, 10)];
        events.extend(journaled(records, done));
        events.extend(poll(2, 0, &[(0, record(10))], 1));
        events
    };
    good(seen_after(&[10], Some(true)));
    bad("HW-QUORUM", seen_after(&[10], None));
    bad("HW-QUORUM", seen_after(&[10], Some(false)));
    // Compressed: nobody can say what was written.
    good(seen_after(&[], None));
}

#[test]
fn a_handle_that_failed_is_not_used_again() {
    let failed = [asked(DiskChange::Sync, &[]), ended(DiskChange::Sync, true)];
    let elsewhere = Event::DiskAsked {
        node: 1,
        incarnation: 1,
        file: 3,
        handle: 9,
        change: DiskChange::Write,
        records: Vec::new(),
    };
    let mut events = failed.to_vec();
    events.push(elsewhere);
    good(events);
    for change in [DiskChange::Write, DiskChange::Sync, DiskChange::Other] {
        let mut events = failed.to_vec();
        events.push(asked(change, &[]));
        bad("NO-WRITE-AFTER-ERROR", events);
    }
}
