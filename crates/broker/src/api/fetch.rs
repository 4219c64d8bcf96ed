//! Fetch: record batches for consumers, waiting for them if there are none yet.
//!
//! A fetch first asks what there is, without reading (all partitions of a shard in one question); if that is not enough and nothing is
//! wrong, it waits for progress, each partition registered once, and looks again at those that have moved; then it reserves memory and reads. Batches travel
//! from the log to the socket without a copy. The first partition with records gives at least one batch, whatever the limits, so that a consumer is
//! never stuck before a large one.

use std::collections::BTreeMap;
use std::time::Duration;

use taffrail_env::Env;
use taffrail_record::{LeaderEpoch, Offset, TopicId, TopicPartition};
use taffrail_storage::{Read, ReadError};
use taffrail_wire::fetch::{
    EpochEndOffset, FetchRequest, FetchResponse, FetchableTopicResponse, PartitionData,
};
use taffrail_wire::{ErrorCode, Records};

use super::{Answer, Call, code};
use crate::budget::Reservation;
use crate::deadline::until;
use crate::session::{Context, PartitionRef, SessionError, SessionRequest, Told, TopicRef, Wanted};
use crate::shard::{Ends, ReadPlan};

/// Topics are named by id from this version on.
const TOPIC_IDS_SINCE: i16 = 13;
/// Sessions exist from this version on.
const SESSIONS_SINCE: i16 = 7;
/// What a fetch waits for before it reads with less than it would like.
const READ_BYTES_MIN: usize = 1 << 20;
const READ_UNCOMMITTED: i8 = 0;
/// Reads only what is committed: there is no transaction that could be open, so this differs in form alone.
const READ_COMMITTED: i8 = 1;

/// One partition of a fetch.
struct Partition {
    reference: PartitionRef,
    wanted: Wanted,
    state: State,
}

/// What is known of it.
enum State {
    Failed(ErrorCode),
    /// The client's log parted from this one at the given epoch and offset.
    Diverging(LeaderEpoch, Offset, Ends),
    There(TopicPartition, Ends),
    Read(Read),
}

pub(crate) async fn handle<E: Env>(call: &Call<E>, request: FetchRequest<'_>) -> Answer {
    if !(READ_UNCOMMITTED..=READ_COMMITTED).contains(&request.isolation_level) {
        return refuse(call, &request, ErrorCode::UnknownServerError);
    }
    let begun = {
        let request = session_request(call, &request);
        let mut sessions = call.broker.sessions.borrow_mut();
        sessions.on_request(call.broker.env.now(), request)
    };
    let context = match begun {
        Ok(context) => context,
        Err(error) => return session_error(call, error),
    };
    let limits = Limits::of(call, &request);
    let (partitions, reservation) = fetch(call, &context, &limits).await;
    respond(call, &request, &context, partitions, reservation)
}

/// The request as a whole is refused; before topics were named by id, each of its partitions says so too.
fn refuse<E: Env>(call: &Call<E>, request: &FetchRequest<'_>, error: ErrorCode) -> Answer {
    let topics = request.topics.iter();
    let topics = topics.filter(|_| call.version < TOPIC_IDS_SINCE);
    let responses = topics.map(|topic| FetchableTopicResponse {
        topic: topic.topic,
        partitions: topic
            .partitions
            .iter()
            .map(|partition| PartitionData {
                partition_index: partition.partition,
                error_code: code(error),
                high_watermark: -1,
                aborted_transactions: Some(Vec::new()),
                records: Some(Records::default()),
                ..PartitionData::default()
            })
            .collect(),
        ..FetchableTopicResponse::default()
    });
    call.answer(&FetchResponse {
        error_code: code(error),
        session_id: request.session_id,
        responses: responses.collect(),
        ..FetchResponse::default()
    })
}

struct Limits {
    max_bytes: usize,
    /// The client allows less than nothing.
    is_negative: bool,
    min_bytes: usize,
    max_wait: Duration,
    /// Whether another broker asks.
    for_replica: bool,
}

impl Limits {
    fn of<E: Env>(call: &Call<E>, request: &FetchRequest<'_>) -> Limits {
        let settings = call.broker.settings.broker();
        let max_bytes = request.max_bytes.clamp(0, settings.fetch_max_bytes) as usize;
        // A peer that is gone without a word must not be waited for longer than an idle one.
        let wait_max = settings.connections_max_idle_ms;
        let max_wait_ms = i64::from(request.max_wait_ms).clamp(0, wait_max);
        Limits {
            max_bytes,
            is_negative: request.max_bytes < 0,
            min_bytes: (request.min_bytes.max(0) as usize).min(max_bytes),
            max_wait: Duration::from_millis(max_wait_ms as u64),
            for_replica: request.replica_id.max(request.replica_state.replica_id) >= 0,
        }
    }
}

