//! A consumer that tells the judges all that it is given, and where it is told to begin.

mod places;

use super::Cluster;
use crate::env::SimEnv;
use crate::history::{ClientId, Event, OperationId, Written};
use crate::workload::value;
use places::Places;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;
use taffrail_client::{
    Client, ConsumeError, Consumer, ConsumerOptions, Fetched, Rebalance, StartAt,
    TopicPartitionName,
};
use taffrail_record::{Offset, TopicPartition};

/// The product's own consumer, recorded.
///
/// Judges know where every reading begins, and object to the first record that is passed over (POLL-SKIP) or given again
/// (NONMONOTONIC-POLL), in one poll or between two. A reading begins anew with [`RecordedConsumer::assign`],
/// [`RecordedConsumer::seek`], a partition that the group gives, and an offset that was refused as out of range; what a group stores is not
/// judged. Where topics keep their records, [`ConsumerOptions::offset_reset`] excuses nothing but a first offset that is not in the log; where
/// retention takes them away, a policy may go on at the start of what is left.
pub struct RecordedConsumer {
    cluster: Cluster,
    client: Client<SimEnv>,
    consumer: Consumer<SimEnv>,
    id: ClientId,
    places: RefCell<Places>,
    /// For whoever asks.
    rebalances: RefCell<Vec<Rebalance>>,
}

/// Records of one poll by their partitions, as judges know them.
type Read = BTreeMap<TopicPartitionName, Vec<(Offset, Written)>>;

/// A question for records that is not answered yet.
struct Open {
    partition: TopicPartitionName,
    identity: TopicPartition,
    operation: OperationId,
    position: Offset,
}

impl RecordedConsumer {
    pub(super) fn new(
        cluster: &Cluster,
        client: &Client<SimEnv>,
        options: ConsumerOptions,
    ) -> RecordedConsumer {
        let places = Places::new(options.offset_reset);
        RecordedConsumer {
            cluster: cluster.clone(),
            client: client.clone(),
            id: cluster.next_client(),
            places: RefCell::new(places),
            rebalances: RefCell::default(),
            consumer: Consumer::new(client, options),
        }
    }

    /// As [`Consumer::assign`].
    pub fn assign(&self, partitions: &[(TopicPartitionName, StartAt)]) {
        let mut places = self.places.borrow_mut();
        places.assign(&self.cluster, partitions);
        drop(places);
        self.consumer.assign(partitions);
    }

    /// As [`Consumer::subscribe`].
    pub fn subscribe(&self, topics: &[String]) {
        self.consumer.subscribe(topics);
    }

    /// As [`Consumer::seek`]. Nothing if the partition is not assigned.
    pub fn seek(&self, partition: &TopicPartitionName, start: StartAt) {
        if self.consumer.assignment().contains(partition) {
            let mut places = self.places.borrow_mut();
            places.begin(&self.cluster, partition, start);
            drop(places);
            self.consumer.seek(partition, start);
        }
    }

    /// As [`Consumer::take_rebalances`].
    pub fn take_rebalances(&self) -> Vec<Rebalance> {
        self.note_rebalances();
        self.rebalances.take()
    }

    /// As [`Consumer::poll`], told. One poll at a time.
    pub async fn poll(&self, timeout: Duration) -> Result<Vec<Fetched>, ConsumeError> {
        for partition in self.consumer.assignment() {
            // If it is not there, the poll says so.
            let _ = self.cluster.look_up(&self.client, &partition.topic).await;
        }
        // Of a poll that was given up, too.
        self.note_rebalances();
        let assigned = self.consumer.assignment().into_iter();
        let open: Vec<Open> = assigned
            .filter_map(|partition| {
                let position = self.consumer.position(&partition)?;
                self.begin(partition, position, None)
            })
            .collect();
        let answer = self.consumer.poll(timeout).await;
        // From here on nothing is waited for: whoever gives up loses no records that judges were told of.
        self.note_rebalances();
        self.tell(open, &answer);
        answer.map(|mut records| {
            records.iter_mut().for_each(value::take_name);
            records
        })
    }

    /// The product's own consumer: to commit, to ask. Judges hear nothing of what is done with it: records that it is polled for
    /// are missed by the next [`RecordedConsumer::poll`], and so are those that it is made to pass over.
    pub fn unrecorded(&self) -> &Consumer<SimEnv> {
        &self.consumer
    }

