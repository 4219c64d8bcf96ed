//! `wait`: time passes.

use super::Command;
use crate::story::act::{Act, Answer};
use crate::story::play::Play;
use crate::story::words::duration;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

pub const COMMAND: Command = Command {
    name: "wait",
    usage: "TIME",
    about: "lets so much time pass",
    read: |words| {
        let word = words.next("TIME")?;
        match duration(word)? {
            time if time > MOST => Err(format!("`{word}` is longer than 400d")),
            time => Ok(Box::new(Wait(time))),
        }
    },
};

/// A broker looks around all the time, so a year of it is long to simulate.
const MOST: Duration = Duration::from_secs(400 * 86_400);

struct Wait(Duration);

impl Act for Wait {
    fn run<'a>(&'a self, play: &'a Play) -> Pin<Box<dyn Future<Output = Answer> + 'a>> {
        Box::pin(async move {
            play.world.sleep(self.0).await;
            Ok(Vec::new())
        })
    }
}
