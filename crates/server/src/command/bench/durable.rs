//! `taffrail bench durable`: what durable produce makes of the disk.
//!
//! An absolute figure of a shared machine says little. So the broker and a bare probe of its disk take turns (probe, broker, probe,
//! broker, ..., probe), each pair's figure is the broker's speed divided by the mean of the probes before and behind it,
//! and the result is the median of the pairs. Pairs during which other programs took much of the machine are dropped.
//!
//! The load is prepared batches through sockets, with acks=all and no work per record, so that broker and disk are
//! measured and not a client.

mod cpu;
mod load;
mod probe;

use super::make_topic;
use crate::arguments::BenchDurableOptions;
use crate::failure::Failure;
use crate::output::{self, Table};
use load::Load;
use probe::{Probe, Probed};
use serde_json::{Value, json};
use std::time::Duration;
use taffrail_client::Client;
use taffrail_env::Entropy;
use taffrail_os::Os;

/// What one pair found, in megabytes (10^6 bytes) a second.
struct Pair {
    produce: f64,
    probed: Probed,
    /// Shares of all cores that other programs, and other machines on this host, took.
    foreign_cpu: f64,
    stolen_cpu: f64,
    counts: bool,
}

impl Pair {
    fn to_append(&self) -> f64 {
        self.produce / self.probed.append
    }

    fn to_overwrite(&self) -> f64 {
        self.produce / self.probed.overwrite
    }

    fn json(&self, options: &BenchDurableOptions) -> Value {
        json!({
            "bench": "durable pair",
            "partitions": options.partitions,
            "produce_mb_per_s": self.produce,
            "probe_append_mb_per_s": self.probed.append,
            "probe_overwrite_mb_per_s": self.probed.overwrite,
            "ratio_append": self.to_append(),
            "ratio_overwrite": self.to_overwrite(),
            "foreign_cpu": self.foreign_cpu,
            "stolen_cpu": self.stolen_cpu,
            "counts": self.counts,
        })
    }
}

pub async fn run(
    os: &Os,
    client: &Client<Os>,
    options: &BenchDurableOptions,
) -> Result<(), Failure> {
    let topic = format!("taffrail-bench-{:016x}", os.random_u64("bench topic"));
    make_topic(client, &topic, options.partitions).await?;
    let load = Load::prepare(os, &topic, options).await?;
    let probe = Probe::prepare(os, &options.probe_dir).await?;
    let measured = pairs(os, &load, &probe, options).await;
    probe.remove(os).await?;
    report(os, options, &measured?).await
}

async fn pairs(
    os: &Os,
    load: &Load,
    probe: &Probe,
    options: &BenchDurableOptions,
) -> Result<Vec<Pair>, Failure> {
    let duration = Duration::from_secs(options.seconds);
    // The first seconds fill caches and make files; they count for nobody.
    load.run(os, duration).await?;
    let mut before = probe.run(os, duration).await?;
    let mut pairs: Vec<Pair> = Vec::new();
    let wanted = options.pairs as usize;
    while counted(&pairs).count() < wanted && pairs.len() < 3 * wanted {
        let usage = cpu::Usage::now(options.broker_pid)?;
        let produce = load.run(os, duration).await?;
        let (foreign_cpu, stolen_cpu) = usage.until(&cpu::Usage::now(options.broker_pid)?);
        let after = probe.run(os, duration).await?;
        let pair = Pair {
            produce,
            probed: before.mean(&after),
            foreign_cpu,
            stolen_cpu,
            counts: foreign_cpu + stolen_cpu <= f64::from(options.foreign_cpu_max) / 100.0,
        };
        if options.json {
            output::json(os, &pair.json(options)).await?;
        }
        pairs.push(pair);
        before = after;
    }
    Ok(pairs)
}

fn counted(pairs: &[Pair]) -> impl Iterator<Item = &Pair> {
    pairs.iter().filter(|pair| pair.counts)
}

/// Smallest, median and largest.
fn spread(figures: impl Iterator<Item = f64>) -> [f64; 3] {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    let median = match figures.len() % 2 {
        0 => f64::midpoint(figures[middle - 1], figures[middle]),
        _ => figures[middle],
    };
    [figures[0], median, figures[figures.len() - 1]]
}

async fn report(os: &Os, options: &BenchDurableOptions, all: &[Pair]) -> Result<(), Failure> {
    let quiet = counted(all).count() >= options.pairs as usize;
    // When there was no quiet moment all pairs count, and it is said.
    let used: Vec<&Pair> = match quiet {
        true => counted(all).collect(),
        false => all.iter().collect(),
    };
    let of = |figure: fn(&Pair) -> f64| spread(used.iter().map(|pair| figure(pair)));
    let [append, overwrite] = [of(Pair::to_append), of(Pair::to_overwrite)];
    if options.json {
        let object = json!({
            "bench": "durable",
            "partitions": options.partitions,
            "producers": options.producers,
            "record_bytes": options.record_size.0,
            "batch_bytes": options.batch_size.0,
            "seconds": options.seconds,
            "pairs": used.len(),
            "dropped": all.len() - used.len(),
            "quiet": quiet,
            "ratio_append": { "min": append[0], "median": append[1], "max": append[2] },
            "ratio_overwrite": { "min": overwrite[0], "median": overwrite[1], "max": overwrite[2] },
            "produce_mb_per_s": of(|pair| pair.produce)[1],
            "probe_append_mb_per_s": of(|pair| pair.probed.append)[1],
            "probe_overwrite_mb_per_s": of(|pair| pair.probed.overwrite)[1],
        });
        return output::json(os, &object).await;
    }
    let mut text = table(all).render();
    text.push_str(&format!(
        "{} partitions: durable produce is {:.2} of the append probe ({:.2} to {:.2}), {:.2} of the overwrite probe ({:.2} to {:.2}); \
         medians of {} pairs, {} dropped{}\n",
        options.partitions,
        append[1],
        append[0],
        append[2],
        overwrite[1],
        overwrite[0],
        overwrite[2],
        used.len(),
        all.len() - used.len(),
        if quiet { "" } else { "; the machine was never quiet, so all count" },
    ));
    output::text(os, text).await
}

fn table(pairs: &[Pair]) -> Table {
    let mut table = Table::new(&[
        "PRODUCE MB/S",
        "APPEND MB/S",
        "OVERWRITE MB/S",
        "OF APPEND",
        "OF OVERWRITE",
        "FOREIGN CPU",
        "COUNTS",
    ]);
    for pair in pairs {
        table.row(vec![
            format!("{:.1}", pair.produce),
            format!("{:.1}", pair.probed.append),
            format!("{:.1}", pair.probed.overwrite),
            format!("{:.2}", pair.to_append()),
            format!("{:.2}", pair.to_overwrite()),
            format!("{:.0} %", 100.0 * (pair.foreign_cpu + pair.stolen_cpu)),
            if pair.counts { "yes" } else { "no" }.to_owned(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::spread;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        assert_eq!(spread([4.0, 1.0, 3.0].into_iter()), [1.0, 3.0, 4.0]);
        assert_eq!(spread([4.0, 1.0, 3.0, 2.0].into_iter()), [1.0, 2.5, 4.0]);
    }
}