fn topic_ref(version: i16, name: &str, id: [u8; 16]) -> TopicRef {
    if version >= TOPIC_IDS_SINCE {
        TopicRef::Id(TopicId(id))
    } else {
        TopicRef::Name(name.into())
    }
}

fn session_request<E: Env>(call: &Call<E>, request: &FetchRequest<'_>) -> SessionRequest {
    let mut partitions = Vec::new();
    for topic in &request.topics {
        let topic_ref = topic_ref(call.version, topic.topic, topic.topic_id);
        partitions.extend(topic.partitions.iter().map(|partition| {
            let wanted = Wanted {
                fetch_offset: partition.fetch_offset,
                max_bytes: partition.partition_max_bytes,
                current_leader_epoch: partition.current_leader_epoch,
                last_fetched_epoch: partition.last_fetched_epoch,
            };
            let reference = PartitionRef {
                topic: topic_ref.clone(),
                partition: partition.partition,
            };
            (reference, wanted)
        }));
    }
    let mut forgotten = Vec::new();
    for topic in &request.forgotten_topics_data {
        let topic_ref = topic_ref(call.version, topic.topic, topic.topic_id);
        forgotten.extend(topic.partitions.iter().map(|partition| PartitionRef {
            topic: topic_ref.clone(),
            partition: *partition,
        }));
    }
    let has_sessions = call.version >= SESSIONS_SINCE;
    let random = call.broker.env.random_u64("fetch-session");
    SessionRequest {
        session_id: if has_sessions { request.session_id } else { 0 },
        epoch: if has_sessions {
            request.session_epoch
        } else {
            -1
        },
        topics_by_id: call.version >= TOPIC_IDS_SINCE,
        partitions,
        forgotten,
        new_id: (random >> 33) as i32,
    }
}

fn session_error<E: Env>(call: &Call<E>, error: SessionError) -> Answer {
    let error = match error {
        SessionError::NotFound => ErrorCode::FetchSessionIdNotFound,
        SessionError::InvalidEpoch => ErrorCode::InvalidFetchSessionEpoch,
        SessionError::TopicNaming => ErrorCode::FetchSessionTopicIdError,
    };
    call.answer(&FetchResponse {
        error_code: code(error),
        ..FetchResponse::default()
    })
}

/// Waits until there is enough or the time is over, and reads.
async fn fetch<E: Env>(
    call: &Call<E>,
    context: &Context,
    limits: &Limits,
) -> (Vec<Partition>, Option<Reservation>) {
    let broker = &call.broker;
    let deadline = broker.env.now() + limits.max_wait;
    let mut partitions = look(call, &context.partitions, limits).await;
    let readable: usize = partitions.iter().map(Partition::readable).sum();
    let is_decided = partitions.is_empty()
        || partitions.iter().any(Partition::has_news)
        || readable >= limits.min_bytes
        || broker.env.now() >= deadline
        || broker.env.strikes_at("fetch/early");
    if !is_decided {
        let wait = wait_for_more(call, context, limits, &mut partitions);
        if until(&broker.env, deadline, wait).await.is_none() {
            partitions = look(call, &context.partitions, limits).await;
        }
    }
    let reservation = read(call, &mut partitions, limits).await;
    (partitions, reservation)
}

/// Waits until there is enough, and looks again at those partitions alone that have moved.
async fn wait_for_more<E: Env>(
    call: &Call<E>,
    context: &Context,
    limits: &Limits,
    partitions: &mut [Partition],
) {
    let router = &call.broker.router;
    let mut waits: Vec<_> = partitions.iter().filter_map(Partition::wait).collect();
    assert_eq!(waits.len(), partitions.len(), "news are not waited for");
    let mut readable: usize = partitions.iter().map(Partition::readable).sum();
    let mut progress = router.progress(&waits);
    loop {
        let moved = progress.next().await;
        let asked = moved.iter().map(|place| context.partitions[*place].clone());
        let asked: Vec<_> = asked.collect();
        for (place, partition) in moved.iter().zip(look(call, &asked, limits).await) {
            readable = readable - partitions[*place].readable() + partition.readable();
            partitions[*place] = partition;
        }
        if readable >= limits.min_bytes {
            return;
        }
        for place in &moved {
            match partitions[*place].wait() {
                Some(wait) => waits[*place] = wait,
                None => return,
            }
        }
        router.progress_again(&mut progress, &moved, &waits);
    }
}

