//! A reader of another make that keeps a fetch session (KIP-227): it says once what it reads, then only what has changed, and takes
//! silence about a partition to mean that there is nothing new.
//!
//! The session outlives connections, but not an answer that was lost: then the reader opens another. At times it repeats a request
//! of an epoch that is over, or gives up a partition for a while: neither may be answered as if it were asked now.

use super::peer::{Answer, Peer};
use super::scanner::Scan;
use super::{Phase, Presence, Stage};
use crate::atlas::batches;
use crate::decision::Stream;
use crate::env::SimEnv;
use crate::history::{ClientId, Event, OperationId};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;
use taffrail_client::{Client, ClientOptions, OffsetSpec, TopicPartitionName};
use taffrail_env::Clock;
use taffrail_record::Offset;
use taffrail_wire::fetch::{FetchPartition, FetchTopic, ForgottenTopic, PartitionData};
use taffrail_wire::{ErrorCode, FetchRequest, FetchResponse, Records};

const PATIENCE: Duration = Duration::from_secs(5);
/// Topics are named by their names here.
const FETCH_VERSION: i16 = 12;
const WAIT_MS: i32 = 100;

/// How far a partition was read, and where it was last said to end; -1 before anything was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    position: Offset,
    high_watermark: Offset,
}

/// The broker's number for a session, and the epoch of the next request.
type Session = (i32, i32);

struct Reader {
    stage: Rc<Stage>,
    id: ClientId,
    choice: Stream,
    bytes_max: i32,
    session: Option<Session>,
    places: BTreeMap<TopicPartitionName, Place>,
    /// The positions that the broker was told in this session.
    told: BTreeMap<TopicPartitionName, Offset>,
    /// Given up in the next request.
    forgotten: BTreeSet<TopicPartitionName>,
}

/// Runs until the stage is quiet.
pub async fn run(env: SimEnv, stage: Rc<Stage>, id: ClientId) {
    let _presence = Presence::new(&stage);
    let name = format!("session-{id}");
    let mut reader = Reader::new(&stage, id, 0);
    while stage.phase.get() != Phase::Quiet {
        if let Some(mut peer) = Peer::connect(&env, &stage.broker, &name, PATIENCE).await {
            while stage.phase.get() != Phase::Quiet && reader.step(&mut peer).await.is_some() {
                let pause = Duration::from_millis(reader.draw(300));
                env.sleep(pause).await;
            }
            peer.leave();
        }
        env.sleep(Duration::from_millis(100)).await;
    }
}

/// Reads everything from the start within one session, in pieces that have no room for all partitions. Answers those of which it was not told
/// everything that was there when it began.
pub async fn catch_up(
    env: SimEnv,
    stage: Rc<Stage>,
    id: ClientId,
    patience: Duration,
) -> Vec<(TopicPartitionName, String)> {
    const BYTES_MAX: i32 = 50_000;
    const FETCHES_PER_CONNECTION: u32 = 8;
    // Whoever comes oftener than 20 times in a second is turned away.
    const RECONNECT: Duration = Duration::from_millis(60);
    let until = env.now() + patience;
    let brokers = std::slice::from_ref(&stage.broker);
    let client = Client::new(&env, brokers, ClientOptions::default());
    let all = stage.partitions().into_iter();
    let wanted: BTreeMap<_, _> = all.map(|name| (name, OffsetSpec::Latest)).collect();
    let ends = match client.list_offsets(&wanted, until).await {
        Ok(found) => found,
        Err(error) => return vec![(TopicPartitionName::new("", -1), error.to_string())],
    };
    let name = format!("session-{id}");
    let mut reader = Reader::new(&stage, id, BYTES_MAX);
    for partition in wanted.into_keys() {
        reader.begin_to_read(partition, stage.first_offset.get());
    }
    loop {
        let lags = |(partition, found): (&TopicPartitionName, &taffrail_client::FoundOffset)| {
            let end = found.offset.unwrap_or(0);
            let place = reader.places[partition];
            let is_there = place.position >= end && place.high_watermark >= end;
            (!is_there).then(|| (partition.clone(), format!("{place:?} of {end}")))
        };
        let lagging: Vec<_> = ends.iter().filter_map(lags).collect();
        if lagging.is_empty() || env.now() >= until {
            return lagging;
        }
        if let Some(mut peer) = Peer::connect(&env, &stage.broker, &name, PATIENCE).await {
            // Another connection goes on with the same session.
            for _ in 0..FETCHES_PER_CONNECTION {
                if reader.fetch(&mut peer).await.is_none() {
                    break;
                }
            }
            peer.leave();
        }
        env.sleep(RECONNECT).await;
    }
}

