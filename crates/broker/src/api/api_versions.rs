//! ApiVersions: which APIs this node serves, in which versions. No feature is finalised whose code is absent.

use taffrail_env::Env;
use taffrail_wire::api_versions::{ApiVersion, ApiVersionsRequest, ApiVersionsResponse};
use taffrail_wire::{ErrorCode, api};

use super::{Answer, Call, code};

pub(crate) async fn handle<E: Env>(call: &Call<E>, request: ApiVersionsRequest<'_>) -> Answer {
    let named = |name: &str| {
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
        let alphanumeric = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        name.chars().all(legal)
            && alphanumeric(name.chars().next())
            && alphanumeric(name.chars().next_back())
    };
    // From version 3 on a client names its software, in a form that logs and metrics can carry.
    let is_valid = call.version < 3
        || (named(request.client_software_name) && named(request.client_software_version));
    call.answer(&response(if is_valid {
        ErrorCode::None
    } else {
        ErrorCode::InvalidRequest
    }))
}

/// The answer to a version that is not known: in version 0, which every client reads.
pub(crate) fn unsupported<E: Env>(call: &Call<E>) -> Answer {
    call.answer_in(&response(ErrorCode::UnsupportedVersion), 0)
}

fn response(error: ErrorCode) -> ApiVersionsResponse<'static> {
    let mut api_keys: Vec<ApiVersion> = api::table()
        .iter()
        .map(|api| ApiVersion {
            api_key: api.key as i16,
            min_version: api.advertised_min,
            max_version: api.max,
        })
        .collect();
    api_keys.sort_by_key(|api| api.api_key);
    ApiVersionsResponse {
        error_code: code(error),
        api_keys: if error == ErrorCode::InvalidRequest {
            Vec::new()
        } else {
            api_keys
        },
        ..ApiVersionsResponse::default()
    }
}
