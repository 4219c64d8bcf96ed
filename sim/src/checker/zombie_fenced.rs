//! ZOMBIE-FENCED: once a generation of a group has given somebody partitions, nothing that is done in the name of an older one takes
//! effect.

use super::{Case, Checker, Violation};
use crate::history::{Event, OperationId};
use std::collections::{BTreeMap, BTreeSet};

/// A commit in the name of a generation.
struct Open {
    group: u32,
    generation: i32,
    /// The newest generation that was known when it began.
    newest: i32,
}

/// The first generation of a group.
const FIRST: i32 = 1;

/// Remembers the newest generation of each group, and the commits that are open.
#[derive(Default)]
pub struct ZombieFenced {
    newest: BTreeMap<u32, i32>,
    /// Groups for which a commit was acknowledged. Others may be forgotten, and begin with their first generation again.
    committed: BTreeSet<u32>,
    open: BTreeMap<OperationId, Open>,
}

impl Checker for ZombieFenced {
    fn invariants(&self) -> &'static [&'static str] {
        &["ZOMBIE-FENCED"]
    }

    fn on_event(&mut self, case: &Case<'_>) -> Result<(), Violation> {
        match case.event {
            Event::Assigned { group, by, .. } => {
                let newest = self.newest.entry(*group).or_insert(by.generation);
                let reborn = by.generation == FIRST && !self.committed.contains(group);
                *newest = match reborn {
                    true => FIRST,
                    false => (*newest).max(by.generation),
                };
            }
            Event::CommitStarted {
                operation,
                group,
                by: Some(by),
                ..
            } => {
                let open = Open {
                    group: *group,
                    generation: by.generation,
                    newest: self.newest.get(group).copied().unwrap_or(-1),
                };
                self.open.insert(*operation, open);
            }
            Event::CommitFailed { operation } => {
                self.open.remove(operation);
            }
            Event::CommitAcked { operation } => {
                let Some(open) = self.open.remove(operation) else {
                    return Ok(());
                };
                self.committed.insert(open.group);
                if open.generation < open.newest {
                    let witness = format!(
                        "group {}: a commit in the name of generation {} was taken, and begun when generation {} had given out its partitions",
                        open.group, open.generation, open.newest
                    );
                    return Err(Violation::new("ZOMBIE-FENCED", witness));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
