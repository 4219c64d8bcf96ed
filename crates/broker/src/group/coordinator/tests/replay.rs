//! OFFSET-REPLAY-EQ: whatever members and tools do, whoever reads the log has the live coordinator's durable
//! state, at every instant; and nobody who asks is forgotten.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Operation {
    Join {
        member: u8,
        topic: u8,
        two_steps: bool,
    },
    JoinStatic {
        instance: u8,
        known: bool,
        topic: u8,
    },
    Sync {
        member: u8,
        stale: bool,
    },
    Heartbeat {
        member: u8,
    },
    Leave {
        member: u8,
    },
    Commit {
        member: Option<u8>,
        partition: i32,
        offset: i64,
        stale: bool,
    },
    DeleteOffsets {
        partition: i32,
    },
    DeleteGroup,
    DeleteTopic,
    Wait {
        seconds: u64,
    },
    Restart,
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let operation = prop_oneof![
        6 => (0..4u8, 0..2u8, any::<bool>()).prop_map(|(member, topic, two_steps)| Operation::Join { member, topic, two_steps }),
        4 => (0..2u8, any::<bool>(), 0..2u8).prop_map(|(instance, known, topic)| Operation::JoinStatic { instance, known, topic }),
        8 => (0..8u8, prop::bool::weighted(0.1)).prop_map(|(member, stale)| Operation::Sync { member, stale }),
        4 => (0..8u8).prop_map(|member| Operation::Heartbeat { member }),
        2 => (0..8u8).prop_map(|member| Operation::Leave { member }),
        6 => (prop::option::of(0..8u8), 0..3i32, 0..100i64, prop::bool::weighted(0.1))
            .prop_map(|(member, partition, offset, stale)| Operation::Commit { member, partition, offset, stale }),
        1 => (0..3i32).prop_map(|partition| Operation::DeleteOffsets { partition }),
        1 => Just(Operation::DeleteGroup),
        1 => Just(Operation::DeleteTopic),
        5 => prop_oneof![4 => 0..12u64, 1 => 100..700u64, 1 => 600_000..700_000u64].prop_map(|seconds| Operation::Wait { seconds }),
        1 => Just(Operation::Restart),
    ];
    prop::collection::vec(operation, 0..80)
}

/// Does one operation; members are chosen among those there are.
fn run(story: &mut Story, operation: &Operation, number: usize) {
    let group = story.coordinator.groups.get("g");
    let ids: Vec<String> = group
        .map(|group| group.members.keys().cloned().collect())
        .unwrap_or_default();
    let generation = group.map_or(0, |group| group.generation);
    let leader = group.and_then(|group| group.leader.clone());
    let chosen = |member: u8| {
        ids.get(usize::from(member) % ids.len().max(1))
            .cloned()
            .unwrap_or("nobody".to_string())
    };
    let protocols = |topic: u8| vec![subscribed("range", if topic == 0 { "t" } else { "u" })];
    match operation {
        Operation::Join {
            member: index,
            topic,
            two_steps,
        } => {
            let fresh = JoinRequest {
                member_id_required: *two_steps,
                ..new_member(&format!("new-{number}"))
            };
            let pending = group.and_then(|group| group.pending.first().cloned());
            let again = pending.unwrap_or_else(|| chosen(*index));
            let request = if index % 2 == 0 {
                fresh
            } else {
                member(&again)
            };
            story.join(JoinRequest {
                protocols: protocols(*topic),
                ..request
            });
        }
        Operation::JoinStatic {
            instance,
            known,
            topic,
        } => {
            let mut request = static_join(group, *instance, *known, number);
            request.protocols = protocols(*topic);
            story.join(request);
        }
        Operation::Sync { member, stale } => {
            let member_id = chosen(*member);
            let leads = leader == Some(member_id.clone());
            let all = ids.iter().map(|id| (id.as_str(), id.as_str()));
            let assignments: Vec<_> = all.filter(|_| leads).collect();
            story.sync(&member_id, generation - i32::from(*stale), &assignments);
        }
        Operation::Heartbeat { member } => drop(story.heartbeat(&chosen(*member), generation)),
        Operation::Leave { member } => drop(story.leave(&[(&chosen(*member), None)])),
        Operation::Commit {
            member,
            partition,
            offset,
            stale,
        } => {
            let member_id = member.map(chosen);
            commit_and_look(story, member_id, generation, *stale, *partition, *offset);
        }
        Operation::DeleteOffsets { .. } | Operation::DeleteGroup | Operation::DeleteTopic => {
            delete(story, operation);
        }
        Operation::Wait { seconds } => story.wait(Duration::from_secs(*seconds)),
        Operation::Restart => restart(story),
    }
}

