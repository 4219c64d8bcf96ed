//! `offsets`: where a partition starts and ends, or what is at a time.

use super::Command;
use crate::history::Event;
use crate::story::act::{Act, Answer, say};
use crate::story::actor::Hands;
use crate::story::play::Play;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use taffrail_client::{Admin, OffsetSpec, TopicPartitionName};

pub const COMMAND: Command = Command {
    name: "offsets",
    usage: "TOPIC/PARTITION [time=UNIX-MS]",
    about: "says where a partition starts and ends, or which record is the first at or after a time",
    read: |words| {
        Ok(Box::new(Offsets {
            partition: words.partition()?,
            time: words.option_number("time")?,
        }))
    },
};

struct Offsets {
    partition: TopicPartitionName,
    time: Option<i64>,
}

impl Act for Offsets {
    fn run<'a>(&'a self, play: &'a Play) -> Pin<Box<dyn Future<Output = Answer> + 'a>> {
        Box::pin(async move {
            let specs = match self.time {
                Some(time) => vec![OffsetSpec::Timestamp(time)],
                None => vec![OffsetSpec::Earliest, OffsetSpec::Latest],
            };
            let stage = play.stage()?;
            let client = play.client("somebody")?.node.0;
            let partition = stage.identity(&self.partition);
            let mut places = Vec::new();
            for spec in specs {
                let operation = stage.next_operation();
                match spec {
                    OffsetSpec::Earliest => stage.tell(Event::EarliestStarted {
                        operation,
                        client,
                        partition,
                    }),
                    OffsetSpec::Latest => stage.tell(Event::EndStarted {
                        operation,
                        client,
                        partition,
                    }),
                    _ => {}
                }
                let wanted = BTreeMap::from([(self.partition.clone(), spec)]);
                let errand = move |hands: Rc<Hands>| async move {
                    Admin::new(&hands.client).list_offsets(&wanted).await
                };
                let found = match play.ask(errand).await? {
                    Ok(found) => found.get(&self.partition).and_then(|found| found.offset),
                    Err(error) => return say(format!("refused: {error}")),
                };
                match (spec, found) {
                    (OffsetSpec::Earliest, Some(start)) => {
                        stage.tell(Event::EarliestAcked { operation, start });
                    }
                    (OffsetSpec::Latest, Some(end)) => {
                        stage.tell(Event::EndAcked { operation, end });
                    }
                    _ => {}
                }
                let none = || "no offset".to_owned();
                places.push(found.map_or_else(none, |offset| offset.to_string()));
            }
            say(places.join(" to "))
        })
    }
}
