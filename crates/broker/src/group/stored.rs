//! What is durable about groups: committed offsets, and each group as of its last record.
//!
//! A [`Machine`] whose changes are Kafka's records. The coordinator and whoever reads the log again change it
//! by the same [`Machine::apply`].

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use taffrail_replication::{Machine, RestoreError, encoding};

use super::record::Record;
use crate::metadata::RawTopicId;

const SNAPSHOT_VERSION: u32 = 1;
/// What a group, a record of one, a member or an offset takes beside its own bytes, roughly.
const ENTRY_OVERHEAD: usize = 128;

/// A committed offset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommittedOffset {
    pub offset: i64,
    /// -1 if the client did not say.
    pub leader_epoch: i32,
    pub metadata: String,
    pub committed_at_ms: i64,
    /// When it expires, if the client said so.
    pub expires_at_ms: Option<i64>,
    /// The topic that had the name when the offset was committed; another one of that name has no offset.
    pub topic_id: Option<RawTopicId>,
}

/// A group as its record says it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredGroup {
    /// Empty if the group never had members.
    pub protocol_type: String,
    pub generation: i32,
    pub protocol: Option<String>,
    pub leader: Option<String>,
    /// Since when the group is in its state; -1 if unknown.
    pub state_since_ms: i64,
    pub members: Vec<StoredMember>,
}

/// A member as the group's record says it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredMember {
    pub member_id: String,
    pub instance_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub rebalance_timeout_ms: i32,
    pub session_timeout_ms: i32,
    /// What it says about itself in the group's protocol.
    pub subscription: Vec<u8>,
    pub assignment: Vec<u8>,
}

/// What can be asked of the durable state.
#[derive(Clone, Debug)]
pub enum StoreRequest {
    /// Keeps offsets: (topic, partition, offset).
    Commit {
        group_id: String,
        offsets: Vec<(String, i32, CommittedOffset)>,
    },
    /// Keeps a group.
    Group {
        group_id: String,
        group: StoredGroup,
    },
    /// Forgets offsets.
    DeleteOffsets {
        group_id: String,
        offsets: Vec<(String, i32)>,
    },
    /// Forgets all groups' offsets of topics.
    DeleteTopics { topic_ids: BTreeSet<RawTopicId> },
    /// Forgets a group and its offsets.
    DeleteGroup { group_id: String },
    /// Forgets the offsets of a group that are older than `retention_ms`.
    Expire {
        group_id: String,
        now_ms: i64,
        retention_ms: i64,
        rule: ExpiryRule,
    },
}

/// From when the age of a group's offsets counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExpiryRule {
    /// From their commit: nobody ever subscribed.
    SinceCommit,
    /// From when the last member left.
    SinceEmpty(i64),
    /// From their commit, but those of these topics are in use.
    Unsubscribed(BTreeSet<String>),
    /// They are all in use, or may be.
    Never,
}

/// The durable state of all groups of one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    groups: BTreeMap<String, Entry>,
    /// Derived: what all of it takes, roughly.
    bytes: usize,
}

type Offsets = BTreeMap<String, BTreeMap<i32, CommittedOffset>>;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    group: Option<StoredGroup>,
    offsets: Offsets,
}

#[derive(Serialize, Deserialize)]
struct Image<Groups> {
    version: u32,
    groups: Groups,
}

impl Stored {
    /// The group's last record.
    pub fn group(&self, group_id: &str) -> Option<&StoredGroup> {
        self.groups.get(group_id)?.group.as_ref()
    }

    /// Whether anything is known of the group.
    pub fn knows(&self, group_id: &str) -> bool {
        self.groups.contains_key(group_id)
    }

    /// All groups of which anything is known, by id.
    pub fn group_ids(&self) -> impl Iterator<Item = &str> {
        self.groups.keys().map(String::as_str)
    }

    /// All topics of which offsets are kept.
    pub fn topic_ids(&self) -> BTreeSet<RawTopicId> {
        let offsets = self.group_ids().flat_map(|id| self.offsets(id));
        offsets
            .filter_map(|(_, _, offset)| offset.topic_id)
            .collect()
    }

    /// A group's offset of one partition.
    pub fn offset(&self, group_id: &str, topic: &str, partition: i32) -> Option<&CommittedOffset> {
        self.groups
            .get(group_id)?
            .offsets
            .get(topic)?
            .get(&partition)
    }

    /// All offsets of a group, by topic and partition.
    pub fn offsets(&self, group_id: &str) -> impl Iterator<Item = (&str, i32, &CommittedOffset)> {
        let topics = self
            .groups
            .get(group_id)
            .into_iter()
            .flat_map(|entry| &entry.offsets);
        topics.flat_map(|(topic, partitions)| {
            partitions
                .iter()
                .map(|(partition, offset)| (topic.as_str(), *partition, offset))
        })
    }

