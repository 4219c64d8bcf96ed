//! A client of a broker whose disk takes nothing any more: it asks for everything as if nothing were, all at the same time, each on a
//! connection of its own, and is answered.
//!
//! What it is answered may be a refusal. What nothing excuses is silence: whoever is refused can turn to somebody, and whoever waits cannot.

use super::peer::Peer;
use super::{Stage, stranger};
use crate::env::SimEnv;
use crate::history::{ClientId, Event, Owed};
use futures_util::future::{LocalBoxFuture, join_all};
use std::rc::Rc;
use std::time::Duration;
use taffrail_client::TopicPartitionName;
use taffrail_wire::fetch::{FetchPartition, FetchTopic};
use taffrail_wire::offset_commit::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use taffrail_wire::{
    ErrorCode, FetchRequest, MetadataRequest, OffsetCommitRequest, ProduceRequest,
};

/// So soon every answer comes, on a network that is well.
pub const SOON: Duration = Duration::from_secs(10);
/// Of so many at a time. A broker takes no more than 20 new connections from one address in a second.
const PARTITIONS_MAX: usize = 5;
/// So long the broker may wait on behalf of a producer. Whoever is answered only when this is over was not answered.
const TIMEOUT_MS: i32 = 120_000;
const RECORD_BYTES_MAX: u64 = 50;
const FETCH_BYTES_MAX: i32 = 1 << 20;
const FETCH_WAIT_MS: i32 = 500;
/// Topics are named by their names here.
const PRODUCE_VERSION: i16 = 9;
const FETCH_VERSION: i16 = 12;
const COMMIT_VERSION: i16 = 7;
const METADATA_VERSION: i16 = 9;
/// Nobody else knows this group, so no judge has to be told what became of its offsets.
const GROUP: &str = "undaunted";

/// What was owed and did not come, of what, and what there was instead.
pub type Missing = (Owed, String, String);

struct Client {
    env: SimEnv,
    stage: Rc<Stage>,
    id: ClientId,
    /// The broker has said that its disk failed.
    knows: bool,
}

/// Sends a record to some partitions, reads them from their start, commits offsets and asks who leads what. Answers a promise that
/// was broken. `knows`: the broker has said that its disk failed, so no record is refused for another reason.
pub async fn run(env: SimEnv, stage: Rc<Stage>, id: ClientId, knows: bool) -> Option<Missing> {
    let client = &Client {
        env,
        stage,
        id,
        knows,
    };
    let mut partitions = client.stage.partitions();
    let decisions = client.stage.world.decisions();
    let choice = decisions.stream(&format!("undaunted-{id}/partitions"));
    let first = decisions.below(choice, partitions.len() as u64);
    partitions.rotate_left(first as usize);
    partitions.truncate(PARTITIONS_MAX);
    let mut asked: Vec<LocalBoxFuture<'_, Result<(), Missing>>> = Vec::new();
    for partition in &partitions {
        asked.push(Box::pin(client.produce(partition)));
        asked.push(Box::pin(client.read(partition)));
        asked.push(Box::pin(client.commit(partition)));
    }
    asked.push(Box::pin(client.ask_around()));
    let answers = join_all(asked).await;
    answers.into_iter().find_map(Result::err)
}

impl Client {
    async fn connect(&self, what: &str) -> Result<Peer, Missing> {
        let name = format!("undaunted-{}", self.id);
        let peer = Peer::connect(&self.env, &self.stage.broker, &name, SOON).await;
        peer.ok_or_else(|| unanswered(Owed::Delivery, &format!("who connects for {what}")))
    }