/// Asks for all partitions that have records within one session, again and again, with room for hardly more than one of them. Whoever
/// was answered goes behind the others, so all have had their turn after as many requests as there are partitions. Answers
/// those that had none after twice as many; nothing, if the broker keeps no session.
///
/// Either it never comes any further, and what it asks for is never mentioned again, or it reads on and begins anew at each end.
pub async fn take_turns(
    env: SimEnv,
    stage: Rc<Stage>,
    id: ClientId,
    patience: Duration,
) -> Vec<(TopicPartitionName, String)> {
    let decisions = stage.world.decisions();
    let choice = decisions.stream(&format!("session-{id}/turns"));
    let bytes_max = [1, 300, 3_000][decisions.below(choice, 3) as usize];
    let reads_on = decisions.below(choice, 2) == 0;
    let spans = spans(&env, &stage, patience).await;
    let name = format!("session-{id}");
    let mut reader = Reader::new(&stage, id, bytes_max);
    for (partition, (start, _)) in &spans {
        reader.begin_to_read(partition.clone(), *start);
    }
    let mut waiting: BTreeSet<TopicPartitionName> = spans.keys().cloned().collect();
    if waiting.len() < 2 {
        return Vec::new();
    }
    let requests = 2 * waiting.len() + 2;
    // Whoever caught up came often, and a broker lets nobody in more than 20 times in a second.
    env.sleep(Duration::from_millis(1_100)).await;
    let peer = Peer::connect(&env, &stage.broker, &name, PATIENCE).await;
    let Some(mut peer) = peer else {
        return vec![(TopicPartitionName::new("", -1), "no connection".to_owned())];
    };
    for number in 0..requests {
        let asked = reader.places.clone();
        if reader.fetch(&mut peer).await.is_none() {
            let first = waiting.pop_first();
            let first = first.unwrap_or_else(|| TopicPartitionName::new("", -1));
            return vec![(
                first,
                format!("{number} requests, after which there was no answer"),
            )];
        }
        if reader.session.is_none() {
            // The broker keeps none, or had no room for this one any more.
            return Vec::new();
        }
        for (partition, place) in &mut reader.places {
            let (start, end) = spans[partition];
            // Behind a place that cannot be read the position moves, too; but then nobody says where the log ends.
            if place.position > asked[partition].position && place.high_watermark >= 0 {
                waiting.remove(partition);
            }
            place.high_watermark = -1;
            if !reads_on || place.position >= end {
                place.position = start;
            }
        }
    }
    peer.leave();
    stage.count("turns-taken");
    let why = |partition| {
        let among = spans.len();
        let why =
            format!("{requests} requests among {among} partitions, of {bytes_max} bytes each");
        (partition, why)
    };
    waiting.into_iter().map(why).collect()
}

/// Where the partitions that have records begin and end.
async fn spans(
    env: &SimEnv,
    stage: &Stage,
    patience: Duration,
) -> BTreeMap<TopicPartitionName, (Offset, Offset)> {
    let until = env.now() + patience;
    let brokers = std::slice::from_ref(&stage.broker);
    let client = Client::new(env, brokers, ClientOptions::default());
    let find = async |spec| {
        let all = stage.partitions().into_iter();
        let wanted: BTreeMap<_, _> = all.map(|name| (name, spec)).collect();
        client
            .list_offsets(&wanted, until)
            .await
            .unwrap_or_default()
    };
    let (starts, ends) = (
        find(OffsetSpec::Earliest).await,
        find(OffsetSpec::Latest).await,
    );
    let starts = starts.into_iter();
    let spans = starts.filter_map(|(name, found)| {
        let (start, end) = (found.offset?, ends.get(&name)?.offset?);
        (start < end).then_some((name, (start, end)))
    });
    spans.collect()
}

impl Reader {
    /// Partly drawn: how much it takes at once, if `bytes_max` is 0.
    fn new(stage: &Rc<Stage>, id: ClientId, bytes_max: i32) -> Reader {
        let decisions = stage.world.decisions();
        let choice = decisions.stream(&format!("session-{id}/choice"));
        let drawn = [300, 5_000, 1 << 20][decisions.below(choice, 3) as usize];
        Reader {
            stage: stage.clone(),
            id,
            choice,
            bytes_max: if bytes_max == 0 { drawn } else { bytes_max },
            session: None,
            places: BTreeMap::new(),
            told: BTreeMap::new(),
            forgotten: BTreeSet::new(),
        }
    }

