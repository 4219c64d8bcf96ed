//! The table of APIs: their numbers and versions, taken from the definitions themselves.
//!
//! What the table lists can be read and written, and nothing else. A broker advertises rows of it,
//! from `advertised_min` on, which lies below `min` in one case only: Produce is advertised from
//! version 0, because librdkafka believes that a broker without it knows no compression but zstd.

use crate::messages::for_each_api;

/// The versions of one API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApiInfo {
    /// Which API.
    pub key: ApiKey,
    /// Its name in Kafka's documentation.
    pub name: &'static str,
    /// The lowest version that can be read and written.
    pub min: i16,
    /// The highest version that can be read and written.
    pub max: i16,
    /// The first flexible version; [`NEVER`] if there is none.
    pub flexible_from: i16,
    /// The lowest version to tell clients of.
    pub advertised_min: i16,
}

/// The first flexible version of an API that has none.
pub const NEVER: i16 = i16::MAX;

impl ApiInfo {
    /// Whether messages of this version can be read and written.
    pub fn supports(&self, version: i16) -> bool {
        (self.min..=self.max).contains(&version)
    }
}

macro_rules! api_table {
    ($( $key:ident $module:ident $request:ident $response:ident; )*) => {
        /// An API, by its number on the wire.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(i16)]
        #[allow(missing_docs)]
        pub enum ApiKey {
            $( $key = crate::messages::$module::NUMBER, )*
        }

        impl ApiKey {
            /// Its row of the table.
            pub fn info(self) -> &'static ApiInfo {
                match self {
                    $( Self::$key => &crate::messages::$module::API, )*
                }
            }
        }

        /// All rows, in the order of their definition.
        pub fn table() -> &'static [ApiInfo] {
            &[$( crate::messages::$module::API, )*]
        }

        /// The row of an API's number.
        pub fn lookup(number: i16) -> Option<&'static ApiInfo> {
            match number {
                $( crate::messages::$module::NUMBER => Some(&crate::messages::$module::API), )*
                _ => None,
            }
        }
    };
}

for_each_api!(api_table);
