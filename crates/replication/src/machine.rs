//! What a replicated service is: one trait, indifferent to how the service is replicated.
//!
//! A machine decides in [`Machine::process`] and obeys in [`Machine::apply`]; the two are apart so that one
//! replica may decide for all. Everything a decision depends on is in the state or in the request: time,
//! placement, identifiers and randomness are chosen by the node that sequences the request and are *in* it.

use std::fmt;

use crate::digest;

/// A place in a log: the number of records before it. State "at position p" has applied records `0..p`.
pub type Position = u64;

/// The reign under which an entry entered the log: the leader's term or epoch. Never decreases along a log.
pub type Term = u32;

/// A deterministic service whose state is a function of a log.
pub trait Machine: Sized {
    /// What a caller asks for, with everything the answer depends on beside the state.
    type Request;
    /// One step of the state; a request results in none, one or several.
    type Change;
    /// What the caller is told, refusals included.
    type Reply;
    /// Work that must still be done, at least once, because of what is committed. Its result comes back as a
    /// request.
    type Duty;

    /// Decides, and changes nothing: adds to `changes` what is to be applied, in order, and answers.
    /// `changes` is the caller's buffer and may hold changes of earlier requests.
    fn process(&self, request: &Self::Request, changes: &mut Vec<Self::Change>) -> Self::Reply;

    /// Obeys, and decides nothing. Must not fail: whatever could be refused was refused by `process`.
    fn apply(&mut self, change: &Self::Change);

    /// Adds what is to be done at `now_ms`, on the scale of the times in this machine's requests.
    fn duties(&self, now_ms: i64, due: &mut Vec<Self::Duty>);

    /// The earliest time at which [`Machine::duties`] has something to say that it has not now.
    fn next_deadline(&self) -> Option<i64>;

    /// Writes the whole state so that equal states give equal bytes.
    fn snapshot(&self, out: &mut Vec<u8>);

    /// The state that [`Machine::snapshot`] wrote.
    fn restore(snapshot: &[u8]) -> Result<Self, RestoreError>;

    /// Names the state: equal states have equal digests on every machine and in every build.
    fn digest(&self) -> u64 {
        let mut bytes = Vec::new();
        self.snapshot(&mut bytes);
        digest::of(&bytes)
    }
}

/// A snapshot that cannot be read: damaged, cut, or of a format this binary does not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoreError(pub String);

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "snapshot cannot be restored: {}", self.0)
    }
}

impl std::error::Error for RestoreError {}
