//! JoinGroup: a consumer enters its group, or enters it again for a rebalance.
//!
//! What the members say about themselves to their leader is opaque here; for consumers it is what
//! [`consumer_protocol`](crate::consumer_protocol) defines.

use bytes::Bytes;

api! {
    JoinGroup = 11 {
        versions: 0..=9,
        flexible: 6,
        request: JoinGroupRequest<'a>,
        response: JoinGroupResponse<'a>,
    }
}

tables! {
    /// The request of JoinGroup.
    struct JoinGroupRequest<'a> {
        group_id: &'a str, 0..;
        session_timeout_ms: i32, 0..;
        rebalance_timeout_ms: i32, 1.., [ignorable, default -1];
        member_id: &'a str, 0..;
        group_instance_id: Option<&'a str>, 5.., [default None];
        protocol_type: &'a str, 0..;
        protocols: Vec<JoinGroupRequestProtocol<'a>>, 0..;
        reason: Option<&'a str>, 8.., [ignorable, default None];
    }

    /// An element of `JoinGroupRequest::protocols`.
    struct JoinGroupRequestProtocol<'a> {
        name: &'a str, 0..;
        metadata: Bytes, 0..;
    }

    /// The response of JoinGroup.
    struct JoinGroupResponse<'a> {
        throttle_time_ms: i32, 2.., [ignorable];
        error_code: i16, 0..;
        generation_id: i32, 0.., [default -1];
        protocol_type: Option<&'a str>, 7.., [ignorable, default None];
        protocol_name: Option<&'a str>, 0.., [nullable 7..];
        leader: &'a str, 0..;
        skip_assignment: bool, 9..;
        member_id: &'a str, 0..;
        members: Vec<JoinGroupResponseMember<'a>>, 0..;
    }

    /// An element of `JoinGroupResponse::members`.
    struct JoinGroupResponseMember<'a> {
        member_id: &'a str, 0..;
        group_instance_id: Option<&'a str>, 5.., [ignorable, default None];
        metadata: Bytes, 0..;
    }
}
