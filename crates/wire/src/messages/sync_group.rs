//! SyncGroup: the group's leader hands out the assignments, and every member gets its own.

use bytes::Bytes;

api! {
    SyncGroup = 14 {
        versions: 0..=5,
        flexible: 4,
        request: SyncGroupRequest<'a>,
        response: SyncGroupResponse<'a>,
    }
}

tables! {
    /// The request of SyncGroup.
    struct SyncGroupRequest<'a> {
        group_id: &'a str, 0..;
        generation_id: i32, 0..;
        member_id: &'a str, 0..;
        group_instance_id: Option<&'a str>, 3.., [default None];
        protocol_type: Option<&'a str>, 5.., [ignorable, default None];
        protocol_name: Option<&'a str>, 5.., [ignorable, default None];
        assignments: Vec<SyncGroupRequestAssignment<'a>>, 0..;
    }

    /// An element of `SyncGroupRequest::assignments`.
    struct SyncGroupRequestAssignment<'a> {
        member_id: &'a str, 0..;
        assignment: Bytes, 0..;
    }

    /// The response of SyncGroup.
    struct SyncGroupResponse<'a> {
        throttle_time_ms: i32, 1.., [ignorable];
        error_code: i16, 0..;
        protocol_type: Option<&'a str>, 5.., [ignorable, default None];
        protocol_name: Option<&'a str>, 5.., [ignorable, default None];
        assignment: Bytes, 0..;
    }
}