    /// Whether the group has committed offsets.
    pub fn has_offsets(&self, group_id: &str) -> bool {
        self.groups
            .get(group_id)
            .is_some_and(|entry| !entry.offsets.is_empty())
    }

    /// How much all of it takes, roughly, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether that is what there is; if not, what is.
    pub fn recount(&self) -> Result<(), String> {
        let bytes = self.count();
        match bytes == self.bytes {
            true => Ok(()),
            false => Err(format!(
                "what is stored of groups takes {bytes} bytes, and {} are counted",
                self.bytes
            )),
        }
    }

    fn count(&self) -> usize {
        let entries = self.groups.keys().map(|id| entry_bytes(id));
        let groups = self.groups.values().flat_map(|entry| &entry.group);
        let offsets = self.group_ids().flat_map(|id| self.offsets(id));
        let offsets = offsets.map(|(topic, _, offset)| offset.bytes(topic));
        entries.sum::<usize>()
            + groups.map(StoredGroup::bytes).sum::<usize>()
            + offsets.sum::<usize>()
    }

    /// How much it takes to know a group that is not known yet, roughly, in bytes; nothing if it is.
    pub fn bytes_to_know(&self, group_id: &str) -> usize {
        match self.knows(group_id) {
            true => 0,
            false => entry_bytes(group_id),
        }
    }

    fn entry(&mut self, group_id: &str) -> &mut Entry {
        if !self.groups.contains_key(group_id) {
            self.bytes += entry_bytes(group_id);
            self.groups.insert(group_id.to_string(), Entry::default());
        }
        self.groups.get_mut(group_id).expect("just inserted")
    }

    fn drop_if_unused(&mut self, group_id: &str) {
        if self
            .groups
            .get(group_id)
            .is_some_and(|entry| entry.group.is_none() && entry.offsets.is_empty())
        {
            self.bytes -= entry_bytes(group_id);
            self.groups.remove(group_id);
        }
    }

    /// A group stays when its last offset goes, as in Kafka: it is deleted, or goes when offsets are looked through for expired ones.
    fn set_offset(
        &mut self,
        group_id: &str,
        topic: &str,
        partition: i32,
        value: Option<&CommittedOffset>,
    ) {
        if value.is_none() && !self.knows(group_id) {
            return;
        }
        let added = value.map_or(0, |value| offset_bytes(topic, value));
        let offsets = &mut self.entry(group_id).offsets;
        let old = match value {
            Some(value) => {
                if !offsets.contains_key(topic) {
                    offsets.insert(topic.to_string(), BTreeMap::new());
                }
                offsets
                    .get_mut(topic)
                    .expect("just inserted")
                    .insert(partition, value.clone())
            }
            None => {
                let partitions = offsets.get_mut(topic);
                let old = partitions.and_then(|partitions| partitions.remove(&partition));
                if offsets.get(topic).is_some_and(BTreeMap::is_empty) {
                    offsets.remove(topic);
                }
                old
            }
        };
        self.bytes += added;
        self.bytes -= old.map_or(0, |old| offset_bytes(topic, &old));
    }

    fn set_group(&mut self, group_id: &str, value: Option<&StoredGroup>) {
        if value.is_none() && !self.knows(group_id) {
            return;
        }
        let added = value.map_or(0, StoredGroup::bytes);
        let old = std::mem::replace(&mut self.entry(group_id).group, value.cloned());
        self.bytes += added;
        self.bytes -= old.as_ref().map_or(0, StoredGroup::bytes);
        self.drop_if_unused(group_id);
    }

    fn delete_offsets<'a>(
        &self,
        group_id: &str,
        offsets: impl Iterator<Item = (&'a str, i32)>,
        changes: &mut Vec<Record>,
    ) {
        let present =
            offsets.filter(|(topic, partition)| self.offset(group_id, topic, *partition).is_some());
        changes.extend(present.map(|(topic, partition)| Record::Offset {
            group_id: group_id.to_string(),
            topic: topic.to_string(),
            partition,
            value: None,
        }));
    }
}

impl StoredGroup {
    /// How much the group takes, roughly, in bytes.
    pub fn bytes(&self) -> usize {
        let members = self.members.iter().map(|member| {
            ENTRY_OVERHEAD
                + member.member_id.len() * 2
                + member.instance_id.as_ref().map_or(0, String::len)
                + member.client_id.len()
                + member.client_host.len()
                + member.subscription.len()
                + member.assignment.len()
        });
        ENTRY_OVERHEAD
            + self.protocol_type.len()
            + self.protocol.as_ref().map_or(0, String::len)
            + self.leader.as_ref().map_or(0, String::len)
            + members.sum::<usize>()
    }
}

/// What it takes to know a group, roughly, in bytes.
fn entry_bytes(group_id: &str) -> usize {
    ENTRY_OVERHEAD + group_id.len()
}

fn offset_bytes(topic: &str, value: &CommittedOffset) -> usize {
    ENTRY_OVERHEAD + topic.len() + value.metadata.len()
}

