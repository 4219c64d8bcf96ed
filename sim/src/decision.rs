//! Every choice the simulated world makes, each from a stream of its own.
//!
//! A stream is keyed by (seed, label); its n-th draw is a pure function of (seed, label, n). Nothing is drawn
//! from a shared generator, so that taking one fault away, or adding one, moves no draw of any other stream:
//! that is what makes shrinking work. A draw's *final value* (a count, a delay, yes or no) can be recorded,
//! and replaced by an edit. Integers only, so that every machine and every build decides alike.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// One million: chances are given in parts per million.
pub const MILLION: u32 = 1_000_000;

/// Draws at one instant, as a power of two; leaves room for nanoseconds of more than half a year.
const INSTANT_SHIFT: u32 = 10;

/// A stream of decisions, once its label is known to [`Decisions`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stream(u32);

/// One decision that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    pub stream: Stream,
    /// The number of draws that this stream had given before.
    pub counter: u64,
    pub value: u64,
}

/// What replaces draws. An edited value is clamped to what the draw could have given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edits {
    /// By label and counter.
    pub values: BTreeMap<(String, u64), u64>,
    /// Labels whose every draw without a value of its own is the quietest: no fault, the shortest delay.
    pub quiet: BTreeSet<String>,
}

impl Edits {
    /// No edit at all: the seed decides everything.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty() && self.quiet.is_empty()
    }

    /// Reads what [`fmt::Display`] writes: lines of `label#counter=value` or `quiet label`.
    pub fn parse(text: &str) -> Result<Edits, String> {
        let mut edits = Edits::default();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            if let Some(label) = line.strip_prefix("quiet ") {
                edits.quiet.insert(label.to_owned());
                continue;
            }
            let (key, value) = line.rsplit_once('=').ok_or_else(|| bad_line(line))?;
            let (label, counter) = key.rsplit_once('#').ok_or_else(|| bad_line(line))?;
            let counter = counter.parse().map_err(|_| bad_line(line))?;
            let value = value.parse().map_err(|_| bad_line(line))?;
            edits.values.insert((label.to_owned(), counter), value);
        }
        Ok(edits)
    }
}

fn bad_line(line: &str) -> String {
    format!("not an edit: `{line}`; an edit is `label#counter=value` or `quiet label`")
}

impl fmt::Display for Edits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for label in &self.quiet {
            writeln!(f, "quiet {label}")?;
        }
        for ((label, counter), value) in &self.values {
            writeln!(f, "{label}#{counter}={value}")?;
        }
        Ok(())
    }
}

