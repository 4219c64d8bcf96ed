//! Judges records one by one: timestamps, keys, attributes.

use super::{ProduceRules, REFUSED_RECORDS_MAX, Reason, RefusedRecord};
use crate::batch::{BatchError, BatchHeader, TimestampType};
use crate::identity::NO_TIMESTAMP;
use crate::record::{Course, RecordFault, RecordView, read_any, read_common};

/// Judges the records of one batch. Timestamps are judged as deltas, as they stand in the records; a delta
/// within the bounds also adds up to a timestamp within 64 bits.
pub(super) struct RecordJudge {
    base_timestamp: i64,
    range: TimestampRange,
    delta_min: i64,
    delta_max: i64,
    keys_required: bool,
    pub(super) latest: Latest,
    pub(super) refused: Vec<RefusedRecord>,
}

/// The first of the records with the largest timestamp so far.
#[derive(Clone, Copy)]
pub(super) struct Latest {
    pub(super) timestamp_delta: i64,
    pub(super) offset_delta: i32,
}

impl RecordJudge {
    pub(super) fn of(header: &BatchHeader, rules: &ProduceRules) -> RecordJudge {
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
    pub(super) fn walk_plain(
        &mut self,
        header: &BatchHeader,
        body: &[u8],
    ) -> Result<(), BatchError> {
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
    pub(super) fn visit(&mut self, record: &RecordView<'_>) {
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

/// What timestamps are allowed.
pub(super) struct TimestampRange {
    min: i64,
    max: i64,
}

impl TimestampRange {
    pub(super) fn of(rules: &ProduceRules) -> TimestampRange {
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

    pub(super) fn allows(&self, timestamp: i64) -> bool {
        (self.min <= timestamp && timestamp <= self.max) || timestamp == NO_TIMESTAMP
    }

    pub(super) fn refusal(&self, timestamp: i64) -> Reason {
        Reason::TimestampOutOfRange {
            timestamp,
            min: self.min,
            max: self.max,
        }
    }
}
