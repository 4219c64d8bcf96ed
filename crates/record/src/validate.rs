//! Judges a batch that a client wants to append.
//!
//! Once admitted, a batch is never looked into again by the broker, so everything that a consumer could
//! choke on, or that the log relies on, is judged here, once. The rules and their order are Apache Kafka's,
//! and [`InvalidClass`] names the answers that Kafka has for them. Stricter than Kafka are: offset deltas are
//! judged in batches without compression too; unknown attributes of records, a delete horizon, and a
//! transaction or sequence without a producer are refused.
//!
//! What must hold: a batch passes only if its checksum is right and it is all of `bytes`; with
//! [`ValidationMode::Full`], only if a walk over its records will succeed under the same limit.

use crate::batch::{BatchError, BatchHeader, HEADER_LEN, TimestampType, check_crc, check_magic};
use crate::compression::{Codec, DecompressError, DecompressLimit};
use crate::identity::{NO_PRODUCER_ID, NO_TIMESTAMP};
use crate::record::{Course, RecordFault, RecordView, read_any, read_common, walk};
use std::fmt;
use std::ops::ControlFlow;

/// How deep a batch is judged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ValidationMode {
    /// Header and every record.
    #[default]
    Full,
    /// The header alone; the producer is trusted with the records, unless each must have a key.
    Header,
}

/// What the topic and the request's version allow.
#[derive(Clone, Copy, Debug)]
pub struct ProduceRules {
    pub mode: ValidationMode,
    /// Largest batch, as it was sent.
    pub batch_bytes_max: usize,
    /// Largest sum of records, decompressed.
    pub decompress: DecompressLimit,
    /// The broker's time, which timestamps are compared with.
    pub now_ms: i64,
    /// Whose timestamps the topic keeps; with the broker's, those of the records are not judged.
    pub timestamp_type: TimestampType,
    /// How far a timestamp may lie before `now_ms`.
    pub timestamp_before_max_ms: i64,
    /// How far a timestamp may lie after `now_ms`.
    pub timestamp_after_max_ms: i64,
    /// The topic is compacted, so each record needs a key.
    pub keys_required: bool,
    /// The request's version is one that knows zstd.
    pub zstd_allowed: bool,
}

/// What a batch that passed is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BatchSummary {
    pub header: BatchHeader,
    pub codec: Codec,
    /// Largest timestamp of the records, or what the header says if they were not looked at.
    pub max_timestamp: i64,
    /// Offset delta of the first record with that timestamp, if the records were looked at and have any.
    pub max_timestamp_offset_delta: Option<i32>,
    /// Bytes of the records, decompressed, if they were looked at.
    pub records_bytes: Option<usize>,
}

impl BatchSummary {
    /// The producer wrote another max timestamp than its records have. A topic that keeps producers'
    /// timestamps needs [`crate::rewrite::set_max_timestamp`] then, or searches by time go astray.
    pub fn max_timestamp_is_wrong(&self) -> bool {
        self.max_timestamp != self.header.max_timestamp
    }
}

/// The answers that Kafka has for a batch that cannot be appended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum InvalidClass {
    /// The bytes are not what the producer sent; it may send them again.
    CorruptRecord,
    /// A timestamp that the topic does not allow.
    InvalidTimestamp,
    /// Anything else that is wrong with the batch or a record, for good.
    InvalidRecord,
    /// A codec that does not exist, or that the request's version does not know.
    UnsupportedCompressionType,
    /// More bytes than allowed, as sent or decompressed. Producers split the batch and try again.
    MessageTooLarge,
}

/// What is wrong with a batch or a record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reason {
    /// It is no sound batch at all.
    Batch(BatchError),
    /// Bytes follow the batch.
    MoreThanOneBatch {
        bytes_behind: usize,
    },
    BaseOffsetNotZero {
        base_offset: i64,
    },
    TooLarge {
        size: usize,
        batch_bytes_max: usize,
    },
    /// No records, or not as many as offsets.
    Count {
        record_count: i32,
        last_offset_delta: i32,
    },
    CodecNotAllowed {
        codec: Codec,
    },
    ControlBatch,
    DeleteHorizon,
    /// Producer id, epoch, sequence and transaction do not go together.
    Producer,
    /// Only the broker may say that a timestamp is the broker's.
    LogAppendTime,
    TimestampOutOfRange {
        timestamp: i64,
        min: i64,
        max: i64,
    },
    /// The timestamp does not fit into 64 bits.
    TimestampOverflow,
    KeyMissing,
    RecordAttributes {
        attributes: u8,
    },
}

