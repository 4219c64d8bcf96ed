//! DeleteGroups: groups without members are deleted, with the offsets that they kept.

api! {
    DeleteGroups = 42 {
        versions: 0..=2,
        flexible: 2,
        request: DeleteGroupsRequest<'a>,
        response: DeleteGroupsResponse<'a>,
    }
}

tables! {
    /// The request of DeleteGroups.
    struct DeleteGroupsRequest<'a> {
        groups_names: Vec<&'a str>, 0..;
    }

    /// The response of DeleteGroups.
    struct DeleteGroupsResponse<'a> {
        throttle_time_ms: i32, 0..;
        results: Vec<DeletableGroupResult<'a>>, 0..;
    }

    /// An element of `DeleteGroupsResponse::results`.
    struct DeletableGroupResult<'a> {
        group_id: &'a str, 0..;
        error_code: i16, 0..;
    }
}
