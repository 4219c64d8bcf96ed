//! The contract of `Env` in the simulator: each clause a test, on a calm world and on rough ones.

use super::rough;
use crate::{Death, NodeOptions, Rates, SimEnv, Simulation};
use std::path::{Path, PathBuf};
use std::time::Duration;
use taffrail_env::conformance::{self, Ground, Running};
use taffrail_env::disk::{Directory, Disk};

/// Worlds per clause: the first calm, the others rough.
const SEEDS: u64 = 10;

/// Simulated windows are small.
const MORE_THAN_FITS: usize = 4 << 20;

type Half = fn(SimEnv, Ground) -> Running;

/// Runs the halves one after the other as processes of one node, each ended by `death` when it is done.
fn run(seed: u64, halves: &[Half], death: Death) {
    let halves = halves.to_vec();
    let rates = if seed == 0 { Rates::none() } else { rough() };
    Simulation::new("conformance", seed)
        .with_rates(rates)
        .run(move |world| async move {
            let node = world.add_node(NodeOptions::named("a"));
            let ground = Ground {
                directory: PathBuf::from("/data/ground"),
                host: node.address().to_string(),
                more_than_fits: MORE_THAN_FITS,
            };
            let directory = ground.directory.clone();
            world.start(node, move |env| async move {
                let made = env.create_directory(&directory).await;
                made.expect("a directory");
                let parent = env.open_directory(Path::new("/data")).await;
                let synced = parent.expect("its parent").sync().await;
                synced.expect("a sync");
            });
            world.exited(node).await;
            for half in halves {
                let ground = ground.clone();
                let (done, is_done) = taffrail_env::mailbox::oneshot::<()>();
                world.start(node, move |env| async move {
                    half(env, ground).await;
                    // The harness decides how this process ends.
                    let _ = done.send(());
                    std::future::pending().await
                });
                is_done.await.expect("the half is done");
                match death {
                    Death::PowerCut => world.power_cut(&[node]),
                    _ => world.kill(node),
                }
                world.sleep(Duration::from_secs(1)).await;
            }
        })
        .expect_ok();
}

fn run_case(name: &str) {
    let cases = conformance::cases::<SimEnv>();
    let case = cases.iter().find(|case| case.name == name);
    let case = case.expect("a case of that name");
    for seed in 0..SEEDS {
        run(seed, &[case.run], Death::Kill);
    }
}

fn run_durability(name: &str) {
    let cases = conformance::durability::<SimEnv>();
    let case = cases.iter().find(|case| case.name == name);
    let case = case.expect("a case of that name");
    for seed in 0..SEEDS {
        for death in [Death::Kill, Death::PowerCut] {
            run(seed, &[case.before, case.after], death);
        }
    }
}

macro_rules! tests {
    ($($module:ident { $($case:ident)* })*) => {
        $(mod $module {
            $(#[test]
            fn $case() {
                super::run_case(stringify!($case));
            })*
        })*
    };
}

macro_rules! durability_tests {
    ($($case:ident)*) => {
        mod durability {
            $(#[test]
            fn $case() {
                super::run_durability(stringify!($case));
            })*
        }
    };
}

taffrail_env::conformance_cases!(tests);
taffrail_env::durability_cases!(durability_tests);
