//! From a run that fails to the fewest faults with which it still breaks the same invariant.
//!
//! A decision belongs to (seed, label, counter), so a fault that is edited away moves no other draw: what is tried
//! is the same world with less wrong in it. First whole kinds of faults go, then single strikes: those of one kind, or of one node and kind,
//! then by halves and ever smaller parts (delta debugging), in the end by twos. What the profile draws at its beginning (kinds of clients, topics,
//! partitions, the length of the run, and so how many operations there are) is made as small as it can be. The
//! clock, the schedule and the network's delays stay those of the seed.

use crate::decision::Edits;
use crate::fault::FaultKind;
use crate::profile::Profile;
use crate::run::{Failure, Outcome};
use std::collections::BTreeSet;
use std::fmt;

/// Draws at the beginning of a run that say how much of everything there is, each with the value that makes it smallest. A kind of
/// client goes by a draw of its own.
const SIZES: [(&str, u64); 8] = [
    ("profile/brief", 1),
    ("profile/length", 0),
    ("profile/topics", 0),
    ("profile/partitions", 0),
    // Never stopped cleanly, a disk that keeps its word, no wound in the end.
    ("broker/restarts", 1),
    ("profile/law", 0),
    ("profile/wounds", 1),
    ("broker/config/first-offset", 0),
];
/// Draws that leave out a kind of client begin so.
const WITHOUT: &str = "profile/without/";

/// One fault's strike: the label of its stream, and which draw of it.
type Strike = (String, u64);

/// The smallest failing run that was found.
#[derive(Debug)]
pub struct Shrunk {
    pub edits: Edits,
    /// What fails, as it fails with these edits.
    pub failure: Failure,
    /// With the hash.
    pub name: crate::trace::RunName,
    /// Strikes of faults that are left.
    pub faults: usize,
    /// Strikes of faults in the run that was begun with.
    pub faults_before: usize,
    /// Runs that it took.
    pub runs: usize,
}

/// Why there is nothing to shrink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotShrunk {
    /// The run keeps all its promises.
    Clean,
}

impl fmt::Display for NotShrunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotShrunk::Clean => {
                f.write_str("the run breaks nothing, so there is nothing to shrink")
            }
        }
    }
}

/// Shrinks the run of `seed` with `edits`, in at most `runs_max` runs.
pub fn shrink(
    profile: Profile,
    seed: u64,
    edits: Edits,
    runs_max: usize,
) -> Result<Shrunk, NotShrunk> {
    let first = run(profile, seed, edits.clone());
    let Some(failure) = first.failure.clone() else {
        return Err(NotShrunk::Clean);
    };
    let mut search = Search {
        profile,
        seed,
        invariant: failure.invariant,
        runs: 1,
        runs_max,
        best: first,
        edits,
    };
    let faults_before = search.strikes().len();
    search.drop_kinds();
    search.pin_strikes();
    search.drop_groups();
    search.drop_strikes();
    search.shrink_sizes();
    // A smaller world may need fewer faults.
    search.drop_groups();
    search.drop_strikes();
    search.drop_pairs();
    let faults = search.strikes().len();
    let (outcome, mut edits) = (search.best, search.edits);
    // The run ended before it came to these.
    let idle = &outcome.idle_edits;
    edits
        .values
        .retain(|edit, _| !idle.values.contains_key(edit));
    edits.quiet.retain(|label| !idle.quiet.contains(label));
    let failure = outcome.failure.expect("only failing runs are kept");
    Ok(Shrunk {
        edits,
        failure,
        name: outcome.name,
        faults,
        faults_before,
        runs: search.runs,
    })
}

fn run(profile: Profile, seed: u64, edits: Edits) -> Outcome<()> {
    let mut simulation = profile.simulation(seed);
    simulation.edits = edits;
    simulation.record_decisions = true;
    (profile.run)(simulation)
}

struct Search {
    profile: Profile,
    seed: u64,
    invariant: String,
    runs: usize,
    runs_max: usize,
    /// The smallest run that fails as the first did, with its edits.
    best: Outcome<()>,
    edits: Edits,
}

impl Search {
    /// Keeps `edits` if the run still breaks the same invariant.
    fn still_fails(&mut self, edits: Edits) -> bool {
        if self.runs >= self.runs_max || edits == self.edits {
            return false;
        }
        self.runs += 1;
        let outcome = run(self.profile, self.seed, edits.clone());
        let same = |failure: &Failure| failure.invariant == self.invariant;
        if !outcome.failure.as_ref().is_some_and(same) {
            return false;
        }
        self.best = outcome;
        self.edits = edits;
        true
    }

    /// What struck in the best run.
    fn strikes(&self) -> Vec<Strike> {
        let decisions = self.best.decisions.values.iter();
        decisions
            .filter(|((label, _), value)| **value == 1 && kind_of(label).is_some())
            .map(|(strike, _)| strike.clone())
            .collect()
    }

    fn with(&self, label: &str, counter: u64, value: u64) -> Edits {
        let mut edits = self.edits.clone();
        edits.values.insert((label.to_owned(), counter), value);
        edits
    }