/// A record that was refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RefusedRecord {
    /// Place in the batch, from 0.
    pub index: i32,
    pub reason: Reason,
}

/// A batch that cannot be appended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Invalid {
    pub class: InvalidClass,
    /// What is wrong with the batch, or with the first record that was refused.
    pub reason: Reason,
    /// The first [`REFUSED_RECORDS_MAX`] of the records that were refused; none if it is the batch as such.
    pub records: Vec<RefusedRecord>,
}

/// A batch may have any number of bad records; so many are named.
pub const REFUSED_RECORDS_MAX: usize = 100;

impl Invalid {
    /// The first record that was refused, if it was a record's fault.
    pub fn record_index(&self) -> Option<i32> {
        self.records.first().map(|record| record.index)
    }
}

/// Judges `bytes`, all that a request has for one partition.
pub fn validate_produced(bytes: &[u8], rules: &ProduceRules) -> Result<BatchSummary, Invalid> {
    let header = check_frame(bytes)?;
    let codec = check_codec(&header, rules)?;
    if header.base_offset != 0 {
        let base_offset = header.base_offset;
        return Err(Reason::BaseOffsetNotZero { base_offset }.into());
    }
    if bytes.len() > rules.batch_bytes_max {
        return Err(Reason::TooLarge {
            size: bytes.len(),
            batch_bytes_max: rules.batch_bytes_max,
        }
        .into());
    }
    check_crc(&header, bytes).map_err(Reason::Batch)?;
    // From here on the fields are what the producer meant.
    check_header(&header)?;
    if rules.mode == ValidationMode::Header && !rules.keys_required {
        return check_header_timestamps(header, codec, rules);
    }
    check_records(header, codec, &bytes[HEADER_LEN..], rules)
}

/// One batch of format 2, neither more nor less.
fn check_frame(bytes: &[u8]) -> Result<BatchHeader, Reason> {
    check_magic(bytes).map_err(Reason::Batch)?;
    let truncated = |needed| {
        Reason::Batch(BatchError::Truncated {
            needed,
            available: bytes.len(),
        })
    };
    let Some(header) = bytes.first_chunk() else {
        return Err(truncated(HEADER_LEN));
    };
    let header = BatchHeader::read(header);
    header.check_length().map_err(Reason::Batch)?;
    let size = header.size();
    if size > bytes.len() {
        return Err(truncated(size));
    }
    if size < bytes.len() {
        return Err(Reason::MoreThanOneBatch {
            bytes_behind: bytes.len() - size,
        });
    }
    Ok(header)
}

fn check_codec(header: &BatchHeader, rules: &ProduceRules) -> Result<Codec, Reason> {
    let codec = header.codec().map_err(Reason::Batch)?;
    if codec == Codec::Zstd && !rules.zstd_allowed {
        return Err(Reason::CodecNotAllowed { codec });
    }
    Ok(codec)
}

fn check_header(header: &BatchHeader) -> Result<(), Reason> {
    header.check().map_err(Reason::Batch)?;
    if header.record_count < 1 || header.record_count - 1 != header.last_offset_delta {
        return Err(Reason::Count {
            record_count: header.record_count,
            last_offset_delta: header.last_offset_delta,
        });
    }
    if header.is_control() {
        return Err(Reason::ControlBatch);
    }
    if header.has_delete_horizon() {
        return Err(Reason::DeleteHorizon);
    }
    let producer_is_sound = if header.has_producer_id() {
        header.producer_epoch >= 0 && header.base_sequence >= 0
    } else {
        header.producer_id == NO_PRODUCER_ID && !header.is_transactional()
    };
    if !producer_is_sound {
        return Err(Reason::Producer);
    }
    if header.timestamp_type() == TimestampType::LogAppendTime {
        return Err(Reason::LogAppendTime);
    }
    Ok(())
}

