use super::{Checkpoint, Section, decode, encode};
use crate::journal::{Joint, Place};
use crate::state::LogState;
use taffrail_record::{TopicId, TopicPartition};

const ID: [u8; 16] = [8; 16];

fn log(number: i32) -> LogState {
    let partition = TopicPartition {
        topic: TopicId([1; 16]),
        partition: number,
    };
    LogState::new(partition, number as u64, 3, 0)
}

fn place(offset: u64) -> Place {
    Place { file: 2, offset }
}

#[test]
fn a_checkpoint_gives_back_its_logs_and_any_damage_shows() {
    let replay = Joint {
        place: place(4096),
        sequence: 5,
        checksum: 6,
    };
    let logs = [log(0), log(1), log(2)];
    let sections = [
        Section::of(place(8192), logs[..2].iter()),
        Section::of(place(12288), logs[2..].iter()),
    ];
    let bytes = encode(&ID, 9, &replay, 44, &sections).concat();
    let expected = Checkpoint {
        generation: 9,
        replay,
        next_log_number: 44,
        sections: vec![
            (place(8192), logs[..2].to_vec()),
            (place(12288), logs[2..].to_vec()),
        ],
    };
    assert_eq!(decode(&ID, &bytes), Some(expected));
    assert_eq!(decode(&[9; 16], &bytes), None);
    for at in 0..bytes.len() {
        let mut hurt = bytes.clone();
        hurt[at] ^= 16;
        assert_eq!(decode(&ID, &hurt), None, "byte {at}");
    }
    for len in 0..bytes.len() {
        assert_eq!(decode(&ID, &bytes[..len]), None);
    }
}
