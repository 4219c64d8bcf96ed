//! The broker's side: connections that send prepared batches with acks=all and count what is acknowledged.

use super::Plan;
use bytes::{Bytes, BytesMut};
use futures_util::future::join_all;
use std::fmt;
use std::time::Duration;
use taffrail_env::{Connection, DiskError, Env, Instant, Net, NetError};
use taffrail_record::builder::{BatchBuilder, ProducerFields};
use taffrail_record::compression::Codec;
use taffrail_wire::create_topics::{CreatableTopic, CreateTopicsRequest, CreateTopicsResponse};
use taffrail_wire::frame::{self, Splitter};
use taffrail_wire::header::ResponseHeader;
use taffrail_wire::metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponse};
use taffrail_wire::produce::{
    PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData,
};
use taffrail_wire::{Decoder, ErrorCode, Message, Records, Request};

/// Requests on their way on one connection.
pub const IN_FLIGHT: usize = 5;
const RESPONSE_BYTES_MAX: usize = 64 << 20;
const ACK_TIMEOUT_MS: i32 = 60_000;
const CREATE_VERSION: i16 = 5;
const METADATA_VERSION: i16 = 9;
const PRODUCE_VERSION: i16 = 9;

/// Why nothing was measured.
#[derive(Debug)]
pub enum LoadError {
    Disk(DiskError),
    Net(NetError),
    /// The broker refused, or answered what cannot be read.
    Broker(String),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disk(error) => error.fmt(f),
            Self::Net(error) => error.fmt(f),
            Self::Broker(text) => write!(f, "broker: {text}"),
        }
    }
}

impl std::error::Error for LoadError {}

impl From<DiskError> for LoadError {
    fn from(error: DiskError) -> LoadError {
        LoadError::Disk(error)
    }
}

impl From<NetError> for LoadError {
    fn from(error: NetError) -> LoadError {
        LoadError::Net(error)
    }
}

fn broken(error: impl fmt::Display) -> LoadError {
    LoadError::Broker(error.to_string())
}

/// A topic, open connections to its leader, and the batch that is sent over and over.
pub struct Load<E: Env> {
    topic: String,
    partitions: i32,
    batch: Bytes,
    lines: Vec<Line<E>>,
}

impl<E: Env> Load<E> {
    pub async fn prepare(env: &E, plan: &Plan) -> Result<Load<E>, LoadError> {
        let topic = format!("bench-{:016x}", env.random_u64("bench topic"));
        let mut line = Line::<E>::open(env, &plan.broker).await?;
        create(&mut line, &topic, plan.partitions).await?;
        await_leaders(env, &mut line, &topic, plan.partitions).await?;
        let mut lines = vec![line];
        while lines.len() < plan.producers.max(1) {
            lines.push(Line::open(env, &plan.broker).await?);
        }
        Ok(Load {
            topic,
            partitions: plan.partitions,
            batch: batch(env, plan)?,
            lines,
        })
    }

    /// Megabytes of batches acknowledged a second.
    pub async fn run(&self, env: &E, duration: Duration) -> Result<f64, LoadError> {
        let start = env.now();
        let until = start + duration;
        let count = self.lines.len() as i32;
        let producers = self.lines.iter().zip(0..).map(|(line, number)| {
            let first = number * self.partitions / count;
            self.produce(env, line, first, until)
        });
        let mut acked = 0_u64;
        for result in join_all(producers).await {
            acked += result?;
        }
        Ok(acked as f64 / (env.now() - start).as_secs_f64() / 1e6)
    }

