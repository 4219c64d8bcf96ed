//! Profiles: a cluster, its workload, its faults and its checkers under one name.

mod broker;
mod ground;
mod pace;

use crate::run::{Outcome, Simulation};
use crate::story;

/// What `taffrail-sim run --profile` takes.
#[derive(Clone, Copy)]
pub struct Profile {
    pub name: &'static str,
    /// One line for listings.
    pub about: &'static str,
    /// Sets the rates of the seed and runs its story.
    pub run: fn(Simulation) -> Outcome<()>,
}

/// All profiles, in the order of listings.
pub const PROFILES: &[Profile] = &[
    Profile {
        name: "smoke",
        about: "a short life of one broker and its clients: kills, power cuts, a broken network",
        run: broker::smoke,
    },
    Profile {
        name: "storage",
        about: "one broker, several clients, every fault of disk, network, clock and process; damage of synced data by an atlas",
        run: broker::storage,
    },
    Profile {
        name: "ground",
        about: "a small log server and its clients: the simulator's own disk, network and deaths, nothing of the broker",
        run: ground::run,
    },
    Profile {
        name: "all",
        about: "a seed of smoke, then one of storage, and so on",
        run: |simulation| match simulation.seed % 2 {
            0 => broker::smoke(simulation),
            _ => broker::storage(simulation),
        },
    },
    Profile {
        name: "idle",
        about: "a measuring stick: one broker, three consumers that wait for ten minutes, no faults",
        run: pace::idle,
    },
    Profile {
        name: "busy",
        about: "a measuring stick: one broker, three clients, 1,000 requests per simulated second, every fault",
        run: pace::busy,
    },
];

impl Profile {
    /// Finds a profile; the error names all there are.
    pub fn named(name: &str) -> Result<Profile, String> {
        let found = PROFILES.iter().find(|profile| profile.name == name);
        found.copied().ok_or_else(|| {
            if name == story::PROFILE {
                return "a story is told from its file: `scenario FILE`".to_owned();
            }
            let names: Vec<&str> = PROFILES.iter().map(|profile| profile.name).collect();
            format!("no profile `{name}`; there are: {}", names.join(", "))
        })
    }

    /// A run of one seed, as far as the seed decides everything.
    pub fn simulation(&self, seed: u64) -> Simulation {
        Simulation::new(self.name, seed)
    }
}