impl CommittedOffset {
    /// How much the offset takes, roughly, in bytes.
    pub fn bytes(&self, topic: &str) -> usize {
        offset_bytes(topic, self)
    }

    fn has_expired(&self, topic: &str, now_ms: i64, retention_ms: i64, rule: &ExpiryRule) -> bool {
        let since_ms = match rule {
            ExpiryRule::Never => return false,
            ExpiryRule::Unsubscribed(subscribed) if subscribed.contains(topic) => return false,
            ExpiryRule::Unsubscribed(_) | ExpiryRule::SinceCommit => self.committed_at_ms,
            ExpiryRule::SinceEmpty(since_ms) => *since_ms,
        };
        match self.expires_at_ms {
            Some(expires_at_ms) => now_ms >= expires_at_ms,
            None => now_ms.saturating_sub(since_ms) >= retention_ms,
        }
    }
}

impl Machine for Stored {
    type Request = StoreRequest;
    type Change = Record;
    type Reply = ();
    type Duty = std::convert::Infallible;

    fn process(&self, request: &StoreRequest, changes: &mut Vec<Record>) {
        match request {
            StoreRequest::Commit { group_id, offsets } => {
                changes.extend(
                    offsets
                        .iter()
                        .map(|(topic, partition, value)| Record::Offset {
                            group_id: group_id.clone(),
                            topic: topic.clone(),
                            partition: *partition,
                            value: Some(value.clone()),
                        }),
                );
            }
            StoreRequest::Group { group_id, group } => {
                changes.push(Record::Group {
                    group_id: group_id.clone(),
                    value: Some(group.clone()),
                });
            }
            StoreRequest::DeleteOffsets { group_id, offsets } => {
                let offsets = offsets
                    .iter()
                    .map(|(topic, partition)| (topic.as_str(), *partition));
                self.delete_offsets(group_id, offsets, changes);
            }
            StoreRequest::DeleteTopics { topic_ids } => {
                for group_id in self.groups.keys() {
                    let of_topics = |offset: &CommittedOffset| {
                        offset.topic_id.is_some_and(|id| topic_ids.contains(&id))
                    };
                    let gone = self
                        .offsets(group_id)
                        .filter(|(_, _, offset)| of_topics(offset));
                    self.delete_offsets(
                        group_id,
                        gone.map(|(topic, partition, _)| (topic, partition)),
                        changes,
                    );
                }
            }
            StoreRequest::DeleteGroup { group_id } => {
                let all = self
                    .offsets(group_id)
                    .map(|(topic, partition, _)| (topic, partition));
                self.delete_offsets(group_id, all, changes);
                // Without a record of its own, too: whoever reads the log again learns from this one that it is gone.
                if self.knows(group_id) {
                    changes.push(Record::Group {
                        group_id: group_id.clone(),
                        value: None,
                    });
                }
            }
            StoreRequest::Expire {
                group_id,
                now_ms,
                retention_ms,
                rule,
            } => {
                let old = |(topic, _, offset): &(&str, i32, &CommittedOffset)| {
                    offset.has_expired(topic, *now_ms, *retention_ms, rule)
                };
                let expired = self.offsets(group_id).filter(old);
                let expired = expired.map(|(topic, partition, _)| (topic, partition));
                self.delete_offsets(group_id, expired, changes);
            }
        }
    }

    fn apply(&mut self, change: &Record) {
        match change {
            Record::Offset {
                group_id,
                topic,
                partition,
                value,
            } => {
                self.set_offset(group_id, topic, *partition, value.as_ref());
            }
            Record::Group { group_id, value } => self.set_group(group_id, value.as_ref()),
        }
    }

    fn duties(&self, _now_ms: i64, _due: &mut Vec<std::convert::Infallible>) {}

    fn next_deadline(&self) -> Option<i64> {
        None
    }

    fn snapshot(&self, out: &mut Vec<u8>) {
        let image = Image {
            version: SNAPSHOT_VERSION,
            groups: &self.groups,
        };
        encoding::encode(&image, out).expect("maps, strings and numbers always have an encoding");
    }

    fn restore(snapshot: &[u8]) -> Result<Stored, RestoreError> {
        let error = |what: String| RestoreError(format!("groups: {what}"));
        let version = snapshot
            .first_chunk::<4>()
            .map(|bytes| u32::from_le_bytes(*bytes));
        if version != Some(SNAPSHOT_VERSION) {
            return Err(error(format!(
                "version {version:?} is not {SNAPSHOT_VERSION}"
            )));
        }
        let image: Image<BTreeMap<String, Entry>> =
            encoding::decode(snapshot).map_err(|decode| error(decode.to_string()))?;
        let mut stored = Stored {
            groups: image.groups,
            bytes: 0,
        };
        stored.bytes = stored.count();
        Ok(stored)
    }
}

#[cfg(test)]
mod tests;
