//! A producer: records to drawn partitions, every acknowledgement told.

use super::{Phase, Presence, Stage, value};
use crate::env::SimEnv;
use crate::history::{ClientId, Event, OperationId};
use futures_util::future::{Either, select};
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::time::Duration;
use taffrail_client::{
    Acked, Acks, Client, ClientOptions, Codec, Producer, ProducerOptions, SendError,
    TopicPartitionName,
};
use taffrail_env::{Clock, Spawn};
use taffrail_record::Sequence;
use taffrail_record::TopicPartition;

const CODECS: [Codec; 5] = [
    Codec::None,
    Codec::Gzip,
    Codec::Snappy,
    Codec::Lz4,
    Codec::Zstd,
];
/// Between two records, in microseconds.
const GAPS: [u64; 4] = [300, 2_000, 10_000, 80_000];
/// So many records, or up to twice as many, come at that pace; those after them more slowly. What a run shows does not grow with
/// the number of its records.
const SPRINT: u64 = 300;
const AMBLE_GAP_US: u64 = 150_000;

/// How this producer behaves, drawn once.
struct Habits {
    options: ProducerOptions,
    gap_us: u64,
    /// How many records it sends before it slows down.
    sprint: u64,
    record_bytes_max: u64,
}

fn draw(stage: &Stage, id: ClientId) -> Habits {
    let decisions = stage.world.decisions();
    let stream = decisions.stream(&format!("producer-{id}/habits"));
    let pick = |n: usize| decisions.below(stream, n as u64) as usize;
    let mut options = ProducerOptions {
        acks: Acks::All,
        idempotence: pick(8) != 0,
        codec: CODECS[pick(CODECS.len())],
        linger: Duration::from_millis([0, 1, 5, 50][pick(4)]),
        batch_bytes: [200, 1000, 4000, 16_000][pick(4)],
        block_max: Duration::from_secs(10),
        delivery_timeout: Duration::from_secs([20, 60, 120][pick(3)]),
        ..ProducerOptions::default()
    };
    let (gap_us, record_bytes_max) = (GAPS[pick(GAPS.len())], [0, 40, 400, 3000][pick(4)]);
    // Whoever is content with the leader's word may rely on it as much.
    if !options.idempotence && pick(2) == 0 {
        options.acks = Acks::Leader;
    }
    // Every third reaches the end of its sequence numbers soon.
    if pick(3) == 0 {
        options.first_sequence = Sequence::MAX - pick(200) as Sequence;
    }
    Habits {
        options,
        gap_us,
        sprint: decisions.between(stream, SPRINT, 2 * SPRINT),
        record_bytes_max,
    }
}

/// Runs until the stage is quiet and the fate of every record is known.
pub async fn run(env: SimEnv, stage: Rc<Stage>, id: ClientId) {
    let _presence = Presence::new(&stage);
    let habits = draw(&stage, id);
    let idempotent = habits.options.idempotence;
    let client = Client::new(
        &env,
        std::slice::from_ref(&stage.broker),
        ClientOptions {
            client_id: format!("producer-{id}"),
            ..ClientOptions::default()
        },
    );
    let producer = Producer::new(&client, habits.options.clone());
    let decisions = stage.world.decisions();
    let (choice, gap) = (
        decisions.stream(&format!("producer-{id}/partition")),
        decisions.stream(&format!("producer-{id}/gap")),
    );
    let mut sent = 0;
    while stage.phase.get() == Phase::Work {
        let partition = stage.pick_partition(choice);
        let gap_us = match sent < habits.sprint {
            true => habits.gap_us,
            false => habits.gap_us.max(AMBLE_GAP_US),
        };
        sent += 1;
        let pause = decisions.below(gap, 2 * gap_us);
        let sender = Sender {
            producer: &producer,
            client: id,
            idempotent,
            bytes_max: habits.record_bytes_max,
        };
        let identity = stage.identity(&partition);
        send(&env, &stage, sender, &partition, identity).await;
        env.sleep(stage.rest(Duration::from_micros(pause))).await;
    }
    producer.flush().await;
}

/// Who hands records over, and how large they get.
#[derive(Clone, Copy)]
pub(super) struct Sender<'a> {
    pub producer: &'a Producer<SimEnv>,
    pub client: ClientId,
    pub idempotent: bool,
    pub bytes_max: u64,
}

