//! What is durable of one log, as a fold of its journal entries.
//!
//! The same methods serve a running log (when a group is synced) and a replay; a checkpoint is this, encoded. What is admitted and not
//! yet durable is not in here, so a checkpoint can never claim more than the journal holds.

use crate::EpochVote;
use crate::cursor::Cursor;
use crate::producer::ProducerTable;
use crate::segment::{DESCRIPTOR_LEN, Segment};
use bytes::{BufMut, Bytes, BytesMut};
use taffrail_record::batch::BatchHeader;
use taffrail_record::{LeaderEpoch, Offset, TopicId, TopicPartition};

/// Who replicates a log, from an offset on. Opaque here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    pub term: LeaderEpoch,
    pub offset: Offset,
    pub members: Bytes,
}

/// The durable state of one log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogState {
    pub partition: TopicPartition,
    /// Which life of this partition it is; never used twice in one directory.
    pub number: u64,
    pub start_offset: Offset,
    /// One past the last durable record.
    pub end_offset: Offset,
    /// Everything below is in segments, or was before its segment went.
    pub flushed_end: Offset,
    pub epoch: LeaderEpoch,
    pub vote: Option<EpochVote>,
    pub membership: Option<Membership>,
    /// In order of base offset; all but the last are sealed.
    pub segments: Vec<Segment>,
    /// Where each leader epoch begins. Empty after a truncation to nothing, and in what was written before an epoch was entered when
    /// its leader began: the present one then holds from the start.
    pub epochs: Vec<(LeaderEpoch, Offset)>,
    /// Segments that are no longer part of the log, and whose files may still be there.
    pub removals: Vec<Offset>,
    /// The log is deleted; its directory may still be there.
    pub deleted: bool,
    pub producers: ProducerTable,
}

impl LogState {
    pub fn new(
        partition: TopicPartition,
        number: u64,
        start: Offset,
        epoch: LeaderEpoch,
    ) -> LogState {
        LogState {
            partition,
            number,
            start_offset: start,
            end_offset: start,
            flushed_end: start,
            epoch,
            vote: None,
            membership: None,
            segments: Vec::new(),
            epochs: vec![(epoch, start)],
            removals: Vec::new(),
            deleted: false,
            producers: ProducerTable::default(),
        }
    }

    /// A batch at the log's end.
    pub fn append(&mut self, header: &BatchHeader, admission_ms: i64) {
        let epoch = header.partition_leader_epoch;
        self.end_offset = header.next_offset();
        self.epoch = self.epoch.max(epoch);
        self.begin_epoch(epoch, header.base_offset);
        self.producers.apply(header, admission_ms);
    }

    pub fn truncate(&mut self, end: Offset) {
        if end < self.end_offset {
            self.end_offset = end;
            self.epochs.retain(|(_, start)| *start < end);
            self.producers.truncate(end);
        }
    }

    /// The log's start moves; sealed segments wholly below it leave the log. Answers their base offsets.
    pub fn advance_start(&mut self, start: Offset) -> Vec<Offset> {
        if start <= self.start_offset {
            return Vec::new();
        }
        self.start_offset = start;
        let gone = self.leave_behind();
        // The epoch that holds at the new start begins there now.
        let below = self.epochs.iter().rposition(|(_, begin)| *begin <= start);
        if let Some(last) = below {
            self.epochs.drain(..last);
            self.epochs[0].1 = start;
        }
        gone
    }

    /// Takes sealed segments wholly below the start out of the log, and answers their base offsets.
    fn leave_behind(&mut self) -> Vec<Offset> {
        let start = self.start_offset;
        let keep = self
            .segments
            .iter()
            .position(|segment| !segment.sealed || segment.end_offset > start)
            .unwrap_or(self.segments.len());
        let gone: Vec<Offset> = self
            .segments
            .drain(..keep)
            .map(|segment| segment.base_offset)
            .collect();
        self.removals.extend(&gone);
        gone
    }

    /// Takes the last segment out of the log, too, if it lies wholly below the start. Nothing may be on its way into it.
    pub fn leave_last_behind(&mut self) {
        let start = self.start_offset;
        if let Some(last) = self.segments.last_mut()
            && last.end_offset <= start
        {
            last.sealed = true;
            self.leave_behind();
        }
    }

    /// A segment is synced up to what its descriptor says. One that is older than what is known changes nothing. In the journal the
    /// start may have moved before the mark that seals a segment comes: it leaves the log then. Answers the base offsets of those
    /// that left.
    pub fn mark(&mut self, segment: Segment) -> Vec<Offset> {
        self.flushed_end = self.flushed_end.max(segment.end_offset);
        match self.segments.last_mut() {
            Some(last) if last.base_offset == segment.base_offset => {
                if segment.length >= last.length {
                    *last = segment;
                }
            }
            Some(last) if last.base_offset > segment.base_offset => {}
            last => {
                if let Some(last) = last {
                    last.sealed = true;
                }
                self.removals
                    .retain(|removed| *removed != segment.base_offset);
                self.segments.push(segment);
            }
        }
        self.leave_behind()
    }

