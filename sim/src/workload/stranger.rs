//! A stranger: no client of anybody's making. Claims lengths that it does not send, leaves in the middle of a frame, sends noise,
//! asks for more than it takes, sends without end, and produces batches that were damaged on their way.
//!
//! Whatever it does, the broker keeps to its memory, gives back what it reserved, and lets nobody read a
//! damaged record. Each of its records is told to the judges as it was before it was damaged.

use super::peer::{Answer, Peer};
use super::{Phase, Presence, Stage, value};
use crate::decision::Stream;
use crate::env::SimEnv;
use crate::history::{ClientId, Event, OperationId};
use bytes::{BufMut, Bytes, BytesMut};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;
use taffrail_client::{Codec, Record, TopicPartitionName};
use taffrail_env::Clock;
use taffrail_record::TopicPartition;
use taffrail_record::builder::{BatchBuilder, ProducerFields};
use taffrail_wire::api::ApiKey;
use taffrail_wire::fetch::{FetchPartition, FetchTopic};
use taffrail_wire::produce::{PartitionProduceData, TopicProduceData};
use taffrail_wire::{ErrorCode, FetchRequest, ProduceRequest, Records};

const PATIENCE: Duration = Duration::from_secs(5);
/// From here on a batch's bytes are covered by its checksum, or are it.
const CHECKSUM_AT: usize = 17;
const PRODUCE_VERSION: i16 = 9;
const FETCH_VERSION: i16 = 12;
const RECORD_BYTES_MAX: u64 = 400;
/// Claims of this size fit into no budget of the simulated broker.
const CLAIM_MAX: u64 = 100 << 20;

struct Stranger {
    env: SimEnv,
    stage: Rc<Stage>,
    id: ClientId,
    choice: Stream,
}

/// Runs until the producers stop.
pub async fn run(env: SimEnv, stage: Rc<Stage>, id: ClientId) {
    let _presence = Presence::new(&stage);
    let choice = stage
        .world
        .decisions()
        .stream(&format!("stranger-{id}/choice"));
    let stranger = Stranger {
        env,
        stage,
        id,
        choice,
    };
    while stranger.stage.phase.get() == Phase::Work {
        stranger.visit().await;
        stranger.rest(1_500).await;
    }
}

impl Stranger {
    fn draw(&self, n: u64) -> u64 {
        self.stage.world.decisions().below(self.choice, n)
    }

    async fn rest(&self, ms_max: u64) {
        let pause = Duration::from_millis(self.draw(ms_max));
        self.env.sleep(pause).await;
    }

    async fn visit(&self) {
        let name = format!("stranger-{}", self.id);
        let broker = &self.stage.broker;
        let Some(peer) = Peer::connect(&self.env, broker, &name, PATIENCE).await else {
            return;
        };
        match self.draw(6) {
            0 => self.claim(peer).await,
            1 => self.make_noise(peer).await,
            2 => self.ask_and_not_listen(peer).await,
            3 => self.flood(peer).await,
            _ => self.produce_damaged(peer).await,
        }
    }

    /// Says how long a frame is, and sends a part of it.
    async fn claim(&self, peer: Peer) {
        let key = [ApiKey::Produce, ApiKey::Fetch, ApiKey::Metadata][self.draw(3) as usize];
        let length = match self.draw(4) {
            0 => self.draw(CLAIM_MAX),
            1 => CLAIM_MAX - self.draw(CLAIM_MAX / 4),
            2 => self.draw(1 << 32),
            _ => self.draw(2_000),
        };
        let mut bytes = BytesMut::new();
        bytes.put_u32(length as u32);
        bytes.put_i16(key as i16);
        bytes.put_i16(self.draw(14) as i16);
        bytes.put_bytes(0, self.draw(length.min(500) + 1) as usize);
        self.stage.count("claims");
        if peer.send_bytes(bytes).await {
            self.rest(2_000).await;
        }
        peer.leave();
    }

    async fn make_noise(&self, peer: Peer) {
        let noise: Vec<u8> = (0..self.draw(300)).map(|_| self.draw(256) as u8).collect();
        self.stage.count("noises");
        if peer.send_bytes(noise).await {
            self.rest(500).await;
        }
        peer.leave();
    }

    /// Asks for everything, many times, and takes none of it for a while.
    async fn ask_and_not_listen(&self, mut peer: Peer) {
        let topics: Vec<FetchTopic<'_>> = self.stage.topics.iter().map(everything).collect();
        let request = FetchRequest {
            max_wait_ms: 0,
            min_bytes: 0,
            max_bytes: 4 << 20,
            topics,
            ..FetchRequest::default()
        };
        self.stage.count("deaf-askers");
        for _ in 0..1 + self.draw(100) {
            if peer.send(FETCH_VERSION, &request).await.is_none() {
                break;
            }
        }
        self.rest(3_000).await;
        if self.draw(2) == 0 {
            // A part of it after all, and goes.
            peer.receive().await;
        }
        peer.leave();
    }

