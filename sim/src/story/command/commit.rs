//! `commit`: a group's offset, committed by nobody in particular.

use super::Command;
use crate::history::Event;
use crate::story::act::{Act, Answer, say};
use crate::story::actor::Hands;
use crate::story::group;
use crate::story::play::Play;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use taffrail_client::{Consumer, ConsumerOptions, TopicPartitionName};

pub const COMMAND: Command = Command {
    name: "commit",
    usage: "GROUP TOPIC/PARTITION OFFSET",
    about: "commits an offset of a group without members",
    read: |words| {
        Ok(Box::new(Commit {
            group: words.next("GROUP")?.to_owned(),
            partition: words.partition()?,
            offset: words.number("OFFSET")?,
        }))
    },
};

struct Commit {
    group: String,
    partition: TopicPartitionName,
    offset: i64,
}

/// A consumer that only asks and commits.
pub(super) fn consumer(hands: &Hands, group: String) -> Consumer<crate::env::SimEnv> {
    let options = ConsumerOptions {
        group: Some(group),
        ..ConsumerOptions::default()
    };
    Consumer::new(&hands.client, options)
}

impl Act for Commit {
    fn run<'a>(&'a self, play: &'a Play) -> Pin<Box<dyn Future<Output = Answer> + 'a>> {
        Box::pin(async move {
            let stage = play.stage()?;
            let operation = stage.next_operation();
            stage.tell(Event::CommitStarted {
                operation,
                group: group::number(&self.group),
                partition: stage.identity(&self.partition),
                offset: self.offset,
                by: None,
            });
            let (group, offset) = (self.group.clone(), self.offset);
            let offsets = BTreeMap::from([(self.partition.clone(), offset)]);
            let errand = move |hands: Rc<Hands>| async move {
                consumer(&hands, group).commit_offsets(&offsets).await
            };
            match play.ask(errand).await? {
                Ok(()) => {
                    stage.tell(Event::CommitAcked { operation });
                    say("committed")
                }
                // It may have taken effect all the same, so the judges are told nothing.
                Err(error) => say(format!("refused: {error}")),
            }
        })
    }
}
