//! Epochs of fetch sessions and of leaders: FENCE-EPOCH, and what LIVE-CONSUME says of a session's first answer.

use super::*;
use taffrail_wire::ErrorCode;

/// A request of this session and epoch, which asks for two partitions.
fn answered(
    (session, epoch): (i32, i32),
    answer: Result<i32, ErrorCode>,
    answered: &[&str],
) -> Event {
    let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Event::SessionAnswered {
        client: 1,
        session,
        epoch,
        answer,
        asked: own(&["topic/0", "topic/1"]),
        answered: own(answered),
    }
}

fn opened() -> Event {
    answered((0, 0), Ok(7), &["topic/0", "topic/1"])
}

#[test]
fn a_session_goes_on_from_epoch_to_epoch() {
    good([
        opened(),
        answered((7, 1), Ok(7), &["topic/1"]),
        answered((7, 2), Ok(7), &[]),
        // What is over is refused; that the broker has forgotten all of it may be, too.
        answered((7, 2), Err(ErrorCode::InvalidFetchSessionEpoch), &[]),
        answered((7, 3), Err(ErrorCode::FetchSessionIdNotFound), &[]),
        opened(),
        answered((7, 1), Ok(7), &[]),
    ]);
    // No room for a session.
    good([answered((0, 0), Ok(0), &["topic/1", "topic/0"])]);
}

#[test]
fn a_former_epoch_that_is_answered_is_seen() {
    let go_on = || answered((7, 1), Ok(7), &[]);
    bad("FENCE-EPOCH", [opened(), go_on(), go_on()]);
    bad("FENCE-EPOCH", [opened(), answered((7, 3), Ok(7), &[])]);
}

#[test]
fn the_next_epoch_that_is_refused_is_seen() {
    let refused = |asked| answered(asked, Err(ErrorCode::InvalidFetchSessionEpoch), &[]);
    bad("FENCE-EPOCH", [refused((0, 0))]);
    bad("FENCE-EPOCH", [opened(), refused((7, 1))]);
    // Nothing is known of this one.
    good([refused((8, 1))]);
}

#[test]
fn an_answer_to_what_is_not_asked_for_is_seen() {
    let strange = |names: &[&str]| answered((7, 1), Ok(7), names);
    bad("FENCE-EPOCH", [opened(), strange(&["topic/2"])]);
    bad("FENCE-EPOCH", [opened(), strange(&["topic/0", "topic/0"])]);
}

#[test]
fn a_first_answer_that_passes_over_a_partition_is_seen() {
    bad("LIVE-CONSUME", [answered((0, 0), Ok(7), &["topic/1"])]);
}

#[test]
fn a_leader_epoch_that_has_not_begun_is_not_answered() {
    let claimed = |epoch, answered| Event::EpochClaimed {
        partition: "topic/0".to_owned(),
        epoch,
        begun: 3,
        answered,
    };
    good([claimed(3, true), claimed(4, false)]);
    bad("FENCE-EPOCH", [claimed(4, true)]);
}