    /// Sends more requests than anybody should have on their way, before it takes the first answer. Each has a batch for every
    /// partition of a topic.
    async fn flood(&self, mut peer: Peer) {
        let topics = &self.stage.topics;
        let topic = &topics[self.draw(topics.len() as u64) as usize];
        let partitions: Vec<TopicPartitionName> = (0..topic.partitions)
            .map(|partition| TopicPartitionName::new(topic.name.clone(), partition))
            .collect();
        let mut open = VecDeque::new();
        for _ in 0..10 + self.draw(40) {
            let begun = partitions.iter().map(|partition| self.begin(partition));
            let (operations, batches): (Vec<OperationId>, Vec<BytesMut>) = begun.unzip();
            open.push_back(operations);
            let batches = batches.into_iter().map(BytesMut::freeze);
            let request = produce_all(&topic.name, (0..).zip(batches));
            if peer.send(PRODUCE_VERSION, &request).await.is_none() {
                break;
            }
        }
        self.stage.count("floods");
        self.rest(200).await;
        while let Some(operations) = open.pop_front() {
            let answer = peer.receive().await;
            self.end_all(&operations, answer.as_ref());
            if answer.is_none() {
                break;
            }
        }
        for operations in open {
            self.end_all(&operations, None);
        }
        peer.leave();
    }

    /// Produces a batch of which a bit flipped after its checksum was made.
    async fn produce_damaged(&self, mut peer: Peer) {
        let partition = self.stage.pick_partition(self.choice);
        let (operation, mut batch) = self.begin(&partition);
        let at = CHECKSUM_AT + self.draw((batch.len() - CHECKSUM_AT) as u64) as usize;
        batch[at] ^= 1 << self.draw(8);
        let request = produce(&partition, batch.freeze());
        let answer = peer.call(PRODUCE_VERSION, &request).await;
        self.stage.count("damaged-batches");
        self.end_all(&[operation], answer.as_ref());
        peer.leave();
    }

    fn begin(&self, partition: &TopicPartitionName) -> (OperationId, BytesMut) {
        let identity = self.stage.identity(partition);
        begin(&self.stage, self.id, identity, RECORD_BYTES_MAX)
    }

    /// Tells what became of the records of one request, one for each of its partitions.
    fn end_all(&self, operations: &[OperationId], answer: Option<&Answer>) {
        let response = answer.and_then(|answer| answer.read::<ProduceRequest<'_>>(PRODUCE_VERSION));
        for (place, operation) in operations.iter().enumerate() {
            let operation = *operation;
            let answer = response.as_ref().and_then(|response| {
                let topic = response.responses.first()?;
                topic.partition_responses.get(place)
            });
            self.stage.tell(match answer.map_or(Fate::Unknown, fate) {
                Fate::Acked(offset) => Event::SendAcked { operation, offset },
                Fate::Refused => Event::SendFailed { operation },
                Fate::Unknown => Event::SendUnknown { operation },
            });
        }
    }
}

/// A new record of a producer without idempotence, told, as a batch of its own.
pub(super) fn begin(
    stage: &Stage,
    client: ClientId,
    partition: TopicPartition,
    bytes_max: u64,
) -> (OperationId, BytesMut) {
    let number = stage.next_record();
    let record = value::record(number, stage.record_time(), bytes_max);
    let operation = stage.next_operation();
    stage.tell(Event::SendStarted {
        operation,
        client,
        partition,
        record: value::as_written(number, &record),
        idempotent: false,
    });
    (operation, batch_of(&record))
}

pub(super) enum Fate {
    Acked(i64),
    Refused,
    Unknown,
}

pub(super) fn fate(answer: &taffrail_wire::produce::PartitionProduceResponse<'_>) -> Fate {
    match ErrorCode::from(answer.error_code) {
        ErrorCode::None => Fate::Acked(answer.base_offset),
        code if code.is_retriable() => Fate::Unknown,
        _ => Fate::Refused,
    }
}

/// All partitions of a topic, from their start, as much as there is.
fn everything(topic: &super::Topic) -> FetchTopic<'_> {
    let partition = |partition| FetchPartition {
        partition,
        fetch_offset: 0,
        partition_max_bytes: 4 << 20,
        ..FetchPartition::default()
    };
    FetchTopic {
        topic: &topic.name,
        partitions: (0..topic.partitions).map(partition).collect(),
        ..FetchTopic::default()
    }
}

/// One record as a batch of its own.
fn batch_of(record: &Record) -> BytesMut {
    let timestamp = record.timestamp.expect("the workload sets timestamps");
    let mut builder = BatchBuilder::new(Codec::None, timestamp);
    value::put(&mut builder, record);
    builder
        .finish(ProducerFields::default())
        .expect("a batch with one record")
}

/// A request for one partition.
pub(super) fn produce(partition: &TopicPartitionName, batch: Bytes) -> ProduceRequest<'_> {
    produce_all(&partition.topic, [(partition.partition, batch)])
}

/// A request for several partitions of a topic.
fn produce_all(topic: &str, batches: impl IntoIterator<Item = (i32, Bytes)>) -> ProduceRequest<'_> {
    let data = batches
        .into_iter()
        .map(|(index, batch)| PartitionProduceData {
            index,
            records: Some(Records::from(batch)),
        });
    ProduceRequest {
        transactional_id: None,
        acks: -1,
        timeout_ms: PATIENCE.as_millis() as i32,
        topic_data: vec![TopicProduceData {
            name: topic,
            partition_data: data.collect(),
            ..TopicProduceData::default()
        }],
    }
}
