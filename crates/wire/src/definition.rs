//! The language in which messages are defined.
//!
//! `api!` names an API, its versions and its two messages. `tables!` defines structures, one field
//! a line: `name: type, versions, [options];` where versions is a range such as `3..` or `0..=7`,
//! and options are, in any order:
//!
//! - `nullable <range>`: an `Option` may be null in these versions only, not in all that carry it;
//! - `tag <n>`: the field is carried as a tagged field, and only if it is not its default;
//! - `ignorable`: writing a version that lacks the field drops its value instead of failing;
//! - `default <value>`: the value if the version does not carry it; otherwise Kafka's usual one,
//!   which is zero, empty, or, for an `Option`, *empty and not null*.
//!
//! Both are made so that an API is one small file of data. The code that they expand to is kept thin: a
//! call per field; everything that can go wrong lives in `field`, `decode` and `encode`.

/// Defines structures from their fields.
macro_rules! tables {
    ($( $(#[$meta:meta])* struct $name:ident $(<$lifetime:lifetime>)? {
        $( $(#[$field_meta:meta])* $field:ident : $type:ty, $versions:expr $(, [$($option:tt)*])? ; )*
    } )*) => { $(
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name $(<$lifetime>)? {
            $( $(#[$field_meta])* #[allow(missing_docs)] pub $field: $type, )*
        }

        impl $(<$lifetime>)? Default for $name $(<$lifetime>)? {
            fn default() -> Self {
                Self { $( $field: default_of!($type; $($($option)*)?), )* }
            }
        }

        impl $(<$lifetime>)? $crate::definition::KafkaDefault for $name $(<$lifetime>)? {
            fn kafka_default() -> Self {
                Self::default()
            }
        }

        impl<'a> $crate::Composite<'a> for $name $(<$lifetime>)? {
            const NAME: &'static str = stringify!($name);
        }

        impl<'a> $crate::Field<'a> for $name $(<$lifetime>)? {
            fn size_min(shape: $crate::Shape) -> usize {
                let mut size = usize::from(shape.flexible);
                $(
                    if tag_of!($($($option)*)?).is_none() && ($versions).contains(&shape.version) {
                        size += <$type as $crate::Field<'a>>::size_min(shape);
                    }
                )*
                size
            }

            fn read(
                decoder: &mut $crate::Decoder<'a>,
                shape: $crate::Shape,
            ) -> Result<Self, $crate::DecodeError> {
                let mut value = Self::default();
                $(
                    if tag_of!($($($option)*)?).is_none() && ($versions).contains(&shape.version) {
                        let shape = shape.nullable(nullable_in!(shape.version; $($($option)*)?));
                        value.$field = $crate::Field::read(decoder, shape)
                            .map_err(|error| error.within(stringify!($name), stringify!($field)))?;
                    }
                )*
                if shape.flexible {
                    decoder.tagged_fields(|tag, decoder| {
                        $(
                            if tag_of!($($($option)*)?) == Some(tag)
                                && ($versions).contains(&shape.version)
                            {
                                let shape =
                                    shape.nullable(nullable_in!(shape.version; $($($option)*)?));
                                value.$field = $crate::Field::read(decoder, shape).map_err(|error| {
                                    error.within(stringify!($name), stringify!($field))
                                })?;
                                return Ok(true);
                            }
                        )*
                        Ok(false)
                    })?;
                }
                Ok(value)
            }

            fn write(
                &self,
                encoder: &mut $crate::Encoder,
                shape: $crate::Shape,
            ) -> Result<(), $crate::EncodeError> {
                let mut tags = 0;
                $(
                    if ($versions).contains(&shape.version)
                        && (shape.flexible || tag_of!($($($option)*)?).is_none())
                    {
                        if tag_of!($($($option)*)?).is_none() {
                            let shape = shape.nullable(nullable_in!(shape.version; $($($option)*)?));
                            $crate::Field::write(&self.$field, encoder, shape)
                                .map_err(|error| error.within(stringify!($name), stringify!($field)))?;
                        } else if self.$field != default_of!($type; $($($option)*)?) {
                            tags += 1;
                        }
                    } else if !ignorable!($($($option)*)?)
                        && self.$field != default_of!($type; $($($option)*)?)
                    {
                        let version = shape.version;
                        let error =
                            $crate::EncodeError::new($crate::EncodeReason::NotInVersion { version });
                        return Err(error.within(stringify!($name), stringify!($field)));
                    }
                )*
                if shape.flexible {
                    encoder.put_uvarint(tags);
                    $(
                        if let Some(tag) = tag_of!($($($option)*)?)
                            && ($versions).contains(&shape.version)
                            && self.$field != default_of!($type; $($($option)*)?)
                        {
                            let shape = shape.nullable(nullable_in!(shape.version; $($($option)*)?));
                            encoder
                                .put_tagged(tag, |encoder| {
                                    $crate::Field::write(&self.$field, encoder, shape)
                                })
                                .map_err(|error| error.within(stringify!($name), stringify!($field)))?;
                        }
                    )*
                }
                Ok(())
            }

            #[cfg(test)]
            fn sample(sampler: &mut $crate::tests::Sampler, shape: $crate::Shape) -> Self {
                let mut value = Self::default();
                $(
                    if ($versions).contains(&shape.version) {
                        let shape = shape.nullable(nullable_in!(shape.version; $($($option)*)?));
                        value.$field = sampler.field(shape, default_of!($type; $($($option)*)?));
                    }
                )*
                value
            }
        }

        impl<'a> $crate::Nullable<'a> for $name $(<$lifetime>)? {
            fn nullable_size_min(_: $crate::Shape) -> usize {
                1
            }

            fn read_nullable(
                decoder: &mut $crate::Decoder<'a>,
                shape: $crate::Shape,
            ) -> Result<Option<Self>, $crate::DecodeError> {
                let present: i8 = $crate::Field::read(decoder, shape)?;
                if present < 0 {
                    return Ok(None);
                }
                $crate::Field::read(decoder, shape.nullable(false)).map(Some)
            }

            fn write_present(
                &self,
                encoder: &mut $crate::Encoder,
                shape: $crate::Shape,
            ) -> Result<(), $crate::EncodeError> {
                encoder.put(&[1]);
                $crate::Field::write(self, encoder, shape.nullable(false))
            }

            fn write_null(
                encoder: &mut $crate::Encoder,
                _: $crate::Shape,
            ) -> Result<(), $crate::EncodeError> {
                encoder.put(&[0xff]);
                Ok(())
            }
        }
    )* };
}

/// Names an API: its number, its versions, and the two messages that are defined beside it.
macro_rules! api {
    ($key:ident = $number:literal {
        versions: $min:literal ..= $max:literal,
        flexible: $flexible:expr,
        $( advertised_from: $advertised:literal, )?
        request: $request:ident $(<$request_lifetime:lifetime>)?,
        response: $response:ident $(<$response_lifetime:lifetime>)?,
    }) => {
        /// The number of this API on the wire.
        pub const NUMBER: i16 = $number;

        /// This API's row of the table.
        pub const API: $crate::api::ApiInfo = $crate::api::ApiInfo {
            key: $crate::api::ApiKey::$key,
            name: stringify!($key),
            min: $min,
            max: $max,
            flexible_from: $flexible,
            advertised_min: first_of!($($advertised,)? $min),
        };

        impl<'a> $crate::Message<'a> for $request $(<$request_lifetime>)? {
            const KEY: $crate::api::ApiKey = $crate::api::ApiKey::$key;
        }

        impl<'a> $crate::Message<'a> for $response $(<$response_lifetime>)? {
            const KEY: $crate::api::ApiKey = $crate::api::ApiKey::$key;
        }

        impl<'a> $crate::Request<'a> for $request $(<$request_lifetime>)? {
            type Response<'b> = response_in!($response $(<$response_lifetime>)?);
        }
    };
}

/// A response type for the lifetime `'b`.
macro_rules! response_in {
    ($response:ident) => { $response };
    ($response:ident <$lifetime:lifetime>) => { $response<'b> };
}

/// The first of its arguments.
macro_rules! first_of {
    ($first:expr $(, $rest:expr)*) => {
        $first
    };
}

/// The default of a field: the option's, or the type's.
macro_rules! default_of {
    ($type:ty;) => { <$type as $crate::definition::KafkaDefault>::kafka_default() };
    ($type:ty; default $default:expr $(, $($rest:tt)*)?) => { $default };
    ($type:ty; $skip:tt $($rest:tt)*) => { default_of!($type; $($rest)*) };
}

/// The tag of a field, if it has one.
macro_rules! tag_of {
    () => { None::<u32> };
    (tag $tag:literal $($rest:tt)*) => { Some::<u32>($tag) };
    ($skip:tt $($rest:tt)*) => { tag_of!($($rest)*) };
}

/// Whether a field may be null in a version, if it is an `Option`.
macro_rules! nullable_in {
    ($version:expr;) => { true };
    ($version:expr; nullable $versions:expr $(, $($rest:tt)*)?) => { ($versions).contains(&$version) };
    ($version:expr; $skip:tt $($rest:tt)*) => { nullable_in!($version; $($rest)*) };
}

/// Whether a version that lacks the field drops its value.
macro_rules! ignorable {
    () => { false };
    (ignorable $($rest:tt)*) => { true };
    ($skip:tt $($rest:tt)*) => { ignorable!($($rest)*) };
}

/// The default that Kafka gives a field which declares none. Differs from Rust's for `Option`
/// alone: a field that could be null is empty.
pub(crate) trait KafkaDefault {
    fn kafka_default() -> Self;
}

macro_rules! usual_default {
    ($($type:ty),*) => { $(
        impl KafkaDefault for $type {
            fn kafka_default() -> Self {
                Default::default()
            }
        }
    )* };
}

usual_default!(
    bool,
    i8,
    i16,
    u16,
    i32,
    u32,
    i64,
    f64,
    [u8; 16],
    &str,
    bytes::Bytes,
    crate::Records
);

impl<T> KafkaDefault for Vec<T> {
    fn kafka_default() -> Self {
        Vec::new()
    }
}

impl<T: Default> KafkaDefault for Option<T> {
    fn kafka_default() -> Self {
        Some(T::default())
    }
}

/// Declares structures to be blobs: bytes that begin with their version.
macro_rules! blob {
    ($name:ident $(<$lifetime:lifetime>)? {
        versions: $min:literal ..= $max:literal,
        flexible: $flexible:expr,
        reads_newer: $reads_newer:literal,
    }) => {
        impl<'a> $crate::Blob<'a> for $name $(<$lifetime>)? {
            const MIN: i16 = $min;
            const MAX: i16 = $max;
            const FLEXIBLE_FROM: i16 = $flexible;
            const READS_NEWER: bool = $reads_newer;
        }
    };
}
