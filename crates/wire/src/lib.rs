//! The wire: frames, headers and messages of the Kafka protocol, as data.
//!
//! One module per API holds its request and its response as tables, one field a line, from which
//! reading and writing in every supported version follow ([`api`] lists the versions). Names of
//! messages and fields are Kafka's own. Reading borrows from the frame and trusts nothing: every
//! length and count is judged against the bytes that are there before anything is reserved for it.
//! Record batches are opaque bytes here, passed on without a copy.
//!
//! What must hold: bytes of a peer never make this crate panic or take memory out of proportion to
//! them; what [`api::table`] lists can be read and written; what a version cannot say is an error
//! when written, never silently lost, unless the protocol declares it ignorable.

#[macro_use]
mod definition;

pub mod api;
mod decode;
mod encode;
mod error_code;
mod field;
pub mod frame;
pub mod header;
mod message;
mod messages;
mod records;

pub use decode::{DecodeError, DecodeReason, Decoder};
pub use encode::{EncodeError, EncodeReason, Encoder};
pub use error_code::ErrorCode;
pub use field::{Composite, Field, Nullable, Shape};
pub use message::{Blob, Message, Request};
pub use messages::*;
pub use records::Records;

#[cfg(test)]
mod tests;
