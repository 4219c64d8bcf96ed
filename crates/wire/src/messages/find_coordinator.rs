//! FindCoordinator: which broker coordinates a group (key type 0) or a transactional id (1).
//!
//! From version 4 on for several keys at once, in fields of their own.

api! {
    FindCoordinator = 10 {
        versions: 0..=6,
        flexible: 3,
        request: FindCoordinatorRequest<'a>,
        response: FindCoordinatorResponse<'a>,
    }
}

tables! {
    /// The request of FindCoordinator.
    struct FindCoordinatorRequest<'a> {
        key: &'a str, 0..=3;
        key_type: i8, 1..;
        coordinator_keys: Vec<&'a str>, 4..;
    }

    /// The response of FindCoordinator.
    struct FindCoordinatorResponse<'a> {
        throttle_time_ms: i32, 1.., [ignorable];
        error_code: i16, 0..=3;
        error_message: Option<&'a str>, 1..=3, [ignorable];
        node_id: i32, 0..=3;
        host: &'a str, 0..=3;
        port: i32, 0..=3;
        coordinators: Vec<Coordinator<'a>>, 4..;
    }

    /// An element of `FindCoordinatorResponse::coordinators`.
    struct Coordinator<'a> {
        key: &'a str, 4..;
        node_id: i32, 4..;
        host: &'a str, 4..;
        port: i32, 4..;
        error_code: i16, 4..;
        error_message: Option<&'a str>, 4.., [ignorable];
    }
}
