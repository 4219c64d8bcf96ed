//! DescribeConfigs: the configs of topics and brokers, and where their values come from.

api! {
    DescribeConfigs = 32 {
        versions: 1..=4,
        flexible: 4,
        request: DescribeConfigsRequest<'a>,
        response: DescribeConfigsResponse<'a>,
    }
}

tables! {
    /// The request of DescribeConfigs.
    struct DescribeConfigsRequest<'a> {
        resources: Vec<DescribeConfigsResource<'a>>, 0..;
        include_synonyms: bool, 1..;
        include_documentation: bool, 3..;
    }

    /// An element of `DescribeConfigsRequest::resources`.
    struct DescribeConfigsResource<'a> {
        resource_type: i8, 0..;
        resource_name: &'a str, 0..;
        configuration_keys: Option<Vec<&'a str>>, 0..;
    }

    /// The response of DescribeConfigs.
    struct DescribeConfigsResponse<'a> {
        throttle_time_ms: i32, 0..;
        results: Vec<DescribeConfigsResult<'a>>, 0..;
    }

    /// An element of `DescribeConfigsResponse::results`.
    struct DescribeConfigsResult<'a> {
        error_code: i16, 0..;
        error_message: Option<&'a str>, 0..;
        resource_type: i8, 0..;
        resource_name: &'a str, 0..;
        configs: Vec<DescribeConfigsResourceResult<'a>>, 0..;
    }

    /// An element of `DescribeConfigsResult::configs`.
    struct DescribeConfigsResourceResult<'a> {
        name: &'a str, 0..;
        value: Option<&'a str>, 0..;
        read_only: bool, 0..;
        config_source: i8, 1.., [ignorable, default -1];
        is_sensitive: bool, 0..;
        synonyms: Vec<DescribeConfigsSynonym<'a>>, 1.., [ignorable];
        config_type: i8, 3.., [ignorable];
        documentation: Option<&'a str>, 3.., [ignorable];
    }

    /// An element of `DescribeConfigsResourceResult::synonyms`.
    struct DescribeConfigsSynonym<'a> {
        name: &'a str, 1..;
        value: Option<&'a str>, 1..;
        source: i8, 1..;
    }
}
