//! A run as one HTML page that needs no network: a lane for each node with its lives, faults and operations, messages as arrows, and
//! each partition's log end and high watermark as curves.
//!
//! Everything comes from a run that was recorded in full ([`crate::Recording::Full`]): the trace says what the world
//! did, the history what clients and the all-seeing eye told the judges. What is drawn lies in the lane of the node that did it,
//! and in that of the run itself if none did, so that nothing is without a place.

mod conditions;
mod spans;
mod told;
mod words;

use crate::run::Outcome;
use serde_json::{Value, json};
use spans::Spans;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use taffrail_record::TopicPartition;

const PAGE: &str = include_str!("view/page.html");
/// The lane of the run itself; in a trace 0 is the harness.
const RUN: u32 = 0;
/// The lane of the first node.
const FIRST_NODE: u32 = 1;

/// The page.
pub fn page<T>(outcome: &Outcome<T>) -> String {
    let mut picture = Picture {
        nodes: outcome.nodes.clone(),
        ..Picture::default()
    };
    picture.learn(&outcome.partitions);
    for event in &outcome.trace {
        picture.trace(event);
    }
    for told in &outcome.history {
        picture.told(told);
    }
    let end = outcome.simulated.as_nanos() as u64;
    let data = picture.finish(outcome, end).to_string();
    // Nothing in the data ends the element that it stands in, nor opens a comment or another script in it.
    PAGE.replace("/*DATA*/", &data.replace('<', "\\u003c"))
}

/// What was sent in one direction of a connection and has not arrived: when, and how many bytes.
type OnTheirWay = VecDeque<(u64, u64)>;

/// Something that is to be drawn at one moment.
struct Mark {
    time: u64,
    event: u64,
    node: u32,
    shape: &'static str,
    colour: &'static str,
    /// Upper, middle or lower.
    row: u32,
    title: String,
    detail: String,
    /// Its partitions, if it is about some.
    partitions: Vec<String>,
}

/// Something that lasts.
struct Open {
    from: u64,
    /// When it is over by itself.
    until: Option<u64>,
    text: String,
}

#[derive(Default)]
struct Picture {
    /// Names; the first one's lane is [`FIRST_NODE`].
    nodes: Vec<String>,
    bands: Vec<Value>,
    /// What goes on, by lane, kind and what tells it from its like.
    open: BTreeMap<(u32, &'static str, u64), Open>,
    marks: Vec<Mark>,
    /// By connection and direction: the sender, and what is on its way.
    streams: BTreeMap<u64, (u32, OnTheirWay)>,
    messages: Vec<[u64; 5]>,
    curves: BTreeMap<String, Vec<[i64; 4]>>,
    names: BTreeMap<TopicPartition, String>,
    /// By how many nanoseconds the nodes' wall clocks are wrong.
    skews: BTreeMap<u32, i64>,
    brokers: BTreeSet<u32>,
    spans: Spans,
}

impl Picture {
    /// Gives every partition a name of its own; a topic made anew has a second one.
    fn learn(&mut self, partitions: &BTreeMap<TopicPartition, String>) {
        let mut used: BTreeMap<&str, u32> = BTreeMap::new();
        for (partition, name) in partitions {
            let times = used.entry(name).or_default();
            *times += 1;
            let name = match times {
                1 => name.clone(),
                again => format!("{name} ({again})"),
            };
            self.names.insert(*partition, name);
        }
    }

    fn name(&self, partition: TopicPartition) -> String {
        let known = self.names.get(&partition).cloned();
        known.unwrap_or_else(|| format!("{}/{}", partition.topic, partition.partition))
    }

    fn finish<T>(mut self, outcome: &Outcome<T>, end: u64) -> Value {
        let open: Vec<_> = self.open.keys().copied().collect();
        for (node, kind, of) in open {
            self.end(node, kind, of, end);
        }
        self.marks.sort_by_key(|mark| (mark.time, mark.event));
        self.messages.sort_unstable();
        let spans = std::mem::take(&mut self.spans).finish(end);
        let spans = spans.into_iter();
        let spans: BTreeMap<String, Vec<[u64; 3]>> = spans
            .map(|(partition, spans)| (self.name(partition), spans))
            .collect();
        // Of a log that never held anything there is nothing to see.
        self.curves
            .retain(|_, curve| curve.iter().any(|point| point[3] > 0));
        let slowest = self.messages.iter().map(|message| message[1] - message[0]);
        let slowest = slowest.max().unwrap_or(0);
        let mut partitions: BTreeSet<&String> = self.curves.keys().collect();
        partitions.extend(self.marks.iter().flat_map(|mark| &mark.partitions));
        let faults = outcome.faults.iter().filter(|count| count.injected > 0);
        json!({
            "name": outcome.name.to_string(),
            "profile": outcome.name.profile,
            "seed": outcome.name.seed.to_string(),
            "end": end,
            "events": outcome.events,
            "operations": outcome.operations,
            "failure": failure(outcome),
            "lanes": self.lanes(),
            "partitions": partitions,
            "curves": self.curves,
            "spans": spans,
            "bands": self.bands,
            "messages": self.messages,
            "slowest": slowest,
            "marks": self.marks.iter().map(Mark::as_json).collect::<Vec<_>>(),
            "faultCounts": faults.map(|count| json!([count.kind.name(), count.injected, count.met, count.kind.describe()])).collect::<Vec<_>>(),
        })
    }

    fn lanes(&self) -> Vec<Value> {
        let run = json!({"number": RUN, "name": "run", "kind": "run"});
        let nodes = (FIRST_NODE..).zip(&self.nodes).map(|(number, name)| {
            let kind = match self.brokers.contains(&number) {
                true => "broker",
                false => "client",
            };
            json!({"number": number, "name": name, "kind": kind})
        });
        std::iter::once(run).chain(nodes).collect()
    }
}

impl Mark {
    fn as_json(&self) -> Value {
        json!({
            "time": self.time, "event": self.event, "node": self.node, "shape": self.shape, "colour": self.colour,
            "row": self.row, "title": self.title, "detail": self.detail, "partitions": self.partitions,
        })
    }
}

fn failure<T>(outcome: &Outcome<T>) -> Option<Value> {
    let failure = outcome.failure.as_ref()?;
    Some(json!({
        "invariant": failure.invariant, "witness": failure.witness, "event": failure.event,
        "time": failure.time.as_nanos() as u64, "node": failure.node.map(|node| node.number()),
    }))
}

#[cfg(test)]
mod tests;
