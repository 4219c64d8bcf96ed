//! A world in one thread: nodes with clocks, disks and a network between them, and everything that can go
//! wrong with them, from one seed.
//!
//! A program that is generic over `taffrail_env::Env` runs here unchanged, against [`SimEnv`] in place of the
//! operating system. The harness, a closure outside of all nodes, starts and kills its processes, cuts links
//! and power, and judges. Equal seeds give equal runs, down to the hash of their traces.
//!
//! A user's `.cargo/config.toml` needs the two flags of Taffrail's own (`rustflags` and `rustdocflags`, both
//! `["--cfg", "madsim"]`); without them the build stops and says so.
//!
//! ```
//! use std::time::Duration;
//! use taffrail_env::{Clock, Connection, Listener, Net};
//! use taffrail_sim::{NodeOptions, Simulation};
//!
//! let outcome = Simulation::new("doc", 7).run(|world| async move {
//!     let server = world.add_node(NodeOptions::named("server"));
//!     let client = world.add_node(NodeOptions::named("client"));
//!     world.start(server, |env| async move {
//!         let listener = env.listen("0.0.0.0:7000").await.expect("the port is free");
//!         loop {
//!             let connection = listener.accept().await.expect("nothing goes wrong here");
//!             let hello = vec![bytes::Bytes::from_static(b"hello")];
//!             let _peer_may_be_gone = connection.write(hello).await;
//!         }
//!     });
//!     world.start(client, |env| async move {
//!         env.sleep(Duration::from_millis(1)).await;
//!         let connection = env.connect("server:7000").await.expect("it listens");
//!         let mut buffer = bytes::BytesMut::new();
//!         while buffer.len() < 5 {
//!             connection.read(&mut buffer, 64).await.expect("it writes five bytes");
//!         }
//!         assert_eq!(&buffer[..], b"hello");
//!     });
//!     world.exited(client).await;
//! });
//! assert!(outcome.failure.is_none(), "{:?}", outcome.failure);
//! println!("{}", outcome.name);
//! ```

mod atlas;
pub mod chaos;
pub mod checker;
mod clock;
mod cluster;
pub mod decision;
pub mod difference;
mod disk;
mod env;
pub mod fault;
pub mod hashes;
pub mod history;
mod kernel;
pub mod memory;
mod net;
mod node;
pub mod profile;
mod run;
pub mod scenario;
mod scheduler;
pub mod shrink;
pub mod story;
mod timeline;
pub mod trace;
pub mod view;
mod witness;
mod workload;
mod world;
pub mod zoo;

pub use decision::{Decisions, Edits, Stream};
pub use disk::{DiskNote, DiskOptions, DiskStep, DiskView, SimDirectory, SimFile};
pub use env::SimEnv;
pub use fault::{FaultKind, Faults, Rates};
pub use kernel::run_isolated;
pub use net::{SimConnection, SimListener};
pub use node::{Death, NodeId, NodeOptions, Trap};
pub use run::{Failure, Limits, Outcome, Simulation};
pub use scheduler::SchedulePolicy;
pub use trace::{Recording, RunName, TraceHash};
pub use world::{LocalFuture, World};

#[cfg(test)]
mod tests;
