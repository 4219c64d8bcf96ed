//! What happened, as clients and an all-seeing eye saw it: the input of every checker.
//!
//! A history is a sequence of events in the order in which they happened in the simulated world. An
//! operation begins with a `…Started` event and ends `Acked` (it took effect), `Failed` (it certainly
//! had no effect) or `Unknown` (nobody knows); one that never ends is unknown too. Every record that a workload
//! writes is unique in the run and names itself, so that whoever reads it can be asked where it came from.

use std::time::Duration;
use taffrail_record::{LeaderEpoch, Offset, ProducerId, TopicId, TopicPartition};
use taffrail_wire::ErrorCode;

/// An operation of a client, numbered in the order of their beginnings.
pub type OperationId = u64;

/// A client of the workload, numbered from 0.
pub type ClientId = u32;

/// A record as written or as read: who it says it is, and a digest of all that it carries (key, value, headers, timestamp).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Written {
    /// Unique in the run. A record that does not name itself properly is read as [`Written::FOREIGN`].
    pub id: u64,
    pub digest: u64,
}

impl Written {
    /// The id of bytes that no workload wrote.
    pub const FOREIGN: u64 = u64::MAX;
}

/// Who somebody is in a group, as it believes itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    pub client: ClientId,
    /// Given by the coordinator, never twice.
    pub member_id: String,
    /// A name of its own choice, which only one process may use at a time.
    pub instance: Option<String>,
    pub generation: i32,
}

/// The offsets that a node exposes of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    pub start: Offset,
    pub last_stable: Offset,
    pub high_watermark: Offset,
    pub end: Offset,
}

/// What a process asks of an open file that concerns what will be left of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskChange {
    Write,
    Sync,
    /// Zeros, or another length.
    Other,
}

/// What a healed cluster owes to whoever waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owed {
    /// That it serves again.
    Service,
    /// That it serves, or says why it does not.
    Word,
    /// That a topic is made.
    Topic,
    /// That a partition takes a record.
    Intake,
    /// That a record is acknowledged soon, where everything is well.
    Ack,
    /// That a broker says that its disk failed.
    Notice,
    /// That every record that was ever handed over is acknowledged or refused.
    Fates,
    /// That a record comes soon to a reader who waits for it at the end of the log.
    Delivery,
    /// That a fetch session brings everything there is.
    CatchUp,
    /// That each partition of a fetch session is answered in turn, where one answer has no room for all.
    Turn,
    /// That whoever was told to end comes to an end.
    Rest,
    /// That a partition can be read from its start to its end.
    ReadBack { round: u32 },
    /// That somebody says what a group has committed.
    CommittedOffset,
    /// The same, of whoever had to load it from a directory that was hurt and put right.
    CoordinatorLoad,
    /// That no coordinator is still loading.
    Loaded,
    /// That the last member of a group is given everything and finds where to go on.
    Inheritance,
}

/// What is said to be damaged: by a process that refuses to start, or by whoever verifies a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grievance {
    /// The mark or a checkpoint, from which a start takes its bearings.
    Checkpoint,
    Other,
}

/// What was done to a directory before a process refused to start with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hurt {
    /// Where, in words.
    pub place: String,
    /// What was there can be had from elsewhere, or made again.
    pub has_copy: bool,
    /// The refusal says in which file.
    pub is_named: bool,
    /// The directory is not as it was found, though it was refused before anything was to be written.
    pub is_changed: bool,
}

/// How it ended that a node was to stop cleanly and have its directory verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Well.
    Sound,
    /// It has not ended after so long.
    Endless(Duration),
    /// The node itself says why it was not clean.
    Unclean(String),
    /// What is left cannot be verified at all.
    Unverifiable(String),
    /// Something in it does not verify, and no disk has done it.
    Unsound { over: Grievance, what: String },
    /// A directory that no log explains, of which nothing will ever be rid.
    Stray(String),
}

