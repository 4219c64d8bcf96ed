//! The history as marks: what clients and the all-seeing eye told the judges, each event in a lane.
//!
//! An operation of a client lies in the client's lane, its beginning above its end. Whatever else was told lies where it was told;
//! an event that nobody has given a place is drawn all the same.

use super::spans::Begun;
use super::words::{milliseconds, roughly};
use super::{FIRST_NODE, Mark, Picture, RUN};
use crate::history::{ClientId, Event, Stop};
use crate::run::Told;
use taffrail_record::TopicPartition;

/// Letters of an event's description; a whole partition read back is longer than anybody wants to read.
const DETAIL_MAX: usize = 400;

/// A place for an event.
struct Place {
    node: u32,
    partitions: Vec<TopicPartition>,
    colour: &'static str,
    row: u32,
    /// When what ends here began.
    began: Option<u64>,
}

impl Place {
    fn beginning(begun: Begun) -> Place {
        Place {
            node: begun.node,
            partitions: vec![begun.partition],
            colour: "dim",
            row: 0,
            began: None,
        }
    }

    /// Something that neither begins nor ends.
    fn of(node: u32, partitions: &[TopicPartition], colour: &'static str) -> Place {
        Place {
            node,
            partitions: partitions.to_vec(),
            colour,
            row: 1,
            began: None,
        }
    }
}

impl Picture {
    pub(super) fn told(&mut self, told: &Told) {
        if let Event::Exposed {
            node,
            partition,
            bounds,
            ..
        } = &told.event
        {
            self.brokers.insert(*node);
            let name = self.name(*partition);
            let curve = self.curves.entry(name).or_default();
            let point = [bounds.start, bounds.high_watermark, bounds.end];
            if curve.last().is_none_or(|last| last[1..] != point) {
                curve.push([told.time as i64, point[0], point[1], point[2]]);
            }
            return;
        }
        let Some(place) = self.place(told) else {
            return;
        };
        let (title, detail) = self.words(&told.event, &place, told.time);
        let partitions = place.partitions.iter();
        let partitions = partitions.map(|partition| self.name(*partition)).collect();
        self.marks.push(Mark {
            time: told.time,
            event: told.events,
            node: place.node,
            shape: "told",
            colour: place.colour,
            row: place.row,
            title,
            detail,
            partitions,
        });
    }

    /// Its name, and what it says with partitions by their names.
    fn words(&self, event: &Event, place: &Place, time: u64) -> (String, String) {
        let mut detail = format!("{event:?}");
        let title = detail.split([' ', '{']).next().unwrap_or_default();
        let title = title.to_owned();
        for partition in &place.partitions {
            let name = self.name(*partition);
            detail = detail.replace(&format!("{partition:?}"), &name);
        }
        if detail.chars().count() > DETAIL_MAX {
            detail = detail.chars().take(DETAIL_MAX).chain("…".chars()).collect();
        }
        if let Some(began) = place.began {
            let (at, took) = (began as i64, time.saturating_sub(began) as i64);
            detail.push_str(&format!(
                "\nbegan at {}, took {}",
                milliseconds(at),
                roughly(took)
            ));
        }
        (title, detail)
    }

    /// Where an event belongs; `None` for what comes at every look.
    fn place(&mut self, told: &Told) -> Option<Place> {
        Some(match &told.event {
            Event::Exposed { .. }
            | Event::MetadataShown { .. }
            | Event::SegmentSeen { .. }
            | Event::Memory { .. }
            | Event::Queue { .. }
            | Event::Digests { .. }
            | Event::IdleReservations { .. }
            | Event::PrefixLeft { .. }
            | Event::DiskAsked { .. }
            | Event::DiskEnded { .. } => return None,
            event => match self.of_operation(event, told) {
                Some(place) => place,
                None => self.of_state(event, told),
            },
        })
    }

    /// The place of what begins or ends an operation.
    fn of_operation(&mut self, event: &Event, told: &Told) -> Option<Place> {
        let (operation, client, partition) = match event {
            Event::SendStarted {
                operation,
                client,
                partition,
                ..
            }
            | Event::PollStarted {
                operation,
                client,
                partition,
                ..
            }
            | Event::EndStarted {
                operation,
                client,
                partition,
            }
            | Event::EarliestStarted {
                operation,
                client,
                partition,
            } => (*operation, *client, *partition),
            // Who commits for a group without being in it is the group's only client.
            Event::CommitStarted {
                operation,
                group,
                partition,
                by,
                ..
            } => {
                let client = by.as_ref().map_or(*group, |by| by.client);
                (*operation, client, *partition)
            }
            Event::CommittedStarted {
                operation,
                group,
                partition,
            } => (*operation, *group, *partition),
            _ => return self.of_end(event, told.time),
        };
        let begun = Begun {
            node: self.lane(client, told),
            partition,
            time: told.time,
        };
        self.spans.begin(operation, begun);
        Some(Place::beginning(begun))
    }

