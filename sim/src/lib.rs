//! A world in one thread: nodes with clocks, disks and a network between them, and everything that can go
//! wrong with them, from one seed.
//!
//! ```
//! use std::time::Duration;
//! use taffrail_client::{ProducerOptions, Record};
//! use taffrail_sim::{Cluster, ClusterOptions, FaultKind, Simulation, World};
//!
//! /// What may go wrong, and how often at the most; each seed mixes its own.
//! const MENU: &[(FaultKind, u32)] = &[(FaultKind::NetReset, 3_000), (FaultKind::NodePowerCut, 60_000)];
//!
//! async fn orders(world: World) {
//!     let cluster = Cluster::start(&world, ClusterOptions::default()).await;
//!     cluster.create_topic("orders", 1, &[]).await.expect("a broker answers");
//!     let writer = cluster.client("writer", |node| async move {
//!         let producer = node.producer(ProducerOptions::default());
//!         for number in 0..40 {
//!             let order = Record::of_value(format!("order {number}"));
//!             let delivery = producer.send("orders", Some(0), order).await.expect("memory has room");
//!             delivery.await.expect("faults end before patience does");
//!         }
//!     });
//!     cluster.rage(Duration::from_secs(2)).await; // By the menu; and then what every run is to see:
//!     world.partition(&cluster.brokers(), &[writer.node]);
//!     cluster.power_cut(cluster.brokers()[0]);
//!     cluster.heal();
//!     writer.join().await.expect("nobody killed it");
//!     cluster.account().await; // Is all that was acknowledged there, also after a kill and a power cut?
//! }
//!
//! for seed in 0..3 {
//!     let outcome = Simulation::new("orders", seed).with_menu(MENU).run(orders);
//!     outcome.expect_ok(); // Or panics with its name, such as orders@0#c1d9..., what broke, and the witness.
//! }
//! ```
//!
//! What else there is: readers ([`testbed::RecordedConsumer`], judged like the writer), topics deleted, brokers stopped and booted,
//! clocks turned, disks filled, promises of one's own (`assert!`, or [`World::fail`]). The same seed gives the same run, and the same name.
//!
//! A user's `.cargo/config.toml` needs two flags. Without them the build stops and says so; setting `RUSTFLAGS` replaces them.
//!
//! ```toml
//! [build]
//! rustflags = ["--cfg", "madsim"]
//! rustdocflags = ["--cfg", "madsim"]
//! ```
//!
//! The harness, a closure outside of all nodes, starts and kills processes, cuts links and power, turns clocks, fills disks (all by the
//! [`World`]), and judges. A program that is generic over `taffrail_env::Env` runs unchanged, beside a [`Cluster`] or
//! alone: `world.start(world.add_node(NodeOptions::named("mine")), |env| program(env))`, where `env` is a [`SimEnv`]
//! in place of the operating system. Equal seeds give equal runs, down to the hash of their traces.

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
pub mod testbed;
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
pub use run::{Failure, Limits, Outcome, Simulation, Strike};
pub use scheduler::SchedulePolicy;
pub use testbed::{Cluster, ClusterOptions};
pub use trace::{Recording, RunName, TraceHash};
pub use world::{LocalFuture, World};

#[cfg(test)]
mod tests;
