//! Fetch sessions (KIP-227): the broker remembers which partitions a client fetches, and only changes travel.
//!
//! Pure: time and random ids come in as arguments. A session is a list of partitions with what the client last asked and
//! what it was last told of each; an incremental fetch changes the list, and is answered for the partitions that have something new. Whoever got
//! records goes to the end of the list, so that no partition starves when an answer has no room for all.
//!
//! What must hold: sessions and the partitions in them are bounded; a request of the wrong epoch changes nothing.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use taffrail_env::Instant;
use taffrail_record::{LeaderEpoch, NO_OFFSET, Offset, TopicId};

/// The epoch of a request that opens a session.
const INITIAL_EPOCH: i32 = 0;
/// The epoch of a request that wants no session, and ends the one it names.
const FINAL_EPOCH: i32 = -1;
/// A session this long unused makes room for a new one (`min.incremental.fetch.session.eviction.ms`).
const EVICTION_AGE: Duration = Duration::from_secs(120);
/// Partitions in all sessions together.
const PARTITIONS_MAX: usize = 200_000;

/// How a request names a topic: by id from version 13 on, by name before.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TopicRef {
    Name(Rc<str>),
    Id(TopicId),
}

/// A partition as a request names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PartitionRef {
    pub topic: TopicRef,
    pub partition: i32,
}

/// What is asked of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub fetch_offset: Offset,
    pub max_bytes: i32,
    pub current_leader_epoch: LeaderEpoch,
    pub last_fetched_epoch: LeaderEpoch,
}

/// What a partition is answered, as far as sessions look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub high_watermark: Offset,
    pub log_start_offset: Offset,
    /// There is an error, or records, or something else that must be told.
    pub has_news: bool,
    pub has_error: bool,
    pub has_records: bool,
}

/// Why a request has no session context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SessionError {
    NotFound,
    InvalidEpoch,
    /// Topics are named by id where they were by name, or the other way round.
    TopicNaming,
}

/// A request as it came.
#[derive(Debug)]
pub(crate) struct SessionRequest {
    pub session_id: i32,
    pub epoch: i32,
    pub topics_by_id: bool,
    pub partitions: Vec<(PartitionRef, Wanted)>,
    pub forgotten: Vec<PartitionRef>,
    /// A random positive id for a session, should one be made.
    pub new_id: i32,
}

/// What to fetch, and under which session to answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Context {
    /// 0: none.
    pub session_id: i32,
    /// Only partitions with something new are answered.
    pub incremental: bool,
    pub partitions: Vec<(PartitionRef, Wanted)>,
}

#[derive(Debug)]
struct Cached {
    wanted: Wanted,
    /// The place in the session's order.
    place: u64,
    high_watermark: Offset,
    log_start_offset: Offset,
}

#[derive(Debug)]
struct Session {
    /// That of the next request.
    epoch: i32,
    topics_by_id: bool,
    partitions: BTreeMap<PartitionRef, Cached>,
    order: BTreeMap<u64, PartitionRef>,
    next_place: u64,
    last_used: Instant,
}

impl Session {
    fn new(request: &SessionRequest, now: Instant) -> Session {
        let mut session = Session {
            epoch: 1,
            topics_by_id: request.topics_by_id,
            partitions: BTreeMap::new(),
            order: BTreeMap::new(),
            next_place: 0,
            last_used: now,
        };
        for (partition, wanted) in &request.partitions {
            session.want(partition, *wanted);
        }
        session
    }

    fn want(&mut self, partition: &PartitionRef, wanted: Wanted) {
        if let Some(cached) = self.partitions.get_mut(partition) {
            cached.wanted = wanted;
            return;
        }
        let place = self.next_place;
        self.next_place += 1;
        self.order.insert(place, partition.clone());
        let cached = Cached {
            wanted,
            place,
            high_watermark: NO_OFFSET,
            log_start_offset: NO_OFFSET,
        };
        self.partitions.insert(partition.clone(), cached);
    }

    fn forget(&mut self, partition: &PartitionRef) {
        if let Some(cached) = self.partitions.remove(partition) {
            self.order.remove(&cached.place);
        }
    }

    fn in_order(&self) -> Vec<(PartitionRef, Wanted)> {
        self.order
            .values()
            .map(|partition| (partition.clone(), self.partitions[partition].wanted))
            .collect()
    }
}

/// Each partition where it is first named, with what is last said of it, as in Kafka.
fn once_each(partitions: Vec<(PartitionRef, Wanted)>) -> Vec<(PartitionRef, Wanted)> {
    let mut places: BTreeMap<PartitionRef, usize> = BTreeMap::new();
    let mut once: Vec<(PartitionRef, Wanted)> = Vec::with_capacity(partitions.len());
    for (partition, wanted) in partitions {
        match places.get(&partition) {
            Some(place) => once[*place].1 = wanted,
            None => {
                places.insert(partition.clone(), once.len());
                once.push((partition, wanted));
            }
        }
    }
    once
}

