//! A client that keeps a pace: as many requests as it was to have sent by now, whatever is broken; half of them take a record, half
//! ask for what was written last.

use super::peer::{Answer, Peer};
use super::stranger::{Fate, begin, fate, produce};
use super::{Phase, Presence, Stage};
use crate::env::SimEnv;
use crate::history::{ClientId, Event, OperationId};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;
use taffrail_client::TopicPartitionName;
use taffrail_env::Clock;
use taffrail_record::Offset;
use taffrail_wire::fetch::{FetchPartition, FetchTopic};
use taffrail_wire::{FetchRequest, ProduceRequest};

const PATIENCE: Duration = Duration::from_secs(5);
const IN_FLIGHT_MAX: usize = 16;
const PRODUCE_VERSION: i16 = 9;
/// Topics are named by their names here.
const FETCH_VERSION: i16 = 12;
const FETCH_BYTES_MAX: i32 = 16 << 10;
const RECORD_BYTES_MAX: u64 = 200;

/// A request on its way.
enum Sent {
    Record(OperationId, TopicPartitionName),
    Question,
}

struct Walker {
    env: SimEnv,
    stage: Rc<Stage>,
    id: ClientId,
    /// Of the record that was acknowledged last.
    newest: BTreeMap<TopicPartitionName, Offset>,
    on_the_way: VecDeque<Sent>,
    sent: u64,
}

/// Sends a request every `gap` from now on, until the producers stop.
pub async fn run(env: SimEnv, stage: Rc<Stage>, id: ClientId, gap: Duration) {
    let _presence = Presence::new(&stage);
    let name = format!("pace-{id}");
    let mut walker = Walker {
        env,
        stage,
        id,
        newest: BTreeMap::new(),
        on_the_way: VecDeque::new(),
        sent: 0,
    };
    let begun = walker.stage.world.elapsed();
    while walker.goes_on() {
        let (env, broker) = (walker.env.clone(), walker.stage.broker.clone());
        if let Some(mut peer) = Peer::connect(&env, &broker, &name, PATIENCE).await {
            while walker.goes_on() && walker.step(&mut peer, begun, gap).await.is_some() {}
        }
        walker.forget();
        env.sleep(Duration::from_millis(50)).await;
    }
}

impl Walker {
    fn goes_on(&self) -> bool {
        self.stage.phase.get() == Phase::Work
    }

    /// Sends the next request at its time, or at once if that is over. `None` if the connection is of no more use.
    async fn step(&mut self, peer: &mut Peer, begun: Duration, gap: Duration) -> Option<()> {
        let due = begun + gap * u32::try_from(self.sent).ok()?;
        let now = self.stage.world.elapsed();
        self.env.sleep(due.saturating_sub(now)).await;
        let partitions = self.stage.partitions();
        let partition = &partitions[(self.sent / 2) as usize % partitions.len()];
        match self.sent % 2 {
            0 => self.send_record(peer, partition).await?,
            _ => self.ask(peer, partition).await?,
        }
        self.sent += 1;
        if self.on_the_way.len() == IN_FLIGHT_MAX {
            let answer = peer.receive().await?;
            self.on_answer(&answer)?;
        }
        Some(())
    }

    async fn send_record(&mut self, peer: &mut Peer, partition: &TopicPartitionName) -> Option<()> {
        let identity = self.stage.identity(partition);
        let (operation, batch) = begin(&self.stage, self.id, identity, RECORD_BYTES_MAX);
        self.on_the_way
            .push_back(Sent::Record(operation, partition.clone()));
        let request = produce(partition, batch.freeze());
        peer.send(PRODUCE_VERSION, &request).await.map(|_| ())
    }

    async fn ask(&mut self, peer: &mut Peer, partition: &TopicPartitionName) -> Option<()> {
        let request = FetchRequest {
            max_bytes: FETCH_BYTES_MAX,
            topics: vec![FetchTopic {
                topic: &partition.topic,
                partitions: vec![FetchPartition {
                    partition: partition.partition,
                    fetch_offset: self.newest.get(partition).copied().unwrap_or_default(),
                    partition_max_bytes: FETCH_BYTES_MAX,
                    ..FetchPartition::default()
                }],
                ..FetchTopic::default()
            }],
            ..FetchRequest::default()
        };
        self.on_the_way.push_back(Sent::Question);
        peer.send(FETCH_VERSION, &request).await.map(|_| ())
    }

    /// The answer to the request that was sent first. `None` if it is none.
    fn on_answer(&mut self, answer: &Answer) -> Option<()> {
        match self.on_the_way.pop_front()? {
            Sent::Question => {
                answer.read::<FetchRequest<'_>>(FETCH_VERSION)?;
                self.stage.world.count_operation();
            }
            Sent::Record(operation, partition) => {
                let response = answer.read::<ProduceRequest<'_>>(PRODUCE_VERSION);
                let answer = response.as_ref().and_then(|response| {
                    let topic = response.responses.first()?;
                    topic.partition_responses.first()
                });
                self.stage.tell(match answer.map_or(Fate::Unknown, fate) {
                    Fate::Acked(offset) => {
                        self.newest.insert(partition, offset);
                        Event::SendAcked { operation, offset }
                    }
                    Fate::Refused => Event::SendFailed { operation },
                    Fate::Unknown => Event::SendUnknown { operation },
                });
            }
        }
        Some(())
    }

    /// Nobody will ever know what became of what was on its way.
    fn forget(&mut self) {
        for sent in self.on_the_way.drain(..) {
            if let Sent::Record(operation, _) = sent {
                self.stage.tell(Event::SendUnknown { operation });
            }
        }
    }
}