/// What tools delete.
fn delete(story: &mut Story, operation: &Operation) {
    story.act(|coordinator, now, effects| match operation {
        Operation::DeleteOffsets { partition } => {
            let offsets = [("t".to_string(), *partition)];
            drop(coordinator.delete_offsets(now, "g", &offsets, effects));
        }
        Operation::DeleteGroup => {
            let _ = coordinator.delete(now, "g", effects);
        }
        _ => coordinator.delete_topics(now, [[7; 16]].into(), effects),
    });
}

/// A static member that may know its member id.
fn static_join(
    group: Option<&crate::group::state::Group<u32, u32>>,
    instance: u8,
    known: bool,
    number: usize,
) -> JoinRequest {
    let instance_id = format!("instance-{instance}");
    let current = group.and_then(|group| group.instances.get(&instance_id).cloned());
    JoinRequest {
        member_id: current.filter(|_| known).unwrap_or_default(),
        can_skip_assignment: number.is_multiple_of(2),
        ..static_member(&instance_id, &format!("static-{number}"))
    }
}

/// Commits, and sees that exactly what was accepted is committed.
fn commit_and_look(
    story: &mut Story,
    member_id: Option<String>,
    generation: i32,
    stale: bool,
    partition: i32,
    offset: i64,
) {
    let is_zombie = stale && member_id.is_some() && generation > 0;
    let generation = if member_id.is_some() {
        (generation - i32::from(stale)).max(0)
    } else {
        -1
    };
    let mut request = commit(generation, &member_id.unwrap_or_default(), offset);
    request.offsets[0].partition = partition;
    let before = story.committed();
    let answer = story.commit(request);
    let accepted = answer == Ok(vec![Ok(())]);
    let expected = if accepted && partition == 0 {
        Some(offset)
    } else {
        before
    };
    assert_eq!(story.committed(), expected, "OFFSET-NO-LOSS, ZOMBIE-FENCED");
    assert!(
        !(accepted && is_zombie),
        "a commit of an old generation was accepted"
    );
}

/// A restart abandons whoever waits, as the driver does.
fn restart(story: &mut Story) {
    let empty = Coordinator::new(
        GroupConfig::default(),
        Stored::default(),
        story.now,
        &mut Effects::default(),
    );
    let old = std::mem::replace(&mut story.coordinator, empty);
    let (stored, config) = (old.stored().clone(), old.config.clone());
    let (joining, syncing) = old.into_parked();
    for caller in joining {
        let refused = JoinRefused {
            error: GroupError::NotAvailable,
            member_id: String::new(),
        };
        assert!(
            story.joined.insert(caller, Err(refused)).is_none(),
            "answered twice"
        );
    }
    for caller in syncing {
        assert!(
            story
                .synced
                .insert(caller, Err(GroupError::NotAvailable))
                .is_none(),
            "answered twice"
        );
    }
    story.coordinator = Coordinator::new(config, stored, story.now, &mut Effects::default());
    story.restart();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn the_log_says_what_the_coordinator_knows_whatever_happens(operations in operations()) {
        let mut story = story();
        for (number, operation) in operations.iter().enumerate() {
            run(&mut story, operation, number);
            let replayed = story.replayed();
            prop_assert_eq!(replayed.digest(), story.coordinator.stored().digest());
            prop_assert_eq!(replayed.bytes(), story.coordinator.stored().bytes());
        }
        let mut snapshot = Vec::new();
        story.coordinator.stored().snapshot(&mut snapshot);
        prop_assert_eq!(&Stored::restore(&snapshot).expect("restores"), story.coordinator.stored());
    }

    #[test]
    fn whoever_asks_is_answered_and_a_silent_group_comes_to_rest(operations in operations()) {
        let mut story = story();
        for (number, operation) in operations.iter().enumerate() {
            run(&mut story, operation, number);
        }
        // Longer than any wait for others, for assignments, and any session, several times over.
        story.wait(Duration::from_secs(3_600));
        prop_assert_eq!(story.joined.len() + story.synced.len(), story.callers as usize);
        prop_assert_eq!(story.coordinator.timers.len(), 0);
        let resting = story.coordinator.list().into_iter().all(|group| group.state == GroupState::Empty);
        prop_assert!(resting, "members that are silent are members no more");
    }
}
