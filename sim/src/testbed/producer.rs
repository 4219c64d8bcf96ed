//! A producer that tells the judges what becomes of every record.

use super::Cluster;
use crate::env::SimEnv;
use crate::history::{ClientId, Event};
use crate::workload::producer::Unsettled;
use crate::workload::value;
use futures_channel::oneshot;
use futures_util::lock::Mutex;
use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use taffrail_client::partitioner::partition_for_key;
use taffrail_client::{
    Acked, Client, Producer, ProducerOptions, Record, SendError, TopicPartitionName,
};
use taffrail_env::{Clock, Spawn};

/// The product's own producer, recorded. Every record is given one more header, by which judges know it again.
pub struct RecordedProducer {
    cluster: Cluster,
    client: Client<SimEnv>,
    producer: Producer<SimEnv>,
    id: ClientId,
    idempotent: bool,
    /// Records without a key take turns.
    next_partition: Cell<i32>,
    /// Judges hear of records in the order in which they are handed over.
    turn: Mutex<()>,
}

/// A record's fate, once it is known. Dropping it changes nothing.
pub struct RecordedDelivery(oneshot::Receiver<Result<Acked, SendError>>);

impl Future for RecordedDelivery {
    type Output = Result<Acked, SendError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let gone = SendError::Closed {
            may_be_written: true,
        };
        Pin::new(&mut self.0)
            .poll(context)
            .map(|fate| fate.unwrap_or(Err(gone)))
    }
}

impl RecordedProducer {
    pub(super) fn new(
        cluster: &Cluster,
        client: &Client<SimEnv>,
        options: ProducerOptions,
    ) -> RecordedProducer {
        RecordedProducer {
            cluster: cluster.clone(),
            client: client.clone(),
            id: cluster.next_client(),
            idempotent: options.idempotence,
            producer: Producer::new(client, options),
            next_partition: Cell::new(0),
            turn: Mutex::new(()),
        }
    }

    /// As [`Producer::send`]. If no partition is given, records with a key go where the product sends them, others take turns.
    pub async fn send(
        &self,
        topic: &str,
        partition: Option<i32>,
        mut record: Record,
    ) -> Result<RecordedDelivery, SendError> {
        let _turn = self.turn.lock().await;
        let known = self.cluster.look_up(&self.client, topic).await;
        known.map_err(SendError::NotBegun)?;
        let stage = &self.cluster.0.stage;
        let partition = partition.unwrap_or_else(|| self.choose(topic, &record));
        let now = self.client.env().unix_ms();
        record.timestamp.get_or_insert(now);
        let written = value::name_in_header(stage.next_record(), &mut record);
        let operation = stage.next_operation();
        stage.tell(Event::SendStarted {
            operation,
            client: self.id,
            partition: stage.identity(&TopicPartitionName::new(topic, partition)),
            record: written,
            idempotent: self.idempotent,
        });
        let settled = Unsettled::new(stage, operation);
        match self.producer.send(topic, Some(partition), record).await {
            Ok(delivery) => {
                let (teller, fate) = oneshot::channel();
                self.client.env().spawn(async move {
                    let fate = delivery.await;
                    settled.tell(fate.clone());
                    // Nobody may wait for it.
                    drop(teller.send(fate));
                });
                Ok(RecordedDelivery(fate))
            }
            Err(error) => {
                settled.tell(Err(error.clone()));
                Err(error)
            }
        }
    }

    /// Waits until the fate of everything that was handed over is known.
    pub async fn flush(&self) {
        self.producer.flush().await;
    }

    fn choose(&self, topic: &str, record: &Record) -> i32 {
        let partitions = self.cluster.partition_count(topic).unwrap_or(1).max(1);
        match &record.key {
            Some(key) => partition_for_key(key, partitions),
            None => {
                let turn = self.next_partition.get();
                self.next_partition.set(turn.wrapping_add(1) & i32::MAX);
                turn % partitions
            }
        }
    }
}