/// Asks what there is of these partitions, without reading.
async fn look<E: Env>(
    call: &Call<E>,
    partitions: &[(PartitionRef, Wanted)],
    limits: &Limits,
) -> Vec<Partition> {
    let broker = &call.broker;
    broker.counters.fetch_looks.add(partitions.len() as u64);
    let found = partitions.iter().map(|(reference, wanted)| {
        let leader_epoch = wanted.current_leader_epoch;
        let led = broker.lead(&reference.topic, reference.partition, leader_epoch)?;
        match limits.for_replica {
            // No other broker follows this one.
            true => Err(ErrorCode::NotLeaderOrFollower),
            false => Ok(led.id),
        }
    });
    let found: Vec<_> = found.collect();
    let asked = found.iter().zip(partitions);
    let asked = asked.filter_map(|(found, (_, wanted))| Some((found.ok()?, wanted.fetch_offset)));
    let mut ends = broker.router.ends(asked.collect()).await.into_iter();
    let mut looked_at = Vec::with_capacity(found.len());
    for (found, (reference, wanted)) in found.into_iter().zip(partitions) {
        let state = match found {
            Err(error) => State::Failed(error),
            Ok(id) => match ends.next().flatten() {
                None => State::Failed(ErrorCode::KafkaStorageError),
                Some(ends) => judge(call, id, wanted, ends).await,
            },
        };
        looked_at.push(Partition {
            reference: reference.clone(),
            wanted: *wanted,
            state,
        });
    }
    looked_at
}

async fn judge<E: Env>(call: &Call<E>, id: TopicPartition, wanted: &Wanted, ends: Ends) -> State {
    // Before the epochs: of what lies before the start, nobody knows the epoch any more.
    if wanted.fetch_offset < ends.log_start_offset {
        return State::Failed(ErrorCode::OffsetOutOfRange);
    }
    if wanted.last_fetched_epoch >= 0 {
        let end = call.broker.router.epoch_end(id, wanted.last_fetched_epoch);
        match end.await {
            // No epoch is so late.
            Some((_, offset)) if offset < 0 => return State::Failed(ErrorCode::OffsetOutOfRange),
            Some((epoch, offset))
                if epoch < wanted.last_fetched_epoch || offset < wanted.fetch_offset =>
            {
                return State::Diverging(epoch, offset, ends);
            }
            Some(_) => {}
            None => return State::Failed(ErrorCode::KafkaStorageError),
        }
    }
    if wanted.fetch_offset > ends.log_end_offset {
        return State::Failed(ErrorCode::OffsetOutOfRange);
    }
    if wanted.max_bytes < 0 && ends.readable_bytes > 0 {
        return State::Failed(ErrorCode::UnknownServerError);
    }
    State::There(id, ends)
}

impl Partition {
    /// About how much of it could be answered.
    fn readable(&self) -> usize {
        match &self.state {
            State::There(_, ends) => ends
                .readable_bytes
                .min(self.wanted.max_bytes.max(0) as usize),
            _ => 0,
        }
    }

    /// Something that must be told at once.
    fn has_news(&self) -> bool {
        matches!(self.state, State::Failed(_) | State::Diverging(..))
    }

    /// What to wait for. Every partition has it where a fetch waits at all.
    fn wait(&self) -> Option<(TopicPartition, Offset)> {
        match &self.state {
            State::There(id, ends) => {
                Some((*id, ends.high_watermark.max(self.wanted.fetch_offset)))
            }
            _ => None,
        }
    }
}

/// Reads what the limits allow, in the order of the partitions.
async fn read<E: Env>(
    call: &Call<E>,
    partitions: &mut [Partition],
    limits: &Limits,
) -> Option<Reservation> {
    let broker = &call.broker;
    let readable = |partition: &Partition| match &partition.state {
        State::There(_, ends) => ends.readable_bytes,
        _ => 0,
    };
    if limits.is_negative {
        // As in Kafka, the first partition that would be read is the one that is told.
        let first = partitions
            .iter_mut()
            .find(|partition| readable(partition) > 0);
        first?.state = State::Failed(ErrorCode::UnknownServerError);
    }
    let total: usize = partitions.iter().map(Partition::readable).sum();
    let first = partitions.iter().map(readable).find(|bytes| *bytes > 0)?;
    let want = total.min(limits.max_bytes).max(first.min(READ_BYTES_MIN));
    let mut reservation = broker
        .budget
        .responses
        .reserve_between(want.min(READ_BYTES_MIN), want)
        .await;
    let mut room = reservation.bytes().min(limits.max_bytes);
    let mut places = Vec::new();
    let mut plans = Vec::new();
    for (place, partition) in partitions.iter().enumerate() {
        let State::There(id, ends) = &partition.state else {
            continue;
        };
        let is_first = plans.is_empty();
        if ends.readable_bytes == 0 || (room == 0 && !is_first) {
            continue;
        }
        let max_bytes = room.min(partition.wanted.max_bytes.max(0) as usize);
        places.push(place);
        plans.push(ReadPlan {
            partition: *id,
            from: partition.wanted.fetch_offset,
            max_bytes,
            min_one: is_first,
        });
        room -= max_bytes.min(ends.readable_bytes);
    }
    let mut bytes = 0;
    for (place, result) in places.into_iter().zip(broker.router.read(plans).await) {
        let partition = &mut partitions[place];
        partition.state = match result {
            Ok(read) => {
                bytes += read.bytes;
                State::Read(read)
            }
            Err(error) => State::Failed(read_error(call, &error)),
        };
    }
    reservation.resize(bytes);
    broker.counters.bytes_fetched.add(bytes as u64);
    Some(reservation)
}

