//! `read`: what a partition holds.

use super::Command;
use crate::history::Event;
use crate::story::act::{Act, Answer, say};
use crate::story::play::{Play, text_of};
use std::future::Future;
use std::pin::Pin;
use taffrail_client::TopicPartitionName;

pub const COMMAND: Command = Command {
    name: "read",
    usage: "TOPIC/PARTITION [from=OFFSET] [by=CLIENT]",
    about: "reads a partition to its end",
    read: |words| {
        Ok(Box::new(Read {
            partition: words.partition()?,
            from: words.option_number("from")?,
            by: words.option("by").unwrap_or("somebody").to_owned(),
        }))
    },
};

struct Read {
    partition: TopicPartitionName,
    from: Option<i64>,
    by: String,
}

impl Act for Read {
    fn run<'a>(&'a self, play: &'a Play) -> Pin<Box<dyn Future<Output = Answer> + 'a>> {
        Box::pin(async move {
            let stage = play.stage()?;
            let whole = match play.read(&self.by, &self.partition, self.from).await? {
                Ok(whole) => whole,
                Err(why) => return say(format!("refused: {why}")),
            };
            let operation = stage.next_operation();
            stage.tell(Event::PollStarted {
                operation,
                client: play.client(&self.by)?.node.0,
                partition: stage.identity(&self.partition),
                position: self.from.unwrap_or(whole.start),
                // Told only when the answer was there.
                fresh: false,
            });
            let read = whole.records.iter().map(|record| play.as_read(record));
            stage.tell(Event::PollAcked {
                operation,
                records: read.collect(),
                high_watermark: whole.end,
            });
            let mut answer: Vec<String> = whole
                .records
                .iter()
                .map(|record| format!("{} {}", record.offset, text_of(record)))
                .collect();
            answer.push(format!("from {} to {}", whole.start, whole.end));
            Ok(answer)
        })
    }
}
