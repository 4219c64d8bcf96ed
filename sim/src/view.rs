//! A run as one HTML page that needs no network: a lane for each node with its lives, faults and operations, messages as arrows, and
//! each partition's log end and high watermark as curves.
//!
//! Everything comes from a run that was recorded in full ([`crate::Recording::Full`]): the trace says what the world
//! did, the history what clients and the all-seeing eye told the judges.

use crate::fault::FaultKind;
use crate::history::{ClientId, Event as History, OperationId};
use crate::run::Outcome;
use crate::trace::{Event, EventKind};
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use taffrail_record::TopicPartition;

const PAGE: &str = include_str!("view/page.html");
/// Letters of an event's description; a whole partition read back is longer than anybody wants to read.
const DETAIL_MAX: usize = 300;

/// The page.
pub fn page<T>(outcome: &Outcome<T>) -> String {
    let mut picture = Picture::default();
    picture.learn(&outcome.partitions);
    for event in &outcome.trace {
        picture.trace(event);
    }
    for told in &outcome.history {
        picture.history(told.time, told.events, &told.event);
    }
    let end = outcome.simulated.as_nanos() as u64;
    let data = picture.finish(outcome, end).to_string();
    // Nothing in the data ends the element that it stands in.
    PAGE.replace("/*DATA*/", &data.replace("</", "<\\/"))
}

/// What was sent in one direction of a connection and has not arrived: when, and how many bytes.
type OnTheirWay = VecDeque<(u64, u64)>;

