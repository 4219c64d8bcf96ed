//! OFFSET-NO-LOSS: an acknowledged commit is returned by every later fetch until it is overwritten; what a fetch returns was
//! committed by somebody and not overwritten since. OFFSET-MONO: what one fetch has returned is as good as acknowledged, and no later
//! fetch goes back behind it.
//!
//! A commit without a fate stays open for ever, even if it was seen: it may be tried again by whoever carries it.

use super::{Case, Checker, Violation};
use crate::history::{Event, OperationId};
use std::collections::BTreeMap;
use taffrail_record::{Offset, TopicPartition};

type Place = (u32, TopicPartition);

/// A commit, by the instants (counts of events) between which it took effect.
#[derive(Clone, Copy)]
struct Commit {
    offset: Offset,
    started: u64,
    /// None while it is open or unknown: it may take effect at any time from its start on.
    acked: Option<u64>,
    /// Nobody acknowledged it: a fetch returned it.
    seen: bool,
}

impl Commit {
    /// It has surely taken effect when a fetch began at `asked`.
    fn is_before(&self, asked: u64) -> bool {
        self.acked.is_some_and(|acked| acked < asked)
    }
}

/// Remembers every commit that a later fetch may legally return.
#[derive(Default)]
pub struct GroupOffsets {
    clock: u64,
    commits: BTreeMap<Place, Vec<(OperationId, Commit)>>,
    open: BTreeMap<OperationId, Place>,
    asked: BTreeMap<OperationId, (Place, u64)>,
}

impl GroupOffsets {
    /// A commit is legal for a fetch begun at `asked` unless another began after its acknowledgement and was itself
    /// acknowledged before the fetch began.
    fn legal(commits: &[(OperationId, Commit)], commit: &Commit, asked: u64) -> bool {
        let Some(acked) = commit.acked else {
            return true;
        };
        !commits
            .iter()
            .any(|(_, other)| other.started > acked && other.is_before(asked))
    }

    fn on_fetched(
        &mut self,
        operation: OperationId,
        (place, asked): (Place, u64),
        offset: Option<Offset>,
    ) -> Result<(), Violation> {
        let (group, partition) = place;
        let commits = self.commits.entry(place).or_default();
        let certain = commits.iter().map(|(_, commit)| commit);
        let newest = certain
            .filter(|commit| commit.is_before(asked))
            .max_by_key(|commit| (commit.started, !commit.seen))
            .copied();
        let told = format!("group {group} is told {offset:?} of {partition:?}");
        let Some(offset) = offset else {
            return newest.map_or(Ok(()), |newest| broken(&newest, told));
        };
        let may_be = |commit: &&Commit| {
            commit.offset == offset && !commit.seen && Self::legal(commits, commit, asked)
        };
        let candidates = commits.iter().map(|(_, commit)| commit).filter(may_be);
        match (candidates.map(|commit| commit.started).min(), newest) {
            (Some(started), _) => {
                // One of them took effect before now.
                let seen = Commit {
                    offset,
                    started,
                    acked: Some(self.clock),
                    seen: true,
                };
                commits.push((operation, seen));
                Ok(())
            }
            (None, Some(newest)) => broken(&newest, told),
            (None, None) => Err(Violation::new(
                "OFFSET-NO-LOSS",
                format!("{told}, and nobody committed anything"),
            )),
        }
    }
}

/// What a fetch returned leaves out this commit.
fn broken(newer: &Commit, told: String) -> Result<(), Violation> {
    let (invariant, how) = match newer.seen {
        true => ("OFFSET-MONO", "was returned by an earlier fetch"),
        false => ("OFFSET-NO-LOSS", "was committed and acknowledged"),
    };
    let witness = format!("{told}; {} {how}", newer.offset);
    Err(Violation::new(invariant, witness))
}

impl Checker for GroupOffsets {
    fn invariants(&self) -> &'static [&'static str] {
        &["OFFSET-NO-LOSS", "OFFSET-MONO"]
    }

    fn on_event(&mut self, case: &Case<'_>) -> Result<(), Violation> {
        self.clock += 1;
        match case.event {
            Event::CommitStarted {
                operation,
                group,
                partition,
                offset,
                ..
            } => {
                let place = (*group, *partition);
                let commit = Commit {
                    offset: *offset,
                    started: self.clock,
                    acked: None,
                    seen: false,
                };
                self.commits
                    .entry(place)
                    .or_default()
                    .push((*operation, commit));
                self.open.insert(*operation, place);
            }
            Event::CommitAcked { operation } => {
                let place = self
                    .open
                    .remove(operation)
                    .expect("a commit begins before it ends");
                let commits = self
                    .commits
                    .get_mut(&place)
                    .expect("noted at its beginning");
                if let Some((_, commit)) = commits.iter_mut().find(|(id, _)| id == operation) {
                    commit.acked = Some(self.clock);
                }
            }
            Event::CommitFailed { operation } => {
                let place = self
                    .open
                    .remove(operation)
                    .expect("a commit begins before it ends");
                self.commits
                    .get_mut(&place)
                    .expect("noted at its beginning")
                    .retain(|(id, _)| id != operation);
            }
            Event::CommittedStarted {
                operation,
                group,
                partition,
            } => {
                self.asked
                    .insert(*operation, ((*group, *partition), self.clock));
            }
            Event::CommittedFailed { operation } => {
                self.asked.remove(operation);
            }
            Event::CommittedAcked { operation, offset } => {
                let question = self
                    .asked
                    .remove(operation)
                    .expect("a question comes before its answer");
                return self.on_fetched(*operation, question, *offset);
            }
            _ => {}
        }
        Ok(())
    }
}