/// One event. Clients tell what they did and saw; the world tells of nodes and, looking inside, of their state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A producer was given a record to send. `idempotent` producers promise order and no duplicates.
    SendStarted {
        operation: OperationId,
        client: ClientId,
        partition: TopicPartition,
        record: Written,
        idempotent: bool,
    },
    /// Acknowledged by all that had to, at this offset.
    SendAcked {
        operation: OperationId,
        offset: Offset,
    },
    /// Refused; certainly not in the log.
    SendFailed {
        operation: OperationId,
    },
    /// Given up; it may be in the log.
    SendUnknown {
        operation: OperationId,
    },

    /// An idempotent producer's earliest open record was refused, although everything before it was acknowledged.
    SequenceRefused {
        operation: OperationId,
        partition: TopicPartition,
        why: &'static str,
    },

    /// A client's consumer begins to read a partition: from `position` on, or from where it finds the beginning. From here on
    /// it passes over nothing and gives nothing twice.
    Placed {
        client: ClientId,
        partition: TopicPartition,
        position: Option<Offset>,
    },
    /// A consumer asked for records from `position`. `fresh`: nobody had asked on its behalf before, so that what it gets was found
    /// in the log after this.
    PollStarted {
        operation: OperationId,
        client: ClientId,
        partition: TopicPartition,
        position: Offset,
        fresh: bool,
    },
    /// What it got, in the order in which it came; the high watermark that the answer named.
    PollAcked {
        operation: OperationId,
        records: Vec<(Offset, Written)>,
        high_watermark: Offset,
    },
    /// It was told that `position` lies outside of the log.
    PollOutOfRange {
        operation: OperationId,
    },
    /// It got a retriable error, or nothing in time.
    PollFailed {
        operation: OperationId,
    },

    /// A client asked where the partition ends.
    EndStarted {
        operation: OperationId,
        client: ClientId,
        partition: TopicPartition,
    },
    EndAcked {
        operation: OperationId,
        end: Offset,
    },

    /// A client asked where the partition starts.
    EarliestStarted {
        operation: OperationId,
        client: ClientId,
        partition: TopicPartition,
    },
    EarliestAcked {
        operation: OperationId,
        start: Offset,
    },

    /// Somebody who had seen a leader epoch reach `seen` was told what epoch it is in truth, and where that ends.
    EpochEnd {
        partition: TopicPartition,
        epoch: LeaderEpoch,
        seen: Offset,
        told: (LeaderEpoch, Offset),
    },

    /// A group's offset is committed, by a member or by somebody who is none.
    CommitStarted {
        operation: OperationId,
        group: u32,
        partition: TopicPartition,
        offset: Offset,
        by: Option<Membership>,
    },
    CommitAcked {
        operation: OperationId,
    },
    CommitFailed {
        operation: OperationId,
    },
    /// A group's committed offset is asked for.
    CommittedStarted {
        operation: OperationId,
        group: u32,
        partition: TopicPartition,
    },
    CommittedAcked {
        operation: OperationId,
        offset: Option<Offset>,
    },
    /// It was not answered, or nobody asked after all.
    CommittedFailed {
        operation: OperationId,
    },

    /// A member took over partitions, at this generation of its group.
    Assigned {
        group: u32,
        by: Membership,
        partitions: Vec<TopicPartition>,
    },
    /// A member owned partitions from an earlier generation when this one shared them out; it keeps them, or gives them up now.
    Held {
        group: u32,
        by: Membership,
        partitions: Vec<TopicPartition>,
    },
    /// A member gave up all that it owned, or died.
    Revoked {
        group: u32,
        member: ClientId,
    },

    /// A topic's deletion was asked for: from here on its partitions may be gone.
    DeleteStarted {
        partition: TopicPartition,
    },
    /// The deletion was acknowledged: from here on nothing is done in the name of the topic's id.
    Deleted {
        partition: TopicPartition,
    },
    /// Which topic bears the name of the partition's topic, whose deletion nobody has asked for.
    NameResolved {
        partition: TopicPartition,
        found: Option<TopicId>,
    },
    /// A client asked for a producer id of its own, and was given this one.
    ProducerGiven {
        client: ClientId,
        id: ProducerId,
    },
    /// From now on the codec in which records are stored may change.
    Recompresses,
    /// The logs of the topics of users begin at this offset, not at 0.
    LogsBegin {
        offset: Offset,
    },
    /// Retention or an operator moved the start of the log on purpose.
    StartMoved {
        partition: TopicPartition,
        start: Offset,
    },

    /// A partition keeps to a size alone: nothing of it goes by age, and of its oldest segments one goes only if so many bytes are left.
    Retention {
        partition: TopicPartition,
        bytes: u64,
    },

    /// What retention had left of a partition when it was waited for while nobody wrote to it: so many bytes, and at most so many may
    /// stay; `None` if nobody saw it.
    Retained {
        partition: TopicPartition,
        bytes: Option<u64>,
        bytes_max: u64,
        waited: Duration,
    },

    /// What a live node exposes of a partition at this instant, and how many bytes it has of it.
    Exposed {
        node: u32,
        incarnation: u32,
        partition: TopicPartition,
        bounds: Bounds,
        size: u64,
    },
    /// By which metadata a live node goes, and how far their log had committed after that was asked.
    MetadataShown {
        node: u32,
        incarnation: u32,
        applied: Offset,
        committed: Offset,
    },
    /// A segment on a disk: how many batches are in it, of how many bytes, and how many it may have unless there is but one.
    SegmentSeen {
        partition: TopicPartition,
        base: Offset,
        batches: usize,
        bytes: u64,
        bytes_max: u64,
    },
    /// A node has recovered and serves; whether it was stopped cleanly before, and whether it believes so.
    NodeUp {
        node: u32,
        incarnation: u32,
        clean: bool,
        believes_clean: bool,
    },
    /// A node is dead: killed, cut from power or stopped.
    NodeDown {
        node: u32,
    },
    /// A broken disk may have damaged these records: errors may be answered where they were, but nothing false.
    DamageAllowed {
        node: u32,
        partition: TopicPartition,
        from: Offset,
        to: Offset,
    },
    /// What was damaged on the node is as it was before.
    DamageMended {
        node: u32,
    },
    /// A broken disk may have damaged anything: all that is left to promise is that nothing false is answered.
    LossAllowed {
        node: u32,
    },

    /// The whole committed log of a partition, as read back at the end or after a restart, but for what was refused in
    /// this round before.
    ReadBack {
        round: u32,
        partition: TopicPartition,
        start: Offset,
        end: Offset,
        records: Vec<(Offset, Written)>,
    },
    /// These records of the partition could not be read back, and an error said so.
    ReadBackRefused {
        round: u32,
        partition: TopicPartition,
        from: Offset,
        to: Offset,
    },

    /// A process asked its disk for a change of an open file; which records it is about to write, as far as they can be told.
    DiskAsked {
        node: u32,
        incarnation: u32,
        /// Which file it is, whatever its name.
        file: usize,
        handle: u64,
        change: DiskChange,
        records: Vec<u64>,
    },
    /// The first open change of that handle has taken effect, or it failed.
    DiskEnded {
        node: u32,
        incarnation: u32,
        file: usize,
        handle: u64,
        change: DiskChange,
        failed: bool,
    },

    /// Somebody waited for what a healed cluster owes.
    Awaited {
        owed: Owed,
        /// Whose it is, or when it was: a partition, a topic, "after the healing".
        of: String,
        /// How long it took; or what there was instead, when nobody waited any longer.
        came: Result<Duration, String>,
        /// How long it may take.
        patience: Duration,
    },
    /// What was made of a group's members in so much time without a fault.
    GroupSettled {
        /// The generations that its members believe in.
        generations: Vec<(ClientId, i32)>,
        /// How far the group has committed that it has read each partition, and how far it had to come.
        reach: Vec<(TopicPartition, Offset, Offset)>,
        waited: Duration,
    },
    /// For so long nobody was to join a group, leave it, or be silent, nor for some time before: the generations that its members believed in
    /// before and after.
    GroupIdle {
        before: Vec<(ClientId, i32)>,
        after: Vec<(ClientId, i32)>,
        lasted: Duration,
    },
    /// A fetch that belongs to a session was answered: `session` and `epoch` are those of the request, where 0 and 0 open one.
    SessionAnswered {
        client: ClientId,
        session: i32,
        epoch: i32,
        /// The session that the answer belongs to (0: none), or the code with which the whole of it was refused.
        answer: Result<i32, ErrorCode>,
        /// What the session asks for, by names.
        asked: Vec<String>,
        /// What the answer speaks of.
        answered: Vec<String>,
    },
    /// A client asked for records of a partition in the name of a leader epoch.
    EpochClaimed {
        partition: String,
        epoch: LeaderEpoch,
        /// The newest one that has begun.
        begun: LeaderEpoch,
        /// Whether it was given any, or told that there are none.
        answered: bool,
    },
    /// A process did not start, though no fault strikes any more.
    StartRefused {
        node: u32,
        /// After what it was to start.
        after: String,
        over: Grievance,
        why: String,
        /// What had been done to its directory; `None` if that is as a process left it.
        hurt: Option<Hurt>,
    },
    /// A node was to stop cleanly while no fault strikes any more, and its directory was verified.
    Stopped {
        node: u32,
        stop: Stop,
    },
    /// Where one of a node's own logs begins, and where the snapshot ends that stands for what came before.
    PrefixLeft {
        node: u32,
        log: TopicPartition,
        start: Offset,
        snapshot_end: Offset,
    },

    /// Digests of one piece of state, computed in two ways that must agree.
    Digests {
        /// The invariant that says so.
        what: &'static str,
        /// Of what it is the state.
        of: String,
        node: u32,
        live: u64,
        replayed: u64,
    },
    /// Memory in use by a node, and what it may use, in bytes.
    Memory {
        node: u32,
        used: u64,
        budget: u64,
    },
    /// The longest that a queue of a node ever was, and may be.
    Queue {
        node: u32,
        what: &'static str,
        longest: usize,
        bound: usize,
    },
    /// What a node still holds while nobody asks anything of it.
    IdleReservations {
        node: u32,
        /// What is held: bytes of memory, places of reads that wait, or what is left of topics that are gone.
        what: &'static str,
        held: u64,
    },
}

impl Event {
    /// Whether an operation of a client ends with this, well or not.
    pub fn ends_operation(&self) -> bool {
        matches!(
            self,
            Event::SendAcked { .. }
                | Event::SendFailed { .. }
                | Event::SendUnknown { .. }
                | Event::PollAcked { .. }
                | Event::PollOutOfRange { .. }
                | Event::PollFailed { .. }
                | Event::EndAcked { .. }
                | Event::EarliestAcked { .. }
                | Event::CommitAcked { .. }
                | Event::CommitFailed { .. }
                | Event::CommittedAcked { .. }
        )
    }
}
