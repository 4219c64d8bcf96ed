//! Records inside a batch: views without copies, and the walk over them.
//!
//! A record is a length, then that many bytes: attributes (1 byte), timestamp delta (varlong), offset delta,
//! key, value, header count, and the headers. A length of -1 is null; a header's key cannot be null.
//!
//! What must hold after a walk that gave no error: every length was within what remained, the records filled
//! the batch exactly and were as many as the header says, and their offset deltas rose and stayed within the
//! batch. Nothing is allocated for a record. If the records are compressed, a window as long as the longest
//! record slides over the decompressor's output, so a batch never stands in memory whole.

mod window;

use crate::batch::{BatchError, BatchHeader, HEADER_LEN, split_batch};
use crate::compression::{Codec, DecompressLimit, Decompressor};
use crate::varint::{self, VarintError};
use std::fmt;
use std::ops::ControlFlow;
use window::walk_compressed;

/// A record, borrowed from the bytes of its batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RecordView<'a> {
    /// No bit has a meaning; producers send 0.
    pub attributes: u8,
    /// Relative to the batch's base timestamp; see [`BatchHeader::record_timestamp`].
    pub timestamp_delta: i64,
    /// Relative to the batch's base offset.
    pub offset_delta: i32,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    header_count: i32,
    header_bytes: &'a [u8],
}

/// A header of a record. The key is UTF-8 by convention, which nobody checks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header<'a> {
    pub key: &'a [u8],
    pub value: Option<&'a [u8]>,
}

/// What is wrong with a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RecordFault {
    /// The batch, or the record's own length, ends within the record.
    EndsEarly,
    /// A number has more bytes or bits than it may.
    NumberTooLong,
    /// A length is negative where null is not allowed, or less than -1.
    LengthNegative,
    /// A length or count is more than the bytes that remain.
    LengthTooLarge,
    /// Bytes remain behind the record's last header.
    BytesLeftOver,
    /// Bytes remain behind the batch's last record.
    BytesBehindLast,
    /// The offset delta does not rise, or exceeds the batch's last one.
    OffsetDelta,
}

impl<'a> RecordView<'a> {
    /// The record's headers, in their order.
    pub fn headers(&self) -> Headers<'a> {
        Headers {
            left: self.header_count,
            rest: self.header_bytes,
        }
    }

    /// How many headers the record has.
    pub fn header_count(&self) -> usize {
        self.header_count as usize
    }

    /// Reads what stands behind a record's length; `body` is exactly that long.
    #[inline(never)]
    fn parse(body: &'a [u8]) -> Result<RecordView<'a>, RecordFault> {
        let [attributes, rest @ ..] = body else {
            return Err(RecordFault::EndsEarly);
        };
        let mut rest = rest;
        let timestamp_delta = varint::read_i64(&mut rest)?;
        let offset_delta = varint::read_i32(&mut rest)?;
        let key = read_nullable(&mut rest)?;
        let value = read_nullable(&mut rest)?;
        let header_count = varint::read_i32(&mut rest)?;
        if header_count != 0 {
            check_headers(header_count, rest)?;
        } else if !rest.is_empty() {
            return Err(RecordFault::BytesLeftOver);
        }
        Ok(RecordView {
            attributes: *attributes,
            timestamp_delta,
            offset_delta,
            key,
            value,
            header_count,
            header_bytes: rest,
        })
    }
}

/// A record without headers whose numbers are short, and what stands behind it. `None` says nothing but that
/// the thorough reader has to look: this one exists for its few instructions, and calls nothing.
#[inline(always)]
pub(crate) fn read_common(bytes: &[u8]) -> Option<(RecordView<'_>, &[u8])> {
    let (length, body) = varint::read_short(bytes)?;
    let [0, _, _, ..] = body else {
        return None;
    };
    let (timestamp_delta, bytes) = varint::read_short(&body[1..])?;
    let (offset_delta, bytes) = varint::read_short(bytes)?;
    let (key, bytes) = read_common_nullable(bytes)?;
    let (value, bytes) = read_common_nullable(bytes)?;
    let [0, behind @ ..] = bytes else {
        return None;
    };
    // The parts were read without regard to the record's end. As the last one ends there, all are within.
    // The length is in zigzag, so it is compared with the double.
    if length as usize != 2 * (body.len() - behind.len()) {
        return None;
    }
    let record = RecordView {
        attributes: 0,
        timestamp_delta: i64::from(varint::unzigzag_32(timestamp_delta)),
        offset_delta: varint::natural(offset_delta)? as i32,
        key,
        value,
        header_count: 0,
        header_bytes: &[],
    };
    Some((record, behind))
}

