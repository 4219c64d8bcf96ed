//! `read`: what a partition holds.

use super::Command;
use crate::history::Event;
use crate::story::act::{Act, Answer, say};
use crate::story::play::Play;
use crate::story::records::text_of;
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
            let operation = stage.next_operation();
            let client = play.client(&self.by)?.node.0;
            let partition = stage.identity(&self.partition);
            let begin = |position, fresh| {
                stage.tell(Event::PollStarted {
                    operation,
                    client,
                    partition,
                    position,
                    fresh,
                });
            };
            if let Some(from) = self.from {
                begin(from, true);
            }
            let whole = match play.read(&self.by, &self.partition, self.from).await? {
                Ok(whole) => whole,
                Err(unread) => {
                    // Where it was to begin, nobody knows otherwise.
                    match (self.from, unread.is_out_of_range) {
                        (None, _) => {}
                        (_, true) => stage.tell(Event::PollOutOfRange { operation }),
                        (_, false) => stage.tell(Event::PollFailed { operation }),
                    }
                    return say(format!("refused: {}", unread.why));
                }
            };
            if self.from.is_none() {
                // Told only when the answer was there.
                begin(whole.start, false);
            }
            let read = whole.records.iter();
            let read = read.map(|record| play.records.as_read(record));
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
