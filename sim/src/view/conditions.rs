//! The trace as bands, marks and messages: what the world did to nodes, disks, clocks and links, and for how long.

use super::words::{milliseconds, roughly};
use super::{Mark, Open, Picture, RUN};
use crate::fault::FaultKind;
use crate::trace::{Event, EventKind};
use serde_json::json;

impl Picture {
    pub(super) fn trace(&mut self, event: &Event) {
        match event.kind {
            EventKind::Start | EventKind::Exit | EventKind::Kill | EventKind::PowerCut => {
                self.life(event);
            }
            EventKind::Pause => {
                self.begin(event, "pause", 0, "stands still".to_owned());
            }
            EventKind::Resume => self.end(event.node, "pause", 0, event.time),
            EventKind::Link if event.b == 1 => {
                let name = self.nodes.get((event.a as usize).wrapping_sub(1));
                let name = name.map_or("?", String::as_str);
                let text = format!("nothing gets through to {name}");
                self.begin(event, "cut", event.a, text);
            }
            EventKind::Link => self.end(event.node, "cut", event.a, event.time),
            EventKind::ClockStep => self.clock(event),
            EventKind::DiskCondition => self.disk(event),
            EventKind::WipeDisk => {
                self.mark(event, "fault", "the disk is replaced", String::new());
            }
            EventKind::Fault => {
                let kind = FaultKind::ALL.get(event.a as usize);
                let (name, about) = kind.map_or(("?", ""), |kind| (kind.name(), kind.describe()));
                let name = match &event.text {
                    Some(point) => format!("{name}: {point}"),
                    None => name.to_owned(),
                };
                self.mark(event, "fault", &name, about.to_owned());
            }
            EventKind::Note => {
                let text = event.text.clone().unwrap_or_default();
                self.mark(event, "note", &text, String::new());
            }
            EventKind::Phase => {
                self.end(RUN, "phase", 0, event.time);
                let text = event.text.clone().unwrap_or_default();
                self.begin(event, "phase", 0, text);
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

    /// A process begins or ends, and with it what cannot last longer.
    fn life(&mut self, event: &Event) {
        if event.kind == EventKind::Start {
            let text = format!("process {} runs", event.a);
            self.begin(event, "up", 0, text);
            let drift = event.b as i64;
            if drift != 0 {
                let text = format!("its clocks gain {drift} millionths");
                self.begin(event, "drift", 0, text);
            }
            return;
        }
        for kind in ["up", "pause", "drift"] {
            self.end(event.node, kind, 0, event.time);
        }
        if event.kind == EventKind::PowerCut {
            self.end(event.node, "stall", 0, event.time);
        }
        let title = format!("{:?}", event.kind);
        self.mark(event, "death", &title, String::new());
        if event.kind == EventKind::Exit
            && let Some(mark) = self.marks.last_mut()
        {
            mark.colour = "dim";
        }
    }

    fn clock(&mut self, event: &Event) {
        match event.b {
            0 => {
                let step = event.a as i64;
                let detail = format!("by {} ({})", milliseconds(step), roughly(step));
                self.mark(event, "fault", "the wall clock jumps", detail);
                let skew = self.skews.entry(event.node).or_default();
                *skew = skew.saturating_add(step);
                let text = format!("the wall clock is wrong by {}", roughly(*skew));
                let wrong = *skew != 0;
                self.end(event.node, "skew", 0, event.time);
                if wrong {
                    self.begin(event, "skew", 0, text);
                }
            }
            1 => self.end(event.node, "frozen", 0, event.time),
            _ => {
                let text = "the wall clock stands still";
                self.mark(event, "fault", text, String::new());
                self.begin(event, "frozen", 0, text.to_owned());
            }
        }
    }

    fn disk(&mut self, event: &Event) {
        let measure = event.b;
        let (kind, text) = match FaultKind::ALL.get(event.a as usize) {
            Some(FaultKind::DiskSlow) => ("slow", format!("the disk is {measure} times slower")),
            Some(FaultKind::DiskStall) => {
                let text = format!("the disk stalls for {}", roughly(measure as i64));
                ("stall", text)
            }
            Some(FaultKind::DiskNoSpace) => ("full", "the disk is full".to_owned()),
            Some(FaultKind::DiskReadOnly) => ("readonly", "the disk is read-only".to_owned()),
            Some(FaultKind::DiskSyncFailed) => ("failing", "every sync fails".to_owned()),
            Some(FaultKind::DiskWriteError) => ("failing", "every write fails".to_owned()),
            _ => return,
        };
        self.end(event.node, kind, 0, event.time);
        if measure == 0 {
            return;
        }
        self.begin(event, kind, 0, text);
        if kind == "stall"
            && let Some(open) = self.open.get_mut(&(event.node, kind, 0))
        {
            open.until = Some(event.time.saturating_add(measure));
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

    fn begin(&mut self, event: &Event, kind: &'static str, of: u64, text: String) {
        let open = Open {
            from: event.time,
            until: None,
            text,
        };
        self.open.entry((event.node, kind, of)).or_insert(open);
    }

    pub(super) fn end(&mut self, node: u32, kind: &'static str, of: u64, time: u64) {
        if let Some(open) = self.open.remove(&(node, kind, of)) {
            let to = open.until.map_or(time, |until| until.min(time));
            self.bands.push(
                json!({"node": node, "kind": kind, "from": open.from, "to": to, "text": open.text}),
            );
        }
    }

    fn mark(&mut self, event: &Event, shape: &'static str, title: &str, detail: String) {
        let colour = match shape {
            "death" => "bad",
            "note" => "ink",
            _ => "mark",
        };
        self.marks.push(Mark {
            time: event.time,
            event: event.number,
            node: event.node,
            shape,
            colour,
            row: 1,
            title: title.to_owned(),
            detail,
            partitions: Vec::new(),
        });
    }
}
