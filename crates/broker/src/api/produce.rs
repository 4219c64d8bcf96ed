//! Produce: record batches are judged, given their place in their partitions' logs, and acknowledged once they are durable.
//!
//! A request's batches take their places before the connection's next request is started, so a producer's pipelined
//! batches keep their order; the acknowledgement waits apart. Whatever `acks` says, nothing is acknowledged before it is
//! durable. A batch is examined once, here; topics with another codec or with log append time have it rewritten here and nowhere else.

use std::rc::Rc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, ready};
use taffrail_env::{Env, Instant, dawdle};
use taffrail_record::batch::{BatchHeader, TimestampType as RecordTimestampType};
use taffrail_record::compression::DecompressLimit;
use taffrail_record::validate::{
    BatchSummary, Invalid, InvalidClass, ProduceRules, ValidationMode, validate_produced,
};
use taffrail_record::{Codec, NO_OFFSET, Offset, TopicId, TopicPartition, rewrite};
use taffrail_storage::{AppendError, Appended};
use taffrail_wire::api::ApiKey;
use taffrail_wire::produce::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, PartitionProduceResponse, ProduceRequest,
    ProduceResponse, TopicProduceResponse,
};
use taffrail_wire::{ErrorCode, Records};

use super::{Answer, Call, RequestMemory, by_topic, code, decode, malformed};
use crate::broker::Broker;
use crate::config::{CompressionType, TimestampType, TopicSettings, Validation};
use crate::deadline::until;
use crate::session::TopicRef;

/// The most that the records of one batch may be when decompressed: as much as a request could carry without compression.
const DECOMPRESSED_MAX: usize = 100 << 20;
/// How long is waited for what the leader has to do alone: longer than the slowest disk that is still of use.
const SYNC_TIME_MAX: Duration = Duration::from_secs(120);
/// Zstandard is allowed from this version on.
const ZSTD_SINCE: i16 = 7;
/// Topics are named by id from this version on.
const TOPIC_IDS_SINCE: i16 = 13;

/// What a request has for one partition: where in the frame.
struct Part {
    index: i32,
    /// Start and length.
    batch: Option<(usize, usize)>,
}

struct Topic {
    /// As the response has to repeat it.
    name: String,
    id: TopicId,
    parts: Vec<Part>,
}

/// How it went, or goes, for one partition.
enum Outcome<E: Env> {
    Refused(Refused),
    Appending(Appending<E>),
}

/// A batch on its way. Once it is durable it is counted, whether or not anybody still waits for it, and until then its memory is its
/// request's.
struct Appending<E: Env> {
    broker: Rc<Broker<E>>,
    memory: RequestMemory,
    partition: TopicPartition,
    /// `None` once it is done.
    appended: Option<LocalBoxFuture<'static, Result<Appended, AppendError>>>,
    records: u64,
    bytes: u64,
}

impl<E: Env> Appending<E> {
    async fn done(mut self) -> Result<Appended, AppendError> {
        let appended = self.appended.as_mut().expect("it is waited for once");
        let result = appended.await;
        self.appended = None;
        count(&self.broker, &result, self.records, self.bytes);
        result
    }
}

impl<E: Env> Drop for Appending<E> {
    fn drop(&mut self) {
        let Some(appended) = self.appended.take() else {
            return;
        };
        let (broker, records, bytes) = (self.broker.clone(), self.records, self.bytes);
        let memory = self.memory.outlive();
        self.broker.env.spawn(async move {
            count(&broker, &appended.await, records, bytes);
            drop(memory);
        });
    }
}

fn count<E: Env>(
    broker: &Broker<E>,
    result: &Result<Appended, AppendError>,
    records: u64,
    bytes: u64,
) {
    if let Ok(Appended {
        duplicate: false, ..
    }) = result
    {
        broker.counters.batches_appended.add(1);
        broker.counters.records_appended.add(records);
        broker.counters.bytes_appended.add(bytes);
    }
}

struct Refused {
    error: ErrorCode,
    message: Option<String>,
    records: Vec<(i32, String)>,
    /// The log whose start is told with it: Kafka does not tell it of what it refuses without a look at the log.
    log: Option<TopicPartition>,
    log_start_offset: Offset,
}

impl From<ErrorCode> for Refused {
    fn from(error: ErrorCode) -> Refused {
        Refused {
            error,
            message: None,
            records: Vec::new(),
            log: None,
            log_start_offset: NO_OFFSET,
        }
    }
}

