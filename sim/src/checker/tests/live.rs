//! What a healed cluster owes: LIVE-PRODUCE, LIVE-ACK, LIVE-CONSUME, LIVE-COORD-LOAD, LIVE-FETCH-OFFSET, LIVE-REBALANCE.

use super::*;
use crate::history::Owed;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(5);

fn awaited(owed: Owed, came: Result<u64, &str>) -> Event {
    Event::Awaited {
        owed,
        of: "topic/0".to_owned(),
        came: came.map(Duration::from_secs).map_err(str::to_owned),
        patience: PATIENCE,
    }
}

const OWED: [(Owed, &str); 16] = [
    (Owed::Service, "LIVE-PRODUCE"),
    (Owed::Word, "LIVE-PRODUCE"),
    (Owed::Topic, "LIVE-PRODUCE"),
    (Owed::Intake, "LIVE-PRODUCE"),
    (Owed::Ack, "LIVE-ACK"),
    (Owed::Fates, "LIVE-ACK"),
    (Owed::Notice, "LIVE-ACK"),
    (Owed::Delivery, "LIVE-CONSUME"),
    (Owed::Turn, "LIVE-CONSUME"),
    (Owed::CatchUp, "LIVE-CONSUME"),
    (Owed::Rest, "LIVE-CONSUME"),
    (Owed::ReadBack { round: 1 }, "LIVE-CONSUME"),
    (Owed::CommittedOffset, "LIVE-FETCH-OFFSET"),
    (Owed::CoordinatorLoad, "LIVE-COORD-LOAD"),
    (Owed::Loaded, "LIVE-COORD-LOAD"),
    (Owed::Inheritance, "LIVE-REBALANCE"),
];

#[test]
fn what_is_owed_comes_in_time() {
    for (owed, invariant) in OWED {
        good([awaited(owed, Ok(0)), awaited(owed, Ok(5))]);
        bad(invariant, [awaited(owed, Ok(6))]);
        bad(invariant, [awaited(owed, Err("nothing"))]);
        // One judge speaks of it, and no other.
        let speaks = judge(all(), [awaited(owed, Err("nothing"))]);
        assert_eq!(speaks, Some(invariant));
    }
}

#[test]
fn what_is_missing_stands_in_the_witness() {
    for (owed, invariant) in OWED {
        let said = Court::default().on_event(&awaited(owed, Err("a lion in the way")));
        let violation = said.expect_err("it did not come");
        assert_eq!(violation.invariant, invariant);
        let witness = violation.witness;
        assert!(witness.contains("a lion in the way"), "{witness}");
    }
    let late = Court::default().on_event(&awaited(Owed::Ack, Ok(7)));
    let witness = late.expect_err("it came late").witness;
    assert_eq!(
        witness,
        "topic/0: a record was acknowledged 7s after it was sent"
    );
}

#[test]
fn without_law_only_a_word_is_owed() {
    let lawless = Event::LossAllowed { node: 1 };
    let silent = awaited(Owed::Word, Err("neither serves nor says why it does not"));
    bad("LIVE-PRODUCE", [lawless.clone(), silent]);
    for (owed, invariant) in OWED {
        if invariant != "LIVE-PRODUCE" {
            good([lawless.clone(), awaited(owed, Err("nothing"))]);
        }
    }
}

#[test]
fn members_are_of_one_generation_and_read_everything() {
    let settled = |generations: &[(u32, i32)], reach: &[(Offset, Offset)]| Event::GroupSettled {
        generations: generations.to_vec(),
        reach: (0..)
            .zip(reach)
            .map(|(number, (reached, end))| (partition(number), *reached, *end))
            .collect(),
        waited: PATIENCE,
    };
    good([settled(&[], &[])]);
    good([settled(&[(1, 4), (2, 4)], &[(3, 3), (9, 8)])]);
    bad("LIVE-REBALANCE", [settled(&[(1, 4), (2, 5)], &[(3, 3)])]);
    bad("LIVE-REBALANCE", [settled(&[(1, 4)], &[(3, 3), (7, 8)])]);
    let idle = |before: &[(u32, i32)], after: &[(u32, i32)]| Event::GroupIdle {
        before: before.to_vec(),
        after: after.to_vec(),
        lasted: PATIENCE,
    };
    good([idle(&[(1, 4), (2, 4)], &[(1, 4), (2, 4)])]);
    bad(
        "LIVE-REBALANCE",
        [idle(&[(1, 4), (2, 4)], &[(1, 5), (2, 5)])],
    );
    bad("LIVE-REBALANCE", [idle(&[(1, 4), (2, 4)], &[(1, 4)])]);
}
