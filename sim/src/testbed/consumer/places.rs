//! Where a recorded consumer stands in each partition, as judges know it, and when it may go on elsewhere.
//!
//! Judges are told where a reading begins, and hold every later position against what was given before. The product's consumer
//! moves by itself without a word in three cases, and judges must hear of each as of a new beginning, or they would accuse
//! it: its group gives it a partition again; the name belongs to another topic by now; its policy sends it from an
//! offset that is not in the log to one that is. The last is believed only where it can be: of a place that the start of the log may
//! have passed by, or of one that was named by the caller or the group and from which nothing was read yet.

use crate::testbed::Cluster;
use std::collections::BTreeMap;
use taffrail_client::{OffsetReset, Rebalance, StartAt, TopicPartitionName};
use taffrail_record::{Offset, TopicPartition};

/// Where logs begin in a cluster of this kind.
const FIRST: Offset = 0;

/// One partition's place.
#[derive(Default)]
struct Place {
    /// The partition that it is a place in; its name may be another topic's by now. `None` until judges know the topic.
    identity: Option<TopicPartition>,
    /// The offset that is next; `None` until the consumer has found its beginning.
    due: Option<Offset>,
    /// Judges have heard of the beginning.
    told: bool,
    /// Something was given from here.
    read: bool,
}

/// All places of a consumer.
pub(super) struct Places {
    places: BTreeMap<TopicPartitionName, Place>,
    /// The consumer's policy for offsets that are not in the log.
    policy: OffsetReset,
}

/// Where a consumer stands.
pub(super) struct Standing {
    pub identity: TopicPartition,
    /// Judges are to be told first that it begins: there, or wherever it is found.
    pub begins: Option<Option<Offset>>,
}

impl Places {
    pub fn new(policy: OffsetReset) -> Places {
        Places {
            places: BTreeMap::new(),
            policy,
        }
    }

    /// These are read from now on, and nothing else.
    pub fn assign(&mut self, cluster: &Cluster, partitions: &[(TopicPartitionName, StartAt)]) {
        self.places.clear();
        for (name, start) in partitions {
            self.begin(cluster, name, *start);
        }
    }

    /// The caller has said where to go on.
    pub fn begin(&mut self, cluster: &Cluster, name: &TopicPartitionName, start: StartAt) {
        let place = Place {
            due: match start {
                StartAt::Offset(offset) => Some(offset),
                StartAt::Earliest if !cluster.may_trim(&name.topic) => Some(FIRST),
                _ => None,
            },
            ..Place::default()
        };
        self.places.insert(name.clone(), place);
    }

    /// What was given by the group begins anew, and what was taken away has ended.
    pub fn carry_out(&mut self, rebalance: &Rebalance) {
        let (Rebalance::Assigned { partitions, .. }
        | Rebalance::Revoked(partitions)
        | Rebalance::Lost(partitions)) = rebalance
        else {
            return;
        };
        for name in partitions {
            self.places.remove(name);
        }
    }

    /// The consumer stands at `position`, or was given a record of this number there. `None` if judges do not know the topic.
    pub fn stand(
        &mut self,
        cluster: &Cluster,
        name: &TopicPartitionName,
        position: Offset,
        record: Option<u64>,
    ) -> Option<Standing> {
        let place = self.places.entry(name.clone()).or_default();
        let moved = place.due.is_some_and(|due| due != position);
        let anew = has_other_topic(place, cluster, name)
            && (moved || record.is_some_and(|record| cluster.is_of_present(&name.topic, record)));
        if anew {
            // What the older topic had left was given out before.
            *place = Place::default();
        } else if moved && may_move(place, self.policy, cluster, name, position) {
            (place.due, place.told) = (None, false);
        }
        let identity = place.identity.or_else(|| cluster.known(name))?;
        let begins = (!place.told).then_some(place.due);
        place.identity = Some(identity);
        place.told = true;
        place.due = Some(position);
        Some(Standing { identity, begins })
    }

    /// Whether the reading that judges were told of still goes on.
    pub fn goes_on(&self, name: &TopicPartitionName, identity: TopicPartition) -> bool {
        let place = self.places.get(name);
        place.is_some_and(|place| place.told && place.identity == Some(identity))
    }

    /// Whether a record of this number, given from this place, shows that another topic is read by now.
    pub fn is_over(&self, cluster: &Cluster, name: &TopicPartitionName, record: u64) -> bool {
        let place = self.places.get(name);
        place.is_some_and(|place| has_other_topic(place, cluster, name))
            && cluster.is_of_present(&name.topic, record)
    }

    /// Everything before `next` was given.
    pub fn given(&mut self, name: &TopicPartitionName, next: Offset) {
        if let Some(place) = self.places.get_mut(name) {
            (place.due, place.read) = (Some(next), true);
        }
    }

    /// The consumer was told that it stands outside of the log, and begins anew. Whether the log is meant in which judges
    /// believe it to stand: a client that has not heard of a topic's end takes its successor for it at first.
    pub fn sent_away(&mut self, cluster: &Cluster, name: &TopicPartitionName) -> bool {
        let Some(place) = self.places.get_mut(name) else {
            return false;
        };
        (place.due, place.told) = (None, false);
        place.read || !cluster.is_reused(&name.topic)
    }
}

/// Whether the name that the place was found by belongs to another topic by now.
fn has_other_topic(place: &Place, cluster: &Cluster, name: &TopicPartitionName) -> bool {
    let known = cluster.known(name);
    place.identity.is_some() && known.is_some() && place.identity != known
}

/// Whether the consumer's policy may have sent it from its place to this one: forward from one that the log's start has passed, back from
/// one behind the log's end, or from there to where the end is by now.
fn may_move(
    place: &Place,
    policy: OffsetReset,
    cluster: &Cluster,
    name: &TopicPartitionName,
    to: Offset,
) -> bool {
    let is_forward = place.due.is_some_and(|due| due < to);
    match policy {
        OffsetReset::Error => false,
        _ if place.read => is_forward && cluster.may_trim(&name.topic),
        OffsetReset::Latest => true,
        OffsetReset::Earliest => {
            !is_forward || cluster.may_trim(&name.topic) || cluster.is_reused(&name.topic)
        }
    }
}
