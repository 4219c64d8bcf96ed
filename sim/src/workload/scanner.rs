//! A reader of another make: takes batches as they come, tells every record in them, and holds what the broker says of leader epochs
//! against what stands in the batches.
//!
//! The product's own consumer passes over records that it does not expect; this one expects nothing.

use super::peer::Peer;
use super::{Phase, Presence, Stage, value};
use crate::decision::Stream;
use crate::env::SimEnv;
use crate::history::{ClientId, Event, Written};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::time::Duration;
use taffrail_client::{Fetched, Header, TopicPartitionName};
use taffrail_env::Clock;
use taffrail_record::batch::{BatchHeader, Batches, RecordView, for_each_record, verify_crc};
use taffrail_record::compression::DecompressLimit;
use taffrail_record::{LeaderEpoch, Offset};
use taffrail_wire::fetch::{FetchPartition, FetchTopic};
use taffrail_wire::offset_for_leader_epoch::{OffsetForLeaderPartition, OffsetForLeaderTopic};
use taffrail_wire::{ErrorCode, FetchRequest, OffsetForLeaderEpochRequest};

const PATIENCE: Duration = Duration::from_secs(5);
const FETCH_VERSION: i16 = 12;
const EPOCH_VERSION: i16 = 4;
const BYTES_MAX: i32 = 1 << 20;
const EXPANDED_BYTES_MAX: usize = 16 << 20;

/// What one fetch gave.
struct Scan {
    records: Vec<(Offset, Written)>,
    high_watermark: Offset,
    /// Past the last record of each leader epoch.
    epochs: BTreeMap<LeaderEpoch, Offset>,
}

struct Scanner {
    stage: Rc<Stage>,
    id: ClientId,
    choice: Stream,
    /// How far each partition was seen to reach.
    ends: BTreeMap<TopicPartitionName, Offset>,
}

/// Runs until the stage is quiet.
pub async fn run(env: SimEnv, stage: Rc<Stage>, id: ClientId) {
    let _presence = Presence::new(&stage);
    let name = format!("scanner-{id}");
    let decisions = stage.world.decisions();
    let choice = decisions.stream(&format!("{name}/choice"));
    let mut scanner = Scanner {
        stage: stage.clone(),
        id,
        choice,
        ends: BTreeMap::new(),
    };
    while stage.phase.get() != Phase::Quiet {
        if let Some(mut peer) = Peer::connect(&env, &stage.broker, &name, PATIENCE).await {
            while stage.phase.get() != Phase::Quiet && scanner.scan(&mut peer).await.is_some() {
                let pause = Duration::from_millis(decisions.below(choice, 300));
                env.sleep(pause).await;
            }
        }
        env.sleep(Duration::from_millis(100)).await;
    }
}

impl Scanner {
    /// Reads somewhere, and asks for the epochs of what it read; `None` if the connection is of no more use.
    async fn scan(&mut self, peer: &mut Peer) -> Option<()> {
        let partition = self.stage.pick_partition(self.choice);
        let identity = self.stage.identity(&partition);
        let known = self.ends.get(&partition).copied().unwrap_or(0);
        let decisions = self.stage.world.decisions();
        let position = decisions.below(self.choice, known as u64 + 1) as Offset;
        let operation = self.stage.next_operation();
        self.stage.tell(Event::PollStarted {
            operation,
            client: self.id,
            partition: identity,
            position,
        });
        match fetch(peer, &partition, position).await {
            Some(Ok(scan)) => {
                self.stage.count("scans");
                let reached = scan.records.last().map_or(position, |(last, _)| last + 1);
                self.ends.insert(partition.clone(), known.max(reached));
                self.stage.tell(Event::PollAcked {
                    operation,
                    records: scan.records,
                    high_watermark: scan.high_watermark,
                });
                for (epoch, end) in scan.epochs {
                    self.compare(peer, &partition, epoch, end).await?;
                }
                Some(())
            }
            Some(Err(ErrorCode::OffsetOutOfRange)) => {
                self.ends.remove(&partition);
                self.stage.tell(Event::PollOutOfRange { operation });
                Some(())
            }
            other => {
                self.stage.tell(Event::PollFailed { operation });
                other.map(|_| ())
            }
        }
    }

