//! POLL-SKIP and NONMONOTONIC-POLL: a consumer goes on where it was, from the moment in which it was given a partition to that
//! in which it is sent away: nothing is passed over and nothing given twice, also between two polls.
//!
//! Whoever reads here and there, and says so by asking afresh each time, is not a consumer.

use super::{Case, Checker, Violation};
use crate::history::{ClientId, Event};
use std::collections::BTreeMap;
use taffrail_record::{Offset, TopicPartition};

/// Remembers what each consumer is due next; `None` until it has found its beginning.
#[derive(Default)]
pub struct PollOrder {
    due: BTreeMap<(ClientId, TopicPartition), Option<Offset>>,
}

impl PollOrder {
    fn on_position(
        &mut self,
        client: ClientId,
        partition: TopicPartition,
        position: Offset,
    ) -> Result<(), Violation> {
        let Some(due) = self.due.get_mut(&(client, partition)) else {
            return Ok(());
        };
        match due.replace(position) {
            Some(before) if before != position => {
                let invariant = match before < position {
                    true => "POLL-SKIP",
                    false => "NONMONOTONIC-POLL",
                };
                let witness = format!(
                    "client {client} stands at {position} of {partition:?}, of which {before} is due to it"
                );
                Err(Violation::new(invariant, witness))
            }
            _ => Ok(()),
        }
    }
}

impl Checker for PollOrder {
    fn invariants(&self) -> &'static [&'static str] {
        &["POLL-SKIP", "NONMONOTONIC-POLL"]
    }

    fn on_event(&mut self, case: &Case<'_>) -> Result<(), Violation> {
        match (case.event, case.polled) {
            (
                Event::Placed {
                    client,
                    partition,
                    position,
                },
                _,
            ) => {
                self.due.insert((*client, *partition), *position);
            }
            (Event::Assigned { by, partitions, .. }, _) => {
                let places = partitions.iter().map(|partition| (by.client, *partition));
                self.due.extend(places.map(|place| (place, None)));
            }
            (Event::PollStarted { .. }, Some(polled)) => {
                return self.on_position(polled.client, polled.partition, polled.position);
            }
            (Event::PollAcked { records, .. }, Some(polled)) => {
                if let Some(due) = self.due.get_mut(&(polled.client, polled.partition))
                    && let Some((last, _)) = records.last()
                {
                    *due = Some(last + 1);
                }
            }
            (Event::PollOutOfRange { .. }, Some(polled)) => {
                self.due.remove(&(polled.client, polled.partition));
            }
            _ => {}
        }
        Ok(())
    }
}
