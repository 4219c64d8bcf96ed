//! `clock`: a node's wall clock jumps, or stands still.

use super::Command;
use crate::story::act::{Act, Answer, say};
use crate::story::play::Play;
use crate::story::words::duration;
use std::future::Future;
use std::pin::Pin;

pub const COMMAND: Command = Command {
    name: "clock",
    usage: "NODE +TIME|-TIME|freeze|thaw",
    about: "sets a node's wall clock on or back, or stops it",
    read: |words| {
        let node = words.next("NODE")?.to_owned();
        let what = words.next("what to do")?;
        let change = match what.split_at_checked(1) {
            _ if what == "freeze" => Change::Freeze(true),
            _ if what == "thaw" => Change::Freeze(false),
            Some(("+", time)) => Change::Step(duration(time)?.as_millis() as i64),
            Some(("-", time)) => Change::Step(-(duration(time)?.as_millis() as i64)),
            _ => return Err(format!("`{what}` is not +TIME, -TIME, freeze or thaw")),
        };
        Ok(Box::new(Clock { node, change }))
    },
};

enum Change {
    /// Milliseconds.
    Step(i64),
    Freeze(bool),
}

struct Clock {
    node: String,
    change: Change,
}

impl Act for Clock {
    fn run<'a>(&'a self, play: &'a Play) -> Pin<Box<dyn Future<Output = Answer> + 'a>> {
        Box::pin(async move {
            let node = play.node(&self.node)?;
            match self.change {
                Change::Step(by_ms) => play.world.step_clock(node, by_ms),
                Change::Freeze(frozen) => play.world.freeze_clock(node, frozen),
            }
            say("done")
        })
    }
}
