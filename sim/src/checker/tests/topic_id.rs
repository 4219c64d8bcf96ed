//! TOPIC-ID, alone and where every record is judged.

use super::*;

/// A record in a topic, and the topic deleted.
fn deleted_life() -> Vec<Event> {
    vec![
        send_to(1, 10, life(1)),
        acked(1, 0),
        Event::DeleteStarted { partition: life(1) },
        Event::Deleted { partition: life(1) },
    ]
}

#[test]
fn a_record_of_a_deleted_topic_never_comes_back_in_the_next() {
    let mut events = deleted_life();
    events.extend([fetch_of(2, life(2), true), fetched(2, &[(0, record(10))])]);
    bad("TOPIC-ID", events);
}

#[test]
fn whoever_names_a_deleted_topic_is_refused() {
    let served = |late: [Event; 2]| {
        let mut events = deleted_life();
        events.extend(late);
        events
    };
    let read = fetch_of(2, life(1), true);
    bad("TOPIC-ID", served([read.clone(), fetched(2, &[])]));
    let out_of_range = Event::PollOutOfRange { operation: 2 };
    bad("TOPIC-ID", served([read.clone(), out_of_range]));
    good(served([read, Event::PollFailed { operation: 2 }]));
    let write = send_to(2, 11, life(1));
    bad("TOPIC-ID", served([write.clone(), acked(2, 0)]));
    good(served([write, Event::SendFailed { operation: 2 }]));
    // What a reader had fetched before it may hand out later.
    let read_ahead = fetch_of(2, life(1), false);
    good(served([read_ahead, fetched(2, &[(0, record(10))])]));
}

#[test]
fn a_name_leads_to_its_topic_until_that_is_deleted() {
    let resolved = |partition, found: Option<TopicPartition>| Event::NameResolved {
        partition,
        found: found.map(|life| life.topic),
    };
    good([resolved(life(1), Some(life(1)))]);
    bad("TOPIC-ID", [resolved(life(1), None)]);
    let other = resolved(life(1), Some(life(2)));
    bad("TOPIC-ID", [other]);
    let mut events = deleted_life();
    events.push(resolved(life(1), Some(life(1))));
    bad("TOPIC-ID", events);
}
