use super::{new_member_id, partition_for};

#[test]
fn a_group_lives_where_every_kafka_tool_looks_for_it() {
    for (group_id, partition) in [
        ("billing", 9),
        ("my-group", 12),
        ("über😀", 38),
        ("polygenelubricants", 0),
        ("", 0),
        ("x", 20),
        ("group-7", 5),
        ("console-consumer-12345", 6),
    ] {
        assert_eq!(partition_for(group_id, 50), partition, "{group_id}");
    }
}

#[test]
fn a_member_id_is_the_name_and_a_uuid_and_fits_into_a_string_of_the_protocol() {
    let random = [0xff; 16];
    assert_eq!(
        new_member_id("rdkafka", random),
        "rdkafka-ffffffff-ffff-4fff-bfff-ffffffffffff"
    );
    let long = "ü".repeat(16_383);
    assert!(new_member_id(&long, random).len() <= i16::MAX as usize);
}
