//! Why a node did not start.

use std::fmt;

use taffrail_env::NetError;
use taffrail_storage::OpenError;

use crate::config::Refusal;
use crate::controller::{RestoreFailure, Unavailable};
use crate::metadata;

/// Why a node did not start. Its text is one line.
#[derive(Debug)]
pub enum StartError {
    /// A setting that cannot be honoured.
    Config(Refusal),
    /// An option that makes no sense: which, and what would be right.
    Option(String),
    Open(OpenError),
    Listen(NetError),
    /// The metadata could not be restored.
    Restore(RestoreFailure),
    /// The data directory belongs to another node.
    OtherNode {
        known: i32,
        given: i32,
    },
    /// The cluster's metadata refuses this node.
    Refused(metadata::Refusal),
    /// The node could not register.
    Register(Unavailable),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Config(refusal) => refusal.fmt(f),
            StartError::Option(text) => f.write_str(text),
            StartError::Open(error) => error.fmt(f),
            StartError::Listen(error) => error.fmt(f),
            StartError::Restore(error) => error.fmt(f),
            StartError::OtherNode { known, given } => write!(
                f,
                "node id {given}: the data directory belongs to node {known}; use --node-id {known}, or another directory"
            ),
            StartError::Refused(refusal) => refusal.fmt(f),
            StartError::Register(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StartError {}