    /// Whether a segment has this base offset.
    pub fn begins_at(&self, base_offset: Offset) -> bool {
        self.segments
            .iter()
            .any(|segment| segment.base_offset == base_offset)
    }

    pub fn begin_term(&mut self, term: LeaderEpoch, offset: Offset) {
        if term >= self.epoch {
            self.epoch = term;
            self.begin_epoch(term, offset);
        }
    }

    /// An epoch begins, if it is a later one; those in which nothing was written are forgotten, as in Kafka's LeaderEpochFileCache.
    fn begin_epoch(&mut self, epoch: LeaderEpoch, offset: Offset) {
        if self.epochs.last().is_none_or(|(last, _)| *last < epoch) {
            self.epochs.retain(|(_, begin)| *begin < offset);
            self.epochs.push((epoch, offset));
        }
    }

    /// Kafka's LeaderEpochFileCache.endOffsetFor.
    pub fn end_offset_for_epoch(&self, epoch: LeaderEpoch) -> (LeaderEpoch, Offset) {
        let latest = self.epochs.last().map_or(self.epoch, |(latest, _)| *latest);
        if epoch < 0 || epoch > latest {
            return (-1, -1);
        }
        if epoch == latest {
            return (epoch, self.end_offset);
        }
        let higher = self.epochs.partition_point(|(known, _)| *known <= epoch);
        let end = self
            .epochs
            .get(higher)
            .map_or(self.start_offset, |(_, begin)| *begin);
        match higher.checked_sub(1) {
            Some(floor) => (self.epochs[floor].0, end),
            None => (epoch, end),
        }
    }

    pub fn encode(&self, out: &mut BytesMut) {
        let begin = out.len();
        out.put_u32_le(0);
        out.put_slice(&self.partition.topic.0);
        out.put_i32_le(self.partition.partition);
        out.put_u64_le(self.number);
        out.put_i64_le(self.start_offset);
        out.put_i64_le(self.end_offset);
        out.put_i64_le(self.flushed_end);
        out.put_i32_le(self.epoch);
        let vote = self.vote.unwrap_or(EpochVote {
            term: -1,
            candidate: -1,
        });
        out.put_i32_le(vote.term);
        out.put_i64_le(vote.candidate);
        let (term, offset, members) = match &self.membership {
            Some(membership) => (membership.term, membership.offset, &membership.members[..]),
            None => (-1, -1, &[][..]),
        };
        out.put_i32_le(term);
        out.put_i64_le(offset);
        out.put_u32_le(members.len() as u32);
        out.put_slice(members);
        out.put_u32_le(self.segments.len() as u32);
        self.segments.iter().for_each(|segment| segment.encode(out));
        out.put_u32_le(self.epochs.len() as u32);
        for (epoch, start) in &self.epochs {
            out.put_i32_le(*epoch);
            out.put_i64_le(*start);
        }
        out.put_u32_le(self.removals.len() as u32);
        self.removals.iter().for_each(|base| out.put_i64_le(*base));
        out.put_u8(u8::from(self.deleted));
        self.producers.encode(out);
        let len = (out.len() - begin) as u32;
        out[begin..begin + 4].copy_from_slice(&len.to_le_bytes());
    }

    /// Reads one log; `None` if the bytes are not one.
    pub fn decode(cursor: &mut Cursor<'_>) -> Option<LogState> {
        let len = (cursor.u32()? as usize).checked_sub(4)?;
        let cursor = &mut Cursor::new(cursor.take(len)?);
        let topic = TopicId(cursor.array()?);
        let partition = TopicPartition {
            topic,
            partition: cursor.i32()?,
        };
        let mut state = LogState::new(partition, cursor.u64()?, cursor.i64()?, 0);
        state.end_offset = cursor.i64()?;
        state.flushed_end = cursor.i64()?;
        state.epoch = cursor.i32()?;
        let vote = EpochVote {
            term: cursor.i32()?,
            candidate: cursor.i64()?,
        };
        state.vote = (vote.term >= 0).then_some(vote);
        let (term, offset, members_len) = (cursor.i32()?, cursor.i64()?, cursor.count(1)?);
        let members = Bytes::copy_from_slice(cursor.take(members_len)?);
        state.membership = (term >= 0).then_some(Membership {
            term,
            offset,
            members,
        });
        for _ in 0..cursor.count(DESCRIPTOR_LEN)? {
            state.segments.push(Segment::decode(cursor)?);
        }
        state.epochs.clear();
        for _ in 0..cursor.count(12)? {
            state.epochs.push((cursor.i32()?, cursor.i64()?));
        }
        for _ in 0..cursor.count(8)? {
            state.removals.push(cursor.i64()?);
        }
        state.deleted = cursor.u8()? != 0;
        state.producers = ProducerTable::decode(cursor)?;
        (cursor.remaining() == 0).then_some(state)
    }
}

#[cfg(test)]
mod tests;
