//! Consumer groups, the classic protocol: what members tell each other, how they share partitions, and a member's life.
//!
//! Everything here is pure: requests and answers, with time as an argument. [`crate::Consumer`] carries them to the coordinator.

pub mod assignor;
pub mod blob;
pub(crate) mod coordinator;
pub mod membership;
