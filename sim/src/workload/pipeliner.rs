//! An idempotent producer of another make, frames and all: keeps five batches on their way, sends everything that was not
//! acknowledged again, in order, on the next connection, and begins its sequence just below 2^31, where it wraps. Now and then it raises its
//! epoch by itself, as KIP-360 has it, to the last epoch that there is, and then asks for another id.
//!
//! Since it never skips nor reorders, the first batch without an acknowledgement is always either the next one of the log or
//! in it already. A broker that calls it out of order has lost count, and the judges are told. What it sends of an epoch that is over is
//! refused.

use super::peer::Peer;
use super::{Phase, Presence, Stage, value};
use crate::decision::Stream;
use crate::env::SimEnv;
use crate::history::{ClientId, Event, OperationId};
use bytes::Bytes;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;
use taffrail_client::{Codec, TopicPartitionName};
use taffrail_env::Clock;
use taffrail_record::builder::{BatchBuilder, ProducerFields};
use taffrail_record::{ProducerEpoch, ProducerId, Sequence};
use taffrail_wire::produce::PartitionProduceResponse;
use taffrail_wire::{ErrorCode, InitProducerIdRequest, ProduceRequest};

const PATIENCE: Duration = Duration::from_secs(8);
const IN_FLIGHT_MAX: usize = 5;
const INIT_VERSION: i16 = 4;
const PRODUCE_VERSION: i16 = 9;
/// The first sequence lies less than this below 2^31.
const BEFORE_WRAP: u64 = 60;

/// A batch that is not acknowledged.
struct Batch {
    operations: Vec<OperationId>,
    bytes: Bytes,
}

/// How a connection's use ended.
enum Ended {
    /// It broke, or the broker has trouble of its own: everything is sent again.
    Broken,
    /// The broker wants none of it any more.
    Refused,
}

struct Pipeliner {
    env: SimEnv,
    stage: Rc<Stage>,
    id: ClientId,
    choice: Stream,
    name: String,
    partition: TopicPartitionName,
    producer: Option<(ProducerId, ProducerEpoch)>,
    next_sequence: Sequence,
    /// A batch of this epoch was acknowledged, so the broker knows which sequence is next.
    known: bool,
    /// The last batch that was acknowledged.
    acked: Option<Bytes>,
    /// A batch of the epoch before this one, to be sent once more when this one is known.
    former: Option<Bytes>,
    /// In the order of their sequences.
    open: VecDeque<Batch>,
}

/// Runs until the producers stop.
pub async fn run(env: SimEnv, stage: Rc<Stage>, id: ClientId) {
    let _presence = Presence::new(&stage);
    let name = format!("pipeliner-{id}");
    let choice = stage.world.decisions().stream(&format!("{name}/choice"));
    let below = stage.world.decisions().below(choice, BEFORE_WRAP) as Sequence;
    let mut pipeliner = Pipeliner {
        partition: stage.pick_partition(choice),
        next_sequence: Sequence::MAX - below,
        producer: None,
        known: false,
        acked: None,
        former: None,
        open: VecDeque::new(),
        env,
        stage,
        id,
        choice,
        name,
    };
    while pipeliner.goes_on() {
        let (env, broker) = (pipeliner.env.clone(), pipeliner.stage.broker.clone());
        if let Some(peer) = Peer::connect(&env, &broker, &pipeliner.name, PATIENCE).await
            && let Ended::Refused = pipeliner.use_connection(peer).await
        {
            break;
        }
        pipeliner.env.sleep(Duration::from_millis(100)).await;
    }
    for operation in pipeliner.open.iter().flat_map(|batch| &batch.operations) {
        let operation = *operation;
        pipeliner.stage.tell(Event::SendUnknown { operation });
    }
}

impl Pipeliner {
    fn draw(&self, n: u64) -> u64 {
        self.stage.world.decisions().below(self.choice, n)
    }

    fn goes_on(&self) -> bool {
        self.stage.phase.get() == Phase::Work
    }

