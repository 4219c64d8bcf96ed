//! ListGroups: the groups that this broker coordinates.

api! {
    ListGroups = 16 {
        versions: 0..=5,
        flexible: 3,
        request: ListGroupsRequest<'a>,
        response: ListGroupsResponse<'a>,
    }
}

tables! {
    /// The request of ListGroups.
    struct ListGroupsRequest<'a> {
        states_filter: Vec<&'a str>, 4..;
        types_filter: Vec<&'a str>, 5..;
    }

    /// The response of ListGroups.
    struct ListGroupsResponse<'a> {
        throttle_time_ms: i32, 1.., [ignorable];
        error_code: i16, 0..;
        groups: Vec<ListedGroup<'a>>, 0..;
    }

    /// An element of `ListGroupsResponse::groups`.
    struct ListedGroup<'a> {
        group_id: &'a str, 0..;
        protocol_type: &'a str, 0..;
        group_state: &'a str, 4.., [ignorable];
        group_type: &'a str, 5.., [ignorable];
    }
}
