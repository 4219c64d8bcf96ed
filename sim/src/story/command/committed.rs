//! `committed`: a group's offset.

use super::Command;
use super::commit::consumer;
use crate::history::Event;
use crate::story::act::{Act, Answer, say};
use crate::story::actor::Hands;
use crate::story::group;
use crate::story::play::Play;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use taffrail_client::TopicPartitionName;

pub const COMMAND: Command = Command {
    name: "committed",
    usage: "GROUP TOPIC/PARTITION",
    about: "asks for a group's committed offset",
    read: |words| {
        Ok(Box::new(Committed {
            group: words.next("GROUP")?.to_owned(),
            partition: words.partition()?,
        }))
    },
};

struct Committed {
    group: String,
    partition: TopicPartitionName,
}

impl Act for Committed {
    fn run<'a>(&'a self, play: &'a Play) -> Pin<Box<dyn Future<Output = Answer> + 'a>> {
        Box::pin(async move {
            let stage = play.stage()?;
            let operation = stage.next_operation();
            stage.tell(Event::CommittedStarted {
                operation,
                group: group::number(&self.group),
                partition: stage.identity(&self.partition),
            });
            let (group, partition) = (self.group.clone(), self.partition.clone());
            let errand = move |hands: Rc<Hands>| async move {
                let wanted = std::slice::from_ref(&partition);
                let found = consumer(&hands, group).committed(wanted).await;
                found.map(|found| found.get(&partition).copied())
            };
            match play.ask(errand).await? {
                Ok(offset) => {
                    stage.tell(Event::CommittedAcked { operation, offset });
                    say(match offset {
                        Some(offset) => format!("offset {offset}"),
                        None => "no offset".to_owned(),
                    })
                }
                Err(error) => {
                    stage.tell(Event::CommittedFailed { operation });
                    say(format!("refused: {error}"))
                }
            }
        })
    }
}
