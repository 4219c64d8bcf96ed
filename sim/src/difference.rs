//! Where two runs part: first between which checkpoints, then at which event.
//!
//! A [`Log`] is what is known of a run: its checkpoints, and the events of a window if they were recorded. It comes from running it,
//! or from a file that another build wrote, so that runs of two builds can be held against each other.

use crate::run::Outcome;
use crate::trace::{Checkpoint, RunName, TraceHash};
use std::collections::BTreeMap;
use std::fmt;

/// What is known of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// With the hash.
    pub name: RunName,
    pub events: u64,
    pub checkpoints: Vec<Checkpoint>,
    /// Recorded events as they are printed, by their numbers.
    pub recorded: BTreeMap<u64, String>,
}

/// The first event that two runs do not share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    pub number: u64,
    /// The last events that both have, oldest first.
    pub shared: Vec<String>,
    /// What each has there; `None` if it had ended.
    pub sides: [Option<String>; 2],
}

/// So many events before the first difference are shown.
const SHARED_SHOWN: u64 = 5;

impl Log {
    /// What is known of a run that has ended.
    pub fn of<T>(outcome: &Outcome<T>) -> Log {
        let recorded = outcome.trace.iter();
        Log {
            name: outcome.name.clone(),
            events: outcome.events,
            checkpoints: outcome.checkpoints.clone(),
            recorded: recorded
                .map(|event| (event.number, event.to_string().replace('\n', " ")))
                .collect(),
        }
    }

    /// Whether a text is such a file.
    pub fn is_log(text: &str) -> bool {
        text.starts_with("run ")
    }

    /// Reads what [`fmt::Display`] writes.
    pub fn parse(text: &str) -> Result<Log, String> {
        let (mut name, mut events) = (None, None);
        let (mut checkpoints, mut recorded) = (Vec::new(), BTreeMap::new());
        for line in text.lines() {
            let wrong = || format!("`{line}` is no line of a file of checkpoints");
            let (word, rest) = line.split_once(' ').ok_or_else(wrong)?;
            match word {
                "run" => name = Some(RunName::parse(rest)?),
                "events" => events = Some(rest.parse().map_err(|_| wrong())?),
                "checkpoint" => {
                    let (events, hash) = rest.split_once(' ').ok_or_else(wrong)?;
                    checkpoints.push(Checkpoint {
                        events: events.parse().map_err(|_| wrong())?,
                        hash: u128::from_str_radix(hash, 16)
                            .map(TraceHash)
                            .map_err(|_| wrong())?,
                    });
                }
                "event" => {
                    let number = rest.split(' ').next().and_then(|word| word.parse().ok());
                    recorded.insert(number.ok_or_else(wrong)?, rest.to_owned());
                }
                _ => return Err(wrong()),
            }
        }
        Ok(Log {
            name: name.ok_or("no line `run NAME`")?,
            events: events.ok_or("no line `events NUMBER`")?,
            checkpoints,
            recorded,
        })
    }

    /// Whether it has recorded all events from one number to before another, as far as there are any.
    pub fn covers(&self, (from, to): (u64, u64)) -> bool {
        (from..to.min(self.events)).all(|number| self.recorded.contains_key(&number))
    }
}

impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "run {}", self.name)?;
        writeln!(f, "events {}", self.events)?;
        for checkpoint in &self.checkpoints {
            writeln!(f, "checkpoint {} {}", checkpoint.events, checkpoint.hash)?;
        }
        let mut recorded = self.recorded.values();
        recorded.try_for_each(|event| writeln!(f, "event {event}"))
    }
}

/// The events among which the first difference is: from the first number to before the second. `None` if the runs are one.
pub fn window(one: &Log, other: &Log) -> Option<(u64, u64)> {
    if one.events == other.events && one.name.hash == other.name.hash {
        return None;
    }
    let of_other: BTreeMap<u64, TraceHash> = other
        .checkpoints
        .iter()
        .map(|checkpoint| (checkpoint.events, checkpoint.hash))
        .collect();
    let mut from = 0;
    for checkpoint in &one.checkpoints {
        match of_other.get(&checkpoint.events) {
            Some(hash) if *hash == checkpoint.hash => from = checkpoint.events,
            Some(_) => return Some((from, checkpoint.events)),
            None => {}
        }
    }
    Some((from, one.events.max(other.events)))
}

/// The first difference within a window that both have recorded.
pub fn first_difference(one: &Log, other: &Log, (from, to): (u64, u64)) -> Option<Difference> {
    let at = |log: &Log, number| log.recorded.get(&number).cloned();
    let number = (from..to).find(|number| at(one, *number) != at(other, *number))?;
    let shared = from.max(number.saturating_sub(SHARED_SHOWN))..number;
    Some(Difference {
        number,
        shared: shared.filter_map(|number| at(one, number)).collect(),
        sides: [at(one, number), at(other, number)],
    })
}

#[cfg(test)]
mod tests;