    /// One connection's work: as many requests as may be on their way; then one answer, one more request. Answers
    /// the bytes acknowledged.
    async fn produce(
        &self,
        env: &E,
        line: &Line<E>,
        first: i32,
        until: Instant,
    ) -> Result<u64, LoadError> {
        let mut line = line.clone();
        let mut partition = first;
        let (mut on_the_way, mut acked) = (0, 0_u64);
        loop {
            while on_the_way < IN_FLIGHT && env.now() < until {
                line.send(&self.request(partition), PRODUCE_VERSION).await?;
                partition = (partition + 1) % self.partitions;
                on_the_way += 1;
            }
            if on_the_way == 0 {
                return Ok(acked);
            }
            let frame = line.receive().await?;
            let response: ProduceResponse<'_> = decode(&frame, PRODUCE_VERSION)?;
            for answer in response
                .responses
                .iter()
                .flat_map(|topic| &topic.partition_responses)
            {
                check(answer.error_code, "produce")?;
            }
            on_the_way -= 1;
            acked += self.batch.len() as u64;
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
fn batch<E: Env>(env: &E, plan: &Plan) -> Result<Bytes, LoadError> {
    let now = env.unix_ms();
    let mut value = vec![0; plan.record_bytes];
    env.fill("bench value", &mut value);
    let mut builder = BatchBuilder::new(Codec::None, now);
    loop {
        builder
            .append(now, None, Some(&value), &[])
            .map_err(|error| broken(format!("{error:?}")))?;
        if builder.size_estimate_with(now, None, Some(&value), &[]) > plan.batch_bytes {
            break;
        }
    }
    let batch = builder
        .finish(ProducerFields::default())
        .map_err(|error| broken(format!("{error:?}")))?;
    Ok(batch.freeze())
}

async fn create<E: Env>(line: &mut Line<E>, topic: &str, partitions: i32) -> Result<(), LoadError> {
    let wanted = CreatableTopic {
        name: topic,
        num_partitions: partitions,
        replication_factor: -1,
        ..Default::default()
    };
    let request = CreateTopicsRequest {
        topics: vec![wanted],
        timeout_ms: ACK_TIMEOUT_MS,
        ..Default::default()
    };
    line.send(&request, CREATE_VERSION).await?;
    let frame = line.receive().await?;
    let response: CreateTopicsResponse<'_> = decode(&frame, CREATE_VERSION)?;
    response
        .topics
        .iter()
        .try_for_each(|topic| check(topic.error_code, "create topic"))
}

/// Waits until every partition of the topic has a leader.
async fn await_leaders<E: Env>(
    env: &E,
    line: &mut Line<E>,
    topic: &str,
    partitions: i32,
) -> Result<(), LoadError> {
    const PATIENCE: Duration = Duration::from_secs(30);
    const PAUSE: Duration = Duration::from_millis(20);
    let until = env.now() + PATIENCE;
    while env.now() < until {
        let wanted = MetadataRequestTopic {
            name: Some(topic),
            ..Default::default()
        };
        let request = MetadataRequest {
            topics: Some(vec![wanted]),
            ..Default::default()
        };
        line.send(&request, METADATA_VERSION).await?;
        let frame = line.receive().await?;
        let response: MetadataResponse<'_> = decode(&frame, METADATA_VERSION)?;
        let led = response
            .topics
            .iter()
            .flat_map(|topic| &topic.partitions)
            .filter(|partition| partition.error_code == 0);
        if led.count() == partitions as usize {
            return Ok(());
        }
        env.sleep(PAUSE).await;
    }
    Err(broken(
        "the new topic's partitions have no leaders after 30 s",
    ))
}

fn check(code: i16, what: &str) -> Result<(), LoadError> {
    match code {
        0 => Ok(()),
        code => Err(broken(format!("{what}: {}", ErrorCode::from(code).name()))),
    }
}

fn decode<'a, M: Message<'a>>(frame: &'a Bytes, version: i16) -> Result<M, LoadError> {
    let mut decoder = Decoder::new(frame);
    ResponseHeader::decode(&mut decoder, M::KEY, version).map_err(broken)?;
    M::decode(&mut decoder, version).map_err(broken)
}

/// One connection, and what was read of it beyond the last frame.
struct Line<E: Env> {
    connection: <E as Net>::Connection,
    read: BytesMut,
}

impl<E: Env> Clone for Line<E> {
    fn clone(&self) -> Self {
        Line {
            connection: self.connection.clone(),
            read: self.read.clone(),
        }
    }
}

impl<E: Env> Line<E> {
    async fn open(env: &E, broker: &str) -> Result<Line<E>, LoadError> {
        Ok(Line {
            connection: env.connect(broker).await?,
            read: BytesMut::new(),
        })
    }

    async fn send<'a, R: Request<'a>>(
        &mut self,
        request: &R,
        version: i16,
    ) -> Result<(), LoadError> {
        let frame = frame::request(request, version, 0, Some("taffrail-bench")).map_err(broken)?;
        Ok(self.connection.write(frame).await?)
    }

    async fn receive(&mut self) -> Result<Bytes, LoadError> {
        const READ_BYTES: usize = 64 << 10;
        let splitter = Splitter {
            frame_bytes_max: RESPONSE_BYTES_MAX,
        };
        loop {
            if let Some(frame) = splitter.take(&mut self.read).map_err(broken)? {
                return Ok(frame);
            }
            if self.connection.read(&mut self.read, READ_BYTES).await? == 0 {
                return Err(broken("the connection ended before the answer"));
            }
        }
    }
}
