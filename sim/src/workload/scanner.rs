//! A reader of another make: takes batches as they come, tells every record in them, and holds what the broker says of leader epochs
//! against what stands in the batches.
//!
//! The product's own consumer passes over records that it does not expect; this one expects nothing. At times it goes on where a
//! batch ended that it was given, and says of which epoch that was, as replicas do; what it is given then is no less true
//! where the log was cut short meanwhile.

use super::peer::Peer;
use super::turnover::Resident;
use super::{Phase, Presence, Stage, value};
use crate::atlas::Law;
use crate::decision::Stream;
use crate::env::SimEnv;
use crate::history::{ClientId, Event, OperationId, Written};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::time::Duration;
use taffrail_client::{Fetched, Header, TopicPartitionName};
use taffrail_env::Clock;
use taffrail_record::batch::{BatchHeader, Batches, RecordView, for_each_record, verify_crc};
use taffrail_record::compression::DecompressLimit;
use taffrail_record::{LeaderEpoch, Offset, TopicPartition};
use taffrail_wire::fetch::{FetchPartition, FetchTopic, PartitionData};
use taffrail_wire::list_offsets::{ListOffsetsPartition, ListOffsetsTopic};
use taffrail_wire::offset_for_leader_epoch::{OffsetForLeaderPartition, OffsetForLeaderTopic};
use taffrail_wire::{
    ErrorCode, FetchRequest, InitProducerIdRequest, ListOffsetsRequest, OffsetForLeaderEpochRequest,
};

const PATIENCE: Duration = Duration::from_secs(5);
/// Topics are named by their names here, and by their ids in the version after.
const FETCH_VERSION: i16 = 12;
const FETCH_BY_ID_VERSION: i16 = 13;
const EPOCH_VERSION: i16 = 4;
const LIST_VERSION: i16 = 7;
const INIT_VERSION: i16 = 4;
/// Asks for the record with the largest timestamp.
const MAX_TIMESTAMP: i64 = -3;
const BYTES_MAX: i32 = 1 << 20;
const EXPANDED_BYTES_MAX: usize = 16 << 20;

/// What one fetch gave.
pub(super) struct Scan {
    pub records: Vec<(Offset, Written)>,
    /// The timestamps of the same records.
    times: Vec<(Offset, i64)>,
    pub high_watermark: Offset,
    log_start_offset: Offset,
    /// Past the last record of each leader epoch.
    epochs: BTreeMap<LeaderEpoch, Offset>,
    /// Past each batch, and its leader epoch.
    ends: Vec<(Offset, LeaderEpoch)>,
}

struct Scanner {
    stage: Rc<Stage>,
    id: ClientId,
    choice: Stream,
    /// Where the batches ended that the last answer held, and their epochs; of a partition that may be cut short.
    batch_ends: BTreeMap<TopicPartition, Vec<(Offset, LeaderEpoch)>>,
    /// How far each partition was seen to reach.
    ends: BTreeMap<TopicPartitionName, Offset>,
    /// The newest leader epoch that was seen in each.
    epochs: BTreeMap<TopicPartitionName, LeaderEpoch>,
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
        batch_ends: BTreeMap::new(),
        ends: BTreeMap::new(),
        epochs: BTreeMap::new(),
    };
    while stage.phase.get() != Phase::Quiet {
        if let Some(mut peer) = Peer::connect(&env, &stage.broker, &name, PATIENCE).await {
            while stage.phase.get() != Phase::Quiet && scanner.scan(&mut peer).await.is_some() {
                let pause = Duration::from_millis(decisions.below(choice, 300));
                env.sleep(stage.rest(pause)).await;
            }
        }
        env.sleep(Duration::from_millis(100)).await;
    }
}

impl Scanner {
    fn draw(&self, n: u64) -> u64 {
        self.stage.world.decisions().below(self.choice, n)
    }

