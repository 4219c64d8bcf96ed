use std::collections::BTreeMap;

use proptest::prelude::*;
use taffrail_record::TopicId;
use taffrail_replication::active_active::{Entry, Sequencer};
use taffrail_replication::{Machine, encoding};

use super::{Duty, Metadata};
use crate::metadata::{
    BrokerRegistration, Change, Command, ConfigEdit, ConfigOperation, Done, Refusal, Reply,
    TopicKey, check,
};

fn run(metadata: &mut Metadata, command: Command) -> Reply {
    let mut changes = Vec::new();
    let reply = metadata.process(&command, &mut changes);
    assert!(
        reply.is_ok() || changes.is_empty(),
        "a refusal changes nothing"
    );
    changes.iter().for_each(|change| metadata.apply(change));
    check(metadata).expect("consistent");
    reply
}

fn register(broker: i32, start_number: u64) -> Command {
    Command::RegisterBroker(BrokerRegistration {
        broker,
        directory_id: [broker as u8; 16],
        start_number,
        host: "localhost".to_string(),
        port: 9092,
        rack: None,
    })
}

fn create(number: u8, name: &str, partitions: usize) -> Command {
    Command::CreateTopic {
        topic_id: [number; 16],
        name: name.to_string(),
        assignments: vec![vec![1]; partitions],
        configs: BTreeMap::new(),
        created_ms: 1_700_000_000_000,
    }
}

fn delete(name: &str) -> Command {
    Command::DeleteTopic {
        topic: TopicKey::Name(name.to_string()),
    }
}

fn with_broker() -> Metadata {
    let mut metadata = Metadata::default();
    assert_eq!(
        run(&mut metadata, register(1, 1)),
        Ok(Done::BrokerRegistered { broker_epoch: 0 })
    );
    metadata
}

fn set(name: &str, value: &str) -> ConfigEdit {
    ConfigEdit {
        name: name.to_string(),
        operation: ConfigOperation::Set(value.to_string()),
    }
}

#[test]
fn a_created_topic_is_found_by_name_and_by_id() {
    let mut metadata = with_broker();
    let reply = run(&mut metadata, create(7, "orders", 3));
    assert_eq!(
        reply,
        Ok(Done::TopicCreated {
            topic_id: [7; 16],
            partitions: 3,
            replication_factor: 1
        })
    );
    let topic = metadata.topic("orders").expect("by name");
    assert_eq!(metadata.topic_by_id(TopicId([7; 16])), Some(topic));
    assert_eq!(
        (
            topic.partitions.len(),
            topic.partitions[2].leader,
            topic.internal
        ),
        (3, 1, false)
    );
    assert_eq!(metadata.partition_count(), 3);
}

#[test]
fn a_name_is_given_once_and_a_name_that_looks_like_it_is_refused() {
    let mut metadata = with_broker();
    assert!(run(&mut metadata, create(7, "a.b", 1)).is_ok());
    assert_eq!(
        run(&mut metadata, create(8, "a.b", 1)),
        Err(Refusal::TopicExists { topic_id: [7; 16] })
    );
    assert_eq!(
        run(&mut metadata, create(8, "a_b", 1)),
        Err(Refusal::NameCollides {
            with: "a.b".to_string()
        })
    );
    assert_eq!(
        run(&mut metadata, create(7, "other", 1)),
        Err(Refusal::TopicIdTaken)
    );
    assert_eq!(
        run(&mut metadata, create(0, "other", 1)),
        Err(Refusal::TopicIdTaken)
    );
    assert!(matches!(
        run(&mut metadata, create(9, "a b", 1)),
        Err(Refusal::InvalidName(_))
    ));
    assert!(run(&mut metadata, delete("a.b")).is_ok());
    assert!(run(&mut metadata, create(8, "a_b", 1)).is_ok());
}

