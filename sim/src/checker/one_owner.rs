//! ONE-OWNER: within one generation of a group, a partition has at most one owner; generations do not go back.

use super::{Case, Checker, Violation};
use crate::history::{ClientId, Event};
use std::collections::BTreeMap;
use taffrail_record::TopicPartition;

/// Remembers who was given what in the newest generation seen of each group.
#[derive(Default)]
pub struct OneOwner {
    owners: BTreeMap<(u32, TopicPartition), (i32, ClientId)>,
}

impl Checker for OneOwner {
    fn invariants(&self) -> &'static [&'static str] {
        &["ONE-OWNER"]
    }

    fn on_event(&mut self, case: &Case<'_>) -> Result<(), Violation> {
        let Event::Assigned {
            group,
            member,
            generation,
            partitions,
        } = case.event
        else {
            return Ok(());
        };
        for partition in partitions {
            let owner = self
                .owners
                .entry((*group, *partition))
                .or_insert((*generation, *member));
            if owner.0 == *generation && owner.1 != *member {
                let witness = format!(
                    "group {group} generation {generation}: {partition:?} belongs to member {} and to member {member}",
                    owner.1
                );
                return Err(Violation::new("ONE-OWNER", witness));
            }
            if *generation > owner.0 {
                *owner = (*generation, *member);
            }
        }
        Ok(())
    }
}