    /// Asks where an epoch ends that was seen to reach `seen`.
    async fn compare(
        &self,
        peer: &mut Peer,
        partition: &TopicPartitionName,
        epoch: LeaderEpoch,
        seen: Offset,
    ) -> Option<()> {
        let request = OffsetForLeaderEpochRequest {
            topics: vec![OffsetForLeaderTopic {
                topic: &partition.topic,
                partitions: vec![OffsetForLeaderPartition {
                    partition: partition.partition,
                    current_leader_epoch: -1,
                    leader_epoch: epoch,
                }],
            }],
            ..OffsetForLeaderEpochRequest::default()
        };
        let answer = peer.call(EPOCH_VERSION, &request).await?;
        let response = answer.read::<OffsetForLeaderEpochRequest<'_>>(EPOCH_VERSION)?;
        let told = &response.topics.first()?.partitions.first()?;
        if told.error_code == 0 {
            self.stage.tell(Event::EpochEnd {
                partition: self.stage.identity(partition),
                epoch,
                seen,
                told: (told.leader_epoch, told.end_offset),
            });
        }
        Some(())
    }
}

/// `None`: no answer that can be read. Bytes that do not verify are told as a record that nobody produced.
async fn fetch(
    peer: &mut Peer,
    partition: &TopicPartitionName,
    position: Offset,
) -> Option<Result<Scan, ErrorCode>> {
    let request = FetchRequest {
        max_wait_ms: 100,
        min_bytes: 1,
        max_bytes: BYTES_MAX,
        topics: vec![FetchTopic {
            topic: &partition.topic,
            partitions: vec![FetchPartition {
                partition: partition.partition,
                fetch_offset: position,
                partition_max_bytes: BYTES_MAX,
                ..FetchPartition::default()
            }],
            ..FetchTopic::default()
        }],
        ..FetchRequest::default()
    };
    let answer = peer.call(FETCH_VERSION, &request).await?;
    let response = answer.read::<FetchRequest<'_>>(FETCH_VERSION)?;
    let answer = response.responses.first()?.partitions.first()?;
    if answer.error_code != 0 {
        return Some(Err(ErrorCode::from(answer.error_code)));
    }
    let bytes = answer.records.clone().unwrap_or_default().into_bytes();
    let mut scan = Scan {
        records: Vec::new(),
        high_watermark: answer.high_watermark,
        epochs: BTreeMap::new(),
    };
    for batch in Batches::new(&bytes) {
        let taken = batch
            .ok()
            .and_then(|(header, batch)| scan.take(&header, batch));
        if taken.is_none() {
            scan.records.push((position, FOREIGN));
            break;
        }
    }
    // The first batch may begin before what was asked for.
    scan.records.retain(|(offset, _)| *offset >= position);
    Some(Ok(scan))
}

const FOREIGN: Written = Written {
    id: Written::FOREIGN,
    digest: 0,
};

impl Scan {
    /// `None` if the batch is not sound.
    fn take(&mut self, header: &BatchHeader, batch: &[u8]) -> Option<()> {
        verify_crc(batch).ok()?;
        let limit = DecompressLimit {
            output_bytes_max: EXPANDED_BYTES_MAX,
        };
        let end = self
            .epochs
            .entry(header.partition_leader_epoch)
            .or_default();
        *end = header.next_offset().max(*end);
        let records = &mut self.records;
        for_each_record(batch, limit, |header, record| {
            let offset = header.record_offset(&record);
            let fetched = fetched(offset, header.record_timestamp(&record), &record);
            records.push((offset, value::as_read(&fetched)));
            ControlFlow::Continue(())
        })
        .ok()
    }
}

fn fetched(offset: Offset, timestamp: i64, record: &RecordView<'_>) -> Fetched {
    let owned = |bytes: &[u8]| Bytes::copy_from_slice(bytes);
    let headers = record.headers().map(|header| Header {
        key: String::from_utf8_lossy(header.key).into_owned(),
        value: header.value.map(owned),
    });
    Fetched {
        topic: "".into(),
        partition: 0,
        offset,
        timestamp,
        key: record.key.map(owned),
        value: record.value.map(owned),
        headers: headers.collect(),
    }
}
