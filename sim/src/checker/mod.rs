//! The judges: one file per invariant, each fed every event of a run.
//!
//! A checker is a fold over the history. It holds what it must remember and nothing else, costs (amortised)
//! constant time per event, and speaks as soon as the history cannot be explained any more. What a
//! checker says names the invariant and a witness: the few facts that contradict each other.
//!
//! What can only be found out by waiting, by stopping a node or by looking inside one, the harness finds out; but it tells what it
//! found, as events like any other, and the verdict is given here.
//!
//! The anomalies of a history by their usual names, and who speaks of them here:
//!
//! | anomaly | judge |
//! |---|---|
//! | inconsistent-offsets | OFFSET-UNIQUE, ACKED-OFFSET |
//! | duplicate | IDEMPOTENT |
//! | lost-write | LOST-WRITE |
//! | unseen | ACKED-DURABLE, when everything is read back |
//! | G1a | G1A |
//! | poll-skip, nonmonotonic-poll | POLL-SKIP, NONMONOTONIC-POLL |
//! | int-poll-skip, int-nonmonotonic-poll | READ-COMMITTED-PREFIX, within one answer |
//! | nonmonotonic-send | NONMONOTONIC-SEND |
//! | realtime-lag | LIVE-CONSUME: a reader that waits at the end of a healed log gets what comes within seconds |
//!
//! Not judged, since the code is not there: what a second replica, a transaction, a compacted log or a stream job would owe, numbers of
//! polls and commits beyond what their order tells, and ISOLATION: there are no quotas. Not injected, since one node cannot tell it from
//! what is: a panic of one task ends the process, as a kill does, and an allocation beyond the budget is one that MEM-CEILING objects to.
//! Judged under another name:
//!
//! | invariant | spoken of by |
//! |---|---|
//! | APPLY-ONCE | STATE-EQUAL: what was applied twice differs from its replay |
//! | EPOCH-MONO | IDEMPOTENT, for producers; ZOMBIE-FENCED, for generations |
//! | SNAPSHOT-EXACT | STATE-EQUAL, OFFSET-REPLAY-EQ: a start from the snapshot against one from the log |
//! | UNIQUE-EPOCH-OFFSET | OFFSET-UNIQUE: there is one epoch |
//! | READ-STABLE | OFFSET-UNIQUE: whoever reads an offset again is told the same |
//! | DERIVED-NOT-AHEAD | EPOCH-CACHE-EXACT, LIVE-COORD-LOAD: caches and snapshots that go further than their log |

mod aborted_read;
mod acked_durable;
mod acked_offset;
mod apply_before_lead;
mod bounded_queue;
mod budget_zero;
mod checkpoint_atomic;
mod ctrl_consistent;
mod docket;
mod epoch_cache_exact;
mod fence_epoch;
mod group_offsets;
mod hw_bounds;
mod idempotent;
mod linear_read;
mod live_ack;
mod live_consume;
mod live_coord_load;
mod live_fetch_offset;
mod live_produce;
mod live_rebalance;
mod log_match;
mod lost_write;
mod mem_ceiling;
mod no_cross_topic;
mod no_silent_corruption;
mod no_write_after_error;
mod offset_order;
mod offset_range_truth;
mod offset_unique;
mod one_owner;
mod persist_before_ack;
mod policy_respected;
mod poll_order;
mod read_committed_prefix;
mod recovery_ran;
mod refusal;
mod replay_equal;
mod snapshot_covers_prefix;
#[cfg(test)]
mod tests;
mod topic_id;
mod waiting;
mod zombie_fenced;

use crate::history::Event;
pub use docket::{Case, Polled, Sent};

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The invariant, as it is named in the field: `ACKED-DURABLE`.
    pub invariant: &'static str,
    /// The facts that contradict each other, in one line.
    pub witness: String,
}

impl Violation {
    pub fn new(invariant: &'static str, witness: String) -> Violation {
        Violation { invariant, witness }
    }
}

/// One invariant's judge.
pub trait Checker {
    /// What it may speak of.
    fn invariants(&self) -> &'static [&'static str];

    /// Whether it speaks also where a disk was allowed to lose anything, because what it watches over is not a matter of
    /// keeping.
    fn holds_without_law(&self) -> bool {
        false
    }

    /// Takes note of an event, and objects if it cannot be.
    fn on_event(&mut self, case: &Case<'_>) -> Result<(), Violation>;

    /// The run is over: objects if something that had to happen has not.
    fn finish(&mut self) -> Result<(), Violation> {
        Ok(())
    }
}

