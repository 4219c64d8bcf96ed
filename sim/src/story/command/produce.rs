//! `produce`: a client sends records.

use super::Command;
use crate::history::Event;
use crate::story::act::{Act, Answer};
use crate::story::actor::Hands;
use crate::story::play::{Fate, Play, Sent};
use crate::story::records::FILLER;
use futures_channel::oneshot;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;
use taffrail_client::{Acks, Codec, ProducerOptions, Record, TopicPartitionName};
use taffrail_env::Spawn;

pub const COMMAND: Command = Command {
    name: "produce",
    usage: "CLIENT TOPIC/PARTITION VALUE ... [acks=all|1|0] [codec=NAME] [idempotence=off] [time=UNIX-MS] [within=TIME] [bytes=N] [when=later]",
    about: "sends records and says what became of each; `when=later` goes on with the story, see `settle`",
    read: |words| {
        let defaults = ProducerOptions::default();
        let client = words.next("CLIENT")?.to_owned();
        let partition = words.partition()?;
        let acks = match words.option("acks") {
            None | Some("all") => Acks::All,
            Some("1") => Acks::Leader,
            Some("0") => Acks::None,
            Some(other) => return Err(format!("acks={other}: it is all, 1 or 0")),
        };
        let codec = match words.option("codec") {
            None | Some("none") => Codec::None,
            Some("gzip") => Codec::Gzip,
            Some("snappy") => Codec::Snappy,
            Some("lz4") => Codec::Lz4,
            Some("zstd") => Codec::Zstd,
            Some(other) => return Err(format!("there is no codec `{other}`")),
        };
        let idempotence = match words.option("idempotence") {
            None | Some("on") => acks == Acks::All,
            Some("off") => false,
            Some(other) => return Err(format!("idempotence={other}: it is on or off")),
        };
        let within = words.option_duration("within")?;
        let later = match words.option("when") {
            None => false,
            Some("later") => true,
            Some(other) => return Err(format!("when={other}: it is `later`, or left out")),
        };
        let time = words.option_number("time")?;
        let bytes = words.option_number("bytes")?.unwrap_or(0);
        let values = words.rest("VALUE")?;
        let delivery_timeout = within.unwrap_or(Duration::from_secs(30));
        Ok(Box::new(Produce {
            client,
            partition,
            values,
            time,
            bytes,
            later,
            options: ProducerOptions {
                acks,
                codec,
                idempotence,
                delivery_timeout,
                block_max: delivery_timeout,
                ..defaults
            },
        }))
    },
};

struct Produce {
    client: String,
    partition: TopicPartitionName,
    values: Vec<String>,
    time: Option<i64>,
    /// Of the key, which is there to make a record large.
    bytes: usize,
    later: bool,
    options: ProducerOptions,
}

impl Act for Produce {
    fn run<'a>(&'a self, play: &'a Play) -> Pin<Box<dyn Future<Output = Answer> + 'a>> {
        Box::pin(async move {
            let (stage, actor) = (play.stage()?, play.client(&self.client)?);
            play.learn(&self.partition.topic).await?;
            let (mut errands, mut fates) = (Vec::new(), Vec::new());
            for value in &self.values {
                let written = play.records.add(value)?;
                let operation = stage.next_operation();
                stage.tell(Event::SendStarted {
                    operation,
                    client: actor.node.0,
                    partition: stage.identity(&self.partition),
                    record: written,
                    idempotent: self.options.idempotence,
                });
                let record = Record {
                    key: (self.bytes > 0).then(|| vec![FILLER; self.bytes].into()),
                    timestamp: self.time,
                    ..Record::of_value(value.clone())
                };
                let (teller, fate) = oneshot::channel();
                errands.push((record, teller));
                fates.push(Sent {
                    partition: self.partition.clone(),
                    value: value.clone(),
                    operation,
                    fate,
                });
            }
            let (options, partition) = (self.options.clone(), self.partition.clone());
            let handed_over = actor.ask(move |hands| send(hands, options, partition, errands));
            if !self.later {
                // If the client dies over it, each fate says so.
                let _ = handed_over.await;
            }
            play.send_later(&self.client, fates);
            match self.later {
                true => Ok(Vec::new()),
                false => super::settle::settle(play, &self.client).await,
            }
        })
    }
}

/// Hands the records over in their order, and leaves a task behind for each that tells its fate.
async fn send(
    hands: Rc<Hands>,
    options: ProducerOptions,
    partition: TopicPartitionName,
    records: Vec<(Record, oneshot::Sender<Fate>)>,
) {
    let producer = hands.producer(&options);
    for (record, teller) in records {
        let sent = producer.send(&partition.topic, Some(partition.partition), record);
        // Nobody may be there any more to be told.
        match sent.await {
            Ok(delivery) => hands
                .env
                .spawn(async move { drop(teller.send(delivery.await)) }),
            Err(error) => drop(teller.send(Err(error))),
        }
    }
}
