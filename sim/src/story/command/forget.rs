//! `forget`: the records before an offset go.

use super::Command;
use crate::history::Event;
use crate::story::act::{Act, Answer, say};
use crate::story::actor::Hands;
use crate::story::play::Play;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use taffrail_client::{Admin, TopicPartitionName};

pub const COMMAND: Command = Command {
    name: "forget",
    usage: "TOPIC/PARTITION OFFSET",
    about: "deletes the records before an offset",
    read: |words| {
        Ok(Box::new(Forget {
            partition: words.partition()?,
            offset: words.number("OFFSET")?,
        }))
    },
};

struct Forget {
    partition: TopicPartitionName,
    offset: i64,
}

impl Act for Forget {
    fn run<'a>(&'a self, play: &'a Play) -> Pin<Box<dyn Future<Output = Answer> + 'a>> {
        Box::pin(async move {
            let stage = play.stage()?;
            play.groups.shorten(&self.partition.topic);
            stage.tell(Event::StartMoved {
                partition: stage.identity(&self.partition),
                start: self.offset,
            });
            let (partition, offset) = (self.partition.clone(), self.offset);
            let errand = move |hands: Rc<Hands>| async move {
                let admin = Admin::new(&hands.client);
                admin.delete_records(&partition, Some(offset)).await
            };
            match play.ask(errand).await? {
                Ok(start) => say(format!("starts at offset {start}")),
                Err(error) => say(format!("refused: {error}")),
            }
        })
    }
}
