//! Heartbeat: a group member is alive, and learns whether a rebalance has begun.

api! {
    Heartbeat = 12 {
        versions: 0..=4,
        flexible: 4,
        request: HeartbeatRequest<'a>,
        response: HeartbeatResponse,
    }
}

tables! {
    /// The request of Heartbeat.
    struct HeartbeatRequest<'a> {
        group_id: &'a str, 0..;
        generation_id: i32, 0..;
        member_id: &'a str, 0..;
        group_instance_id: Option<&'a str>, 3.., [default None];
    }

    /// The response of Heartbeat.
    struct HeartbeatResponse {
        throttle_time_ms: i32, 1.., [ignorable];
        error_code: i16, 0..;
    }
}