/// All sessions of a node.
#[derive(Debug)]
pub(crate) struct FetchSessions {
    slots_max: usize,
    partitions: usize,
    sessions: BTreeMap<i32, Session>,
}

impl FetchSessions {
    pub fn new(slots_max: usize) -> FetchSessions {
        FetchSessions {
            slots_max,
            partitions: 0,
            sessions: BTreeMap::new(),
        }
    }

    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// How many there may be.
    pub fn slots_max(&self) -> usize {
        self.slots_max
    }

    /// Partitions in all sessions together.
    pub fn partitions(&self) -> usize {
        self.partitions
    }

    /// A fetch begins: says what to fetch.
    pub fn on_request(
        &mut self,
        now: Instant,
        mut request: SessionRequest,
    ) -> Result<Context, SessionError> {
        request.partitions = once_each(request.partitions);
        match request.epoch {
            INITIAL_EPOCH | FINAL_EPOCH => {
                self.remove(request.session_id);
                let session_id = if request.epoch == INITIAL_EPOCH {
                    self.create(now, &request)
                } else {
                    0
                };
                Ok(Context {
                    session_id,
                    incremental: false,
                    partitions: request.partitions,
                })
            }
            _ => self.continue_session(now, request),
        }
    }

    fn continue_session(
        &mut self,
        now: Instant,
        request: SessionRequest,
    ) -> Result<Context, SessionError> {
        let session = self
            .sessions
            .get_mut(&request.session_id)
            .ok_or(SessionError::NotFound)?;
        if session.epoch != request.epoch {
            return Err(SessionError::InvalidEpoch);
        }
        if session.topics_by_id != request.topics_by_id {
            return Err(SessionError::TopicNaming);
        }
        // After the largest epoch comes 1, because 0 opens a session.
        session.epoch = request.epoch.checked_add(1).unwrap_or(1);
        session.last_used = now;
        let before = session.partitions.len();
        for (partition, wanted) in &request.partitions {
            session.want(partition, *wanted);
        }
        for partition in &request.forgotten {
            session.forget(partition);
        }
        self.partitions = self.partitions - before + session.partitions.len();
        let partitions = session.in_order();
        let session_id = if self.partitions > PARTITIONS_MAX {
            // The client goes on without a session.
            self.remove(request.session_id);
            0
        } else {
            request.session_id
        };
        Ok(Context {
            session_id,
            incremental: session_id != 0,
            partitions,
        })
    }

    /// Answers 0 if there is no room.
    fn create(&mut self, now: Instant, request: &SessionRequest) -> i32 {
        if self.partitions + request.partitions.len() > PARTITIONS_MAX
            || request.new_id <= 0
            || self.sessions.contains_key(&request.new_id)
        {
            return 0;
        }
        if self.sessions.len() >= self.slots_max && !self.evict(now) {
            return 0;
        }
        let session = Session::new(request, now);
        self.partitions += session.partitions.len();
        self.sessions.insert(request.new_id, session);
        request.new_id
    }

    /// Makes room by ending the session that was longest unused, if that is long enough.
    fn evict(&mut self, now: Instant) -> bool {
        let oldest = self
            .sessions
            .iter()
            .min_by_key(|(_, session)| session.last_used)
            .filter(|(_, session)| now.saturating_since(session.last_used) > EVICTION_AGE)
            .map(|(id, _)| *id);
        if let Some(id) = oldest {
            self.remove(id);
        }
        oldest.is_some() && self.sessions.len() < self.slots_max
    }

    fn remove(&mut self, id: i32) {
        if let Some(session) = self.sessions.remove(&id) {
            self.partitions -= session.partitions.len();
        }
    }

    /// A partition of a fetch is about to be answered: whether it belongs into the answer. Remembers what the client
    /// is told, and moves a partition that gives records to the end of the session's order; one that fails as well, since the
    /// room that was meant for it was nobody's.
    pub fn on_answer(&mut self, context: &Context, partition: &PartitionRef, told: Told) -> bool {
        let Some(session) = self.sessions.get_mut(&context.session_id) else {
            return !context.incremental || told.has_news;
        };
        let Some(cached) = session.partitions.get_mut(partition) else {
            return !context.incremental || told.has_news;
        };
        let differs = cached.high_watermark != told.high_watermark
            || cached.log_start_offset != told.log_start_offset;
        // After an error everything is told again.
        cached.high_watermark = if told.has_error {
            NO_OFFSET
        } else {
            told.high_watermark
        };
        cached.log_start_offset = told.log_start_offset;
        if told.has_records || told.has_error {
            session.order.remove(&cached.place);
            cached.place = session.next_place;
            session.next_place += 1;
            session.order.insert(cached.place, partition.clone());
        }
        !context.incremental || told.has_news || differs
    }
}

#[cfg(test)]
mod tests;
