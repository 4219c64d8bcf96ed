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
//! # Flags
//!
//! A user's `.cargo/config.toml` needs two flags. Without them the build stops and says so. `RUSTFLAGS` in the environment replaces
//! them, and so does `rustflags` of a `[target.…]` section, also in `~/.cargo/config.toml`: whoever has one puts them there too.
//!
//! ```toml
//! [build]
//! rustflags = ["--cfg", "madsim"]
//! rustdocflags = ["--cfg", "madsim"]
//! ```
//!
//! MEM-CEILING, that no broker holds more memory than it may, is judged only where allocations are counted. Two lines at the head of a
//! test binary see to that; without them every node seems to hold nothing:
//!
//! ```
//! #[global_allocator]
//! static ALLOCATOR: taffrail_sim::memory::CountingAllocator = taffrail_sim::memory::CountingAllocator;
//! # fn main() { assert!(taffrail_sim::memory::held(taffrail_sim::memory::WORLD) > 0); }
//! ```
//!
//! # A run that fails: made small, looked at, kept
//!
//! A story becomes a [`profile::Profile`], so that it can be run again and again. [`shrink::shrink`] finds the fewest faults with
//! which it still breaks the same promise, [`scenario::Scenario`] writes that to a file which stays true when the code changes, and
//! [`view::page`] draws a run that was recorded in full as one HTML page. [`Edits`] are what a run differs in from its seed.
//!
//! ```
//! use std::{fs, time::Duration};
//! use taffrail_client::{ProducerOptions, Record};
//! use taffrail_sim::profile::Profile;
//! use taffrail_sim::scenario::Scenario;
//! use taffrail_sim::{Cluster, ClusterOptions, Edits, FaultKind, Recording, World, shrink, view};
//!
//! const MENU: &[(FaultKind, u32)] = &[(FaultKind::NetReset, 30_000), (FaultKind::NodeKill, 200_000)];
//! const HASTY: Profile = Profile {
//!     name: "hasty",
//!     about: "promises too much: no order takes longer than 0.2 s",
//!     run: |simulation| simulation.with_menu(MENU).run(hasty),
//! };
//!
//! async fn hasty(world: World) {
//!     let cluster = Cluster::start(&world, ClusterOptions::default()).await;
//!     cluster.create_topic("orders", 1, &[]).await.expect("a broker answers");
//!     let judge = world.clone();
//!     let writer = cluster.client("writer", |node| async move {
//!         let producer = node.producer(ProducerOptions::default());
//!         for number in 0..40 {
//!             let begun = judge.elapsed();
//!             let order = Record::of_value(format!("order {number}"));
//!             let delivery = producer.send("orders", Some(0), order).await.expect("memory has room");
//!             delivery.await.expect("faults end before patience does");
//!             if judge.elapsed() - begun > Duration::from_millis(200) {
//!                 judge.fail("ORDERS-IN-TIME", format!("order {number} took too long"));
//!             }
//!         }
//!     });
//!     cluster.rage(Duration::from_secs(2)).await;
//!     cluster.heal();
//!     writer.join().await;
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let fails = |seed: &u64| (HASTY.run)(HASTY.simulation(*seed)).failure.is_some();
//! let seed = (0..100).find(fails).expect("the promise is broken soon");
//! let shrunk = shrink::shrink(HASTY, seed, Edits::default(), 200).expect("it fails");
//! let kept = Scenario::from(&shrunk).to_string(); // A file: `world hasty@3`, its edits, `expect ORDERS-IN-TIME`.
//!
//! let scenario = Scenario::parse(&kept)?; // Also in the test that keeps the bug from coming back.
//! let outcome = scenario.run_with(HASTY, Recording::Full)?;
//! scenario.judge(&outcome)?;
//! let page = std::env::temp_dir().join("hasty.html");
//! fs::write(&page, view::page(&outcome))?; // For a browser.
//! # fs::remove_file(page)?;
//! # Ok(())
//! # }
//! ```
//!
//! # Programs of one's own
//!
//! The harness, a closure outside of all nodes, starts and kills processes, cuts links and power, turns clocks, fills disks (all by the
//! [`World`]), and judges. A program that is generic over [`taffrail_env::Env`] (found here as `taffrail_sim::taffrail_env`) runs unchanged,
//! beside a [`Cluster`] or alone: `world.start(world.add_node(NodeOptions::named("mine")), |env| program(env))`, where `env` is a [`SimEnv`]
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
/// The traits that a program of one's own names.
pub use taffrail_env;
pub use testbed::{Cluster, ClusterOptions};
pub use trace::{Recording, RunName, TraceHash};
pub use world::{LocalFuture, World};

#[cfg(test)]
mod tests;