#[derive(Default)]
struct Picture {
    bands: Vec<Value>,
    /// The beginning of what goes on, by lane and kind.
    open: BTreeMap<(u32, &'static str, u64), (u64, String)>,
    marks: Vec<(u64, Value)>,
    /// By connection and direction: the sender, and what is on its way.
    streams: BTreeMap<u64, (u32, OnTheirWay)>,
    messages: Vec<[u64; 5]>,
    curves: BTreeMap<String, Vec<[i64; 4]>>,
    names: BTreeMap<TopicPartition, String>,
    /// Who began an operation, and where.
    operations: BTreeMap<OperationId, (u32, Option<TopicPartition>)>,
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

    fn trace(&mut self, event: &Event) {
        match event.kind {
            EventKind::Start => {
                let text = format!("process {} runs", event.a);
                self.begin(event.node, "up", 0, event.time, text);
            }
            EventKind::Exit | EventKind::Kill | EventKind::PowerCut => {
                self.end(event.node, "up", 0, event.time);
                self.end(event.node, "pause", 0, event.time);
                let colour = match event.kind {
                    EventKind::Exit => "dim",
                    _ => "bad",
                };
                let title = format!("{:?}", event.kind);
                self.mark(event, "death", colour, title, String::new());
            }
            EventKind::Pause => {
                let text = "stands still".to_owned();
                self.begin(event.node, "pause", 0, event.time, text);
            }
            EventKind::Resume => self.end(event.node, "pause", 0, event.time),
            EventKind::Link if event.b == 1 => {
                let text = format!("nothing gets through to node {}", event.a);
                self.begin(event.node, "cut", event.a, event.time, text);
            }
            EventKind::Link => self.end(event.node, "cut", event.a, event.time),
            EventKind::ClockStep => {
                let detail = format!("by {} ms", event.a as i64);
                self.mark(
                    event,
                    "fault",
                    "mark",
                    "the wall clock jumps".to_owned(),
                    detail,
                );
            }
            EventKind::WipeDisk => {
                let title = "the disk is replaced".to_owned();
                self.mark(event, "fault", "mark", title, String::new());
            }
            EventKind::Fault => {
                let kind = FaultKind::ALL.get(event.a as usize);
                let (name, about) = kind.map_or(("?", ""), |kind| (kind.name(), kind.describe()));
                self.mark(event, "fault", "mark", name.to_owned(), about.to_owned());
            }
            EventKind::Note => {
                let text = event.text.clone().unwrap_or_default();
                self.mark(event, "told", "dim", "note".to_owned(), text);
            }
            EventKind::Send => {
                let stream = self.streams.entry(event.a).or_default();
                stream.0 = event.node;
                stream.1.push_back((event.time, event.b));
            }
            EventKind::Arrive => self.arrive(event),
            _ => {}
        }
    }

    /// Bytes arrive in the order in which they were sent, and may have been cut anywhere.
    fn arrive(&mut self, event: &Event) {
        let Some((sender, sent)) = self.streams.get_mut(&event.a) else {
            return;
        };
        let mut left = event.b;
        let begun = sent.front().map(|(time, _)| *time);
        while left > 0
            && let Some((_, bytes)) = sent.front_mut()
        {
            let part = left.min(*bytes);
            *bytes -= part;
            left -= part;
            if *bytes == 0 {
                sent.pop_front();
            }
        }
        if let Some(begun) = begun {
            let (from, to) = (u64::from(*sender), u64::from(event.node));
            self.messages.push([begun, event.time, from, to, event.b]);
        }
    }

    fn begin(&mut self, node: u32, kind: &'static str, of: u64, time: u64, text: String) {
        self.open.entry((node, kind, of)).or_insert((time, text));
    }

    fn end(&mut self, node: u32, kind: &'static str, of: u64, time: u64) {
        if let Some((from, text)) = self.open.remove(&(node, kind, of)) {
            self.bands
                .push(json!({"node": node, "kind": kind, "from": from, "to": time, "text": text}));
        }
    }

    fn mark(&mut self, event: &Event, shape: &str, colour: &str, title: String, detail: String) {
        let mark = json!({
            "time": event.time, "event": event.number, "node": event.node, "shape": shape,
            "colour": colour, "row": 1, "title": title, "detail": detail,
        });
        self.marks.push((event.time, mark));
    }

    fn history(&mut self, time: u64, events: u64, event: &History) {
        if let History::Exposed {
            partition, bounds, ..
        } = event
        {
            let name = self.name(*partition);
            let curve = self.curves.entry(name).or_default();
            let point = [bounds.start, bounds.high_watermark, bounds.end];
            if curve.last().is_none_or(|last| last[1..] != point) {
                curve.push([time as i64, point[0], point[1], point[2]]);
            }
            return;
        }
        let Some(told) = self.told(event) else { return };
        let mut detail = format!("{event:?}");
        if detail.len() > DETAIL_MAX {
            detail = detail.chars().take(DETAIL_MAX).chain("…".chars()).collect();
        }
        let title = detail
            .split([' ', '{'])
            .next()
            .unwrap_or_default()
            .to_owned();
        let mark = json!({
            "time": time, "event": events, "node": told.node, "shape": "told", "colour": told.colour,
            "row": told.row, "title": title, "detail": detail, "partition": told.partition.map(|partition| self.name(partition)),
        });
        self.marks.push((time, mark));
    }

    /// Where an event of the history belongs; `None` for what comes at every look.
    fn told(&mut self, event: &History) -> Option<Place> {
        let (node, partition, colour, row) = match event {
            History::SendStarted {
                operation,
                client,
                partition,
                ..
            }
            | History::PollStarted {
                operation,
                client,
                partition,
                ..
            }
            | History::EndStarted {
                operation,
                client,
                partition,
            } => {
                let began = (lane(*client), Some(*partition));
                self.operations.insert(*operation, began);
                (began.0, began.1, "dim", 0)
            }
            History::SendAcked { operation, .. }
            | History::PollAcked { operation, .. }
            | History::EndAcked { operation, .. } => self.ended(*operation, "good")?,
            History::SendFailed { operation }
            | History::SendUnknown { operation }
            | History::PollFailed { operation }
            | History::PollOutOfRange { operation } => self.ended(*operation, "odd")?,
            History::SequenceRefused {
                operation,
                partition,
                ..
            } => {
                let (node, ..) = self.ended(*operation, "bad")?;
                (node, Some(*partition), "bad", 2)
            }
            History::Assigned { by, .. } => (lane(by.client), None, "good", 1),
            History::Revoked { member, .. } => (lane(*member), None, "odd", 1),
            History::NodeUp { node, .. } | History::NodeDown { node } => (*node, None, "dim", 1),
            History::DeleteStarted { partition }
            | History::StartMoved { partition, .. }
            | History::EpochEnd { partition, .. }
            | History::ReadBack { partition, .. } => (FIRST_NODE, Some(*partition), "dim", 1),
            _ => return None,
        };
        Some(Place {
            node,
            partition,
            colour,
            row,
        })
    }

    fn ended(
        &self,
        operation: OperationId,
        colour: &'static str,
    ) -> Option<(u32, Option<TopicPartition>, &'static str, u32)> {
        let (node, partition) = self.operations.get(&operation)?;
        Some((*node, *partition, colour, 2))
    }

    fn finish<T>(mut self, outcome: &Outcome<T>, end: u64) -> Value {
        let open: Vec<_> = self.open.keys().copied().collect();
        for (node, kind, of) in open {
            self.end(node, kind, of, end);
        }
        self.marks.sort_by_key(|(time, _)| *time);
        self.messages.sort_unstable();
        // Of a log that never held anything there is nothing to see.
        self.curves
            .retain(|_, curve| curve.iter().any(|point| point[3] > 0));
        let slowest = self.messages.iter().map(|message| message[1] - message[0]);
        let slowest = slowest.max().unwrap_or(0);
        let nodes = (FIRST_NODE..).zip(&outcome.nodes);
        let failure = outcome.failure.as_ref().map(|failure| {
            json!({
                "invariant": failure.invariant, "witness": failure.witness,
                "time": failure.time.as_nanos() as u64,
            })
        });
        let faults = outcome.faults.iter().filter(|count| count.injected > 0);
        json!({
            "name": outcome.name.to_string(),
            "end": end,
            "failure": failure,
            "nodes": nodes.map(|(number, name)| json!({"number": number, "name": name})).collect::<Vec<_>>(),
            "partitions": self.curves.keys().collect::<Vec<_>>(),
            "curves": self.curves,
            "bands": self.bands,
            "messages": self.messages,
            "slowest": slowest,
            "marks": self.marks.into_iter().map(|(_, mark)| mark).collect::<Vec<_>>(),
            "faultCounts": faults.map(|count| json!([count.kind.name(), count.injected, count.met])).collect::<Vec<_>>(),
        })
    }
}

/// A place for an event of the history.
struct Place {
    node: u32,
    partition: Option<TopicPartition>,
    colour: &'static str,
    row: u32,
}

/// 0 is the harness.
const FIRST_NODE: u32 = 1;

/// A client is numbered as its node's id.
fn lane(client: ClientId) -> u32 {
    client.saturating_add(FIRST_NODE)
}

#[cfg(test)]
mod tests;
