//! OFFSET-NO-LOSS and OFFSET-MONO: an acknowledged commit is returned by every later fetch until it is overwritten; what a
//! fetch returns was committed by somebody and not overwritten since.

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
        !commits.iter().any(|(_, other)| {
            other.started > acked && other.acked.is_some_and(|other_acked| other_acked < asked)
        })
    }

    fn on_fetched(
        &self,
        place: Place,
        asked: u64,
        offset: Option<Offset>,
    ) -> Result<(), Violation> {
        let commits = self
            .commits
            .get(&place)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let (group, partition) = place;
        let Some(offset) = offset else {
            return match commits
                .iter()
                .find(|(_, commit)| commit.acked.is_some_and(|acked| acked < asked))
            {
                None => Ok(()),
                Some((_, commit)) => Err(Violation::new(
                    "OFFSET-NO-LOSS",
                    format!(
                        "group {group} has no offset of {partition:?}; a commit of {} was acknowledged",
                        commit.offset
                    ),
                )),
            };
        };
        if commits
            .iter()
            .any(|(_, commit)| commit.offset == offset && Self::legal(commits, commit, asked))
        {
            return Ok(());
        }
        let last = commits
            .iter()
            .rev()
            .find(|(_, commit)| commit.acked.is_some())
            .map(|(_, commit)| commit.offset);
        let witness = format!(
            "group {group} is told {offset} of {partition:?}; the last acknowledged commit is {last:?}"
        );
        Err(Violation::new("OFFSET-NO-LOSS", witness))
    }
}

impl Checker for GroupOffsets {
    fn invariants(&self) -> &'static [&'static str] {
        &["OFFSET-NO-LOSS"]
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
            Event::CommittedAcked { operation, offset } => {
                let (place, asked) = self
                    .asked
                    .remove(operation)
                    .expect("a question comes before its answer");
                return self.on_fetched(place, asked, *offset);
            }
            _ => {}
        }
        Ok(())
    }
}