/// The protocol's error for a read that failed. Clients ask again and again; what is wrong with a file is logged once.
pub(super) fn read_error<E: Env>(call: &Call<E>, error: &ReadError) -> ErrorCode {
    let reported = &call.broker.counters.reported;
    match error {
        ReadError::OffsetOutOfRange { .. } => ErrorCode::OffsetOutOfRange,
        ReadError::Deleted => ErrorCode::UnknownTopicOrPartition,
        ReadError::Corrupt { file, .. } => {
            if reported.is_new(&file.display().to_string()) {
                tracing::error!("fetch refused: {error}");
            }
            ErrorCode::CorruptMessage
        }
        ReadError::Disk(disk) => {
            if reported.is_new(&disk.to_string()) {
                tracing::error!("fetch failed: {error}");
            }
            ErrorCode::KafkaStorageError
        }
    }
}

/// Puts the answer together; in an incremental session only with what is new.
fn respond<E: Env>(
    call: &Call<E>,
    request: &FetchRequest<'_>,
    context: &Context,
    partitions: Vec<Partition>,
    reservation: Option<Reservation>,
) -> Answer {
    let mut responses: Vec<(TopicRef, Vec<PartitionData>)> = Vec::new();
    let mut places: BTreeMap<TopicRef, usize> = BTreeMap::new();
    {
        let mut sessions = call.broker.sessions.borrow_mut();
        for partition in partitions {
            let reference = partition.reference.clone();
            let (data, told) = partition.answer(request.isolation_level == READ_COMMITTED);
            if !sessions.on_answer(context, &reference, told) {
                continue;
            }
            let place = *places.entry(reference.topic.clone()).or_insert_with(|| {
                responses.push((reference.topic, Vec::new()));
                responses.len() - 1
            });
            responses[place].1.push(data);
        }
    }
    let responses = responses.iter_mut().map(|(topic, partitions)| {
        let (name, topic_id) = match topic {
            TopicRef::Name(name) => (&**name, [0; 16]),
            TopicRef::Id(id) => ("", id.0),
        };
        FetchableTopicResponse {
            topic: name,
            topic_id,
            partitions: std::mem::take(partitions),
        }
    });
    let response = FetchResponse {
        session_id: context.session_id,
        responses: responses.collect(),
        ..FetchResponse::default()
    };
    call.answer(&response).holding(reservation)
}

impl Partition {
    fn answer(self, read_committed: bool) -> (PartitionData, Told) {
        let mut data = PartitionData {
            partition_index: self.reference.partition,
            high_watermark: -1,
            records: Some(Records::default()),
            ..PartitionData::default()
        };
        let mut told = Told {
            high_watermark: -1,
            log_start_offset: -1,
            has_news: true,
            has_error: false,
            has_records: false,
        };
        let offsets = |data: &mut PartitionData, ends: &Ends| {
            data.high_watermark = ends.high_watermark;
            data.last_stable_offset = ends.last_stable_offset;
            data.log_start_offset = ends.log_start_offset;
        };
        match self.state {
            State::Failed(error) => {
                data.error_code = code(error);
                // As in Kafka: none of what is not there, no word of what could not be read.
                data.aborted_transactions = match error {
                    ErrorCode::UnknownTopicOrPartition | ErrorCode::UnknownTopicId => {
                        Some(Vec::new())
                    }
                    _ => None,
                };
                told.has_error = true;
            }
            State::Diverging(epoch, end_offset, ends) => {
                offsets(&mut data, &ends);
                data.diverging_epoch = EpochEndOffset { epoch, end_offset };
            }
            State::There(_, ends) => {
                offsets(&mut data, &ends);
                data.aborted_transactions = read_committed.then(Vec::new);
                told.has_news = false;
            }
            State::Read(read) => {
                data.high_watermark = read.high_watermark;
                data.last_stable_offset = read.last_stable_offset;
                data.log_start_offset = read.log_start_offset;
                data.aborted_transactions = read_committed.then(Vec::new);
                told.has_records = !read.batches.is_empty();
                told.has_news = told.has_records;
                data.records = Some(Records::from(read.batches));
            }
        }
        told.high_watermark = data.high_watermark;
        told.log_start_offset = data.log_start_offset;
        (data, told)
    }
}