    /// No fault at all, if it can be had; or else without one kind after the other.
    fn drop_kinds(&mut self) {
        let calm = self.with("swarm/calm", 0, 1);
        if self.still_fails(calm) {
            return;
        }
        let kinds: BTreeSet<FaultKind> = self
            .best
            .decisions
            .values
            .iter()
            .filter_map(|((label, _), value)| {
                let name = label.strip_prefix("swarm/")?;
                FaultKind::parse(name).filter(|_| *value == 1)
            })
            .collect();
        for kind in kinds {
            let without = self.with(&format!("swarm/{}", kind.name()), 0, 0);
            self.still_fails(without);
        }
    }

    /// From now on only the strikes that are named strike: taking one away lets no other come.
    fn pin_strikes(&mut self) {
        let strikes = self.strikes();
        let labels: BTreeSet<&String> = strikes.iter().map(|(label, _)| label).collect();
        let mut edits = self.edits.clone();
        edits.quiet.extend(labels.into_iter().cloned());
        edits
            .values
            .extend(strikes.iter().map(|strike| (strike.clone(), 1)));
        self.still_fails(edits);
    }

    /// Delta debugging: takes away parts of the strikes, large ones first.
    fn drop_strikes(&mut self) {
        let mut parts = 2;
        loop {
            let strikes = self.pinned();
            if strikes.is_empty() || self.runs >= self.runs_max {
                return;
            }
            let size = strikes.len().div_ceil(parts);
            let mut dropped = false;
            for part in strikes.chunks(size) {
                let mut edits = self.edits.clone();
                for strike in part {
                    edits.values.remove(strike);
                }
                dropped |= self.still_fails(edits);
            }
            match (dropped, size) {
                (true, _) => parts = parts.min(self.pinned().len().max(2)),
                (false, 1) => return,
                (false, _) => parts = (parts * 2).min(strikes.len()),
            }
        }
    }

    /// Takes away all strikes of a kind, and all of a kind at a node.
    fn drop_groups(&mut self) {
        type Key = fn(&Strike) -> Option<String>;
        let keys: [Key; 2] = [
            |(label, _)| kind_of(label).map(|kind| kind.name().to_owned()),
            |(label, _)| Some(label.clone()),
        ];
        for key in keys {
            let groups: BTreeSet<Option<String>> = self.pinned().iter().map(key).collect();
            for group in groups {
                let mut edits = self.edits.clone();
                for strike in self.pinned() {
                    if key(&strike) == group {
                        edits.values.remove(&strike);
                    }
                }
                self.still_fails(edits);
            }
        }
    }

    /// Two strikes that cannot go one at a time may go together: without the one the other would do more.
    fn drop_pairs(&mut self) {
        let mut first = 0;
        while first < self.pinned().len() {
            let mut second = first + 1;
            while second < self.pinned().len() {
                let strikes = self.pinned();
                let mut edits = self.edits.clone();
                edits.values.remove(&strikes[first]);
                edits.values.remove(&strikes[second]);
                if self.still_fails(edits) {
                    second = first + 1;
                } else {
                    second += 1;
                }
                if self.runs >= self.runs_max {
                    return;
                }
            }
            first += 1;
        }
    }

    fn pinned(&self) -> Vec<Strike> {
        let quiet = &self.edits.quiet;
        let values = self.edits.values.iter();
        values
            .filter(|((label, _), value)| {
                **value == 1 && quiet.contains(label) && kind_of(label).is_some()
            })
            .map(|(strike, _)| strike.clone())
            .collect()
    }

    /// Fewer clients, fewer topics, fewer partitions, a shorter run.
    fn shrink_sizes(&mut self) {
        let drawn = self.best.decisions.values.keys();
        let without: BTreeSet<String> = drawn
            .map(|(label, _)| label)
            .filter(|label| label.starts_with(WITHOUT))
            .cloned()
            .collect();
        let without = without.iter().map(|label| (label.as_str(), 1));
        for (label, smallest) in without.chain(SIZES) {
            let edits = self.with(label, 0, smallest);
            if self.still_fails(edits) {
                continue;
            }
            // If not the smallest, then one halfway there.
            let drawn = (label.to_owned(), 0);
            while let Some(now) = self.best.decisions.values.get(&drawn).copied()
                && now > smallest + 1
            {
                let edits = self.with(label, 0, smallest + (now - smallest) / 2);
                if !self.still_fails(edits) {
                    break;
                }
            }
        }
    }
}

/// The fault whose strikes `label` draws: `n1/node-kill`, or `node-starve` of the whole world. The last part alone does not say it: mixes
/// are drawn under the names of kinds, too.
fn kind_of(label: &str) -> Option<FaultKind> {
    match label.rsplit_once('/') {
        None => FaultKind::parse(label),
        Some(("swarm", _)) => None,
        Some((_, kind)) => FaultKind::parse(kind),
    }
}

#[cfg(test)]
mod tests;
