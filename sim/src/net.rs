//! The simulated network: byte streams between nodes, cut anywhere, late, broken, or half-open.
//!
//! The contract is the one of `taffrail_env::net`. Bytes of one stream arrive in order and whole, or not at
//! all; streams are independent, so what was sent on an old connection may arrive after what was sent on a
//! new one. Node k has the address 10.0.0.(k+1) and its name; `localhost` is the node itself.

mod connection;
mod network;
mod pair;

pub use connection::{SimConnection, SimListener};
pub(crate) use network::Network;
pub(crate) use pair::Pair;
