//! DescribeGroups: the state and the members of consumer groups.

use bytes::Bytes;

api! {
    DescribeGroups = 15 {
        versions: 0..=6,
        flexible: 5,
        request: DescribeGroupsRequest<'a>,
        response: DescribeGroupsResponse<'a>,
    }
}

tables! {
    /// The request of DescribeGroups.
    struct DescribeGroupsRequest<'a> {
        groups: Vec<&'a str>, 0..;
        include_authorized_operations: bool, 3..;
    }

    /// The response of DescribeGroups.
    struct DescribeGroupsResponse<'a> {
        throttle_time_ms: i32, 1.., [ignorable];
        groups: Vec<DescribedGroup<'a>>, 0..;
    }

    /// An element of `DescribeGroupsResponse::groups`.
    struct DescribedGroup<'a> {
        error_code: i16, 0..;
        error_message: Option<&'a str>, 6.., [default None];
        group_id: &'a str, 0..;
        group_state: &'a str, 0..;
        protocol_type: &'a str, 0..;
        protocol_data: &'a str, 0..;
        members: Vec<DescribedGroupMember<'a>>, 0..;
        authorized_operations: i32, 3.., [default i32::MIN];
    }

    /// An element of `DescribedGroup::members`.
    struct DescribedGroupMember<'a> {
        member_id: &'a str, 0..;
        group_instance_id: Option<&'a str>, 4.., [ignorable, default None];
        client_id: &'a str, 0..;
        client_host: &'a str, 0..;
        member_metadata: Bytes, 0..;
        member_assignment: Bytes, 0..;
    }
}
