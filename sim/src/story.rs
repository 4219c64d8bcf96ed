//! A story: what a cluster is put through and what it says, in plain words, one command a line.
//!
//! Empty lines and lines that begin with `#` are left out. Every other line is a command of [`command::COMMANDS`]; each has a file
//! of its own below `command`. A story runs in a world where nothing breaks but what the story breaks, with the product's own
//! broker and clients, before the same judges as every profile. Told, it is the commands with what came of each below it, and
//! at the end an account of every partition that was written to. Equal files give equal stories.
//!
//! Values name records: no story produces one twice, so that whoever reads one knows where it was written.

mod act;
mod actor;
pub mod command;
mod group;
mod play;
mod records;
mod words;

use crate::run::{Failure, Limits, Outcome, Simulation};
use crate::trace::Recording;
use act::Act;
use play::Play;
use std::sync::{Arc, Mutex};
use words::Words;

/// What runs are called that follow a story; the seed decides delays and the order of tasks.
pub(crate) const PROFILE: &str = "story";

/// See the module's head.
pub struct Story {
    seed: u64,
    lines: Vec<Line>,
}

/// What is told as broken when a line could not be done, or was not answered as the story expects.
const BROKEN_OFF: &str = "STORY";

/// A command as it is written, and what it does.
struct Line {
    text: String,
    act: Box<dyn Act>,
}

/// What came of a story.
pub struct Told {
    /// The commands, with the answers indented below them.
    pub text: String,
    /// With the hash.
    pub name: crate::trace::RunName,
    /// An invariant that broke; or STORY, when a line could not be done or was not answered as expected.
    pub failure: Option<Failure>,
}

impl Story {
    /// Reads a file's text; an error names the line and what would be right.
    pub fn parse(text: &str) -> Result<Story, String> {
        let mut story = Story {
            seed: 1,
            lines: Vec::new(),
        };
        for (number, line) in (1..).zip(text.lines().map(str::trim)) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let wrong = |what: String| format!("line {number}: {what}");
            if let Some(seed) = line.strip_prefix("seed ") {
                let what = || wrong(format!("`{seed}` is no seed; a seed is a whole number"));
                story.seed = seed.trim().parse().map_err(|_| what())?;
                continue;
            }
            let is_broker = |line: &str| line.split_whitespace().next() == Some("broker");
            if is_broker(line) && story.lines.iter().any(|line| is_broker(&line.text)) {
                return Err(wrong("a story has one broker".to_owned()));
            }
            let act = command::read(Words::of(line)).map_err(wrong)?;
            let text = line.to_owned();
            story.lines.push(Line { text, act });
        }
        if story.lines.is_empty() {
            return Err("no command in it; a story begins with `broker NAME`".to_owned());
        }
        Ok(story)
    }

    /// Runs it from its first line to its last, or to the first promise that is broken.
    pub fn tell(self) -> Told {
        let told = Arc::new(Mutex::new(String::new()));
        let outcome = self.run(Simulation::new(PROFILE, 0), told.clone());
        let mut text = std::mem::take(&mut *told.lock().expect("no thread died with it"));
        if let Some(failure) = &outcome.failure {
            text.push_str(&format!("! {}: {}\n", failure.invariant, failure.witness));
        }
        Told {
            text,
            name: outcome.name,
            failure: outcome.failure,
        }
    }

    /// Runs it with everything recorded, to be looked at.
    pub fn record(self) -> Outcome<()> {
        self.run_recorded(Recording::Full)
    }

    /// Runs it, and keeps so much of its trace.
    pub fn run_recorded(self, recording: Recording) -> Outcome<()> {
        let simulation = Simulation::new(PROFILE, 0).with_recording(recording);
        self.run(simulation, Arc::default())
    }

    fn run(self, mut simulation: Simulation, told: Arc<Mutex<String>>) -> Outcome<()> {
        simulation.seed = self.seed;
        simulation.limits = Limits {
            time_max: 20 * 365 * 86_400 * 1_000_000_000,
            ..Limits::default()
        };
        simulation.run(move |world| async move {
            let play = Play::new(world.clone());
            for line in &self.lines {
                write(&told, &[&line.text], "");
                let digest = crate::trace::digest(line.text.as_bytes());
                world.note(0, 0, digest, || line.text.clone());
                match line.act.run(&play).await {
                    Ok(answer) => {
                        write(&told, &answer, "    ");
                        if !line.act.keeps_answer() {
                            *play.last.borrow_mut() = answer;
                        }
                    }
                    Err(why) => return world.fail(BROKEN_OFF, format!("{}: {why}", line.text)),
                }
            }
            write(&told, &["the end"], "");
            match command::account(&play).await {
                Ok(answer) => write(&told, &answer, "    "),
                Err(why) => world.fail(BROKEN_OFF, why),
            }
        })
    }
}

/// Adds lines to what is told.
fn write(told: &Mutex<String>, lines: &[impl AsRef<str>], indent: &str) {
    let mut told = told.lock().expect("no thread died with it");
    for line in lines {
        told.push_str(indent);
        told.push_str(line.as_ref());
        told.push('\n');
    }
}

#[cfg(test)]
mod tests;
