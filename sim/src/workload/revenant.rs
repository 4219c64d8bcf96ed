//! A client that names topics by their ids, and does not let go of those that are gone: it reads and writes the lives of the
//! turnover's topic, the present one and former ones alike.
//!
//! A former life's id must be refused for ever; it must never lead to the topic that bears the name by then. In the
//! present life this client is one more producer, and a reader that reads ahead of no question, so what it is given was in the log when
//! it asked.

use super::peer::Peer;
use super::scanner::{Named, fetch};
use super::stranger::{Fate, begin, fate};
use super::{Phase, Presence, Stage};
use crate::decision::Stream;
use crate::env::SimEnv;
use crate::history::{ClientId, Event};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;
use taffrail_env::Clock;
use taffrail_record::{Offset, TopicPartition};
use taffrail_wire::fetch::FetchPartition;
use taffrail_wire::produce::{PartitionProduceData, TopicProduceData};
use taffrail_wire::{ErrorCode, ProduceRequest, Records};

const PATIENCE: Duration = Duration::from_secs(5);
/// From this version on topics are named by id.
const PRODUCE_VERSION: i16 = 13;
/// So many lives back.
const MEMORY: u64 = 4;
const RECORD_BYTES_MAX: u64 = 200;

struct Revenant {
    stage: Rc<Stage>,
    id: ClientId,
    choice: Stream,
    /// How far each life was seen to reach.
    ends: BTreeMap<TopicPartition, Offset>,
}

/// Runs until the producers stop.
pub async fn run(env: SimEnv, stage: Rc<Stage>, id: ClientId) {
    let _presence = Presence::new(&stage);
    let name = format!("revenant-{id}");
    let choice = stage.world.decisions().stream(&format!("{name}/choice"));
    let mut revenant = Revenant {
        stage: stage.clone(),
        id,
        choice,
        ends: BTreeMap::new(),
    };
    while stage.phase.get() == Phase::Work {
        if let Some(mut peer) = Peer::connect(&env, &stage.broker, &name, PATIENCE).await {
            while stage.phase.get() == Phase::Work && revenant.visit(&mut peer).await.is_some() {
                let pause = Duration::from_millis(revenant.draw(100));
                env.sleep(pause).await;
            }
            peer.leave();
        }
        env.sleep(Duration::from_millis(50)).await;
    }
}

impl Revenant {
    fn draw(&self, n: u64) -> u64 {
        self.stage.world.decisions().below(self.choice, n)
    }

    /// Every other time the present life, else one of the last few.
    fn pick(&self) -> Option<TopicPartition> {
        let lives = self.stage.lives.borrow();
        let newest = lives.len().checked_sub(1)?;
        let back = self.draw(2) * self.draw(MEMORY);
        Some(lives[newest.saturating_sub(back as usize)])
    }

    /// `None` if the connection is of no more use.
    async fn visit(&mut self, peer: &mut Peer) -> Option<()> {
        let Some(partition) = self.pick() else {
            return Some(());
        };
        match self.draw(3) {
            0 => self.produce(peer, partition).await,
            _ => self.read(peer, partition).await,
        }
    }

    async fn produce(&self, peer: &mut Peer, partition: TopicPartition) -> Option<()> {
        let (operation, batch) = begin(&self.stage, self.id, partition, RECORD_BYTES_MAX);
        let request = request(partition, batch.freeze());
        let answer = peer.call(PRODUCE_VERSION, &request).await;
        let fate = answer.as_ref().and_then(|answer| {
            let response = answer.read::<ProduceRequest<'_>>(PRODUCE_VERSION)?;
            let answer = response.responses.first()?.partition_responses.first()?;
            Some(match ErrorCode::from(answer.error_code) {
                ErrorCode::UnknownTopicId => Fate::Refused,
                _ => fate(answer),
            })
        });
        self.stage.tell(match fate {
            Some(Fate::Acked(offset)) => {
                self.stage.count("sends-by-id");
                Event::SendAcked { operation, offset }
            }
            Some(Fate::Refused) => {
                self.stage.count("sends-by-id-refused");
                Event::SendFailed { operation }
            }
            Some(Fate::Unknown) | None => Event::SendUnknown { operation },
        });
        answer.map(|_| ())
    }

    async fn read(&mut self, peer: &mut Peer, partition: TopicPartition) -> Option<()> {
        let known = self.ends.get(&partition).copied().unwrap_or(0);
        let position = self.stage.pick_offset(self.choice, known);
        let operation = self.stage.next_operation();
        self.stage.tell(Event::PollStarted {
            operation,
            client: self.id,
            partition,
            position,
            fresh: true,
        });
        let wanted = FetchPartition {
            partition: partition.partition,
            fetch_offset: position,
            ..FetchPartition::default()
        };
        match fetch(peer, Named::Id(partition.topic.0), wanted).await {
            Some(Ok(scan)) => {
                self.stage.count("reads-by-id");
                self.ends.insert(partition, known.max(scan.high_watermark));
                self.stage.tell(Event::PollAcked {
                    operation,
                    records: scan.records,
                    high_watermark: scan.high_watermark,
                });
                Some(())
            }
            Some(Err(ErrorCode::OffsetOutOfRange)) => {
                self.stage.count("reads-by-id-out-of-range");
                self.ends.insert(partition, known.max(position + 1));
                self.stage.tell(Event::PollOutOfRange { operation });
                Some(())
            }
            other => {
                self.stage.count("reads-by-id-refused");
                self.stage.tell(Event::PollFailed { operation });
                other.map(|_| ())
            }
        }
    }
}

fn request(partition: TopicPartition, batch: Bytes) -> ProduceRequest<'static> {
    ProduceRequest {
        transactional_id: None,
        acks: -1,
        timeout_ms: PATIENCE.as_millis() as i32,
        topic_data: vec![TopicProduceData {
            topic_id: partition.topic.0,
            partition_data: vec![PartitionProduceData {
                index: partition.partition,
                records: Some(Records::from(batch)),
            }],
            ..TopicProduceData::default()
        }],
    }
}