impl Refused {
    fn because(error: ErrorCode, message: impl Into<String>) -> Refused {
        Refused {
            message: Some(message.into()),
            ..Refused::from(error)
        }
    }

    fn by_log(self, log: TopicPartition) -> Refused {
        Refused {
            log: Some(log),
            ..self
        }
    }
}

impl From<Invalid> for Refused {
    fn from(invalid: Invalid) -> Refused {
        let error = match invalid.class {
            InvalidClass::CorruptRecord => ErrorCode::CorruptMessage,
            InvalidClass::InvalidTimestamp => ErrorCode::InvalidTimestamp,
            InvalidClass::InvalidRecord => ErrorCode::InvalidRecord,
            InvalidClass::UnsupportedCompressionType => ErrorCode::UnsupportedCompressionType,
            InvalidClass::MessageTooLarge => ErrorCode::MessageTooLarge,
        };
        let record = |record: &taffrail_record::validate::RefusedRecord| {
            (record.index, record.reason.to_string())
        };
        Refused {
            error,
            message: Some(invalid.reason.to_string()),
            records: invalid.records.iter().map(record).collect(),
            log: None,
            log_start_offset: NO_OFFSET,
        }
    }
}

/// What holds for the whole request.
struct Terms {
    acks: i16,
    deadline: Instant,
    /// The whole request is refused.
    refused: Option<ErrorCode>,
}

/// Admits every batch of the request, in order; what comes back waits until they are durable.
pub(crate) async fn start<E: Env>(
    call: Call<E>,
    frame: BytesMut,
    body_at: usize,
) -> LocalBoxFuture<'static, Answer> {
    let frame = frame.freeze();
    let (terms, topics) = match decode::<ProduceRequest<'_>>(&frame, body_at, call.version) {
        Ok(request) => take_over(&call, &request, &frame),
        Err(error) => {
            return ready(malformed(ApiKey::Produce, call.version, &error)).boxed_local();
        }
    };
    // Nothing refers to the frame any more, so its batches can be written into in place.
    let frame = match frame.try_into_mut() {
        Ok(frame) => frame,
        Err(shared) => BytesMut::from(&shared[..]),
    };
    let mut batches = cut(frame, &topics).into_iter();
    let mut outcomes = Vec::with_capacity(topics.len());
    for topic in &topics {
        let mut of_topic = Vec::with_capacity(topic.parts.len());
        for (part, batch) in topic.parts.iter().zip(batches.by_ref()) {
            of_topic.push(admit(&call, &terms, topic, part.index, batch).await);
        }
        outcomes.push(of_topic);
    }
    finish(call, terms, topics, outcomes).boxed_local()
}

/// Cuts the batches out of a request's frame, in the order of its parts.
fn cut(mut frame: BytesMut, topics: &[Topic]) -> Vec<Option<BytesMut>> {
    let frame_bytes = frame.len();
    let parts = topics.iter().flat_map(|topic| &topic.parts).enumerate();
    let mut places: Vec<_> = parts
        .clone()
        .filter_map(|(number, part)| Some((part.batch?, number)))
        .collect();
    let mut batches = vec![None; parts.count()];
    // What is there more than once comes where it was first, and lies where it was last.
    places.sort_unstable();
    let mut taken = 0;
    for ((start, length), number) in places {
        drop(frame.split_to(start - taken));
        taken = start + length;
        let batch = frame.split_to(length);
        // A small part must not keep a large frame in memory for as long as the log keeps the part.
        batches[number] = Some(if length * 2 < frame_bytes {
            BytesMut::from(&batch[..])
        } else {
            batch
        });
    }
    batches
}

