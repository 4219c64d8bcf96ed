use super::{Arithmetic, Operation, Value};
use crate::active_active::Sequencer;
use crate::machine::Machine;
use crate::primary_backup::{Backup, Primary};
use proptest::prelude::*;

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let operand = prop_oneof![-3..=3i64, any::<i64>()];
    let operation = (any::<bool>(), operand).prop_map(|(add, operand)| match add {
        true => Operation::Add(operand),
        false => Operation::Multiply(operand),
    });
    prop::collection::vec(operation, 0..60)
}

#[test]
fn sums_and_products_wrap_around() {
    let mut number = Arithmetic::default();
    let mut changes = Vec::new();
    number.apply(&Value(i64::MAX));
    assert_eq!(
        number.process(&Operation::Add(1), &mut changes),
        Value(i64::MIN)
    );
    assert_eq!(
        number.process(&Operation::Multiply(2), &mut changes),
        Value(-2)
    );
    assert_eq!(number.value(), i64::MAX, "processing changes nothing");
}

#[test]
fn the_order_of_requests_is_part_of_the_answer() {
    let run = |operations: [Operation; 2]| {
        let mut sequencer = Sequencer::new(Arithmetic::default(), 0, 1);
        for (position, operation) in (0..).zip(operations) {
            let entry = sequencer.on_request((), operation);
            sequencer.on_committed(position, &entry, &mut Vec::new());
        }
        sequencer.machine().value()
    };
    assert_eq!(run([Operation::Add(1), Operation::Multiply(2)]), 2);
    assert_eq!(run([Operation::Multiply(2), Operation::Add(1)]), 1);
}

proptest! {
    #[test]
    fn both_models_give_equal_states_and_replies_for_the_same_requests(operations in operations()) {
        let mut sequencer = Sequencer::new(Arithmetic::default(), 0, 1);
        let mut primary = Primary::new(Arithmetic::default(), 0, 1);
        let mut active_replies = Vec::new();
        let mut primary_replies = Vec::new();
        for (number, operation) in operations.iter().enumerate() {
            let entry = sequencer.on_request(number, *operation);
            sequencer.on_committed(number as u64, &entry, &mut active_replies);
            primary.on_request(number, operation);
        }
        primary.on_committed(primary.log_end(), &mut primary_replies);
        prop_assert_eq!(active_replies, primary_replies);
        prop_assert_eq!(sequencer.machine().digest(), primary.view().digest());
    }

    #[test]
    fn a_replay_of_either_log_gives_the_digest_of_the_live_state(operations in operations(), cut in 0..60usize) {
        let mut sequencer = Sequencer::new(Arithmetic::default(), 0, 1);
        let mut requests = Vec::new();
        let mut primary = Primary::new(Arithmetic::default(), 0, 1);
        let mut results = Vec::new();
        let mut snapshot = None;
        for (number, operation) in operations.iter().enumerate() {
            if number == cut {
                snapshot = Some(sequencer.snapshot());
            }
            let entry = sequencer.on_request((), *operation);
            sequencer.on_committed(number as u64, &entry, &mut Vec::new());
            requests.push(entry);
            results.extend(primary.on_request((), operation));
        }

        let (position, bytes) = snapshot.unwrap_or_else(|| Sequencer::<_, ()>::new(Arithmetic::default(), 0, 1).snapshot());
        let mut replica: Sequencer<_, ()> = Sequencer::new(Arithmetic::restore(&bytes).unwrap(), position, 1);
        for (at, entry) in requests.iter().enumerate().skip(position as usize) {
            replica.on_committed(at as u64, entry, &mut Vec::new());
        }
        prop_assert_eq!(replica.machine().digest(), sequencer.machine().digest());

        let mut backup = Backup::new(Arithmetic::default(), 0, 1);
        for entry in &results {
            backup.on_committed(backup.position(), entry);
        }
        prop_assert_eq!(backup.machine().digest(), primary.view().digest());
        prop_assert_eq!(backup.position(), primary.log_end());
    }
}
