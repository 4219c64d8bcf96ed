//! A consumer that tells the judges all that it is given.

use super::Cluster;
use crate::env::SimEnv;
use crate::history::{ClientId, Event, OperationId, Written};
use crate::workload::value;
use std::collections::BTreeMap;
use std::time::Duration;
use taffrail_client::{
    Client, ConsumeError, Consumer, ConsumerOptions, Fetched, OffsetReset, StartAt,
    TopicPartitionName,
};
use taffrail_record::Offset;

/// The product's own consumer, recorded.
///
/// With [`OffsetReset::Error`] judges know where every read has to go on, and miss every record that is left out; with the other
/// policies a read may begin anew anywhere. What a group stores is not judged.
pub struct RecordedConsumer {
    cluster: Cluster,
    client: Client<SimEnv>,
    consumer: Consumer<SimEnv>,
    id: ClientId,
    resets: bool,
}

/// Records of one poll by their partitions, as judges know them.
type Read = BTreeMap<TopicPartitionName, Vec<(Offset, Written)>>;

/// A question for records that is not answered yet.
struct Open {
    partition: TopicPartitionName,
    operation: OperationId,
    position: Offset,
}

impl RecordedConsumer {
    pub(super) fn new(
        cluster: &Cluster,
        client: &Client<SimEnv>,
        options: ConsumerOptions,
    ) -> RecordedConsumer {
        RecordedConsumer {
            cluster: cluster.clone(),
            client: client.clone(),
            id: cluster.next_client(),
            resets: options.offset_reset != OffsetReset::Error,
            consumer: Consumer::new(client, options),
        }
    }

    /// As [`Consumer::assign`].
    pub fn assign(&self, partitions: &[(TopicPartitionName, StartAt)]) {
        self.consumer.assign(partitions);
    }

    /// As [`Consumer::subscribe`].
    pub fn subscribe(&self, topics: &[String]) {
        self.consumer.subscribe(topics);
    }

    /// As [`Consumer::poll`], told.
    pub async fn poll(&self, timeout: Duration) -> Result<Vec<Fetched>, ConsumeError> {
        for partition in self.consumer.assignment() {
            // If it is not there, the poll says so.
            let _ = self.cluster.look_up(&self.client, &partition.topic).await;
        }
        let assigned = self.consumer.assignment().into_iter();
        let open: Vec<Open> = assigned
            .filter_map(|partition| {
                let position = self.consumer.position(&partition)?;
                Some(self.begin(partition, position))
            })
            .collect();
        let answer = self.consumer.poll(timeout).await;
        self.tell(open, &answer);
        answer.map(|mut records| {
            records.iter_mut().for_each(value::take_name);
            records
        })
    }

    /// The product's own consumer: to seek, to commit, to ask. What it is polled for without [`RecordedConsumer::poll`] is not told.
    pub fn unrecorded(&self) -> &Consumer<SimEnv> {
        &self.consumer
    }

    /// As [`Consumer::close`].
    pub async fn close(self) -> Result<(), ConsumeError> {
        self.consumer.close().await
    }

    fn begin(&self, partition: TopicPartitionName, position: Offset) -> Open {
        let stage = &self.cluster.0.stage;
        let operation = stage.next_operation();
        stage.tell(Event::PollStarted {
            operation,
            client: self.id,
            partition: stage.identity(&partition),
            position,
            fresh: false,
        });
        Open {
            partition,
            operation,
            position,
        }
    }

    fn tell(&self, open: Vec<Open>, answer: &Result<Vec<Fetched>, ConsumeError>) {
        let mut read = Read::new();
        for record in answer.iter().flatten() {
            let partition = TopicPartitionName::new(&*record.topic, record.partition);
            let of_partition = read.entry(partition).or_default();
            of_partition.push((record.offset, value::as_read(record)));
        }
        for asked in open {
            match answer {
                Ok(_) => {
                    let records = read.remove(&asked.partition).unwrap_or_default();
                    self.tell_answer(asked, records);
                }
                Err(error) => self.tell_error(asked.operation, &asked.partition, error),
            }
        }
        // Of partitions whose place was not known: the first record given is where the read began.
        for (partition, records) in read {
            let asked = self.begin(partition, records[0].0);
            self.tell_answer(asked, records);
        }
        if let Err(error @ ConsumeError::Corrupt { .. }) = answer {
            let witness = format!("a client was given a batch that does not verify: {error}");
            self.cluster.0.world.fail("NO-SILENT-CORRUPTION", witness);
        }
    }

    fn tell_answer(&self, asked: Open, records: Vec<(Offset, Written)>) {
        let stage = &self.cluster.0.stage;
        let operation = asked.operation;
        let (first, now) = (
            records.first().map(|(offset, _)| *offset),
            self.consumer.position(&asked.partition),
        );
        // The partition was given away, or its reading begun anew, while the poll went on.
        let moved = match first {
            None => now != Some(asked.position),
            Some(first) => self.resets && first != asked.position,
        };
        if moved {
            stage.tell(Event::PollFailed { operation });
            if let Some(first) = first {
                let anew = self.begin(asked.partition, first);
                self.tell_answer(anew, records);
            }
            return;
        }
        // A partition that was given away meanwhile has none.
        let high_watermark = self.consumer.high_watermark(&asked.partition);
        stage.tell(Event::PollAcked {
            operation,
            records,
            high_watermark: high_watermark.unwrap_or(Offset::MAX),
        });
    }

    fn tell_error(&self, operation: OperationId, asked: &TopicPartitionName, error: &ConsumeError) {
        let here = |topic: &str, partition| asked.topic == topic && asked.partition == partition;
        let event = match error {
            ConsumeError::OutOfRange {
                topic, partition, ..
            } if here(topic, *partition) => Event::PollOutOfRange { operation },
            _ => Event::PollFailed { operation },
        };
        self.cluster.0.stage.tell(event);
    }
}
