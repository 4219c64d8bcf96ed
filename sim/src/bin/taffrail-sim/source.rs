//! What a command was given to run: the name of a run, a scenario file of either kind, or a file of checkpoints.

#![allow(
    clippy::disallowed_methods,
    reason = "files of the user's, outside of every simulation"
)]

use crate::failure::Failure;
use std::path::Path;
use taffrail_sim::difference::Log;
use taffrail_sim::profile::Profile;
use taffrail_sim::scenario::Scenario;
use taffrail_sim::story::Story;
use taffrail_sim::{Edits, Outcome, Recording, RunName};

/// Something that can be run, or that was.
pub enum Source {
    Name(RunName),
    Scenario(Scenario),
    /// The text of a story that can be read.
    Story(String),
    /// Of a run somewhere else.
    Log(Log),
}

impl Source {
    /// A file's, if `given` is the path of one; else it must be a name.
    pub fn find(given: &str) -> Result<Source, Failure> {
        if !Path::new(given).is_file() {
            let name = RunName::parse(given);
            let name = name.map_err(|why| format!("{why}; and there is no such file"))?;
            return Ok(Source::Name(name));
        }
        let wrong = |why| format!("{given}: {why}");
        let text = std::fs::read_to_string(given);
        let text = text.map_err(|why| Failure::of_file(Path::new(given), why))?;
        if Log::is_log(&text) {
            return Ok(Source::Log(Log::parse(&text).map_err(wrong)?));
        }
        if Scenario::is_replay(&text) {
            return Ok(Source::Scenario(Scenario::parse(&text).map_err(wrong)?));
        }
        Story::parse(&text).map_err(wrong)?;
        Ok(Source::Story(text))
    }

    /// Runs it, and keeps so much of its trace.
    /// A name's hash has to be that of the run.
    pub fn run(&self, recording: Recording) -> Result<Outcome<()>, Failure> {
        match self {
            Source::Name(name) => {
                let profile = Profile::named(&name.profile)?;
                let simulation = profile.simulation(name.seed);
                let outcome = (profile.run)(simulation.with_recording(recording));
                match name.hash {
                    Some(_) if name.hash != outcome.name.hash => Err(Failure::failed(format!(
                        "{name} is {} here: another commit, lock file or compiler",
                        outcome.name
                    ))),
                    _ => Ok(outcome),
                }
            }
            Source::Scenario(scenario) => Ok(scenario.run_recorded(recording)?),
            Source::Story(text) => Ok(Story::parse(text)?.run_recorded(recording)),
            Source::Log(log) => Err(cannot_be_run(log)),
        }
    }

    /// The world in which it fails, and what is edited in it already. A name's hash has to be that of the run, and
    /// a scenario has to come out as it expects.
    pub fn to_shrink(&self) -> Result<(RunName, Edits), Failure> {
        match self {
            Source::Name(name) => {
                if name.hash.is_some() {
                    self.run(Recording::Off)?;
                }
                Ok((name.clone(), Edits::default()))
            }
            Source::Scenario(scenario) => {
                let judged = scenario.judge(&scenario.run()?);
                judged.map_err(Failure::failed)?;
                Ok((scenario.world.clone(), scenario.edits.clone()))
            }
            Source::Story(_) => Err(Failure::from(
                "a story is written by hand, and has nothing drawn to take away".to_owned(),
            )),
            Source::Log(log) => Err(cannot_be_run(log)),
        }
    }

    /// What is known of it: from the file, or from running it.
    pub fn log(&self, recording: Recording) -> Result<Log, Failure> {
        match self {
            Source::Log(log) => Ok(log.clone()),
            other => Ok(Log::of(&other.run(recording)?)),
        }
    }
}

fn cannot_be_run(log: &Log) -> Failure {
    let name = &log.name;
    Failure::from(format!(
        "{name}: a file of checkpoints cannot be run; it is for `diff`"
    ))
}
