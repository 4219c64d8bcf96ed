//! What stands in front of a request or a response.
//!
//! Two forms each: old, and, from the API's first flexible version on, one that ends with tagged
//! fields. The client's name keeps its old encoding in both. The response to ApiVersions always has
//! the old form, because a client that does not yet know the versions must be able to read it.

use crate::api::{self, ApiKey};
use crate::decode::{DecodeError, Decoder};
use crate::encode::{EncodeError, Encoder};
use crate::field::{Field, Shape};

/// In front of every request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestHeader<'a> {
    /// The API's number; not every number is an API.
    pub api_key: i16,
    /// The request's version; not every version is supported.
    pub api_version: i16,
    /// Comes back in the response.
    pub correlation_id: i32,
    /// The client's name for itself.
    pub client_id: Option<&'a str>,
}

impl<'a> RequestHeader<'a> {
    /// The shape of the client's name.
    const CLIENT_ID: Shape = Shape {
        version: 0,
        flexible: false,
        nullable: true,
    };

    /// Reads one. Of a request whose API is unknown the old form is read: its first two fields are
    /// sure, and nobody can read what follows.
    pub fn decode(decoder: &mut Decoder<'a>) -> Result<Self, DecodeError> {
        let mut header = Self {
            api_key: decoder.i16()?,
            api_version: decoder.i16()?,
            correlation_id: decoder.i32()?,
            client_id: None,
        };
        header.client_id = Field::read(decoder, Self::CLIENT_ID)
            .map_err(|error| error.within("RequestHeader", "client_id"))?;
        if header.is_flexible() {
            decoder.tagged_fields(|_, _| Ok(false))?;
        }
        Ok(header)
    }

    /// Writes it.
    pub fn encode(&self, encoder: &mut Encoder) -> Result<(), EncodeError> {
        encoder.put(&self.api_key.to_be_bytes());
        encoder.put(&self.api_version.to_be_bytes());
        encoder.put(&self.correlation_id.to_be_bytes());
        self.client_id
            .write(encoder, Self::CLIENT_ID)
            .map_err(|error| error.within("RequestHeader", "client_id"))?;
        if self.is_flexible() {
            encoder.put_uvarint(0);
        }
        Ok(())
    }

    fn is_flexible(&self) -> bool {
        api::lookup(self.api_key).is_some_and(|api| self.api_version >= api.flexible_from)
    }
}

/// In front of every response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResponseHeader {
    /// The request's.
    pub correlation_id: i32,
}

impl ResponseHeader {
    /// Reads the one in front of a response of this API and version.
    pub fn decode(
        decoder: &mut Decoder<'_>,
        key: ApiKey,
        version: i16,
    ) -> Result<Self, DecodeError> {
        let correlation_id = decoder.i32()?;
        if Self::is_flexible(key, version) {
            decoder.tagged_fields(|_, _| Ok(false))?;
        }
        Ok(Self { correlation_id })
    }

    /// Writes it for a response of this API and version.
    pub fn encode(&self, encoder: &mut Encoder, key: ApiKey, version: i16) {
        encoder.put(&self.correlation_id.to_be_bytes());
        if Self::is_flexible(key, version) {
            encoder.put_uvarint(0);
        }
    }

    fn is_flexible(key: ApiKey, version: i16) -> bool {
        key != ApiKey::ApiVersions && version >= key.info().flexible_from
    }
}