/// What timestamps are allowed.
struct TimestampRange {
    min: i64,
    max: i64,
}

impl TimestampRange {
    fn of(rules: &ProduceRules) -> TimestampRange {
        match rules.timestamp_type {
            TimestampType::CreateTime => TimestampRange {
                min: rules.now_ms.saturating_sub(rules.timestamp_before_max_ms),
                max: rules.now_ms.saturating_add(rules.timestamp_after_max_ms),
            },
            TimestampType::LogAppendTime => TimestampRange {
                min: i64::MIN,
                max: i64::MAX,
            },
        }
    }

    fn allows(&self, timestamp: i64) -> bool {
        (self.min <= timestamp && timestamp <= self.max) || timestamp == NO_TIMESTAMP
    }

    fn refusal(&self, timestamp: i64) -> Reason {
        Reason::TimestampOutOfRange {
            timestamp,
            min: self.min,
            max: self.max,
        }
    }
}

fn check_header_timestamps(
    header: BatchHeader,
    codec: Codec,
    rules: &ProduceRules,
) -> Result<BatchSummary, Invalid> {
    let range = TimestampRange::of(rules);
    if !range.allows(header.max_timestamp) {
        return Err(range.refusal(header.max_timestamp).into());
    }
    Ok(BatchSummary {
        header,
        codec,
        max_timestamp: header.max_timestamp,
        max_timestamp_offset_delta: None,
        records_bytes: None,
    })
}

fn check_records(
    header: BatchHeader,
    codec: Codec,
    body: &[u8],
    rules: &ProduceRules,
) -> Result<BatchSummary, Invalid> {
    let mut judge = RecordJudge::of(&header, rules);
    // The walk sees to it that offset deltas rise and stay within the batch. There are as many records as
    // offsets, so they are 0, 1, 2, ...
    let records_bytes = if codec == Codec::None {
        judge.walk_plain(&header, body).map(|()| body.len())
    } else {
        walk(&header, body, rules.decompress, |record| {
            judge.visit(&record);
            ControlFlow::Continue(())
        })
    }
    .map_err(Reason::Batch)?;
    if !judge.refused.is_empty() {
        return Err(Invalid::of_records(judge.refused));
    }
    // No record was refused, so the sum fits.
    let max_timestamp = header
        .base_timestamp
        .saturating_add(judge.latest.timestamp_delta);
    let max_timestamp = max_timestamp.max(NO_TIMESTAMP);
    Ok(BatchSummary {
        header,
        codec,
        max_timestamp,
        max_timestamp_offset_delta: (max_timestamp > NO_TIMESTAMP)
            .then_some(judge.latest.offset_delta),
        records_bytes: Some(records_bytes),
    })
}

/// Judges the records of one batch. Timestamps are judged as deltas, as they stand in the records; a delta
/// within the bounds also adds up to a timestamp within 64 bits.
struct RecordJudge {
    base_timestamp: i64,
    range: TimestampRange,
    delta_min: i64,
    delta_max: i64,
    keys_required: bool,
    latest: Latest,
    refused: Vec<RefusedRecord>,
}

/// The first of the records with the largest timestamp so far.
#[derive(Clone, Copy)]
struct Latest {
    timestamp_delta: i64,
    offset_delta: i32,
}

impl RecordJudge {
    fn of(header: &BatchHeader, rules: &ProduceRules) -> RecordJudge {
        let range = TimestampRange::of(rules);
        let base_timestamp = header.base_timestamp;
        let min = i128::from(range.min) - i128::from(base_timestamp);
        let max = i128::from(range.max) - i128::from(base_timestamp);
        let bounds = (
            i64::try_from(min.max(i64::MIN.into())),
            i64::try_from(max.min(i64::MAX.into())),
        );
        let (delta_min, delta_max) = match bounds {
            (Ok(min), Ok(max)) => (min, max),
            // No delta reaches into the range.
            _ => (i64::MAX, i64::MIN),
        };
        RecordJudge {
            base_timestamp,
            range,
            delta_min,
            delta_max,
            keys_required: rules.keys_required,
            latest: Latest {
                timestamp_delta: i64::MIN,
                offset_delta: 0,
            },
            refused: Vec::new(),
        }
    }

