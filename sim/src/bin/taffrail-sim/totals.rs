//! What many seeds were together: how long, how much, and which faults.

use crate::cli::Ran;
use crate::failure::say;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use taffrail_sim::FaultKind;
use taffrail_sim::fault::fault_points;

#[derive(Default)]
pub struct Totals {
    seeds: u64,
    simulated: Duration,
    wall: Duration,
    events: u64,
    operations: u64,
    /// How often each kind was injected, and met.
    faults: BTreeMap<FaultKind, (u64, u64)>,
    /// How often each fault point struck.
    points: BTreeMap<&'static str, u64>,
    /// What seeds may be dealt.
    menu: BTreeSet<FaultKind>,
}

impl Totals {
    pub fn add(&mut self, ran: &Ran) {
        self.seeds += 1;
        self.simulated += ran.outcome.simulated;
        self.wall += ran.wall;
        self.events += ran.outcome.events;
        self.operations += ran.outcome.operations;
        for (point, _) in fault_points() {
            let struck = ran.outcome.tally.get(point).copied().unwrap_or(0);
            *self.points.entry(point).or_default() += struck;
        }
        self.menu.extend(&ran.outcome.menu);
        for count in &ran.outcome.faults {
            let (injected, met) = self.faults.entry(count.kind).or_default();
            *injected += count.injected;
            *met += count.met;
        }
    }

    fn count(&self, kind: FaultKind) -> (u64, u64) {
        self.faults.get(&kind).copied().unwrap_or_default()
    }

    /// For people.
    pub fn text(&self) -> String {
        let seconds = self.simulated.as_secs();
        let faults: u64 = self.faults.values().map(|(injected, _)| injected).sum();
        let wall = self.wall.as_secs_f64().max(1e-3);
        let mut text = format!(
            "{} seeds, {}.{:02} simulated hours in {} core-ms ({:.1} s/core-s), {} events ({:.0}/core-s), {} operations ({:.0}/s), {faults} faults, {} KiB resident\n",
            self.seeds,
            seconds / 3600,
            seconds % 3600 / 36,
            self.wall.as_millis(),
            self.simulated.as_secs_f64() / wall,
            self.events,
            self.events as f64 / wall,
            self.operations,
            self.operations as f64 / self.simulated.as_secs_f64().max(1e-3),
            resident_kib(),
        );
        for (kind, (injected, met)) in &self.faults {
            if injected + met > 0 {
                text += &format!("{:<24} {injected:>9} injected {met:>9} met\n", kind.name());
            }
        }
        text += &format!(
            "on the menu, never injected: {}; injected, never met: {}",
            listed(&self.never_injected()),
            listed(&self.never_met()),
        );
        text
    }

    /// Kinds of faults, and fault points, that seeds may be dealt and were not.
    fn never_injected(&self) -> Vec<&'static str> {
        let kinds = self.menu.iter().filter(|kind| self.count(**kind).0 == 0);
        let kinds = kinds.map(|kind| kind.name());
        let points = fault_points().map(|(point, _)| point);
        kinds
            .chain(points.filter(|point| self.is_missed(point)))
            .collect()
    }

    fn never_met(&self) -> Vec<&'static str> {
        let unmet = self.faults.iter();
        let unmet = unmet.filter(|(_, (injected, met))| *injected > 0 && *met == 0);
        unmet.map(|(kind, _)| kind.name()).collect()
    }

    /// Whether a fault point could have struck and never did.
    fn is_missed(&self, point: &str) -> bool {
        let struck = self.points.get(point).copied().unwrap_or(0);
        self.menu.contains(&FaultKind::CodePoint) && struck == 0
    }

    pub fn json(&self) -> serde_json::Value {
        json!({
            "seeds": self.seeds,
            "simulated_seconds": self.simulated.as_secs_f64(),
            "wall_seconds": self.wall.as_secs_f64(),
            "events": self.events,
            "operations": self.operations,
            "resident_kib": resident_kib(),
            "faults": faults_json(self.faults.iter().map(|(kind, (injected, met))| (*kind, *injected, *met))),
            "points": self.points,
            "never_injected": self.never_injected(),
            "never_met": self.never_met(),
        })
    }

    /// Fault points, with how often they struck; one that never did is told if it could have.
    fn print_points(&self, json: bool) {
        for (point, about) in fault_points() {
            let struck = self.points.get(point).copied().unwrap_or(0);
            if json {
                say!(
                    "{}",
                    json!({ "point": point, "about": about, "struck": struck })
                );
            } else {
                let missed = if self.is_missed(point) {
                    "NEVER HIT  "
                } else {
                    ""
                };
                say!("code-point {point:<20} {struck:>9} struck  {missed}{about}");
            }
        }
    }

    /// Every kind that there is, with what became of it.
    pub fn print_catalogue(&self, json: bool) {
        self.print_kinds(json);
        self.print_points(json);
    }

    fn print_kinds(&self, json: bool) {
        for kind in FaultKind::ALL {
            let (injected, met) = self.count(*kind);
            let (name, about) = (kind.name(), kind.describe());
            if json {
                say!(
                    "{}",
                    json!({ "kind": name, "about": about, "injected": injected, "met": met })
                );
            } else {
                // A probe that this profile could have hit.
                let missed = self.menu.contains(kind) && (injected == 0 || met == 0);
                let missed = if missed { "NEVER HIT  " } else { "" };
                say!("{name:<24} {injected:>9} injected {met:>9} met  {missed}{about}");
            }
        }
    }
}

fn listed(names: &[&str]) -> String {
    match names.is_empty() {
        true => "none".to_owned(),
        false => names.join(", "),
    }
}

/// Memory of this process that is in RAM, in KiB; 0 where nobody can say.
#[allow(
    clippy::disallowed_methods,
    reason = "about the process that runs simulations; asked outside of them"
)]
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|kib| kib.parse().ok()).unwrap_or(0)
}

/// Kinds that were injected or met, with how often.
pub fn faults_json(counts: impl Iterator<Item = (FaultKind, u64, u64)>) -> serde_json::Value {
    counts
        .filter(|(_, injected, met)| injected + met > 0)
        .map(|(kind, injected, met)| {
            let counts = json!({ "injected": injected, "met": met });
            (kind.name().to_owned(), counts)
        })
        .collect::<serde_json::Map<_, _>>()
        .into()
}