    /// Reads somewhere, and asks for the epochs of what it read; `None` if the connection is of no more use.
    async fn scan(&mut self, peer: &mut Peer) -> Option<()> {
        let resident = self.stage.resident.borrow().clone();
        if let Some(resident) = resident
            && self.draw(3) == 0
        {
            return self.go_on(peer, &resident).await;
        }
        if self.draw(12) == 0 {
            return self.take_id(peer).await;
        }
        let partition = self.stage.pick_partition(self.choice);
        let identity = self.stage.identity(&partition);
        let known = self.ends.get(&partition).copied().unwrap_or(0);
        let position = self.stage.pick_offset(self.choice, known);
        let wanted = FetchPartition {
            partition: partition.partition,
            fetch_offset: position,
            ..FetchPartition::default()
        };
        if self.draw(8) == 0 {
            return self.ask_too_late(peer, &partition, wanted).await;
        }
        let operation = self.begin(identity, position);
        match fetch(peer, Named::Name(&partition.topic), wanted).await {
            Some(Ok(scan)) => {
                self.stage.count("scans");
                if self.stage.atlas.law == Law::Sound && self.draw(3) == 0 {
                    self.ask_time(peer, &partition, &scan.times).await?;
                }
                let reached = scan.records.last().map_or(position, |(last, _)| last + 1);
                self.ends.insert(partition.clone(), known.max(reached));
                self.stage.tell(Event::PollAcked {
                    operation,
                    records: scan.records,
                    high_watermark: scan.high_watermark,
                });
                let newest = scan.epochs.last_key_value().map(|(epoch, _)| *epoch);
                if let Some(newest) = newest {
                    let seen = self.epochs.entry(partition.clone()).or_default();
                    *seen = newest.max(*seen);
                }
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

    /// Reads the topic that is cut short and deleted all the time, from the beginning, or behind a batch that it held when it was
    /// last read.
    async fn go_on(&mut self, peer: &mut Peer, resident: &Resident) -> Option<()> {
        let identity = resident.identity;
        let known = self.batch_ends.remove(&identity).unwrap_or_default();
        let (position, epoch) = match self.draw(known.len() as u64 + 1) {
            0 => (self.stage.first_offset.get(), -1),
            place => known[place as usize - 1],
        };
        let wanted = FetchPartition {
            partition: identity.partition,
            fetch_offset: position,
            last_fetched_epoch: epoch,
            ..FetchPartition::default()
        };
        let operation = self.begin(identity, position);
        let found = fetch(peer, Named::Id(identity.topic.0), wanted).await;
        self.batch_ends.insert(identity, known);
        let held = match &found {
            Some(Ok(scan)) => (scan.log_start_offset, scan.times.clone()),
            _ => (0, Vec::new()),
        };
        self.stage.tell(match found {
            Some(Ok(scan)) => {
                self.stage.count("scans-of-a-short-log");
                if scan.records.is_empty() && position < scan.log_start_offset {
                    let witness = format!(
                        "{identity:?} offset {position} of epoch {epoch}: nothing, and no error, though the log starts at {}",
                        scan.log_start_offset
                    );
                    self.stage.world.fail("OFFSET-RANGE-TRUTH", witness);
                }
                if !scan.ends.is_empty() {
                    self.batch_ends.insert(identity, scan.ends);
                }
                Event::PollAcked {
                    operation,
                    records: scan.records,
                    high_watermark: scan.high_watermark,
                }
            }
            Some(Err(ErrorCode::OffsetOutOfRange)) => {
                self.stage.count("scans-out-of-range");
                Event::PollOutOfRange { operation }
            }
            Some(Err(_)) => Event::PollFailed { operation },
            None => {
                self.stage.tell(Event::PollFailed { operation });
                return None;
            }
        });
        self.ask_time_of_short_log(peer, resident, (held.0, &held.1))
            .await
    }

    /// Asks for a producer id, and does nothing with it.
    async fn take_id(&self, peer: &mut Peer) -> Option<()> {
        let answer = peer
            .call(INIT_VERSION, &InitProducerIdRequest::default())
            .await?;
        let response = answer.read::<InitProducerIdRequest<'_>>(INIT_VERSION)?;
        if response.error_code == 0 {
            self.stage.count("producer-ids");
            self.stage.tell(Event::ProducerGiven {
                client: self.id,
                id: response.producer_id,
            });
        }
        Some(())
    }

    /// Asks the log that is cut short for a time that it holds, or for any. What lay before its start when it was read is never the
    /// answer.
    async fn ask_time_of_short_log(
        &self,
        peer: &mut Peer,
        resident: &Resident,
        (start, times): (Offset, &[(Offset, i64)]),
    ) -> Option<()> {
        let Some((_, held)) = times.first() else {
            return Some(());
        };
        let wanted = [0, *held][self.draw(2) as usize];
        let told = list_time(peer, &resident.partition, wanted).await?;
        let is_there = *self.stage.resident.borrow() == Some(resident.clone());
        if let Some((offset, _)) = told
            && is_there
            && (0..start).contains(&offset)
        {
            let witness = format!(
                "{:?}: asked for time {wanted}, told of offset {offset}; the log started at {start} before that",
                resident.identity
            );
            self.stage.object("OFFSET-RANGE-TRUTH", witness);
        }
        self.stage.count("times-of-a-short-log-asked");
        Some(())
    }

    /// Says that the partition has an epoch of leaders by now that nobody has begun: whoever leads it does not know of that, and must not
    /// answer as if it led it still.
    async fn ask_too_late(
        &self,
        peer: &mut Peer,
        partition: &TopicPartitionName,
        wanted: FetchPartition,
    ) -> Option<()> {
        // One node leads in one epoch for ever; were there later ones, the records would bear them.
        let known = self.epochs.get(partition).copied().unwrap_or(0);
        let later = FetchPartition {
            current_leader_epoch: known + 1,
            ..wanted
        };
        self.stage.count("fetches-of-later-epochs");
        let answer = fetch(peer, Named::Name(&partition.topic), later).await?;
        self.stage.tell(Event::EpochClaimed {
            partition: partition.to_string(),
            epoch: known + 1,
            begun: known,
            answered: answer.is_ok(),
        });
        Some(())
    }

    /// Asks for the first record at a time that one of these bears, or for the newest of all.
    async fn ask_time(
        &self,
        peer: &mut Peer,
        partition: &TopicPartitionName,
        times: &[(Offset, i64)],
    ) -> Option<()> {
        let Some(newest) = times.iter().map(|(_, time)| *time).max() else {
            return Some(());
        };
        let asks_newest = self.draw(3) == 0;
        let wanted = match asks_newest {
            true => MAX_TIMESTAMP,
            false => times[self.draw(times.len() as u64) as usize].1,
        };
        let Some(told) = list_time(peer, partition, wanted).await? else {
            return Some(());
        };
        self.stage.count("times-asked");
        let sound = match asks_newest {
            true => told.1 >= newest,
            false => is_first_at(times, wanted, told),
        };
        if !sound {
            let witness = format!(
                "{partition}: asked for time {wanted}, told of offset {} with time {}; offsets and times there: {times:?}",
                told.0, told.1
            );
            self.stage.object("OFFSET-RANGE-TRUTH", witness);
        }
        Some(())
    }

    fn begin(&self, partition: TopicPartition, position: Offset) -> OperationId {
        let operation = self.stage.next_operation();
        self.stage.tell(Event::PollStarted {
            operation,
            client: self.id,
            partition,
            position,
            fresh: true,
        });
        operation
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

/// How a topic is named.
pub(super) enum Named<'a> {
    Name(&'a str),
    Id([u8; 16]),
}

/// `None`: no answer that can be read. Bytes that do not verify are told as a record that nobody produced.
pub(super) async fn fetch(
    peer: &mut Peer,
    topic: Named<'_>,
    wanted: FetchPartition,
) -> Option<Result<Scan, ErrorCode>> {
    let position = wanted.fetch_offset;
    let (version, name, topic_id) = match topic {
        Named::Name(name) => (FETCH_VERSION, name, [0; 16]),
        Named::Id(id) => (FETCH_BY_ID_VERSION, "", id),
    };
    let request = FetchRequest {
        max_wait_ms: 100,
        min_bytes: 1,
        max_bytes: BYTES_MAX,
        topics: vec![FetchTopic {
            topic: name,
            topic_id,
            partitions: vec![FetchPartition {
                partition_max_bytes: BYTES_MAX,
                ..wanted
            }],
        }],
        ..FetchRequest::default()
    };
    let answer = peer.call(version, &request).await?;
    let response = answer.read::<FetchRequest<'_>>(version)?;
    let answer = response.responses.first()?.partitions.first()?;
    if answer.error_code != 0 {
        return Some(Err(ErrorCode::from(answer.error_code)));
    }
    Some(Ok(Scan::of(answer, position)))
}

/// The first record at a time or later, as the broker says: its offset and its time. `Some(None)` if it says that something is in the way.
async fn list_time(
    peer: &mut Peer,
    partition: &TopicPartitionName,
    wanted: i64,
) -> Option<Option<(Offset, i64)>> {
    let request = ListOffsetsRequest {
        replica_id: -1,
        topics: vec![ListOffsetsTopic {
            name: &partition.topic,
            partitions: vec![ListOffsetsPartition {
                partition_index: partition.partition,
                timestamp: wanted,
                ..ListOffsetsPartition::default()
            }],
        }],
        ..ListOffsetsRequest::default()
    };
    let answer = peer.call(LIST_VERSION, &request).await?;
    let response = answer.read::<ListOffsetsRequest<'_>>(LIST_VERSION)?;
    let told = response.topics.first()?.partitions.first()?;
    Some((told.error_code == 0).then_some((told.offset, told.timestamp)))
}

/// Whether `told` may be the first record of a log with this time or a later one, where `times` is a part of the log.
fn is_first_at(times: &[(Offset, i64)], wanted: i64, told: (Offset, i64)) -> bool {
    let Some((begin, _)) = times.first() else {
        return true;
    };
    let (offset, time) = told;
    let first = times.iter().find(|(_, time)| *time >= wanted);
    let is_right_here = offset < *begin || first == Some(&told);
    offset >= 0 && time >= wanted && is_right_here
}

const FOREIGN: Written = Written {
    id: Written::FOREIGN,
    digest: 0,
};

impl Scan {
    /// What an answer without an error holds, from `position` on.
    pub(super) fn of(answer: &PartitionData, position: Offset) -> Scan {
        let bytes = answer.records.clone().unwrap_or_default().into_bytes();
        let mut scan = Scan {
            records: Vec::new(),
            times: Vec::new(),
            high_watermark: answer.high_watermark,
            log_start_offset: answer.log_start_offset,
            epochs: BTreeMap::new(),
            ends: Vec::new(),
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
        scan.times.retain(|(offset, _)| *offset >= position);
        scan
    }

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
        let epoch = header.partition_leader_epoch;
        self.ends.push((header.next_offset(), epoch));
        let (records, times) = (&mut self.records, &mut self.times);
        for_each_record(batch, limit, |header, record| {
            let offset = header.record_offset(&record);
            let time = header.record_timestamp(&record);
            times.push((offset, time));
            let fetched = fetched(offset, time, &record);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_record_at_a_time_is_told_from_any_other() {
        let part = [(5, 10), (6, 30), (7, 20), (8, 30)];
        assert!(is_first_at(&part, 30, (6, 30)));
        assert!(is_first_at(&part, 20, (6, 30)));
        // It may lie before what was read.
        assert!(is_first_at(&part, 20, (3, 25)));
        assert!(!is_first_at(&part, 30, (8, 30)));
        assert!(!is_first_at(&part, 20, (7, 20)));
        assert!(!is_first_at(&part, 20, (5, 10)));
        assert!(!is_first_at(&part, 20, (3, 19)));
        assert!(!is_first_at(&part, 20, (-1, -1)));
        assert!(is_first_at(&[], 20, (-1, -1)));
    }
}
