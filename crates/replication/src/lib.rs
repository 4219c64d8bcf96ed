//! Replicated services as pure functions of a log, and the two ways to drive them.
//!
//! Whoever applies the same records in the same order to the same deterministic function arrives at the
//! same state, so a replica's whole state is named by one number: its position in the log. [`Machine`]
//! says what such a service is. [`active_active`] puts the *requests* in the log and lets every replica
//! process each of them; [`primary_backup`] lets one replica process the requests and puts the *changes*
//! in the log. [`arithmetic`] is the smallest service there is, driven by both.
//!
//! Nothing in this crate reads a clock, a random source or an unordered map, touches a disk or a socket,
//! or waits: inputs go in, effects come out, and the shell above obeys them.

pub mod active_active;
pub mod arithmetic;
pub mod digest;
pub mod encoding;
pub mod machine;
pub mod primary_backup;
pub mod withheld;

pub use machine::{Machine, Position, RestoreError, Term};
pub use withheld::Withheld;

/// The README's example of both ways is run as a test.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
