//! ApiVersions: which APIs the broker serves, in which versions; a client's first request.
//!
//! A broker that does not know the version asked for answers in version 0 with the error for an
//! unsupported version, and a client must expect that: [`ApiVersionsResponse::decode_any`].

api! {
    ApiVersions = 18 {
        versions: 0..=4,
        flexible: 3,
        request: ApiVersionsRequest<'a>,
        response: ApiVersionsResponse<'a>,
    }
}

tables! {
    /// The request of ApiVersions.
    struct ApiVersionsRequest<'a> {
        client_software_name: &'a str, 3.., [ignorable];
        client_software_version: &'a str, 3.., [ignorable];
    }

    /// The response of ApiVersions.
    struct ApiVersionsResponse<'a> {
        error_code: i16, 0..;
        api_keys: Vec<ApiVersion>, 0..;
        throttle_time_ms: i32, 1.., [ignorable];
        supported_features: Vec<SupportedFeatureKey<'a>>, 3.., [tag 0, ignorable];
        finalized_features_epoch: i64, 3.., [tag 1, ignorable, default -1];
        finalized_features: Vec<FinalizedFeatureKey<'a>>, 3.., [tag 2, ignorable];
        zk_migration_ready: bool, 3.., [tag 3, ignorable];
    }

    /// An element of `ApiVersionsResponse::api_keys`.
    struct ApiVersion {
        api_key: i16, 0..;
        min_version: i16, 0..;
        max_version: i16, 0..;
    }

    /// An element of `ApiVersionsResponse::supported_features`.
    struct SupportedFeatureKey<'a> {
        name: &'a str, 3..;
        min_version: i16, 3..;
        max_version: i16, 3..;
    }

    /// An element of `ApiVersionsResponse::finalized_features`.
    struct FinalizedFeatureKey<'a> {
        name: &'a str, 3..;
        max_version_level: i16, 3..;
        min_version_level: i16, 3..;
    }
}

impl<'a> ApiVersionsResponse<'a> {
    /// Reads the answer to a request of `version` from a frame whose header was read: in that
    /// version, or in version 0, the one in which a broker answers that does not know `version`.
    pub fn decode_any(
        frame: &'a bytes::Bytes,
        body_at: usize,
        version: i16,
    ) -> Result<Self, crate::DecodeError> {
        use crate::{Decoder, Message};
        let decode = |version| {
            let mut decoder = Decoder::new(frame);
            decoder.take(body_at)?;
            Self::decode(&mut decoder, version)
        };
        decode(version).or_else(|error| decode(0).map_err(|_| error))
    }
}
