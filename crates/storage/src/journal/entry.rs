//! Journal entries: the facts that become durable, 64 bytes and a payload each.

use crate::cursor::Cursor;
use bytes::{BufMut, Bytes, BytesMut};
use taffrail_record::{LeaderEpoch, Offset, TopicId, TopicPartition};

/// Bytes before the payload.
pub const ENTRY_HEADER: usize = 64;
/// Payloads up to this size are copied beside their header: cheaper than a piece of their own.
const COPY_MAX: usize = 1024;

/// What an entry says. Numbers are the format's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Append = 1,
    Copy = 2,
    Create = 3,
    Delete = 4,
    Truncate = 5,
    Start = 6,
    Mark = 7,
    Term = 8,
    Membership = 9,
    Vote = 10,
    ForgetProducers = 11,
}

impl Kind {
    fn from_number(number: u8) -> Option<Kind> {
        use Kind::*;
        [
            Append,
            Copy,
            Create,
            Delete,
            Truncate,
            Start,
            Mark,
            Term,
            Membership,
            Vote,
            ForgetProducers,
        ]
        .into_iter()
        .find(|kind| *kind as u8 == number)
    }
}

/// Which log: a partition, and which of its lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogKey {
    pub partition: TopicPartition,
    /// Never used twice in a directory.
    pub number: u64,
}

/// One fact about one log. What `a`, `b` and `c` mean depends on the kind; the table is in README.md.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub kind: Kind,
    pub log: LogKey,
    pub epoch: LeaderEpoch,
    pub a: i64,
    pub b: i64,
    pub c: i64,
    pub payload: Bytes,
}

impl Entry {
    fn new(kind: Kind, log: LogKey) -> Entry {
        Entry {
            kind,
            log,
            epoch: 0,
            a: 0,
            b: 0,
            c: 0,
            payload: Bytes::new(),
        }
    }

    /// A batch at `base_offset`, meant for the segment that starts at `segment`.
    pub fn append(
        log: LogKey,
        epoch: LeaderEpoch,
        base_offset: Offset,
        segment: Offset,
        time_ms: i64,
        batch: Bytes,
    ) -> Entry {
        Entry {
            epoch,
            a: base_offset,
            b: segment,
            c: time_ms,
            payload: batch,
            ..Entry::new(Kind::Append, log)
        }
    }

    /// The same batch once more, so that the file that holds it can be recycled.
    pub fn into_copy(self) -> Entry {
        Entry {
            kind: Kind::Copy,
            ..self
        }
    }

    pub fn create(log: LogKey, epoch: LeaderEpoch, start: Offset) -> Entry {
        Entry {
            epoch,
            a: start,
            ..Entry::new(Kind::Create, log)
        }
    }

    pub fn delete(log: LogKey) -> Entry {
        Entry::new(Kind::Delete, log)
    }

    pub fn start(log: LogKey, start: Offset) -> Entry {
        Entry {
            a: start,
            ..Entry::new(Kind::Start, log)
        }
    }

    pub fn mark(log: LogKey, descriptor: Bytes) -> Entry {
        Entry {
            payload: descriptor,
            ..Entry::new(Kind::Mark, log)
        }
    }

    pub fn term(log: LogKey, term: LeaderEpoch, offset: Offset, leader: i64) -> Entry {
        Entry {
            epoch: term,
            a: offset,
            b: leader,
            ..Entry::new(Kind::Term, log)
        }
    }

    pub fn membership(log: LogKey, term: LeaderEpoch, offset: Offset, members: Bytes) -> Entry {
        Entry {
            epoch: term,
            a: offset,
            payload: members,
            ..Entry::new(Kind::Membership, log)
        }
    }

    pub fn vote(log: LogKey, term: LeaderEpoch, candidate: i64) -> Entry {
        Entry {
            epoch: term,
            a: candidate,
            ..Entry::new(Kind::Vote, log)
        }
    }

    pub fn forget_producers(log: LogKey, idle_since_ms: i64) -> Entry {
        Entry {
            a: idle_since_ms,
            ..Entry::new(Kind::ForgetProducers, log)
        }
    }

    pub fn encoded_len(&self) -> usize {
        ENTRY_HEADER + self.payload.len()
    }

    /// Appends the entry to `head`, or, if its payload is large, to `pieces` without copying it.
    pub fn encode(self, head: &mut BytesMut, pieces: &mut Vec<Bytes>) {
        head.put_u32_le(self.kind as u32);
        head.put_u32_le(self.payload.len() as u32);
        head.put_slice(&self.log.partition.topic.0);
        head.put_i32_le(self.log.partition.partition);
        head.put_i32_le(self.epoch);
        head.put_u64_le(self.log.number);
        head.put_i64_le(self.a);
        head.put_i64_le(self.b);
        head.put_i64_le(self.c);
        if self.payload.len() <= COPY_MAX {
            head.put_slice(&self.payload);
        } else {
            pieces.push(head.split().freeze());
            pieces.push(self.payload);
        }
    }

    /// Reads one entry at `at` of `bytes`; the payload is a slice of `bytes`. `None` if it is not one.
    pub fn decode(bytes: &Bytes, at: usize) -> Option<(Entry, usize)> {
        let mut cursor = Cursor::new(bytes.get(at..)?);
        let kind = Kind::from_number(u8::try_from(cursor.u32()?).ok()?)?;
        let len = cursor.u32()? as usize;
        let topic = TopicId(cursor.array()?);
        let partition = TopicPartition {
            topic,
            partition: cursor.i32()?,
        };
        let epoch = cursor.i32()?;
        let log = LogKey {
            partition,
            number: cursor.u64()?,
        };
        let (a, b, c) = (cursor.i64()?, cursor.i64()?, cursor.i64()?);
        if len > cursor.remaining() {
            return None;
        }
        let end = at + ENTRY_HEADER + len;
        let payload = bytes.slice(at + ENTRY_HEADER..end);
        let entry = Entry {
            kind,
            log,
            epoch,
            a,
            b,
            c,
            payload,
        };
        Some((entry, end))
    }
}
