//! DeleteTopics: topics are deleted, by name, or from version 6 on by id.

api! {
    DeleteTopics = 20 {
        versions: 1..=6,
        flexible: 4,
        request: DeleteTopicsRequest<'a>,
        response: DeleteTopicsResponse<'a>,
    }
}

tables! {
    /// The request of DeleteTopics.
    struct DeleteTopicsRequest<'a> {
        topics: Vec<DeleteTopicState<'a>>, 6..;
        topic_names: Vec<&'a str>, 0..=5, [ignorable];
        timeout_ms: i32, 0..;
    }

    /// An element of `DeleteTopicsRequest::topics`.
    struct DeleteTopicState<'a> {
        name: Option<&'a str>, 6.., [default None];
        topic_id: [u8; 16], 6..;
    }

    /// The response of DeleteTopics.
    struct DeleteTopicsResponse<'a> {
        throttle_time_ms: i32, 1.., [ignorable];
        responses: Vec<DeletableTopicResult<'a>>, 0..;
    }

    /// An element of `DeleteTopicsResponse::responses`.
    struct DeletableTopicResult<'a> {
        name: Option<&'a str>, 0.., [nullable 6..];
        topic_id: [u8; 16], 6.., [ignorable];
        error_code: i16, 0..;
        error_message: Option<&'a str>, 5.., [ignorable, default None];
    }
}
