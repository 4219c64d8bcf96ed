//! AlterConfigs: all configs of topics or brokers are replaced at once. One by one is what
//! [`incremental_alter_configs`](crate::incremental_alter_configs) does.

api! {
    AlterConfigs = 33 {
        versions: 0..=2,
        flexible: 2,
        request: AlterConfigsRequest<'a>,
        response: AlterConfigsResponse<'a>,
    }
}

tables! {
    /// The request of AlterConfigs.
    struct AlterConfigsRequest<'a> {
        resources: Vec<AlterConfigsResource<'a>>, 0..;
        validate_only: bool, 0..;
    }

    /// An element of `AlterConfigsRequest::resources`.
    struct AlterConfigsResource<'a> {
        resource_type: i8, 0..;
        resource_name: &'a str, 0..;
        configs: Vec<AlterableConfig<'a>>, 0..;
    }

    /// An element of `AlterConfigsResource::configs`.
    struct AlterableConfig<'a> {
        name: &'a str, 0..;
        value: Option<&'a str>, 0..;
    }

    /// The response of AlterConfigs.
    struct AlterConfigsResponse<'a> {
        throttle_time_ms: i32, 0..;
        responses: Vec<AlterConfigsResourceResponse<'a>>, 0..;
    }

    /// An element of `AlterConfigsResponse::responses`.
    struct AlterConfigsResourceResponse<'a> {
        error_code: i16, 0..;
        error_message: Option<&'a str>, 0..;
        resource_type: i8, 0..;
        resource_name: &'a str, 0..;
    }
}
