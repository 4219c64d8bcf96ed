//! `topic`: makes one.

use super::Command;
use crate::story::act::{Act, Answer, say};
use crate::story::play::Play;
use std::future::Future;
use std::pin::Pin;
use taffrail_client::Admin;
use taffrail_client::admin::NewTopic;

pub const COMMAND: Command = Command {
    name: "topic",
    usage: "NAME [partitions=N] [CONFIG=VALUE ...]",
    about: "makes a topic",
    read: |words| {
        Ok(Box::new(Make(NewTopic {
            name: words.next("NAME")?.to_owned(),
            partitions: words.option_number("partitions")?,
            replication_factor: None,
            configs: words.take_options(),
        })))
    },
};

struct Make(NewTopic);

impl Act for Make {
    fn run<'a>(&'a self, play: &'a Play) -> Pin<Box<dyn Future<Output = Answer> + 'a>> {
        Box::pin(async move {
            let wanted = self.0.clone();
            let errand = |hands: std::rc::Rc<crate::story::actor::Hands>| async move {
                Admin::new(&hands.client).create_topic(&wanted, false).await
            };
            match play.ask(errand).await? {
                Ok(()) => {
                    if self
                        .0
                        .configs
                        .keys()
                        .any(|key| key.starts_with("retention."))
                    {
                        play.retained.borrow_mut().insert(self.0.name.clone());
                        play.groups.shorten(&self.0.name);
                    }
                    play.learn(&self.0.name).await?;
                    say("made")
                }
                Err(error) => say(format!("refused: {error}")),
            }
        })
    }
}