    fn draw(&self, n: u64) -> u64 {
        self.stage.world.decisions().below(self.choice, n)
    }

    fn begin_to_read(&mut self, partition: TopicPartitionName, position: Offset) {
        let place = Place {
            position,
            high_watermark: -1,
        };
        self.forgotten.remove(&partition);
        self.places.insert(partition, place);
    }

    /// One request, of one kind or another. `None` if the connection is of no more use.
    async fn step(&mut self, peer: &mut Peer) -> Option<()> {
        let partition = self.stage.pick_partition(self.choice);
        match (self.draw(8), self.places.get(&partition)) {
            (0, _) if self.session.is_some_and(|(_, epoch)| epoch > 1) => self.repeat(peer).await,
            (1, Some(_)) => {
                self.places.remove(&partition);
                self.told.remove(&partition);
                self.forgotten.insert(partition);
                self.fetch(peer).await
            }
            (2, Some(place)) => {
                // Reads something again.
                let back = self.stage.pick_offset(self.choice, place.position);
                self.begin_to_read(partition, back);
                self.fetch(peer).await
            }
            (_, None) => {
                let first = self.stage.first_offset.get();
                self.begin_to_read(partition, first);
                self.fetch(peer).await
            }
            _ => self.fetch(peer).await,
        }
    }

