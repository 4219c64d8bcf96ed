//! Active-active: the requests are in the log, in one agreed order, and every replica processes each of them.
//!
//! [`Sequencer`] is the part beside the log. It gives requests their place and remembers who asked; when an
//! entry has committed it processes and applies it, as every other replica does, and hands out the reply of
//! those it sequenced itself. Nothing is judged before it is committed, so there is no speculative state. The
//! shell's duties, in this order: append the entry, wait until the log says it is committed, hand it back.
//!
//! Replicas compare digests at equal positions ([`Sequencer::on_peer_digest`]): they must be equal, or one of
//! the replicas has diverged and must stop.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::machine::{Machine, Position, Term};

/// How far apart, in positions, remembered digests are.
pub const DIGEST_INTERVAL: Position = 1024;
/// How many digests are remembered: the farthest that a peer may lag and still be compared.
pub const DIGESTS_REMEMBERED: usize = 16;

/// A request in the log, with the term of whoever put it there. Takes one position.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry<Request> {
    pub term: Term,
    pub request: Request,
}

/// What comparing a peer's digest with ours says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreement {
    /// Both were in the same state at that position.
    Equal,
    /// One of the two has diverged.
    Diverged { ours: u64, theirs: u64 },
    /// We have not been there yet, it is too long ago, or it is no position at which digests are taken.
    Unknown,
}

/// One replica of an active-active machine, with the callers (`T`) whose requests it sequenced itself.
#[derive(Debug)]
pub struct Sequencer<M: Machine, T> {
    machine: M,
    /// All before this is processed and applied.
    position: Position,
    /// Where the next request goes.
    log_end: Position,
    term: Term,
    waiting: VecDeque<(Position, T)>,
    digests: VecDeque<(Position, u64)>,
    changes: Vec<M::Change>,
}

impl<M: Machine, T> Sequencer<M, T> {
    /// A replica whose state is `machine` at `position`, in `term`.
    pub fn new(machine: M, position: Position, term: Term) -> Sequencer<M, T> {
        Sequencer {
            machine,
            position,
            log_end: position,
            term,
            waiting: VecDeque::new(),
            digests: VecDeque::new(),
            changes: Vec::new(),
        }
    }

    /// The entry to append at [`Sequencer::log_end`] for `caller`'s request.
    pub fn on_request(&mut self, caller: T, request: M::Request) -> Entry<M::Request> {
        self.waiting.push_back((self.log_end, caller));
        self.log_end += 1;
        Entry {
            term: self.term,
            request,
        }
    }

    /// The entry at `position` has committed: processes and applies it, and adds the reply if it was
    /// sequenced here. Entries come in order, each once.
    pub fn on_committed(
        &mut self,
        position: Position,
        entry: &Entry<M::Request>,
        replies: &mut Vec<(T, M::Reply)>,
    ) {
        assert_eq!(
            position, self.position,
            "entries are applied in order, each once"
        );
        assert!(
            entry.term <= self.term,
            "an entry of a later term than the replica's"
        );
        let reply = self.machine.process(&entry.request, &mut self.changes);
        for change in self.changes.drain(..) {
            self.machine.apply(&change);
        }
        self.position += 1;
        self.log_end = self.log_end.max(self.position);
        if self.waiting.front().is_some_and(|(at, _)| *at == position)
            && let Some((_, caller)) = self.waiting.pop_front()
        {
            replies.push((caller, reply));
        }
        self.remember_digest();
    }

    /// A new term begins. Requests sequenced in the old one that have not committed may yet commit or not:
    /// their callers are given back, and their places are taken anew.
    pub fn on_term(&mut self, term: Term) -> Vec<T> {
        assert!(term > self.term, "terms only grow");
        self.term = term;
        self.on_append_failed()
    }

    /// The log refused what was not yet committed. The outcome of these callers' requests is unknown.
    pub fn on_append_failed(&mut self) -> Vec<T> {
        self.log_end = self.position;
        self.waiting.drain(..).map(|(_, caller)| caller).collect()
    }

    /// Compares what a peer says its digest was at `position` with ours there.
    pub fn on_peer_digest(&self, position: Position, theirs: u64) -> Agreement {
        match self.digests.iter().find(|(at, _)| *at == position) {
            Some((_, ours)) if *ours == theirs => Agreement::Equal,
            Some((_, ours)) => Agreement::Diverged {
                ours: *ours,
                theirs,
            },
            None => Agreement::Unknown,
        }
    }

    /// The newest digest to tell the peers: taken every [`DIGEST_INTERVAL`] positions.
    pub fn latest_digest(&self) -> Option<(Position, u64)> {
        self.digests.back().copied()
    }

    /// The state after everything committed.
    pub fn machine(&self) -> &M {
        &self.machine
    }

    /// Up to where the log is processed and applied.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Where the next request goes.
    pub fn log_end(&self) -> Position {
        self.log_end
    }

    /// The term new entries carry.
    pub fn term(&self) -> Term {
        self.term
    }

    /// How many callers wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The state, and the position it is exact to.
    pub fn snapshot(&self) -> (Position, Vec<u8>) {
        let mut bytes = Vec::new();
        self.machine.snapshot(&mut bytes);
        (self.position, bytes)
    }

    fn remember_digest(&mut self) {
        if !self.position.is_multiple_of(DIGEST_INTERVAL) {
            return;
        }
        if self.digests.len() == DIGESTS_REMEMBERED {
            self.digests.pop_front();
        }
        self.digests
            .push_back((self.position, self.machine.digest()));
    }
}

#[cfg(test)]
mod tests;
