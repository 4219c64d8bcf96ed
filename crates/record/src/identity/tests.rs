use super::*;
use proptest::prelude::*;

#[test]
fn topic_ids_are_written_as_kafka_writes_uuids() {
    assert_eq!(TopicId::ZERO.to_string(), "AAAAAAAAAAAAAAAAAAAAAA");
    let mut metadata = [0; 16];
    metadata[15] = 1;
    // Kafka's own constant for the metadata topic.
    assert_eq!(TopicId(metadata).to_string(), "AAAAAAAAAAAAAAAAAAAAAQ");
    assert_eq!(TopicId([0xff; 16]).to_string(), "_____________________w");
    let counted = TopicId(std::array::from_fn(|i| i as u8));
    assert_eq!(counted.to_string(), "AAECAwQFBgcICQoLDA0ODw");
}

#[test]
fn texts_that_are_no_topic_id_are_refused() {
    for text in [
        "",
        "AAAAAAAAAAAAAAAAAAAAA",
        "AAAAAAAAAAAAAAAAAAAAAAA",
        "AAAAAAAAAAAAAAAAAAAAA=",
        "AAAAAAAAAA+AAAAAAAAAAA",
        "AAAAAAAAAA/AAAAAAAAAAA",
        // The last character's lower four bits carry nothing and must be 0.
        "AAAAAAAAAAAAAAAAAAAAAB",
        "äAAAAAAAAAAAAAAAAAAAA",
    ] {
        assert_eq!(text.parse::<TopicId>(), Err(TopicIdParseError), "{text}");
    }
}

#[test]
fn a_partition_is_written_behind_its_topic() {
    let partition = TopicPartition {
        topic: TopicId::ZERO,
        partition: 7,
    };
    assert_eq!(partition.to_string(), "AAAAAAAAAAAAAAAAAAAAAA-7");
}

proptest! {
    #[test]
    fn every_topic_id_reads_back_from_its_text(bytes: [u8; 16]) {
        let id = TopicId(bytes);
        prop_assert_eq!(id.to_string().parse::<TopicId>(), Ok(id));
    }

    #[test]
    fn a_text_that_parses_is_the_only_text_of_its_id(text in "[A-Za-z0-9_-]{22}") {
        if let Ok(id) = text.parse::<TopicId>() {
            prop_assert_eq!(id.to_string(), text);
        }
    }
}
