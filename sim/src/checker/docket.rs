//! Which operations are open, and what is known of partitions as a whole: what many judges would otherwise each keep.
//!
//! An event that ends an operation carries its number only. The docket remembers how the operation began, and
//! shows a judge both together as a [`Case`].

use crate::history::{ClientId, Event, OperationId, Written};
use std::collections::{BTreeMap, BTreeSet};
use taffrail_record::{Offset, TopicPartition};

/// A record that was handed to a producer.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    pub client: ClientId,
    pub partition: TopicPartition,
    pub record: Written,
}

/// A question for records from a position on.
#[derive(Clone, Copy, Debug)]
pub struct Polled {
    pub client: ClientId,
    pub partition: TopicPartition,
    pub position: Offset,
}

/// The open operations, and the partitions whose deletion was asked for.
#[derive(Default)]
pub struct Docket {
    sends: BTreeMap<OperationId, Sent>,
    polls: BTreeMap<OperationId, Polled>,
    deleted: BTreeSet<TopicPartition>,
    damaged: BTreeMap<TopicPartition, Vec<Span>>,
    refused: BTreeMap<TopicPartition, (u32, Vec<Span>)>,
    lawless: bool,
}

/// Offsets from the first to before the second.
type Span = (Offset, Offset);

/// An event with what its operation is about.
pub struct Case<'a> {
    pub event: &'a Event,
    /// The send that this event begins or ends.
    pub sent: Option<Sent>,
    /// The poll that this event begins or ends.
    pub polled: Option<Polled>,
    docket: &'a Docket,
}

impl Docket {
    /// Whether a disk was allowed to lose anything.
    pub fn is_lawless(&self) -> bool {
        self.lawless
    }

    /// Takes note of an event.
    ///
    /// # Panics
    /// If the event ends a send or a poll that never began: that is the workload's own mistake.
    pub fn open<'a>(&'a mut self, event: &'a Event) -> Case<'a> {
        let (mut sent, mut polled) = (None, None);
        match event {
            Event::SendStarted {
                operation,
                client,
                partition,
                record,
                ..
            } => {
                let begun = Sent {
                    client: *client,
                    partition: *partition,
                    record: *record,
                };
                self.sends.insert(*operation, begun);
                sent = Some(begun);
            }
            Event::SendAcked { operation, .. }
            | Event::SendFailed { operation }
            | Event::SendUnknown { operation } => {
                let begun = self.sends.remove(operation);
                sent = Some(begun.expect("a send begins before it ends"));
            }
            Event::PollStarted {
                operation,
                client,
                partition,
                position,
                ..
            } => {
                let begun = Polled {
                    client: *client,
                    partition: *partition,
                    position: *position,
                };
                self.polls.insert(*operation, begun);
                polled = Some(begun);
            }
            Event::PollAcked { operation, .. }
            | Event::PollOutOfRange { operation }
            | Event::PollFailed { operation } => {
                let begun = self.polls.remove(operation);
                polled = Some(begun.expect("a poll begins before it ends"));
            }
            Event::DeleteStarted { partition } => {
                self.deleted.insert(*partition);
            }
            _ => self.note_damage(event),
        }
        Case {
            event,
            sent,
            polled,
            docket: self,
        }
    }

    /// What a disk was allowed to do, and what was refused for it.
    fn note_damage(&mut self, event: &Event) {
        match event {
            Event::DamageAllowed {
                partition,
                from,
                to,
                ..
            } => self
                .damaged
                .entry(*partition)
                .or_default()
                .push((*from, *to)),
            Event::DamageMended { .. } => self.damaged.clear(),
            Event::LossAllowed { .. } => self.lawless = true,
            Event::ReadBackRefused {
                round,
                partition,
                from,
                to,
            } => {
                let (current, spans) = self.refused.entry(*partition).or_default();
                if *current != *round {
                    (*current, *spans) = (*round, Vec::new());
                }
                spans.push((*from, *to));
            }
            _ => {}
        }
    }
}

impl<'a> Case<'a> {
    /// A record that was acknowledged just now, and its offset.
    pub fn acked(&self) -> Option<(Sent, Offset)> {
        match self.event {
            Event::SendAcked { offset, .. } => Some((self.sent?, *offset)),
            _ => None,
        }
    }

    /// Records that somebody was given just now, whoever asked, and of which partition.
    pub fn read(&self) -> Option<(TopicPartition, &'a [(Offset, Written)])> {
        match self.event {
            Event::PollAcked { records, .. } => Some((self.polled?.partition, records)),
            Event::ReadBack {
                partition, records, ..
            } => Some((*partition, records)),
            _ => None,
        }
    }

    /// Whether a broken disk may have damaged everything between these offsets.
    pub fn may_refuse(&self, partition: TopicPartition, from: Offset, to: Offset) -> bool {
        let mut at = from;
        let spans = self.docket.damaged.get(&partition);
        let mut spans: Vec<Span> = spans.into_iter().flatten().copied().collect();
        spans.sort_unstable();
        for (begin, end) in spans {
            if begin <= at {
                at = at.max(end);
            }
        }
        at >= to
    }

    /// Whether this record was refused in this round of reading back.
    pub fn was_refused(&self, round: u32, partition: TopicPartition, offset: Offset) -> bool {
        self.docket
            .refused
            .get(&partition)
            .is_some_and(|(current, spans)| {
                let inside = |(from, to): &Span| *from <= offset && offset < *to;
                *current == round && spans.iter().any(inside)
            })
    }

    /// Whether the partition's deletion was asked for: it may be gone.
    pub fn is_deleted(&self, partition: TopicPartition) -> bool {
        self.docket.deleted.contains(&partition)
    }
}