/// Hands one record over, and leaves a task behind that tells its fate.
pub(super) async fn send(
    env: &SimEnv,
    stage: &Rc<Stage>,
    sender: Sender<'_>,
    partition: &TopicPartitionName,
    identity: TopicPartition,
) {
    let Sender {
        producer,
        client,
        idempotent,
        bytes_max,
    } = sender;
    let number = stage.next_record();
    let timestamp = stage.record_time();
    let record = value::record(number, timestamp, bytes_max);
    let operation = stage.next_operation();
    stage.tell(Event::SendStarted {
        operation,
        client,
        partition: identity,
        record: value::as_written(number, &record),
        idempotent,
    });
    let settled = Unsettled::new(stage, operation);
    match producer
        .send(&partition.topic, Some(partition.partition), record)
        .await
    {
        Ok(delivery) => env.spawn(async move { settled.tell(delivery.await) }),
        Err(error) => settled.tell(Err(error)),
    }
}

/// A record whose fate is not known yet. If its client dies, nobody will ever know.
pub struct Unsettled {
    stage: Rc<Stage>,
    operation: OperationId,
    told: bool,
}

impl Unsettled {
    pub fn new(stage: &Rc<Stage>, operation: OperationId) -> Unsettled {
        stage.unsettled.set(stage.unsettled.get() + 1);
        Unsettled {
            stage: stage.clone(),
            operation,
            told: false,
        }
    }

    pub fn tell(mut self, fate: Result<Acked, SendError>) {
        self.told = true;
        let operation = self.operation;
        match fate {
            Ok(acked) if acked.offset >= 0 => {
                self.stage.count("acked");
                self.stage.tell(Event::SendAcked {
                    operation,
                    offset: acked.offset,
                });
            }
            // Written for sure, but so long ago that its place is forgotten.
            Ok(_) => {
                self.stage.count("acked-without-offset");
                self.stage.tell(Event::SendUnknown { operation });
            }
            Err(error) if error.may_be_written() => {
                self.stage.count("send-unknown");
                self.stage.tell(Event::SendUnknown { operation });
            }
            Err(_) => {
                self.stage.count("send-failed");
                self.stage.tell(Event::SendFailed { operation });
            }
        }
    }
}

impl Drop for Unsettled {
    fn drop(&mut self) {
        self.stage.unsettled.set(self.stage.unsettled.get() - 1);
        if !self.told {
            self.stage.tell(Event::SendUnknown {
                operation: self.operation,
            });
        }
    }
}

/// Sends one record to each partition and waits for all of them, at most `patience`. Answers those that were not acknowledged.
pub async fn probe(
    env: SimEnv,
    stage: Rc<Stage>,
    id: ClientId,
    patience: Duration,
) -> Vec<(TopicPartitionName, String)> {
    let client = Client::new(
        &env,
        std::slice::from_ref(&stage.broker),
        ClientOptions::default(),
    );
    let producer = Producer::new(
        &client,
        ProducerOptions {
            delivery_timeout: patience,
            block_max: patience,
            ..ProducerOptions::default()
        },
    );
    let partitions = stage.partitions();
    let sends = partitions
        .iter()
        .map(|partition| probe_one(&stage, &producer, id, partition));
    let mut sends: FuturesUnordered<_> = sends.collect();
    let mut left: Vec<(TopicPartitionName, String)> = Vec::new();
    let mut deadline = pin!(env.sleep(patience + Duration::from_secs(1)));
    loop {
        let next: Pin<&mut dyn Future<Output = _>> = pin!(sends.next());
        match select(next, deadline.as_mut()).await {
            Either::Left((Some((_, Ok(()))), _)) => {}
            Either::Left((Some((partition, Err(why))), _)) => left.push((partition, why)),
            Either::Left((None, _)) => return left,
            Either::Right(_) => {
                left.push((
                    TopicPartitionName::new("", -1),
                    "no answer at all".to_owned(),
                ));
                return left;
            }
        }
    }
}

pub(super) async fn probe_one(
    stage: &Rc<Stage>,
    producer: &Producer<SimEnv>,
    client: ClientId,
    partition: &TopicPartitionName,
) -> (TopicPartitionName, Result<(), String>) {
    let number = stage.next_record();
    let timestamp = stage.record_time();
    let record = value::record(number, timestamp, 50);
    let operation = stage.next_operation();
    let (identity, written) = (
        stage.identity(partition),
        value::as_written(number, &record),
    );
    stage.tell(Event::SendStarted {
        operation,
        client,
        partition: identity,
        record: written,
        idempotent: true,
    });
    let settled = Unsettled::new(stage, operation);
    let fate = match producer
        .send(&partition.topic, Some(partition.partition), record)
        .await
    {
        Ok(delivery) => delivery.await,
        Err(error) => Err(error),
    };
    let answer = fate.as_ref().map(|_| ()).map_err(ToString::to_string);
    settled.tell(fate);
    (partition.clone(), answer)
}
