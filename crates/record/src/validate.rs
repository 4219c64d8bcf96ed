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

mod judge;
mod reason;

use crate::batch::{BatchError, BatchHeader, HEADER_LEN, TimestampType, check_crc, check_magic};
use crate::compression::{Codec, DecompressLimit};
use crate::identity::{NO_PRODUCER_ID, NO_TIMESTAMP};
use crate::record::walk;
use judge::{RecordJudge, TimestampRange};
use std::ops::ControlFlow;

pub use reason::{Invalid, InvalidClass, REFUSED_RECORDS_MAX, Reason, RefusedRecord};

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
    /// timestamps needs [`crate::rewrite::set_create_time`] then, or searches by time go astray.
    pub fn max_timestamp_is_wrong(&self) -> bool {
        self.max_timestamp != self.header.max_timestamp
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
    Ok(())
}

/// Where the producer's time counts, a claim that the broker set it means nothing, and is taken away; where the broker's counts, only the
/// broker makes it.
fn check_timestamp_type(header: &BatchHeader, rules: &ProduceRules) -> Result<(), Reason> {
    let broker_time = TimestampType::LogAppendTime;
    if header.timestamp_type() == broker_time && rules.timestamp_type == broker_time {
        return Err(Reason::LogAppendTime);
    }
    Ok(())
}

fn check_header_timestamps(
    header: BatchHeader,
    codec: Codec,
    rules: &ProduceRules,
) -> Result<BatchSummary, Invalid> {
    check_timestamp_type(&header, rules)?;
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
    check_timestamp_type(&header, rules)?;
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

#[cfg(test)]
mod tests;
