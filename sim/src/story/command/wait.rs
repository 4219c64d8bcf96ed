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
    read: |words| Ok(Box::new(Wait(duration(words.next("TIME")?)?))),
};

struct Wait(Duration);

impl Act for Wait {
    fn run<'a>(&'a self, play: &'a Play) -> Pin<Box<dyn Future<Output = Answer> + 'a>> {
        Box::pin(async move {
            play.world.sleep(self.0).await;
            Ok(Vec::new())
        })
    }
}
