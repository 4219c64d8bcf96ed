use super::*;

const NOW: Instant = Instant(1_000_000_000_000);

fn partition(number: i32) -> PartitionRef {
    PartitionRef {
        topic: TopicRef::Id(TopicId([7; 16])),
        partition: number,
    }
}

fn wanted(fetch_offset: Offset) -> Wanted {
    Wanted {
        fetch_offset,
        max_bytes: 100,
        current_leader_epoch: -1,
        last_fetched_epoch: -1,
    }
}

fn request(session_id: i32, epoch: i32, partitions: &[i32]) -> SessionRequest {
    SessionRequest {
        session_id,
        epoch,
        topics_by_id: true,
        partitions: partitions
            .iter()
            .map(|number| (partition(*number), wanted(0)))
            .collect(),
        forgotten: Vec::new(),
        new_id: 42,
    }
}

fn numbers(context: &Context) -> Vec<i32> {
    context
        .partitions
        .iter()
        .map(|(partition, _)| partition.partition)
        .collect()
}

const NOTHING: Told = Told {
    high_watermark: 5,
    log_start_offset: 0,
    has_news: false,
    has_error: false,
    has_records: false,
};
const RECORDS: Told = Told {
    has_news: true,
    has_records: true,
    ..NOTHING
};

#[test]
fn an_incremental_fetch_names_only_what_changes_and_is_told_only_what_is_new() {
    let mut sessions = FetchSessions::new(10);
    let full = sessions.on_request(NOW, request(0, 0, &[0, 1, 2])).unwrap();
    assert_eq!((full.session_id, full.incremental), (42, false));
    for number in 0..3 {
        assert!(sessions.on_answer(&full, &partition(number), NOTHING));
    }
    let mut next = request(42, 1, &[3]);
    next.forgotten = vec![partition(1)];
    let context = sessions.on_request(NOW, next).unwrap();
    assert_eq!(numbers(&context), [0, 2, 3]);
    assert!(!sessions.on_answer(&context, &partition(0), NOTHING));
    assert!(sessions.on_answer(&context, &partition(2), RECORDS));
    assert!(
        sessions.on_answer(&context, &partition(3), NOTHING),
        "its offsets were never told"
    );
    let moved = Told {
        log_start_offset: 3,
        ..NOTHING
    };
    assert!(sessions.on_answer(&context, &partition(0), moved));
    assert_eq!(sessions.partitions(), 3);
}

#[test]
fn a_partition_that_gave_records_goes_to_the_end() {
    let mut sessions = FetchSessions::new(10);
    let context = sessions.on_request(NOW, request(0, 0, &[0, 1, 2])).unwrap();
    sessions.on_answer(&context, &partition(0), RECORDS);
    let context = sessions.on_request(NOW, request(42, 1, &[])).unwrap();
    assert_eq!(numbers(&context), [1, 2, 0]);
}

#[test]
fn a_partition_that_cannot_be_read_is_not_in_the_way_of_others() {
    let mut sessions = FetchSessions::new(10);
    let context = sessions.on_request(NOW, request(0, 0, &[0, 1])).unwrap();
    let error = Told {
        has_news: true,
        has_error: true,
        ..NOTHING
    };
    sessions.on_answer(&context, &partition(0), error);
    let context = sessions.on_request(NOW, request(42, 1, &[])).unwrap();
    assert_eq!(numbers(&context), [1, 0]);
}

#[test]
fn an_error_is_told_and_everything_again_after_it() {
    let mut sessions = FetchSessions::new(10);
    let full = sessions.on_request(NOW, request(0, 0, &[0])).unwrap();
    sessions.on_answer(&full, &partition(0), NOTHING);
    let error = Told {
        has_news: true,
        has_error: true,
        ..NOTHING
    };
    let context = sessions.on_request(NOW, request(42, 1, &[])).unwrap();
    assert!(sessions.on_answer(&context, &partition(0), error));
    let context = sessions.on_request(NOW, request(42, 2, &[])).unwrap();
    assert!(sessions.on_answer(&context, &partition(0), NOTHING));
}

#[test]
fn wrong_sessions_and_epochs_are_refused_and_change_nothing() {
    let mut sessions = FetchSessions::new(10);
    assert_eq!(
        sessions.on_request(NOW, request(9, 1, &[])),
        Err(SessionError::NotFound)
    );
    sessions.on_request(NOW, request(0, 0, &[0])).unwrap();
    assert_eq!(
        sessions.on_request(NOW, request(42, 2, &[1])),
        Err(SessionError::InvalidEpoch)
    );
    let mut by_name = request(42, 1, &[]);
    by_name.topics_by_id = false;
    assert_eq!(
        sessions.on_request(NOW, by_name),
        Err(SessionError::TopicNaming)
    );
    let context = sessions.on_request(NOW, request(42, 1, &[])).unwrap();
    assert_eq!(numbers(&context), [0]);
}

#[test]
fn a_final_epoch_ends_the_session_and_fetches_without_one() {
    let mut sessions = FetchSessions::new(10);
    sessions.on_request(NOW, request(0, 0, &[0, 1])).unwrap();
    let context = sessions.on_request(NOW, request(42, -1, &[5])).unwrap();
    assert_eq!((context.session_id, context.incremental), (0, false));
    assert_eq!(numbers(&context), [5]);
    assert_eq!((sessions.len(), sessions.partitions()), (0, 0));
}

#[test]
fn after_the_largest_epoch_comes_one() {
    let mut sessions = FetchSessions::new(10);
    sessions.on_request(NOW, request(0, 0, &[0])).unwrap();
    sessions.sessions.get_mut(&42).unwrap().epoch = i32::MAX;
    sessions
        .on_request(NOW, request(42, i32::MAX, &[]))
        .unwrap();
    assert!(sessions.on_request(NOW, request(42, 1, &[])).is_ok());
}

#[test]
fn slots_are_bounded_and_only_a_long_unused_session_makes_room() {
    let mut sessions = FetchSessions::new(2);
    let open = |sessions: &mut FetchSessions, at: Instant, id: i32| {
        let mut request = request(0, 0, &[0]);
        request.new_id = id;
        sessions.on_request(at, request).unwrap().session_id
    };
    assert_eq!(open(&mut sessions, NOW, 1), 1);
    assert_eq!(open(&mut sessions, NOW + Duration::from_secs(60), 2), 2);
    assert_eq!(open(&mut sessions, NOW + Duration::from_secs(100), 3), 0);
    assert_eq!(open(&mut sessions, NOW + Duration::from_secs(121), 4), 4);
    assert_eq!(
        sessions.on_request(NOW, request(1, 1, &[])),
        Err(SessionError::NotFound)
    );
    assert_eq!((sessions.len(), sessions.partitions()), (2, 2));
    assert_eq!(open(&mut FetchSessions::new(0), NOW, 5), 0);
}

#[test]
fn a_partition_that_is_named_twice_is_fetched_once_from_where_it_was_last_said() {
    for epoch in [-1, 0] {
        let mut sessions = FetchSessions::new(2);
        let mut twice = request(0, epoch, &[3, 1, 3]);
        twice.partitions[2].1.fetch_offset = 7;
        let context = sessions.on_request(NOW, twice).expect("a fetch");
        assert_eq!(numbers(&context), [3, 1]);
        assert_eq!(context.partitions[0].1.fetch_offset, 7);
    }
}