    /// Judges records that are not compressed: the common ones in a loop that fits into registers, and
    /// whatever makes that one stop by itself.
    fn walk_plain(&mut self, header: &BatchHeader, body: &[u8]) -> Result<(), BatchError> {
        let mut course = Course::of(header);
        let mut rest = self.pass_common(body, &mut course);
        while !course.is_done() {
            let (record, behind) = read_any(rest).map_err(|fault| course.error(fault))?;
            course = course
                .pass(record.offset_delta)
                .ok_or_else(|| course.error(RecordFault::OffsetDelta))?;
            self.visit(&record);
            rest = self.pass_common(behind, &mut course);
        }
        if !rest.is_empty() {
            return Err(course.error(RecordFault::BytesBehindLast));
        }
        Ok(())
    }

    /// Passes over the records at the start of `rest` that are of the common form and beyond suspicion.
    #[inline(never)]
    fn pass_common<'a>(&mut self, mut rest: &'a [u8], course: &mut Course) -> &'a [u8] {
        let (delta_min, delta_max) = (self.delta_min, self.delta_max);
        let key_optional = !self.keys_required;
        // Copies, which the loop can keep in registers.
        let mut latest = self.latest;
        let mut course_here = *course;
        while !course_here.is_done() {
            let Some((record, behind)) = read_common(rest) else {
                break;
            };
            let Some(next) = course_here.pass(record.offset_delta) else {
                break;
            };
            let timestamp_delta = record.timestamp_delta;
            if timestamp_delta < delta_min || timestamp_delta > delta_max {
                break;
            }
            if record.key.is_none() && !key_optional {
                break;
            }
            latest = latest.or(timestamp_delta, record.offset_delta);
            (rest, course_here) = (behind, next);
        }
        self.latest = latest;
        *course = course_here;
        rest
    }

    /// Judges any record.
    fn visit(&mut self, record: &RecordView<'_>) {
        let (index, timestamp_delta) = (record.offset_delta, record.timestamp_delta);
        self.latest = self.latest.or(timestamp_delta, index);
        let key_missing = self.keys_required && record.key.is_none();
        if timestamp_delta < self.delta_min
            || timestamp_delta > self.delta_max
            || key_missing
            || record.attributes != 0
        {
            let reason = self.reason(record.attributes, key_missing, timestamp_delta);
            self.refused
                .extend(reason.map(|reason| RefusedRecord { index, reason }));
            self.refused.truncate(REFUSED_RECORDS_MAX);
        }
    }

    /// Why a record that is suspect is refused, if it is.
    #[cold]
    fn reason(&self, attributes: u8, key_missing: bool, timestamp_delta: i64) -> Option<Reason> {
        if attributes != 0 {
            return Some(Reason::RecordAttributes { attributes });
        }
        if key_missing {
            return Some(Reason::KeyMissing);
        }
        match self.base_timestamp.checked_add(timestamp_delta) {
            None => Some(Reason::TimestampOverflow),
            Some(timestamp) if self.range.allows(timestamp) => None,
            Some(timestamp) => Some(self.range.refusal(timestamp)),
        }
    }
}

impl Latest {
    #[inline(always)]
    fn or(self, timestamp_delta: i64, offset_delta: i32) -> Latest {
        if timestamp_delta > self.timestamp_delta {
            Latest {
                timestamp_delta,
                offset_delta,
            }
        } else {
            self
        }
    }
}

impl Reason {
    /// The answer that Kafka has for this reason.
    pub fn class(&self) -> InvalidClass {
        match self {
            Reason::Batch(error) => class_of(error),
            Reason::TooLarge { .. } => InvalidClass::MessageTooLarge,
            Reason::CodecNotAllowed { .. } => InvalidClass::UnsupportedCompressionType,
            Reason::LogAppendTime
            | Reason::TimestampOutOfRange { .. }
            | Reason::TimestampOverflow => InvalidClass::InvalidTimestamp,
            Reason::MoreThanOneBatch { .. }
            | Reason::BaseOffsetNotZero { .. }
            | Reason::Count { .. }
            | Reason::ControlBatch
            | Reason::DeleteHorizon
            | Reason::Producer
            | Reason::KeyMissing
            | Reason::RecordAttributes { .. } => InvalidClass::InvalidRecord,
        }
    }
}

