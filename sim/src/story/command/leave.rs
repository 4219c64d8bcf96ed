//! `leave`: a member goes.

use super::Command;
use crate::story::act::{Act, Answer, say};
use crate::story::actor::Hands;
use crate::story::play::Play;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;
use taffrail_env::Clock;

pub const COMMAND: Command = Command {
    name: "leave",
    usage: "CLIENT",
    about: "leaves the group",
    read: |words| Ok(Box::new(Leave(words.next("CLIENT")?.to_owned()))),
};

struct Leave(String);

impl Act for Leave {
    fn run<'a>(&'a self, play: &'a Play) -> Pin<Box<dyn Future<Output = Answer> + 'a>> {
        Box::pin(async move {
            let errand = |hands: Rc<Hands>| async move {
                let member = hands.member.take()?;
                let mut consumer = member.consumer.take()?;
                // A poll that is under way holds it a little longer.
                loop {
                    match Rc::try_unwrap(consumer) {
                        Ok(consumer) => return Some(consumer.close().await),
                        Err(held) => consumer = held,
                    }
                    hands.env.sleep(Duration::from_millis(10)).await;
                }
            };
            match play.client(&self.0)?.ask(errand).await {
                Some(Some(Ok(()))) => say("left"),
                Some(Some(Err(error))) => say(format!("refused: {error}")),
                _ => say("is no member"),
            }
        })
    }
}
