//! Primary-backup: one elected replica processes the requests, and the changes are in the log.
//!
//! [`Primary`] judges each request against a *speculative view*: the state as it will be once everything
//! appended so far has committed. The view is one state that changes are applied to as they are appended, so
//! nothing is ever cloned; what it was built from is in the log, and a view that turned out wrong is thrown
//! away and built again from there. Every reply is withheld until the log end it was judged against has
//! committed. [`Backup`] applies committed entries and decides nothing; a backup that is elected becomes a
//! primary ([`Backup::into_primary`]).
//!
//! The shell's duties, in this order: append the entry, wait until it is committed, call
//! [`Primary::on_committed`], hand out the replies. After a failed append, or when another replica is elected:
//! [`Primary::step_down`], and nothing of the view may be used again.

use serde::{Deserialize, Serialize};

use crate::machine::{Machine, Position, Term};
use crate::withheld::Withheld;

/// The changes of one request: all of them or none enter the log. Each takes one position.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry<Change> {
    /// The epoch of the primary that judged the request.
    pub epoch: Term,
    pub changes: Vec<Change>,
}

/// The replica that decides, with the callers (`T`) of the requests it judged.
#[derive(Debug)]
pub struct Primary<M: Machine, T> {
    view: M,
    log_end: Position,
    epoch: Term,
    withheld: Withheld<(T, M::Reply)>,
}

impl<M: Machine, T> Primary<M, T> {
    /// The primary of `epoch`, whose committed state is `machine` at `position`, the end of the log.
    pub fn new(machine: M, position: Position, epoch: Term) -> Primary<M, T> {
        Primary {
            view: machine,
            log_end: position,
            epoch,
            withheld: Withheld::new(position),
        }
    }

    /// Judges `request`. What it changes is to be appended at the log end as it was before the call; a request
    /// that changes nothing appends nothing, and its reply is withheld like any other.
    pub fn on_request(&mut self, caller: T, request: &M::Request) -> Option<Entry<M::Change>> {
        let mut changes = Vec::new();
        let reply = self.view.process(request, &mut changes);
        for change in &changes {
            self.view.apply(change);
        }
        self.log_end += changes.len() as u64;
        self.withheld.hold(self.log_end, (caller, reply));
        (!changes.is_empty()).then_some(Entry {
            epoch: self.epoch,
            changes,
        })
    }

    /// The log is committed up to `position`: adds the replies that may now leave.
    pub fn on_committed(&mut self, position: Position, replies: &mut Vec<(T, M::Reply)>) {
        assert!(
            position <= self.log_end,
            "the log committed what this primary did not append"
        );
        self.withheld.on_committed(position);
        while let Some(reply) = self.withheld.pop() {
            replies.push(reply);
        }
    }

    /// Ends the reign: throws the view away and gives back the callers whose outcome is unknown.
    pub fn step_down(self) -> Vec<T> {
        self.withheld.abandon().map(|(caller, _)| caller).collect()
    }

    /// The state with everything appended, whether committed or not. Nothing of it may be told to anybody
    /// before [`Primary::log_end`] has committed.
    pub fn view(&self) -> &M {
        &self.view
    }

    /// Where the next change goes.
    pub fn log_end(&self) -> Position {
        self.log_end
    }

    /// Up to where the log is known to be committed.
    pub fn committed(&self) -> Position {
        self.withheld.committed()
    }

    /// The view, and the position it is exact to. It may be kept as a snapshot only once that position has
    /// committed.
    pub fn snapshot(&self) -> (Position, Vec<u8>) {
        let mut bytes = Vec::new();
        self.view.snapshot(&mut bytes);
        (self.log_end, bytes)
    }
}

/// A replica that obeys.
#[derive(Debug)]
pub struct Backup<M: Machine> {
    machine: M,
    position: Position,
    epoch: Term,
}

impl<M: Machine> Backup<M> {
    /// A backup whose state is `machine` at `position`; `epoch` is the last it saw.
    pub fn new(machine: M, position: Position, epoch: Term) -> Backup<M> {
        Backup {
            machine,
            position,
            epoch,
        }
    }

    /// The entry at `position` has committed.
    pub fn on_committed(&mut self, position: Position, entry: &Entry<M::Change>) {
        assert_eq!(
            position, self.position,
            "entries are applied in order, each once"
        );
        assert!(
            entry.epoch >= self.epoch,
            "epochs never decrease along a log"
        );
        self.epoch = entry.epoch;
        for change in &entry.changes {
            self.machine.apply(change);
        }
        self.position += entry.changes.len() as u64;
    }

    /// This replica was elected in `epoch`, with everything in its log applied.
    pub fn into_primary<T>(self, epoch: Term) -> Primary<M, T> {
        assert!(epoch > self.epoch, "a new primary has a new epoch");
        Primary::new(self.machine, self.position, epoch)
    }

    /// The state after everything applied.
    pub fn machine(&self) -> &M {
        &self.machine
    }

    /// Up to where the log is applied.
    pub fn position(&self) -> Position {
        self.position
    }
}

#[cfg(test)]
mod tests;
