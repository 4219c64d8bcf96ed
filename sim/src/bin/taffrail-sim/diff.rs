//! `diff`: where two runs part.

use crate::failure::{Failure, say};
use crate::source::Source;
use taffrail_sim::Recording;
use taffrail_sim::difference::{self, Log};

/// True if both are one run.
pub fn run(one: &str, other: &str) -> Result<bool, Failure> {
    let sources = [Source::find(one)?, Source::find(other)?];
    let [one, other] = logs(&sources, Recording::Off)?;
    let Some(window) = difference::window(&one, &other) else {
        say!("one run: {}, {} events", one.name, one.events);
        return Ok(true);
    };
    say!("a: {}, {} events", one.name, one.events);
    say!("b: {}, {} events", other.name, other.events);
    let (from, to) = window;
    say!("the same up to event {from}, not up to event {to}");
    let [one, other] = logs(&sources, Recording::Window(from, to))?;
    if let Some(lacking) = [&one, &other].into_iter().find(|log| !log.covers(window)) {
        say!(
            "the file of {} has not recorded them; where it came from: \
             taffrail-sim replay {}@{} --checkpoints FILE --window {from}..{to}",
            lacking.name,
            lacking.name.profile,
            lacking.name.seed
        );
        return Ok(false);
    }
    let found = difference::first_difference(&one, &other, window).ok_or_else(|| {
        Failure::failed("the checkpoints differ and the events do not: hashes of another version?")
    })?;
    for event in &found.shared {
        say!("  {event}");
    }
    for (side, event) in ["a", "b"].into_iter().zip(&found.sides) {
        say!("{side} {}", event.as_deref().unwrap_or("(has ended)"));
    }
    Ok(false)
}

fn logs(sources: &[Source; 2], recording: Recording) -> Result<[Log; 2], Failure> {
    let [one, other] = sources;
    Ok([one.log(recording)?, other.log(recording)?])
}
