//! The trace of a run: every event folded into a 128-bit hash, with checkpoints.
//!
//! An event is six fixed-width numbers (kind, node, time, two details, payload digest); nothing in it is a
//! pointer, a map order or a floating-point number, so that equal runs have equal hashes in every build and
//! on every 64-bit little-endian machine. Checkpoints let two runs be bisected to the first event in which
//! they differ. Texts are made only when somebody records them.

use crate::fault::FaultKind;
use std::collections::VecDeque;
use std::fmt;

/// What happened. The numbers are part of the hash: never renumber, only add.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u16)]
pub enum EventKind {
    /// A task was polled; a: its id.
    Poll = 1,
    /// A timer fired; a: its deadline.
    Timer = 2,
    /// A task ended; a: its id.
    TaskEnd = 3,
    /// A node's incarnation began; a: the incarnation, b: how fast its monotonic clock is in parts per million, as two's complement.
    Start = 10,
    /// A node's program ended by itself; a: the incarnation.
    Exit = 11,
    /// A process was killed; a: the incarnation.
    Kill = 12,
    /// Power was lost; a: the incarnation.
    PowerCut = 13,
    Pause = 14,
    Resume = 15,
    /// The wall clock was stepped; a: by how many nanoseconds, as two's complement, b: 0. Or b: 1 if it goes on, 2 if it stands still.
    ClockStep = 16,
    WipeDisk = 17,
    /// A disk operation began; a: operation, b: offset, digest: of what is written.
    DiskBegin = 30,
    /// A disk operation ended; a: operation, b: outcome (0 is success).
    DiskEnd = 31,
    /// A name changed or was looked up; a: operation, digest: of the path.
    DiskName = 32,
    /// A disk is in another condition; a: the kind of fault, b: how bad (times slower, nanoseconds of stall, 1), or 0 if that is over.
    DiskCondition = 33,
    /// Connection attempt; a: port, b: the other node.
    Connect = 50,
    /// Connection established; a: connection.
    Established = 51,
    /// Bytes were handed to the network; a: connection and direction, b: how many, digest: of the bytes.
    Send = 52,
    /// Bytes arrived; a: connection and direction, b: how many.
    Arrive = 53,
    /// A stream ended; a: connection and direction.
    Finish = 54,
    /// A connection broke; a: connection and direction.
    Reset = 55,
    /// A link was cut or healed; a: the other node, b: 1 for a cut.
    Link = 56,
    /// A fault was injected; a: its kind, b: what it hit.
    Fault = 70,
    /// Something that a workload or a checker put into the trace.
    Note = 80,
    /// The run is in another phase; its name is the text.
    Phase = 81,
}

/// One event, as recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The number of events before this one.
    pub number: u64,
    /// Simulated nanoseconds since the start.
    pub time: u64,
    pub kind: EventKind,
    /// 0 is the harness; a node's number is its id plus one.
    pub node: u32,
    pub a: u64,
    pub b: u64,
    pub digest: u64,
    pub text: Option<String>,
}

/// What a node is called by its number in a trace, as in the labels of decisions: `n0` and on from there.
pub fn label_of(number: u32) -> String {
    match number.checked_sub(1) {
        None => "world".to_owned(),
        Some(id) => format!("n{id}"),
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            EventKind::Fault | EventKind::DiskCondition => FaultKind::numbered(self.a),
            _ => None,
        };
        let a = kind.map_or_else(|| format!("{:x}", self.a), |kind| kind.name().to_owned());
        write!(
            f,
            "{} {:>16} {} {:?} {a} {:x} {:016x} {}",
            self.number,
            self.time,
            label_of(self.node),
            self.kind,
            self.b,
            self.digest,
            self.text.as_deref().unwrap_or("")
        )
    }
}

/// How much of the trace is kept beside its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recording {
    Off,
    /// The last so many events.
    Last(usize),
    /// The events from the first of these numbers to before the second.
    Window(u64, u64),
    /// Everything.
    Full,
}

/// A 128-bit hash, printed as 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceHash(pub u128);

impl fmt::Display for TraceHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// The hash after the first `events` events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    pub events: u64,
    pub hash: TraceHash,
}

/// At most this many checkpoints are kept; then every other one goes and the interval doubles.
const CHECKPOINTS_MAX: usize = 1024;
const FIRST_INTERVAL: u64 = 1024;

/// The running hash, its checkpoints and, if wanted, the events.
pub struct Trace {
    low: u64,
    high: u64,
    events: u64,
    interval: u64,
    next_checkpoint: u64,
    checkpoints: Vec<Checkpoint>,
    recording: Recording,
    kept: VecDeque<Event>,
}

impl Trace {
    pub fn new(recording: Recording) -> Self {
        Self {
            low: 0x243f_6a88_85a3_08d3,
            high: 0x1319_8a2e_0370_7344,
            events: 0,
            interval: FIRST_INTERVAL,
            next_checkpoint: FIRST_INTERVAL,
            checkpoints: Vec::new(),
            recording,
            kept: VecDeque::new(),
        }
    }

