//! `offsets`: where a partition starts and ends, or what is at a time.

use super::Command;
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
            let mut places = Vec::new();
            for spec in specs {
                let wanted = BTreeMap::from([(self.partition.clone(), spec)]);
                let errand = move |hands: Rc<Hands>| async move {
                    Admin::new(&hands.client).list_offsets(&wanted).await
                };
                match play.ask(errand).await? {
                    Err(error) => return say(format!("refused: {error}")),
                    Ok(found) => places.push(match found.get(&self.partition) {
                        Some(found) if found.offset.is_some() => {
                            found.offset.map(|offset| offset.to_string())
                        }
                        _ => None,
                    }),
                }
            }
            let none = || "no offset".to_owned();
            let places: Vec<String> = places
                .into_iter()
                .map(|place| place.unwrap_or_else(none))
                .collect();
            say(places.join(" to "))
        })
    }
}
