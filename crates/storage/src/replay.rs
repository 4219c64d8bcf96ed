//! From a checkpoint and the journal behind it to the logs as they were: a pure fold.
//!
//! Entries older than a log's place in the checkpoint are in its state already; of those only the batches are
//! taken, as tail that is not in a segment yet. What must hold at the end: each log's tail goes without gap from
//! its last mark to its end. If not, something that was acknowledged is missing, and nobody may go on.

use crate::EpochVote;
use crate::checkpoint::Checkpoint;
use crate::cursor::Cursor;
use crate::journal::Place;
use crate::journal::entry::{Entry, Kind, LogKey};
use crate::segment::Segment;
use crate::state::{LogState, Membership};
use bytes::Bytes;
use std::collections::BTreeMap;
use taffrail_record::batch::BatchHeader;
use taffrail_record::{Offset, TopicPartition};

/// A durable batch that is in the journal only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TailEntry {
    pub place: Place,
    /// Base offset of the segment that it is meant for.
    pub segment: Offset,
    pub time_ms: i64,
    pub header: BatchHeader,
    pub batch: Bytes,
}

/// A log as it stood.
#[derive(Debug)]
pub struct ReplayedLog {
    pub state: LogState,
    /// What is not in segments, in order.
    pub tail: Vec<TailEntry>,
}

/// What a replay ends with.
#[derive(Debug)]
pub struct Replayed {
    pub logs: Vec<ReplayedLog>,
    /// Deleted logs whose directories may still be there.
    pub deleted: Vec<(TopicPartition, u64)>,
    pub next_log_number: u64,
}

struct InReplay {
    state: LogState,
    as_of: Place,
    tail: BTreeMap<Offset, TailEntry>,
}

/// The fold.
pub struct Replay {
    logs: BTreeMap<TopicPartition, InReplay>,
    deleted: Vec<(TopicPartition, u64)>,
    next_log_number: u64,
    /// Of the sections: before the first every log stands in the checkpoint, from the last on none is left out.
    oldest: Place,
    newest: Place,
}

impl Replay {
    pub fn new(checkpoint: Checkpoint) -> Replay {
        let places = checkpoint.sections.iter().map(|(as_of, _)| *as_of);
        let mut replay = Replay {
            logs: BTreeMap::new(),
            deleted: Vec::new(),
            next_log_number: checkpoint.next_log_number,
            oldest: places.clone().min().unwrap_or_default(),
            newest: places.max().unwrap_or_default(),
        };
        for (as_of, states) in checkpoint.sections {
            for state in states {
                if state.deleted {
                    replay.deleted.push((state.partition, state.number));
                    continue;
                }
                let log = InReplay {
                    state,
                    as_of,
                    tail: BTreeMap::new(),
                };
                replay.logs.insert(log.state.partition, log);
            }
        }
        replay
    }

    /// Folds one entry in. The error says what is wrong with it.
    pub fn entry(&mut self, place: Place, entry: Entry) -> Result<(), String> {
        let id = entry.log.partition;
        let Some(log) = self.logs.get_mut(&id) else {
            return self.entry_of_unknown(place, &entry);
        };
        if entry.log.number < log.state.number {
            // A straggler of an earlier life of this partition.
            return Ok(());
        }
        if entry.log.number > log.state.number {
            return Err(format!("log {id} begins again without having ended"));
        }
        let known = place < log.as_of;
        match entry.kind {
            Kind::Append | Kind::Copy => log.batch(place, known, entry),
            Kind::Truncate => {
                log.tail.split_off(&entry.a);
                if !known {
                    log.state.truncate(entry.a);
                }
                Ok(())
            }
            _ if known => Ok(()),
            Kind::Create => Err(format!("log {id} is created twice")),
            Kind::Delete => {
                self.deleted.push((id, log.state.number));
                self.logs.remove(&id);
                Ok(())
            }
            _ => log.change(entry),
        }
    }

