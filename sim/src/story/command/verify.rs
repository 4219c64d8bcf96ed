//! `verify`: the offline verification of a stopped broker's directory.

use super::Command;
use crate::story::act::{Act, Answer, say};
use crate::story::play::Play;
use std::future::Future;
use std::pin::Pin;

pub const COMMAND: Command = Command {
    name: "verify",
    usage: "BROKER",
    about: "verifies a stopped broker's directory as `taffrail log verify` does",
    read: |words| Ok(Box::new(Verify(words.next("BROKER")?.to_owned()))),
};

struct Verify(String);

impl Act for Verify {
    fn run<'a>(&'a self, play: &'a Play) -> Pin<Box<dyn Future<Output = Answer> + 'a>> {
        Box::pin(async move {
            let broker = play.broker_named(&self.0)?;
            if play.world.is_running(broker.node) {
                return Err("it is running; stop it first".to_owned());
            }
            match broker.findings().await {
                Ok(findings) if findings.is_empty() => say("nothing is wrong"),
                Ok(findings) => Ok(findings),
                Err(why) => say(format!("cannot be verified: {why}")),
            }
        })
    }
}