    async fn produce(&self, partition: &TopicPartitionName) -> Result<(), Missing> {
        let what = format!("a record for {partition}");
        let mut peer = self.connect(&what).await?;
        let identity = self.stage.identity(partition);
        let (operation, batch) = stranger::begin(&self.stage, self.id, identity, RECORD_BYTES_MAX);
        let request = ProduceRequest {
            timeout_ms: TIMEOUT_MS,
            ..stranger::produce(partition, batch.freeze())
        };
        let answer = peer.call(PRODUCE_VERSION, &request).await;
        peer.leave();
        let response = answer.as_ref();
        let response =
            response.and_then(|answer| answer.read::<ProduceRequest<'_>>(PRODUCE_VERSION));
        let told = response.as_ref().and_then(|response| {
            let topic = response.responses.first()?;
            let told = topic.partition_responses.first()?;
            Some((ErrorCode::from(told.error_code), told.base_offset))
        });
        // The judges know what a disk was asked for, and whether an acknowledgement can be true.
        self.stage.tell(match told {
            Some((ErrorCode::None, offset)) => Event::SendAcked { operation, offset },
            _ => Event::SendUnknown { operation },
        });
        match told {
            None => Err(unanswered(Owed::Ack, &what)),
            Some((code, _)) if self.knows && code != ErrorCode::KafkaStorageError => {
                let name = code.name();
                let instead = format!("it is answered {name} although the disk has failed");
                Err((Owed::Ack, what, instead))
            }
            Some(_) => Ok(()),
        }
    }

    async fn read(&self, partition: &TopicPartitionName) -> Result<(), Missing> {
        let what = format!("a fetch from the start of {partition}");
        let mut peer = self.connect(&what).await?;
        let start = self.stage.first_offset.get();
        let wanted = FetchPartition {
            partition: partition.partition,
            fetch_offset: start,
            partition_max_bytes: FETCH_BYTES_MAX,
            ..FetchPartition::default()
        };
        let request = FetchRequest {
            max_wait_ms: FETCH_WAIT_MS,
            min_bytes: 1,
            max_bytes: FETCH_BYTES_MAX,
            topics: vec![FetchTopic {
                topic: &partition.topic,
                partitions: vec![wanted],
                ..FetchTopic::default()
            }],
            ..FetchRequest::default()
        };
        let answer = peer.call(FETCH_VERSION, &request).await;
        peer.leave();
        let response = answer.as_ref();
        let response = response.and_then(|answer| answer.read::<FetchRequest<'_>>(FETCH_VERSION));
        let response = response.ok_or_else(|| unanswered(Owed::Delivery, &what))?;
        let topic = response.responses.first();
        let Some(told) = topic.and_then(|topic| topic.partitions.first()) else {
            return match response.error_code {
                0 => Err(unanswered(Owed::Delivery, &what)),
                _ => Ok(()),
            };
        };
        let is_empty = told
            .records
            .as_ref()
            .is_none_or(|records| records.is_empty());
        if told.error_code == 0 && is_empty && told.high_watermark > start {
            let end = told.high_watermark;
            let instead = format!("it brings nothing and no error, and the log ends at {end}");
            return Err((Owed::Delivery, what, instead));
        }
        Ok(())
    }

    async fn commit(&self, partition: &TopicPartitionName) -> Result<(), Missing> {
        let what = format!("an offset committed for {partition}");
        let mut peer = self.connect(&what).await?;
        let request = OffsetCommitRequest {
            group_id: GROUP,
            topics: vec![OffsetCommitRequestTopic {
                name: &partition.topic,
                partitions: vec![OffsetCommitRequestPartition {
                    partition_index: partition.partition,
                    committed_offset: self.stage.first_offset.get(),
                    ..OffsetCommitRequestPartition::default()
                }],
                ..OffsetCommitRequestTopic::default()
            }],
            ..OffsetCommitRequest::default()
        };
        let answer = peer.call(COMMIT_VERSION, &request).await;
        peer.leave();
        let response = answer.as_ref();
        let response =
            response.and_then(|answer| answer.read::<OffsetCommitRequest<'_>>(COMMIT_VERSION));
        response
            .map(drop)
            .ok_or_else(|| unanswered(Owed::Ack, &what))
    }

    async fn ask_around(&self) -> Result<(), Missing> {
        let what = "a question for all topics";
        let mut peer = self.connect(what).await?;
        let request = MetadataRequest {
            topics: None,
            ..MetadataRequest::default()
        };
        let answer = peer.call(METADATA_VERSION, &request).await;
        peer.leave();
        let response = answer.as_ref();
        let response =
            response.and_then(|answer| answer.read::<MetadataRequest<'_>>(METADATA_VERSION));
        response
            .map(drop)
            .ok_or_else(|| unanswered(Owed::Delivery, what))
    }
}

fn unanswered(owed: Owed, what: &str) -> Missing {
    let instead = "it is not answered by a broker whose disk fails".to_owned();
    (owed, what.to_owned(), instead)
}