#[test]
fn placement_is_validated() {
    let mut metadata = with_broker();
    let placed = |assignments: Vec<Vec<i32>>| Command::CreateTopic {
        topic_id: [7; 16],
        name: "t".to_string(),
        assignments,
        configs: BTreeMap::new(),
        created_ms: 0,
    };
    assert_eq!(
        run(&mut metadata, placed(vec![])),
        Err(Refusal::NoPartitions)
    );
    for wrong in [
        vec![vec![]],
        vec![vec![2]],
        vec![vec![1, 1]],
        vec![vec![1], vec![1, 1]],
    ] {
        assert!(matches!(
            run(&mut metadata, placed(wrong)),
            Err(Refusal::InvalidAssignment { .. })
        ));
    }
    assert_eq!(
        run(&mut metadata, placed(vec![vec![1]; 10_001])),
        Err(Refusal::TooManyPartitions)
    );
}

#[test]
fn partitions_only_grow() {
    let mut metadata = with_broker();
    run(&mut metadata, create(7, "t", 2)).expect("created");
    let grow = |count: i32, given: usize| Command::CreatePartitions {
        name: "t".to_string(),
        count,
        assignments: vec![vec![1]; given],
    };
    for count in [-1, 0, 1, 2] {
        assert_eq!(
            run(&mut metadata, grow(count, 0)),
            Err(Refusal::NotMorePartitions { current: 2 })
        );
    }
    assert_eq!(
        run(&mut metadata, grow(5, 2)),
        Err(Refusal::AssignmentCount {
            expected: 3,
            found: 2
        })
    );
    assert_eq!(
        run(&mut metadata, grow(i32::MAX, 2)),
        Err(Refusal::TooManyPartitions)
    );
    assert_eq!(
        run(&mut metadata, grow(5, 3)),
        Ok(Done::PartitionsCreated {
            topic_id: [7; 16],
            count: 5
        })
    );
    assert_eq!(metadata.partition_count(), 5);
}

#[test]
fn topics_of_the_brokers_are_neither_deleted_nor_resized() {
    let mut metadata = with_broker();
    run(&mut metadata, create(7, "__consumer_offsets", 50)).expect("created");
    assert!(
        metadata
            .topic("__consumer_offsets")
            .expect("exists")
            .internal
    );
    assert_eq!(
        run(&mut metadata, delete("__consumer_offsets")),
        Err(Refusal::InternalTopic)
    );
    let grow = Command::CreatePartitions {
        name: "__consumer_offsets".to_string(),
        count: 51,
        assignments: vec![vec![1]],
    };
    assert_eq!(run(&mut metadata, grow), Err(Refusal::InternalTopic));
}

#[test]
fn deleting_a_topic_is_a_duty_until_its_data_is_reported_gone() {
    let mut metadata = with_broker();
    run(&mut metadata, create(7, "t", 2)).expect("created");
    run(&mut metadata, delete("t")).expect("deleted");
    assert_eq!(metadata.topic("t"), None);
    let mut due = Vec::new();
    metadata.duties(0, &mut due);
    let duty = Duty::RemoveData {
        broker: 1,
        topic_id: TopicId([7; 16]),
        partitions: 2,
    };
    assert_eq!(due, [duty]);
    assert_eq!(
        run(&mut metadata, create(7, "u", 1)),
        Err(Refusal::TopicIdTaken),
        "its data may still be there"
    );
    assert!(
        run(&mut metadata, create(8, "t", 1)).is_ok(),
        "the name is free at once"
    );
    let removed = Command::DataRemoved {
        broker: 1,
        topic_id: [7; 16],
    };
    assert_eq!(run(&mut metadata, removed.clone()), Ok(Done::DataRemoved));
    assert_eq!(run(&mut metadata, removed), Err(Refusal::NothingToRemove));
    due.clear();
    metadata.duties(0, &mut due);
    assert!(due.is_empty());
}

#[test]
fn a_topic_can_be_deleted_by_id() {
    let mut metadata = with_broker();
    run(&mut metadata, create(7, "t", 2)).expect("created");
    let by_id = |number| Command::DeleteTopic {
        topic: TopicKey::Id([number; 16]),
    };
    assert_eq!(run(&mut metadata, by_id(8)), Err(Refusal::UnknownTopicId));
    assert_eq!(
        run(&mut metadata, by_id(7)),
        Ok(Done::TopicDeleted {
            topic_id: [7; 16],
            name: "t".to_string()
        })
    );
}

