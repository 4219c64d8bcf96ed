//! `expect`: what the last answer must hold.

use super::Command;
use crate::story::act::{Act, Answer};
use crate::story::play::Play;
use std::future::Future;
use std::pin::Pin;

pub const COMMAND: Command = Command {
    name: "expect",
    usage: "WORDS ...",
    about: "breaks the story off unless these words are in the answer to the line before",
    read: |words| Ok(Box::new(Expect(words.rest("WORDS")?.join(" ")))),
};

struct Expect(String);

impl Act for Expect {
    fn run<'a>(&'a self, play: &'a Play) -> Pin<Box<dyn Future<Output = Answer> + 'a>> {
        Box::pin(async move {
            let last = play.last.borrow().clone();
            let found = last.join("\n").contains(&self.0);
            match found {
                // Several expectations may follow one line.
                true => Ok(last).map(|_| Vec::new()),
                false => Err(format!("the answer was: {}", last.join("; "))),
            }
        })
    }
}
