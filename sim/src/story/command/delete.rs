//! `delete`: a topic goes.

use super::Command;
use crate::story::act::{Act, Answer, say};
use crate::story::actor::Hands;
use crate::story::play::Play;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use taffrail_client::Admin;

pub const COMMAND: Command = Command {
    name: "delete",
    usage: "TOPIC",
    about: "deletes a topic",
    read: |words| Ok(Box::new(Delete(words.next("TOPIC")?.to_owned()))),
};

struct Delete(String);

impl Act for Delete {
    fn run<'a>(&'a self, play: &'a Play) -> Pin<Box<dyn Future<Output = Answer> + 'a>> {
        Box::pin(async move {
            play.tell_deleted(|name| name.topic == self.0)?;
            // Whoever reads it may begin anew in its successor before anybody here knows of that one.
            play.groups.shorten(&self.0);
            let topic = self.0.clone();
            let errand = |hands: Rc<Hands>| async move {
                Admin::new(&hands.client).delete_topic(&topic).await
            };
            match play.ask(errand).await? {
                Ok(()) => {
                    play.tell_gone(|name| name.topic == self.0)?;
                    play.forget_deleted(|name| name.topic == self.0)?;
                    say("deleted")
                }
                Err(error) => say(format!("refused: {error}")),
            }
        })
    }
}