#[test]
fn settings_are_edited_all_or_none() {
    let mut metadata = with_broker();
    run(&mut metadata, create(7, "t", 1)).expect("created");
    let edits = |edits: Vec<ConfigEdit>| Command::SetTopicConfigs {
        name: "t".to_string(),
        edits,
    };
    let configs = |metadata: &Metadata| metadata.topic("t").expect("exists").configs.clone();
    run(
        &mut metadata,
        edits(vec![set("retention.ms", "1"), set("segment.ms", "2")]),
    )
    .expect("set");
    let too_long = "x".repeat(40_000);
    let refused = run(
        &mut metadata,
        edits(vec![set("retention.ms", "9"), set("b", &too_long)]),
    );
    assert!(matches!(refused, Err(Refusal::InvalidConfig { .. })));
    assert_eq!(configs(&metadata)["retention.ms"], "1");
    let operation = |name: &str, operation| ConfigEdit {
        name: name.to_string(),
        operation,
    };
    let append = ConfigOperation::Append {
        values: "compact,delete".to_string(),
        default: "delete".to_string(),
    };
    run(
        &mut metadata,
        edits(vec![
            operation("retention.ms", ConfigOperation::Delete),
            operation("cleanup.policy", append),
        ]),
    )
    .expect("edited");
    assert_eq!(configs(&metadata)["cleanup.policy"], "delete,compact");
    assert!(!configs(&metadata).contains_key("retention.ms"));
    let subtract = ConfigOperation::Subtract {
        values: "delete".to_string(),
        default: "delete".to_string(),
    };
    run(
        &mut metadata,
        edits(vec![operation("cleanup.policy", subtract)]),
    )
    .expect("edited");
    assert_eq!(configs(&metadata)["cleanup.policy"], "compact");
}

#[test]
fn settings_of_one_broker_and_of_all_are_apart() {
    let mut metadata = with_broker();
    let command = |broker, edit| Command::SetBrokerConfigs {
        broker,
        edits: vec![edit],
    };
    run(&mut metadata, command(None, set("a", "1"))).expect("set");
    run(&mut metadata, command(Some(1), set("a", "2"))).expect("set");
    assert_eq!(metadata.broker_configs(None).expect("set")["a"], "1");
    assert_eq!(metadata.broker_configs(Some(1)).expect("set")["a"], "2");
    let unset = ConfigEdit {
        name: "a".to_string(),
        operation: ConfigOperation::Delete,
    };
    run(&mut metadata, command(Some(1), unset)).expect("set");
    assert_eq!(metadata.broker_configs(Some(1)), None);
}

#[test]
fn producer_ids_are_given_once() {
    let mut metadata = with_broker();
    let take = |count| Command::AllocateProducerIds { broker: 1, count };
    assert_eq!(
        run(&mut metadata, take(1000)),
        Ok(Done::ProducerIds {
            first: 0,
            count: 1000
        })
    );
    assert_eq!(
        run(&mut metadata, take(1)),
        Ok(Done::ProducerIds {
            first: 1000,
            count: 1
        })
    );
    assert_eq!(run(&mut metadata, take(0)), Err(Refusal::InvalidBlock));
    assert_eq!(metadata.next_producer_id(), 1001);
    metadata.apply(&Change::NextProducerId(i64::MAX));
    assert_eq!(
        run(&mut metadata, take(1)),
        Err(Refusal::ProducerIdsExhausted)
    );
}

#[test]
fn a_directory_that_was_rolled_back_is_found_out() {
    let mut metadata = with_broker();
    assert_eq!(
        run(&mut metadata, register(1, 2)),
        Ok(Done::BrokerRegistered { broker_epoch: 1 })
    );
    assert_eq!(
        run(&mut metadata, register(1, 2)),
        Err(Refusal::StaleStart { known: 2 })
    );
    assert_eq!(
        run(&mut metadata, register(1, 1)),
        Err(Refusal::StaleStart { known: 2 })
    );
    let mut replaced = register(1, 1);
    if let Command::RegisterBroker(registration) = &mut replaced {
        registration.directory_id = [99; 16];
    }
    assert_eq!(
        run(&mut metadata, replaced),
        Ok(Done::BrokerRegistered { broker_epoch: 2 })
    );
}

