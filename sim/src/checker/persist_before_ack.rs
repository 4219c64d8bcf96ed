//! PERSIST-BEFORE-ACK: nothing is acknowledged before the sync returned that makes it durable. HW-QUORUM: nothing is shown to a
//! consumer before that, either.
//!
//! Of a record whose bytes were seen on their way to the disk it is known exactly: a write that holds it has to be covered by a sync that
//! returned. Of everything else (compressed records, commits, deletions) it is known that something was written after the
//! request was made, and synced before the answer.

use super::{Case, Checker, Sent, Violation};
use crate::history::{self, DiskChange, Event, OperationId};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use taffrail_record::{Offset, TopicPartition};

/// An open file of a node.
type Handle = (u32, u64);
/// A file of a node.
type File = (u32, usize);
/// What was read at an offset.
type Record = (Offset, history::Written);

/// A change that was asked for. Instants are counts of events.
struct Asked {
    change: DiskChange,
    asked: u64,
    records: Vec<u64>,
}

/// A write that has taken effect, in a cache perhaps.
struct Written {
    handle: u64,
    asked: u64,
    ended: u64,
    records: Vec<u64>,
}

/// Follows every record to the platter.
#[derive(Default)]
pub struct PersistBeforeAck {
    clock: u64,
    /// A disk is watched.
    watched: bool,
    incarnations: BTreeMap<u32, u32>,
    /// Not ended yet; each handle's in order.
    open: BTreeMap<Handle, VecDeque<Asked>>,
    /// Not synced yet.
    written: BTreeMap<File, Vec<Written>>,
    /// Records that were seen on their way to a disk.
    seen: BTreeSet<u64>,
    /// What was seen of one process may be written unseen by the next.
    recompresses: bool,
    durable: BTreeSet<u64>,
    /// When the newest write was asked for that is durable.
    newest_durable: u64,
    sends: BTreeMap<OperationId, u64>,
    commits: BTreeMap<OperationId, u64>,
    deletions: BTreeMap<TopicPartition, u64>,
}

impl PersistBeforeAck {
    /// A process of the node speaks. What one before it had not synced may be gone.
    fn meet(&mut self, node: u32, incarnation: u32) {
        let known = self.incarnations.insert(node, incarnation);
        if known.is_some_and(|known| known != incarnation) {
            self.open.retain(|(of, _), _| *of != node);
            self.written.retain(|(of, _), _| *of != node);
            if self.recompresses {
                self.seen.retain(|id| self.durable.contains(id));
            }
        }
    }

    fn on_ended(&mut self, node: u32, file: usize, handle: u64, failed: bool) {
        let queue = self.open.get_mut(&(node, handle));
        let Some(done) = queue.and_then(VecDeque::pop_front) else {
            return;
        };
        let written = self.written.entry((node, file)).or_default();
        match done.change {
            DiskChange::Write if !failed => written.push(Written {
                handle,
                asked: done.asked,
                ended: self.clock,
                records: done.records,
            }),
            DiskChange::Sync if !failed => {
                let covered = |write: &mut Written| {
                    write.ended < done.asked || write.handle == handle && write.asked < done.asked
                };
                for write in written.extract_if(.., covered) {
                    self.newest_durable = self.newest_durable.max(write.asked);
                    self.durable.extend(write.records);
                }
            }
            // What the file's cache holds now may never reach the platter, and no later sync says otherwise.
            DiskChange::Sync => written.clear(),
            DiskChange::Write | DiskChange::Other => {}
        }
    }

    /// Something was acknowledged that was asked for at `started`.
    fn check_order(&self, started: u64, what: &str) -> Result<(), Violation> {
        match !self.watched || self.newest_durable > started {
            true => Ok(()),
            false => Err(early(format!(
                "{what} was acknowledged, and nothing was written and synced since it was asked for"
            ))),
        }
    }
}

fn early(witness: String) -> Violation {
    Violation::new("PERSIST-BEFORE-ACK", witness)
}

impl Checker for PersistBeforeAck {
    fn invariants(&self) -> &'static [&'static str] {
        &["PERSIST-BEFORE-ACK", "HW-QUORUM"]
    }

    fn on_event(&mut self, case: &Case<'_>) -> Result<(), Violation> {
        self.clock += 1;
        match case.event {
            Event::DiskAsked { .. } | Event::DiskEnded { .. } => {
                self.on_disk_event(case.event);
                Ok(())
            }
            _ => self.on_client_event(case),
        }
    }
}

impl PersistBeforeAck {
    fn on_disk_event(&mut self, event: &Event) {
        match event {
            Event::DiskAsked {
                node,
                incarnation,
                handle,
                change,
                records,
                ..
            } => {
                self.watched = true;
                self.meet(*node, *incarnation);
                self.seen.extend(records);
                let asked = Asked {
                    change: *change,
                    asked: self.clock,
                    records: records.clone(),
                };
                let queue = self.open.entry((*node, *handle)).or_default();
                queue.push_back(asked);
            }
            Event::DiskEnded {
                node,
                incarnation,
                file,
                handle,
                failed,
                ..
            } => {
                self.meet(*node, *incarnation);
                self.on_ended(*node, *file, *handle, *failed);
            }
            _ => {}
        }
    }

    fn on_send_acked(
        &mut self,
        operation: OperationId,
        (sent, offset): (Sent, Offset),
    ) -> Result<(), Violation> {
        let started = self.sends.remove(&operation).unwrap_or(0);
        let id = sent.record.id;
        match self.seen.contains(&id) {
            true if self.durable.contains(&id) => Ok(()),
            true => Err(early(format!(
                "record {id} was acknowledged at {:?} offset {offset}, and no sync has covered it",
                sent.partition
            ))),
            false => self.check_order(started, &format!("record {id}")),
        }
    }

    /// Somebody was given these.
    fn on_read(&self, partition: TopicPartition, records: &[Record]) -> Result<(), Violation> {
        let is_volatile = |id: &u64| self.seen.contains(id) && !self.durable.contains(id);
        match records.iter().find(|(_, record)| is_volatile(&record.id)) {
            None => Ok(()),
            Some((offset, record)) => Err(Violation::new(
                "HW-QUORUM",
                format!(
                    "record {} was read at {partition:?} offset {offset}, and no sync has covered it",
                    record.id
                ),
            )),
        }
    }

    fn on_client_event(&mut self, case: &Case<'_>) -> Result<(), Violation> {
        if let Some((partition, records)) = case.read() {
            return self.on_read(partition, records);
        }
        match case.event {
            Event::SendAcked { operation, .. } => {
                if let Some(acked) = case.acked() {
                    return self.on_send_acked(*operation, acked);
                }
            }
            Event::SendStarted { operation, .. } => {
                self.sends.insert(*operation, self.clock);
            }
            Event::SendFailed { operation } | Event::SendUnknown { operation } => {
                self.sends.remove(operation);
            }
            Event::CommitStarted { operation, .. } => {
                self.commits.insert(*operation, self.clock);
            }
            Event::CommitFailed { operation } => {
                self.commits.remove(operation);
            }
            Event::CommitAcked { operation } => {
                let started = self.commits.remove(operation).unwrap_or(0);
                return self.check_order(started, "a commit");
            }
            Event::Recompresses => self.recompresses = true,
            Event::DeleteStarted { partition } => {
                self.deletions.insert(*partition, self.clock);
            }
            Event::Deleted { partition } => {
                let started = self.deletions.remove(partition).unwrap_or(0);
                return self.check_order(started, &format!("the deletion of {partition:?}"));
            }
            _ => {}
        }
        Ok(())
    }
}
