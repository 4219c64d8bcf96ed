//! The broker's side: connections that send prepared batches with acks=all, and count what is acknowledged.

use crate::arguments::BenchDurableOptions;
use crate::failure::Failure;
use bytes::{Bytes, BytesMut};
use futures_util::future::join_all;
use std::fmt;
use std::time::Duration;
use taffrail_env::{Clock, Connection, Entropy, Instant, Net};
use taffrail_os::{Os, OsConnection};
use taffrail_record::builder::{BatchBuilder, ProducerFields};
use taffrail_record::compression::Codec;
use taffrail_wire::frame::{self, Splitter};
use taffrail_wire::header::ResponseHeader;
use taffrail_wire::produce::{
    PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData,
};
use taffrail_wire::{Decoder, ErrorCode, Message, Records};

/// Requests on their way on one connection.
const IN_FLIGHT: usize = 5;
const RESPONSE_BYTES_MAX: usize = 64 << 20;
const READ_BYTES: usize = 64 << 10;
const ACK_TIMEOUT_MS: i32 = 60_000;
const PRODUCE_VERSION: i16 = 9;

/// A topic, and the batch that is sent to its partitions over and over.
pub struct Load {
    broker: String,
    producers: i32,
    topic: String,
    partitions: i32,
    batch: Bytes,
}

impl Load {
    pub async fn prepare(
        os: &Os,
        topic: &str,
        options: &BenchDurableOptions,
    ) -> Result<Load, Failure> {
        Ok(Load {
            broker: options.brokers.brokers[0].clone(),
            producers: options.producers as i32,
            topic: topic.to_owned(),
            partitions: options.partitions,
            batch: batch(os, options)?,
        })
    }

    /// Megabytes of batches acknowledged a second.
    pub async fn run(&self, os: &Os, duration: Duration) -> Result<f64, Failure> {
        let mut lines = Vec::new();
        for _ in 0..self.producers {
            lines.push(Line::open(os, &self.broker).await?);
        }
        let begun = os.now();
        let until = begun + duration;
        // Each begins at another partition, so that they do not walk in step.
        let producers = lines.into_iter().zip(0_i64..).map(|(line, number)| {
            let first = number * i64::from(self.partitions) / i64::from(self.producers);
            self.produce(os, line, first as i32, until)
        });
        let mut acknowledged = 0;
        for bytes in join_all(producers).await {
            acknowledged += bytes?;
        }
        let took = os.now().saturating_since(begun).as_secs_f64();
        Ok(acknowledged as f64 / took / 1e6)
    }

    /// One connection's work: as many requests as may be on their way; then for each answer one more. Answers the
    /// bytes acknowledged.
    async fn produce(
        &self,
        os: &Os,
        mut line: Line,
        first: i32,
        until: Instant,
    ) -> Result<u64, Failure> {
        let mut partition = first;
        let (mut on_the_way, mut acknowledged) = (0, 0);
        loop {
            while on_the_way < IN_FLIGHT && os.now() < until {
                let frame = frame::request(&self.request(partition), PRODUCE_VERSION, 0, None);
                line.connection
                    .write(frame.map_err(broken)?)
                    .await
                    .map_err(broken)?;
                partition = (partition + 1) % self.partitions;
                on_the_way += 1;
            }
            if on_the_way == 0 {
                return Ok(acknowledged);
            }
            check(&line.receive().await?)?;
            on_the_way -= 1;
            acknowledged += self.batch.len() as u64;
        }
    }

    fn request(&self, partition: i32) -> ProduceRequest<'_> {
        let data = PartitionProduceData {
            index: partition,
            records: Some(Records::from(self.batch.clone())),
        };
        let topic = TopicProduceData {
            name: &self.topic,
            partition_data: vec![data],
            ..Default::default()
        };
        ProduceRequest {
            acks: -1,
            timeout_ms: ACK_TIMEOUT_MS,
            topic_data: vec![topic],
            ..Default::default()
        }
    }
}

/// A batch of records of the size wanted, as near to the wanted length as whole records come.
fn batch(os: &Os, options: &BenchDurableOptions) -> Result<Bytes, Failure> {
    let now = os.unix_ms();
    let mut value = vec![0; usize::try_from(options.record_size.0).unwrap_or(usize::MAX)];
    os.fill("bench value", &mut value);
    let length = usize::try_from(options.batch_size.0).unwrap_or(usize::MAX);
    let mut builder = BatchBuilder::new(Codec::None, now);
    loop {
        builder
            .append(now, None, Some(&value), &[])
            .map_err(|error| Failure::usage(format!("{error:?}")))?;
        if builder.size_estimate_with(now, None, Some(&value), &[]) > length {
            break;
        }
    }
    let batch = builder
        .finish(ProducerFields::default())
        .map_err(|error| Failure::usage(format!("{error:?}")))?;
    Ok(batch.freeze())
}

/// An answer that says that everything was stored, or why not.
fn check(frame: &Bytes) -> Result<(), Failure> {
    let mut decoder = Decoder::new(frame);
    ResponseHeader::decode(&mut decoder, ProduceResponse::KEY, PRODUCE_VERSION).map_err(broken)?;
    let response = ProduceResponse::decode(&mut decoder, PRODUCE_VERSION).map_err(broken)?;
    let mut answers = response
        .responses
        .iter()
        .flat_map(|topic| &topic.partition_responses);
    match answers.find(|answer| answer.error_code != 0) {
        Some(refused) => Err(broken(ErrorCode::from(refused.error_code).name())),
        None => Ok(()),
    }
}

fn broken(error: impl fmt::Display) -> Failure {
    Failure::operation(format!("produce: {error}"))
}

/// One connection, and what was read of it beyond the last frame.
struct Line {
    connection: OsConnection,
    read: BytesMut,
}

impl Line {
    async fn open(os: &Os, broker: &str) -> Result<Line, Failure> {
        Ok(Line {
            connection: os.connect(broker).await.map_err(broken)?,
            read: BytesMut::new(),
        })
    }

    async fn receive(&mut self) -> Result<Bytes, Failure> {
        let splitter = Splitter {
            frame_bytes_max: RESPONSE_BYTES_MAX,
        };
        loop {
            if let Some(frame) = splitter.take(&mut self.read).map_err(broken)? {
                return Ok(frame);
            }
            let read = self.connection.read(&mut self.read, READ_BYTES).await;
            if read.map_err(broken)? == 0 {
                return Err(broken("the connection ended before the answer"));
            }
        }
    }
}
