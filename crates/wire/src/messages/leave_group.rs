//! LeaveGroup: members leave their group; from version 3 on several at once.

api! {
    LeaveGroup = 13 {
        versions: 0..=5,
        flexible: 4,
        request: LeaveGroupRequest<'a>,
        response: LeaveGroupResponse<'a>,
    }
}

tables! {
    /// The request of LeaveGroup.
    struct LeaveGroupRequest<'a> {
        group_id: &'a str, 0..;
        member_id: &'a str, 0..=2;
        members: Vec<MemberIdentity<'a>>, 3..;
    }

    /// An element of `LeaveGroupRequest::members`.
    struct MemberIdentity<'a> {
        member_id: &'a str, 3..;
        group_instance_id: Option<&'a str>, 3.., [default None];
        reason: Option<&'a str>, 5.., [ignorable, default None];
    }

    /// The response of LeaveGroup.
    struct LeaveGroupResponse<'a> {
        throttle_time_ms: i32, 1.., [ignorable];
        error_code: i16, 0..;
        members: Vec<MemberResponse<'a>>, 3..;
    }

    /// An element of `LeaveGroupResponse::members`.
    struct MemberResponse<'a> {
        member_id: &'a str, 3..;
        group_instance_id: Option<&'a str>, 3..;
        error_code: i16, 3..;
    }
}