    fn entry_of_unknown(&mut self, place: Place, entry: &Entry) -> Result<(), String> {
        let LogKey { partition, number } = entry.log;
        if entry.kind == Kind::Create && place >= self.oldest {
            self.next_log_number = self.next_log_number.max(number + 1);
            let state = LogState::new(partition, number, entry.a, entry.epoch);
            let log = InReplay {
                state,
                as_of: place,
                tail: BTreeMap::new(),
            };
            self.logs.insert(partition, log);
            return Ok(());
        }
        // Of a log that was deleted before its section was made; or overtaken by its log's deletion.
        let late = matches!(entry.kind, Kind::Copy | Kind::Mark);
        if place < self.newest || late {
            return Ok(());
        }
        Err(format!("an entry of log {partition}, which does not exist"))
    }

    /// Ends the fold.
    pub fn finish(self) -> Result<Replayed, String> {
        let logs: Result<Vec<ReplayedLog>, String> =
            self.logs.into_values().map(InReplay::finish).collect();
        Ok(Replayed {
            logs: logs?,
            deleted: self.deleted,
            next_log_number: self.next_log_number,
        })
    }
}

impl InReplay {
    fn batch(&mut self, place: Place, known: bool, entry: Entry) -> Result<(), String> {
        let id = entry.log.partition;
        let header = BatchHeader::parse(&entry.payload)
            .ok()
            .filter(|header| header.base_offset == entry.a && header.size() == entry.payload.len())
            .ok_or_else(|| format!("an entry of log {id} holds no batch for offset {}", entry.a))?;
        if entry.kind == Kind::Append && !known {
            if header.base_offset != self.state.end_offset {
                return Err(format!(
                    "log {id} goes on at {} where {} is next",
                    header.base_offset, self.state.end_offset
                ));
            }
            self.state.append(&header, entry.c);
        }
        if header.base_offset >= self.state.flushed_end {
            let tail = TailEntry {
                place,
                segment: entry.b,
                time_ms: entry.c,
                header,
                batch: entry.payload,
            };
            self.tail.insert(header.base_offset, tail);
        }
        Ok(())
    }

    fn change(&mut self, entry: Entry) -> Result<(), String> {
        match entry.kind {
            Kind::Start => {
                self.state.advance_start(entry.a);
            }
            Kind::Mark => {
                let segment = Segment::decode(&mut Cursor::new(&entry.payload))
                    .ok_or_else(|| format!("a mark of log {} is cut short", entry.log.partition))?;
                self.state.mark(segment);
            }
            Kind::Term => self.state.begin_term(entry.epoch, entry.a),
            Kind::Membership => {
                self.state.membership = Some(Membership {
                    term: entry.epoch,
                    offset: entry.a,
                    members: entry.payload,
                });
            }
            Kind::Vote => {
                self.state.vote = Some(EpochVote {
                    term: entry.epoch,
                    candidate: entry.a,
                });
            }
            Kind::ForgetProducers => self.state.producers.forget_idle(entry.a),
            Kind::Append | Kind::Copy | Kind::Create | Kind::Delete | Kind::Truncate => {}
        }
        Ok(())
    }

    fn finish(self) -> Result<ReplayedLog, String> {
        let InReplay {
            mut state, tail, ..
        } = self;
        let mut next = state.flushed_end;
        let mut ordered = Vec::new();
        for (base, entry) in tail {
            if base < state.flushed_end || base >= state.end_offset {
                continue;
            }
            if base != next {
                break;
            }
            next = entry.header.next_offset();
            ordered.push(entry);
        }
        if next != state.end_offset {
            return Err(format!(
                "log {} ends at {}, but from {next} on nothing is there",
                state.partition, state.end_offset
            ));
        }
        // The mark that seals it may have been on its way when the start that has passed it was durable, and its files gone.
        if let Some(last) = state.segments.last()
            && ordered
                .iter()
                .all(|entry| entry.segment != last.base_offset)
        {
            state.leave_last_behind();
        }
        Ok(ReplayedLog {
            state,
            tail: ordered,
        })
    }
}

#[cfg(test)]
mod tests;