#[test]
fn a_level_that_this_binary_does_not_know_is_refused() {
    let mut metadata = with_broker();
    for level in [0, 1, 2] {
        let reply = run(&mut metadata, Command::SetSemanticsLevel { level });
        assert_eq!(reply, Err(Refusal::UnknownSemanticsLevel));
    }
}

#[test]
fn a_snapshot_of_another_format_is_refused() {
    let mut bytes = Vec::new();
    with_broker().snapshot(&mut bytes);
    assert_eq!(Metadata::restore(&bytes), Ok(with_broker()));
    bytes[0] = 2;
    let error = Metadata::restore(&bytes).expect_err("another version");
    assert!(error.to_string().contains("version Some(2)"), "{error}");
    assert!(Metadata::restore(&[]).is_err());
    bytes[0] = 1;
    bytes.pop();
    assert!(Metadata::restore(&bytes).is_err());
}

fn commands() -> impl Strategy<Value = Vec<Command>> {
    let name = prop::sample::select(vec![
        "a",
        "b",
        "a.b",
        "a_b",
        "__consumer_offsets",
        "bad name",
    ]);
    let number = 1..6u8;
    let command = prop_oneof![
        4 => (number.clone(), name.clone(), 0..4usize).prop_map(|(number, name, count)| create(number, name, count)),
        2 => name.clone().prop_map(delete),
        1 => number.clone().prop_map(|id| Command::DeleteTopic { topic: TopicKey::Id([id; 16]) }),
        1 => (name.clone(), 0..6i32, 0..4usize).prop_map(|(name, count, given)| Command::CreatePartitions {
            name: name.to_string(),
            count,
            assignments: vec![vec![1]; given],
        }),
        1 => (name, "[a-c]", "[0-9]").prop_map(|(name, key, value)| Command::SetTopicConfigs {
            name: name.to_string(),
            edits: vec![set(&key, &value)],
        }),
        1 => (0..3u32).prop_map(|count| Command::AllocateProducerIds { broker: 1, count }),
        1 => (1..3i32, 0..5u64).prop_map(|(broker, start)| register(broker, start)),
        2 => (1..3i32, number).prop_map(|(broker, id)| Command::DataRemoved { broker, topic_id: [id; 16] }),
    ];
    prop::collection::vec(command, 0..40)
}

proptest! {
    #[test]
    fn every_state_is_consistent_and_equals_its_replay_and_its_snapshot(commands in commands(), cut in 0..40u64) {
        let mut live: Sequencer<Metadata, ()> = Sequencer::new(with_broker(), 0, 1);
        let mut log = Vec::new();
        let mut snapshot = None;
        for (position, command) in (0u64..).zip(commands) {
            if position == cut {
                snapshot = Some(live.snapshot());
            }
            let entry = live.on_request((), command);
            let mut bytes = Vec::new();
            encoding::encode(&entry, &mut bytes).expect("encodes");
            live.on_committed(position, &entry, &mut Vec::new());
            check(live.machine()).map_err(TestCaseError::fail)?;
            log.push(bytes);
        }
        let (start, machine) = match snapshot {
            Some((start, bytes)) => (start, Metadata::restore(&bytes).expect("restores")),
            None => (0, with_broker()),
        };
        let mut replica: Sequencer<Metadata, ()> = Sequencer::new(machine, start, 1);
        for (position, bytes) in log.iter().enumerate().skip(start as usize) {
            let entry: Entry<Command> = encoding::decode(bytes).expect("decodes");
            replica.on_committed(position as u64, &entry, &mut Vec::new());
        }
        prop_assert_eq!(replica.machine(), live.machine());
        prop_assert_eq!(replica.machine().digest(), live.machine().digest());
    }
}
