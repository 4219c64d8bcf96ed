//! A scenario file: a run that is kept, with what was edited in it and what it is expected to break.
//!
//! One command a line; empty lines and lines that begin with `#` are left out.
//!
//! | command | what it says |
//! |---|---|
//! | `world PROFILE@SEED` | which run; once, before all others; with `#HASH` the hash is compared, too |
//! | `quiet LABEL` | every draw of this stream is its least: no fault, the shortest delay |
//! | `set LABEL#N=V` | the N-th draw of this stream is V |
//! | `expect INVARIANT` | what the run breaks; `expect ok` if it breaks nothing; once |
//!
//! The profile is one of [`crate::profile::PROFILES`], or one of the reader's own ([`Scenario::run_with`]), which may have promises of its own, too.

use crate::checker::invariants;
use crate::decision::Edits;
use crate::profile::Profile;
use crate::run::{Outcome, Simulation};
use crate::shrink::Shrunk;
use crate::trace::{Recording, RunName};
use std::fmt;

/// See the module's head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenario {
    pub world: RunName,
    pub edits: Edits,
    /// The invariant that breaks, if one does.
    pub expected: Option<String>,
}

impl Scenario {
    /// Whether a text is of this kind, and not a [`crate::story::Story`]: its first command is `world`.
    pub fn is_replay(text: &str) -> bool {
        let mut lines = text.lines().map(str::trim);
        let first = lines.find(|line| !line.is_empty() && !line.starts_with('#'));
        first.is_some_and(|line| line.starts_with("world "))
    }

    /// Reads a file's text; an error names the line and what would be right.
    pub fn parse(text: &str) -> Result<Scenario, String> {
        let mut world = None;
        let mut expected = None;
        let mut edits = Edits::default();
        let mut add = |line: &str| -> Result<(), String> {
            let edit = Edits::parse(line)?;
            edits.quiet.extend(edit.quiet);
            edits.values.extend(edit.values);
            Ok(())
        };
        for (number, line) in (1..).zip(text.lines().map(str::trim)) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let wrong = |what: &str| format!("line {number}: {what}");
            let (command, rest) = line.split_once(' ').unwrap_or((line, ""));
            match command {
                "world" if world.is_none() => {
                    world = Some(RunName::parse(rest).map_err(|why| wrong(&why))?);
                }
                "expect" if expected.is_none() && !rest.is_empty() => {
                    check_expected(rest, world.as_ref()).map_err(|why| wrong(&why))?;
                    expected = Some(rest.to_owned());
                }
                "world" | "expect" => {
                    return Err(wrong(&format!("`{command}` once, with a word behind it")));
                }
                "quiet" => add(line).map_err(|why| wrong(&why))?,
                "set" => add(rest).map_err(|why| wrong(&why))?,
                other => {
                    return Err(wrong(&format!(
                        "no command `{other}`; there are: world, quiet, set, expect"
                    )));
                }
            }
        }
        Ok(Scenario {
            world: world.ok_or("no line `world PROFILE@SEED`")?,
            edits,
            expected: expected
                .ok_or("no line `expect INVARIANT` or `expect ok`")
                .map(|word| (word != "ok").then_some(word))?,
        })
    }

    /// Runs it.
    pub fn run(&self) -> Result<Outcome<()>, String> {
        self.run_recorded(Recording::Off)
    }

    /// Runs it, and keeps so much of its trace.
    pub fn run_recorded(&self, recording: Recording) -> Result<Outcome<()>, String> {
        self.run_with(Profile::named(&self.world.profile)?, recording)
    }

    /// Runs it as [`Scenario::run_recorded`] does, where its profile is one of the caller's own.
    pub fn run_with(&self, profile: Profile, recording: Recording) -> Result<Outcome<()>, String> {
        if profile.name != self.world.profile {
            let (own, given) = (&self.world.profile, profile.name);
            return Err(format!(
                "a run of profile `{own}`, which `{given}` does not give"
            ));
        }
        let mut simulation: Simulation = profile.simulation(self.world.seed);
        simulation.edits = self.edits.clone();
        simulation.recording = recording;
        Ok((profile.run)(simulation))
    }

    /// Whether `outcome` is what the scenario expects; if not, what it is instead.
    pub fn judge(&self, outcome: &Outcome<()>) -> Result<(), String> {
        let expected = self.expected.as_deref();
        let broken = outcome.failure.as_ref().map(|failure| &*failure.invariant);
        if broken != expected {
            return Err(format!("expected {}", expected.unwrap_or("ok")));
        }
        if let Some(edit) = outcome.idle_edits.to_string().lines().next() {
            return Err(format!(
                "nothing is drawn in this run that `{edit}` names, so that it changes nothing"
            ));
        }
        match self.world.hash {
            Some(_) if self.world.hash != outcome.name.hash => Err(format!(
                "expected {}, but it is {}",
                self.world, outcome.name
            )),
            _ => Ok(()),
        }
    }
}

impl From<&Shrunk> for Scenario {
    /// What breaks is the same on other commits; the hash need not be, so that it is left out.
    fn from(shrunk: &Shrunk) -> Scenario {
        Scenario {
            world: RunName {
                hash: None,
                ..shrunk.name.clone()
            },
            edits: shrunk.edits.clone(),
            expected: Some(shrunk.failure.invariant.clone()),
        }
    }
}

/// Verdicts that no checker speaks.
const OF_THE_WORLD: [&str; 4] = ["PANIC", "STUCK", "LIVELOCK", "TIME-LIMIT"];

fn check_expected(word: &str, world: Option<&RunName>) -> Result<(), String> {
    let known = word == "ok" || OF_THE_WORLD.contains(&word) || invariants().contains(&word);
    // Promises of somebody's own are kept by `World::fail`, under any name.
    let own = world.is_some_and(|world| Profile::named(&world.profile).is_err());
    (known || own).then_some(()).ok_or_else(|| {
        format!("`{word}` is neither ok nor an invariant that a run can be found to break, such as ACKED-DURABLE")
    })
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "world {}", self.world)?;
        for label in &self.edits.quiet {
            writeln!(f, "quiet {label}")?;
        }
        for ((label, counter), value) in &self.edits.values {
            writeln!(f, "set {label}#{counter}={value}")?;
        }
        writeln!(f, "expect {}", self.expected.as_deref().unwrap_or("ok"))
    }
}

#[cfg(test)]
mod tests;
