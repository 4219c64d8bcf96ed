//! `pause` and `resume`: a process that does not run for a while.

use super::Command;
use crate::story::act::{Act, Answer, say};
use crate::story::play::Play;
use std::future::Future;
use std::pin::Pin;

pub const PAUSE: Command = Command {
    name: "pause",
    usage: "NODE",
    about: "stops a process in its tracks",
    read: |words| {
        Ok(Box::new(Pause {
            node: words.next("NODE")?.to_owned(),
            pauses: true,
        }))
    },
};

pub const RESUME: Command = Command {
    name: "resume",
    usage: "NODE",
    about: "lets a paused process go on, with all its timers late",
    read: |words| {
        Ok(Box::new(Pause {
            node: words.next("NODE")?.to_owned(),
            pauses: false,
        }))
    },
};

struct Pause {
    node: String,
    pauses: bool,
}

impl Act for Pause {
    fn run<'a>(&'a self, play: &'a Play) -> Pin<Box<dyn Future<Output = Answer> + 'a>> {
        Box::pin(async move {
            let node = play.node(&self.node)?;
            play.strained.set(true);
            match self.pauses {
                true => play.world.pause(node),
                false => play.world.resume(node),
            }
            say(if self.pauses {
                "stands still"
            } else {
                "goes on"
            })
        })
    }
}