/// Copies what is needed of a request beyond its frame.
fn take_over<E: Env>(
    call: &Call<E>,
    request: &ProduceRequest<'_>,
    frame: &Bytes,
) -> (Terms, Vec<Topic>) {
    let place = |records: &Records| {
        // A decoded request has its records as one slice of its frame.
        let chunk = records.chunks().first()?;
        let start = (chunk.as_ptr() as usize).checked_sub(frame.as_ptr() as usize)?;
        (!chunk.is_empty()).then_some((start, chunk.len()))
    };
    let parts = request.topic_data.iter().flat_map(|topic| {
        let parts = topic.partition_data.iter();
        parts.map(|part| {
            let batch = part.records.as_ref().and_then(place);
            ((topic.name, topic.topic_id), part.index, batch)
        })
    });
    let topics = by_topic(parts);
    let topics = topics.into_iter().map(|((name, id), parts)| Topic {
        name: name.to_string(),
        id: TopicId(id),
        parts: parts
            .into_iter()
            .map(|(index, batch)| Part { index, batch })
            .collect(),
    });
    let refused = if request.transactional_id.is_some() {
        // The one error on which producers give up for good, whatever they were doing: there are no transactions here.
        Some(ErrorCode::TransactionalIdAuthorizationFailed)
    } else {
        None
    };
    // The time is for the replicas. What the leader alone has to do is waited for: nothing else would be true.
    let timeout = match (request.acks, request.timeout_ms) {
        (-1, 1..) => Duration::from_millis(request.timeout_ms as u64),
        _ => SYNC_TIME_MAX,
    };
    let terms = Terms {
        acks: request.acks,
        deadline: call.broker.env.now() + timeout,
        refused,
    };
    (terms, topics.collect())
}

/// Judges one batch and gives it its place.
async fn admit<E: Env>(
    call: &Call<E>,
    terms: &Terms,
    topic: &Topic,
    index: i32,
    batch: Option<BytesMut>,
) -> Outcome<E> {
    if let Some(error) = terms.refused {
        return Outcome::Refused(error.into());
    }
    match append(call, terms, topic, index, batch).await {
        Ok(outcome) => outcome,
        Err(refused) => Outcome::Refused(refused),
    }
}

async fn append<E: Env>(
    call: &Call<E>,
    terms: &Terms,
    topic: &Topic,
    index: i32,
    batch: Option<BytesMut>,
) -> Result<Outcome<E>, Refused> {
    let broker = &call.broker;
    let named = if call.version >= TOPIC_IDS_SINCE {
        TopicRef::Id(topic.id)
    } else {
        TopicRef::Name(topic.name.as_str().into())
    };
    let led = broker.lead(&named, index, -1)?;
    if led.internal {
        return Err(Refused::because(
            ErrorCode::InvalidTopicException,
            "the topic belongs to the brokers and cannot be written to",
        ));
    }
    let settings = {
        let metadata = broker.controller.metadata();
        let topic = metadata.topic_by_id(led.id.topic);
        topic.map(|topic| broker.topic_settings(topic))
    };
    let settings = settings.ok_or(ErrorCode::UnknownTopicOrPartition)?;
    if terms.acks == -1 && (led.in_sync_replicas as i64) < i64::from(settings.min_insync_replicas) {
        return Err(Refused::from(ErrorCode::NotEnoughReplicas).by_log(led.id));
    }
    let Some(batch) = batch else {
        return Err(Refused::because(
            ErrorCode::InvalidRecord,
            "there is no record batch",
        ));
    };
    if !(-1..=1).contains(&terms.acks) {
        // Only what is a batch at all gets as far as this.
        BatchHeader::parse(&batch).map_err(|_| ErrorCode::InvalidRecord)?;
        return Err(ErrorCode::InvalidRequiredAcks.into());
    }
    let now_ms = broker.env.unix_ms();
    let summary = validate_produced(&batch, &rules(call, &settings, now_ms))
        .map_err(|invalid| invalid_batch(invalid, &batch, led.id))?;
    if summary.header.is_transactional() {
        return Err(ErrorCode::TransactionalIdAuthorizationFailed.into());
    }
    let batch = rewrite_batch(call, &settings, batch, &summary, now_ms).await?;
    if batch.len() > settings.segment_bytes as usize {
        return Err(ErrorCode::RecordListTooLarge.into());
    }
    let bytes = batch.len() as u64;
    let appended = broker.router.append(led.id, batch, now_ms).await;
    Ok(Outcome::Appending(Appending {
        broker: broker.clone(),
        memory: call.memory.clone(),
        partition: led.id,
        appended: Some(appended),
        records: summary.header.record_count.max(0) as u64,
        bytes,
    }))
}

/// What is said of a batch that is not as it has to be. What is not one whole batch, Kafka refuses before it knows the log.
fn invalid_batch(invalid: Invalid, batch: &[u8], log: TopicPartition) -> Refused {
    let refused = Refused::from(invalid);
    let is_one = || BatchHeader::parse(batch).is_ok_and(|header| header.size() == batch.len());
    match refused.error {
        ErrorCode::InvalidTimestamp => refused.by_log(log),
        ErrorCode::InvalidRecord if is_one() => refused.by_log(log),
        _ => refused,
    }
}

