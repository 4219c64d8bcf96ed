//! IncrementalAlterConfigs: single configs of topics or brokers are set (operation 0), deleted (1),
//! appended to (2) or subtracted from (3).

api! {
    IncrementalAlterConfigs = 44 {
        versions: 0..=1,
        flexible: 1,
        request: IncrementalAlterConfigsRequest<'a>,
        response: IncrementalAlterConfigsResponse<'a>,
    }
}

tables! {
    /// The request of IncrementalAlterConfigs.
    struct IncrementalAlterConfigsRequest<'a> {
        resources: Vec<AlterConfigsResource<'a>>, 0..;
        validate_only: bool, 0..;
    }

    /// An element of `IncrementalAlterConfigsRequest::resources`.
    struct AlterConfigsResource<'a> {
        resource_type: i8, 0..;
        resource_name: &'a str, 0..;
        configs: Vec<AlterableConfig<'a>>, 0..;
    }

    /// An element of `AlterConfigsResource::configs`.
    struct AlterableConfig<'a> {
        name: &'a str, 0..;
        config_operation: i8, 0..;
        value: Option<&'a str>, 0..;
    }

    /// The response of IncrementalAlterConfigs.
    struct IncrementalAlterConfigsResponse<'a> {
        throttle_time_ms: i32, 0..;
        responses: Vec<AlterConfigsResourceResponse<'a>>, 0..;
    }

    /// An element of `IncrementalAlterConfigsResponse::responses`.
    struct AlterConfigsResourceResponse<'a> {
        error_code: i16, 0..;
        error_message: Option<&'a str>, 0..;
        resource_type: i8, 0..;
        resource_name: &'a str, 0..;
    }
}
