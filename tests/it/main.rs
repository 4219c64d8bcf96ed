//! Everything that looks at the product from outside, as one binary: the shape of the tree, the
//! formats, the simulator, and a real node under real clients.

// These tests look at files and processes as a stranger would, so not through the ground.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::disallowed_macros
)]

mod broker;
mod command_line;
mod determinism;
mod hostile;
mod interrupted;
mod librdkafka;
mod node;
mod stranger;
mod tidy;
mod zoo;
