//! `rot`: a bit of what was synced flips.

use super::Command;
use crate::story::act::{Act, Answer, say};
use crate::story::play::Play;
use std::future::Future;
use std::pin::Pin;
use taffrail_client::TopicPartitionName;

pub const COMMAND: Command = Command {
    name: "rot",
    usage: "BROKER TOPIC/PARTITION log|index|timeindex|digest BYTE",
    about: "flips a bit in a file of a partition's last segment",
    read: |words| {
        Ok(Box::new(Rot {
            broker: words.next("BROKER")?.to_owned(),
            partition: words.partition()?,
            kind: words.next("kind of file")?.to_owned(),
            byte: words.number("BYTE")?,
        }))
    },
};

struct Rot {
    broker: String,
    partition: TopicPartitionName,
    kind: String,
    byte: u64,
}

impl Act for Rot {
    fn run<'a>(&'a self, play: &'a Play) -> Pin<Box<dyn Future<Output = Answer> + 'a>> {
        Box::pin(async move {
            let broker = play.broker_named(&self.broker)?;
            let path = broker
                .files_of(play.stage()?.identity(&self.partition))
                .into_iter()
                .filter(|path| path.ends_with(&format!(".{}", self.kind)))
                .max()
                .ok_or_else(|| format!("{} has no such file", self.partition))?;
            play.damaged.set(true);
            match play.world.disk(broker.node).rot(&path, self.byte, 3, false) {
                true => say("a bit has flipped"),
                false => say("there is no such byte"),
            }
        })
    }
}
