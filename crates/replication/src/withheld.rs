//! Replies that wait until the log end they were judged against has committed.
//!
//! A reply says something about the state, and the state may rest on records that can still be lost. So no
//! reply, not even a refusal or the answer to a duplicate, leaves before everything it was judged against is
//! committed. Replies leave in the order in which they were given.

use std::collections::VecDeque;

use crate::machine::Position;

/// A queue of replies by the log end each was judged against.
#[derive(Debug)]
pub struct Withheld<R> {
    committed: Position,
    queue: VecDeque<(Position, R)>,
}

impl<R> Withheld<R> {
    /// Nothing waits, and everything before `committed` is committed.
    pub fn new(committed: Position) -> Withheld<R> {
        Withheld {
            committed,
            queue: VecDeque::new(),
        }
    }

    /// Keeps `reply` until the log is committed up to `end`. Ends never go back, because a log's end does not.
    pub fn hold(&mut self, end: Position, reply: R) {
        let last = self.queue.back().map_or(self.committed, |(last, _)| *last);
        assert!(
            end >= last,
            "reply judged against {end} after one judged against {last}"
        );
        self.queue.push_back((end, reply));
    }

    /// Everything before `committed` is committed. A lower position than before is old news.
    pub fn on_committed(&mut self, committed: Position) {
        self.committed = self.committed.max(committed);
    }

    /// The next reply that may leave.
    pub fn pop(&mut self) -> Option<R> {
        let (end, _) = self.queue.front()?;
        if *end > self.committed {
            return None;
        }
        self.queue.pop_front().map(|(_, reply)| reply)
    }

    /// All that wait, because what they were judged against will not be: their outcome is unknown.
    pub fn abandon(self) -> impl Iterator<Item = R> {
        self.queue.into_iter().map(|(_, reply)| reply)
    }

    /// Up to where the log is committed.
    pub fn committed(&self) -> Position {
        self.committed
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::Withheld;

    #[test]
    fn a_reply_waits_for_the_log_end_it_was_judged_against() {
        let mut withheld = Withheld::new(5);
        withheld.hold(5, "judged against committed state");
        withheld.hold(7, "needs 7");
        withheld.hold(7, "a refusal after it needs 7 too");
        assert_eq!(withheld.pop(), Some("judged against committed state"));
        assert_eq!(withheld.pop(), None);
        withheld.on_committed(6);
        assert_eq!(withheld.pop(), None);
        withheld.on_committed(7);
        assert_eq!(withheld.pop(), Some("needs 7"));
        assert_eq!(withheld.pop(), Some("a refusal after it needs 7 too"));
        assert!(withheld.is_empty());
    }

    #[test]
    fn commits_that_arrive_late_take_nothing_back() {
        let mut withheld = Withheld::new(0);
        withheld.hold(3, ());
        withheld.on_committed(3);
        withheld.on_committed(1);
        assert_eq!(withheld.committed(), 3);
        assert_eq!(withheld.pop(), Some(()));
    }

    #[test]
    #[should_panic(expected = "judged against")]
    fn a_log_end_that_goes_back_is_a_broken_invariant() {
        let mut withheld = Withheld::new(0);
        withheld.hold(3, ());
        withheld.hold(2, ());
    }
}