    fn of_end(&mut self, event: &Event, time: u64) -> Option<Place> {
        let (operation, colour) = match event {
            Event::SendAcked { operation, .. }
            | Event::PollAcked { operation, .. }
            | Event::EndAcked { operation, .. }
            | Event::EarliestAcked { operation, .. }
            | Event::CommitAcked { operation }
            | Event::CommittedAcked { operation, .. } => (operation, "good"),
            Event::SendFailed { operation }
            | Event::SendUnknown { operation }
            | Event::PollFailed { operation }
            | Event::PollOutOfRange { operation }
            | Event::CommitFailed { operation } => (operation, "odd"),
            Event::SequenceRefused { operation, .. } => {
                // The record's fate is told beside it.
                let begun = self.spans.begun(*operation)?;
                return Some(Place {
                    row: 2,
                    began: Some(begun.time),
                    ..Place::of(begun.node, &[begun.partition], "bad")
                });
            }
            _ => return None,
        };
        let begun = self.spans.end(*operation, time)?;
        Some(Place {
            row: 2,
            began: Some(begun.time),
            ..Place::of(begun.node, &[begun.partition], colour)
        })
    }

    /// The place of what is about groups, partitions and nodes.
    fn of_state(&mut self, event: &Event, told: &Told) -> Place {
        match event {
            Event::Assigned { by, partitions, .. } | Event::Held { by, partitions, .. } => {
                let node = self.lane(by.client, told);
                self.spans.own(node, partitions, told.time);
                Place::of(node, partitions, "good")
            }
            Event::Revoked { member, .. } => {
                let node = self.lane(*member, told);
                self.spans.disown(node, told.time);
                Place::of(node, &[], "odd")
            }
            Event::NodeUp { node, .. } | Event::NodeDown { node } => {
                Place::of(self.known(*node), &[], "dim")
            }
            Event::DamageMended { node } | Event::LossAllowed { node } => {
                Place::of(self.known(*node), &[], "mark")
            }
            Event::DamageAllowed {
                node, partition, ..
            } => Place::of(self.known(*node), &[*partition], "mark"),
            Event::StartRefused { node, .. } => Place::of(self.known(*node), &[], "bad"),
            Event::Stopped { node, stop } => match stop {
                Stop::Sound => Place::of(self.known(*node), &[], "dim"),
                _ => Place::of(self.known(*node), &[], "bad"),
            },
            Event::Awaited { came, patience, .. } => match came {
                Ok(took) if took <= patience => Place::of(self.known(told.node), &[], "good"),
                _ => Place::of(self.known(told.node), &[], "bad"),
            },
            Event::SessionAnswered { client, .. } => {
                Place::of(self.lane(*client, told), &[], "dim")
            }
            Event::GroupIdle { .. } => Place::of(self.known(told.node), &[], "dim"),
            Event::GroupSettled { reach, .. } => {
                let partitions: Vec<_> = reach.iter().map(|(partition, ..)| *partition).collect();
                Place::of(self.known(told.node), &partitions, "dim")
            }
            Event::ReadBackRefused { partition, .. } => {
                Place::of(self.known(told.node), &[*partition], "odd")
            }
            Event::DeleteStarted { partition }
            | Event::Deleted { partition }
            | Event::NameResolved { partition, .. }
            | Event::StartMoved { partition, .. }
            | Event::Retention { partition, .. }
            | Event::EpochEnd { partition, .. }
            | Event::ReadBack { partition, .. } => {
                Place::of(self.known(told.node), &[*partition], "dim")
            }
            _ => Place::of(self.known(told.node), &[], "dim"),
        }
    }

    /// A client is numbered as its node's id. One that is no node, such as a whole group, is where it was told of.
    fn lane(&self, client: ClientId, told: &Told) -> u32 {
        let number = client.saturating_add(FIRST_NODE);
        match self.is_lane(number) {
            true => number,
            false => self.known(told.node),
        }
    }

    fn known(&self, node: u32) -> u32 {
        if self.is_lane(node) { node } else { RUN }
    }

    fn is_lane(&self, number: u32) -> bool {
        number as usize <= self.nodes.len()
    }
}