fn class_of(error: &BatchError) -> InvalidClass {
    match error {
        BatchError::CrcMismatch { .. }
        | BatchError::LengthTooSmall { .. }
        | BatchError::UnknownMagic { .. } => InvalidClass::CorruptRecord,
        BatchError::UnknownCodec { .. } => InvalidClass::UnsupportedCompressionType,
        BatchError::Decompress(DecompressError::TooLarge { .. }) => InvalidClass::MessageTooLarge,
        BatchError::Truncated { .. }
        | BatchError::LegacyMagic { .. }
        | BatchError::OffsetsOutOfRange { .. }
        | BatchError::CountOutOfRange { .. }
        | BatchError::Record { .. }
        | BatchError::Decompress(_) => InvalidClass::InvalidRecord,
    }
}

impl From<Reason> for Invalid {
    fn from(reason: Reason) -> Invalid {
        let records = match &reason {
            Reason::Batch(BatchError::Record { index, .. }) => vec![RefusedRecord {
                index: *index,
                reason: reason.clone(),
            }],
            _ => Vec::new(),
        };
        Invalid {
            class: reason.class(),
            reason,
            records,
        }
    }
}

impl Invalid {
    /// `records` is not empty. One bad timestamp decides the class, as it does in Kafka.
    fn of_records(records: Vec<RefusedRecord>) -> Invalid {
        let any_timestamp = records
            .iter()
            .any(|record| record.reason.class() == InvalidClass::InvalidTimestamp);
        Invalid {
            class: if any_timestamp {
                InvalidClass::InvalidTimestamp
            } else {
                InvalidClass::InvalidRecord
            },
            reason: records[0].reason.clone(),
            records,
        }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.reason, self.record_index()) {
            // This one names the record itself.
            (Reason::Batch(error), _) => error.fmt(f),
            (reason, Some(index)) => write!(f, "record {index}: {reason}"),
            (reason, None) => reason.fmt(f),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Batch(error) => error.fmt(f),
            Reason::MoreThanOneBatch { bytes_behind } => {
                write!(
                    f,
                    "{bytes_behind} bytes follow the batch, and there may be only one"
                )
            }
            Reason::BaseOffsetNotZero { base_offset } => {
                write!(f, "the base offset is {base_offset} and must be 0")
            }
            Reason::TooLarge {
                size,
                batch_bytes_max,
            } => {
                write!(
                    f,
                    "the batch has {size} bytes and may have {batch_bytes_max}"
                )
            }
            Reason::Count {
                record_count,
                last_offset_delta,
            } => write!(
                f,
                "the record count is {record_count} with a last offset delta of {last_offset_delta}"
            ),
            Reason::CodecNotAllowed { codec } => {
                write!(f, "the request's version does not allow {codec}")
            }
            Reason::ControlBatch => f.write_str("clients may not write control batches"),
            Reason::DeleteHorizon => f.write_str("clients may not set a delete horizon"),
            Reason::Producer => {
                f.write_str("producer id, epoch, sequence and transaction do not go together")
            }
            Reason::LogAppendTime => {
                f.write_str("clients may not set the timestamp type to LogAppendTime")
            }
            Reason::TimestampOutOfRange {
                timestamp,
                min,
                max,
            } => {
                write!(f, "timestamp {timestamp} is not within [{min}, {max}]")
            }
            Reason::TimestampOverflow => f.write_str("the timestamp does not fit into 64 bits"),
            Reason::KeyMissing => f.write_str("a compacted topic needs a key in each record"),
            Reason::RecordAttributes { attributes } => {
                write!(
                    f,
                    "attributes are {attributes:#04x}, of which no bit has a meaning"
                )
            }
        }
    }
}

impl std::error::Error for Invalid {}

#[cfg(test)]
mod tests;