    /// Folds one event in. `text` is called only when events are recorded.
    #[inline]
    pub fn event(
        &mut self,
        kind: EventKind,
        node: u32,
        time: u64,
        details: (u64, u64, u64),
        text: impl FnOnce() -> Option<String>,
    ) {
        let (a, b, digest) = details;
        let head = (u64::from(kind as u16) << 32) | u64::from(node);
        self.low = fold(self.low ^ head, 0x9e37_79b9_7f4a_7c15 ^ time);
        self.high = fold(self.high ^ self.low ^ a, 0xc2b2_ae3d_27d4_eb4f ^ b);
        self.low = fold(
            self.low.wrapping_add(digest),
            self.high ^ 0x1656_67b1_9e37_79f9,
        );
        if self.records_next() {
            let event = Event {
                number: self.events,
                time,
                kind,
                node,
                a,
                b,
                digest,
                text: text(),
            };
            self.keep(event);
        }
        self.events += 1;
        if self.events == self.next_checkpoint {
            self.checkpoint();
        }
    }

    pub fn events(&self) -> u64 {
        self.events
    }

    pub fn hash(&self) -> TraceHash {
        TraceHash((u128::from(self.high) << 64) | u128::from(self.low))
    }

    pub fn recording(&self) -> Recording {
        self.recording
    }

    pub fn checkpoints(&self) -> &[Checkpoint] {
        &self.checkpoints
    }

    /// The recorded events, oldest first.
    pub fn into_events(self) -> Vec<Event> {
        self.kept.into()
    }

    #[inline]
    fn records_next(&self) -> bool {
        match self.recording {
            Recording::Off => false,
            Recording::Last(_) | Recording::Full => true,
            Recording::Window(from, to) => from <= self.events && self.events < to,
        }
    }

    fn keep(&mut self, event: Event) {
        if let Recording::Last(limit) = self.recording
            && self.kept.len() >= limit
        {
            self.kept.pop_front();
        }
        self.kept.push_back(event);
    }

    #[cold]
    fn checkpoint(&mut self) {
        self.checkpoints.push(Checkpoint {
            events: self.events,
            hash: self.hash(),
        });
        if self.checkpoints.len() >= CHECKPOINTS_MAX {
            self.interval *= 2;
            let interval = self.interval;
            self.checkpoints.retain(|kept| kept.events % interval == 0);
        }
        self.next_checkpoint = (self.events / self.interval + 1) * self.interval;
    }
}

/// The two halves of a 128-bit product, folded.
#[inline]
fn fold(x: u64, y: u64) -> u64 {
    // The rotation keeps the state even where a factor happens to be zero.
    let product = u128::from(x) * u128::from(y);
    (product as u64) ^ ((product >> 64) as u64) ^ x.rotate_left(29)
}

/// A digest of bytes for the trace: eight bytes a step, the same on every little-endian machine.
pub fn digest(bytes: &[u8]) -> u64 {
    digest_more(0x5851_f42d_4c95_7f2d, bytes)
}

/// [`digest`] of what came before, continued. Cutting the bytes differently gives another digest.
pub fn digest_more(before: u64, bytes: &[u8]) -> u64 {
    let mut state = fold(before ^ bytes.len() as u64, 0xa076_1d64_78bd_642f);
    let mut words = bytes.chunks_exact(16);
    for word in &mut words {
        let (left, right) = word.split_at(8);
        state = fold(
            state ^ read_word(left),
            read_word(right) ^ 0xe703_7ed1_a0b4_28db,
        );
    }
    let mut rest = [0; 16];
    rest[..words.remainder().len()].copy_from_slice(words.remainder());
    let (left, right) = rest.split_at(8);
    fold(
        state ^ read_word(left),
        read_word(right) ^ 0x8ebc_6af0_9c88_c6e3,
    )
}

fn read_word(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(bytes);
    u64::from_le_bytes(word)
}

/// `profile@seed#hash`: which run, and what it must come out as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunName {
    pub profile: String,
    pub seed: u64,
    pub hash: Option<TraceHash>,
}

impl RunName {
    /// Reads `profile@seed` or `profile@seed#hash`.
    pub fn parse(text: &str) -> Result<RunName, String> {
        let wrong = || {
            format!(
                "`{text}` is not the name of a run: it is profile@seed or profile@seed#hash, \
                 where the hash is 32 hexadecimal digits"
            )
        };
        let (profile, rest) = text.split_once('@').ok_or_else(wrong)?;
        let (seed, hash) = match rest.split_once('#') {
            Some((seed, hash)) => (seed, Some(hash)),
            None => (rest, None),
        };
        let seed = seed.parse().map_err(|_| wrong())?;
        let hash = match hash {
            Some(hash) if hash.len() == 32 => Some(TraceHash(
                u128::from_str_radix(hash, 16).map_err(|_| wrong())?,
            )),
            Some(_) => return Err(wrong()),
            None => None,
        };
        if profile.is_empty() {
            return Err(wrong());
        }
        Ok(RunName {
            profile: profile.to_owned(),
            seed,
            hash,
        })
    }
}

impl fmt::Display for RunName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.profile, self.seed)?;
        match self.hash {
            Some(hash) => write!(f, "#{hash}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