/// A distribution of integers as a table: (share in parts per million, least, most), uniform within a row.
/// The shares of a table add up to one million.
#[derive(Clone, Copy, Debug)]
pub struct Tail(pub &'static [(u32, u64, u64)]);

struct StreamState {
    label: String,
    key: u64,
    counter: u64,
    edits: Option<BTreeMap<u64, u64>>,
    quiet: bool,
}

struct Inner {
    streams: Vec<StreamState>,
    by_label: BTreeMap<String, Stream>,
    edits: Edits,
    record: Option<Vec<Decision>>,
    /// Draws that no edit decided.
    free: u64,
}

/// The one place where the world's choices come from.
pub struct Decisions {
    seed: u64,
    inner: RefCell<Inner>,
}

impl Decisions {
    /// `record` keeps every decision for [`Decisions::take_record`].
    pub fn new(seed: u64, edits: Edits, record: bool) -> Self {
        let inner = Inner {
            streams: Vec::new(),
            by_label: BTreeMap::new(),
            edits,
            record: record.then(Vec::new),
            free: 0,
        };
        Self {
            seed,
            inner: RefCell::new(inner),
        }
    }

    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The stream called `label`; the same one each time.
    pub fn stream(&self, label: &str) -> Stream {
        let mut inner = self.inner.borrow_mut();
        if let Some(stream) = inner.by_label.get(label) {
            return *stream;
        }
        let stream = Stream(inner.streams.len() as u32);
        let edits: BTreeMap<u64, u64> = inner
            .edits
            .values
            .range((label.to_owned(), 0)..=(label.to_owned(), u64::MAX))
            .map(|((_, counter), value)| (*counter, *value))
            .collect();
        let state = StreamState {
            label: label.to_owned(),
            key: stream_key(self.seed, label),
            counter: 0,
            edits: (!edits.is_empty()).then_some(edits),
            quiet: inner.edits.quiet.contains(label),
        };
        inner.streams.push(state);
        inner.by_label.insert(label.to_owned(), stream);
        stream
    }

    /// Lets the draws that follow have counters from `instant` (shifted left, to leave room for many at one instant) on. A stream whose every
    /// round of draws is begun so gives what it gives by *when* it is asked, however often it was asked before.
    pub fn reach(&self, stream: Stream, instant: u64) {
        let state = &mut self.inner.borrow_mut().streams[stream.0 as usize];
        state.counter = state.counter.max(instant << INSTANT_SHIFT);
    }

    /// The label that `stream` was made from.
    pub fn label(&self, stream: Stream) -> String {
        self.inner.borrow().streams[stream.0 as usize].label.clone()
    }

    /// One of `0..n`; `n` is at least 1.
    pub fn below(&self, stream: Stream, n: u64) -> u64 {
        self.decide(stream, 0, n - 1, |raw| scale(raw, n))
    }

    /// One of `least..=most`.
    pub fn between(&self, stream: Stream, least: u64, most: u64) -> u64 {
        self.decide(stream, least, most, |raw| {
            // The whole range of u64 has one value more than u64 can count.
            match (most - least).checked_add(1) {
                Some(n) => least + scale(raw, n),
                None => raw,
            }
        })
    }

    /// Yes in `ppm` of a million draws.
    pub fn chance(&self, stream: Stream, ppm: u32) -> bool {
        self.decide(stream, 0, 1, |raw| {
            u64::from(scale(raw, u64::from(MILLION)) < u64::from(ppm))
        }) == 1
    }

    /// A value of the table's distribution.
    pub fn tail(&self, stream: Stream, tail: Tail) -> u64 {
        let least = tail.0.iter().map(|row| row.1).min().unwrap_or(0);
        let most = tail.0.iter().map(|row| row.2).max().unwrap_or(0);
        self.decide(stream, least, most, |raw| tail_value(raw, tail))
    }

    /// Sixty-four random bits.
    pub fn bits(&self, stream: Stream) -> u64 {
        self.decide(stream, 0, u64::MAX, |raw| raw)
    }

    /// Edits that have decided nothing so far: draws that were not made, and labels that no stream has borne.
    pub fn idle_edits(&self) -> Edits {
        let inner = self.inner.borrow();
        let is_left = |label: &String, counter: &u64| match inner.by_label.get(label) {
            Some(stream) => {
                let edits = &inner.streams[stream.0 as usize].edits;
                edits
                    .as_ref()
                    .is_some_and(|edits| edits.contains_key(counter))
            }
            None => true,
        };
        let values = inner.edits.values.iter();
        let quiet = inner.edits.quiet.iter();
        Edits {
            values: values
                .filter(|((label, counter), _)| is_left(label, counter))
                .map(|(key, value)| (key.clone(), *value))
                .collect(),
            quiet: quiet
                .filter(|label| !inner.by_label.contains_key(*label))
                .cloned()
                .collect(),
        }
    }

    /// How many draws no edit has decided.
    pub fn free_draws(&self) -> u64 {
        self.inner.borrow().free
    }

    /// What was recorded since the last call, in order; empty if recording is off.
    pub fn take_record(&self) -> Vec<Decision> {
        match &mut self.inner.borrow_mut().record {
            Some(record) => std::mem::take(record),
            None => Vec::new(),
        }
    }

    /// The recorded decisions as edits, which drive a run without its seed.
    pub fn as_edits(&self, record: &[Decision]) -> Edits {
        let inner = self.inner.borrow();
        let values = record
            .iter()
            .map(|decision| {
                let label = inner.streams[decision.stream.0 as usize].label.clone();
                ((label, decision.counter), decision.value)
            })
            .collect();
        Edits {
            values,
            quiet: BTreeSet::new(),
        }
    }

    #[inline]
    fn decide(&self, stream: Stream, least: u64, most: u64, draw: impl FnOnce(u64) -> u64) -> u64 {
        let mut inner = self.inner.borrow_mut();
        let state = &mut inner.streams[stream.0 as usize];
        let counter = state.counter;
        state.counter += 1;
        let edited = match &mut state.edits {
            Some(edits) => edits.remove(&counter),
            None => None,
        };
        inner.free += u64::from(edited.is_none());
        let state = &inner.streams[stream.0 as usize];
        let value = match edited {
            Some(value) => value.clamp(least, most),
            None if state.quiet => least,
            None => draw(draw_bits(state.key, counter)),
        };
        if let Some(record) = &mut inner.record {
            record.push(Decision {
                stream,
                counter,
                value,
            });
        }
        value
    }
}

fn tail_value(raw: u64, tail: Tail) -> u64 {
    let mut share = scale(raw, u64::from(MILLION)) as u32;
    for (weight, least, most) in tail.0 {
        if share < *weight {
            // The row was chosen by the high bits; the place in it comes from all of them, mixed anew.
            return least + scale(mix(raw), most - least + 1);
        }
        share -= weight;
    }
    tail.0.last().map_or(0, |row| row.2)
}

/// `raw` of 2^64 scaled to `0..n`, as a multiplication.
fn scale(raw: u64, n: u64) -> u64 {
    ((u128::from(raw) * u128::from(n)) >> 64) as u64
}

/// The finaliser of SplitMix64.
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn draw_bits(key: u64, counter: u64) -> u64 {
    mix(key.wrapping_add(counter.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15)))
}

fn stream_key(seed: u64, label: &str) -> u64 {
    let mut key = mix(seed ^ 0x7461_6666_7261_696c);
    for byte in label.bytes() {
        key = mix(key ^ u64::from(byte)).wrapping_add(0x9e37_79b9_7f4a_7c15);
    }
    mix(key)
}

#[cfg(test)]
mod tests;
