//! How the leader of a group shares the partitions out. Same input, same output, whoever computes it.
//!
//! `range` and `roundrobin` give what Kafka's Java client gives. `cooperative-sticky` starts from what the members have,
//! gives what nobody has to whoever has least, and moves a partition only if that makes the load more even; a partition that
//! moves is given to nobody in this round, so that its old owner lets go of it before its new owner begins.

use crate::options::AssignorKind;
use crate::records::TopicPartitionName;
use std::collections::{BTreeMap, BTreeSet};

/// One member, as the leader sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    pub member_id: String,
    pub group_instance_id: Option<String>,
    pub topics: Vec<String>,
    pub owned: Vec<TopicPartitionName>,
    /// The generation in which it owned them; -1 if unknown.
    pub generation: i32,
}

/// The partitions of each member, by member id. Every member has an entry.
pub type Assignment = BTreeMap<String, Vec<TopicPartitionName>>;

/// Shares the partitions of every topic that somebody wants. `partitions` says how many each topic has; topics that do not
/// exist are left out.
pub fn assign(
    kind: AssignorKind,
    members: &[Member],
    partitions: &BTreeMap<String, i32>,
) -> Assignment {
    match kind {
        AssignorKind::Range => range(members, partitions),
        AssignorKind::RoundRobin => round_robin(members, partitions),
        AssignorKind::CooperativeSticky => cooperative_sticky(members, partitions),
    }
}

/// Static members first, by instance id, so that a restart under a new member id changes nothing; then by member id.
fn in_order(members: &[Member]) -> Vec<&Member> {
    let mut ordered: Vec<&Member> = members.iter().collect();
    ordered.sort_by_key(|member| {
        (
            member.group_instance_id.is_none(),
            member.group_instance_id.clone(),
            member.member_id.clone(),
        )
    });
    ordered
}

fn nobody_has_anything(members: &[Member]) -> Assignment {
    members
        .iter()
        .map(|member| (member.member_id.clone(), Vec::new()))
        .collect()
}

fn give(assignment: &mut Assignment, member: &Member, partition: TopicPartitionName) {
    assignment
        .entry(member.member_id.clone())
        .or_default()
        .push(partition);
}

fn range(members: &[Member], partitions: &BTreeMap<String, i32>) -> Assignment {
    let mut assignment = nobody_has_anything(members);
    let ordered = in_order(members);
    for (topic, count) in partitions {
        let takers: Vec<&&Member> = ordered
            .iter()
            .filter(|member| member.topics.contains(topic))
            .collect();
        if takers.is_empty() {
            continue;
        }
        let each = *count as usize / takers.len();
        let extra = *count as usize % takers.len();
        let mut next = 0;
        for (place, member) in takers.iter().enumerate() {
            let share = each + usize::from(place < extra);
            for partition in next..next + share {
                let name = TopicPartitionName::new(topic.clone(), partition as i32);
                give(&mut assignment, member, name);
            }
            next += share;
        }
    }
    assignment
}

fn round_robin(members: &[Member], partitions: &BTreeMap<String, i32>) -> Assignment {
    let mut assignment = nobody_has_anything(members);
    let ordered = in_order(members);
    let mut turn = 0;
    for (topic, count) in partitions {
        if !ordered.iter().any(|member| member.topics.contains(topic)) {
            continue;
        }
        for partition in 0..*count {
            while !ordered[turn % ordered.len()].topics.contains(topic) {
                turn += 1;
            }
            let name = TopicPartitionName::new(topic.clone(), partition);
            give(&mut assignment, ordered[turn % ordered.len()], name);
            turn += 1;
        }
    }
    assignment
}

/// Who rightly has which partition: the claim of the latest generation, and none if two members claim it in the same one.
fn valid_claims(
    members: &[Member],
    partitions: &BTreeMap<String, i32>,
) -> BTreeMap<TopicPartitionName, usize> {
    let mut claims: BTreeMap<TopicPartitionName, (i32, Option<usize>)> = BTreeMap::new();
    for (place, member) in members.iter().enumerate() {
        let claimed: BTreeSet<&TopicPartitionName> = member.owned.iter().collect();
        for name in claimed {
            let exists = partitions
                .get(&name.topic)
                .is_some_and(|count| (0..*count).contains(&name.partition));
            if !exists {
                continue;
            }
            let claim = claims
                .entry(name.clone())
                .or_insert((member.generation, Some(place)));
            if claim.1 == Some(place) {
                continue;
            }
            if member.generation > claim.0 {
                *claim = (member.generation, Some(place));
            } else if member.generation == claim.0 {
                claim.1 = None;
            }
        }
    }
    claims
        .into_iter()
        .filter_map(|(name, (_, owner))| owner.map(|owner| (name, owner)))
        .collect()
}

fn cooperative_sticky(members: &[Member], partitions: &BTreeMap<String, i32>) -> Assignment {
    let owners = valid_claims(members, partitions);
    let mut shares: Vec<BTreeSet<TopicPartitionName>> = vec![BTreeSet::new(); members.len()];
    for (name, owner) in &owners {
        if members[*owner].topics.contains(&name.topic) {
            shares[*owner].insert(name.clone());
        }
    }
    give_what_nobody_has(members, partitions, &mut shares);
    even_out(members, &mut shares);
    let mut assignment = nobody_has_anything(members);
    for (place, share) in shares.into_iter().enumerate() {
        for name in share {
            let moves = owners.get(&name).is_some_and(|owner| *owner != place);
            if !moves {
                give(&mut assignment, &members[place], name);
            }
        }
    }
    assignment
}

fn give_what_nobody_has(
    members: &[Member],
    partitions: &BTreeMap<String, i32>,
    shares: &mut [BTreeSet<TopicPartitionName>],
) {
    let taken: BTreeSet<TopicPartitionName> = shares.iter().flatten().cloned().collect();
    for (topic, count) in partitions {
        let takers: Vec<usize> = (0..members.len())
            .filter(|place| members[*place].topics.contains(topic))
            .collect();
        for partition in 0..*count {
            let name = TopicPartitionName::new(topic.clone(), partition);
            if taken.contains(&name) {
                continue;
            }
            let least = takers
                .iter()
                .min_by_key(|place| (shares[**place].len(), &members[**place].member_id));
            if let Some(place) = least {
                shares[*place].insert(name);
            }
        }
    }
}

/// Moves single partitions from members with more to members with at least two less, until there is no such pair. Each move
/// makes the sum of the squares of the shares smaller, so this ends.
fn even_out(members: &[Member], shares: &mut [BTreeSet<TopicPartitionName>]) {
    'again: loop {
        let mut by_load: Vec<usize> = (0..members.len()).collect();
        by_load.sort_by_key(|place| (shares[*place].len(), members[*place].member_id.clone()));
        for from in by_load.iter().rev().copied() {
            for to in by_load.iter().copied() {
                if shares[from].len() < shares[to].len() + 2 {
                    break;
                }
                let moved = shares[from]
                    .iter()
                    .rev()
                    .find(|name| members[to].topics.contains(&name.topic))
                    .cloned();
                if let Some(name) = moved {
                    shares[from].remove(&name);
                    shares[to].insert(name);
                    continue 'again;
                }
            }
        }
        return;
    }
}

#[cfg(test)]
mod tests;