    /// Sends and takes answers until the connection is of no more use.
    async fn use_connection(&mut self, mut peer: Peer) -> Ended {
        let mut in_flight = 0;
        let mut filling = true;
        while self.goes_on() {
            if in_flight == 0 && self.open.is_empty() && self.known && self.draw(10) == 0 {
                self.raise_epoch();
            }
            let Some(producer) = self.producer(&mut peer).await else {
                return Ended::Broken;
            };
            let window = if self.known { IN_FLIGHT_MAX } else { 1 };
            // In bursts, so that several are worked on at once.
            while filling && in_flight < window {
                if in_flight == self.open.len() {
                    self.begin_batch(producer);
                }
                let batch = self.open[in_flight].bytes.clone();
                let request = super::stranger::produce(&self.partition, batch);
                if peer.send(PRODUCE_VERSION, &request).await.is_none() {
                    return Ended::Broken;
                }
                in_flight += 1;
            }
            let Some(answer) = peer.receive().await else {
                return Ended::Broken;
            };
            let Some(response) = answer.read::<ProduceRequest<'_>>(PRODUCE_VERSION) else {
                return Ended::Broken;
            };
            let answer = &response.responses[0].partition_responses[0];
            if let Err(ended) = self.on_answer(answer) {
                return ended;
            }
            in_flight -= 1;
            if in_flight == 0
                && let Some(former) = self.former.take()
                && self.haunt(&mut peer, former).await.is_none()
            {
                return Ended::Broken;
            }
            filling = in_flight == 0 || self.draw(4) == 0;
            let pause = Duration::from_millis(self.draw(30));
            self.env.sleep(self.stage.rest(pause)).await;
        }
        Ended::Broken
    }

    /// Begins a new epoch of its own, or a new life where there is none left.
    fn raise_epoch(&mut self) {
        self.known = false;
        self.next_sequence = 0;
        self.former = self.acked.take();
        self.producer = match self.producer {
            Some((id, epoch)) if epoch < ProducerEpoch::MAX => {
                self.stage.count("epochs-raised");
                Some((id, epoch + 1))
            }
            _ => {
                // A batch of another id is no zombie of this one.
                self.former = None;
                None
            }
        };
    }

    /// Sends a batch of an epoch that is over. `None` if the connection is of no more use.
    async fn haunt(&self, peer: &mut Peer, former: Bytes) -> Option<()> {
        let request = super::stranger::produce(&self.partition, former);
        let answer = peer.call(PRODUCE_VERSION, &request).await?;
        let response = answer.read::<ProduceRequest<'_>>(PRODUCE_VERSION)?;
        let answer = response.responses.first()?.partition_responses.first()?;
        self.stage.count("former-epochs");
        if answer.error_code == 0 {
            let witness = format!(
                "{}: a batch of the epoch before {:?} was taken at {}, after one of this epoch was acknowledged",
                self.partition, self.producer, answer.base_offset
            );
            self.stage.object("ZOMBIE-FENCED", witness);
        }
        Some(())
    }

    async fn producer(&mut self, peer: &mut Peer) -> Option<(ProducerId, ProducerEpoch)> {
        if self.producer.is_none() {
            let request = InitProducerIdRequest {
                transactional_id: None,
                ..InitProducerIdRequest::default()
            };
            let answer = peer.call(INIT_VERSION, &request).await?;
            let response = answer.read::<InitProducerIdRequest<'_>>(INIT_VERSION)?;
            if response.error_code != 0 {
                return None;
            }
            self.stage.tell(Event::ProducerGiven {
                client: self.id,
                id: response.producer_id,
            });
            // Nobody has seen this id, so it may begin late.
            let begins = [0, 0, ProducerEpoch::MAX - 2][self.draw(3) as usize];
            self.producer = Some((response.producer_id, response.producer_epoch.max(begins)));
        }
        self.producer
    }

    /// One to three records, with the next sequences.
    fn begin_batch(&mut self, (producer_id, producer_epoch): (ProducerId, ProducerEpoch)) {
        let timestamp = self.stage.record_time();
        let mut builder = BatchBuilder::new(Codec::None, timestamp);
        let mut operations = Vec::new();
        for _ in 0..1 + self.draw(3) {
            let number = self.stage.next_record();
            let record = value::record(number, timestamp, 60);
            let operation = self.stage.next_operation();
            self.stage.tell(Event::SendStarted {
                operation,
                client: self.id,
                partition: self.stage.identity(&self.partition),
                record: value::as_written(number, &record),
                idempotent: true,
            });
            value::put(&mut builder, &record);
            operations.push(operation);
        }
        let fields = ProducerFields {
            producer_id,
            producer_epoch,
            base_sequence: self.next_sequence,
            transactional: false,
        };
        let count = operations.len() as Sequence;
        self.next_sequence = self.next_sequence.wrapping_add(count) & Sequence::MAX;
        let bytes = builder.finish(fields).expect("it has records").freeze();
        self.open.push_back(Batch { operations, bytes });
    }

    /// The answer to the first open batch.
    fn on_answer(&mut self, answer: &PartitionProduceResponse<'_>) -> Result<(), Ended> {
        let code = ErrorCode::from(answer.error_code);
        match code {
            ErrorCode::None => {
                self.stage.count("pipelined");
                self.known = true;
                let batch = self.open.pop_front().expect("an answer has a request");
                self.acked = Some(batch.bytes);
                for (operation, offset) in batch.operations.into_iter().zip(answer.base_offset..) {
                    self.stage.tell(Event::SendAcked { operation, offset });
                }
                Ok(())
            }
            code if code.is_retriable() && !is_about_sequence(code) => Err(Ended::Broken),
            code => {
                let operation = self.open[0].operations[0];
                let why = code.name();
                let partition = self.stage.identity(&self.partition);
                self.stage.tell(Event::SequenceRefused {
                    operation,
                    partition,
                    why,
                });
                Err(Ended::Refused)
            }
        }
    }
}

fn is_about_sequence(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::OutOfOrderSequenceNumber
            | ErrorCode::UnknownProducerId
            | ErrorCode::InvalidProducerEpoch
    )
}
