//! ONE-OWNER: within one generation of a group, a partition has at most one owner, but for a process that takes the place of another by its
//! instance's name; and a process that was replaced so is out for good. Whoever takes a partition with it into a generation owns it
//! there, even if it is told to give it up: nobody else may have it before the next.

use super::{Case, Checker, Violation};
use crate::history::{ClientId, Event, Membership, OperationId};
use std::collections::{BTreeMap, BTreeSet};
use taffrail_record::TopicPartition;

/// The first generation of a group.
const FIRST: i32 = 1;

/// One process under one member id.
type Identity = (ClientId, String);

/// A commit that was taken, by the instants (counts of events) between which that happened.
struct Taken {
    identity: Identity,
    started: u64,
    acked: u64,
}

/// Remembers who was given what in the newest generation of each group, and who of those with one instance's name was listened to
/// when.
#[derive(Default)]
pub struct OneOwner {
    clock: u64,
    /// Members that have given up all that they owned.
    ended: BTreeSet<(u32, ClientId)>,
    /// Groups for which a commit was acknowledged.
    committed: BTreeSet<u32>,
    owners: BTreeMap<(u32, TopicPartition), Membership>,
    commits: BTreeMap<OperationId, u32>,
    open: BTreeMap<OperationId, (u32, String, Identity, u64)>,
    taken: BTreeMap<(u32, String), Vec<Taken>>,
}

impl OneOwner {
    fn on_assigned(
        &mut self,
        group: u32,
        by: &Membership,
        partition: TopicPartition,
    ) -> Result<(), Violation> {
        let owner = self
            .owners
            .entry((group, partition))
            .or_insert_with(|| by.clone());
        let replaces = by.instance.is_some() && owner.instance == by.instance;
        let over = self.ended.contains(&(group, owner.client));
        let reborn = by.generation == FIRST && over;
        let same = owner.generation == by.generation && owner.client != by.client;
        if same && !replaces && !reborn {
            let witness = format!(
                "group {group} generation {}: {partition:?} belongs to member {} and to member {}",
                by.generation, owner.client, by.client
            );
            return Err(Violation::new("ONE-OWNER", witness));
        }
        if by.generation >= owner.generation {
            *owner = by.clone();
        }
        Ok(())
    }

    /// Somebody with an instance's name was listened to: nobody else was, between this time and an earlier one.
    fn on_taken(&mut self, group: u32, instance: String, new: Taken) -> Result<(), Violation> {
        let witness = format!("group {group}: two processes are instance {instance}: ");
        let taken = self.taken.entry((group, instance)).or_default();
        let own = taken.iter().filter(|old| old.identity == new.identity);
        let first = own.map(|old| old.acked).min();
        let between = |other: &&Taken| {
            other.identity != new.identity
                && first.is_some_and(|first| first < other.started)
                && other.acked < new.started
        };
        if let Some(other) = taken.iter().find(between) {
            let (client, member_id) = &other.identity;
            let witness = format!(
                "{witness}member {} was listened to as {}, then member {client} as {member_id}, and then the first again",
                new.identity.0, new.identity.1
            );
            return Err(Violation::new("ONE-OWNER", witness));
        }
        taken.push(new);
        Ok(())
    }
}

impl Checker for OneOwner {
    fn invariants(&self) -> &'static [&'static str] {
        &["ONE-OWNER"]
    }

    fn on_event(&mut self, case: &Case<'_>) -> Result<(), Violation> {
        self.clock += 1;
        match case.event {
            Event::Assigned {
                group,
                by,
                partitions,
            }
            | Event::Held {
                group,
                by,
                partitions,
            } => {
                // A group that is empty and has no offsets is forgotten, and the next one of its name counts from 1 again; whoever was
                // in the one before is unknown to it, and may not have been told yet.
                if by.generation == FIRST && !self.committed.contains(group) {
                    self.owners.retain(|(of, _), _| of != group);
                }
                let mut partitions = partitions.iter();
                return partitions
                    .try_for_each(|partition| self.on_assigned(*group, by, *partition));
            }
            Event::Revoked { group, member } => {
                self.ended.insert((*group, *member));
            }
            Event::CommitStarted {
                operation,
                group,
                by: Some(by),
                ..
            } => {
                self.commits.insert(*operation, *group);
                if let Some(instance) = &by.instance {
                    let identity = (by.client, by.member_id.clone());
                    let open = (*group, instance.clone(), identity, self.clock);
                    self.open.insert(*operation, open);
                }
            }
            Event::CommitFailed { operation } => {
                self.commits.remove(operation);
                self.open.remove(operation);
            }
            Event::CommitAcked { operation } => {
                if let Some(group) = self.commits.remove(operation) {
                    self.committed.insert(group);
                }
                if let Some((group, instance, identity, started)) = self.open.remove(operation) {
                    let taken = Taken {
                        identity,
                        started,
                        acked: self.clock,
                    };
                    return self.on_taken(group, instance, taken);
                }
            }
            _ => {}
        }
        Ok(())
    }
}
