//! Which version of each API both sides know.

use crate::connection::Link;
use crate::errors::ClientError;
use std::collections::BTreeMap;
use taffrail_env::{Env, Instant};
use taffrail_wire::ErrorCode;
use taffrail_wire::api::ApiKey;
use taffrail_wire::api_versions::ApiVersionsRequest;

/// The version ranges that a broker offers, by API number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Versions {
    offered: BTreeMap<i16, (i16, i16)>,
}

/// Letters, digits and dots only: brokers check it.
const SOFTWARE_NAME: &str = "taffrail";

impl Versions {
    /// Before anything is known nothing is offered.
    pub fn before_handshake() -> Versions {
        Versions::default()
    }

    /// Asks. A broker that is older than the question answers in version 0, and says what it would have understood.
    pub async fn ask<E: Env>(link: &Link<E>, until: Instant) -> Result<Versions, ClientError> {
        let request = ApiVersionsRequest {
            client_software_name: SOFTWARE_NAME,
            client_software_version: env!("CARGO_PKG_VERSION"),
        };
        let mut version = ApiKey::ApiVersions.info().max;
        loop {
            let reply = link.call(&request, version, until).await?;
            let too_new = reply.leading_code() == Some(ErrorCode::UnsupportedVersion as i16);
            if too_new && version > 0 {
                let offered = Versions::read(&reply.in_version(0))?;
                let known = offered.choose(ApiKey::ApiVersions, version - 1);
                version = known.unwrap_or(0);
                continue;
            }
            let response = reply.read::<ApiVersionsRequest<'_>>()?;
            ClientError::check(response.error_code, None, link.peer())?;
            return Versions::read(&reply);
        }
    }

    fn read(reply: &crate::connection::Reply) -> Result<Versions, ClientError> {
        let response = reply.read::<ApiVersionsRequest<'_>>()?;
        let offered = response
            .api_keys
            .iter()
            .map(|api| (api.api_key, (api.min_version, api.max_version)))
            .collect();
        Ok(Versions { offered })
    }

    /// The highest version that both know, not above `at_most`.
    pub fn choose(&self, key: ApiKey, at_most: i16) -> Option<i16> {
        let (min, max) = *self.offered.get(&(key as i16))?;
        let known = key.info();
        let best = max.min(known.max).min(at_most);
        (best >= min && best >= known.min).then_some(best)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offering(min: i16, max: i16) -> Versions {
        Versions {
            offered: BTreeMap::from([(ApiKey::Fetch as i16, (min, max))]),
        }
    }

    #[test]
    fn the_highest_common_version_is_taken() {
        let known = ApiKey::Fetch.info();
        let versions = offering(0, 100);
        assert_eq!(versions.choose(ApiKey::Fetch, i16::MAX), Some(known.max));
        assert_eq!(versions.choose(ApiKey::Fetch, 12), Some(12));
        assert_eq!(offering(4, 7).choose(ApiKey::Fetch, i16::MAX), Some(7));
    }

    #[test]
    fn without_a_common_version_there_is_none() {
        assert_eq!(offering(0, 1).choose(ApiKey::Fetch, i16::MAX), None);
        assert_eq!(offering(100, 101).choose(ApiKey::Fetch, i16::MAX), None);
        assert_eq!(offering(4, 7).choose(ApiKey::Metadata, i16::MAX), None);
    }
}
