//! What keeps a consumer from going on, and since when. Every one of these passes by itself or is tried again, so none of them ends a poll;
//! but whoever waits wants to know what for.

use crate::records::TopicPartitionName;
use std::collections::BTreeMap;
use taffrail_env::Instant;

/// What does not get on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Work {
    Joining,
    Placing,
    Committing,
    Fetching(TopicPartitionName),
}

/// The last failure of each, and when the first of the row was.
#[derive(Default)]
pub(super) struct Hindrances {
    by_work: BTreeMap<Work, (Instant, String)>,
}

impl Hindrances {
    /// It failed, and is tried again. Answers whether it is the first of a row.
    pub fn failed(&mut self, now: Instant, work: Work, why: String) -> bool {
        match self.by_work.get_mut(&work) {
            Some((_, last)) => {
                *last = why;
                false
            }
            None => self.by_work.insert(work, (now, why)).is_none(),
        }
    }

    /// It went well, or is not wanted any more.
    pub fn went_well(&mut self, work: &Work) {
        self.by_work.remove(work);
    }

    /// Forgets the partitions that are not read any more.
    pub fn keep_partitions(&mut self, is_read: impl Fn(&TopicPartitionName) -> bool) {
        self.by_work.retain(|work, _| match work {
            Work::Fetching(name) => is_read(name),
            Work::Joining | Work::Placing | Work::Committing => true,
        });
    }

    /// What has failed for longest: since when, and why the last time.
    pub fn longest(&self) -> Option<(Instant, &str)> {
        let longest = self.by_work.values().min_by_key(|(since, _)| *since)?;
        Some((longest.0, &longest.1))
    }
}

#[cfg(test)]
mod tests;