#[inline(always)]
fn read_common_nullable(bytes: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    const NULL: u32 = 1;
    let (length, bytes) = varint::read_short(bytes)?;
    if length == NULL {
        return Some((None, bytes));
    }
    let (value, behind) = bytes.split_at_checked(varint::natural(length)?)?;
    Some((Some(value), behind))
}

fn read_nullable<'a>(rest: &mut &'a [u8]) -> Result<Option<&'a [u8]>, RecordFault> {
    let length = varint::read_i32(rest)?;
    if length < 0 {
        return if length == -1 {
            Ok(None)
        } else {
            Err(RecordFault::LengthNegative)
        };
    }
    let Some((bytes, tail)) = rest.split_at_checked(length as usize) else {
        return Err(RecordFault::LengthTooLarge);
    };
    *rest = tail;
    Ok(Some(bytes))
}

fn read_header<'a>(rest: &mut &'a [u8]) -> Result<Header<'a>, RecordFault> {
    let key = read_nullable(rest)?.ok_or(RecordFault::LengthNegative)?;
    let value = read_nullable(rest)?;
    Ok(Header { key, value })
}

#[inline(never)]
fn check_headers(count: i32, mut rest: &[u8]) -> Result<(), RecordFault> {
    if count < 0 {
        return Err(RecordFault::LengthNegative);
    }
    // A header is two bytes at least.
    if count as usize > rest.len() / 2 {
        return Err(RecordFault::LengthTooLarge);
    }
    for _ in 0..count {
        read_header(&mut rest)?;
    }
    if !rest.is_empty() {
        return Err(RecordFault::BytesLeftOver);
    }
    Ok(())
}

/// The headers of a record.
#[derive(Clone, Debug)]
pub struct Headers<'a> {
    left: i32,
    rest: &'a [u8],
}

impl<'a> Iterator for Headers<'a> {
    type Item = Header<'a>;

    fn next(&mut self) -> Option<Header<'a>> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        Some(read_header(&mut self.rest).expect("a view's headers were read when it was made"))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }
}

impl ExactSizeIterator for Headers<'_> {}

/// The records of a batch that is not compressed. Ends after the first error.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    rest: &'a [u8],
    course: Course,
}

/// Where a walk stands, and what the next record must be. Small and copied, so that it stays in registers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Course {
    index: i32,
    count: i32,
    offset_delta_before: i32,
    offset_delta_max: i32,
}

impl Course {
    pub(crate) fn of(header: &BatchHeader) -> Course {
        Course {
            index: 0,
            count: header.record_count,
            offset_delta_before: -1,
            offset_delta_max: header.last_offset_delta,
        }
    }

    #[inline(always)]
    pub(crate) fn is_done(self) -> bool {
        self.index == self.count
    }

    /// The course behind a record with this offset delta, if it may have it.
    #[inline(always)]
    pub(crate) fn pass(self, offset_delta: i32) -> Option<Course> {
        if offset_delta <= self.offset_delta_before || offset_delta > self.offset_delta_max {
            return None;
        }
        Some(Course {
            // There are more to come, so this is less than the count.
            index: self.index.wrapping_add(1),
            offset_delta_before: offset_delta,
            ..self
        })
    }

    #[cold]
    pub(crate) fn error(self, fault: RecordFault) -> BatchError {
        BatchError::Record {
            index: self.index,
            fault,
        }
    }
}