/// A fresh judge for every invariant.
pub fn all() -> Vec<Box<dyn Checker>> {
    vec![
        Box::new(no_silent_corruption::NoSilentCorruption::default()),
        Box::new(no_cross_topic::NoCrossTopic::default()),
        Box::new(topic_id::TopicId::default()),
        Box::new(aborted_read::AbortedRead::default()),
        Box::new(acked_offset::AckedOffset::default()),
        Box::new(idempotent::Idempotent::default()),
        Box::new(offset_unique::OffsetUnique::default()),
        Box::new(log_match::LogMatch::default()),
        Box::new(acked_durable::AckedDurable::default()),
        Box::new(lost_write::LostWrite::default()),
        Box::new(read_committed_prefix::ReadCommittedPrefix),
        Box::new(poll_order::PollOrder::default()),
        Box::new(hw_bounds::HwBounds),
        Box::new(offset_order::OffsetOrder::default()),
        Box::new(linear_read::LinearRead::default()),
        Box::new(offset_range_truth::OffsetRangeTruth::default()),
        Box::new(policy_respected::PolicyRespected::default()),
        Box::new(epoch_cache_exact::EpochCacheExact),
        Box::new(group_offsets::GroupOffsets::default()),
        Box::new(one_owner::OneOwner::default()),
        Box::new(zombie_fenced::ZombieFenced::default()),
        Box::new(persist_before_ack::PersistBeforeAck::default()),
        Box::new(no_write_after_error::NoWriteAfterError::default()),
        Box::new(recovery_ran::RecoveryRan),
        Box::new(checkpoint_atomic::CheckpointAtomic),
        Box::new(replay_equal::ReplayEqual),
        Box::new(apply_before_lead::ApplyBeforeLead::default()),
        Box::new(snapshot_covers_prefix::SnapshotCoversPrefix),
        Box::new(ctrl_consistent::CtrlConsistent::default()),
        Box::new(mem_ceiling::MemCeiling),
        Box::new(budget_zero::BudgetZero),
        Box::new(bounded_queue::BoundedQueue),
        Box::new(fence_epoch::FenceEpoch::default()),
        Box::new(live_produce::LiveProduce),
        Box::new(live_ack::LiveAck),
        Box::new(live_consume::LiveConsume),
        Box::new(live_coord_load::LiveCoordLoad),
        Box::new(live_fetch_offset::LiveFetchOffset),
        Box::new(live_rebalance::LiveRebalance),
    ]
}

/// Every invariant that a run may be found to break.
pub fn invariants() -> Vec<&'static str> {
    let judges = all();
    let spoken = judges.iter().flat_map(|judge| judge.invariants());
    spoken.copied().collect()
}

/// All judges together.
pub struct Court {
    docket: docket::Docket,
    checkers: Vec<Box<dyn Checker>>,
}

impl Default for Court {
    fn default() -> Court {
        Court {
            docket: docket::Docket::default(),
            checkers: all(),
        }
    }
}

impl Court {
    /// Shows the event to every judge; the first objection ends the run.
    pub fn on_event(&mut self, event: &Event) -> Result<(), Violation> {
        let case = self.docket.open(event);
        ask(&mut self.checkers, |checker| checker.on_event(&case))?;
        if self.docket.is_lawless() {
            self.checkers.retain(|checker| checker.holds_without_law());
        }
        Ok(())
    }

    /// Whether the run may still be found to break this.
    pub fn upholds(&self, invariant: &str) -> bool {
        let mut said = self
            .checkers
            .iter()
            .flat_map(|checker| checker.invariants());
        !self.docket.is_lawless() || said.any(|name| *name == invariant)
    }

    pub fn finish(&mut self) -> Result<(), Violation> {
        ask(&mut self.checkers, |checker| checker.finish())
    }
}

fn ask(
    checkers: &mut [Box<dyn Checker>],
    mut question: impl FnMut(&mut dyn Checker) -> Result<(), Violation>,
) -> Result<(), Violation> {
    for checker in checkers {
        if let Err(violation) = question(checker.as_mut()) {
            let known = checker.invariants().contains(&violation.invariant);
            assert!(known, "a judge speaks of {}", violation.invariant);
            return Err(violation);
        }
    }
    Ok(())
}
