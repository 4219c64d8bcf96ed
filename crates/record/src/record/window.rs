//! The walk over records that are compressed.
//!
//! A window as long as the longest record slides over the decompressor's output. What must hold: it grows only
//! when it is full of bytes that are really there, whatever a length claims.

use super::{Course, RecordFault, RecordView};
use crate::batch::{BatchError, BatchHeader};
use crate::compression::{DecompressError, Decompressor};
use crate::varint;
use std::ops::ControlFlow;

/// Shortest record: length, attributes, two deltas, null key, null value, no headers.
const RECORD_LEN_MIN: usize = 7;

/// Walks over the records that `decompressor` makes of `compressed_len` bytes, and says how many bytes they have.
pub(super) fn walk_compressed<F>(
    header: &BatchHeader,
    decompressor: Decompressor<'_>,
    compressed_len: usize,
    mut visit: F,
) -> Result<usize, BatchError>
where
    F: FnMut(RecordView<'_>) -> ControlFlow<()>,
{
    let mut course = Course::of(header);
    // The compressed stream may hold more than is believable, but not more records than it has bytes for;
    // a count beyond the cap fails when the stream ends or reaches the cap.
    let mut window = Window::new(decompressor, compressed_len);
    while !course.is_done() {
        let body = match window.next_record()? {
            Ok(body) => body,
            Err(fault) => return Err(course.error(fault)),
        };
        let record = RecordView::parse(body).map_err(|fault| course.error(fault))?;
        let Some(next) = course.pass(record.offset_delta) else {
            return Err(course.error(RecordFault::OffsetDelta));
        };
        course = next;
        if visit(record).is_break() {
            return Ok(window.decompressor.produced());
        }
    }
    if !window.is_at_end()? {
        return Err(course.error(RecordFault::BytesBehindLast));
    }
    Ok(window.decompressor.produced())
}

/// What of a decompressor's output has been made and not yet passed.
struct Window<'a> {
    decompressor: Decompressor<'a>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    finished: bool,
}

impl<'a> Window<'a> {
    /// It begins no longer than this, which is long enough for most batches to fit, so that few records lie across its end.
    const LEN: usize = 64 * 1024;
    const LEN_MIN: usize = 1024;
    /// Most batches become longer by no more than this when decompressed. A small one need not wait for 64 KiB of zeros.
    const USUAL_GROWTH: usize = 8;

    fn new(decompressor: Decompressor<'a>, compressed_len: usize) -> Window<'a> {
        let usual = compressed_len.saturating_mul(Window::USUAL_GROWTH);
        Window {
            decompressor,
            buffer: vec![0; usual.clamp(Window::LEN_MIN, Window::LEN)],
            start: 0,
            end: 0,
            finished: false,
        }
    }

    /// What stands behind the next record's length, and moves past it.
    fn next_record(&mut self) -> Result<Result<&[u8], RecordFault>, DecompressError> {
        self.fill(RECORD_LEN_MIN)?;
        let mut rest = &self.buffer[self.start..self.end];
        let length = match varint::read_i32(&mut rest) {
            Ok(length) => length,
            Err(error) => return Ok(Err(error.into())),
        };
        let Ok(length) = usize::try_from(length) else {
            return Ok(Err(RecordFault::LengthNegative));
        };
        let prefix = self.end - self.start - rest.len();
        self.fill(prefix + length)?;
        let from = self.start + prefix;
        if self.end - from < length {
            return Ok(Err(RecordFault::LengthTooLarge));
        }
        self.start = from + length;
        Ok(Ok(&self.buffer[from..from + length]))
    }

    fn is_at_end(&mut self) -> Result<bool, DecompressError> {
        self.fill(1)?;
        Ok(self.start == self.end)
    }

    /// Makes at least `wanted` bytes present, unless the stream ends before. The buffer grows only when it
    /// is full of bytes that are really there, whatever a length claims.
    fn fill(&mut self, wanted: usize) -> Result<(), DecompressError> {
        while self.end - self.start < wanted && !self.finished {
            if self.end == self.buffer.len() {
                if self.start > 0 {
                    self.buffer.copy_within(self.start..self.end, 0);
                    self.end -= self.start;
                    self.start = 0;
                } else {
                    let longer = self.buffer.len() * 2;
                    self.buffer.resize(longer, 0);
                }
            }
            let read = self.decompressor.read(&mut self.buffer[self.end..])?;
            self.end += read;
            self.finished = read == 0;
        }
        Ok(())
    }
}