fn rules<E: Env>(call: &Call<E>, settings: &TopicSettings, now_ms: i64) -> ProduceRules {
    ProduceRules {
        mode: match settings.validation {
            Validation::Full => ValidationMode::Full,
            Validation::Header => ValidationMode::Header,
        },
        batch_bytes_max: batch_bytes_max(call, settings),
        decompress: DecompressLimit {
            output_bytes_max: DECOMPRESSED_MAX,
        },
        now_ms,
        timestamp_type: match settings.timestamp_type {
            TimestampType::CreateTime => RecordTimestampType::CreateTime,
            TimestampType::LogAppendTime => RecordTimestampType::LogAppendTime,
        },
        timestamp_before_max_ms: settings.timestamp_before_max_ms,
        timestamp_after_max_ms: settings.timestamp_after_max_ms,
        keys_required: settings.cleanup_policy.compact,
        zstd_allowed: call.version >= ZSTD_SINCE,
    }
}

/// The largest batch of a topic: what it says, unless the journal takes less. A setting beyond that is refused when it is made; but
/// the default may be, where the file system is tiny.
fn batch_bytes_max<E: Env>(call: &Call<E>, settings: &TopicSettings) -> usize {
    let journal_takes = call.broker.router.batch_bytes_max();
    (settings.max_message_bytes as usize).min(journal_takes)
}

/// Changes what the topic's settings change about a batch. Most topics change nothing.
async fn rewrite_batch<E: Env>(
    call: &Call<E>,
    settings: &TopicSettings,
    mut batch: BytesMut,
    summary: &BatchSummary,
    now_ms: i64,
) -> Result<BytesMut, Refused> {
    let failed = |error: String| Refused::because(ErrorCode::InvalidRecord, error);
    if let Some((codec, level)) = stored_codec(settings)
        && codec != summary.codec
    {
        // Decompressed and compressed again: at most one of each is in memory.
        let pool = &call.broker.budget.rewrites;
        let expanded = summary
            .records_bytes
            .unwrap_or(DECOMPRESSED_MAX.min(pool.total() / 2));
        if expanded.saturating_mul(2) > pool.total() {
            return Err(ErrorCode::MessageTooLarge.into());
        }
        let _reservation = pool.reserve(expanded * 2).await;
        let limit = DecompressLimit {
            output_bytes_max: expanded,
        };
        batch = rewrite::recompress(&batch, codec, level, limit)
            .map_err(|error| failed(error.to_string()))?;
        // As Kafka does: what is stored must keep the limit, too.
        let max = batch_bytes_max(call, settings);
        if batch.len() > max {
            return Err(Refused::because(
                ErrorCode::MessageTooLarge,
                format!(
                    "under the topic's own codec the batch has {} bytes and may have {max}",
                    batch.len()
                ),
            ));
        }
    }
    match settings.timestamp_type {
        TimestampType::LogAppendTime => rewrite::set_log_append_time(&mut batch, now_ms),
        TimestampType::CreateTime
            if summary.max_timestamp_is_wrong()
                || summary.header.timestamp_type() == RecordTimestampType::LogAppendTime =>
        {
            rewrite::set_create_time(&mut batch, summary.max_timestamp)
        }
        TimestampType::CreateTime => Ok(()),
    }
    .map_err(|error| failed(error.to_string()))?;
    Ok(batch)
}

/// The codec that a topic's batches are stored in, if not the producer's own.
fn stored_codec(settings: &TopicSettings) -> Option<(Codec, Option<i32>)> {
    let (codec, level) = match settings.compression_type {
        CompressionType::Producer => return None,
        CompressionType::Uncompressed => (Codec::None, 0),
        CompressionType::Gzip => (Codec::Gzip, settings.compression_gzip_level),
        CompressionType::Snappy => (Codec::Snappy, 0),
        CompressionType::Lz4 => (Codec::Lz4, settings.compression_lz4_level),
        CompressionType::Zstd => (Codec::Zstd, settings.compression_zstd_level),
    };
    Some((codec, codec.levels().contains(&level).then_some(level)))
}