    /// As [`Consumer::close`].
    pub async fn close(self) -> Result<(), ConsumeError> {
        self.consumer.close().await
    }

    fn note_rebalances(&self) {
        let rebalances = self.consumer.take_rebalances();
        let mut places = self.places.borrow_mut();
        rebalances.iter().for_each(|one| places.carry_out(one));
        self.rebalances.borrow_mut().extend(rebalances);
    }

    /// Tells that records are asked for from here on; or that they were, of which this one is the first. `None` if judges do
    /// not know the topic.
    fn begin(
        &self,
        partition: TopicPartitionName,
        position: Offset,
        record: Option<u64>,
    ) -> Option<Open> {
        let mut places = self.places.borrow_mut();
        let standing = places.stand(&self.cluster, &partition, position, record)?;
        drop(places);
        let (stage, identity) = (&self.cluster.0.stage, standing.identity);
        if let Some(position) = standing.begins {
            stage.tell(Event::Placed {
                client: self.id,
                partition: identity,
                position,
            });
        }
        let operation = stage.next_operation();
        stage.tell(Event::PollStarted {
            operation,
            client: self.id,
            partition: identity,
            position,
            fresh: false,
        });
        Some(Open {
            partition,
            identity,
            operation,
            position,
        })
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
                Ok(_) if self.is_answered(&asked, read.get(&asked.partition)) => {
                    let records = read.remove(&asked.partition).unwrap_or_default();
                    self.tell_answer(&asked, records);
                }
                Ok(_) => self.tell_failed(asked.operation),
                Err(error) => self.tell_error(&asked, error),
            }
        }
        // Where the place was not known, or is another one by now, the first record given is where the reading goes on; judges hold that
        // against what is due.
        for (partition, records) in read {
            let (first, record) = &records[0];
            if let Some(asked) = self.begin(partition, *first, Some(record.id)) {
                self.tell_answer(&asked, records);
            }
        }
        if let Err(error @ ConsumeError::Corrupt { .. }) = answer {
            let witness = format!("a client was given a batch that does not verify: {error}");
            self.cluster.0.world.fail("NO-SILENT-CORRUPTION", witness);
        }
    }

    /// Whether what came is the answer to this question. It is not if the partition was given away or its reading begun anew
    /// while the poll went on.
    fn is_answered(&self, asked: &Open, records: Option<&Vec<(Offset, Written)>>) -> bool {
        let (places, name) = (self.places.borrow(), &asked.partition);
        let goes_on = places.goes_on(name, asked.identity);
        goes_on
            && match records.and_then(|records| records.first()) {
                None => self.consumer.position(name) == Some(asked.position),
                Some((first, record)) => {
                    *first == asked.position && !places.is_over(&self.cluster, name, record.id)
                }
            }
    }

    fn tell_answer(&self, asked: &Open, records: Vec<(Offset, Written)>) {
        let next = records.last().map(|(last, _)| last + 1);
        if let Some(next) = next {
            self.places.borrow_mut().given(&asked.partition, next);
        }
        // Before its first answer a consumer knows of none, which judges take for -1.
        let high_watermark = self.consumer.high_watermark(&asked.partition);
        self.cluster.0.stage.tell(Event::PollAcked {
            operation: asked.operation,
            records,
            high_watermark: high_watermark.or(next).unwrap_or(-1),
        });
    }

    fn tell_failed(&self, operation: OperationId) {
        let stage = &self.cluster.0.stage;
        stage.tell(Event::PollFailed { operation });
    }

    fn tell_error(&self, asked: &Open, error: &ConsumeError) {
        let name = &asked.partition;
        let (operation, mut places) = (asked.operation, self.places.borrow_mut());
        let is_refused = match error {
            ConsumeError::OutOfRange {
                topic, partition, ..
            } if name.topic == *topic && name.partition == *partition => {
                places.goes_on(name, asked.identity) && places.sent_away(&self.cluster, name)
            }
            _ => false,
        };
        drop(places);
        match is_refused {
            true => self
                .cluster
                .0
                .stage
                .tell(Event::PollOutOfRange { operation }),
            false => self.tell_failed(operation),
        }
    }
}