/// The records of the batch at the start of `batch`, which must not be compressed: use [`for_each_record`]
/// where it may be.
///
/// # Panics
/// If the batch is compressed.
pub fn records(batch: &[u8]) -> Result<Records<'_>, BatchError> {
    let (header, batch) = split_batch(batch)?;
    assert_eq!(
        header.codec()?,
        Codec::None,
        "compressed records are no slice of the batch"
    );
    Ok(Records {
        rest: &batch[HEADER_LEN..],
        course: Course::of(&header),
    })
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<RecordView<'a>, BatchError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let fault = if self.course.is_done() {
            if self.rest.is_empty() {
                return None;
            }
            RecordFault::BytesBehindLast
        } else {
            let read = match read_common(self.rest) {
                Some(record) => Ok(record),
                None => read_any(self.rest),
            };
            match read {
                Ok((record, rest)) => match self.course.pass(record.offset_delta) {
                    Some(course) => {
                        (self.rest, self.course) = (rest, course);
                        return Some(Ok(record));
                    }
                    None => RecordFault::OffsetDelta,
                },
                Err(fault) => fault,
            }
        };
        let error = self.course.error(fault);
        self.rest = &[];
        self.course.index = self.course.count;
        Some(Err(error))
    }
}

/// The record at the start of `bytes`, whatever it is, and what stands behind it.
#[inline(never)]
pub(crate) fn read_any(mut bytes: &[u8]) -> Result<(RecordView<'_>, &[u8]), RecordFault> {
    let length = varint::read_i32(&mut bytes)?;
    if length < 0 {
        return Err(RecordFault::LengthNegative);
    }
    let Some((body, behind)) = bytes.split_at_checked(length as usize) else {
        return Err(RecordFault::LengthTooLarge);
    };
    Ok((RecordView::parse(body)?, behind))
}

/// Walks over the records of the batch at the start of `batch`, compressed or not, until `visit` breaks off.
/// The checksum is not looked at. A caller that breaks off has learnt nothing about the rest.
pub fn for_each_record<F>(
    batch: &[u8],
    limit: DecompressLimit,
    mut visit: F,
) -> Result<(), BatchError>
where
    F: FnMut(&BatchHeader, RecordView<'_>) -> ControlFlow<()>,
{
    let (header, batch) = split_batch(batch)?;
    walk(&header, &batch[HEADER_LEN..], limit, |record| {
        visit(&header, record)
    })
    .map(|_| ())
}

/// Walks over the records in `body`, everything behind the header, and says how many bytes they have
/// uncompressed (of those seen, if `visit` broke off).
#[inline(always)]
pub(crate) fn walk<F>(
    header: &BatchHeader,
    body: &[u8],
    limit: DecompressLimit,
    mut visit: F,
) -> Result<usize, BatchError>
where
    F: FnMut(RecordView<'_>) -> ControlFlow<()>,
{
    let codec = header.codec()?;
    // A cleaned batch may be left without records, and then without a compressed stream.
    if codec != Codec::None && !(body.is_empty() && header.record_count == 0) {
        let decompressor = Decompressor::new(codec, body, limit)?;
        return walk_compressed(header, decompressor, body.len(), visit);
    }
    let mut course = Course::of(header);
    let mut rest = body;
    while !course.is_done() {
        let (record, behind) = match read_common(rest) {
            Some(record) => record,
            None => read_any(rest).map_err(|fault| course.error(fault))?,
        };
        let Some(next) = course.pass(record.offset_delta) else {
            return Err(course.error(RecordFault::OffsetDelta));
        };
        (rest, course) = (behind, next);
        if visit(record).is_break() {
            return Ok(body.len() - rest.len());
        }
    }
    if !rest.is_empty() {
        return Err(course.error(RecordFault::BytesBehindLast));
    }
    Ok(body.len())
}

impl From<VarintError> for RecordFault {
    #[inline(always)]
    fn from(error: VarintError) -> RecordFault {
        match error {
            VarintError::EndsEarly => RecordFault::EndsEarly,
            VarintError::TooLong => RecordFault::NumberTooLong,
        }
    }
}

impl fmt::Display for RecordFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RecordFault::EndsEarly => "the bytes end within it",
            RecordFault::NumberTooLong => "a number in it is too long",
            RecordFault::LengthNegative => "a length in it is negative",
            RecordFault::LengthTooLarge => "a length in it is more than the bytes that remain",
            RecordFault::BytesLeftOver => "bytes remain behind its last header",
            RecordFault::BytesBehindLast => "bytes remain behind the last record",
            RecordFault::OffsetDelta => "its offset delta is out of order",
        })
    }
}

#[cfg(test)]
mod tests;