    /// Asks in an epoch that is over. The broker may say so, or have forgotten the session.
    async fn repeat(&mut self, peer: &mut Peer) -> Option<()> {
        let (session, next) = self.session?;
        let epoch = next - 1;
        let request = self.request((session, epoch), self.places.keys());
        self.stage.count("fetches-of-former-epochs");
        let answer = peer.call(FETCH_VERSION, &request).await?;
        if let Some(response) = answer.read::<FetchRequest<'_>>(FETCH_VERSION) {
            self.tell_answer((session, epoch), self.places.keys(), &response);
        }
        Some(())
    }

    /// Asks for what is new, and tells what came.
    async fn fetch(&mut self, peer: &mut Peer) -> Option<()> {
        let (session, epoch) = self.session.unwrap_or((0, 0));
        if epoch == 0 {
            self.told.clear();
        }
        let changed = self.places.iter();
        let changed = changed.filter(|(name, place)| self.told.get(*name) != Some(&place.position));
        let request = self.request((session, epoch), changed.map(|(name, _)| name));
        let mut open = self.begin_polls();
        let answer = peer.call(FETCH_VERSION, &request).await;
        let positions = self.places.iter();
        self.told = positions
            .map(|(name, place)| (name.clone(), place.position))
            .collect();
        self.session = None;
        if let Some(answer) = &answer {
            self.take(answer, (session, epoch), &mut open);
        }
        for (_, operation) in open.into_values() {
            self.stage.tell(Event::PollFailed { operation });
        }
        answer.map(|_| ())
    }

    fn begin_polls(&self) -> BTreeMap<TopicPartitionName, (Offset, OperationId)> {
        let begin = |(name, place): (&TopicPartitionName, &Place)| {
            let operation = self.stage.next_operation();
            self.stage.tell(Event::PollStarted {
                operation,
                client: self.id,
                partition: self.stage.identity(name),
                position: place.position,
                fresh: true,
            });
            (name.clone(), (place.position, operation))
        };
        self.places.iter().map(begin).collect()
    }

    /// Tells of each partition that the answer speaks of, and goes on in the session if there is one.
    fn take(
        &mut self,
        answer: &Answer,
        asked: Session,
        open: &mut BTreeMap<TopicPartitionName, (Offset, OperationId)>,
    ) {
        let Some(response) = answer.read::<FetchRequest<'_>>(FETCH_VERSION) else {
            return;
        };
        self.tell_answer(asked, open.keys(), &response);
        if response.error_code != 0 {
            return self.stage.count("sessions-refused");
        }
        self.judge_size(&response);
        let is_first = asked.1 == 0;
        if response.session_id != 0 {
            self.stage.count(match is_first {
                true => "sessions-opened",
                false => "session-fetches",
            });
            self.session = Some((response.session_id, asked.1 + 1));
            self.forgotten.clear();
        }
        for topic in &response.responses {
            for partition in &topic.partitions {
                let name = TopicPartitionName::new(topic.topic, partition.partition_index);
                if let Some((position, operation)) = open.remove(&name) {
                    self.take_partition(&name, partition, position, operation);
                }
            }
        }
    }

    /// No more comes than was asked for, but for one batch that is longer by itself.
    fn judge_size(&self, response: &FetchResponse<'_>) {
        let partitions = response
            .responses
            .iter()
            .flat_map(|topic| &topic.partitions);
        let given = partitions.filter_map(|partition| partition.records.clone());
        let given: Vec<Bytes> = given.map(Records::into_bytes).collect();
        let first_len = |bytes: &Bytes| batches(bytes).first().map_or(0, |(_, len, ..)| *len);
        let longest = given.iter().map(first_len).max().unwrap_or(0);
        let bytes: usize = given.iter().map(Bytes::len).sum();
        let may_be = longest.max(self.bytes_max as usize);
        if bytes > may_be {
            let witness = format!(
                "client {} asked for {} bytes and was given {bytes}, of which the longest batch that comes first has {longest}",
                self.id, self.bytes_max
            );
            self.stage.object("BOUNDED-QUEUE", witness);
        }
    }

    /// Tells what became of a request of this session and epoch that asks for these partitions.
    fn tell_answer<'s>(
        &self,
        (session, epoch): Session,
        asked: impl Iterator<Item = &'s TopicPartitionName>,
        response: &FetchResponse<'_>,
    ) {
        let answered = response.responses.iter().flat_map(|topic| {
            let partitions = topic.partitions.iter();
            partitions.map(|partition| {
                TopicPartitionName::new(topic.topic, partition.partition_index).to_string()
            })
        });
        self.stage.tell(Event::SessionAnswered {
            client: self.id,
            session,
            epoch,
            answer: match response.error_code {
                0 => Ok(response.session_id),
                code => Err(ErrorCode::from(code)),
            },
            asked: asked.map(ToString::to_string).collect(),
            answered: answered.collect(),
        });
    }

    fn take_partition(
        &mut self,
        name: &TopicPartitionName,
        answer: &PartitionData,
        position: Offset,
        operation: OperationId,
    ) {
        let place = self.places.get_mut(name).expect("it was asked for");
        match ErrorCode::from(answer.error_code) {
            ErrorCode::None => {
                let scan = Scan::of(answer, position);
                let last = scan.records.last();
                place.position = last.map_or(position, |(offset, _)| offset + 1);
                place.high_watermark = scan.high_watermark;
                self.stage.tell(Event::PollAcked {
                    operation,
                    records: scan.records,
                    high_watermark: scan.high_watermark,
                });
            }
            ErrorCode::OffsetOutOfRange => {
                place.position = 0;
                self.stage.tell(Event::PollOutOfRange { operation });
            }
            _ => {
                // What cannot be read here may be damaged for good.
                place.position += 1;
                self.stage.tell(Event::PollFailed { operation });
            }
        }
    }

    fn request<'s>(
        &'s self,
        (session_id, session_epoch): Session,
        named: impl Iterator<Item = &'s TopicPartitionName>,
    ) -> FetchRequest<'s> {
        let mut topics: BTreeMap<&str, Vec<FetchPartition>> = BTreeMap::new();
        for name in named {
            let partitions = topics.entry(&name.topic).or_default();
            partitions.push(FetchPartition {
                partition: name.partition,
                fetch_offset: self.places[name].position,
                partition_max_bytes: self.bytes_max,
                ..FetchPartition::default()
            });
        }
        let mut forgotten: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
        for name in self.forgotten.iter().filter(|_| session_epoch > 0) {
            let partitions = forgotten.entry(&name.topic).or_default();
            partitions.push(name.partition);
        }
        let topics = topics.into_iter().map(|(topic, partitions)| FetchTopic {
            topic,
            partitions,
            ..FetchTopic::default()
        });
        let forgotten = forgotten.into_iter();
        let forgotten = forgotten.map(|(topic, partitions)| ForgottenTopic {
            topic,
            partitions,
            ..ForgottenTopic::default()
        });
        FetchRequest {
            max_wait_ms: WAIT_MS,
            min_bytes: 1,
            max_bytes: self.bytes_max,
            session_id,
            session_epoch,
            topics: topics.collect(),
            forgotten_topics_data: forgotten.collect(),
            ..FetchRequest::default()
        }
    }
}
