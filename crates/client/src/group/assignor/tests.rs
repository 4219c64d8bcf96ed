//! Hand-made groups, and drawn ones held against what must be true of every assignment.

use super::*;

fn member(id: &str, topics: &[&str]) -> Member {
    Member {
        member_id: id.into(),
        topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
        generation: -1,
        ..Member::default()
    }
}

fn topics(list: &[(&str, i32)]) -> BTreeMap<String, i32> {
    list.iter()
        .map(|(topic, count)| ((*topic).to_owned(), *count))
        .collect()
}

fn shown(assignment: &Assignment) -> Vec<String> {
    assignment
        .iter()
        .map(|(member, partitions)| {
            let list: Vec<String> = partitions.iter().map(ToString::to_string).collect();
            format!("{member}: {}", list.join(" "))
        })
        .collect()
}

#[test]
fn range_gives_the_first_members_the_rest_topic_by_topic() {
    let members = [member("b", &["t", "u"]), member("a", &["t", "u"])];
    let assignment = assign(
        AssignorKind::Range,
        &members,
        &topics(&[("t", 3), ("u", 3)]),
    );
    assert_eq!(shown(&assignment), ["a: t-0 t-1 u-0 u-1", "b: t-2 u-2"]);
}

#[test]
fn range_puts_static_members_first() {
    let mut fixed = member("z", &["t"]);
    fixed.group_instance_id = Some("one".into());
    let assignment = assign(
        AssignorKind::Range,
        &[member("a", &["t"]), fixed],
        &topics(&[("t", 3)]),
    );
    assert_eq!(shown(&assignment), ["a: t-2", "z: t-0 t-1"]);
}

#[test]
fn round_robin_takes_turns_and_skips_those_who_do_not_want_the_topic() {
    let members = [member("a", &["t"]), member("b", &["t", "u"])];
    let assignment = assign(
        AssignorKind::RoundRobin,
        &members,
        &topics(&[("t", 3), ("u", 2)]),
    );
    assert_eq!(shown(&assignment), ["a: t-0 t-2", "b: t-1 u-0 u-1"]);
}

#[test]
fn a_topic_that_nobody_wants_or_that_does_not_exist_goes_to_nobody() {
    for kind in [
        AssignorKind::Range,
        AssignorKind::RoundRobin,
        AssignorKind::CooperativeSticky,
    ] {
        let assignment = assign(kind, &[member("a", &["absent"])], &topics(&[("t", 2)]));
        assert_eq!(shown(&assignment), ["a: "], "{kind:?}");
    }
}

#[test]
fn a_moving_partition_is_withheld_until_its_owner_let_go() {
    let mut a = member("a", &["t"]);
    a.generation = 1;
    a.owned = (0..4).map(|p| TopicPartitionName::new("t", p)).collect();
    let b = member("b", &["t"]);
    let first = assign(
        AssignorKind::CooperativeSticky,
        &[a.clone(), b.clone()],
        &topics(&[("t", 4)]),
    );
    assert_eq!(shown(&first), ["a: t-0 t-1", "b: "]);
    a.owned.truncate(2);
    let second = assign(
        AssignorKind::CooperativeSticky,
        &[a, b],
        &topics(&[("t", 4)]),
    );
    assert_eq!(shown(&second), ["a: t-0 t-1", "b: t-2 t-3"]);
}

#[test]
fn a_claim_of_an_older_generation_counts_for_nothing() {
    let owned = vec![TopicPartitionName::new("t", 0)];
    let mut zombie = member("a", &["t"]);
    zombie.generation = 1;
    zombie.owned.clone_from(&owned);
    let mut owner = member("b", &["t"]);
    owner.generation = 2;
    owner.owned = owned;
    let assignment = assign(
        AssignorKind::CooperativeSticky,
        &[zombie, owner],
        &topics(&[("t", 1)]),
    );
    assert_eq!(shown(&assignment), ["a: ", "b: t-0"]);
}

/// A small generator of numbers, so that the drawn groups are the same on every run.
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % bound
    }
}

#[test]
fn drawn_groups_end_with_every_partition_at_exactly_one_member_that_wants_it() {
    let mut draw = Draw(7);
    for _ in 0..300 {
        let partitions = topics(&[
            ("t", draw.below(7) as i32),
            ("u", draw.below(5) as i32),
            ("v", draw.below(3) as i32),
        ]);
        let mut members: Vec<Member> = (0..1 + draw.below(5))
            .map(|place| {
                let wanted: Vec<&str> = ["t", "u", "v"]
                    .into_iter()
                    .filter(|_| draw.below(3) > 0)
                    .collect();
                member(&format!("m{place}"), &wanted)
            })
            .collect();
        for kind in [AssignorKind::Range, AssignorKind::RoundRobin] {
            check_complete(&members, &partitions, &assign(kind, &members, &partitions));
        }
        // Two rounds of the cooperative protocol: let go, then take.
        for round in 0..2 {
            let assignment = assign(AssignorKind::CooperativeSticky, &members, &partitions);
            if round == 1 {
                check_complete(&members, &partitions, &assignment);
            }
            for member in &mut members {
                member.owned.clone_from(&assignment[&member.member_id]);
                member.generation = round;
            }
        }
        // And nothing moves when nothing changed.
        let again = assign(AssignorKind::CooperativeSticky, &members, &partitions);
        for member in &members {
            assert_eq!(again[&member.member_id], member.owned);
        }
    }
}

fn check_complete(members: &[Member], partitions: &BTreeMap<String, i32>, assignment: &Assignment) {
    let mut seen = BTreeSet::new();
    for member in members {
        for name in &assignment[&member.member_id] {
            assert!(member.topics.contains(&name.topic));
            assert!(seen.insert(name.clone()), "{name} has two owners");
        }
    }
    for (topic, count) in partitions {
        let wanted = members.iter().any(|member| member.topics.contains(topic));
        for partition in 0..*count {
            let name = TopicPartitionName::new(topic.clone(), partition);
            assert_eq!(seen.contains(&name), wanted, "{name}");
        }
    }
}
