//! The broker in the simulator, spoken to in raw frames: what every API answers, and what becomes of peers that misbehave.

mod configs;
mod connections;
mod fetch;
mod ground;
mod groups;
mod hostile;
mod produce;
mod restart;
mod topics;
mod versions;
