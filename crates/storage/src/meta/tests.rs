use super::Meta;
use crate::journal::{Joint, Place};

fn meta() -> Meta {
    Meta {
        counter: 3,
        directory_id: [1; 16],
        cluster_id: [2; 16],
        start_number: 9,
        clean: Some((
            Joint {
                place: Place {
                    file: 4,
                    offset: 8192,
                },
                sequence: 77,
                checksum: 78,
            },
            12,
        )),
        complete: true,
        journal_file_bytes: 1 << 24,
        journal_files: 8,
    }
}

#[test]
fn a_slot_says_what_was_written_and_nothing_else() {
    let slot = meta().encode();
    assert_eq!(slot.len(), 4096);
    assert_eq!(Meta::decode(&slot), Some(meta()));
    for at in 0..128 {
        let mut hurt = slot.to_vec();
        hurt[at] ^= 4;
        assert_eq!(Meta::decode(&hurt), None, "byte {at}");
    }
    assert_eq!(Meta::decode(&slot[..100]), None);
    let unclean = Meta {
        clean: None,
        complete: false,
        ..meta()
    };
    assert_eq!(Meta::decode(&unclean.encode()), Some(unclean));
}

#[test]
fn what_no_program_writes_is_no_slot_whatever_its_checksum_says() {
    let odd = [
        Meta {
            counter: u64::MAX,
            ..meta()
        },
        Meta {
            start_number: u64::MAX,
            ..meta()
        },
        Meta {
            journal_files: u32::MAX,
            ..meta()
        },
        Meta {
            journal_files: 0,
            ..meta()
        },
    ];
    for meta in odd {
        assert_eq!(Meta::decode(&meta.encode()), None, "{meta:?}");
    }
    let mut flags = meta().encode().to_vec();
    flags[12] |= 0x80;
    let checksum = super::crc64(&flags[..120]).to_le_bytes();
    flags[120..128].copy_from_slice(&checksum);
    assert_eq!(Meta::decode(&flags), None);
}

#[test]
fn the_version_of_a_slot_is_found_whatever_else_it_holds() {
    let mut slot = meta().encode().to_vec();
    slot[8] = 7;
    assert_eq!(Meta::decode(&slot), None);
    assert_eq!(Meta::other_version(&[0; 4096]), None);
    assert_eq!(Meta::other_version(&slot), None, "damage is no version");
    let checksum = super::crc64(&slot[..120]).to_le_bytes();
    slot[120..128].copy_from_slice(&checksum);
    assert_eq!(Meta::other_version(&slot), Some(7));
    assert_eq!(Meta::other_version(&meta().encode()), None);
}
