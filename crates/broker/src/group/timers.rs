//! Deadlines by key: each key has one deadline or none.

use std::collections::{BTreeMap, BTreeSet};

use taffrail_env::Instant;

/// A set of armed timers.
#[derive(Debug)]
pub(super) struct Timers<K> {
    deadlines: BTreeMap<K, Instant>,
    queue: BTreeSet<(Instant, K)>,
}

impl<K: Ord + Clone> Timers<K> {
    pub(super) fn new() -> Timers<K> {
        Timers {
            deadlines: BTreeMap::new(),
            queue: BTreeSet::new(),
        }
    }

    /// Arms `key`, whatever its deadline was.
    pub(super) fn arm(&mut self, key: K, deadline: Instant) {
        if let Some(old) = self.deadlines.insert(key.clone(), deadline) {
            self.queue.remove(&(old, key.clone()));
        }
        self.queue.insert((deadline, key));
    }

    /// Disarms `key`.
    pub(super) fn cancel(&mut self, key: &K) {
        if let Some(deadline) = self.deadlines.remove(key) {
            self.queue.remove(&(deadline, key.clone()));
        }
    }

    /// Disarms the timer that was due first, if it is due.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<K> {
        if self.queue.first()?.0 > now {
            return None;
        }
        let (_, key) = self.queue.pop_first()?;
        self.deadlines.remove(&key);
        Some(key)
    }

    /// When the next is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.queue.first().map(|(deadline, _)| *deadline)
    }

    /// How many are armed.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        assert_eq!(self.queue.len(), self.deadlines.len());
        self.queue.len()
    }
}

#[cfg(test)]
mod tests {
    use super::Timers;
    use taffrail_env::Instant;

    #[test]
    fn timers_fall_due_in_the_order_of_their_deadlines() {
        let mut timers = Timers::new();
        timers.arm("late", Instant(30));
        timers.arm("early", Instant(10));
        timers.arm("moved", Instant(5));
        timers.arm("moved", Instant(20));
        timers.arm("gone", Instant(1));
        timers.cancel(&"gone");
        assert_eq!(timers.next(), Some(Instant(10)));
        assert_eq!(timers.pop_due(Instant(9)), None);
        assert_eq!(timers.pop_due(Instant(20)), Some("early"));
        assert_eq!(timers.pop_due(Instant(20)), Some("moved"));
        assert_eq!(timers.pop_due(Instant(20)), None);
        assert_eq!(timers.len(), 1);
    }
}