/// Waits for every batch, at most until the deadline, and answers.
async fn finish<E: Env>(
    call: Call<E>,
    terms: Terms,
    topics: Vec<Topic>,
    outcomes: Vec<Vec<Outcome<E>>>,
) -> Answer {
    let mut results = Vec::with_capacity(outcomes.len());
    // What one batch leaves behind is left of all of them until the last has been waited for.
    let mut left = None;
    for of_topic in outcomes {
        let mut finished = Vec::with_capacity(of_topic.len());
        for outcome in of_topic {
            let result = wait(&call, &terms, outcome).await;
            if matches!(&result, Err(refused) if refused.error == ErrorCode::RequestTimedOut) {
                left = left.or_else(|| call.memory.outlive());
            }
            finished.push(result);
        }
        results.push(finished);
    }
    if terms.acks == 0 {
        // Kafka's way to tell a producer that does not listen: the connection is closed, and it looks around anew.
        let failed = results
            .iter()
            .flatten()
            .find_map(|result| result.as_ref().err());
        return match failed {
            Some(refused) => Answer::Close(format!(
                "a batch sent with acks=0 was not appended, or not in time: {}",
                refused.error.name()
            )),
            None => Answer::Nothing,
        };
    }
    let responses = topics
        .iter()
        .zip(&results)
        .map(|(topic, results)| TopicProduceResponse {
            name: &topic.name,
            topic_id: topic.id.0,
            partition_responses: topic
                .parts
                .iter()
                .zip(results)
                .map(|(part, result)| respond(part.index, result))
                .collect(),
        });
    call.answer(&ProduceResponse {
        responses: responses.collect(),
        ..ProduceResponse::default()
    })
}

async fn wait<E: Env>(
    call: &Call<E>,
    terms: &Terms,
    outcome: Outcome<E>,
) -> Result<Appended, Refused> {
    let broker = &call.broker;
    let result = match outcome {
        Outcome::Refused(refused) => Err(refused),
        Outcome::Appending(appending) => {
            let log = appending.partition;
            dawdle(&broker.env, "produce/late").await;
            let done = until(&broker.env, terms.deadline, appending.done()).await;
            let may_wait = !broker.env.strikes_at("produce/time-out");
            match done.filter(|_| may_wait) {
                Some(result) => result.map_err(|error| refusal(&error, log)),
                // The batch may yet become durable; a retry of an idempotent producer finds out.
                None => Err(ErrorCode::RequestTimedOut.into()),
            }
        }
    };
    let Err(mut refused) = result else {
        return result;
    };
    broker.counters.produce_errors.add(1);
    if let Some(log) = refused.log {
        let ends = broker.router.ends_of(log).await;
        refused.log_start_offset = ends.map_or(NO_OFFSET, |ends| ends.log_start_offset);
    }
    Err(refused)
}

fn refusal(error: &AppendError, log: TopicPartition) -> Refused {
    let code = match error {
        AppendError::OutOfOrderSequence { .. } => ErrorCode::OutOfOrderSequenceNumber,
        AppendError::ProducerFenced { .. } => ErrorCode::InvalidProducerEpoch,
        AppendError::NotOneBatch => ErrorCode::InvalidRecord,
        AppendError::TooLarge { .. } => ErrorCode::MessageTooLarge,
        AppendError::Deleted => ErrorCode::UnknownTopicOrPartition,
        AppendError::Closed => ErrorCode::NotLeaderOrFollower,
        // Producers try again on this one, which is right for a full disk and for queues that will drain.
        AppendError::NoSpace(_)
        | AppendError::Failed(_)
        | AppendError::Unknown
        | AppendError::Backlogged
        | AppendError::TooManyProducers => ErrorCode::KafkaStorageError,
    };
    let refused = Refused::because(code, error.to_string());
    match error {
        AppendError::OutOfOrderSequence { .. } | AppendError::ProducerFenced { .. } => {
            refused.by_log(log)
        }
        _ => refused,
    }
}

fn respond(index: i32, result: &Result<Appended, Refused>) -> PartitionProduceResponse<'_> {
    match result {
        Ok(appended) => PartitionProduceResponse {
            index,
            error_code: code(ErrorCode::None),
            base_offset: appended.base_offset,
            log_append_time_ms: appended.log_append_time_ms,
            log_start_offset: appended.log_start_offset,
            current_leader: LeaderIdAndEpoch::default(),
            ..PartitionProduceResponse::default()
        },
        Err(refused) => PartitionProduceResponse {
            index,
            error_code: code(refused.error),
            base_offset: -1,
            log_append_time_ms: -1,
            log_start_offset: refused.log_start_offset,
            record_errors: refused
                .records
                .iter()
                .map(|(index, message)| BatchIndexAndErrorMessage {
                    batch_index: *index,
                    batch_index_error_message: Some(message),
                })
                .collect(),
            error_message: refused.message.as_deref(),
            ..PartitionProduceResponse::default()
        },
    }
}
