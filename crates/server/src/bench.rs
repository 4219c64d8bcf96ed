//! `taffrail bench`: figures as ratios, whose two sides take turns within one invocation.
//!
//! An absolute figure of a shared machine says little. So durable produce is measured against a bare probe of the
//! same file system (1 MiB overwritten and synced, again and again), probe and broker in turn (A B A B ... A), and
//! the figure is the median of the pairs' ratios, each pair against the mean of the probes before and after it.
//!
//! The load is raw on purpose: prepared batches through sockets, no per-record work in the client, so that it is the
//! broker and the disk that are measured.

mod load;
mod probe;

pub use load::{Load, LoadError};
pub use probe::Probe;

use serde::Serialize;
use std::path::PathBuf;
use std::time::Duration;
use taffrail_env::Env;

/// What to measure.
#[derive(Clone, Debug)]
pub struct Plan {
    /// `HOST:PORT` of the broker.
    pub broker: String,
    /// A directory on the file system that the broker's data is on.
    pub probe_directory: PathBuf,
    /// Partitions of the topic that is made for the run.
    pub partitions: i32,
    /// Connections, each with [`load::IN_FLIGHT`] requests on their way.
    pub producers: usize,
    pub batch_bytes: usize,
    pub record_bytes: usize,
    /// How long each side of each pair runs.
    pub duration: Duration,
    pub pairs: usize,
}

/// Megabytes (10^6) a second on both sides, and their ratio.
#[derive(Clone, Debug, Serialize)]
pub struct Pair {
    pub produce_mb_s: f64,
    pub probe_mb_s: f64,
    pub ratio: f64,
}

/// What came out.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    pub partitions: i32,
    pub batch_bytes: usize,
    pub record_bytes: usize,
    pub producers: usize,
    pub pairs: Vec<Pair>,
    pub ratio_median: f64,
    pub ratio_min: f64,
    pub ratio_max: f64,
    pub produce_mb_s_median: f64,
    pub probe_mb_s_median: f64,
    pub records_s_median: f64,
}

/// Runs the plan: probe, produce, probe, produce, ..., probe.
pub async fn run<E: Env>(env: &E, plan: &Plan) -> Result<Figures, LoadError> {
    let load = Load::prepare(env, plan).await?;
    let probe = Probe::prepare(env, &plan.probe_directory).await?;
    // The first moments fill caches and make files; they count for nobody.
    load.run(env, plan.duration / 4).await?;
    let mut before = probe.run(env, plan.duration).await?;
    let mut pairs = Vec::with_capacity(plan.pairs);
    for _ in 0..plan.pairs {
        let produce_mb_s = load.run(env, plan.duration).await?;
        let after = probe.run(env, plan.duration).await?;
        let probe_mb_s = (before + after) / 2.0;
        pairs.push(Pair {
            produce_mb_s,
            probe_mb_s,
            ratio: produce_mb_s / probe_mb_s,
        });
        before = after;
    }
    probe.remove(env).await?;
    Ok(summarise(plan, pairs))
}

fn summarise(plan: &Plan, pairs: Vec<Pair>) -> Figures {
    let sorted = |figure: fn(&Pair) -> f64| {
        let mut figures: Vec<f64> = pairs.iter().map(figure).collect();
        figures.sort_by(f64::total_cmp);
        figures
    };
    let median = |figures: &[f64]| figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN);
    let ratios = sorted(|pair| pair.ratio);
    let produce = median(&sorted(|pair| pair.produce_mb_s));
    Figures {
        partitions: plan.partitions,
        batch_bytes: plan.batch_bytes,
        record_bytes: plan.record_bytes,
        producers: plan.producers,
        ratio_median: median(&ratios),
        ratio_min: ratios.first().copied().unwrap_or(f64::NAN),
        ratio_max: ratios.last().copied().unwrap_or(f64::NAN),
        produce_mb_s_median: produce,
        probe_mb_s_median: median(&sorted(|pair| pair.probe_mb_s)),
        records_s_median: produce * 1e6 / plan.record_bytes as f64,
        pairs,
    }
}
