//! TOPIC-ID: nothing that names a deleted topic's id is served, least of all by the topic that bears its name by then; and a name
//! leads to the same topic until somebody asks for that one's deletion.
//!
//! That no data of one life appears in another is judged where every record is: see `no_cross_topic`.

use super::{Case, Checker, Violation};
use crate::history::{Event, OperationId};
use std::collections::{BTreeMap, BTreeSet};
use taffrail_record::TopicPartition;

/// Remembers what is gone, and who asks for it all the same.
#[derive(Default)]
pub struct TopicId {
    gone: BTreeSet<TopicPartition>,
    /// Operations on what was gone when they began.
    late: BTreeMap<OperationId, TopicPartition>,
}

impl TopicId {
    fn began(&mut self, operation: OperationId, partition: TopicPartition) {
        if self.gone.contains(&partition) {
            self.late.insert(operation, partition);
        }
    }

    fn served(&mut self, operation: OperationId) -> Result<(), Violation> {
        match self.late.remove(&operation) {
            None => Ok(()),
            Some(partition) => broken(format!(
                "a request that named {partition:?} was served, and begun after the deletion of that topic was acknowledged"
            )),
        }
    }
}

fn broken(witness: String) -> Result<(), Violation> {
    Err(Violation::new("TOPIC-ID", witness))
}

impl Checker for TopicId {
    fn invariants(&self) -> &'static [&'static str] {
        &["TOPIC-ID"]
    }

    fn on_event(&mut self, case: &Case<'_>) -> Result<(), Violation> {
        match case.event {
            Event::Deleted { partition } => {
                self.gone.insert(*partition);
            }
            Event::SendStarted {
                operation,
                partition,
                ..
            }
            | Event::PollStarted {
                operation,
                partition,
                fresh: true,
                ..
            } => self.began(*operation, *partition),
            Event::SendAcked { operation, .. }
            | Event::PollAcked { operation, .. }
            | Event::PollOutOfRange { operation } => return self.served(*operation),
            Event::SendFailed { operation }
            | Event::SendUnknown { operation }
            | Event::PollFailed { operation } => {
                self.late.remove(operation);
            }
            Event::NameResolved { partition, found } => {
                if self.gone.contains(partition) {
                    return broken(format!(
                        "{partition:?} is back after its deletion was acknowledged"
                    ));
                }
                if *found != Some(partition.topic) {
                    return broken(format!(
                        "the name of {partition:?} leads to {found:?}, and nobody asked for that topic's deletion"
                    ));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
